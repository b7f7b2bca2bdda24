//! Answers with an index are those without, and a damaged index is none.

use std::{
    fs::File,
    io::{Cursor, Seek, SeekFrom, Write},
    time::UNIX_EPOCH,
};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    results::{
        FilterSet, GroupBy, GroupSort, JsonNlConverter, Page, Profile, Query, QueryBuilder, RecordKind, ResultsError,
        Validation, convert::Checksum, judge::validate,
    },
    source::Source,
};

const OFFICE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office.nessus"));

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

fn source(file: &File) -> Source {
    Source::from(file.try_clone().unwrap())
}

fn built(export: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(ExportIndex::build(&source(export), &mut bytes).unwrap().is_usable);
    bytes
}

fn load(index: &[u8], export: &File) -> Result<ExportIndex, IndexError> {
    ExportIndex::load(&file(index).into(), &source(export))
}

type Answer = Result<String, String>;

fn answer(
    convert: impl FnOnce(JsonNlConverter, &mut Vec<u8>) -> Result<(), ResultsError>,
    query: QueryBuilder,
) -> Answer {
    let mut output = Vec::new();
    let converter = JsonNlConverter::new(query.build().unwrap());
    convert(converter, &mut output).map_err(|error| format!("{error:?}"))?;
    Ok(String::from_utf8(output).unwrap())
}

fn indexed(export: &File, index: &ExportIndex, query: QueryBuilder) -> Answer {
    answer(|converter, output| converter.convert_indexed(export, index, output).map(|_| ()), query)
}

fn plain(export: &[u8], query: QueryBuilder) -> Answer {
    answer(|converter, output| converter.convert(Cursor::new(export), output).map(|_| ()), query)
}

fn findings(text: &str) -> Vec<&str> {
    let types = [r#"{"type":"vulnerability""#, r#"{"type":"compliance""#];
    text.lines().filter(|line| types.iter().any(|start| line.starts_with(start))).collect()
}

/// Items of all kinds: one value, none, several, and values that do not fit.
fn item() -> impl Strategy<Value = String> {
    let one_of = |options: &'static [&'static str]| prop::sample::select(options);
    let attributes = (
        one_of(&["severity='4'", "severity='2'", "severity='0'", "severity='x'", ""]),
        one_of(&["port='80'", "port='443'", "port='-1'", "port='4294967295'", "port='web'", ""]),
        one_of(&["pluginID='10'", "pluginID='11'", "pluginID='4294967294'", ""]),
        one_of(&["pluginName='Apache'", "pluginName='a &lt; B'", "host='x'", ""]),
    );
    let child = one_of(&[
        "<cvss3_base_score>7.5</cvss3_base_score>",
        "<cvss_base_score>5.0</cvss_base_score>",
        "<cvss_base_score>n/a</cvss_base_score>",
        "<epss_score>0.5</epss_score>",
        "<epss_score>1e-3</epss_score>",
        "<vpr_score>9.1</vpr_score>",
        "<exploit_available>true</exploit_available>",
        "<exploit_available>maybe</exploit_available>",
        "<cisa-known-exploited>2026/01/02</cisa-known-exploited>",
        "<cve>CVE-1</cve>",
        "<cve> </cve>",
        "<plugin_name>Element</plugin_name>",
        "<plugin_output>a &amp; b\u{1b}[0m</plugin_output>",
        "<synopsis>x<!-- c -->y</synopsis>",
        "<see_also>a\nb</see_also>",
        "<new>N</new>",
        "<host>fake</host>",
        "<attachment name='n'>h</attachment>",
        "<compliance>true</compliance>",
        "<compliance>false</compliance>",
        "<cm:compliance-result>FAILED</cm:compliance-result>",
        "<cm:compliance-result> passed </cm:compliance-result>",
        "<cm:compliance-result/>",
        "<cm:compliance-reference>A|1,B|2</cm:compliance-reference>",
        "<description>\"1.1 x\" : [WARNING]</description>",
    ]);
    (attributes, prop::collection::vec(child, 0..7)).prop_map(|((severity, port, plugin, name), children)| {
        format!("<ReportItem {severity} {port} {plugin} {name}>\n{}</ReportItem>\n", children.concat())
    })
}

