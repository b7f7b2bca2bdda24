//! Keys of findings: what each rule reads, and what changes no key.

use proptest::prelude::*;

use super::{detail::detail, *};
use crate::results::{
    record::{FieldId, Host, Record},
    xml::{ExportReader, Step},
};

mod properties;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// A finding as it is exported.
#[derive(Debug, Clone)]
struct Finding {
    plugin: u32,
    port: u16,
    family: &'static str,
    output: String,
    elements: String,
}

impl Finding {
    fn new(plugin: u32, family: &'static str, output: &str) -> Self {
        Self { plugin, port: 443, family, output: output.to_owned(), elements: String::new() }
    }

    fn xml(&self) -> String {
        let Self { plugin, port, family, output, elements } = self;
        format!(
            r#"<ReportItem port="{port}" svc_name="www" protocol="tcp" severity="2" pluginID="{plugin}" pluginName="n" pluginFamily="{}">{elements}<plugin_output>{}</plugin_output></ReportItem>"#,
            escaped(family),
            escaped(output),
        )
    }
}

/// Calls `take` with every item of a host's items.
fn each(items: &str, take: impl FnMut(&Record<'_>)) {
    each_of("web01.corp.example", items, take);
}

fn each_of(host: &str, items: &str, mut take: impl FnMut(&Record<'_>)) {
    let export = format!(
        r#"<NessusClientData_v2><Report><ReportHost name="{host}">{items}</ReportHost></Report></NessusClientData_v2>"#
    );
    let mut reader = ExportReader::new(export.as_bytes(), 0);
    loop {
        match reader.next().unwrap() {
            Step::Item => take(&Record { host: reader.host(), item: reader.item() }),
            Step::End => return,
            Step::HostStart | Step::HostEnd | Step::Repeated => {}
        }
    }
}

/// What each finding is told apart by, as `kind: text (more)`.
fn details(host: &str, findings: &[Finding]) -> Vec<String> {
    let mut shown = Vec::new();
    each_of(host, &findings.iter().map(Finding::xml).collect::<String>(), |record| {
        let plugin = record.item.first(FieldId::PluginId).unwrap().parse().unwrap();
        shown.push(match detail(record.item, record.host, plugin) {
            Some(detail) if detail.more.is_empty() => format!("{}: {}", detail.kind, detail.text),
            Some(detail) => format!("{}: {} ({})", detail.kind, detail.text, detail.more),
            None => String::new(),
        });
    });
    shown
}

fn keys(findings: &[Finding]) -> Vec<String> {
    let mut keys = Vec::new();
    each(&findings.iter().map(Finding::xml).collect::<String>(), |record| {
        let host = HostPart::of(&HostEvidence::of(record.host));
        keys.push(FindingKey::new(host, &FindingPart::of(record.item, record.host)).to_string());
    });
    keys
}

/// Plugins with a family and an output, and what tells the finding apart.
#[track_caller]
fn check(cases: &[(u32, &'static str, &str, &str)]) {
    for (plugin, family, output, expected) in cases {
        assert_eq!(details("web01", &[Finding::new(*plugin, family, output)]), [*expected], "{family}: {output}");
    }
}

#[test]
fn pages_places_and_packages_tell_findings_apart() {
    check(&[
        (
            900_100,
            "CGI abuses",
            "\n  URL               : https://web01.corp.example/a.cgi?id=7\n  Installed version : 1.2\n",
            "page: /a.cgi",
        ),
        (
            900_100,
            "CGI abuses",
            "\n  Source : X-Powered-By: Prog/5.6\n  Installed version : 5.6\n  Announcement : http://vendor.example/eol\n",
            "",
        ),
        (
            900_100,
            "CGI abuses",
            "\n  Source : http://192.0.2.20/secured/info.php\n  Announcement : http://vendor.example/eol\n",
            "page: /secured/info.php",
        ),
        (
            900_100,
            "CGI abuses : XSS",
            "The following request shows the issue :\n\nhttp://web01:8080/b.cgi;jsessionid=0A1B?q=<x>\n",
            "page: /b.cgi",
        ),
        (
            900_100,
            "Web Servers",
            "  Page : /login.php\n  Destination Page : /user.php\n\n  Page : /a.php\n",
            "page: /a.php",
        ),
        (
            900_100,
            "Web Servers",
            "\nProtocol version : HTTP/1.1\nHeaders :\n\n  Location: https://web01/\nResponse Body :\n\n\"http://other.example/x.dtd\">\n",
            "",
        ),
        (900_100, "Web Servers", "/css, /images were discovered", ""),
        (
            900_100,
            "Windows",
            "\n  Path              : C:\\Program Files\\Prog\\jre1.8.0_201\\bin\\\n  Installed version : 1.8.0_201\n",
            r"installed: c:\program files\prog\jre#\bin",
        ),
        (
            900_100,
            "Misc.",
            "  Path : /opt/b/lib-core-2.14.1.jar\n\n  Path : /opt/a/lib-core-2.15.0.jar\n",
            "installed: /opt/a/lib-core-#.jar",
        ),
        (
            900_100,
            "Misc.",
            "  Path : /var/lib/overlay2/0123456789abcdef0123/diff/app",
            "installed: /var/lib/overlay2/#/diff/app",
        ),
        (900_100, "Misc.", "  Package : left-pad-1.3.0", "package: left-pad-#"),
        (900_100, "Debian Local Security Checks", "Remote package installed : a_1.2\nShould be : a_1.3", ""),
        (900_100, "General", "Nothing to tell apart: 12:30", ""),
    ]);
}

#[test]
fn certificates_services_and_programs_tell_findings_apart() {
    check(&[
        (
            51_192,
            "General",
            "|-Subject : C=XX/O=Corp/CN=Web01.corp.example/E=root@corp.example\n|-Issuer  : C=XX/CN=ca\n",
            "certificate: web01.corp.example",
        ),
        (
            15_901,
            "General",
            "  Subject          : C=XX, O=Corp, CN=web01.corp.example, emailAddress=r@corp.example\n",
            "certificate: web01.corp.example",
        ),
        (
            10_863,
            "General",
            "Subject Name: \n\nCountry: XX\nCommon Name: web01\n\nIssuer Name: \n\nCommon Name: a ca\n",
            "certificate: web01",
        ),
        (
            45_411,
            "General",
            "The identities known by Nessus are :\n\n  a\n\nThe Common Name in the certificate is :\n\n  B.example\n",
            "certificate: b.example",
        ),
        (57_582, "General", "|-Subject : O=Corp\n", "certificate: o=corp"),
        (22_964, "Service detection", "A TLSv1.2 server answered on this port.\n", "service: tls server"),
        (22_964, "Service detection", "A web server is running on this port through TLSv1.3.", "service: web server"),
        (141_118, "Settings", "Nessus was able to log in :\n\n  Protocol : SSH\n  Port : 22\n", "login: ssh"),
        (49_704, "Web Servers", "\nURLs :\n\nhttp://other.example/page\n", ""),
        (42_799, "Web Servers", "declared broken by first_9_4_2.nasl\n", "script: first_9_4_2.nasl"),
        (900_100, "CGI abuses", "Pages without it :\n\n  - http://web01/\n  - http://web01/b/\n", ""),
        (900_100, "CGI abuses", "http://web01/a?x=1\nhttp://web01/a?x=2\n", "page: /a"),
        (
            34_252,
            "Windows",
            "\nThe Win32 process 'Svchost.exe' is listening on this port (pid 1000).\n",
            "program: svchost.exe",
        ),
        (
            25_221,
            "Service detection",
            "  Process id : 12\n  Executable : /snap/lxd/21029/bin/lxd\n",
            "program: /snap/lxd/#/bin/lxd",
        ),
        (900_100, "Misc.", "  Path : /proc/4711/root/app/7", "installed: /proc/#/root/app/#"),
        (
            900_100,
            "Windows",
            "Path : C:\\Package Cache\\{6fc2513a-87f4-11e7-9f74-806e6f6e6963}\\x.exe",
            r"installed: c:\package cache\{#}\x.exe",
        ),
        (
            60_108,
            "General",
            "|-Subject : CN=web01.corp.example\n|-RSA Key Length : 512 bits\n",
            "certificate: web01.corp.example",
        ),
        // What a list, an algorithm, a share, a community or an update is about is no part of it.
        (
            70_658,
            "Misc.",
            "The following client-to-server algorithms are supported :\n\n  3des-cbc\n  aes128-cbc\n",
            "",
        ),
        (
            10_396,
            "Windows",
            "The following shares can be accessed :\n\n- C$  - (readable)\n  + Content of this share :\nboot\n",
            "",
        ),
        (41_028, "SNMP", "The remote SNMP server replies to the following default community string :\n\npublic\n", ""),
        (10_800, "SNMP", "System information :\n sysDescr     : Linux h 5.4.0\n sysUptime : 3d 2h\n", ""),
        (
            900_100,
            "Red Hat Local Security Checks",
            "Remote package installed : a-1.2\nShould be : a-1.3\nPackage : a",
            "",
        ),
    ]);
}

#[test]
fn every_plugin_of_a_web_application_scan_is_about_a_page() {
    for (family, output, expected) in [
        ("Web Applications", "http://web01.corp.example", "page: /"),
        ("HTTP Security Header", "Page http://web01.corp.example/x.y. has no header", "page: /x.y"),
        (
            "Cross Site Scripting",
            "detected on URL 'http://web01/search.jsp' by exploiting 'form' element named 'query' and",
            "page: /search.jsp (query)",
        ),
    ] {
        assert_eq!(
            details("http://web01.corp.example/", &[Finding::new(98_100, family, output)]),
            [expected],
            "{output}"
        );
    }
    let output = "Page http://web01.corp.example/x has no header";
    assert_eq!(details("web01", &[Finding::new(98_100, "General", output)]), [""], "of a network scan it says nothing");
}

#[test]
fn a_compliance_check_is_known_by_its_name_and_audit() {
    let check = |elements: &str| Finding {
        elements: elements.to_owned(),
        ..Finding::new(21_157, "Policy Compliance", "Path : /x")
    };
    let named = "<cm:compliance-check-id>abc</cm:compliance-check-id><cm:compliance-check-name>1.1  A\n check</cm:compliance-check-name><cm:compliance-audit-file>x.audit</cm:compliance-audit-file><cm:compliance-result>PASSED</cm:compliance-result>";
    let unnamed =
        "<cm:compliance-check-id>abc</cm:compliance-check-id><cm:compliance-result>FAILED</cm:compliance-result>";
    let old = "<compliance>true</compliance><description>\"1.1 A check: part\" : [FAILED]\n\nlonger</description>";
    let expected = ["check: 1.1 A check (x.audit)", "check: abc", "check: 1.1 A check: part"];
    assert_eq!(details("web01", &[check(named), check(unnamed), check(old)]), expected);
    let failed = check(&named.replace("PASSED", "FAILED").replace("abc", "def"));
    assert_eq!(keys(&[failed]), keys(&[check(named)]), "its result and its identifier change");
}

#[test]
fn two_pages_are_two_findings_and_one_page_is_one() {
    let at = |page: &str| Finding::new(900_100, "CGI abuses", &format!("  URL : http://web01/{page}\n  Version : 1\n"));
    let keys = keys(&[at("a.cgi"), at("b.cgi"), at("a.cgi?session=2")]);
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[0], keys[2]);
}

#[test]
fn a_key_is_what_it_was() {
    // Tickets hold these: a change makes a new version.
    let findings = [
        Finding::new(51_192, "General", "|-Subject : CN=web01.corp.example\n"),
        Finding::new(900_100, "CGI abuses", "  URL : https://web01.corp.example/a.cgi\n"),
        Finding::new(900_200, "General", "whatever"),
    ];
    insta::assert_debug_snapshot!(keys(&findings));
}

#[test]
fn ports_and_plugins_that_are_no_numbers_are_told_apart_by_their_texts() {
    let item = |port: &str, plugin: &str| {
        format!(r#"<ReportItem port="{port}" protocol="tcp" pluginID="{plugin}" pluginName="n" severity="0"/>"#)
    };
    let mut parts = Vec::new();
    let items =
        [item("http", "1"), item("https", "1"), item("0", "x1"), item("0", "x2"), item("", "1"), item("0", "1")];
    each(&items.concat(), |record| parts.push(FindingPart::of(record.item, record.host)));
    assert_eq!(parts[4], parts[5], "no port is the host's");
    parts.sort_unstable();
    parts.dedup();
    assert_eq!(parts.len(), 5);
}

#[test]
fn the_host_part_does_not_depend_on_how_the_host_was_asked_for() {
    let host = |name: &str, tags: &[(FieldId, &str)]| {
        let mut host = Host::named(name.to_owned());
        for (id, value) in tags {
            host.set(*id, (*value).to_owned());
        }
        HostPart::of(&HostEvidence::of(&host))
    };
    let by_address = host("192.0.2.20", &[(FieldId::HostFqdn, "web01.corp.example")]);
    assert_eq!(by_address, host("WEB01.corp.example", &[(FieldId::HostIp, "192.0.2.20")]));
    assert_ne!(by_address, host("web01.corp.example", &[(FieldId::HostIp, "192.0.2.21")]), "the same name elsewhere");
    assert_ne!(
        by_address,
        host("shop.corp.example", &[(FieldId::HostIp, "192.0.2.20")]),
        "another site at the address"
    );
    assert_ne!(host("http://a.example/x", &[]), host("http://a.example/y", &[]), "two applications of one site");
    assert_eq!(host("localhost", &[(FieldId::HostIp, "192.0.2.20")]), host("192.0.2.20", &[]));
    assert_ne!(host("localhost", &[]), host("", &[]));
}
