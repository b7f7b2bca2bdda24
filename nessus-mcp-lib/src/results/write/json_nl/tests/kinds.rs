//! Vulnerabilities and compliance checks: each query has one kind, and says what it has left out.

use super::*;
use crate::results::{ExportIndex, ScanSummary, index};

const COMPLIANCE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/compliance.nessus"));

/// The example of a plugin that writes severity 3 whatever the result.
const PASSED: &str = r#"<ReportItem port="0" protocol="tcp" severity="3" pluginID="148944" pluginFamily="Policy Compliance">
<compliance>true</compliance><cm:compliance-check-name>2.1 A</cm:compliance-check-name>
<cm:compliance-result>PASSED</cm:compliance-result></ReportItem>"#;

fn checks() -> QueryBuilder {
    Query::builder().kind(RecordKind::Compliance)
}

/// The lines of items, of whichever type.
fn items(lines: &[Json]) -> Vec<&Json> {
    lines.iter().filter(|line| line["type"] == "vulnerability" || line["type"] == "compliance").collect()
}

/// What a field has in each line.
fn column(export: &[u8], query: QueryBuilder, field: &str) -> Vec<String> {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    items(&convert(export, query).unwrap()).into_iter().map(|line| text(&line[field])).collect()
}

#[test]
fn a_passed_check_is_no_vulnerability() {
    let export = export(PASSED);
    for filters in [json!({}), json!({"severity": ">=High"}), json!({"plugin_family": "Policy Compliance"})] {
        for profile in Profile::ALL {
            let lines = convert(&export, Query::builder().profile(profile).filters(self::filters(&filters))).unwrap();
            assert_eq!(items(&lines), [&json!(null); 0], "{filters}");
            assert_eq!((&lines[0]["matched"], &lines[0]["total"]), (&json!(0), &json!(0)));
            assert_eq!(lines[1]["compliance_counts"]["PASSED"], 1);
            let told = "1 compliance check, counted in compliance_counts; kind `compliance` shows them";
            assert_eq!(lines[1]["left_out"], told);
        }
    }
    let lines = convert(&export, checks().profile(Profile::Triage)).unwrap();
    let [check] = items(&lines)[..] else { panic!("{lines:?}") };
    assert_eq!((&check["type"], &check["cm:compliance-result"]), (&json!("compliance"), &json!("PASSED")));
    assert_eq!((&lines[0]["kind"], lines[0].get("total_vulnerabilities")), (&json!("compliance"), None));
    assert!(lines[1].get("left_out").is_none() && lines[1].get("data_warnings").is_none(), "{}", lines[1]);
}

#[test]
fn checks_look_like_this() {
    let profiles = Profile::ALL.map(|profile| {
        let query = checks().profile(profile).filters(filters(&json!({"host": "192.0.2.41"})));
        convert(COMPLIANCE, query.page(Page::new(1, Some(10)).unwrap())).unwrap()
    });
    insta::assert_json_snapshot!(profiles);
}

#[test]
fn no_line_of_a_check_has_a_rating() {
    for profile in Profile::ALL {
        let lines = convert(COMPLIANCE, checks().profile(profile)).unwrap();
        assert_eq!(items(&lines).len(), 11);
        for field in lines[0]["fields"].as_array().unwrap() {
            assert_ne!(FieldRef::named(field.as_str().unwrap()).kind(), Some(RecordKind::Vulnerability), "{field}");
        }
        for line in items(&lines) {
            for rating in ["severity", "risk_factor", "cvss_score", "cvss3_base_score", "exploit_available"] {
                assert!(line.get(rating).is_none(), "{line}");
            }
        }
    }
}

#[test]
fn failed_checks_come_first() {
    let expected =
        ["FAILED", "FAILED", "FAILED", "ERROR", "WARNING", "skipped", "null", "PASSED", "PASSED", "PASSED", "PASSED"];
    assert_eq!(column(COMPLIANCE, checks(), "cm:compliance-result"), expected);
    let hosts = column(COMPLIANCE, checks(), "host");
    assert_eq!(hosts[..3], ["192.0.2.41", "192.0.2.42", "192.0.2.42"]);
}

