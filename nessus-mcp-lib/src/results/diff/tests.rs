//! Comparisons of two fixtures and of pairs of small exports.

use super::*;
use crate::results::{DEFAULT_CHARS, MIN_CHARS, Section};

mod coverage;
mod identity;
mod properties;

const OFFICE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office.nessus"));
const LATER: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office_later.nessus"));

fn diff(before: &[u8], after: &[u8]) -> DiffView {
    ScanDiff::read(std::io::Cursor::new(before), std::io::Cursor::new(after)).unwrap().view(DEFAULT_CHARS)
}

/// An export of these hosts.
fn export(hosts: &[&str]) -> String {
    format!("<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>", hosts.concat())
}

/// A host that answered, with these properties and items.
fn host(name: &str, properties: &str, items: &str) -> String {
    format!(
        "<ReportHost name='{name}'><HostProperties>{properties}</HostProperties>\
         <ReportItem pluginID='1' severity='0' port='22' protocol='tcp'/>{items}</ReportHost>"
    )
}

const FLAW: &str = "<ReportItem pluginID='900001' severity='3' port='443' protocol='tcp'/>";
const LOGIN: &str = "<tag name='Credentialed_Scan'>true</tag>";
const NO_LOGIN: &str = "<tag name='Credentialed_Scan'>false</tag>";

/// What becomes of a flaw that is missing afterwards: fixed and not comparable ones, with the reason.
#[track_caller]
fn check_missing(before: &str, after: &[&str], reason: Option<Incomparable>) {
    let view = diff(export(&[before]).as_bytes(), export(after).as_bytes());
    let found = view.hosts_not_comparable.shown.first().map(|host| host.reason);
    assert_eq!(found, reason);
    let counts = (view.counts.fixed.high, view.counts.not_comparable.high);
    assert_eq!(counts, if reason.is_some() { (0, 1) } else { (1, 0) });
}

#[test]
fn a_comparison_looks_like_this() {
    let mut read = ScanDiff::read(std::io::Cursor::new(OFFICE), std::io::Cursor::new(LATER)).unwrap();
    read.read_outputs(OFFICE, LATER).unwrap();
    let view = read.view(DEFAULT_CHARS);
    assert!(!view.truncated);
    insta::assert_json_snapshot!("office_json", view);
    insta::assert_snapshot!("office_text", view);
}

#[test]
fn a_scan_does_not_differ_from_itself() {
    let view = diff(OFFICE, OFFICE);
    assert_eq!(view.differences, []);
    assert_eq!(view.counts.still_there, view.before.severity_counts);
    for counts in [&view.counts.new, &view.counts.fixed, &view.counts.severity_changed, &view.counts.not_comparable] {
        assert_eq!(counts.total(), 0);
    }
    assert_eq!(view.compliance.unwrap().unchanged, 1);
}

#[test]
fn what_is_missing_is_fixed_only_where_the_second_scan_looked() {
    let had = host("h", "", FLAW);
    check_missing(&had, &[&host("h", "", "")], None);
    check_missing(&had, &[&host("other", "", "")], Some(Incomparable::HostNotScanned));
    check_missing(&had, &["<ReportHost name='h'/>"], Some(Incomparable::HostDown));
    let ping = "<ReportHost name='h'><ReportItem pluginID='10180' severity='0' port='0'/></ReportHost>";
    check_missing(&had, &[ping], Some(Incomparable::HostDown));
    let had = host("h", LOGIN, FLAW);
    check_missing(&had, &[&host("h", LOGIN, "")], None);
    check_missing(&had, &[&host("h", NO_LOGIN, "")], Some(Incomparable::CredentialsLost));
    check_missing(&had, &[&host("h", "", "")], Some(Incomparable::CredentialsLost));
    let weaker = host("h", LOGIN, "<ReportItem pluginID='110385' severity='0' port='22' svc_name='ssh'/>");
    check_missing(&had, &[&weaker], Some(Incomparable::CredentialsWeaker));
    // A login that was gained hides nothing.
    check_missing(&host("h", NO_LOGIN, FLAW), &[&host("h", LOGIN, "")], None);
}

#[test]
fn host_port_protocol_and_plugin_make_a_finding() {
    let item = |plugin: u32, port: u16, protocol: &str, severity: u8| {
        format!("<ReportItem pluginID='{plugin}' severity='{severity}' port='{port}' protocol='{protocol}'/>")
    };
    let compare = |before: &str, after: &str| {
        let counts =
            diff(export(&[&host("h", "", before)]).as_bytes(), export(&[&host("h", "", after)]).as_bytes()).counts;
        let low_and_worse = |counts: &crate::results::SeverityCounts| counts.above_info();
        [&counts.new, &counts.fixed, &counts.still_there, &counts.severity_changed].map(low_and_worse)
    };
    let flaw = item(9, 443, "tcp", 3);
    assert_eq!(compare(&flaw, &flaw), [0, 0, 1, 0]);
    assert_eq!(compare(&flaw, &item(9, 443, "TCP", 3)), [0, 0, 1, 0]);
    assert_eq!(compare(&flaw, &item(9, 443, "tcp", 4)), [0, 0, 0, 1]);
    for other in [item(8, 443, "tcp", 3), item(9, 8443, "tcp", 3), item(9, 443, "udp", 3)] {
        assert_eq!(compare(&flaw, &other), [1, 1, 0, 0], "{other}");
    }
    // Findings that nothing tells apart are compared by their number.
    let twice = format!("{}{}", item(9, 443, "tcp", 2), item(9, 443, "tcp", 3));
    assert_eq!(compare(&twice, &flaw), [0, 1, 1, 0]);
}

