//! Counts, groups, short metadata, and whose words errors use.

use super::*;
use crate::results::{Caller, Converter, Format};

fn page(number: i64) -> Page {
    Page::new(number, Some(10)).unwrap()
}

#[test]
fn groups_look_like_this() {
    let mut text = String::new();
    for (by, sort, kind) in [
        (GroupBy::Host, ">=High", RecordKind::Vulnerability),
        (GroupBy::Plugin, "hosts", RecordKind::Vulnerability),
        (GroupBy::Severity, "worst", RecordKind::Vulnerability),
        (GroupBy::Port, "findings", RecordKind::Vulnerability),
        (GroupBy::Family, "plugins", RecordKind::Vulnerability),
        (GroupBy::Solution, "findings", RecordKind::Vulnerability),
        (GroupBy::Check, "FAILED", RecordKind::Compliance),
    ] {
        let query = Query::builder().kind(kind).group_by(by, sort.parse().unwrap()).page(page(1)).build().unwrap();
        let mut output = Vec::new();
        JsonNlConverter::new(query).convert(Cursor::new(OFFICE), &mut output).unwrap();
        text += &String::from_utf8(output).unwrap();
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_count_is_one_line() {
    let lines =
        convert(OFFICE, Query::builder().filters(filters(&json!({"severity": ">=High"}))).count_only()).unwrap();
    let expected = json!({"type": "schema", "kind": "vulnerability", "filters_applied": {"severity": ">=High"},
        "matched": 5, "total": 22, "matched_hosts": 4, "matched_plugins": 5,
        "matched_by_severity": {"Critical": 2, "High": 3}, "total_vulnerabilities": 5});
    assert_eq!(lines, [expected]);
    let query = Query::builder().kind(RecordKind::Compliance).count_only().build().unwrap();
    let summary = JsonNlConverter::new(query).convert(Cursor::new(OFFICE), std::io::sink()).unwrap();
    assert_eq!((summary.total_vulnerabilities, summary.matched_hosts, summary.matched_plugins), (1, 1, 1));
    assert_eq!((summary.written, summary.total_pages, summary.next_cursor), (0, 1, None));
}

/// What a reader must know is never left out for brevity.
#[test]
fn the_second_line_is_whole_on_the_first_page_and_says_what_must_be_known_on_all() {
    let metadata =
        json!({"task_id": "ne_x", "status": "completed", "warnings": ["one", "two"], "targets": "192.0.2.0/24"});
    let ask = |export: &[u8], query: QueryBuilder, metadata: &Json| {
        let mut output = Vec::new();
        let converter = JsonNlConverter::new(query.build().unwrap()).lenient(true);
        let converter = converter.with_metadata(metadata.as_object().unwrap().clone());
        let summary = converter.convert(Cursor::new(export), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines.into_iter().find(|line| line["type"] == "scan_metadata"), summary.next_cursor)
    };
    let short =
        json!({"type": "scan_metadata", "short": true, "task_id": "ne_x", "status": "completed", "warning_count": 2});
    let groups = || Query::builder().group_by(GroupBy::Host, GroupSort::WORST);
    let (whole, cursor) = ask(OFFICE, Query::builder().page(page(1)), &metadata);
    assert_eq!(
        (&whole.as_ref().unwrap()["items"], &whole.as_ref().unwrap()["targets"]),
        (&json!(23), &metadata["targets"])
    );
    for (query, expected) in [
        (Query::builder(), &whole),
        (Query::builder().page(page(2)), &Some(short.clone())),
        (Query::builder().page(page(2)).whole_metadata(true), &whole),
        (Query::builder().page(page(1)).whole_metadata(false), &Some(short.clone())),
        (Query::builder().page(page(1)).cursor(cursor.unwrap()), &Some(short.clone())),
        (groups().page(page(1)), &Some(short.clone())),
        (groups().whole_metadata(true), &whole),
        (Query::builder().count_only(), &Some(short.clone())),
        (Query::builder().count_only().whole_metadata(true), &whole),
    ] {
        assert_eq!(ask(OFFICE, query.clone(), &metadata).0, *expected, "{query:?}");
    }
    assert_eq!(ask(OFFICE, Query::builder().count_only(), &json!({"status": "completed"})).0, None);
    let failed = ask(OFFICE, Query::builder().count_only(), &json!({"status": "failed"})).0.unwrap();
    assert_eq!(failed["status"], "failed");
    let cut = &OFFICE[..OFFICE.len() - 20];
    for query in [Query::builder().count_only(), groups(), Query::builder().page(page(2))] {
        let broken = ask(cut, query, &json!({})).0.unwrap();
        assert_eq!((&broken["truncated"], &broken["damage"]["error"]), (&json!(true), &json!("truncated_export")));
    }
}

/// Each caller is told of its own options.
#[test]
fn errors_name_the_options_as_the_caller_does() {
    let ask = |caller, query: QueryBuilder| convert(OFFICE, query.caller(caller)).unwrap_err();
    let query = Query::builder;
    let groups = || query().group_by(GroupBy::Host, GroupSort::WORST);
    let names = [Caller::Library, Caller::Request, Caller::CommandLine];
    for (wrong, code, words) in [
        (query().fields(["x"]), "unknown_field", [" in fields", " in custom_fields", " in --fields"]),
        (query().extra_fields(["x"]), "unknown_field", [" in extra_fields", " in extra_fields", " in --extra-fields"]),
        (query().sort("x".parse().unwrap()), "unknown_field", [" in sort", " in sort", " in --sort"]),
        (query().fields([""]), "no_fields", ["`fields`", "`custom_fields`", "`--fields`"]),
        (
            query().extra_fields(["x".repeat(500)]),
            "invalid_fields",
            ["`extra_fields`", "`extra_fields`", "`--extra-fields`"],
        ),
        (
            query().profile(Profile::Full).fields(["host"]),
            "conflicting_options",
            ["`profile` and `fields`", "`schema_profile` and `custom_fields`", "`--profile` and `--fields`"],
        ),
        (
            query().count_only().page(page(1)),
            "conflicting_options",
            ["`count_only` and `page`", "`count_only` and `page`", "`--count-only` and `--page`"],
        ),
        (
            groups().fields(["host"]),
            "conflicting_options",
            ["`group_by` and `fields`", "`group_by` and `custom_fields`", "`--group-by` and `--fields`"],
        ),
        (query().page(page(1)).max_chars(1), "max_chars_too_small", ["`max_chars`", "`max_chars`", "`--max-chars`"]),
        (groups().page(page(1)).max_chars(1), "max_chars_too_small", ["`max_chars`", "`max_chars`", "`--max-chars`"]),
        (
            query().kind(RecordKind::Compliance).sort("severity".parse().unwrap()),
            "field_of_other_kind",
            ["set `kind`", "set `kind`", "set `--kind`"],
        ),
    ] {
        for (caller, words) in names.into_iter().zip(words) {
            let error = ask(caller, wrong.clone());
            let text = format!("{error} {}", error.hint().unwrap_or_default());
            assert!(error.code() == code && text.contains(words), "{caller:?}: {text}");
        }
    }
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    let groups = || Query::builder().group_by(GroupBy::Host, GroupSort::WORST);
    let count = || Query::builder().count_only();
    for query in [
        count().group_by(GroupBy::Host, GroupSort::WORST),
        count().profile(Profile::Full),
        count().sort(SortOrder::File),
        count().cursor("00"),
        groups().profile(Profile::Minimal),
        groups().extra_fields(["port"]),
        groups().sort(SortOrder::File),
    ] {
        assert_eq!(query.clone().build().unwrap_err().code(), "conflicting_options", "{query:?}");
    }
    for (by, sort) in [(GroupBy::Host, "hosts"), (GroupBy::Plugin, "plugins"), (GroupBy::Port, "FAILED")] {
        let refused = Query::builder().group_by(by, sort.parse().unwrap()).build().unwrap_err();
        assert_eq!(refused.code(), "invalid_sort", "{by} {sort}");
    }
    // A cursor belongs to what was grouped.
    let item = |port| format!("<ReportItem severity='3' pluginID='{port}' port='{port}'/>");
    let export = export(&(0..30).map(item).collect::<Vec<_>>().concat());
    let first = convert(&export, Query::builder().group_by(GroupBy::Port, GroupSort::WORST).page(page(1))).unwrap();
    let cursor = first.last().unwrap()["next_cursor"].as_str().unwrap().to_owned();
    let next = |query: QueryBuilder| convert(&export, query.page(page(1)).cursor(cursor.clone()));
    assert_eq!(next(Query::builder().group_by(GroupBy::Port, GroupSort::WORST)).unwrap()[2]["port"], 10);
    for other in [
        Query::builder().group_by(GroupBy::Plugin, GroupSort::WORST),
        Query::builder().group_by(GroupBy::Port, "findings".parse().unwrap()),
        Query::builder(),
    ] {
        assert_eq!(next(other).unwrap_err().code(), "invalid_cursor");
    }
    for format in [Format::Csv, Format::Html, Format::Sarif] {
        let refused = Converter::new(count().build().unwrap(), format).convert(Cursor::new(OFFICE), std::io::sink());
        assert_eq!(refused.unwrap_err().to_string(), format!("`count_only` and `{format}` exclude each other"));
    }
}

#[test]
fn an_unknown_field_gives_the_five_nearest() {
    let error = convert(OFFICE, Query::builder().filters(filters(&json!({"sevrity": "High"})))).unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.starts_with("did you mean `severity`, ") && hint.matches('`').count() == 10, "{hint}");
}
