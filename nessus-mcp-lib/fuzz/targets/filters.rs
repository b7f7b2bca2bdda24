//! Three lines as a question: filters, a sort order, a cursor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nessus_mcp_lib::{
    error::Classified as _,
    results::{FilterSet, Query, ResultsError, SortOrder},
};
use nessus_mcp_lib_fuzz::{OFFICE, assert_lines, convert, full};
use serde_json::Value;

/// What a caller may be told about a question.
const CODES: [&str; 4] = ["invalid_filter", "unknown_field", "invalid_sort", "invalid_cursor"];

fuzz_target!(|question: &str| {
    if let Err(error) = ask(question) {
        assert!(CODES.contains(&error.code()), "{error:?}");
        assert!(error.hint().is_some(), "{error}");
    }
});

fn ask(question: &str) -> Result<(), ResultsError> {
    let mut lines = question.splitn(3, '\n');
    let filters: FilterSet = lines.next().unwrap_or_default().parse()?;
    let normal = Value::Object(filters.to_json());
    let again = FilterSet::from_json(&normal).expect("the normal form is read");
    assert_eq!(again, filters, "the normal form is the same filters");
    assert_eq!(Value::Object(again.to_json()), normal, "the normal form of the normal form");
    let sort: SortOrder = lines.next().unwrap_or("file").parse()?;
    assert_eq!(sort.to_string().parse::<SortOrder>()?, sort);
    if let Some(cursor) = lines.next() {
        Query::builder().filters(filters.clone()).sort(sort.clone()).cursor(cursor).build()?;
    }
    let all = full().sort(sort.clone());
    let output = convert(OFFICE, all.filters(filters))?;
    assert_lines(&output);
    let opposite = convert(OFFICE, full().sort(sort).filters(opposite(&normal)?))?;
    let count = |output: &[u8]| {
        output.split(|byte| *byte == b'\n').filter(|line| line.starts_with(br#"{"type":"vuln"#)).count()
    };
    assert_eq!(count(&output) + count(&opposite), 23, "each finding is let through by the filter or by its opposite");
    Ok(())
}

/// The filter that lets through what this one does not; nothing, for one that lets everything through.
fn opposite(normal: &Value) -> Result<FilterSet, ResultsError> {
    let is_all = normal.as_object().is_some_and(serde_json::Map::is_empty);
    let filter = if is_all { serde_json::json!({"port": "<0"}) } else { serde_json::json!({ "not": normal }) };
    // One level deeper may be one too deep.
    FilterSet::from_json(&filter)
}
