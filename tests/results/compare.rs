//! The engine and the reference on the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use nessus_mcp_lib::{
    error::Classified as _,
    results::{RecordKind, ResultsError},
};
use serde_json::{Map, Value, json};

use crate::{
    engine::{self, Answer},
    reference,
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
    let expected = reference::read(export);
    let mut agreed = Agreed::default();
    for kind in RecordKind::ALL {
        let of_kind = expected.clone().map(|mut expected| {
            expected.items.retain(|item| item["type"] == kind.name());
            expected
        });
        let found = engine::ask(export, engine::everything().kind(kind));
        let Agreed { items, fields, refused } = compare_answers(&of_kind, &found)?;
        agreed = Agreed { items: agreed.items + items, fields: agreed.fields + fields, refused };
    }
    Ok(agreed)
}

fn compare_answers(
    expected: &Result<reference::Export, &'static str>,
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
    let mut fields = 0;
    for (at, (expected, found)) in expected.items.iter().zip(found.findings()).enumerate() {
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
    let names: BTreeSet<&String> = expected.items.iter().flat_map(Map::keys).filter(|name| *name != "type").collect();
    let mut shown: Vec<&str> = schema["fields"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    shown.sort_unstable();
    for (what, expected, found) in [
        ("items", json!(expected.items.len()), json!(found.findings().count())),
        ("matched", json!(expected.items.len()), schema["matched"].clone()),
        ("total", json!(expected.items.len()), schema["total"].clone()),
        ("hosts", json!(expected.hosts), metadata["hosts"].clone()),
        ("values that do not fit", json!(expected.mismatches), json!(mismatches)),
        ("names of fields", json!(names), json!(shown)),
    ] {
        if expected != found {
            return Err(format!("{what}: {found}, and should be {expected}"));
        }
    }
    Ok(Agreed { items: expected.items.len(), fields, refused: None })
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
