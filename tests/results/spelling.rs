//! The same export, spelled as other programs spell it: prefixes, white space and references change no answer.

use std::fmt::Write as _;

use nessus_mcp_lib::results::{DEFAULT_CHARS, FilterSet, LoginExpected, RecordKind, ScanDiff, ScanSummary, Validation};
use proptest::prelude::*;
use roxmltree::{Document, Node};
use serde_json::{Value, json};

use crate::{
    arbitrary::{Texts, export},
    engine,
    filters::{filter, kinds},
    indexed::Indexed,
    order,
};

const COMPLIANCE: &str = "http://www.nessus.org/cm";
const OFFICE: &str = include_str!("../../fixtures/exports/office.nessus");
const OFFICE_LATER: &str = include_str!("../../fixtures/exports/office_later.nessus");
const CHECKS: &str = include_str!("../../fixtures/exports/compliance.nessus");
const LOGINS: &str = include_str!("../../fixtures/exports/login_verdicts.nessus");

/// Where the namespace of compliance elements is declared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefixes {
    /// On `Report`, as Nessus does.
    Usual,
    /// Nowhere.
    Undeclared,
    /// On the root, as ElementTree does.
    Root,
    /// On every item.
    Item,
    /// As the default on every item, so that its other elements are in it too.
    ItemDefault,
    /// As the default on every element that is in it.
    Element,
    /// On every host, where the usual prefix stands for something else outside.
    Redeclared,
    /// On `Report`, in an export that has a namespace by default.
    OtherDefault,
    /// On the root, in an export that has a prefix for every element.
    OtherPrefix,
    /// On the root, for every element.
    Everything,
}

const PREFIXES: [Prefixes; 10] = [
    Prefixes::Usual,
    Prefixes::Undeclared,
    Prefixes::Root,
    Prefixes::Item,
    Prefixes::ItemDefault,
    Prefixes::Element,
    Prefixes::Redeclared,
    Prefixes::OtherDefault,
    Prefixes::OtherPrefix,
    Prefixes::Everything,
];

/// How an export is written.
#[derive(Debug, Clone, Copy)]
struct Spelling {
    prefixes: Prefixes,
    /// What stands around texts and values.
    space: &'static str,
    /// Whether letters are written as references, some of them.
    references: bool,
}

fn spelling() -> impl Strategy<Value = Spelling> {
    (prop::sample::select(&PREFIXES[..]), prop::sample::select(vec!["", " ", "\n\t", "\r\n      "]), any::<bool>())
        .prop_map(|(prefixes, space, references)| Spelling { prefixes, space, references })
}

impl Spelling {
    /// Writes an export whose compliance elements have the prefix `cm`.
    fn write(self, export: &str) -> String {
        let mut text = export.to_owned();
        if !text.contains("xmlns:cm") {
            text = text.replacen("<NessusClientData_v2", &format!("<NessusClientData_v2 xmlns:cm='{COMPLIANCE}'"), 1);
        }
        let document = Document::parse(&text).unwrap();
        let mut written = String::new();
        self.element(document.root_element(), &mut written);
        written
    }

    fn element(self, node: Node<'_, '_>, written: &mut String) {
        let local = node.tag_name().name();
        let is_compliance = node.tag_name().namespace() == Some(COMPLIANCE);
        let prefix = match (self.prefixes, is_compliance) {
            (Prefixes::Everything, _) | (Prefixes::OtherPrefix, true) => "ns1:",
            (Prefixes::OtherPrefix, false) | (Prefixes::Root | Prefixes::Item, true) => "ns0:",
            (Prefixes::Element | Prefixes::ItemDefault, true) | (_, false) => "",
            (_, true) => "cm:",
        };
        let declared = match (self.prefixes, local) {
            (Prefixes::Usual | Prefixes::OtherDefault, "Report") | (Prefixes::Redeclared, "ReportHost") => {
                format!(" xmlns:cm='{COMPLIANCE}'")
            }
            (Prefixes::Root, "NessusClientData_v2") | (Prefixes::Item, "ReportItem") => {
                format!(" xmlns:ns0='{COMPLIANCE}'")
            }
            (Prefixes::ItemDefault, "ReportItem") => format!(" xmlns='{COMPLIANCE}'"),
            (Prefixes::Element, _) if is_compliance => format!(" xmlns=\"{COMPLIANCE}\""),
            (Prefixes::Redeclared, "Report") => " xmlns:cm='urn:x'".to_owned(),
            (Prefixes::OtherDefault, "NessusClientData_v2") => " xmlns='urn:x'".to_owned(),
            (Prefixes::OtherPrefix, "NessusClientData_v2") => format!(" xmlns:ns0='urn:x' xmlns:ns1='{COMPLIANCE}'"),
            (Prefixes::Everything, "NessusClientData_v2") => format!(" xmlns:ns1='{COMPLIANCE}'"),
            _ => String::new(),
        };
        write!(written, "<{prefix}{local}{declared}").unwrap();
        for attribute in node.attributes() {
            write!(written, " {}=\"{}\"", attribute.name(), self.text(attribute.value(), true)).unwrap();
        }
        written.push('>');
        let has_elements = node.children().any(|child| child.is_element());
        for child in node.children() {
            if child.is_element() {
                self.element(child, written);
            } else if !has_elements {
                written.push_str(&self.text(child.text().unwrap_or_default(), false));
            }
        }
        if has_elements || node.first_child().is_none() {
            written.push_str(self.space);
        }
        write!(written, "</{prefix}{local}>").unwrap();
    }

