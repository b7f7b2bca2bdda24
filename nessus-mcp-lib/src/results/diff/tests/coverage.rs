//! What the scans looked at.

use super::*;

/// The plugin that says how a host was scanned.
fn information(lines: &str) -> String {
    format!(
        "<ReportItem pluginID='19506' pluginName='Nessus Scan Information' pluginFamily='Settings' severity='0' port='0' \
         protocol='tcp'><plugin_output>Information about this scan :\n\n{lines}\n</plugin_output></ReportItem>"
    )
}

fn flaw(port: u16, protocol: &str, attributes: &str, elements: &str) -> String {
    format!(
        "<ReportItem pluginID='900001' severity='4' port='{port}' protocol='{protocol}' {attributes}>{elements}</ReportItem>"
    )
}

/// Compares a host that has the flaw with one that has not, and the other way round.
#[track_caller]
fn check(before: &str, after: &str, flaw: &str, expected: Option<Incomparable>) {
    check_items(&[&information(before), flaw].concat(), &information(after), expected);
}

#[track_caller]
fn check_items(before: &str, after: &str, expected: Option<Incomparable>) {
    let (before, after) = (export(&[&host("192.0.2.1", "", before)]), export(&[&host("192.0.2.1", "", after)]));
    check_exports(&before, &after, expected);
}

#[track_caller]
fn check_exports(before: &str, after: &str, expected: Option<Incomparable>) {
    let view = diff(before.as_bytes(), after.as_bytes());
    let found = view.hosts_not_comparable.shown.iter().find(|host| host.severity_counts.critical > 0);
    assert_eq!(found.map(|host| host.reason), expected);
    let missing = u64::from(expected.is_some());
    assert_eq!((view.counts.fixed.critical, view.counts.not_comparable.critical), (1 - missing, missing));
    // The other way round it is new, and may be old for the same reason.
    let view = diff(after.as_bytes(), before.as_bytes());
    let row = view.new.shown.iter().find(|row| row.severity == Some(crate::results::Severity::Critical)).unwrap();
    assert_eq!(row.unseen_before, expected);
}

#[test]
fn a_port_that_was_not_scanned_is_not_repaired() {
    use Incomparable::PortNotScanned;
    let at = |port| flaw(port, "tcp", "", "");
    for (before, after, flaw, expected) in [
        ("Port range : 1-65535", "Port range : 80,443", at(8443), Some(PortNotScanned)),
        ("Port range : 1-65535", "Port range : 80,443", at(443), None),
        ("Port range : 1-65535", "Port range : 1-65535", at(8443), None),
        ("Port range : 1-65535", "Port range : all", at(8443), None),
        ("Port range : 80,443", "Port range : 443, 80", at(8443), None),
        ("Port range : 80", "Port range : 80,443", at(8443), Some(PortNotScanned)),
        ("Nothing", "Port range : 80,443", at(8443), Some(PortNotScanned)),
        ("Port range : 1-65535", "Nothing", at(8443), None),
        ("Port range : 1-65535", "Port range : default", at(48_211), Some(PortNotScanned)),
        ("Port range : 1-65535", "Port range : default", at(443), None),
        ("Port range : default", "Port range : default", at(48_211), None),
        ("Port range : 1-65535", "Port range : 80,443", at(0), None),
        ("Port range : all", "Port range : T:1-1000,U:53", flaw(500, "udp", "", ""), Some(PortNotScanned)),
        ("Port range : all", "Port range : T:1-1000,U:53", flaw(53, "udp", "", ""), None),
        ("Port range : all", "Port range : 80", flaw(500, "icmp", "", ""), None),
        ("Port range : all", "Port scanner(s) : netstat\nPort range : 80", at(8443), None),
    ] {
        check(before, after, &flaw, expected);
    }
    // What was seen open was looked at.
    let open =
        format!("{}<ReportItem pluginID='7' severity='0' port='8443' protocol='tcp'/>", information("Port range : 80"));
    check_items(&[information("Port range : all"), at(8443)].concat(), &open, None);
    let other = open.replace("'tcp'", "'udp'");
    check_items(&[information("Port range : all"), at(8443)].concat(), &other, Some(PortNotScanned));
}

