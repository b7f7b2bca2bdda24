//! Any bytes as an export: read, validated, converted, indexed.
#![no_main]

use std::{cell::RefCell, fs::File};

use libfuzzer_sys::fuzz_target;
use nessus_mcp_lib::{
    JsonNlConverter,
    error::Classified as _,
    results::{ExportIndex, Page, SortOrder, validate},
};
use nessus_mcp_lib_fuzz::{assert_lines, convert, file, full, rewrite, source};

thread_local! {
    static FILES: RefCell<(File, File)> = RefCell::new((file(b""), file(b"")));
}

fuzz_target!(|export: &[u8]| {
    let validated = validate(std::io::Cursor::new(export));
    let in_file = convert(export, full().sort(SortOrder::File));
    let (stats, lines) = match (validated, in_file) {
        (Ok(stats), Ok(lines)) => (stats, lines),
        (Err(validated), Err(converted)) => {
            assert_eq!(validated.code(), converted.code());
            return;
        }
        (validated, converted) => panic!("{validated:?}, but {:?}", converted.map(|_| ())),
    };
    assert_lines(&lines);
    let found =
        lines.split(|byte| *byte == b'\n').filter(|line| line.starts_with(br#"{"type":"vulnerability""#)).count();
    assert_eq!(found as u64, stats.items);
    let page = || full().page(Page::new(1, Some(10)).expect("a page")).max_chars(2_000);
    let sorted = convert(export, page()).expect("an export");
    assert_lines(&sorted);
    FILES.with_borrow_mut(|(export_file, index_file)| {
        rewrite(export_file, export);
        rewrite(index_file, b"");
        let export_file = source(export_file);
        let summary = ExportIndex::build(&export_file, &*index_file).expect("an export");
        assert_eq!(summary.stats, stats);
        if !summary.is_usable {
            return;
        }
        let index = ExportIndex::load(&source(index_file), &export_file).expect("the index of this export");
        let mut indexed = Vec::new();
        let converter = JsonNlConverter::new(page().build().expect("a query"));
        converter.convert_indexed(export_file, &index, &mut indexed).expect("the index of this export");
        assert!(indexed == sorted, "the index gives other lines");
    });
});