#[test]
fn new_findings_say_where_they_may_be_old() {
    let before = export(&[&host("a", NO_LOGIN, ""), &host("b", "", ""), "<ReportHost name='c'/>"]);
    let after = export(&[&host("a", LOGIN, FLAW), &host("b", "", FLAW), &host("c", "", FLAW), &host("d", "", FLAW)]);
    let counts = diff(before.as_bytes(), after.as_bytes()).counts;
    assert_eq!((counts.new.high, counts.new_on_unseen_hosts, counts.new_by_better_login), (4, 4, 1));
}

#[test]
fn compliance_checks_are_told_apart_and_compared_by_status() {
    let check = |id: &str, result: &str, severity: u8| {
        format!(
            "<ReportItem pluginID='21157' severity='{severity}' port='0' protocol='tcp'>\
             <cm:compliance-check-name>Check {id}</cm:compliance-check-name>\
             <cm:compliance-result>{result}</cm:compliance-result></ReportItem>"
        )
    };
    let before = [check("1", "FAILED", 3), check("2", "PASSED", 0), check("3", "PASSED", 0), check("5", "WARNING", 2)];
    let after = [check("1", "PASSED", 0), check("2", "FAILED", 3), check("3", "PASSED", 0), check("4", "FAILED", 3)];
    let view = diff(
        export(&[&host("h", "", &before.concat())]).as_bytes(),
        export(&[&host("h", "", &after.concat())]).as_bytes(),
    );
    assert_eq!(view.counts.new.above_info() + view.counts.fixed.above_info(), 0, "they are no findings");
    let compliance = view.compliance.unwrap();
    let rows = |section: Section<ComplianceRow>| {
        section.shown.into_iter().map(|row| format!("{} {:?} {}", row.check, row.before, row.after)).collect::<Vec<_>>()
    };
    let mut failed = rows(compliance.newly_failed);
    failed.sort();
    assert_eq!(failed, ["Check 2 Some(\"PASSED\") FAILED", "Check 4 None FAILED"]);
    assert_eq!(rows(compliance.newly_passed), ["Check 1 Some(\"FAILED\") PASSED"]);
    assert_eq!((compliance.unchanged, compliance.gone), (1, 1));
}

#[test]
fn the_wrong_order_is_said() {
    let view = diff(LATER, OFFICE);
    assert_eq!(view.differences[0].what, "order");
    assert!(view.differences[0].before > view.differences[0].after);
}

#[test]
fn the_budget_is_kept_and_what_is_cut_is_said() {
    let item =
        |port| format!("<ReportItem pluginID='900001' pluginName='Flaw' severity='2' port='{port}' protocol='tcp'/>");
    let items = (0..2000).map(item).collect::<Vec<_>>().concat();
    let before = export(&[&host("h", "", "")]);
    let after = export(&[&host("h", "", &items)]);
    let diff = ScanDiff::read(std::io::Cursor::new(before), std::io::Cursor::new(after)).unwrap();
    for chars in [0, MIN_CHARS, DEFAULT_CHARS] {
        let view = diff.view(chars);
        assert!(serde_json::to_string(&view).unwrap().chars().count() <= chars.max(MIN_CHARS));
        assert_eq!((view.counts.new.medium, view.new.total, view.truncated), (2000, 2000, true));
        assert_eq!(view.new.left_out + view.new.shown.len() as u64, 2000);
    }
}

#[test]
fn findings_beyond_the_limit_are_left_aside_and_counted() {
    let items = |count: usize, severity: u8| {
        let item = |port| format!("<ReportItem pluginID='9' severity='{severity}' port='{port}' protocol='tcp'/>");
        export(&[&host("h", "", &(1..=count).map(item).collect::<Vec<_>>().concat())])
    };
    // With the one that says that the host is there.
    let most = super::finding::MOST_FINDINGS - 1;
    let counts = |before: &str, after: &str| diff(before.as_bytes(), after.as_bytes()).counts;
    let found = counts(&items(most + 500, 2), &items(most, 3));
    assert_eq!((found.not_compared, found.severity_changed.high, found.fixed.total()), (500, most as u64, 0));
    // What is left aside of one scan is left aside of the other: it is not missing there.
    let found = counts(&items(most, 2), &items(most + 500, 2));
    assert_eq!((found.not_compared, found.still_there.medium, found.new.total()), (500, most as u64, 0));
    let low = |name: &str| host(name, "", "<ReportItem pluginID='9' severity='2' port='1' protocol='tcp'/>");
    let many: Vec<String> = (0..most / 2).map(|number| low(&format!("h{number}"))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let found = counts(&export(&many), &export(&[&many[..], &[&low("other")]].concat()));
    assert_eq!((found.not_compared, found.fixed.total(), found.new.medium), (0, 0, 1));
}