#[test]
fn checks_are_found_by_what_they_say() {
    for (filters, found) in [
        (json!({"cm:compliance-result": "failed"}), 3),
        (json!({"compliance_result": "=PASSED"}), 4),
        (json!({"compliance-result": ["Failed", "ERROR"]}), 4),
        (json!({"cm:compliance-result": {"not": "PASSED"}}), 7),
        (json!({"cm:compliance-result": "SKIPPED"}), 1),
        // A word is no part of a word.
        (json!({"cm:compliance-result": "PASS"}), 0),
        (json!({"cm:compliance-check-name": "root"}), 3),
        (json!({"cm:compliance-check-name": "=3.1 Old files say it here: [all]"}), 1),
        (json!({"cm:compliance-reference": "=800-53|AC-2"}), 3),
        (json!({"cm:compliance-reference": "800-53|ac-2"}), 5),
        (json!({"cm:compliance-reference": "CSF|PR"}), 3),
        // No entry is like this: a comma parts two.
        (json!({"cm:compliance-reference": "AC-2,CSF"}), 0),
        (json!({"cm:compliance-audit-file": "own_rooms"}), 1),
        (json!({"host": "192.0.2.42", "cm:compliance-result": "FAILED"}), 2),
        (json!({"plugin_id": 148_944}), 1),
        (json!({"compliance": true}), 10),
    ] {
        let lines = convert(COMPLIANCE, checks().filters(self::filters(&filters))).unwrap();
        assert_eq!((items(&lines).len(), &lines[0]["matched"]), (found, &json!(found)), "{filters}");
        assert_eq!(lines[0]["total"], 11);
    }
    for wrong in [json!({"cm:compliance-result": ""}), json!({"cm:compliance-result": "!=PASSED"})] {
        assert_eq!(FilterSet::from_json(&wrong).unwrap_err().code(), "invalid_filter", "{wrong}");
    }
}

/// In the wrong kind, a field would find nothing.
#[test]
fn a_field_of_the_other_kind_is_refused_and_the_kind_is_named() {
    let vulnerabilities = Query::builder;
    let only_in_check = "<ReportItem severity='3' pluginID='1'><compliance>true</compliance><mine>x</mine>
        <cm:compliance-benchmark-name>b</cm:compliance-benchmark-name></ReportItem>";
    let export = export(&format!("{only_in_check}<ReportItem severity='3' pluginID='2'><yours>y</yours></ReportItem>"));
    for (query, kind, place) in [
        (checks().filters(filters(&json!({"severity": ">=High"}))), "vulnerability", "filters"),
        (
            checks().filters(filters(&json!({"any": [{"host": "x"}, {"not": {"cvss_score": 7}}]}))),
            "vulnerability",
            "filters",
        ),
        (checks().sort("-cvss_score".parse().unwrap()), "vulnerability", "sort"),
        (checks().fields(["host", "exploit_available"]), "vulnerability", "fields"),
        (checks().extra_fields(["risk_factor"]), "vulnerability", "extra_fields"),
        (checks().group_by(GroupBy::Severity, GroupSort::WORST), "vulnerability", "group_by"),
        (vulnerabilities().group_by(GroupBy::Check, GroupSort::WORST), "compliance", "group_by"),
        (checks().filters(filters(&json!({"yours": "y"}))), "vulnerability", "filters"),
        (vulnerabilities().filters(filters(&json!({"cm:compliance-result": "FAILED"}))), "compliance", "filters"),
        (vulnerabilities().filters(filters(&json!({"compliance": true}))), "compliance", "filters"),
        (vulnerabilities().fields(["compliance_check_name"]), "compliance", "fields"),
        (vulnerabilities().sort("cm:compliance-benchmark-name".parse().unwrap()), "compliance", "sort"),
        (vulnerabilities().sort("mine".parse().unwrap()), "compliance", "sort"),
    ] {
        let error = convert(&export, query).unwrap_err();
        assert_eq!(error.code(), "field_of_other_kind", "{error}");
        assert_eq!(
            error.hint().unwrap(),
            format!("set `kind` to `{kind}`, or leave the field out of {place}"),
            "{error}"
        );
    }
    assert_eq!(column(&export, checks().filters(filters(&json!({"mine": "x"}))), "plugin_id"), ["1"]);
    assert_eq!(convert(&export, checks().sort("nowhere".parse().unwrap())).unwrap_err().code(), "unknown_field");
}

