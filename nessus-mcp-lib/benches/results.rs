//! How fast exports become JSON-NL, beside a bare quick-xml loop over the same bytes.
//!
//! `cargo bench --bench results` makes an export of 24 MB; `NESSUS_BENCH_EXPORT=path` reads another instead. The
//! figures that count are ratios of one run: the machine may be busy.

#![allow(missing_docs, reason = "the macros of criterion write functions without")]
#![expect(clippy::unwrap_used, reason = "a benchmark, for those who work on the library")]

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufReader, Read, Seek, Write as _},
    path::PathBuf,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nessus_mcp_lib::{
    JsonNlConverter,
    results::{ExportIndex, Page, Profile, Query, QueryBuilder, SortOrder, validate},
    source::Source,
};
use quick_xml::{Reader, events::Event};

/// An export that looks like the ones scanners write: 2 kB an item, texts with line feeds and references.
fn generate(bytes: usize) -> Vec<u8> {
    let words =
        ["server", "remote", "version", "affected", "session", "&lt;script&gt;", "memory", "certificate", "path"];
    let mut state = 7_usize;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = move |count: usize| {
        let word = |at: usize| if at % 9 == 8 { "\n" } else { " " };
        (0..count).map(|at| [words[next(words.len())], word(at)].concat()).collect::<String>()
    };
    let mut xml = "<?xml version=\"1.0\" ?>\n<NessusClientData_v2>\n<Report name=\"bench\">\n".to_owned();
    let mut host = 0;
    while xml.len() < bytes {
        host += 1;
        let name = format!("10.{}.{}.{}", host >> 16, host >> 8 & 255, host & 255);
        write!(
            xml,
            "<ReportHost name=\"{name}\"><HostProperties>\n<tag name=\"host-ip\">{name}</tag>\n</HostProperties>\n"
        )
        .unwrap();
        for item in 0..100 {
            write!(
                xml,
                "<ReportItem port=\"{}\" svc_name=\"www\" protocol=\"tcp\" severity=\"{}\" pluginID=\"{}\" pluginName=\"{}\" \
                 pluginFamily=\"General\">\n<cve>CVE-2026-{item}</cve>\n<cvss3_base_score>{}.5</cvss3_base_score>\n\
                 <description>{}</description>\n<exploit_available>true</exploit_available>\n<fname>a.nasl</fname>\n\
                 <plugin_modification_date>2026/01/02</plugin_modification_date>\n<plugin_type>remote</plugin_type>\n\
                 <risk_factor>High</risk_factor>\n<see_also>https://a.example/?x=1&amp;y=2\nhttps://b.example</see_also>\n\
                 <solution>{}</solution>\n<synopsis>{}</synopsis>\n<plugin_output>\n{}\n</plugin_output>\n</ReportItem>\n",
                item * 7, item % 5, 10_000 + item, text(6), item % 10, text(80), text(20), text(10), text(70),
            )
            .unwrap();
        }
        xml.push_str("</ReportHost>\n");
    }
    xml.push_str("</Report>\n</NessusClientData_v2>\n");
    xml.into_bytes()
}

/// The least that any reader with quick-xml does: every event, attributes and references decoded.
fn bare_loop(input: impl Read) -> usize {
    let mut reader = Reader::from_reader(BufReader::with_capacity(128 << 10, input));
    let mut buffer = Vec::new();
    let mut seen = 0;
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).unwrap() {
            Event::Start(tag) | Event::Empty(tag) => {
                for attribute in tag.attributes() {
                    let attribute = attribute.unwrap();
                    seen += quick_xml::escape::unescape(&attribute.value).unwrap().len();
                }
            }
            Event::Text(text) => seen += text.len(),
            Event::CData(text) => seen += text.len(),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().unwrap();
                let entity = || quick_xml::escape::resolve_predefined_entity(&reference).unwrap().len();
                seen += character.map_or_else(entity, char::len_utf8);
            }
            Event::Eof => return seen,
            _ => {}
        }
    }
}

/// The export in a file, as in life.
fn export() -> (File, u64) {
    let path = std::env::var_os("NESSUS_BENCH_EXPORT").map(PathBuf::from);
    let mut file = if let Some(path) = &path {
        File::open(path).unwrap()
    } else {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&generate(24 << 20)).unwrap();
        file
    };
    let size = file.seek(io::SeekFrom::End(0)).unwrap();
    (file, size)
}

fn convert(file: &File, query: QueryBuilder) -> u64 {
    let converter = JsonNlConverter::new(query.build().unwrap());
    converter.convert(file.try_clone().unwrap(), io::sink()).unwrap().written
}

fn conversion(criterion: &mut Criterion) {
    let (mut file, size) = export();
    let mut group = criterion.benchmark_group("results");
    group.sample_size(10).throughput(Throughput::Bytes(size));
    group.bench_function("bare quick-xml loop", |bencher| {
        bencher.iter(|| {
            file.rewind().unwrap();
            bare_loop(&file)
        });
    });
    let full = || Query::builder().profile(Profile::Full).sort(SortOrder::File);
    let text = || full().filters(r#"{"plugin_output": "nowhere to be found"}"#.parse().unwrap());
    let mut bench = |name: &str, query: &dyn Fn() -> QueryBuilder| {
        group.bench_function(name, |bencher| bencher.iter(|| convert(&file, query())));
    };
    bench("convert full, file order", &full);
    bench("convert brief, worst first", &Query::builder);
    bench("convert full, text filter", &text);
    group.bench_function("validate", |bencher| {
        bencher.iter(|| {
            file.rewind().unwrap();
            validate(&file).unwrap().items
        });
    });
    group.finish();
    pages(criterion, &file.into());
}

/// Pages as the service answers them: the index is loaded each time.
fn pages(criterion: &mut Criterion, file: &Source) {
    let stored = tempfile::tempfile().unwrap();
    ExportIndex::build(file, &stored).unwrap();
    let stored = Source::from(stored);
    let load = || ExportIndex::load(&stored, file).unwrap();
    let last = i64::try_from(load().stats().items.div_ceil(40)).unwrap();
    let mut group = criterion.benchmark_group("index");
    group.sample_size(10);
    group.bench_function("build", |bencher| bencher.iter(|| ExportIndex::build(file, io::sink()).unwrap().is_usable));
    group.bench_function("load", |bencher| bencher.iter(|| load().stats().items));
    let page = |number: i64, filters: &str, sort: &str| {
        let query = Query::builder().page(Page::new(number, None).unwrap()).sort(sort.parse().unwrap());
        query.filters(filters.parse().unwrap()).build().unwrap()
    };
    for (name, number, filters, sort) in [
        ("first page", 1, "{}", "worst_first"),
        ("last page", last, "{}", "worst_first"),
        ("last page, file order", last, "{}", "file"),
        ("first page, by epss", 1, "{}", "-epss_score"),
        ("severity filter", 1, r#"{"severity": ">=High"}"#, "worst_first"),
        ("host filter", 1, r#"{"host": "10.0.0.0/24"}"#, "worst_first"),
        ("text filter on every item", 1, r#"{"plugin_output": "nowhere to be found"}"#, "worst_first"),
    ] {
        let converter = JsonNlConverter::new(page(number, filters, sort));
        group.bench_function(name, |bencher| {
            bencher.iter(|| converter.convert_indexed(file.clone(), &load(), io::sink()).unwrap().written);
        });
        if filters == "{}" && number == 1 {
            group.bench_function(format!("{name}, without the index"), |bencher| {
                bencher.iter(|| converter.convert(file.clone(), io::sink()).unwrap().written);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, conversion);
criterion_main!(benches);
