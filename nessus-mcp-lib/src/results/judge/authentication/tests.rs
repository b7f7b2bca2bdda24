//! Verdicts on a fixture with a host for each row of the decision table, and on single hosts.

use std::fmt::Write as _;

use super::*;
use crate::results::{Validation, ValidationReport};

const VERDICTS: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/login_verdicts.nessus"));

fn report(input: &[u8], login: LoginExpected) -> ValidationReport {
    Validation::new().login(login).run(std::io::Cursor::new(input)).unwrap()
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
    let report = Validation::new()
        .login(LoginExpected::Yes)
        .targets("192.0.2.101-120".parse().unwrap())
        .reported_hosts(15)
        .hosts_listed(2)
        .run(std::io::Cursor::new(VERDICTS));
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
fn what_only_a_login_brings_goes_before_what_the_scan_says_of_itself() {
    let no = format!("{TAG_NO}<tag name='operating-system'>Linux Kernel 6.1</tag>");
    let line = item(19506, "general", 0, "Paranoia level : 2\nCredentialed checks : no\n");
    let with = |items: &str| format!("{line}{items}");
    let no_issues = item(110_095, "general", 0, "User: 'scan'\nPort: 22\nProto: SSH");
    for proof in [
        item(117_887, "general", 0, ""),
        no_issues.clone(),
        item(110_095, "ssh", 22, "") + &item(117_887, "general", 0, ""),
        item(22_869, "general", 0, "Here is the list of packages"),
        item(20_811, "cifs", 445, "The following software are installed"),
    ] {
        check(&no, &with(&proof), Verdict::Authenticated, None);
        check("", &(proof.clone() + &line), Verdict::Authenticated, None);
        check("", &proof, Verdict::Authenticated, None);
        let export = format!(
            "<NessusClientData_v2><Report><ReportHost name='h'><HostProperties>{no}</HostProperties>{line}{proof}\
             </ReportHost></Report></NessusClientData_v2>"
        );
        let report = report(export.as_bytes(), LoginExpected::Yes);
        assert_eq!(report.authentication.status, AuthenticationStatus::Success);
        let told = report.warnings.iter().find(|warning| warning.code == "authentication_contradiction").unwrap();
        assert!(told.message.contains("on 1 host, such as h") && told.message.contains("117887"), "{told}");
        let sources: Vec<_> = report.authentication.hosts[0].evidence.iter().map(|found| &*found.source).collect();
        assert!(sources.contains(&"plugin 19506") && sources.len() > 2, "{sources:?}");
    }
    // What was out of reach still counts, and so does what says that the login was of no use.
    let few = item(117_887, "general", 0, "") + &item(110_385, "ssh", 22, "");
    check(&no, &with(&few), Verdict::Partial, Some(Cause::InsufficientPrivilege));
    let unread = no_issues.clone() + &item(117_886, "general", 0, "");
    check(&no, &with(&unread), Verdict::Partial, Some(Cause::LocalChecksNotRun));
    let unsupported = no_issues + &item(110_695, "general", 0, "");
    check(&no, &with(&unsupported), Verdict::Partial, Some(Cause::UnsupportedSystem));
    // A login to a database is none to the system, nor is credentials' being accepted a list of patches.
    check(&no, &with(&item(110_095, "mysql", 3306, "")), Verdict::Partial, Some(Cause::LocalChecksNotRun));
    check(&no, &with(&item(141_118, "ssh", 22, "")), Verdict::Partial, Some(Cause::LocalChecksNotRun));
}

#[test]
fn the_order_of_the_items_changes_no_verdict_and_no_evidence() {
    let mut items: Vec<String> = (0..9).map(|port| item(104_410, "ssh", 2200 + port, "User: a")).collect();
    items.push(item(19506, "general", 0, "Credentialed checks : no\n"));
    items.push(item(117_887, "general", 0, ""));
    let first = host(TAG_NO, &items.concat());
    items.reverse();
    assert_eq!(host(TAG_NO, &items.concat()), first);
    assert_eq!(first.evidence.len(), 4 + 3, "few of each plugin: {first:?}");
}

#[test]
fn a_machine_with_several_blocks_has_the_best_verdict_of_them() {
    let block = |name: &str, tag: &str, items: &str| {
        format!(
            "<ReportHost name='{name}'><HostProperties><tag name='host-ip'>192.0.2.20</tag>\
             <tag name='host-fqdn'>web01.example</tag>{tag}</HostProperties>{items}</ReportHost>"
        )
    };
    let other =
        "<ReportHost name='db01'><HostProperties/><ReportItem pluginID='1' severity='0' port='0'/></ReportHost>";
    let one = "<ReportItem pluginID='1' severity='0' port='0'/>".to_owned();
    let refused = item(104_410, "ssh", 22, "");
    let ping = "<ReportItem pluginID='10180' severity='0' port='0'/>";
    let mut blocks = [
        block("192.0.2.20", TAG_YES, &one),
        block("web01.example", TAG_NO, &refused),
        block("WEB01.example", TAG_NO, &one),
        block("web01.example", "", ping),
        block("web01.example", "", ""),
        other.to_owned(),
    ];
    for _ in 0..blocks.len() {
        blocks.rotate_left(1);
        let export = format!("<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>", blocks.concat());
        let report = report(export.as_bytes(), LoginExpected::Yes);
        let found = &report.authentication;
        assert_eq!((report.stats.hosts, report.stats.hosts_without_findings), (2, 0));
        assert_eq!((found.counts.authenticated, found.counts.unknown, found.counts.live()), (1, 1, 2));
        assert_eq!((found.dead_hosts, found.hosts_left_out), (0, 0));
        let hosts: Vec<_> = found.hosts.iter().map(|host| (&*host.host, host.verdict)).collect();
        assert_eq!(hosts, [("db01", Verdict::Unknown), ("192.0.2.20", Verdict::Authenticated)]);
        assert_eq!(found.causes.len(), 1, "{found:?}");
        let told = report.warnings.iter().find(|warning| warning.code == "repeated_hosts").unwrap();
        assert!(told.message.starts_with("4 blocks of findings are"), "{told}");
    }
}

#[test]
fn the_status_of_a_scan_follows_from_its_hosts_and_from_what_was_wanted() {
    let export = |tags: &[&str]| {
        let item = "<ReportItem pluginID='1' severity='0' port='0'/>";
        let hosts = tags.iter().enumerate().map(|(at, tag)| {
            format!("<ReportHost name='h{at}'><HostProperties>{tag}</HostProperties>{item}</ReportHost>")
        });
        format!("<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>", hosts.collect::<String>())
    };
    let failed: &str = "</HostProperties><ReportItem pluginID='104410' severity='0' port='22'/><HostProperties>";
    let cases: [(&[&str], LoginExpected, AuthenticationStatus); 16] = [
        (&[TAG_YES, TAG_YES], LoginExpected::Yes, AuthenticationStatus::Success),
        (&[TAG_YES, TAG_NO], LoginExpected::Yes, AuthenticationStatus::Partial),
        (&[TAG_NO, TAG_NO], LoginExpected::Yes, AuthenticationStatus::NotAttempted),
        (&[TAG_NO, TAG_NO], LoginExpected::NotSaid, AuthenticationStatus::NotAttempted),
        (&["", ""], LoginExpected::Yes, AuthenticationStatus::Unknown),
        (&[TAG_YES], LoginExpected::No, AuthenticationStatus::Success),
        (&[TAG_YES, TAG_NO], LoginExpected::No, AuthenticationStatus::Partial),
        (&[TAG_NO, ""], LoginExpected::No, AuthenticationStatus::NotApplicable),
        (&[""], LoginExpected::No, AuthenticationStatus::NotApplicable),
        (&[failed, TAG_NO], LoginExpected::No, AuthenticationStatus::Failed),
        (&[failed, TAG_NO], LoginExpected::Yes, AuthenticationStatus::Failed),
        (&[failed, ""], LoginExpected::NotSaid, AuthenticationStatus::Failed),
        (&[], LoginExpected::No, AuthenticationStatus::NotApplicable),
        (&[], LoginExpected::Yes, AuthenticationStatus::NotApplicable),
        (&["", TAG_YES], LoginExpected::NotSaid, AuthenticationStatus::Partial),
        (&[TAG_NO, ""], LoginExpected::Yes, AuthenticationStatus::NotAttempted),
    ];
    for (tags, expected, status) in cases {
        let found = report(export(tags).as_bytes(), expected).authentication.status;
        assert_eq!(found, status, "{tags:?} {expected:?}");
    }
    let mostly = export(&[TAG_YES, TAG_YES, TAG_YES, TAG_NO]);
    let lowered = Validation::new()
        .login(LoginExpected::Yes)
        .authenticated_share(0.75)
        .run(std::io::Cursor::new(mostly))
        .unwrap();
    assert_eq!(lowered.authentication.status, AuthenticationStatus::Success);
    assert_eq!(lowered.warnings[0].code, "authentication_incomplete");
}

#[test]
fn an_untrusted_scan_is_not_blamed_for_what_it_did_not_try() {
    let export = format!(
        "<NessusClientData_v2><Report><ReportHost name='h'><HostProperties>{TAG_NO}</HostProperties>\
         <ReportItem pluginID='1' severity='0' port='0'/></ReportHost></Report></NessusClientData_v2>"
    );
    let untried = report(export.as_bytes(), LoginExpected::No);
    assert_eq!(untried.authentication.status, AuthenticationStatus::NotApplicable);
    assert!(untried.troubleshooting.is_empty() && untried.warnings.is_empty(), "{untried:?}");
    // What happened is told all the same.
    let logged_in = report(VERDICTS, LoginExpected::No);
    assert_eq!(logged_in.authentication.status, AuthenticationStatus::Partial);
    assert!(logged_in.troubleshooting.is_empty());
    let told: Vec<_> =
        logged_in.warnings.iter().filter(|warning| warning.code.starts_with("authentication_")).collect();
    assert_eq!(told[0].message, "the scan was not to log in, and yet the login worked on 8 of 14 hosts");
    assert_eq!(told.len(), 2, "and a contradiction: {told:?}");
}

#[test]
fn lists_are_bounded_and_say_so() {
    let report = Validation::new().hosts_listed(3).run(std::io::Cursor::new(VERDICTS)).unwrap();
    assert_eq!((report.authentication.hosts.len(), report.authentication.hosts_left_out), (3, 11));
    assert!(
        report.authentication.hosts.iter().all(|host| host.verdict <= Verdict::Partial),
        "what needs attention first"
    );
}

#[test]
fn a_licence_that_is_too_small_is_said() {
    let report = Validation::new()
        .targets("192.0.2.0/24".parse().unwrap())
        .licensed_hosts(16)
        .run(std::io::Cursor::new(VERDICTS))
        .unwrap();
    assert_eq!(report.warnings[0].code, "licence_limit");
    let report = Validation::new()
        .targets("192.0.2.101-116".parse().unwrap())
        .licensed_hosts(16)
        .run(std::io::Cursor::new(VERDICTS))
        .unwrap();
    assert!(report.warnings.iter().all(|warning| warning.code != "licence_limit"));
}
