//! The files of `deploy/`, and the values in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nessus_mcp_tests::processes::files_below;
use serde_json::Value;

/// `deploy/` of this repository.
pub(crate) fn deploy() -> PathBuf {
    root().join("deploy")
}

/// The root of this repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The text of a file of `deploy/`.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(deploy().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML text, as JSON.
pub(crate) fn yaml(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|text| !text.trim().is_empty());
    documents.map(|text| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))).collect()
}

/// The files of `deploy/` that end in this, from there on.
pub(crate) fn ending(end: &str) -> Vec<String> {
    let files = files_below(&deploy()).into_iter();
    let names = files.map(|(path, _)| path.strip_prefix(deploy()).unwrap().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(end)).collect()
}

/// The members of an object.
pub(crate) fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// The elements of a list, or none.
pub(crate) fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The texts of a list.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    elements(value).map(|one| one.as_str().unwrap_or_else(|| panic!("not a text: {one}")).to_owned()).collect()
}

#[test]
fn every_yaml_and_json_file_can_be_read() {
    let (yamls, jsons) = ([ending(".yml"), ending(".yaml")].concat(), ending(".json"));
    assert!(yamls.len() >= 10 && !jsons.is_empty(), "{yamls:?} {jsons:?}");
    for file in yamls {
        assert!(!yaml(&text(&file)).is_empty(), "{file} is empty");
    }
    for file in jsons {
        serde_json::from_str::<Value>(&text(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}