#[test]
fn the_range_of_ports_stands_among_the_differences() {
    let one =
        |lines: &str| export(&[&host("192.0.2.1", "", &[information(lines), flaw(8443, "tcp", "", "")].concat())]);
    let view = diff(one("Port range : 1-65535").as_bytes(), one("Port range : 80,443").as_bytes());
    let found = view.differences.iter().find(|difference| difference.what == "port_range").unwrap();
    assert_eq!((found.before.as_deref(), found.after.as_deref()), (Some("1-65535"), Some("80,443")));
    let json = serde_json::to_string(&view).unwrap();
    assert!(json.find("\"differences\"") < json.find("\"counts\""), "above the counts");
    // The same ports are no difference.
    let view = diff(one("Port range : 1-65535").as_bytes(), one("Port range : all").as_bytes());
    assert_eq!(view.differences, []);
    // What one does not say is a warning.
    let view = diff(one("Port range : 1-65535\nThorough tests : no").as_bytes(), one("Thorough tests : no").as_bytes());
    let found = &view.differences[0];
    assert_eq!((&*found.what, found.after.as_deref()), ("not_said", Some("port_range")));
}

#[test]
fn fewer_tests_repair_nothing() {
    use Incomparable::{
        LowerParanoia, NoCgiScanning, NoExperimentalTests, NoThoroughTests, NoWebTests, SafeChecksOnly,
    };
    let plain = flaw(443, "tcp", "pluginFamily='General'", "");
    let web = flaw(443, "tcp", "pluginFamily='CGI abuses'", "");
    let package = flaw(0, "tcp", "pluginFamily='Ubuntu Local Security Checks'", "");
    for (line, more, less, flaw, expected) in [
        ("Thorough tests", "yes", "no", &plain, Some(NoThoroughTests)),
        ("Thorough tests", "yes", "no", &package, None),
        ("Thorough tests", "no", "no", &plain, None),
        ("Thorough tests", "no", "yes", &plain, None),
        ("CGI scanning", "enabled", "disabled", &web, Some(NoCgiScanning)),
        ("CGI scanning", "enabled", "disabled", &plain, None),
        ("Web application tests", "enabled", "disabled", &web, Some(NoWebTests)),
        ("Paranoia level", "2", "1", &plain, Some(LowerParanoia)),
        ("Experimental tests", "yes", "no", &plain, Some(NoExperimentalTests)),
        ("Safe checks", "no", "yes", &plain, Some(SafeChecksOnly)),
        ("Safe checks", "yes", "no", &plain, None),
    ] {
        let (before, after) = (format!("{line} : {more}"), format!("{line} : {less}"));
        let exports = [&before, &after].map(|lines| export(&[&host("192.0.2.1", "", &information(lines))]));
        let differences = diff(exports[0].as_bytes(), exports[1].as_bytes()).differences;
        assert_eq!(differences.len(), usize::from(more != less), "{line}: {differences:?}");
        let items = [&*information(&before), flaw].concat();
        if more == less || expected.is_some() {
            check_items(&items, &information(&after), expected);
        } else {
            let view = diff(
                export(&[&host("192.0.2.1", "", &items)]).as_bytes(),
                export(&[&host("192.0.2.1", "", &information(&after))]).as_bytes(),
            );
            assert_eq!(view.counts.fixed.critical, 1, "{line}");
        }
    }
}