/// What an answer counts is what it shows, and all that it does not show is said.
#[test]
fn the_counts_of_an_answer_are_its_lines() {
    for export in [OFFICE, COMPLIANCE, &export(PASSED)] {
        let stats = validate(std::io::Cursor::new(export)).unwrap();
        let mut all = 0;
        for kind in RecordKind::ALL {
            let lines = convert(export, Query::builder().kind(kind)).unwrap();
            let shown = items(&lines);
            all += shown.len() as u64;
            assert!(shown.iter().all(|line| line["type"] == kind.name()));
            assert_eq!((&lines[0]["matched"], &lines[0]["total"]), (&json!(shown.len()), &json!(shown.len())));
            let left_out = stats.items - shown.len() as u64;
            let told =
                lines[1]["left_out"].as_str().map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap());
            assert_eq!(told, (left_out > 0).then_some(left_out));
        }
        assert_eq!(all, stats.items);
        let counted = |filters: Json, kind| {
            let query = Query::builder().kind(kind).filters(self::filters(&filters));
            items(&convert(export, query).unwrap()).len() as u64
        };
        for severity in Severity::ALL {
            let found = counted(json!({"severity": severity.name()}), RecordKind::Vulnerability);
            assert_eq!(found, stats.severity_counts.of(Some(severity)), "{severity}");
        }
        let counts = stats.compliance_counts;
        for (word, count) in
            [("FAILED", counts.failed), ("PASSED", counts.passed), ("WARNING", counts.warning), ("ERROR", counts.error)]
        {
            assert_eq!(counted(json!({"cm:compliance-result": word}), RecordKind::Compliance), count, "{word}");
        }
        let of_summary = ScanSummary::read(std::io::Cursor::new(export), crate::results::LoginExpected::NotSaid)
            .unwrap()
            .view(100_000);
        assert_eq!(of_summary.counts.severity_counts, stats.severity_counts);
        for row in of_summary.compliance.into_iter().flat_map(|view| view.by_check.shown) {
            let ComplianceCounts { passed, failed, warning, error, other } = row.compliance_counts;
            if let Some(filters) = row.filters {
                assert_eq!(counted(filters, RecordKind::Compliance), passed + failed + warning + error + other);
            }
        }
    }
}

#[test]
fn the_index_knows_the_kind() {
    use std::io::Write as _;
    let (mut export, file) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    export.write_all(COMPLIANCE).unwrap();
    let export = crate::source::Source::from(export);
    assert!(ExportIndex::build(&export, &file).unwrap().is_usable);
    let index = ExportIndex::load(&file.into(), &export).unwrap();
    for kind in RecordKind::ALL {
        for sort in ["worst_first", "file", "plugin_id", "-description"] {
            let query = Query::builder().kind(kind).profile(Profile::Full).sort(sort.parse().unwrap());
            let query = query.page(Page::new(1, Some(10)).unwrap()).build().unwrap();
            let converter = JsonNlConverter::new(query.clone());
            let (mut plain, mut indexed) = (Vec::new(), Vec::new());
            converter.convert(Cursor::new(COMPLIANCE), &mut plain).unwrap();
            converter.convert_indexed(export.clone(), &index, &mut indexed).unwrap();
            assert_eq!(String::from_utf8(indexed), String::from_utf8(plain), "{kind} {sort}");
        }
        // Without filters, no item has to be read to know its kind and its place.
        let query = Query::builder().kind(kind).build().unwrap();
        let found = index::search(&index, &query, &mut Cursor::new(Vec::new())).unwrap();
        assert_eq!(found.matched, validate(std::io::Cursor::new(COMPLIANCE)).unwrap().of_kind(kind));
    }
}

#[test]
fn a_cursor_goes_on_with_its_kind() {
    let page = |query: QueryBuilder| query.page(Page::new(1, Some(10)).unwrap());
    let lines = convert(COMPLIANCE, page(checks())).unwrap();
    let cursor = lines.last().unwrap()["next_cursor"].as_str().unwrap();
    assert_eq!(
        items(&convert(COMPLIANCE, checks().page(Page::new(1, None).unwrap()).cursor(cursor)).unwrap()).len(),
        1
    );
    let other = convert(COMPLIANCE, Query::builder().page(Page::new(1, None).unwrap()).cursor(cursor));
    assert_eq!(other.unwrap_err().code(), "invalid_cursor");
}

/// The description of a check tells what was found on the machine.
#[test]
fn what_a_machine_may_have_written_is_marked() {
    let of = |kind| convert(COMPLIANCE, Query::builder().kind(kind).profile(Profile::Full)).unwrap();
    let marked = |lines: &[Json]| lines[0]["untrusted_fields"].as_array().unwrap().contains(&json!("description"));
    assert!(marked(&of(RecordKind::Compliance)) && !marked(&of(RecordKind::Vulnerability)));
    let hidden = PASSED.replace("</ReportItem>", "<description>a\u{202E}b</description></ReportItem>");
    assert_eq!(column(&export(&hidden), checks().profile(Profile::Full), "description"), ["ab"]);
}