fn export() -> impl Strategy<Value = String> {
    let properties = prop::sample::select(vec![
        "",
        "<HostProperties><tag name='host-ip'>10.0.0.7</tag><tag name='operating-system'>Linux</tag></HostProperties>",
    ]);
    let name = prop::sample::select(vec!["10.0.0.7", "10.0.0.70", "web", "Web2"]);
    let host = (
        name,
        properties.clone(),
        prop::collection::vec(item(), 0..6),
        properties,
        prop::collection::vec(item(), 0..3),
    );
    prop::collection::vec(host, 0..5).prop_map(|hosts| {
        let hosts = hosts.into_iter().map(|(name, before, items, between, more)| {
            [&format!("<ReportHost name='{name}'>{before}"), &items.concat(), between, &more.concat(), "</ReportHost>"]
                .concat()
        });
        format!(
            "<NessusClientData_v2><Report name='r'>{}</Report></NessusClientData_v2>",
            hosts.collect::<Vec<_>>().concat()
        )
    })
}

fn filters() -> impl Strategy<Value = serde_json::Value> {
    prop::sample::select(vec![
        json!({}),
        json!({"cm:compliance-result": ["failed", "WARNING"]}),
        json!({"not": {"cm:compliance-check-name": "1.1"}}),
        json!({"cm:compliance-reference": "B|2"}),
        json!({"severity": ">=Medium"}),
        json!({"severity": "!=Info", "port": [80, 443]}),
        json!({"port": "<100"}),
        json!({"plugin_id": {"not": 10}}),
        json!({"cvss_score": {"all": [">=5", "<8"]}}),
        json!({"epss_score": "!=0.5"}),
        json!({"vpr_score": ">9"}),
        json!({"exploit_available": false}),
        json!({"cisa_known_exploited": ">=2026/01/01"}),
        json!({"host": "10.0.0.0/26"}),
        json!({"host": "web", "operating_system": "linux"}),
        json!({"cve": "cve"}),
        json!({"plugin_name": "element"}),
        json!({"plugin_output": "b"}),
        json!({"asset_inventory": false}),
        json!({"any": [{"severity": "Critical"}, {"plugin_output": "b"}]}),
        json!({"not": {"any": [{"port": 80}, {"synopsis": "xy"}]}}),
        json!({"new": "n"}),
        json!({"host_element": "fake"}),
        json!({"nowhere": "x"}),
        json!({"nowhere": ">5"}),
        json!({"not": {"new": ["n", {"not": ">5"}]}}),
        json!({"any": [{"new": true}, {"severity": ">=Low"}]}),
    ])
}

fn sorts() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "worst_first",
        "file",
        "host",
        "-host",
        "severity",
        "-port",
        "plugin_id",
        "-epss_score",
        "cvss_score",
        "exploit_available",
        "-cisa_known_exploited",
        "plugin_name",
        "cve",
        "new",
        "-operating_system",
        "attachment",
        "finding_key",
        "-finding_key",
        "-cm:compliance-result",
        "cm:compliance-check-name",
    ])
}

fn kinds() -> impl Strategy<Value = RecordKind> {
    prop::sample::select(RecordKind::ALL.to_vec())
}

