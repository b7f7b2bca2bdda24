//! Verdicts on a fixture with a host for each row of the decision table, and on single hosts.

use std::fmt::Write as _;

use super::*;
use crate::results::{Validation, ValidationReport};

const VERDICTS: &[u8] = include_bytes!("../../../../../fixtures/exports/login_verdicts.nessus");

fn report(input: &[u8], login: LoginExpected) -> ValidationReport {
    Validation::new().login(login).run(input).unwrap()
}

/// One host with these properties and items.
fn host(properties: &str, items: &str) -> HostAuthentication {
    let export = format!(
        "<NessusClientData_v2><Report><ReportHost name='h'><HostProperties>{properties}</HostProperties>{items}\
         <ReportItem pluginID='1' severity='0' port='0'/></ReportHost></Report></NessusClientData_v2>"
    );
    report(export.as_bytes(), LoginExpected::Yes).authentication.hosts.remove(0)
}

fn item(plugin: u32, service: &str, port: u16, output: &str) -> String {
    format!(
        "<ReportItem pluginID='{plugin}' severity='0' svc_name='{service}' port='{port}'>\
         <plugin_output>{output}</plugin_output></ReportItem>"
    )
}

#[track_caller]
fn check(properties: &str, items: &str, verdict: Verdict, cause: Option<Cause>) {
    let found = host(properties, items);
    assert_eq!((found.verdict, found.cause), (verdict, cause), "{found:?}");
}

const TAG_YES: &str = "<tag name='Credentialed_Scan'>true</tag>";
const TAG_NO: &str = "<tag name='Credentialed_Scan'>false</tag>";

#[test]
fn each_row_of_the_table_has_its_verdict() {
    let report = report(VERDICTS, LoginExpected::Yes);
    let mut hosts = report.authentication.hosts.clone();
    hosts.sort_by(|left, right| left.host.cmp(&right.host));
    let mut shown = String::new();
    for host in &hosts {
        let cause = host.cause.map_or("", Cause::as_str);
        writeln!(shown, "{} {} {cause}", host.host, host.verdict.as_str()).unwrap();
        for evidence in &host.evidence {
            let Evidence { source, says, protocol, port, account } = evidence;
            writeln!(shown, "    {source}: {says} {protocol:?} {port:?} {account:?}").unwrap();
        }
    }
    insta::assert_snapshot!(shown);
    assert_eq!(report.authentication.dead_hosts, 2);
    assert_eq!(report.authentication.counts.live(), 14);
    assert_eq!(report.authentication.status, AuthenticationStatus::Partial);
}

#[test]
fn the_report_looks_like_this() {
    let report =
        Validation::new().login(LoginExpected::Yes).targets(20).reported_hosts(15).hosts_listed(2).run(VERDICTS);
    insta::assert_json_snapshot!(report.unwrap());
}

#[test]
fn the_tag_decides_without_plugin_19506_and_the_plugin_without_the_tag() {
    check(TAG_YES, "", Verdict::Authenticated, None);
    check(TAG_NO, "", Verdict::NotAttempted, Some(Cause::NoSignOfLogin));
    let line = item(19506, "general", 0, "Credentialed checks : yes\n");
    check("", &line, Verdict::Authenticated, None);
    check("", &item(117_887, "general", 0, ""), Verdict::Authenticated, None);
    check("", "", Verdict::Unknown, Some(Cause::NoEvidence));
}

