//! Filters against records that are parsed from XML, and against a naive evaluator.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    error::Classified,
    results::{
        record::{FieldId, Host, Severity},
        xml::ItemReader,
    },
};

const ITEM: &str = r#"<ReportItem port="443" svc_name="www" protocol="tcp" severity="3" pluginID="51192"
    pluginName="Apache &lt; 2.4 Überlauf" pluginFamily="Web Servers" owner="ops">
    <cve>CVE-2026-0001</cve><cve>CVE-2026-0002</cve><bid>1179</bid><bid>79</bid>
    <cvss3_base_score>7.5</cvss3_base_score><epss_score>0.0</epss_score>
    <exploit_framework_metasploit>True</exploit_framework_metasploit>
    <plugin_publication_date>2025/01/31</plugin_publication_date>
    <vuln_publication_date>soon</vuln_publication_date>
    <see_also>https://a.example/1
https://b.example/2</see_also>
    <attachment name="shot.bmp" type="image/bmp">0123abcd</attachment>
    <plugin_output>line &lt;script&gt;</plugin_output><brand_new>Seven</brand_new></ReportItem>"#;

/// Whether the filter lets the item above through, on host web01 = 10.1.2.3, which has other names too.
fn lets_through(filters: &Json) -> bool {
    let mut reader = ItemReader::default();
    let mut host = Host::named("web01.Example".to_owned());
    let item = reader.read(ITEM.as_bytes(), 0, &host.namespaces).unwrap();
    for (id, value) in [
        (FieldId::HostIp, "10.1.2.3"),
        (FieldId::HostFqdn, "Shop.Corp.Example."),
        (FieldId::HostFqdns, r#"[{"FQDN":"a.corp.example"},{"FQDN":"b.corp.example"}]"#),
        (FieldId::HostRdns, "ptr-7.provider.example"),
        (FieldId::Hostname, "debian12"),
        (FieldId::NetbiosName, r"CORP\WEBSRV"),
    ] {
        host.set(id, value.to_owned());
    }
    let filters = FilterSet::from_json(filters).unwrap();
    let again = FilterSet::from_json(&Json::Object(filters.to_json())).unwrap();
    let record = Record { host: &host, item };
    assert_eq!(again.matches(&record), filters.matches(&record), "the normal form means the same: {filters:?}");
    filters.matches(&record)
}

#[test]
fn each_kind_of_filter_decides() {
    for (filters, expected) in [
        (json!({}), true),
        (json!({"plugin_name": "apache"}), true),
        (json!({"plugin_name": "APACHE <"}), true),
        (json!({"plugin_name": "ÜBERLAUF"}), true),
        (json!({"plugin_name": "nginx"}), false),
        (json!({"plugin_name": "=Apache < 2.4 Überlauf"}), true),
        (json!({"plugin_name": "=apache < 2.4 überlauf"}), false),
        (json!({"plugin_name": "=Apache"}), false),
        (json!({"plugin_output": "\"<script>\""}), true),
        (json!({"plugin_output": "\"<style>\""}), false),
        (json!({"plugin_id": 51192}), true),
        (json!({"plugin_id": "51192"}), true),
        (json!({"plugin_id": "5119"}), false),
        (json!({"pluginID": ">=51192"}), true),
        (json!({"port": ">1000"}), false),
        (json!({"port": "<=443"}), true),
        (json!({"port": "!=443"}), false),
        (json!({"port": "!= 80"}), true),
        (json!({"port": [80, 443]}), true),
        (json!({"port": [80, "<100"]}), false),
        (json!({"severity": "High"}), true),
        (json!({"severity": "high"}), true),
        (json!({"severity": 3}), true),
        (json!({"severity": ">=3"}), true),
        (json!({"severity": ">=Critical"}), false),
        (json!({"severity": "<critical"}), true),
        (json!({"severity": "!=High"}), false),
        (json!({"severity": ["Critical", "High"]}), true),
        (json!({"cvss_score": ">=7.5"}), true),
        (json!({"cvss_score": 7.6}), false),
        (json!({"epss_score": "<0.1"}), true),
        (json!({"vpr_score": ">0"}), false),
        (json!({"vpr_score": "!=5"}), true),
        (json!({"bid": 79}), true),
        (json!({"bid": 9}), false),
        (json!({"bid": "!=79"}), false),
        (json!({"cve": "cve-2026-0002"}), true),
        (json!({"cve": "=CVE-2026-000"}), false),
        (json!({"see_also": "=https://b.example/2"}), true),
        (json!({"exploit_available": false}), true),
        (json!({"exploit_available": "true"}), false),
        (json!({"exploit_framework_metasploit": true}), true),
        (json!({"plugin_publication_date": ">=2025-01-31"}), true),
        (json!({"plugin_publication_date": "<2025/01/31"}), false),
        (json!({"plugin_publication_date": "2025/01/31"}), true),
        (json!({"vuln_publication_date": ">1999/01/01"}), false),
        (json!({"attachment": "image/"}), true),
        (json!({"attachment": "0123"}), true),
        (json!({"attachment": "pdf"}), false),
        (json!({"credentialed": false}), true),
        (json!({"credentialed": true}), false),
        (json!({"brand_new": "seven"}), true),
        (json!({"brand_new": "=Seven"}), true),
        (json!({"owner": "ops"}), true),
        (json!({"absent_element": "x"}), false),
        (json!({"severity": "High", "port": 443}), true),
        (json!({"severity": "High", "port": 80}), false),
        (json!({"any": [{"port": 80}, {"severity": "High"}]}), true),
        (json!({"any": [{"port": 80}, {"severity": "Low"}]}), false),
        (json!({"any": [{"port": 80}, {"severity": "High"}], "plugin_name": "nginx"}), false),
        (json!({"all": [{"port": 443}, {"any": [{"cve": "0002"}]}]}), true),
        (json!({"not": {"severity": "High", "port": 80}}), true),
        (json!({"not": {"severity": "High", "port": 443}}), false),
        (json!({"not": {"not": {"port": 443}}}), true),
        (json!({"cvss_score": {"all": [">=5", "<8"]}}), true),
        (json!({"cvss_score": {"all": [">=5", "<7"]}}), false),
        (json!({"cvss_score": {"any": ["<5", 7.5]}}), true),
        (json!({"cvss_score": {"not": {"all": [">=5", "<8"]}}}), false),
        (json!({"plugin_name": {"not": "apache"}}), false),
        (json!({"plugin_name": {"all": ["apache", "2.4"], "not": "nginx"}}), true),
        (json!({"vpr_score": {"not": ">0"}}), true),
        (json!({"bid": {"all": [79, 1179]}}), true),
        (json!({"bid": [{"all": [79, 80]}, {"not": "<1000"}]}), false),
        (json!({"bid": [{"all": [79, 80]}, {"not": "<10"}]}), true),
        (json!({"cvss_score": [{"all": [{"any": [7.5, 9]}, "<8"]}, 10]}), true),
    ] {
        assert_eq!(lets_through(&filters), expected, "{filters}");
    }
}

#[test]
fn a_host_is_found_by_all_that_it_is_known_as() {
    for (filters, expected) in [
        (json!({"host": "WEB"}), true),
        (json!({"host": "=web01.Example"}), true),
        (json!({"host": "10.1.2.3"}), true),
        (json!({"host": "10.1.2"}), true),
        (json!({"host": "10.1.2.30"}), false),
        (json!({"host": "10.0.0.0/8"}), true),
        (json!({"host_ip": "10.1.2.77/25"}), true),
        (json!({"host": "192.168.0.0/16"}), false),
        (json!({"host": "2001:db8::/32"}), false),
        (json!({"host": "=WEB01.example."}), true),
        (json!({"host": "web01.example."}), true),
        (json!({"host": "01.example.x"}), false),
        (json!({"host": "=web01"}), false),
        (json!({"host": "shop"}), true),
        (json!({"host": "=shop.corp.example"}), true),
        (json!({"host": "=B.corp.example"}), true),
        (json!({"host": "ptr-7"}), true),
        (json!({"host": "=Debian12"}), true),
        (json!({"host": "=websrv"}), true),
        (json!({"host": r"=corp\websrv"}), true),
        (json!({"host": "!=shop.CORP.example"}), false),
        (json!({"host": "!= 10.1.2.3"}), false),
        (json!({"host": "!=10.0.0.0/8"}), false),
        (json!({"host": "=10.0.0.0/8"}), true),
        (json!({"host": "!=shop"}), true),
        (json!({"host": {"not": "shop"}}), false),
        (json!({"host": "::ffff:10.1.2.3"}), true),
        (json!({"host": "http://other.example/a"}), false),
        (json!({"host_ip": "!=10.1.2.3"}), false),
        (json!({"host_fqdn": "web"}), false),
        (json!({"host_fqdn": "=shop.corp.example"}), true),
        (json!({"host_fqdn": "!=SHOP.corp.example"}), false),
        (json!({"host_fqdn": "corp.example."}), true),
        (json!({"host_fqdns": "=A.corp.example"}), true),
        (json!({"host_fqdns": "!=b.corp.example"}), false),
        (json!({"hostname": "!=debian11"}), true),
        (json!({"netbios_name": "=CORP\\websrv"}), true),
    ] {
        assert_eq!(lets_through(&filters), expected, "{filters}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_what_would() {
    for (filters, message) in [
        (json!({"severity": "bad"}), "filter on `severity`: `bad` is not a severity"),
        (json!({"severity": 9}), "filter on `severity`: `9` is not a severity"),
        (json!({"severity": true}), "filter on `severity`: the field is no truth value, so `true` does not fit it"),
        (json!({"port": ">abc"}), "filter on `port`: `>abc` is not a number"),
        (json!({"port": ""}), "filter on `port`: `` is not a number"),
        (json!({"cvss_score": "inf"}), "filter on `cvss_score`: `inf` is not a number"),
        (json!({"plugin_name": ">5"}), "filter on `plugin_name`: the field is text, and `>5` begins with an operator"),
        (
            json!({"plugin_name": "!=x"}),
            "filter on `plugin_name`: the field is text, and `!=x` begins with an operator",
        ),
        (json!({"plugin_name": ""}), "filter on `plugin_name`: an empty text is contained in every text"),
        (json!({"plugin_name": null}), "filter on `plugin_name`: null is no value to compare with"),
        (json!({"cve": []}), "filter on `cve`: an empty list matches nothing"),
        (json!({"cve": [["a"]]}), "filter on `cve`: a list is no value to compare with"),
        (json!({"host": "10.0.0.0/99"}), "filter on `host`: `10.0.0.0/99` is no CIDR range"),
        (json!({"exploit_available": 2}), "filter on `exploit_available`: `2` is not true or false"),
        (json!({"exploit_available": "perhaps"}), "filter on `exploit_available`: `perhaps` is not true or false"),
        (json!({"plugin_publication_date": "2025"}), "filter on `plugin_publication_date`: `2025` is not a date"),
        (
            json!({"cve": "a", "CVE": "b"}),
            "filter on `cve`: the field is filtered twice under different spellings: give its conditions as a list for one of them, as {\"all\": [..]} for all",
        ),
        (json!({"any": []}), "filter on `any`: an empty list combines nothing"),
        (json!({"any": {"port": 1}}), "filter on `any`: it takes a list of filters, not an object"),
        (json!({"all": [{}]}), "filter on `all`: an empty filter lets everything through"),
        (json!({"not": {}}), "filter on `not`: an empty filter lets everything through"),
        (json!({"not": "High"}), "filter on `not`: a text is no filter"),
        (json!({"any": [{"severity": "bad"}]}), "filter on `severity`: `bad` is not a severity"),
        (json!({"port": {}}), "filter on `port`: an empty object is no condition"),
        (json!({"port": {"all": []}}), "filter on `port`: an empty list matches nothing"),
        (
            json!({"port": {"gt": 5}}),
            "filter on `port`: an object as condition has `any` or `all` with a list, or `not` with a condition",
        ),
        (json!(["severity"]), "filters must be a JSON object of field names and values, not a list"),
    ] {
        let error = FilterSet::from_json(&filters).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.code(), "invalid_filter");
        assert!(error.hint().is_some());
    }
    assert!(matches!("{severity: 3}".parse::<FilterSet>(), Err(ResultsError::FiltersNotJson { .. })));
}

#[test]
fn a_key_is_asked_for_as_a_whole() {
    let key = "v1:4bbf966120fe56efe59d4326b615ac40";
    for wrong in ["4bbf966120fe56efe59d4326b615ac40", "v1:4bbf", &key.replace("v1", "v2"), &format!("!={key}"), ""] {
        let error = FilterSet::from_json(&json!({"finding_key": wrong})).unwrap_err();
        assert!(error.to_string().contains("is not a finding key of version 1"), "{error}");
        assert!(error.hint().unwrap().contains("32 hexadecimal digits"));
    }
    assert!(FilterSet::from_json(&json!({"finding_key": 7})).is_err());
    let filters = FilterSet::from_json(&json!({"finding_key": [format!("={key}"), key]})).unwrap();
    assert_eq!(filters.to_json()["finding_key"], json!([key, key]));
}

#[test]
fn combinations_are_bounded() {
    let mut deep = json!({"port": 1});
    for _ in 0..DEPTH {
        deep = json!({"not": deep});
    }
    assert!(FilterSet::from_json(&deep).is_ok());
    assert_eq!(FilterSet::from_json(&json!({"any": [deep]})).unwrap_err().code(), "invalid_filter");
    let many: Vec<usize> = (0..=CONDITIONS).collect();
    assert_eq!(FilterSet::from_json(&json!({"port": many})).unwrap_err().code(), "invalid_filter");
    let (name, value) = ("n".repeat(BYTES / 2), "v".repeat(BYTES / 2));
    let pair = |value: &str| json!({"any": [{name.clone(): value}]});
    assert!(FilterSet::from_json(&pair(&value[3..])).is_ok());
    for filter in [pair(&value), json!({"host": "x".repeat(500_000)}), json!({"n".repeat(500_000): 1})] {
        let error = FilterSet::from_json(&filter).unwrap_err();
        assert_eq!(error.to_string(), "filter on `filters`: names and values have more than 50000 bytes in all");
    }
}

#[test]
fn the_same_filters_are_written_in_the_same_way() {
    let written = |text: &str| Json::Object(text.parse::<FilterSet>().unwrap().to_json()).to_string();
    let first = written(r#"{"severity": ">=3", "not": {"port": "80", "CVE": "x"}, "cvss_score": {"any": ["7.0"]}}"#);
    assert_eq!(first, r#"{"cvss_score":["=7"],"not":{"cve":"x","port":"=80"},"severity":">=High"}"#);
    assert_eq!(written(r#"{"cvss_score": [7], "not": {"cve": "x", "port": 80}, "severity": ">= high"}"#), first);
}

/// One item's values, and the same question answered the slow way.
#[derive(Debug, Clone)]
struct Plain {
    severity: usize,
    port: u16,
    score: Option<u8>,
    name: String,
    cves: Vec<String>,
}

fn plain() -> impl Strategy<Value = Plain> {
    let word = prop::sample::select(vec!["Apache", "apache 2", "ÖPNV", "öpnv x", "", "İstanbul", "=x"]);
    let cve = prop::sample::select(vec!["CVE-2026-1", "CVE-2026-12", "CVE-2025-2"]);
    (0..5_usize, 0..4_u16, prop::option::of(0..100_u8), word, prop::collection::vec(cve, 0..3)).prop_map(
        |(severity, port, score, name, cves)| Plain {
            severity,
            port,
            score,
            name: name.to_owned(),
            cves: cves.into_iter().map(str::to_owned).collect(),
        },
    )
}

fn compare<T: PartialOrd>(operator: &str, found: Option<T>, wanted: &T) -> bool {
    let Some(found) = found else { return operator == "!=" };
    match operator {
        ">" => found > *wanted,
        ">=" => found >= *wanted,
        "<" => found < *wanted,
        "<=" => found <= *wanted,
        "!=" => found != *wanted,
        _ => found == *wanted,
    }
}

proptest! {
    #[test]
    fn filters_agree_with_a_naive_evaluator(
        item in plain(),
        operator in prop::sample::select(vec![">", ">=", "<", "<=", "=", "!=", ""]),
        severity in 0..5_usize,
        port in 0..4_u16,
        score in 0..100_u8,
        part in prop::sample::select(vec!["apache", "PNV", "ö", "2", "i\u{307}", "stan"]),
        cve in prop::sample::select(vec!["cve-2026-1", "2025"]),
    ) {
        let score_text = |tenths: u8| format!("{}.{}", tenths / 10, tenths % 10);
        let cves = item.cves.iter().map(|cve| format!("<cve>{cve}</cve>")).collect::<Vec<_>>().concat();
        let base = item.score.map(|score| format!("<cvss_base_score>{}</cvss_base_score>", score_text(score)));
        let xml = format!(
            r#"<ReportItem severity="{}" port="{}" pluginName="{}">{cves}{}</ReportItem>"#,
            item.severity, item.port, item.name, base.unwrap_or_default(),
        );
        let mut reader = ItemReader::default();
        let host = Host::named("h".to_owned());
        let record = Record { host: &host, item: reader.read(xml.as_bytes(), 0, &host.namespaces).unwrap() };
        let lower = |text: &str| text.to_lowercase();
        for (filter, expected) in [
            (json!({"severity": format!("{operator}{}", Severity::ALL[severity])}),
                compare(operator, Some(item.severity), &severity)),
            (json!({"port": format!("{operator}{port}")}), compare(operator, Some(item.port), &port)),
            (json!({"cvss_score": format!("{operator} {}", score_text(score))}), compare(operator, item.score, &score)),
            (json!({"plugin_name": part}), lower(&item.name).contains(&lower(part))),
            (json!({"plugin_name": format!("={}", item.name)}), true),
            (json!({"cve": cve}), item.cves.iter().any(|found| lower(found).contains(cve))),
        ] {
            prop_assert_eq!(FilterSet::from_json(&filter).unwrap().matches(&record), expected, "{} {}", filter, xml);
        }
    }
}
