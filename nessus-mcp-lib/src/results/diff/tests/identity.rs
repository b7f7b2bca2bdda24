//! Hosts that go by another name, findings that share a key, and outputs that change.

use super::*;

fn item(plugin: u32, severity: u8, output: &str) -> String {
    format!(
        "<ReportItem pluginID='{plugin}' severity='{severity}' port='443' protocol='tcp'>\
         <plugin_output>{output}</plugin_output></ReportItem>"
    )
}

fn ip(address: &str) -> String {
    format!("<tag name='host-ip'>{address}</tag>")
}

fn fqdn(name: &str) -> String {
    format!("<tag name='host-fqdn'>{name}</tag>")
}

fn compared(before: &[&str], after: &[&str]) -> DiffView {
    let (before, after) = (export(before), export(after));
    let mut diff = ScanDiff::read(std::io::Cursor::new(&before), std::io::Cursor::new(&after)).unwrap();
    diff.read_outputs(before.as_bytes(), after.as_bytes()).unwrap();
    diff.view(DEFAULT_CHARS)
}

fn totals(view: &DiffView) -> [u64; 4] {
    let counts = &view.counts;
    [&counts.new, &counts.fixed, &counts.still_there, &counts.not_comparable]
        .map(crate::results::SeverityCounts::above_info)
}

#[test]
fn a_host_is_the_same_under_another_name() {
    let by_address = host("192.0.2.20", &fqdn("web01.corp.example"), FLAW);
    let by_name = host("web01.corp.example", &ip("192.0.2.20"), FLAW);
    let in_capitals = host("WEB01.corp.example", &ip("192.0.2.20"), FLAW);
    for (before, after, renamed) in
        [(&by_address, &by_name, 1), (&by_name, &in_capitals, 0), (&by_address, &in_capitals, 1)]
    {
        let view = compared(&[before], &[after]);
        assert_eq!(totals(&view), [0, 0, 1, 0]);
        assert_eq!((view.hosts.in_both, view.hosts.renamed), (1, renamed));
    }
    // Both names and both keys are shown: what was known of the host was less.
    let bare = host("192.0.2.20", &format!("{}<tag name='netbios-name'>WEB01</tag>", ip("192.0.2.20")), FLAW);
    let view = compared(&[&bare], &[&host("web01.corp.example", &ip("192.0.2.20"), "")]);
    let row = &view.fixed.shown[0];
    assert_eq!((&*row.host, row.previous_host.as_deref()), ("web01.corp.example", Some("192.0.2.20")));
    assert!(row.finding_key.starts_with("v1:"));
    assert!(row.previous_finding_key.as_ref().is_some_and(|key| *key != row.finding_key));
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["fixed"]["shown"][0]["previous_host"], "192.0.2.20");
}

#[test]
fn sites_at_one_address_stay_two() {
    let site = |name: &str, items: &str| host(name, &ip("192.0.2.20"), items);
    let before = [site("a.example", FLAW), site("b.example", FLAW)];
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    assert_eq!(totals(&compared(&before, &[before[1], before[0]])), [0, 0, 2, 0]);
    let view = compared(&before, &[&site("a.example", ""), before[1]]);
    assert_eq!((totals(&view), &*view.fixed.shown[0].host), ([0, 1, 1, 0], "a.example"));
    let view = compared(&before, &before[..1]);
    assert_eq!(
        (totals(&view), view.hosts_not_comparable.shown[0].reason),
        ([0, 0, 1, 1], Incomparable::HostNotScanned)
    );
    // The same name at another address is another machine.
    let moved = host("a.example", &ip("192.0.2.21"), "");
    assert_eq!(totals(&compared(&before[..1], &[&moved])), [0, 0, 0, 1]);
}

#[test]
fn findings_that_share_a_key_are_compared_by_number() {
    let three = [item(9, 3, "one"), item(9, 3, "two"), item(9, 2, "three")].concat();
    let one = item(9, 3, "two");
    let view = compared(&[&host("h", "", &three)], &[&host("h", "", &one)]);
    assert_eq!(totals(&view), [0, 2, 1, 0]);
    let rows: Vec<_> = view.fixed.shown.iter().map(|row| (row.severity.unwrap(), row.count, row.of)).collect();
    assert_eq!(
        rows,
        [(crate::results::Severity::High, Some(1), Some(3)), (crate::results::Severity::Medium, Some(1), Some(3))]
    );
    assert_eq!(view.changed_output.total, 0, "the one that is there is the same");
    assert!(view.to_string().contains("(1 of 3)"), "{view}");
    let alike = [item(9, 3, "one"), item(9, 3, "two"), item(9, 3, "three")].concat();
    let view = compared(&[&host("h", "", &one)], &[&host("h", "", &alike)]);
    let row = &view.new.shown[0];
    assert_eq!((totals(&view), row.count, row.of, view.new.total), ([2, 0, 1, 0], Some(2), Some(3), 1));
}

