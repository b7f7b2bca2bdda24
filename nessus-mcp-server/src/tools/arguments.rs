//! Reads arguments as agents write them: forgiving in form, strict in meaning.
//!
//! Takes the arguments of a call and the tool's input schema. Gives arguments that have the types of the schema: `"1"` for a
//! whole number, a list for `targets`, a JSON text for an object are taken. What is unknown, missing or of another type is
//! refused in words that an agent can act on, before anything else reads it. An error shows names and types, never values: a
//! value may be a secret.

use nessus_mcp_lib::error::{excerpt, nearest};
use rmcp::model::{CallToolResult, JsonObject, Tool};
use serde_json::{Map, Value};

use super::answer::{INVALID_ARGUMENTS, refusal};

/// Names that are accepted beside those of the schemas.
const ALIASES: [(&str, &str); 3] =
    [("status_filter", "status"), ("ssh_username", "username"), ("ssh_password", "password")];

/// Text arguments that may come as a list of texts, which is then separated by commas.
const LISTS_AS_TEXT: [&str; 1] = ["targets"];

/// How an argument is written, where its type alone does not say.
const EXAMPLES: [(&str, &str); 5] = [
    ("targets", r#""192.0.2.0/28, db.example.com""#),
    ("task_id", r#""ne_ness_20261128_143022_a1b2c3d4""#),
    ("filters", r#"{"severity": ">=High"}"#),
    ("custom_fields", r#"["host", "plugin_id"]"#),
    ("extra_fields", r#"["port", "see_also"]"#),
];

/// What is wrong with an argument, and what to do.
struct Wrong {
    message: String,
    hint: String,
}

/// The arguments in the types of the tool's schema.
pub(super) fn read(tool: &Tool, arguments: JsonObject) -> Result<JsonObject, CallToolResult> {
    let schema = Schema { root: &tool.input_schema, node: &tool.input_schema };
    read_object(schema, arguments, &tool.name, "")
        .map_err(|Wrong { message, hint }| refusal(INVALID_ARGUMENTS, message, Some(hint)))
}

/// A place in a JSON schema.
#[derive(Clone, Copy)]
struct Schema<'s> {
    root: &'s Map<String, Value>,
    node: &'s Map<String, Value>,
}

impl<'s> Schema<'s> {
    /// The schema at a node: what a reference points to, and of alternatives the one that is an object.
    fn at(self, node: &'s Value) -> Option<Self> {
        let node = node.as_object()?;
        if let Some(Value::String(reference)) = node.get("$ref") {
            let name = reference.strip_prefix("#/$defs/")?;
            return self.at(self.root.get("$defs")?.get(name)?);
        }
        if let Some(Value::Array(alternatives)) = node.get("anyOf") {
            let mut objects = alternatives.iter().filter_map(|alternative| self.at(alternative));
            return objects.find(|schema| schema.kind() == Some("object"));
        }
        Some(Self { node, ..self })
    }

    fn kind(self) -> Option<&'s str> {
        self.node.get("type")?.as_str()
    }

    /// The members of an object; `None` where any member is allowed.
    fn members(self) -> Option<&'s Map<String, Value>> {
        self.node.get("properties")?.as_object()
    }

    fn required(self) -> impl Iterator<Item = &'s str> {
        self.node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}

fn read_object(schema: Schema<'_>, given: JsonObject, owner: &str, path: &str) -> Result<JsonObject, Wrong> {
    let Some(members) = schema.members() else { return Ok(given) };
    let mut read = JsonObject::new();
    for (name, value) in given {
        let alias = ALIASES.iter().find(|(alias, known)| *alias == name && members.contains_key(*known));
        let name = alias.map_or(name, |(_, known)| (*known).to_owned());
        let Some(member) = members.get(&name) else { return Err(unknown(&name, members, owner, path)) };
        // An argument that is null is one that was left out.
        if value.is_null() {
            continue;
        }
        let shown = format!("{path}{name}");
        let value = match schema.at(member) {
            Some(member) => read_value(member, value, &name, &shown)?,
            None => value,
        };
        if read.insert(name, value).is_some() {
            let hint = "give it once".to_owned();
            return Err(Wrong { message: format!("`{shown}` is given twice, under two names"), hint });
        }
    }
    match schema.required().find(|name| !read.contains_key(*name)) {
        Some(missing) => Err(Wrong {
            message: format!("`{path}{missing}` is missing"),
            hint: match members.get(missing).and_then(|member| schema.at(member)) {
                Some(member) => hint(member, missing),
                None => format!("give `{missing}`"),
            },
        }),
        None => Ok(read),
    }
}

fn read_value(schema: Schema<'_>, value: Value, name: &str, shown: &str) -> Result<Value, Wrong> {
    let wrong = |value: &Value| Wrong {
        message: format!("`{shown}` must be {}, not {}", wanted(schema), found(value)),
        hint: hint(schema, name),
    };
    match schema.kind() {
        Some("string") => match value {
            Value::String(_) => Ok(value),
            Value::Array(texts) if LISTS_AS_TEXT.contains(&name) && texts.iter().all(Value::is_string) => {
                let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
                Ok(Value::from(texts.join(", ")))
            }
            other => Err(wrong(&other)),
        },
        Some("integer") => whole(&value).map(Value::from).ok_or_else(|| wrong(&value)),
        Some("boolean") => match &value {
            Value::Bool(_) => Ok(value),
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(Value::from(true)),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(Value::from(false)),
            _ => Err(wrong(&value)),
        },
        Some("array") => {
            let value = match value {
                Value::String(text) => list(&text).unwrap_or(Value::String(text)),
                other => other,
            };
            let Value::Array(items) = value else { return Err(wrong(&value)) };
            let Some(item) = schema.node.get("items").and_then(|item| schema.at(item)) else {
                return Ok(Value::Array(items));
            };
            let shown = format!("{shown}[]");
            let read = |value| {
                let as_list = |wrong| Wrong { hint: hint(schema, name), ..wrong };
                read_value(item, value, name, &shown).map_err(as_list)
            };
            items.into_iter().map(read).collect()
        }
        Some("object") => {
            let value = match value {
                Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                other => other,
            };
            let Value::Object(members) = value else { return Err(wrong(&value)) };
            read_object(schema, members, &format!("`{shown}`"), &format!("{shown}.")).map(Value::Object)
        }
        _ => Ok(value),
    }
}

/// A whole number, also as text, and as `1.0`.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_i64().or_else(|| {
            let text = number.to_string();
            text.strip_suffix(".0")?.parse().ok()
        }),
        _ => None,
    }
}