    fn text(self, text: &str, is_attribute: bool) -> String {
        // Between elements there is none to be written as a reference.
        if text.trim().is_empty() {
            return format!("{}{text}", self.space);
        }
        let mut written = self.space.to_owned();
        for (at, found) in text.chars().enumerate() {
            match found {
                '&' => written.push_str("&amp;"),
                '<' => written.push_str("&lt;"),
                '"' => written.push_str("&quot;"),
                '\n' | '\t' if is_attribute => write!(written, "&#{};", u32::from(found)).unwrap(),
                '\r' => written.push_str("&#13;"),
                _ if self.references && at % 3 == 0 => write!(written, "&#x{:X};", u32::from(found)).unwrap(),
                _ => written.push(found),
            }
        }
        written + self.space
    }
}

/// All that is said about an export, but for the texts that depend on the number of its bytes.
fn answers(export: &str, kind: RecordKind, filters: &Value, sort: &str) -> Vec<String> {
    let query = || engine::everything().kind(kind).filters(FilterSet::from_json(filters).unwrap());
    let ask = |query| match engine::ask(export.as_bytes(), query) {
        Ok(answer) => format!("{:?}", answer.lines),
        Err(error) => error.to_string(),
    };
    let indexed = Indexed::new(export.as_bytes()).unwrap();
    let summary = ScanSummary::read(std::io::Cursor::new(export), LoginExpected::Yes).unwrap();
    vec![
        ask(engine::everything().kind(kind)),
        ask(query()),
        ask(query().sort(sort.parse().unwrap())),
        indexed
            .ask(query().sort(sort.parse().unwrap()))
            .map_or_else(|error| error.to_string(), |answer| format!("{:?}", answer.lines)),
        format!("{:?}", Validation::new().login(LoginExpected::Yes).run(std::io::Cursor::new(export)).unwrap()),
        format!("{:?}", summary.view(DEFAULT_CHARS)),
    ]
}

/// Where two texts begin to differ.
fn difference(left: &str, right: &str) -> String {
    let at = left.chars().zip(right.chars()).take_while(|(left, right)| left == right).count();
    let around = |text: &str| text.chars().skip(at.saturating_sub(120)).take(240).collect::<String>();
    format!("{}\n{}", around(left), around(right))
}

