//! Pages, cursors and orders, with and without the index.

use std::{fs, io::Cursor, path::Path};

use nessus_mcp_lib::{
    JsonNlConverter,
    results::{FilterSet, Page, Profile, Query, QueryBuilder, RecordKind, ResultsError},
};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    arbitrary::{Texts, export},
    engine::{self, Answer},
    filters::{filter, is_of, kinds},
    indexed::Indexed,
    order,
};

/// What a walk asks for again and again.
#[derive(Debug, Clone, Copy)]
struct Question<'q> {
    kind: RecordKind,
    sort: &'q str,
    filters: &'q Value,
}

impl Question<'_> {
    fn query(self) -> QueryBuilder {
        let filters = FilterSet::from_json(self.filters).unwrap();
        Query::builder().kind(self.kind).profile(Profile::Full).sort(self.sort.parse().unwrap()).filters(filters)
    }
}

fn page(number: i64) -> Page {
    Page::new(number, Some(10)).unwrap()
}

/// Whether two findings are the same but for what was cut from one of them, which it must say.
fn is_same(found: &Map<String, Value>, whole: &Map<String, Value>) -> bool {
    let was_cut = |name: &String| found.get("truncated_fields").is_some_and(|fields| fields.get(name).is_some());
    let says_so = ["truncated_fields", "truncated_record"];
    let is_short = found.contains_key("truncated_record");
    found.iter().all(|(name, value)| says_so.contains(&&**name) || was_cut(name) || whole.get(name) == Some(value))
        && (is_short || whole.keys().all(|name| found.contains_key(name)))
}

/// Every page, one after the other.
fn by_pages(
    ask: impl Fn(QueryBuilder) -> Result<Answer, ResultsError>,
    question: Question<'_>,
) -> Vec<Map<String, Value>> {
    let mut findings = Vec::new();
    for number in 1.. {
        let answer = ask(question.query().page(page(number)).max_chars(0)).unwrap();
        findings.extend(answer.findings().cloned());
        if answer.pagination().unwrap()["next_page"].is_null() {
            return findings;
        }
    }
    unreachable!()
}

/// From cursor to cursor, with pages as short as the budget makes them, and a new index for each. A budget that is too
/// small is refused with one that is not.
fn by_cursor(indexed: &mut Indexed, export: &[u8], question: Question<'_>, mut budget: u64) -> Vec<Map<String, Value>> {
    let (mut findings, mut cursor) = (Vec::new(), None::<String>);
    match engine::ask(export, question.query().page(page(1)).max_chars(budget)) {
        Err(ResultsError::BudgetTooSmall { asked, least, .. }) => {
            assert!(asked == budget && least > budget, "{asked} {least} for {budget}");
            budget = least;
        }
        answer => drop(answer.unwrap()),
    }
    for turn in 0.. {
        let mut query = question.query().page(page(1)).max_chars(budget);
        if let Some(cursor) = &cursor {
            query = query.cursor(cursor);
        }
        // A cursor holds whether or not there is an index, and whichever.
        let answer = if turn % 3 == 2 { engine::ask(export, query) } else { indexed.ask(query) }.unwrap();
        indexed.rebuild().unwrap();
        let shown = answer.findings().count();
        assert!(budget == 0 || answer.characters as u64 <= budget, "{} for {budget}", answer.characters);
        findings.extend(answer.findings().cloned());
        let last = answer.pagination().unwrap();
        // By number or by cursor, but nothing of both.
        let goes_by_number = turn == 0 && last.get("truncated").is_none();
        for member in ["total_pages", "next_page"] {
            assert_eq!(last.get(member).is_some(), goes_by_number, "{last}");
        }
        assert_eq!(last["has_next"], json!(last.get("next_cursor").is_some()), "{last}");
        cursor = last["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return findings;
        }
        assert!(shown > 0, "a page without findings goes on");
    }
    unreachable!()
}

