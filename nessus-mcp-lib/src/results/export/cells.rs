//! Values as texts, for formats that have no types.

use std::{borrow::Cow, fmt::Write as _};

use crate::results::{
    record::{FieldRef, Record, Value},
    texts::untrusted,
};

/// Between the values of a field.
pub(super) const SEPARATOR: &str = "; ";

/// Whether a text of a field is text, that is, no number, severity or truth value.
pub(super) const fn is_text(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(_) | Value::TypeMismatch(_) | Value::Date(..) | Value::Element(_))
}

/// Calls `take` with every value of a field: one, unless it is a list or repeats.
pub(super) fn values<'r>(record: &Record<'r>, field: &FieldRef, mut take: impl FnMut(Value<'r>)) {
    match field {
        FieldRef::Declared(id) => {
            record.any(*id, |value| {
                take(value);
                false
            });
        }
        FieldRef::Other(name) => record.others(name).for_each(|text| take(Value::Text(text))),
    }
}

/// A value as text, without characters that are not to be seen.
pub(super) fn text<'r>(value: Value<'r>, record: &Record<'r>) -> Cow<'r, str> {
    match value {
        Value::Text(text) | Value::TypeMismatch(text) | Value::Date(text, _) => untrusted::clean(text),
        Value::Integer(number) => Cow::Owned(number.to_string()),
        // As in JSON: 10.0 for a score, not 10.
        Value::Number(number) => Cow::Owned(format!("{number:?}")),
        Value::Severity(severity) => Cow::Borrowed(severity.name()),
        Value::Key(key) => Cow::Owned(key.to_string()),
        Value::Boolean(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Value::Element(occurrence) => {
            let mut text = String::new();
            for attribute in record.attributes(occurrence) {
                // Writing to a string does not fail.
                let _ = write!(text, "{}={} ", attribute.name, attribute.value);
            }
            text.push_str(record.item.value(occurrence));
            Cow::Owned(untrusted::clean(&text).into_owned())
        }
    }
}

/// Whether a text is a link to a page, and nothing else.
pub(super) fn is_link(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        rest.starts_with(|first: char| first.is_ascii_alphanumeric())
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&byte))
            && rest.matches('#').count() < 2
            && rest
                .split('%')
                .skip(1)
                .all(|after| after.len() >= 2 && after.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()))
    })
}
