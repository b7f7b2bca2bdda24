//! The filter language against an evaluator that looks at the JSON of findings and knows only what is documented.

use std::{cmp::Ordering, net::IpAddr};

use nessus_mcp_lib::{
    error::Classified as _,
    results::{FilterSet, RecordKind},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    arbitrary::{Texts, export},
    engine,
    indexed::Indexed,
    order,
    reference::{self, Kind},
};

type Finding = Map<String, Value>;

/// Whether a finding is let through.
fn matches(filters: &Value, finding: &Finding) -> bool {
    filters.as_object().unwrap().iter().all(|(name, value)| {
        let nested = || value.as_array().unwrap().iter();
        match name.as_str() {
            "any" => nested().any(|filter| matches(filter, finding)),
            "all" => nested().all(|filter| matches(filter, finding)),
            "not" => !matches(value, finding),
            field => holds(field, value, finding),
        }
    })
}

/// Whether a condition holds for a field of a finding.
fn holds(field: &str, condition: &Value, finding: &Finding) -> bool {
    match condition {
        Value::Array(conditions) => conditions.iter().any(|condition| holds(field, condition, finding)),
        Value::Object(members) => members.iter().all(|(name, value)| {
            let nested = || value.as_array().unwrap().iter();
            match name.as_str() {
                "any" => nested().any(|condition| holds(field, condition, finding)),
                "all" => nested().all(|condition| holds(field, condition, finding)),
                _ => !holds(field, value, finding),
            }
        }),
        Value::String(text) => test(field, text, finding),
        other => test(field, &other.to_string(), finding),
    }
}

fn values<'f>(field: &str, finding: &'f Finding) -> Vec<&'f Value> {
    match finding.get(field) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values.iter().collect(),
        Some(value) => vec![value],
    }
}

/// The texts of a value: of an attachment also those of its attributes.
fn texts<'f>(field: &str, value: &'f Value) -> Vec<&'f str> {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| field == "attachment" || *name == "value");
            members.filter_map(|(_, text)| text.as_str()).collect()
        }
        other => other.as_str().into_iter().collect(),
    }
}

fn test(field: &str, operand: &str, finding: &Finding) -> bool {
    if NAMES.contains(&field)
        && let Some(unwanted) = operand.trim().strip_prefix("!=")
    {
        return !test(field, &format!("={}", unwanted.trim()), finding);
    }
    let found = values(field, finding);
    if matches!(field, "host" | "host_ip")
        && let Some(verdict) = by_address(field, operand.trim(), finding)
    {
        return verdict;
    }
    match reference::kind(field) {
        Kind::Text => {
            let mut found: Vec<&str> = found.iter().flat_map(|value| texts(field, value)).collect();
            if field == "host" {
                for other in ["host_ip", "host_fqdn", "host_fqdns", "host_rdns", "hostname", "netbios_name"] {
                    found.extend(values(other, finding).into_iter().filter_map(Value::as_str));
                }
                // Some versions write the domain before it.
                found.extend(finding.get("netbios_name").and_then(|name| name.as_str()?.rsplit('\\').next()));
            }
            let operand = operand.trim();
            if NAMES.contains(&field) && operand != "=" {
                return name_holds(operand, &found);
            }
            if let Some(exact) = operand.strip_prefix('=').map(str::trim) {
                let is_word = matches!(field, "protocol" | "cve" | "xref" | "cm:compliance-result");
                let is_exact = |text: &&str| *text == exact || (is_word && text.eq_ignore_ascii_case(exact));
                // An empty text is no text.
                return found.iter().any(is_exact) || (exact.is_empty() && values(field, finding).is_empty());
            }
            let quoted = operand.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let wanted = quoted.unwrap_or(operand).to_lowercase();
            found.iter().any(|text| text.to_lowercase().contains(&wanted))
        }
        Kind::Outcome => {
            let wanted = operand.trim().trim_start_matches('=').trim();
            found.iter().any(|word| word.as_str().unwrap().eq_ignore_ascii_case(wanted))
        }
        Kind::Boolean => {
            let wanted = matches!(operand.trim_start_matches('=').trim().to_lowercase().as_str(), "true" | "1");
            if found.is_empty() { !wanted } else { found.contains(&&json!(wanted)) }
        }
        Kind::Severity => {
            compare(operand, order::severity(finding).into_iter().map(|found| found.to_string()), |name| {
                let names = ["info", "low", "medium", "high", "critical"];
                names
                    .iter()
                    .position(|found| *found == name.to_lowercase())
                    .map_or(name.to_owned(), |at| at.to_string())
            })
        }
        Kind::Integer | Kind::Number => {
            let number = |text: &str| text.to_lowercase().replace("cwe-", "").replace(',', ".");
            compare(operand, found.iter().filter(|value| value.is_number()).map(ToString::to_string), number)
        }
        Kind::Date => {
            let day = |text: &str| reference::day(text.trim()).map(|day| day.to_string());
            compare(operand, found.iter().filter_map(|value| day(value.as_str()?)), |text| day(text).unwrap())
        }
    }
}