/// Holds all ways to read a result against each other and against a plain sort; how many findings there are.
#[track_caller]
fn check(export: &[u8], indexed: &mut Indexed, question: Question<'_>, budget: u64) -> usize {
    let everything = engine::ask(export, question.query());
    let with_index = indexed.ask(question.query());
    let everything = match (everything, with_index) {
        (Ok(everything), Ok(with_index)) => {
            assert_eq!(everything, with_index, "{question:?}");
            everything
        }
        (everything, with_index) => {
            assert_eq!(format!("{everything:?}"), format!("{with_index:?}"), "{question:?}");
            return 0;
        }
    };
    let everything: Vec<_> = everything.findings().cloned().collect();
    let in_file = engine::ask(export, Question { sort: "file", ..question }.query()).unwrap();
    let mut expected: Vec<_> = in_file.findings().cloned().collect();
    order::sort(&mut expected, question.sort);
    assert_eq!(everything, expected, "{question:?}");
    assert_eq!(by_pages(|query| engine::ask(export, query), question), everything, "{question:?}");
    assert_eq!(by_pages(|query| indexed.ask(query), question), everything, "{question:?}");
    let walked = by_cursor(indexed, export, question, budget);
    assert_eq!(walked.len(), everything.len(), "{question:?} {budget}");
    for (found, whole) in walked.iter().zip(&everything) {
        assert!(is_same(found, whole), "{question:?} {budget}: {found:?} and {whole:?}");
    }
    everything.len()
}

/// A field to sort by, or an order of its own.
fn sorts(kind: RecordKind) -> impl Strategy<Value = String> {
    let mut fields = vec![
        "host",
        "host_ip",
        "host_fqdn",
        "operating_system",
        "host_start",
        "credentialed",
        "port",
        "protocol",
        "plugin_id",
        "plugin_name",
        "severity",
        "cve",
        "cvss_score",
        "cvss_base_score",
        "epss_score",
        "vpr_score",
        "exploit_available",
        "in_the_news",
        "cisa_known_exploited",
        "vuln_publication_date",
        "bid",
        "cwe",
        "see_also",
        "synopsis",
        "attachment",
        "plugin_output",
        "cm:compliance-result",
        "cm:compliance-check-name",
        "cm:compliance-reference",
        "brand_new",
    ];
    fields.retain(|field| is_of(kind, field));
    let by_field = (select(fields), select(vec!["", "-"])).prop_map(|(name, sign)| format!("{sign}{name}"));
    prop_oneof![1 => Just("worst_first".to_owned()), 1 => Just("file".to_owned()), 6 => by_field]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_and_cursors_are_everything_in_order(
        export in export(Texts::Plain),
        (kind, sort, filters) in kinds().prop_flat_map(|kind| {
            (Just(kind), sorts(kind), prop_oneof![2 => Just(json!({})), 1 => filter(kind)])
        }),
        budget in prop_oneof![Just(0), 1..12_000_u64],
    ) {
        let mut indexed = Indexed::new(export.as_bytes()).unwrap();
        check(export.as_bytes(), &mut indexed, Question { kind, sort: &sort, filters: &filters }, budget);
    }

    #[test]
    fn no_answer_is_longer_than_its_budget(
        export in export(Texts::Any),
        profile in select(Profile::ALL.to_vec()),
        number in 0..3_i64,
        kind in kinds(),
        budget in 1..50_000_u64,
        long in select(vec![0, 100, 40_000]),
        metadata in select(vec![0, 300, 9_000]),
    ) {
        let filters = json!({"not": {"synopsis": format!("no such text{}", "\"".repeat(long))}});
        let ask = |budget| {
            let query = Query::builder().kind(kind).profile(profile).filters(FilterSet::from_json(&filters).unwrap());
            let query = query.page(page(number)).max_chars(budget).build().unwrap();
            let Value::Object(metadata) = json!({
                "scan_name": "\"".repeat(metadata), "warnings": vec!["\"".repeat(metadata / 20); 40],
            }) else { unreachable!() };
            let mut output = Vec::new();
            let converter = JsonNlConverter::new(query).with_metadata(metadata);
            converter.convert(Cursor::new(export.as_bytes()), &mut output).map(|_| Answer::read(&output))
        };
        let (answer, most) = match ask(budget) {
            Err(ResultsError::BudgetTooSmall { asked, least, .. }) => {
                prop_assert!(asked == budget && least > budget && least < Query::DEFAULT_MAX_CHARS, "{budget} {least}");
                (ask(least).unwrap(), least)
            }
            answer => (answer.unwrap(), budget),
        };
        prop_assert!(answer.characters as u64 <= most, "{} for {most}", answer.characters);
        let whole = ask(0).unwrap();
        let shown = answer.findings().count();
        prop_assert!(shown > 0 || whole.findings().count() == 0, "a page without findings");
        if answer.pagination().is_none_or(|last| last.get("truncated").is_none()) {
            prop_assert_eq!(shown, whole.findings().count());
        }
    }
}