#[test]
fn scans_of_other_kinds_see_other_things() {
    use Incomparable::OtherKindOfScan;
    let (remote, local) = (flaw(443, "tcp", "", ""), flaw(445, "tcp", "", "<plugin_type>local</plugin_type>"));
    check("Scan type : Normal", "Scan type : Windows Agent", &remote, Some(OtherKindOfScan));
    check("Scan type : Unix Agent", "Scan type : Unix Agent", &remote, None);
    let one_way = |before: &str, after: &str, flaw: &str| {
        let before = export(&[&host("192.0.2.1", "", &[&information(before), flaw].concat())]);
        diff(before.as_bytes(), export(&[&host("192.0.2.1", "", &information(after))]).as_bytes()).counts.fixed.critical
    };
    assert_eq!(one_way("Scan type : Normal", "Scan type : Windows Agent", &local), 1);
    let discovery = "Scan type : Normal\nScan policy used : Host Discovery";
    check("Scan type : Normal\nScan policy used : Full", discovery, &remote, Some(OtherKindOfScan));
    let had = export(&[&host("192.0.2.1", "", &remote)]);
    let web = export(&[&host("192.0.2.1", "", "")]).replace("<Report>", "<Report type='was'>");
    check_exports(&had, &web, Some(OtherKindOfScan));
}

#[test]
fn the_policy_says_what_was_looked_at() {
    use Incomparable::{FamilyOff, PluginNotInSet, PortNotScanned};
    let policy = |preferences: &str, selection: &str| {
        format!("<Policy><Preferences>{preferences}</Preferences>{selection}</Policy>")
    };
    let server = |name: &str, value: &str| {
        format!(
            "<ServerPreferences><preference><name>{name}</name><value>{value}</value></preference></ServerPreferences>"
        )
    };
    let family = |status: &str| {
        format!(
            "<FamilySelection><FamilyItem><FamilyName>General</FamilyName><Status>{status}</Status></FamilyItem></FamilySelection>"
        )
    };
    let single = |status: &str| {
        format!(
            "<IndividualPluginSelection><PluginItem><PluginId>900001</PluginId><PluginName>x</PluginName>\
             <Family>General</Family><Status>{status}</Status></PluginItem></IndividualPluginSelection>"
        )
    };
    let setting = |name: &str, value: &str| {
        format!(
            "<PluginsPreferences><item><pluginName>Global variable settings</pluginName><pluginId>12288</pluginId>\
             <fullName>Global variable settings[checkbox]:{name}</fullName><preferenceName>{name}</preferenceName>\
             <selectedValue>{value}</selectedValue></item></PluginsPreferences>"
        )
    };
    let with = |policy: &str, items: &str| {
        export(&[&host("192.0.2.1", "", items)]).replace("<Report>", &format!("{policy}<Report>"))
    };
    let flaw = flaw(8443, "tcp", "pluginFamily='General'", "");
    let set = |plugins: &str| policy(&server("plugin_set", plugins), "");
    let all = |status: &str| policy("", &family(status));
    for (before, after, expected) in [
        (set("1;7;900001"), set("1;7"), Some(PluginNotInSet)),
        (set("1;7;900001"), set("\n 900001;\n1;7"), None),
        (set("all"), set("1;7"), Some(PluginNotInSet)),
        // A scan that finds it with this set finds it again.
        (set("1;7"), set("1;7;8"), None),
        (all("enabled"), all("disabled"), Some(FamilyOff)),
        (all("disabled"), all("disabled"), None),
        (all("enabled"), all("mixed"), None),
        (all("enabled"), policy("", &format!("{}{}", family("disabled"), single("enabled"))), None),
        (all("enabled"), policy("", &format!("{}{}", family("mixed"), single("disabled"))), Some(PluginNotInSet)),
        (policy(&server("port_range", "1-65535"), ""), policy(&server("port_range", "80"), ""), Some(PortNotScanned)),
        (
            policy(&setting("Thorough tests (slow)", "yes"), ""),
            policy(&setting("Thorough tests (slow)", "no"), ""),
            Some(Incomparable::NoThoroughTests),
        ),
        (
            policy(&setting("Report paranoia", "Paranoid (more false alarms)"), ""),
            policy(&setting("Report paranoia", "Normal"), ""),
            Some(Incomparable::LowerParanoia),
        ),
    ] {
        check_exports(&with(&before, &flaw), &with(&after, ""), expected);
    }
    // What the host says goes before what the policy says.
    let narrow = policy(&server("port_range", "80"), "");
    let view = diff(
        with(&narrow, &[information("Port range : all"), flaw.clone()].concat()).as_bytes(),
        with(&narrow, &information("Port range : 1-65535")).as_bytes(),
    );
    assert_eq!(view.counts.fixed.critical, 1);
    let view = diff(with(&all("enabled"), "").as_bytes(), with(&all("disabled"), "").as_bytes());
    assert_eq!((&*view.differences[0].what, view.differences[0].after.as_deref()), ("families", Some("off: General")));
}