#[test]
fn a_refusal_counts_where_one_logs_in_to_the_system() {
    let unix = format!("{TAG_YES}<tag name='operating-system'>Linux Kernel 6.1</tag>");
    let both = format!("{TAG_YES}<tag name='operating-system'>Linux Kernel 6.1\nMicrosoft Windows 11</tag>");
    let bad = Some(Cause::BadCredentials);
    check(&unix, &item(104_410, "ssh", 22, ""), Verdict::Partial, bad);
    check(&unix, &item(104_410, "cifs", 445, ""), Verdict::Authenticated, None);
    check(&unix, &item(104_410, "mysql", 3306, ""), Verdict::Authenticated, None);
    check(&unix, &item(104_410, "general", 0, ""), Verdict::Partial, bad);
    check(&both, &item(104_410, "cifs", 445, ""), Verdict::Partial, bad);
    check(&unix, &item(104_410, "unknown", 2222, "Proto: SSH\nUser: a"), Verdict::Partial, bad);
    // Without any login that worked a refusal is a refusal.
    check(TAG_NO, &item(104_410, "snmp", 161, ""), Verdict::Failed, bad);
}

#[test]
fn the_status_of_a_scan_follows_from_its_hosts_and_from_what_was_wanted() {
    let export = |tags: &[&str]| {
        let item = "<ReportItem pluginID='1' severity='0' port='0'/>";
        let hosts = tags
            .iter()
            .map(|tag| format!("<ReportHost name='h'><HostProperties>{tag}</HostProperties>{item}</ReportHost>"));
        format!("<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>", hosts.collect::<String>())
    };
    let cases: [(&[&str], LoginExpected, AuthenticationStatus); 9] = [
        (&[TAG_YES, TAG_YES], LoginExpected::Yes, AuthenticationStatus::Success),
        (&[TAG_YES, TAG_NO], LoginExpected::Yes, AuthenticationStatus::Partial),
        (&[TAG_NO, TAG_NO], LoginExpected::Yes, AuthenticationStatus::Failed),
        (&[TAG_NO, TAG_NO], LoginExpected::NotSaid, AuthenticationStatus::NotAttempted),
        (&["", ""], LoginExpected::Yes, AuthenticationStatus::Unknown),
        (&[TAG_YES], LoginExpected::No, AuthenticationStatus::NotApplicable),
        (&[], LoginExpected::Yes, AuthenticationStatus::NotApplicable),
        (&["", TAG_YES], LoginExpected::NotSaid, AuthenticationStatus::Partial),
        (&[TAG_NO, ""], LoginExpected::Yes, AuthenticationStatus::Failed),
    ];
    for (tags, expected, status) in cases {
        let found = report(export(tags).as_bytes(), expected).authentication.status;
        assert_eq!(found, status, "{tags:?} {expected:?}");
    }
    let mostly = export(&[TAG_YES, TAG_YES, TAG_YES, TAG_NO]);
    let lowered = Validation::new().login(LoginExpected::Yes).authenticated_share(0.75).run(mostly.as_bytes()).unwrap();
    assert_eq!(lowered.authentication.status, AuthenticationStatus::Success);
    assert_eq!(lowered.warnings[0].code, "authentication_incomplete");
}

#[test]
fn an_untrusted_scan_is_not_blamed_for_what_it_did_not_try() {
    let report = report(VERDICTS, LoginExpected::No);
    assert_eq!(report.authentication.status, AuthenticationStatus::NotApplicable);
    assert!(report.troubleshooting.is_empty());
    assert!(report.warnings.iter().all(|warning| !warning.code.starts_with("authentication_f")));
}

#[test]
fn lists_are_bounded_and_say_so() {
    let report = Validation::new().hosts_listed(3).run(VERDICTS).unwrap();
    assert_eq!((report.authentication.hosts.len(), report.authentication.hosts_left_out), (3, 11));
    assert!(
        report.authentication.hosts.iter().all(|host| host.verdict <= Verdict::Partial),
        "what needs attention first"
    );
}

#[test]
fn a_licence_that_is_too_small_is_said() {
    let report = Validation::new().targets(256).licensed_hosts(16).run(VERDICTS).unwrap();
    assert_eq!(report.warnings[0].code, "licence_limit");
    let report = Validation::new().targets(16).licensed_hosts(16).run(VERDICTS).unwrap();
    assert!(report.warnings.iter().all(|warning| warning.code != "licence_limit"));
}