/// What has no text is no value to sort by, and so it does not stand for those that follow it.
#[test]
fn an_attachment_without_a_text_decides_no_place() {
    let export = "<NessusClientData_v2><Report><ReportHost name='10.0.0.7'><ReportItem/><ReportItem severity='2'/>\
        <ReportItem severity='-1'><attachment/><attachment name='a'/><attachment>text</attachment></ReportItem>\
        </ReportHost></Report></NessusClientData_v2>";
    let mut indexed = Indexed::new(export.as_bytes()).unwrap();
    for sort in ["attachment", "-attachment"] {
        let question = Question { kind: RecordKind::Vulnerability, sort, filters: &json!({}) };
        assert_eq!(check(export.as_bytes(), &mut indexed, question, 0), 3);
    }
}

/// More hosts and findings than are held at once for a page, in UTF-8 and in an encoding that has no index.
#[test]
fn pages_of_many_hosts_are_parts_of_everything() {
    let item = |host: usize, item: usize| {
        let (severity, port) = ((host * 7 + item) % 5, (host + item * 31) % 1000);
        format!(
            "<ReportItem severity='{severity}' port='{port}' pluginID='{item}'><solution>{port}</solution></ReportItem>\n"
        )
    };
    let host = |host: usize| {
        let (name, system) = (format!("10.{}.{}.9", host * 7919 % 251, host % 256), host % 9);
        let items: String = (0..5).map(|number| item(host, number)).collect();
        format!(
            "<ReportHost name='{name}'><HostProperties><tag name='operating-system'>System {system}</tag>\
             <tag name='host-fqdn'>{host}.example</tag></HostProperties>{items}</ReportHost>"
        )
    };
    let hosts: String = (0..3_400).map(host).collect();
    let export = format!("<NessusClientData_v2><Report>{hosts}</Report></NessusClientData_v2>");
    let wide: Vec<u8> = format!("\u{FEFF}{export}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let exports = [export.as_bytes(), &wide].map(|export| Indexed::new(export).unwrap());
    let in_file = engine::ask(export.as_bytes(), Query::builder().profile(Profile::Full).sort("file".parse().unwrap()));
    let in_file: Vec<_> = in_file.unwrap().findings().cloned().collect();
    for (sort, filters) in [
        ("worst_first", json!({})),
        ("-operating_system", json!({"host": "10.0.0.0/11"})),
        ("file", json!({"operating_system": "=System 4"})),
    ] {
        let question = Question { kind: RecordKind::Vulnerability, sort, filters: &filters };
        let mut expected = in_file.clone();
        if let Some(system) = filters.get("operating_system") {
            expected.retain(|finding| format!("={}", finding["operating_system"].as_str().unwrap()) == *system);
        }
        if filters.get("host").is_some() {
            let second = |host: &str| host.split('.').nth(1).unwrap().parse::<u8>().unwrap();
            expected.retain(|finding| second(finding["host"].as_str().unwrap()) < 32);
        }
        order::sort(&mut expected, sort);
        let last = expected.len().div_ceil(10);
        for number in [1, 2, last / 2, last] {
            let window = &expected[(number - 1) * 10..(number * 10).min(expected.len())];
            for indexed in exports.iter().take(if number == 2 { 2 } else { 1 }) {
                let query = question.query().page(page(i64::try_from(number).unwrap())).max_chars(0);
                let found: Vec<_> = indexed.ask(query).unwrap().findings().cloned().collect();
                assert_eq!(found, window, "{question:?} {number}");
            }
        }
    }
}

/// Every field that there is, in both directions.
#[test]
fn the_fixtures_are_paged_in_every_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/exports");
    let (findings, checks) = (RecordKind::Vulnerability, RecordKind::Compliance);
    for (name, kind, at_least) in
        [("office.nessus", findings, 43), ("login_verdicts.nessus", findings, 15), ("compliance.nessus", checks, 20)]
    {
        let export = fs::read(folder.join(name)).unwrap();
        let mut indexed = Indexed::new(&export).unwrap();
        let everything = engine::ask(&export, engine::everything().kind(kind)).unwrap();
        let fields = everything.lines[0]["fields"].as_array().unwrap();
        let fields: Vec<&str> = fields.iter().map(|field| field.as_str().unwrap()).collect();
        assert!(fields.len() >= at_least, "{name} has {} fields only", fields.len());
        let orders = fields.iter().flat_map(|field| [(*field).to_owned(), format!("-{field}")]);
        for sort in orders.chain(["worst_first".to_owned(), "file".to_owned()]) {
            let question = Question { kind, sort: &sort, filters: &json!({}) };
            let found = check(&export, &mut indexed, question, 6_000);
            assert_eq!(found, everything.findings().count(), "{name} {sort}");
        }
    }
}