/// What holds names of machines.
const NAMES: [&str; 7] = ["host", "host_ip", "host_fqdn", "host_fqdns", "host_rdns", "hostname", "netbios_name"];

/// Whether one of these names is what the operand says, in any case and with or without dots at the end.
fn name_holds(operand: &str, found: &[&str]) -> bool {
    let plain = |name: &str| name.trim().trim_end_matches('.').to_lowercase();
    if let Some(exact) = operand.strip_prefix('=') {
        return found.iter().any(|name| plain(name) == plain(exact));
    }
    let wanted = operand.to_lowercase();
    found.iter().any(|name| name.to_lowercase().contains(&wanted) || format!("{}.", plain(name)).ends_with(&wanted))
}

/// Whether the host's address is the operand, or in it; `None` when that is a name.
fn by_address(field: &str, operand: &str, finding: &Finding) -> Option<bool> {
    let fields: &[&str] = if field == "host" { &["host_ip", "host"] } else { &["host_ip"] };
    let addresses = fields.iter().filter_map(|name| finding.get(*name)?.as_str()?.trim().parse::<IpAddr>().ok());
    let mut addresses = addresses.map(|address| address.to_canonical());
    let operand = operand.trim_start_matches('=').trim();
    if let Ok(wanted) = operand.parse::<IpAddr>() {
        return Some(addresses.any(|address| address == wanted));
    }
    let (network, length) = operand.split_once('/')?;
    let (network, length): (IpAddr, u32) = (network.parse().ok()?, length.parse().ok()?);
    Some(addresses.any(|address| match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (network.to_bits() ^ address.to_bits()).leading_zeros().min(32) >= length
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits() ^ address.to_bits()).leading_zeros() >= length,
        _ => false,
    }))
}

/// Whether one of the numbers compares as the operand says; `!=` is the opposite of `=`.
fn compare(operand: &str, found: impl Iterator<Item = String>, number: impl Fn(&str) -> String) -> bool {
    let end = operand.trim_start_matches(['<', '>', '=', '!', ' ']);
    let operator = operand[..operand.len() - end.len()].trim();
    let wanted: f64 = number(end.trim()).parse().unwrap();
    let mut found = found.map(|found| found.parse::<f64>().unwrap().partial_cmp(&wanted).unwrap());
    match operator {
        ">" => found.any(Ordering::is_gt),
        ">=" => found.any(Ordering::is_ge),
        "<" => found.any(Ordering::is_lt),
        "<=" => found.any(Ordering::is_le),
        "!=" => !found.any(Ordering::is_eq),
        _ => found.any(Ordering::is_eq),
    }
}

