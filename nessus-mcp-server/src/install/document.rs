//! One entry put into the text of a JSON file. Every other byte stays: order, indentation and numbers are the user's.

use std::{collections::BTreeMap, ops::Range};

use serde::Serialize;
use serde_json::{Value, value::RawValue};

/// What must happen to the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The entry stands there already.
    Nothing,
    /// This is the text with the entry.
    Added(String),
    /// This is the text with the entry in the place of another one, which differs in these members.
    Replaced(String, Vec<String>),
}

/// Puts `entry` as `key.name` into a JSON object. An empty text is an empty object.
///
/// # Errors
/// What is wrong with the text, and where: it is no JSON, has comments, or has something else where an object belongs.
pub(super) fn with_entry(text: &str, key: &str, name: &str, entry: &impl Serialize) -> Result<Change, String> {
    let entry = serde_json::to_string_pretty(entry).map_err(|error| error.to_string())?;
    let whole = if text.trim().is_empty() { "{}\n" } else { text };
    let file: &RawValue = serde_json::from_str(whole).map_err(|error| place(whole, &error))?;
    let Some(servers) = members(file).ok_or("is not a JSON object")?.remove(key) else {
        let member = format!("{}: {{\n  {}: {}\n}}", Value::from(key), Value::from(name), indented(&entry, "  "));
        return Ok(Change::Added(with_member(whole, file, &member)));
    };
    let Some(old) = members(servers).ok_or_else(|| format!("has a `{key}` that is not an object"))?.remove(name) else {
        return Ok(Change::Added(with_member(whole, servers, &format!("{}: {entry}", Value::from(name)))));
    };
    let differences = differences(old.get(), &entry).map_err(|error| error.to_string())?;
    if differences.is_empty() {
        return Ok(Change::Nothing);
    }
    let at = range(whole, old);
    let entry = indented(&entry, indent_of_line(whole, at.start));
    Ok(Change::Replaced(format!("{}{entry}{}", &whole[..at.start], &whole[at.end..]), differences))
}

/// The members of an object. Of two with one name the last counts, as it does for clients.
fn members(object: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(object.get()).ok()
}

/// The members in which two entries differ; one that is no object differs as a whole.
fn differences(old: &str, new: &str) -> Result<Vec<String>, serde_json::Error> {
    let (old, new): (Value, Value) = (serde_json::from_str(old)?, serde_json::from_str(new)?);
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        return Ok(vec!["everything".to_owned()]);
    };
    let added = after.keys().filter(|name| !before.contains_key(*name));
    let names = before.keys().chain(added).filter(|name| before.get(*name) != after.get(*name));
    Ok(names.cloned().collect())
}

/// Puts a member behind the last one of `object`, which is a part of `text`.
fn with_member(text: &str, object: &RawValue, member: &str) -> String {
    let at = range(text, object);
    let inside = &text[at.start + 1..at.end - 1];
    let space = &inside[..inside.len() - inside.trim_start().len()];
    let outer = indent_of_line(text, at.start);
    let is_empty = inside.trim().is_empty();
    let indent = match space.rsplit_once('\n') {
        Some((_, indent)) if !is_empty => indent.to_owned(),
        _ => format!("{outer}  "),
    };
    let member = indented(member, &indent);
    let before = &text[..=at.start];
    let end = format!("}}{}", &text[at.end..]);
    if is_empty {
        return format!("{before}\n{indent}{member}\n{outer}{end}");
    }
    let kept = inside.trim_end();
    format!("{before}{kept},\n{indent}{member}{}{end}", &inside[kept.len()..])
}

/// Where a part of a text stands in it.
fn range(text: &str, part: &RawValue) -> Range<usize> {
    let start = part.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + part.get().len()
}

/// The white space at the beginning of the line that has this byte.
fn indent_of_line(text: &str, at: usize) -> &str {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let rest = &text[line..];
    &rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()]
}

