//! The engine and the reference on the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use nessus_mcp_lib::{
    error::Classified as _,
    results::{RecordKind, ResultsError},
};
use serde_json::{Map, Value, json};

use crate::{
    engine::{self, Answer},
    reference::{self, Export, Item},
};

/// What both agree on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) items: usize,
    /// Fields of these items.
    pub(crate) fields: usize,
    /// The code both refuse the file with.
    pub(crate) refused: Option<&'static str>,
}

/// Holds the engine against the reference.
///
/// # Errors
/// The first difference, in words.
pub(crate) fn compare(export: &[u8]) -> Result<Agreed, String> {
    let found = RecordKind::ALL.map(|kind| engine::ask(export, engine::everything().kind(kind)));
    let mut expected = reference::read(export);
    if let (Ok(expected), [Ok(one), Ok(another)]) = (&mut expected, &found) {
        leave_out_repeated(expected, &[one, another])?;
    }
    let mut agreed = Agreed::default();
    for (kind, found) in RecordKind::ALL.iter().zip(&found) {
        let Agreed { items, fields, refused } = compare_answers(&expected, *kind, found)?;
        agreed = Agreed { items: agreed.items + items, fields: agreed.fields + fields, refused };
    }
    Ok(agreed)
}

/// What the reference reads, without what the engine leaves out.
///
/// # Errors
/// That what is left out should not be.
pub(crate) fn united(export: &[u8]) -> Result<Export, String> {
    let found = RecordKind::ALL.map(|kind| engine::ask(export, engine::everything().kind(kind)).unwrap());
    let mut expected = reference::read(export).unwrap();
    leave_out_repeated(&mut expected, &found.each_ref()).map(|()| expected)
}

/// Leaves out what the engine does because another block of the machine has it, and holds the engine against the promise
/// that nothing is lost: what is left out has findings of its plugin at its place that are shown, and of one block.
fn leave_out_repeated(expected: &mut Export, found: &[&Answer]) -> Result<(), String> {
    let mut shown: Vec<_> = found.iter().map(|found| found.findings().peekable()).collect();
    let machines = expected.machines.clone();
    let place = |item: &Item| {
        let field = |name: &str| item.fields.get(name).unwrap_or(&Value::Null).to_string().to_lowercase();
        // A plugin without a number is known by its name.
        let plugin = if item.fields["plugin_id"].is_number() { String::new() } else { field("plugin_name") };
        (machines[item.block], ["plugin_id", "port", "protocol"].map(field), plugin)
    };
    let mut left_out = Vec::new();
    for item in std::mem::take(&mut expected.items) {
        let at = RecordKind::ALL.iter().position(|kind| item.fields["type"] == kind.name()).unwrap();
        if shown[at].next_if(|found| compare_items(&item.fields, found).is_ok()).is_some() {
            expected.items.push(item);
        } else {
            left_out.push(item);
        }
    }
    if let Some(unexpected) = shown.iter_mut().find_map(Iterator::next) {
        return Err(format!("this should not be there, or not so: {unexpected:?}"));
    }
    let is_repeated =
        |item: &&Item| expected.items.iter().any(|kept| kept.block != item.block && place(kept) == place(item));
    if let Some(lost) = left_out.iter().find(|item| !is_repeated(item)) {
        return Err(format!("this is nowhere: {:?}", lost.fields));
    }
    let said = found[0].lines[1]["repeated_items"].as_u64().unwrap_or_default();
    if said == left_out.len() as u64 {
        Ok(())
    } else {
        Err(format!("{said} left out, and should be {}", left_out.len()))
    }
}

fn compare_answers(
    expected: &Result<Export, &'static str>,
    kind: RecordKind,
    found: &Result<Answer, ResultsError>,
) -> Result<Agreed, String> {
    let (expected, found) = match (expected, found) {
        (Err(expected), Err(found)) if *expected == found.code() => {
            return Ok(Agreed { refused: Some(expected), ..Agreed::default() });
        }
        (Err(expected), Err(found)) => {
            return Err(format!("refused with {} and not {expected}: {found}", found.code()));
        }
        (Err(expected), Ok(_)) => return Err(format!("converted, and should be refused with {expected}")),
        (Ok(_), Err(found)) => return Err(format!("refused, and should be converted: {} {found}", found.code())),
        (Ok(expected), Ok(found)) => (expected, found),
    };
    let mut of_all: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in expected.items.iter().flat_map(|item| &item.mismatches) {
        *of_all.entry(name.clone()).or_default() += count;
    }
    let items = expected.items.iter().map(|item| &item.fields).filter(|fields| fields["type"] == kind.name());
    let items: Vec<&Map<String, Value>> = items.collect();
    let mut fields = 0;
    for (at, (expected, found)) in items.iter().zip(found.findings()).enumerate() {
        compare_items(expected, found).map_err(|difference| format!("item {at}: {difference}"))?;
        fields += found.len();
    }
    let [schema, metadata, ..] = &*found.lines else { return Err("an answer without schema and metadata".to_owned()) };
    let mut mismatches: BTreeMap<String, u64> = BTreeMap::new();
    for warning in metadata["data_warnings"].as_array().into_iter().flatten() {
        if let (Some(field), Some(count)) = (warning["field"].as_str(), warning["count"].as_u64()) {
            mismatches.insert(field.to_owned(), count);
        }
    }
    let names: BTreeSet<&String> = items.iter().flat_map(|item| item.keys()).filter(|name| *name != "type").collect();
    let mut shown: Vec<&str> = schema["fields"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    shown.sort_unstable();
    for (what, expected, found) in [
        ("items", json!(items.len()), json!(found.findings().count())),
        ("matched", json!(items.len()), schema["matched"].clone()),
        ("total", json!(items.len()), schema["total"].clone()),
        ("hosts", json!(expected.hosts), metadata["hosts"].clone()),
        ("values that do not fit", json!(of_all), json!(mismatches)),
        ("names of fields", json!(names), json!(shown)),
    ] {
        if expected != found {
            return Err(format!("{what}: {found}, and should be {expected}"));
        }
    }
    Ok(Agreed { items: items.len(), fields, refused: None })
}

fn compare_items(expected: &Map<String, Value>, found: &Map<String, Value>) -> Result<(), String> {
    let place = || format!("host {}, plugin {}", found["host"], found["plugin_id"]);
    for (name, value) in expected {
        let other = found.get(name);
        if other != Some(value) {
            return Err(format!("{}: `{name}` is {other:?}, and should be {value:?}", place()));
        }
    }
    match found.keys().find(|name| !expected.contains_key(*name)) {
        Some(name) => Err(format!("{}: `{name}` should not be there", place())),
        None => Ok(()),
    }
}