#[test]
fn a_plugin_newer_than_the_set_was_not_in_it() {
    let flaw = flaw(443, "tcp", "", "<plugin_publication_date>2026/03/04</plugin_publication_date>");
    let feed = |version: &str| format!("Plugin feed version : {version}");
    let newer = Some(Incomparable::PluginNotInSet);
    check(&feed("202603050000"), &feed("202603030000"), &flaw, newer);
    check(&feed("202603050000"), &feed("202603050000"), &flaw, None);
    check(&feed("202604050000"), &feed("202603050000"), &flaw, None);
}

#[test]
fn a_host_whose_scan_has_no_end_is_not_repaired() {
    let begun = "<tag name='HOST_START'>Fri Nov  7 13:25:52 2025</tag>";
    let ended = &format!("{begun}<tag name='HOST_END'>Fri Nov  7 13:35:52 2025</tag>");
    let flaw = flaw(443, "tcp", "", "");
    let one = |properties: &str, items: &str| host("192.0.2.1", properties, items);
    let aborted = Some(Incomparable::HostAborted);
    check_exports(&export(&[&one(ended, &flaw)]), &export(&[&one(begun, "")]), aborted);
    check_exports(&export(&[&one(ended, &flaw)]), &export(&[&one(ended, "")]), None);
    // The plugin that runs last is there on the other host only.
    let (said, other) = (information("Scan type : Normal"), host("192.0.2.2", "", &information("Scan type : Normal")));
    let had = export(&[&one("", &[&*said, &flaw].concat()), &other]);
    check_exports(&had, &export(&[&one("", ""), &other]), aborted);
    check_exports(&had, &export(&[&one("", ""), &host("192.0.2.2", "", "")]), None);
    check("Scan type : Normal", "Scan type : Normal\nERROR : the scan was aborted", &flaw, aborted);
}

#[test]
fn reasons_are_told_apart_and_counted_by_host() {
    let at = |port| flaw(port, "tcp", "pluginFamily='CGI abuses'", "");
    let lines = "Port range : 1-65535\nCGI scanning : enabled";
    let before = export(&[&host("192.0.2.1", "", &[information(lines), at(80), at(8443), at(9443)].concat())]);
    let after = export(&[&host("192.0.2.1", "", &information("Port range : 80\nCGI scanning : disabled"))]);
    let view = diff(before.as_bytes(), after.as_bytes());
    let rows: Vec<_> =
        view.hosts_not_comparable.shown.iter().map(|row| (row.reason.as_str(), row.severity_counts.critical)).collect();
    assert_eq!(rows, [("port_not_scanned", 2), ("no_cgi_scanning", 1)]);
    assert_eq!((view.counts.fixed.total(), view.counts.not_comparable.critical), (0, 3));
    assert!(view.to_string().contains("192.0.2.1  port_not_scanned: 2 critical"), "{view}");
    let view = diff(after.as_bytes(), before.as_bytes());
    assert_eq!((view.counts.new.critical, view.counts.new_by_wider_scan), (3, 3));
}
