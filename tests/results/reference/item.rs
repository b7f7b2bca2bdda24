//! One `ReportItem` as the profile `full` shows it.

use std::collections::BTreeMap;

use roxmltree::Node;
use serde_json::{Map, Value, json};

use super::{
    checks,
    host::Host,
    names, spelling,
    table::{self, Times, Type},
    text,
};

/// Reads an item of a host; counts the values that do not fit their field.
pub(crate) fn read(node: Node<'_, '_>, host: &Host, mismatches: &mut BTreeMap<String, u64>) -> Map<String, Value> {
    let mut item = host.fields();
    let is_check = checks::is_check(node);
    item.insert("type".to_owned(), json!(if is_check { "compliance" } else { "vulnerability" }));
    let mut values: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut others: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in names::attributes(node) {
        if is_check && name == "severity" {
            continue;
        }
        match table::ATTRIBUTES.iter().find(|(attribute, _)| *attribute == name) {
            Some((_, name)) => {
                values.entry((*name).to_owned()).or_default().extend(attribute(name, value, mismatches));
            }
            None => others.entry(name.to_owned()).or_default().extend(shown(value)),
        }
    }
    values.retain(|_, found| !found.is_empty());
    if !values.contains_key("severity") && !is_check {
        *mismatches.entry("severity".to_owned()).or_default() += 1;
    }
    for child in node.children().filter(Node::is_element) {
        let ((name, may_be_known), content) = (names::in_item(child, node), names::text(child));
        if name == "attachment" {
            values.entry(name).or_default().push(object(child, &content));
            continue;
        }
        let Some((kind, times)) = table::element(&name).filter(|_| may_be_known) else {
            let is_plain = names::attributes(child).next().is_none();
            let value = if is_plain { shown(&content) } else { Some(object(child, &content)) };
            others.entry(name).or_default().extend(value);
            continue;
        };
        if (is_check && checks::is_rating(&name)) || checks::FIRST_LINE.contains(&&*name) {
            continue;
        }
        let name = table::json_name(&name);
        let found = values.entry(name.clone()).or_default();
        let mut take = |content: &str| found.extend(typed(&name, kind, content, mismatches));
        match times {
            Times::Once => take(&content),
            Times::Often => spelling::references(&name, kind, &content).into_iter().for_each(|one| take(&one)),
            Times::Lines => content.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(take),
        }
    }
    values.retain(|_, found| !found.is_empty());
    names_of_plugin(&mut values);
    let score = best_score(&values).filter(|_| !is_check);
    for (name, value) in checks::FIRST_LINE.into_iter().zip(checks::name_and_result(node)) {
        values.entry(name.to_owned()).or_default().extend(value.map(Value::from));
    }
    if is_check && let Some(descriptions) = values.get_mut("description") {
        // It tells what was found on the machine.
        for text in descriptions.iter_mut() {
            *text = json!(text::shown(text.as_str().unwrap()));
        }
    }
    for (name, found) in values {
        if !found.is_empty() {
            let is_list = name == "attachment" || is_list(&name);
            item.insert(name, if is_list { Value::Array(found) } else { one_or_all(found) });
        }
    }
    for (name, found) in others {
        let name = match &*name {
            // `plugin_name_element` is an element that is known; this is an attribute.
            "plugin_name" => "plugin_name_attribute".to_owned(),
            _ if table::is_taken(&name) => format!("{name}_element"),
            _ => name,
        };
        item.insert(name, one_or_all(found));
    }
    item.extend(score.map(|score| ("cvss_score".to_owned(), score)));
    // These are always there.
    let always = if is_check {
        vec![("port", json!(null)), ("plugin_id", json!(null))]
    } else {
        let ratings = [("severity", json!(null)), ("cve", json!([])), ("exploit_available", json!(false))];
        [("port", json!(null)), ("plugin_id", json!(null))].into_iter().chain(ratings).collect()
    };
    for (name, absent) in always {
        item.entry(name).or_insert(absent);
    }
    if is_check {
        for name in checks::FIRST_LINE {
            item.entry(name).or_insert(json!(null));
        }
    }
    item
}

/// The attribute is the name; an element stands in for it, and is shown beside it where it says something else.
fn names_of_plugin(values: &mut BTreeMap<String, Vec<Value>>) {
    let Some(elements) = values.remove("plugin_name_element") else { return };
    match values.get("plugin_name") {
        None => {
            values.insert("plugin_name".to_owned(), elements[..1].to_vec());
        }
        Some(attribute) if elements.iter().any(|element| *element != attribute[0]) => {
            values.insert("plugin_name_element".to_owned(), elements);
        }
        Some(_) => {}
    }
}

/// CVSS 4, else 3, else 2; scans of web applications call them otherwise.
fn best_score(values: &BTreeMap<String, Vec<Value>>) -> Option<Value> {
    let scores = ["cvss4_base_score", "cvss3_base_score", "cvssv3", "cvss_base_score", "cvss"];
    scores.into_iter().filter_map(|name| values.get(name)?.first()).find(|score| score.is_number()).cloned()
}

fn is_list(json_name: &str) -> bool {
    let is_repeated = |name: &str| table::element(name).is_some_and(|(_, times)| times != Times::Once);
    is_repeated(json_name) || is_repeated(&json_name.replace('_', "-"))
}

fn one_or_all(mut values: Vec<Value>) -> Value {
    match values.len() {
        0 => Value::Null,
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}

/// An element with its attributes.
fn object(node: Node<'_, '_>, content: &str) -> Value {
    let key = |name: &str| {
        // The text is called `value`.
        let is_taken = name.trim_end_matches("_attribute") == "value";
        if is_taken { format!("{name}_attribute") } else { name.to_owned() }
    };
    let attributes = names::attributes(node).map(|(name, value)| (key(name), json!(shown(value))));
    let mut object: Map<String, Value> = attributes.collect();
    object.insert("value".to_owned(), json!(shown(content)));
    Value::Object(object)
}

fn attribute(name: &str, value: &str, mismatches: &mut BTreeMap<String, u64>) -> Option<Value> {
    if name == "severity" {
        return match spelling::severity(value) {
            Some(name) => Some(json!(name)),
            None if spelling::is_nothing(value) => None,
            None => Some(mismatch(name, value, mismatches)),
        };
    }
    let kind = if matches!(name, "port" | "plugin_id") { Type::Integer } else { Type::Text };
    typed(name, kind, value, mismatches)
}

/// What is shown of a text that has no type, unless it is empty.
fn shown(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!(text::shown(text)))
}

/// A text as what it is; one that is not stays text, and one that says nothing is nothing.
pub(crate) fn typed(name: &str, kind: Type, text: &str, mismatches: &mut BTreeMap<String, u64>) -> Option<Value> {
    if text.is_empty() || (kind != Type::Text && spelling::is_nothing(text)) {
        return None;
    }
    let value = match kind {
        Type::Text if table::is_untrusted(name) => Some(json!(text::shown(text))),
        Type::Text => Some(json!(text)),
        Type::Integer => spelling::integer(name, text).map(Value::from),
        Type::Number => spelling::number(text).map(Value::from),
        Type::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(json!(true)),
            "false" | "0" | "no" => Some(json!(false)),
            _ => None,
        },
        Type::Date => text::day(text).map(|_| json!(text)),
    };
    Some(value.unwrap_or_else(|| mismatch(name, text, mismatches)))
}

fn mismatch(name: &str, content: &str, mismatches: &mut BTreeMap<String, u64>) -> Value {
    *mismatches.entry(name.to_owned()).or_default() += 1;
    json!(content)
}
