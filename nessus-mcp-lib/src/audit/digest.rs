//! Digests of arguments, which prove what was asked for to whoever has it, and show it to nobody else.

use serde_json::Value;

use super::chain::Hash;

/// The digest of arguments: `sha256:` and 64 hexadecimal digits, of their canonical JSON. In that there is no white space, and
/// the members of each object are sorted by the bytes of their names.
///
/// Leave secrets out before: who has a digest could guess at a short one.
///
/// ```
/// use nessus_mcp_lib::audit::digest;
/// use serde_json::json;
/// assert_eq!(digest(&json!({ "b": 1, "a": [true] })), digest(&json!({ "a": [true], "b": 1 })));
/// assert!(digest(&json!({})).starts_with("sha256:44136fa355b3678a"));
/// ```
pub fn digest(arguments: &Value) -> String {
    let mut text = String::new();
    write(arguments, &mut text);
    digest_of(text.as_bytes())
}

/// The digest of bytes, such as those of a file.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", Hash::of(bytes))
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_bytes());
            text.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write(item, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}