/// A list written as a JSON text, or as texts between commas.
fn list(text: &str) -> Option<Value> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).ok();
    }
    Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect())
}

fn unknown(name: &str, members: &Map<String, Value>, owner: &str, path: &str) -> Wrong {
    let shown = excerpt(name);
    if members.is_empty() {
        let message = format!("{owner} takes no arguments, and so no `{shown}`");
        return Wrong { message, hint: "call it with {}".to_owned() };
    }
    let names = nearest(name, members.keys().map(String::as_str));
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{path}{name}`")).collect::<Vec<_>>().join(", ");
    let (near, rest) = names.split_at(1);
    let others = if rest.is_empty() { String::new() } else { format!(" all others: {}", quoted(rest)) };
    Wrong {
        message: format!("`{path}{shown}` is no argument of {owner}"),
        hint: format!("did you mean {}?{others}", quoted(near)),
    }
}

/// The type in words.
fn wanted(schema: Schema<'_>) -> &'static str {
    match schema.kind() {
        Some("string") => "a text",
        Some("integer") => "a whole number",
        Some("boolean") => "true or false",
        Some("array") => "a list",
        _ => "an object",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "this number",
        Value::String(_) => "this text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn hint(schema: Schema<'_>, name: &str) -> String {
    let is_task = name.ends_with("task_id");
    let known = EXAMPLES.iter().find(|(known, _)| *known == name || is_task && *known == "task_id");
    let example = match (known, schema.kind()) {
        (Some((_, example)), _) => (*example).to_owned(),
        (None, Some("string")) => {
            let word = schema.node.get("enum").and_then(|words| words.get(0));
            word.map_or_else(|| r#""...""#.to_owned(), Value::to_string)
        }
        (None, Some("integer")) => schema.node.get("minimum").map_or_else(|| "1".to_owned(), Value::to_string),
        (None, Some("boolean")) => "true".to_owned(),
        (None, Some("array")) => r#"["..."]"#.to_owned(),
        (None, _) => "{...}".to_owned(),
    };
    format!("for example `\"{name}\": {example}`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::ScanTools, *};

    /// What a tool reads, or the message and the hint.
    fn read_as(tool: &str, arguments: Value) -> Result<Value, (String, String)> {
        let router = ScanTools::router();
        let Value::Object(arguments) = arguments else { unreachable!("arguments are an object") };
        read(router.get(tool).unwrap(), arguments).map(Value::Object).map_err(|refused| {
            let answer = refused.structured_content.unwrap();
            assert_eq!(answer["error"], "invalid_arguments");
            let text = |key: &str| answer[key].as_str().unwrap().to_owned();
            (text("message"), text("hint"))
        })
    }

    #[test]
    fn every_form_of_a_value_is_taken() {
        let task = json!("ne_ness_20261128_143022_a1b2c3d4");
        for (given, read) in [
            (json!({ "page": "2" }), json!({ "page": 2 })),
            (json!({ "page": " 2 " }), json!({ "page": 2 })),
            (json!({ "page": 2.0 }), json!({ "page": 2 })),
            (json!({ "page": null }), json!({})),
            (json!({ "filters": r#"{"severity": "High"}"# }), json!({ "filters": { "severity": "High" } })),
            (json!({ "custom_fields": "host, port" }), json!({ "custom_fields": ["host", "port"] })),
            (json!({ "custom_fields": r#"["host"]"# }), json!({ "custom_fields": ["host"] })),
        ] {
            let with_task = |mut arguments: Value| {
                arguments["task_id"] = task.clone();
                arguments
            };
            assert_eq!(read_as("get_scan_results", with_task(given.clone())), Ok(with_task(read)), "{given}");
        }
        let targets = json!({ "name": "n", "targets": ["192.0.2.1", "db.example.com"] });
        let read = json!({ "name": "n", "targets": "192.0.2.1, db.example.com" });
        assert_eq!(read_as("run_untrusted_scan", targets), Ok(read));
        let old_name = json!({ "status_filter": "failed" });
        assert_eq!(read_as("list_tasks", old_name), Ok(json!({ "status": "failed" })));
    }

    #[test]
    fn a_wrong_form_is_named_with_what_would_be_right() {
        for (tool, arguments, message, hint) in [
            (
                "run_untrusted_scan",
                json!({ "tarjets": "x" }),
                "`tarjets` is no argument of run_untrusted_scan",
                "`targets`?",
            ),
            ("list_pools", json!({ "pool": "x" }), "list_pools takes no arguments", "{}"),
            ("run_untrusted_scan", json!({ "targets": "x" }), "`name` is missing", "\"name\":"),
            (
                "run_untrusted_scan",
                json!({ "name": 7, "targets": "x" }),
                "`name` must be a text, not this number",
                "\"name\":",
            ),
            (
                "run_untrusted_scan",
                json!({ "name": "n", "targets": [1] }),
                "`targets` must be a text, not a list",
                "192.0.2.0/28",
            ),
            ("get_scan_status", json!({ "task_id": null }), "`task_id` is missing", "\"task_id\": \"ne_ness_"),
            (
                "get_scan_results",
                json!({ "page": "two" }),
                "`page` must be a whole number, not this text",
                "\"page\": 0",
            ),
            (
                "get_scan_results",
                json!({ "page": 1.5 }),
                "`page` must be a whole number, not this number",
                "\"page\": 0",
            ),
            (
                "get_scan_results",
                json!({ "page": 1e30 }),
                "`page` must be a whole number, not this number",
                "\"page\": 0",
            ),
            (
                "get_scan_results",
                json!({ "filters": ["severity"] }),
                "`filters` must be an object, not a list",
                "severity",
            ),
            (
                "get_scan_results",
                json!({ "filters": "severity" }),
                "`filters` must be an object, not this text",
                "severity",
            ),
            ("get_scan_results", json!({ "custom_fields": [1] }), "`custom_fields[]` must be a text", "[\"host\""),
            ("list_tasks", json!({ "status": "failed", "status_filter": "failed" }), "`status` is given twice", "once"),
        ] {
            let refused = read_as(tool, arguments.clone()).unwrap_err();
            assert!(refused.0.contains(message) && refused.1.contains(hint), "{tool} {arguments}: {refused:?}");
        }
    }

    #[test]
    fn no_value_is_repeated() {
        let secret = "planted-secret";
        for arguments in [
            json!({ "name": { "p": secret }, "targets": "x" }),
            json!({ "targets": [[secret]], "name": "n" }),
            json!({ "name": "n", "targets": "x", "password": secret }),
        ] {
            let refused = read_as("run_untrusted_scan", arguments).unwrap_err();
            assert!(!refused.0.contains(secret) && !refused.1.contains(secret), "{refused:?}");
        }
    }
}