#[test]
fn several_things_at_one_port_are_told_apart() {
    let page = |path: &str| {
        format!(
            "<ReportItem pluginID='9' pluginFamily='CGI abuses' severity='3' port='443' protocol='tcp'>\
             <plugin_output>URL : https://web01/{path}?id=7</plugin_output></ReportItem>"
        )
    };
    let both = [page("a.cgi"), page("b.cgi")].concat();
    let view = compared(&[&host("h", "", &both)], &[&host("h", "", &page("b.cgi"))]);
    assert_eq!((totals(&view), view.fixed.shown[0].count), ([0, 1, 1, 0], None));
}

#[test]
fn a_machine_in_several_blocks_counts_once() {
    let first = host("192.0.2.20", &fqdn("web01.example"), &[FLAW, &item(9, 3, "one")].concat());
    let second = host("web01.example", &ip("192.0.2.20"), &[&item(9, 3, "two")[..], &item(7, 2, "")].concat());
    let once = host("web01.example", &ip("192.0.2.20"), &[FLAW, &item(9, 3, "two"), &item(7, 2, "")].concat());
    for blocks in [[&*first, &*second], [&*second, &*first]] {
        let view = compared(&blocks, &[&once]);
        assert_eq!((totals(&view), view.hosts.in_both), ([0, 0, 3, 0], 1));
        let view = compared(&[&once], &blocks);
        assert_eq!((totals(&view), view.hosts.in_both), ([0, 0, 3, 0], 1));
        let view = compared(&blocks, &blocks);
        assert_eq!((totals(&view), view.changed_output.total), ([0, 0, 3, 0], 0));
    }
}

#[test]
fn changed_outputs_are_said_with_what_changed() {
    let view = compared(
        &[&host("h", "", &[item(9, 3, "Version : 1.2\nPath : /x"), item(8, 3, "same  text")].concat())],
        &[&host("h", "", &[item(9, 3, "Version : &#x202e;1.3\nPath : /x"), item(8, 3, " same\ntext")].concat())],
    );
    assert_eq!((totals(&view), view.counts.changed_output.high), ([0, 0, 2, 0], 1));
    let row = &view.changed_output.shown[0];
    assert_eq!((row.plugin_id, row.previous_severity), (9, None));
    assert_eq!(row.output_before.as_deref(), Some("Version : 1.2"));
    assert_eq!(row.output_after.as_deref(), Some("Version : 1.3"));
    assert!(view.to_string().contains("    - Version : 1.2\n    + Version : 1.3"), "{view}");
    // Of a changed severity as well.
    let view = compared(&[&host("h", "", &item(9, 3, "a"))], &[&host("h", "", &item(9, 2, "b"))]);
    assert_eq!((view.severity_changed.total, view.changed_output.total), (1, 1));
    // Without a second reading what changed is not known, but that it did.
    let (before, after) = (export(&[&host("h", "", &item(9, 3, "a"))]), export(&[&host("h", "", &item(9, 3, "b"))]));
    let view = diff(before.as_bytes(), after.as_bytes());
    assert_eq!((view.changed_output.total, view.changed_output.shown[0].output_before.as_deref()), (1, None));
}

#[test]
fn compliance_is_told_by_audit_and_by_check() {
    let check = |audit: &str, name: &str, result: &str| {
        format!(
            "<ReportItem pluginID='21157' severity='3' port='0' protocol='tcp'><compliance>true</compliance>\
             <cm:compliance-check-name>{name}</cm:compliance-check-name>\
             <cm:compliance-audit-file>{audit}</cm:compliance-audit-file>\
             <cm:compliance-result>{result}</cm:compliance-result></ReportItem>"
        )
    };
    let hosts = |results: [&str; 2]| {
        ["h1", "h2"].map(|name| {
            let items = [check("a.audit", "1.1", results[0]), check("b.audit", "1.1", results[1])].concat();
            host(name, "", &items)
        })
    };
    let (before, after) = (hosts(["PASSED", "FAILED"]), hosts(["FAILED", "FAILED"]));
    let after_b_only = ["h1", "h2"].map(|name| host(name, "", &check("b.audit", "1.1", "PASSED")));
    let view = |after: &[String; 2]| {
        let view = compared(&[&before[0], &before[1]], &[&after[0], &after[1]]);
        assert_eq!(totals(&view), [0; 4]);
        view.compliance.unwrap()
    };
    let changes = view(&after);
    assert_eq!((changes.newly_failed.total, changes.unchanged), (2, 2));
    let audits: Vec<_> = changes.by_audit.shown.iter().map(|row| (&*row.audit, row.counts)).collect();
    let counts = CheckCounts::default();
    assert_eq!(
        audits,
        [("a.audit", CheckCounts { newly_failed: 2, ..counts }), ("b.audit", CheckCounts { unchanged: 2, ..counts })]
    );
    let row = &changes.by_check.shown[0];
    assert_eq!((changes.by_check.total, &*row.check, &*row.audit, row.counts.newly_failed), (1, "1.1", "a.audit", 2));
    assert_eq!(changes.newly_failed.shown[0].audit.as_deref(), Some("a.audit"));
    // An audit that was not run passes nothing, and its checks are not gone.
    let changes = view(&after_b_only);
    assert_eq!((changes.newly_passed.total, changes.not_comparable, changes.gone), (2, 2, 0));
}