/// Whether the query is refused before any export is read.
fn is_refused(query: QueryBuilder) -> bool {
    matches!(query.build(), Err(ResultsError::FieldOfOtherKind { .. }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_the_same_with_and_without(
        xml in export(), mark in any::<bool>(), filters in filters(), sort in sorts(), page in 0..4_i64,
        profile in prop::sample::select(Profile::ALL.to_vec()), budget in prop::option::of(0..9_000_u64), kind in kinds(),
    ) {
        let xml = if mark { format!("\u{FEFF}{xml}") } else { xml };
        let query = || {
            let query = Query::builder().filters(FilterSet::from_json(&filters).unwrap()).sort(sort.parse().unwrap());
            let query = query.kind(kind).profile(profile).page(Page::new(page, Some(10)).unwrap());
            if let Some(budget) = budget { query.max_chars(budget) } else { query }
        };
        prop_assume!(!is_refused(query()));
        let export = file(xml.as_bytes());
        let index = load(&built(&export), &export).unwrap();
        prop_assert_eq!(indexed(&export, &index, query()), plain(xml.as_bytes(), query()));
    }

    /// Whoever holds a key finds the findings that have it, and no others.
    #[test]
    fn a_key_finds_its_findings(xml in export(), at in any::<prop::sample::Index>(), sort in sorts()) {
        prop_assume!(!is_refused(Query::builder().sort(sort.parse().unwrap())));
        let export = file(xml.as_bytes());
        let index = load(&built(&export), &export).unwrap();
        let ask = |filters: serde_json::Value, profile| {
            let filters = FilterSet::from_json(&filters).unwrap();
            let query = Query::builder().filters(filters).sort(sort.parse().unwrap()).profile(profile);
            let query = query.extra_fields(["finding_key"]);
            let found = indexed(&export, &index, query.clone());
            assert_eq!(found, plain(xml.as_bytes(), query));
            found
        };
        let Ok(everything) = ask(json!({}), Profile::Full) else { return Ok(()) };
        let key_of = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["finding_key"].as_str().unwrap().to_owned();
        let all: Vec<(String, &str)> = findings(&everything).into_iter().map(|line| (key_of(line), line)).collect();
        if all.is_empty() {
            return Ok(());
        }
        let (wanted, _) = &all[at.index(all.len())];
        let with: Vec<&str> = all.iter().filter(|(key, _)| key == wanted).map(|(_, line)| *line).collect();
        for filter in [json!(wanted), json!(format!("= {}", wanted.to_uppercase().replace("V1", "v1"))), json!([wanted, format!("v1:{:032x}", 1)])] {
            let found = ask(json!({"finding_key": filter}), Profile::Full).unwrap();
            prop_assert_eq!(findings(&found), with.clone());
        }
        let others = ask(json!({"finding_key": {"not": wanted}}), Profile::Triage).unwrap();
        prop_assert_eq!(findings(&others).len(), all.len() - with.len());
    }

    #[test]
    fn pages_and_cursors_are_everything_and_outlive_the_index(
        xml in export(), filters in filters(), sort in sorts(), budget in prop::option::of(0..4_000_u64), kind in kinds(),
    ) {
        let query = || Query::builder().kind(kind).profile(Profile::Full).sort(sort.parse().unwrap())
            .filters(FilterSet::from_json(&filters).unwrap());
        prop_assume!(!is_refused(query()));
        let Ok(everything) = plain(xml.as_bytes(), query()) else { return Ok(()) };
        let export = file(xml.as_bytes());
        let index = load(&built(&export), &export).unwrap();
        let mut pages = Vec::new();
        for number in 1.. {
            let page = indexed(&export, &index, query().max_chars(0).page(Page::new(number, Some(10)).unwrap())).unwrap();
            pages.extend(findings(&page).into_iter().map(str::to_owned));
            if page.lines().last().unwrap().contains(r#""next_page":null"#) {
                break;
            }
        }
        prop_assert_eq!(&pages, &findings(&everything));
        let (mut walked, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = query().page(Page::new(1, Some(10)).unwrap()).max_chars(budget.map_or(0, |budget| budget + 3_000));
            let page = if let Some(cursor) = &cursor { page.cursor(cursor) } else { page };
            // The index is made again for every page.
            let index = load(&built(&export), &export).unwrap();
            let text = indexed(&export, &index, page).unwrap();
            walked.extend(findings(&text).into_iter().map(str::to_owned));
            let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            cursor = last["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(&walked, &findings(&everything));
    }

    #[test]
    fn damage_never_changes_an_answer(
        at in any::<prop::sample::Index>(), put in prop::collection::vec(any::<u8>(), 0..40), cut in 0..80_usize,
        sort in sorts(),
    ) {
        let export = file(OFFICE);
        let whole = built(&export);
        let mut damaged = whole.clone();
        let at = at.index(whole.len());
        damaged.splice(at..(at + cut).min(whole.len()), put);
        if let Ok(index) = load(&damaged, &export) {
            prop_assume!(!is_refused(Query::builder().sort(sort.parse().unwrap())));
            let query = || Query::builder().profile(Profile::Full).sort(sort.parse().unwrap());
            prop_assert_eq!(indexed(&export, &index, query()), plain(OFFICE, query()));
        }
    }

    /// An index with the right checksum and the wrong content: no panic, and no more memory than it has rows.
    #[test]
    fn a_forged_index_is_harmless(at in any::<prop::sample::Index>(), put in any::<[u8; 8]>(), sort in sorts()) {
        let export = file(OFFICE);
        let mut forged = built(&export);
        let end = forged.len() - 64;
        let at = at.index(end - 8);
        forged[at..at + 8].copy_from_slice(&put);
        let mut checksum = Checksum::new();
        checksum.update(&forged[..end + 32]);
        let sum = checksum.finish();
        forged[end + 32..].copy_from_slice(&sum);
        prop_assume!(!is_refused(Query::builder().sort(sort.parse().unwrap())));
        if let Ok(index) = load(&forged, &export) {
            let query = Query::builder().sort(sort.parse().unwrap()).filters(r#"{"plugin_output": "a"}"#.parse().unwrap());
            let _ = indexed(&export, &index, query);
        }
    }
}

#[test]
fn every_flipped_byte_and_every_cut_is_found() {
    let export = file(OFFICE);
    let whole = built(&export);
    assert!(load(&whole, &export).is_ok());
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(load(&damaged, &export).is_err(), "{at}");
    }
    for length in (0..whole.len()).step_by(7) {
        assert!(load(&whole[..length], &export).is_err(), "{length}");
    }
    assert!(load(&[&whole[..], b"x"].concat(), &export).is_err());
}

#[test]
fn an_index_of_another_export_is_stale() {
    let mut export = file(OFFICE);
    let index = built(&export);
    let other = file(&[OFFICE, b"\n"].concat());
    assert!(matches!(load(&index, &other), Err(IndexError::Stale)));
    // The same size, and changed in the middle: told by the time of change.
    export.set_modified(UNIX_EPOCH).unwrap();
    assert!(matches!(load(&index, &export), Err(IndexError::Stale)));
    let index = load(&built(&export), &export).unwrap();
    let at = OFFICE.windows(9).position(|window| window == b"<synopsis").unwrap();
    export.seek(SeekFrom::Start(at as u64)).unwrap();
    export.write_all(b"<synopsiS").unwrap();
    let error = indexed(&export, &index, Query::builder()).unwrap_err();
    assert_eq!(error, "Changed", "and if not, by the hash of the item");
}

#[test]
fn an_index_of_another_version_is_made_again() {
    let export = file(OFFICE);
    let mut older = built(&export);
    older[8] = 1;
    assert!(matches!(load(&older, &export), Err(IndexError::Version)));
    assert!(matches!(load(b"<NessusClientData_v2>", &export), Err(IndexError::Damaged)));
}

#[test]
fn an_export_that_is_not_utf_8_has_no_index_and_says_so() {
    let text = String::from_utf8(OFFICE.to_vec()).unwrap();
    let wide: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (export, mut index) = (file(&wide), Vec::new());
    let summary = ExportIndex::build(&source(&export), &mut index).unwrap();
    assert!(!summary.is_usable);
    assert!(matches!(load(&index, &export), Err(IndexError::Impossible)), "so that nobody tries again");
    assert_eq!(summary.stats, validate(std::io::Cursor::new(OFFICE)).unwrap());
    assert_eq!(ExportIndex::build(&file(OFFICE).into(), Vec::new()).unwrap().stats, summary.stats);
    assert!(ExportIndex::build(&file(&OFFICE[..OFFICE.len() - 20]).into(), Vec::new()).is_err());
}

/// So many hosts that they are read from the index in several parts, and only some findings of each match.
#[test]
fn hosts_are_read_where_they_are_needed() {
    let items = |host: u32| {
        let item =
            |port| format!("<ReportItem severity='{}' port='{port}' pluginID='{}'/>\n", (host + port) % 5, host % 7);
        (0..3).map(item).collect::<Vec<_>>().concat()
    };
    let host = |host: u32| {
        let name = format!("10.{}.{}.7", host * 7919 % 251, host % 256);
        let system = host % 3;
        format!(
            "<ReportHost name='{name}'><HostProperties><tag name='operating-system'>System {system}</tag></HostProperties>\
             {}</ReportHost>",
            items(host)
        )
    };
    let xml = format!(
        "<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>",
        (0..900).map(host).collect::<Vec<_>>().concat()
    );
    let export = file(xml.as_bytes());
    let index = load(&built(&export), &export).unwrap();
    for (sort, filters, page) in [
        ("worst_first", json!({}), 1),
        ("worst_first", json!({}), 0),
        ("worst_first", json!({}), 25),
        ("-host", json!({"severity": ">=High"}), 3),
        ("operating_system", json!({}), 2),
        ("file", json!({"operating_system": "=System 1"}), 0),
        ("file", json!({"host": "10.0.0.0/9"}), 2),
        ("port", json!({"any": [{"host": "10.128.0.0/9"}, {"severity": "Critical"}]}), 5),
    ] {
        let query = || {
            let filters = FilterSet::from_json(&filters).unwrap();
            let page = Page::new(page, Some(100)).unwrap();
            Query::builder().profile(Profile::Full).filters(filters).sort(sort.parse().unwrap()).page(page)
        };
        let found = indexed(&export, &index, query()).unwrap();
        assert!(found == plain(xml.as_bytes(), query()).unwrap(), "{sort} {filters} {page}");
        assert!(!findings(&found).is_empty(), "{sort} {filters} {page}");
    }
}

/// More texts than are numbered: those without a number are read from the items.
#[test]
fn groups_are_the_same_with_and_without() {
    let item = |number: u32| {
        let (plugin, text) = (number % 37, number * number % 23);
        let solution = if text == 2 { String::new() } else { format!("<solution>Update {text}.</solution>") };
        let name = format!("<cm:compliance-check-name>{text}</cm:compliance-check-name>");
        let check = if number.is_multiple_of(5) { name } else { String::new() };
        format!(
            "<ReportItem severity='{}' port='{}' pluginID='{plugin}' pluginFamily='Family {text}'>{solution}{check}</ReportItem>",
            number % 7,
            number % 11
        )
    };
    let host = |host: u32| {
        let items: Vec<String> = (host..host + 9).map(item).collect();
        format!("<ReportHost name='10.0.0.{}'>{}</ReportHost>", host % 50, items.concat())
    };
    let xml = format!(
        "<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>",
        (0..90).map(host).collect::<Vec<_>>().concat()
    );
    let export = file(xml.as_bytes());
    let index = load(&built(&export), &export).unwrap();
    for (by, kind) in GroupBy::ALL.into_iter().flat_map(|by| RecordKind::ALL.map(|kind| (by, kind))) {
        for filters in [json!({}), json!({"plugin_id": "<20", "solution": "2"})] {
            let query = || {
                let filters = FilterSet::from_json(&filters).unwrap();
                Query::builder().kind(kind).filters(filters).group_by(by, GroupSort::WORST)
            };
            if is_refused(query()) {
                continue;
            }
            let found = indexed(&export, &index, query()).unwrap();
            assert_eq!(found, plain(xml.as_bytes(), query()).unwrap(), "{by} {kind} {filters}");
            assert!(found.lines().count() > 2, "{by} {kind} {filters}");
        }
    }
}

#[test]
fn one_reading_judges_and_indexes() {
    let latin: Vec<u8> = [
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
        &OFFICE[OFFICE.iter().position(|byte| *byte == b'\n').unwrap()..],
    ]
    .concat();
    for (export, is_usable) in [(OFFICE, true), (&latin[..], false)] {
        let validation = Validation::new().targets("192.0.2.0-39".parse().unwrap()).hosts_listed(3);
        let mut index = Vec::new();
        let (report, usable) = ExportIndex::build_validated(&file(export).into(), &mut index, &validation).unwrap();
        assert_eq!((report, usable), (validation.run(std::io::Cursor::new(export)).unwrap(), is_usable));
        let mut alone = Vec::new();
        ExportIndex::build(&file(export).into(), &mut alone).unwrap();
        assert_eq!(index.len(), alone.len());
    }
}
