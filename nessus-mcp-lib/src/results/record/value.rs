//! Values with their types, and how a text gets one.

use std::fmt;

use super::{fields::Kind, identity::FindingKey, item::Occurrence};

/// How bad a finding is, as `ReportItem/@severity` says it: 0 to 4.
///
/// Nessus derives it by the scan's `severity_basis` and by rules of the operator; it is never derived here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Severity {
    /// 0
    Info,
    /// 1
    Low,
    /// 2
    Medium,
    /// 3
    High,
    /// 4
    Critical,
}

impl Severity {
    /// From `Info` to `Critical`.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "Info",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }

    /// The severity of a number from 0 to 4.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|index| Self::ALL.get(index).copied())
    }

    /// The severity of a name, in any case; `none` and `informational` are also names of [`Severity::Info`].
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("none") || name.eq_ignore_ascii_case("informational") {
            return Some(Self::Info);
        }
        Self::ALL.into_iter().find(|severity| severity.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for Severity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A value with its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'r> {
    /// Text.
    Text(&'r str),
    /// A whole number.
    Integer(i64),
    /// A finite decimal number.
    Number(f64),
    /// A severity.
    Severity(Severity),
    /// A truth value.
    Boolean(bool),
    /// A date as it is written, and as the number YYYYMMDD.
    Date(&'r str, u32),
    /// An element with its attributes.
    Element(&'r Occurrence),
    /// What a finding is known by.
    Key(FindingKey),
    /// A text that does not fit the field's type.
    TypeMismatch(&'r str),
}

/// Gives a text its type.
pub(super) fn typed(kind: Kind, text: &str) -> Value<'_> {
    let trimmed = trim(text);
    let value = match kind {
        Kind::Text | Kind::Host | Kind::Attachment => Some(Value::Text(text)),
        Kind::Integer => trimmed.parse().ok().map(Value::Integer),
        Kind::Number => number(trimmed).map(Value::Number),
        Kind::Severity => trimmed.parse().ok().and_then(Severity::from_number).map(Value::Severity),
        Kind::Boolean => boolean(trimmed).map(Value::Boolean),
        Kind::Date => day(trimmed).map(|day| Value::Date(text, day)),
        Kind::Key => trimmed.parse().ok().map(Value::Key),
    };
    value.unwrap_or(Value::TypeMismatch(text))
}

/// The text without white space around it, which few texts have.
pub(super) fn trim(text: &str) -> &str {
    let is_graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if is_graphic(text.as_bytes().first()) && is_graphic(text.as_bytes().last()) { text } else { text.trim() }
}

/// A decimal number; `inf` and `nan` are none.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `true`, `True` or `1`, and their opposites.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") || text == "1" {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// The calendar day of `YYYY/MM/DD`, `YYYY-MM-DD` or an ISO 8601 time, as the number YYYYMMDD.
///
/// A time of day and its offset are left aside: the day is the one that is written.
pub(crate) fn day(text: &str) -> Option<u32> {
    let bytes = text.as_bytes();
    let (separator, second) = (bytes.get(4)?, bytes.get(7)?);
    if !matches!(separator, b'/' | b'-') || second != separator || !matches!(bytes.get(10), None | Some(b'T' | b' ')) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| -> Option<u32> {
        let digits = bytes.get(range)?;
        let value = digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit.wrapping_sub(b'0')));
        digits.iter().all(u8::is_ascii_digit).then_some(value)
    };
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(year * 10_000 + month * 100 + day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_get_their_types() {
        for (kind, text, expected) in [
            (Kind::Integer, " 443 ", Value::Integer(443)),
            (Kind::Integer, "44x", Value::TypeMismatch("44x")),
            (Kind::Number, "10.0", Value::Number(10.0)),
            (Kind::Number, "NaN", Value::TypeMismatch("NaN")),
            (Kind::Number, "inf", Value::TypeMismatch("inf")),
            (Kind::Severity, "4", Value::Severity(Severity::Critical)),
            (Kind::Severity, "5", Value::TypeMismatch("5")),
            (Kind::Severity, "", Value::TypeMismatch("")),
            (Kind::Boolean, "True", Value::Boolean(true)),
            (Kind::Boolean, "maybe", Value::TypeMismatch("maybe")),
            (Kind::Date, "2026/11/20", Value::Date("2026/11/20", 20_261_120)),
            (Kind::Date, "2026-11-20T18:00:00+02:00", Value::Date("2026-11-20T18:00:00+02:00", 20_261_120)),
            (Kind::Date, "2026/13/01", Value::TypeMismatch("2026/13/01")),
            (Kind::Date, "20/11/2026", Value::TypeMismatch("20/11/2026")),
            (Kind::Date, "2026/11/20x", Value::TypeMismatch("2026/11/20x")),
            (Kind::Text, " a ", Value::Text(" a ")),
        ] {
            assert_eq!(typed(kind, text), expected, "{kind:?} {text}");
        }
    }
}