fn operand(field: &'static str) -> BoxedStrategy<Value> {
    let texts = |texts: &[&'static str]| select(texts.to_vec()).prop_map(|text| json!(text)).boxed();
    let compared = |values: &[&'static str]| {
        let signs = select(vec!["", "=", "!=", "<", "<=", ">", ">=", "> ", " != "]);
        (signs, select(values.to_vec())).prop_map(|(sign, value)| json!(format!("{sign}{value}"))).boxed()
    };
    match (field, reference::kind(field)) {
        ("host" | "host_ip", _) => texts(&[
            "10.0.0.7",
            "=10.0.0.10",
            "10.0.0.0/29",
            "2001:db8::/32",
            "10.0",
            "WEB",
            "=web",
            "=WEB2.",
            "!=web",
            "!= 10.0.0.7",
            "!=10.0.0.0/29",
            "corp.example.",
            "=a.corp.example",
            "0.0.0.0/0",
            " web ",
        ]),
        ("host_fqdn" | "host_fqdns" | "host_rdns" | "hostname" | "netbios_name", _) => {
            texts(&["apache", "=Apache", "!=APACHE", "corp.example.", "=A.corp.example", "!=b.corp.example", " e "])
        }
        (_, Kind::Text) => texts(&[
            "apache",
            "=Apache",
            "E",
            "ö",
            "ÜBER",
            "CVE-2026",
            "=CVE-2026-0001",
            "\"<b>\"",
            "line",
            " apache ",
            "=",
            "= tcp",
            "=cve-2026-0001",
            "=passed",
            "tcp",
            "7",
            "2025/",
        ]),
        (_, Kind::Outcome) => texts(&["PASSED", "=failed", " Warning ", "apache", "7.5", "soon"]),
        (_, Kind::Boolean) => {
            prop_oneof![any::<bool>().prop_map(|value| json!(value)), texts(&["true", "=false", "1", "False"])].boxed()
        }
        (_, Kind::Severity) => {
            prop_oneof![(0..5).prop_map(|number| json!(number)), compared(&["0", "2", "High", "medium", "CRITICAL"])]
                .boxed()
        }
        ("cwe", _) => compared(&["CWE-42", "cwe-5", "1"]),
        (_, Kind::Integer) => {
            prop_oneof![(-1..12).prop_map(|number| json!(number)), compared(&["0", "1", "42", "-1", "4294967296", "5"])]
                .boxed()
        }
        (_, Kind::Number) => {
            prop_oneof![Just(json!(7.5)), compared(&["0", "7.5", "7,5", "10", "-1", "1e3", "0.5"])].boxed()
        }
        (_, Kind::Date) => compared(&["2025/01/31", "2025-01-31", "2026/11/20", "1999/12/31"]),
    }
}

fn condition(field: &'static str) -> BoxedStrategy<Value> {
    operand(field)
        .prop_recursive(2, 6, 3, |inner| {
            // A list in a list is refused.
            let single = inner.clone().prop_filter("a list", |condition| !condition.is_array());
            let several = vec(single, 1..3);
            prop_oneof![
                several.clone().prop_map(|conditions| json!(conditions)),
                several.clone().prop_map(|conditions| json!({"all": conditions})),
                several.prop_map(|conditions| json!({"any": conditions})),
                inner.clone().prop_map(|condition| json!({"not": condition})),
                (operand_list(inner.clone()), inner).prop_map(|(all, not)| json!({"all": all, "not": not})),
            ]
        })
        .boxed()
}

fn operand_list(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Value>> {
    vec(inner.prop_filter("a list", |condition| !condition.is_array()), 1..3)
}

/// Whether items of a kind may have a field, named with or without `-` before it.
pub(crate) fn is_of(kind: RecordKind, field: &str) -> bool {
    let is_check = kind == RecordKind::Compliance;
    reference::is_of_checks(field.trim_start_matches('-')).is_none_or(|of_checks| of_checks == is_check)
}

/// A filter on any fields that items of the kind may have.
pub(crate) fn filter(kind: RecordKind) -> BoxedStrategy<Value> {
    let mut fields = vec![
        "host",
        "host_ip",
        "host_fqdn",
        "host_fqdns",
        "host_rdns",
        "hostname",
        "netbios_name",
        "operating_system",
        "host_start",
        "credentialed",
        "port",
        "protocol",
        "svc_name",
        "plugin_id",
        "plugin_name",
        "plugin_family",
        "severity",
        "cve",
        "xref",
        "bid",
        "cwe",
        "edb_id",
        "see_also",
        "cvss_score",
        "cvss_base_score",
        "cvss3_base_score",
        "epss_score",
        "vpr_score",
        "exploit_available",
        "in_the_news",
        "asset_inventory",
        "compliance",
        "cisa_known_exploited",
        "vuln_publication_date",
        "synopsis",
        "plugin_output",
        "attachment",
        "cm:compliance-result",
        "cm:compliance-check-name",
        "cm:compliance-reference",
        "brand_new",
    ];
    fields.retain(|field| is_of(kind, field));
    let field = select(fields);
    let members = vec(field.prop_flat_map(|field| (Just(field.to_owned()), condition(field))), 1..3);
    let leaf = members.prop_map(|members| Value::Object(members.into_iter().collect()));
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(|filters| json!({"any": filters})),
            vec(inner.clone(), 1..3).prop_map(|filters| json!({"all": filters})),
            inner.prop_map(|filter| json!({"not": filter})),
        ]
    })
    .boxed()
}

/// Either kind.
pub(crate) fn kinds() -> impl Strategy<Value = RecordKind> {
    select(RecordKind::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_let_through_what_the_evaluator_does(
        export in export(Texts::Plain),
        (kind, filters) in kinds().prop_flat_map(|kind| (Just(kind), filter(kind))),
    ) {
        let everything = engine::ask(export.as_bytes(), engine::everything().kind(kind)).unwrap();
        let query = || engine::everything().kind(kind).filters(FilterSet::from_json(&filters).unwrap());
        let found = engine::ask(export.as_bytes(), query());
        let indexed = Indexed::new(export.as_bytes()).unwrap().ask(query());
        prop_assert_eq!(format!("{:?}", &found), format!("{indexed:?}"), "the index gives the same answer");
        // Also in an item that is left out, because another block of its machine has the finding.
        let whole = reference::read(export.as_bytes()).unwrap();
        let has_name = |kind: RecordKind| {
            whole.items.iter().any(|item| item.fields["type"] == kind.name() && item.fields.contains_key("brand_new"))
        };
        if !has_name(kind) && filters.to_string().contains("brand_new") {
            let is_in_other = RecordKind::ALL.into_iter().any(|other| other != kind && has_name(other));
            let code = if is_in_other { "field_of_other_kind" } else { "unknown_field" };
            prop_assert_eq!(found.unwrap_err().code(), code);
            return Ok(());
        }
        let expected: Vec<_> = everything.findings().filter(|finding| matches(&filters, finding)).collect();
        let found = found.unwrap();
        prop_assert_eq!(&found.lines[0]["matched"], &json!(expected.len()));
        prop_assert_eq!(found.findings().collect::<Vec<_>>(), expected);
    }
}
