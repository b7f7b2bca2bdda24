//! Rewrites the input schemas of tools so that every client can read them. Some clients warn about or refuse what the
//! generator writes.

use std::sync::Arc;

use rmcp::model::Tool;
use serde_json::{Map, Value};

/// Rewrites the input schema of a tool.
pub(crate) fn normalise(tool: &mut Tool) {
    let mut schema = tool.input_schema.as_ref().clone();
    rewrite(&mut schema);
    // OpenAI's function calling refuses an object without `properties`, even for a tool without arguments.
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    tool.input_schema = Arc::new(schema);
}

/// Drops `$schema`, number formats and null defaults, and turns `[T, "null"]` into `T`: an optional member is omitted, never
/// null.
fn rewrite(schema: &mut Map<String, Value>) {
    schema.remove("$schema");
    let numeric = schema.get("format").and_then(Value::as_str).is_some_and(|format| {
        format.starts_with("int") || format.starts_with("uint") || matches!(format, "float" | "double")
    });
    if numeric {
        schema.remove("format");
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    for value in schema.values_mut() {
        rewrite_below(value);
    }
}

fn rewrite_below(value: &mut Value) {
    match value {
        Value::Object(schema) => rewrite(schema),
        Value::Array(values) => values.iter_mut().for_each(rewrite_below),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nullable_and_formatted_members_become_plain() {
        let before = serde_json::json!({
            "$schema": "x", "type": "object",
            "properties": {
                "page": { "type": ["integer", "null"], "format": "int64", "default": null },
                "at": { "type": "string", "format": "date-time" },
            },
        });
        let Value::Object(mut schema) = before else { unreachable!("it is an object") };
        rewrite(&mut schema);
        assert_eq!(
            Value::Object(schema),
            serde_json::json!({
                "type": "object",
                "properties": {
                    "page": { "type": "integer" },
                    "at": { "type": "string", "format": "date-time" },
                },
            })
        );
    }
}