fn indented(text: &str, indent: &str) -> String {
    text.replace('\n', &format!("\n{indent}"))
}

/// What is wrong, and where. The parser quotes nothing of the file.
fn place(text: &str, error: &serde_json::Error) -> String {
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let rest = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    if rest.starts_with("//") || rest.starts_with("/*") {
        return format!("has a comment at line {} column {}", error.line(), error.column());
    }
    format!("is not valid JSON: {error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let (Change::Added(found) | Change::Replaced(found, _)) =
            with_entry(text, "mcpServers", "nessus", &json!({"url": "u"})).unwrap()
        else {
            panic!("nothing to do in {text}")
        };
        assert_eq!(found, expected);
        assert_eq!(with_entry(&found, "mcpServers", "nessus", &json!({"url": "u"})), Ok(Change::Nothing));
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let made = "{\n  \"mcpServers\": {\n    \"nessus\": {\n      \"url\": \"u\"\n    }\n  }\n}\n";
        check("", made);
        check("{}\n", made);
        check(
            "{\"z\": 1.50, \"a\": 1e2}",
            "{\"z\": 1.50, \"a\": 1e2,\n  \"mcpServers\": {\n    \"nessus\": {\n      \"url\": \"u\"\n    }\n  }}",
        );
        check(
            "{\n\t\"mcpServers\": {\n\t\t\"x\": {}\n\t},\n\t\"a\": \"\\u00e9}\"\n}",
            "{\n\t\"mcpServers\": {\n\t\t\"x\": {},\n\t\t\"nessus\": {\n\t\t  \"url\": \"u\"\n\t\t}\n\t},\n\t\"a\": \"\\u00e9}\"\n}",
        );
        check(
            "{\n  \"mcpServers\": {\n    \"nessus\": {\"url\": \"old\"},\n    \"x\": {}\n  }\n}",
            "{\n  \"mcpServers\": {\n    \"nessus\": {\n      \"url\": \"u\"\n    },\n    \"x\": {}\n  }\n}",
        );
        check(
            "{\"mcpServers\": {}, \"nessus\": 1}",
            "{\"mcpServers\": {\n  \"nessus\": {\n    \"url\": \"u\"\n  }\n}, \"nessus\": 1}",
        );
    }

    #[test]
    fn a_change_names_what_differs() {
        let text = r#"{"s": {"n": {"url": "v", "headers": {"Authorization": "x"}, "type": "http"}}}"#;
        let change = with_entry(text, "s", "n", &json!({"url": "u", "type": "http", "args": []})).unwrap();
        let Change::Replaced(_, names) = change else { panic!("{change:?}") };
        assert_eq!(names, ["headers", "url", "args"]);
    }

    #[test]
    fn what_is_not_plain_json_is_refused_with_its_place() {
        for (text, expected) in [
            ("{\n  // mine\n  \"a\": 1}", "has a comment at line 2 column 3"),
            ("{\n  /* mine */ \"a\": 1}", "has a comment at line 2 column 3"),
            ("// mine\n{}", "has a comment at line 1 column 1"),
            ("{\"a\": 1} // mine", "has a comment at line 1 column 10"),
            ("{\"a\": 1, // mine\n \"b\": 2}", "has a comment at line 1 column 10"),
            ("{\"a\": 1 // mine\n}", "has a comment at line 1 column 9"),
            ("{\"a\": // mine\n1}", "has a comment at line 1 column 7"),
            ("{\n  \"a\": 1,\n}", "is not valid JSON: key must be a string at line 3 column 1"),
            ("{\"a\": \"secret", "is not valid JSON: EOF while parsing a string at line 1 column 13"),
            ("[]", "is not a JSON object"),
            ("{\"s\": []}", "has a `s` that is not an object"),
        ] {
            assert_eq!(with_entry(text, "s", "n", &json!({})), Err(expected.to_owned()), "{text}");
        }
    }
}