fn check(export: &str, spelling: Spelling, kind: RecordKind, filters: &Value, sort: &str) -> Result<(), TestCaseError> {
    let usual = Spelling { prefixes: Prefixes::Usual, space: "", references: false }.write(export);
    let spelled = spelling.write(export);
    for (usual, spelled) in answers(&usual, kind, filters, sort).into_iter().zip(answers(&spelled, kind, filters, sort))
    {
        prop_assert!(usual == spelled, "{}", difference(&usual, &spelled));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spelling_changes_no_answer(
        export in export(Texts::Plain),
        spelling in spelling(),
        (kind, filters) in kinds().prop_flat_map(|kind| (Just(kind), filter(kind))),
        sort in prop::sample::select(vec!["worst_first", "-plugin_id", "host", "cm:compliance-result", "-cwe"]),
    ) {
        check(&export, spelling, kind, &filters, sort)?;
    }
}

#[test]
fn spelling_changes_no_answer_about_the_fixtures() {
    let (findings, checks) = (RecordKind::Vulnerability, RecordKind::Compliance);
    for (export, kind, filters, sort) in [
        (OFFICE, findings, json!({"severity": ">=Low"}), "-cvss_score"),
        (OFFICE_LATER, findings, json!({"severity": ">=Low"}), "-cvss_score"),
        (LOGINS, findings, json!({"severity": ">=Low"}), "-cvss_score"),
        (CHECKS, findings, json!({"severity": ">=Low"}), "-cvss_score"),
        (CHECKS, checks, json!({"cm:compliance-result": ["failed", "=PASSED"]}), "cm:compliance-check-name"),
    ] {
        for prefixes in PREFIXES {
            for space in ["", "\n\t\t"] {
                let spelling = Spelling { prefixes, space, references: !space.is_empty() };
                check(export, spelling, kind, &filters, sort).unwrap();
            }
        }
    }
}

#[test]
fn spelling_is_no_change_between_scans() {
    for prefixes in PREFIXES {
        let spelled = Spelling { prefixes, space: "\n  ", references: true }.write(OFFICE);
        let view =
            ScanDiff::read(std::io::Cursor::new(OFFICE), std::io::Cursor::new(spelled)).unwrap().view(DEFAULT_CHARS);
        assert_eq!((view.counts.new.total(), view.counts.fixed.total()), (0, 0), "{prefixes:?}");
    }
}

/// An export of one item with these elements.
fn with(elements: &str) -> Vec<u8> {
    format!(
        "<NessusClientData_v2><Report xmlns:cm='{COMPLIANCE}'><ReportHost name='h'><ReportItem port='0' severity='2' \
         pluginID='1'>{elements}</ReportItem></ReportHost></Report></NessusClientData_v2>"
    )
    .into_bytes()
}

/// What an item with these elements has as a field.
fn shown(elements: &str, field: &str) -> Value {
    let answer = engine::ask(&with(elements), engine::everything()).unwrap();
    answer.findings().next().unwrap().get(field).cloned().unwrap_or(Value::Null)
}

/// Whether an item with these elements is let through, with an index and without.
fn is_found(elements: &str, filters: &Value) -> bool {
    let query = || engine::everything().filters(FilterSet::from_json(filters).unwrap());
    let found = engine::ask(&with(elements), query()).unwrap().findings().count();
    let indexed = Indexed::new(&with(elements)).unwrap().ask(query()).unwrap().findings().count();
    assert_eq!(found, indexed, "{elements} {filters}");
    found == 1
}

#[test]
fn every_spelling_of_a_value_is_the_value() {
    for (elements, field, expected) in [
        ("<cwe>20</cwe>", "cwe", json!([20])),
        ("<cwe>CWE-20</cwe>", "cwe", json!([20])),
        ("<cwe>\n CWE:20, cwe 79;352\n</cwe><cwe>5</cwe>", "cwe", json!([20, 79, 352, 5])),
        ("<bid>BID-123</bid>", "bid", json!([123])),
        ("<edb-id>EDB-ID:123</edb-id>", "edb_id", json!([123])),
        ("<osvdb>OSVDB-1</osvdb>", "osvdb", json!([1])),
        ("<cve>cve-2026-1, CVE-2026-2</cve>", "cve", json!(["CVE-2026-1", "CVE-2026-2"])),
        ("<xref>CWE:20, IAVA:2020-A-1</xref>", "xref", json!(["CWE:20", "IAVA:2020-A-1"])),
        ("<cvss3_base_score> 7,5\n</cvss3_base_score>", "cvss_score", json!(7.5)),
        ("<cvss3_base_score/><cvss_base_score>5</cvss_base_score>", "cvss_score", json!(5.0)),
        ("<cvss3_base_score>N/A</cvss3_base_score>", "cvss3_base_score", Value::Null),
        ("<exploit_available>\nTRUE\n</exploit_available>", "exploit_available", json!(true)),
        ("<exploit_available></exploit_available>", "exploit_available", json!(false)),
        ("<vuln_publication_date>N/A</vuln_publication_date>", "vuln_publication_date", Value::Null),
        ("<solution> </solution>", "solution", Value::Null),
        ("<solution>\nUpdate &amp; restart.\n</solution>", "solution", json!("Update & restart.")),
        ("<brand_new/>", "brand_new", Value::Null),
    ] {
        assert_eq!(shown(elements, field), expected, "{elements}");
    }
}

/// The readers have memory for as many values as for elements.
#[test]
fn a_list_of_any_length_is_not_taken_apart_without_end() {
    let found = shown(&format!("<cwe>{}</cwe>", "1,".repeat(50_000)), "cwe");
    let values = found.as_array().unwrap();
    assert!(values.len() <= 20_001 && values[0] == 1, "{}", values.len());
    assert_eq!(values.last().unwrap().as_str().unwrap().matches('1').count(), 50_001 - values.len());
}

#[test]
fn filters_take_every_spelling_too() {
    for (elements, filters, expected) in [
        ("<cwe>20</cwe>", json!({"cwe": 20}), true),
        ("<cwe>20</cwe>", json!({"cwe": "CWE-20"}), true),
        ("<cwe>CWE-20</cwe>", json!({"cwe": 20}), true),
        ("<cwe>CWE-20</cwe>", json!({"cwe": "CWE-20"}), true),
        ("<cwe>CWE-20</cwe>", json!({"cwe": " = cwe:20 "}), true),
        ("<cwe>CWE-20</cwe>", json!({"cwe": "!=20"}), false),
        ("<cwe>CWE-79, CWE-20</cwe>", json!({"cwe": "!=CWE-20"}), false),
        ("<bid>BID-7</bid>", json!({"bid": "BID:7"}), true),
        ("", json!({"severity": " medium "}), true),
        ("<risk_factor>\n High</risk_factor>", json!({"risk_factor": "=high"}), true),
        ("<risk_factor>High</risk_factor>", json!({"risk_factor": "= High "}), true),
        ("<fname>\n a.nasl </fname>", json!({"fname": "=a.nasl"}), true),
        ("<fname>a.nasl</fname>", json!({"fname": "=A.nasl"}), false),
        ("<fname>a.nasl</fname>", json!({"fname": " a.nasl "}), true),
        ("<cve>cve-2026-1</cve>", json!({"cve": "=cve-2026-1"}), true),
        ("<cvss_base_score>7.5</cvss_base_score>", json!({"cvss_score": ">=7,5"}), true),
        (
            "<patch_publication_date> 2025-1-31T00:00:00Z </patch_publication_date>",
            json!({"patch_publication_date": "2025/01/31"}),
            true,
        ),
        ("<cvss_base_score>N/A</cvss_base_score>", json!({"cvss_score": "<11"}), false),
        // Empty is absent, and `=` alone asks for it.
        ("<solution> </solution>", json!({"solution": "="}), true),
        ("", json!({"solution": "="}), true),
        ("<solution>x</solution>", json!({"solution": "="}), false),
        ("<cve/>", json!({"cve": "="}), true),
        ("<brand_new/>", json!({"brand_new": "="}), true),
        ("<brand_new/>", json!({"brand_new": "x"}), false),
    ] {
        assert_eq!(is_found(elements, &filters), expected, "{elements} {filters}");
    }
}

#[test]
fn what_an_export_says_of_itself_may_stand_on_lines_of_its_own() {
    let export = "<NessusClientData_v2><Policy><policyName>\n <![CDATA[Weekly & more]]>\n</policyName><Preferences>
        <ServerPreferences><preference><name>\nseverity_basis\n</name><value> cvss_v3 <!-- newest --></value></preference>
        <preference><name> plugin_set </name><value>1;<![CDATA[2]]></value></preference></ServerPreferences></Preferences>
        </Policy><Report name=' Weekly '><ReportHost name=' web '><HostProperties><tag name=' host-ip '>
        192.0.2.1 </tag></HostProperties><ReportItem pluginID=' 007 ' severity='2'/></ReportHost></Report></NessusClientData_v2>";
    let answer = engine::ask(export.as_bytes(), engine::everything()).unwrap();
    let metadata = &answer.lines[1];
    assert_eq!(metadata["policy_name"], "Weekly & more");
    assert_eq!(metadata["severity_basis"], "cvss_v3");
    assert_eq!(metadata["report_name"], "Weekly");
    let finding = answer.findings().next().unwrap();
    assert_eq!(finding["host"], "web");
    assert_eq!(finding["host_ip"], "192.0.2.1");
    assert_eq!(finding["plugin_id"], 7);
}

#[test]
fn another_namespace_under_the_usual_prefix_is_not_that_of_compliance() {
    let export = String::from_utf8(with("<cm:compliance-result>PASSED</cm:compliance-result>")).unwrap();
    let counts =
        |export: &str| Validation::new().run(std::io::Cursor::new(export)).unwrap().stats.compliance_counts.passed;
    assert_eq!(counts(&export), 1);
    assert_eq!(counts(&export.replace(COMPLIANCE, "urn:x")), 0);
}

/// The reference orders what has no name as the engine does.
#[test]
fn a_host_without_a_name_has_none() {
    let export = "<NessusClientData_v2><Report><ReportHost><ReportItem severity='1'/></ReportHost><ReportHost name='a'>
        <ReportItem severity='1'/></ReportHost></Report></NessusClientData_v2>";
    let answer = engine::ask(export.as_bytes(), engine::everything().sort("host".parse().unwrap())).unwrap();
    let mut findings: Vec<_> = answer.findings().cloned().collect();
    assert_eq!(findings[0]["host"], "a");
    assert_eq!(findings[1]["host"], Value::Null);
    order::sort(&mut findings, "worst_first");
    assert_eq!(findings[0]["host"], Value::Null);
}
