//! Any bytes as an index of a good export. They get the right checksum, as those of somebody who wants to do harm.
#![no_main]

use std::{cell::RefCell, fs::File, io};

use libfuzzer_sys::fuzz_target;
use nessus_mcp_lib::{
    JsonNlConverter,
    results::{ExportIndex, Page, QueryBuilder},
    source::Source,
};
use nessus_mcp_lib_fuzz::{file, full, office_file, rewrite, sealed, source, unsealed_index};

thread_local! {
    static FILES: RefCell<(File, File)> = RefCell::new({
        // Panics if the checksum is not that of indexes any more.
        let _ = unsealed_index();
        (office_file(), file(b""))
    });
}

fuzz_target!(|body: &[u8]| {
    FILES.with_borrow_mut(|(export, index)| {
        rewrite(index, &sealed(body));
        let export = source(export);
        let Ok(index) = ExportIndex::load(&source(index), &export) else { return };
        let filters = |text: &str| text.parse().expect("filters");
        for query in [
            full(),
            full().sort("file".parse().expect("an order")).page(Page::new(2, Some(10)).expect("a page")),
            full().filters(filters(r#"{"plugin_output": "a"}"#)).sort("-plugin_name".parse().expect("an order")),
            full().filters(filters(r#"{"any": [{"cvss_score": ">=5"}, {"port": 443}], "host": "192.0.2.0/24"}"#)),
        ] {
            ask(export.clone(), &index, query);
        }
    });
});

fn ask(export: Source, index: &ExportIndex, query: QueryBuilder) {
    let converter = JsonNlConverter::new(query.build().expect("a query"));
    let _ = converter.convert_indexed(export, index, io::sink());
}
