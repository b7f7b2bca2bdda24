//! Orders, worked out on the JSON of findings.

use std::{cmp::Ordering, net::IpAddr};

use serde_json::{Map, Value};

use crate::reference;

type Finding = Map<String, Value>;

/// Sorts findings, which come in the order of the file, as `worst_first`, `field` or `-field`.
pub(crate) fn sort(findings: &mut [Finding], sort: &str) {
    match sort {
        "file" => {}
        "worst_first" => findings.sort_by(worst_first),
        _ => {
            let (name, descending) = sort.strip_prefix('-').map_or((sort, false), |name| (name, true));
            findings.sort_by(|left, right| {
                let order = match (key(left, name), key(right, name)) {
                    (Some(left), Some(right)) if descending => right.partial_cmp(&left).unwrap(),
                    (Some(left), Some(right)) => left.partial_cmp(&right).unwrap(),
                    // What has no value comes last in either direction.
                    (left, right) => right.is_some().cmp(&left.is_some()),
                };
                order.then_with(|| worst_first(left, right))
            });
        }
    }
}

fn worst_first(left: &Finding, right: &Finding) -> Ordering {
    let number = |finding: &Finding, name: &str| {
        // What no number of 32 bits is comes last, as what is not there.
        finding[name].as_i64().and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX)
    };
    let score =
        |finding: &Finding| finding.get("cvss_score").and_then(Value::as_f64).map(|score| score.clamp(0.0, 500.0));
    let severity = severity(left).cmp(&severity(right)).reverse();
    let result = result(left).cmp(&result(right));
    result
        .then(severity)
        .then_with(|| score(left).partial_cmp(&score(right)).unwrap().reverse())
        .then_with(|| {
            text(left["host"].as_str().unwrap_or_default())
                .partial_cmp(&text(right["host"].as_str().unwrap_or_default()))
                .unwrap()
        })
        .then_with(|| number(left, "port").cmp(&number(right, "port")))
        .then_with(|| number(left, "plugin_id").cmp(&number(right, "plugin_id")))
}

/// The place of a check's result; that of a vulnerability is always the same.
fn result(finding: &Finding) -> usize {
    match finding.get("cm:compliance-result").and_then(Value::as_str) {
        Some("FAILED") => 0,
        Some("ERROR") => 1,
        Some("WARNING") => 2,
        Some("PASSED") => 4,
        _ => 3,
    }
}

/// The place of a severity among its kind.
pub(crate) fn severity(finding: &Finding) -> Option<usize> {
    let names = ["Info", "Low", "Medium", "High", "Critical"];
    names.iter().position(|name| finding.get("severity").is_some_and(|found| found == name))
}

#[derive(Debug, PartialEq, PartialOrd)]
enum Key {
    Number(f64),
    Address(IpAddr),
    Name(String),
}

/// Addresses by number before names without regard to case.
fn text(text: &str) -> Key {
    text.parse().map_or_else(|_| Key::Name(text.to_lowercase()), Key::Address)
}

/// What the first value of a field sorts by; `None` when it has none that fits the field.
fn key(finding: &Finding, name: &str) -> Option<Key> {
    use reference::Kind;
    let mut value = finding.get(name).filter(|value| !value.is_null());
    if let Some(Value::Array(values)) = value {
        // An element without a text has attributes only: it says nothing to sort by.
        value = values.iter().find(|value| !value.is_object() || !value["value"].is_null());
    }
    let number = |number: f64| Some(Key::Number(number));
    match (reference::kind(name), value) {
        #[expect(clippy::cast_precision_loss, reason = "there are five severities")]
        (Kind::Severity, _) => severity(finding).and_then(|severity| number(severity as f64)),
        (Kind::Boolean, Some(Value::Bool(value))) => number(f64::from(*value)),
        // Nobody has said that the host was scanned without a login; the others are false when they are not there.
        (Kind::Boolean, None) if name != "credentialed" => number(0.0),
        (Kind::Integer | Kind::Number, Some(Value::Number(value))) => number(value.as_f64().unwrap()),
        (Kind::Date, Some(Value::String(value))) => reference::day(value.trim()).map(f64::from).and_then(number),
        (Kind::Text | Kind::Outcome, Some(Value::String(value))) => Some(by_text(value)),
        (Kind::Text, Some(Value::Object(value))) => value["value"].as_str().map(by_text),
        _ => None,
    }
}

fn by_text(value: &str) -> Key {
    let mut end = value.len().min(64);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    text(&value[..end].to_lowercase())
}
