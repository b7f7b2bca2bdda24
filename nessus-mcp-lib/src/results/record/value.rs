//! Values with their types, and how a text gets one.

use super::{
    fields::{FieldId, Kind},
    identity::FindingKey,
    item::Occurrence,
    severity::{Severity, severity},
    spelling::{boolean, day, decimal, integer},
};

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

/// Gives what a text [means](meant) its type.
pub(super) fn typed(id: FieldId, text: &str) -> Value<'_> {
    let value = match id.field().kind {
        Kind::Text | Kind::Host | Kind::Name | Kind::Outcome | Kind::Attachment => Some(Value::Text(text)),
        Kind::Integer => integer(id, text).map(Value::Integer),
        Kind::Number => decimal(text).map(Value::Number),
        Kind::Severity => severity(text).map(Value::Severity),
        Kind::Boolean => boolean(text).map(Value::Boolean),
        Kind::Date => day(text).map(|day| Value::Date(text, day)),
        Kind::Key => text.parse().ok().map(Value::Key),
    };
    value.unwrap_or(Value::TypeMismatch(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_get_their_types() {
        use FieldId::{CiscoSa, CvssBaseScore, Cwe, EdbId, ExploitAvailable, PatchPublicationDate, Port, RiskFactor};
        for (id, text, expected) in [
            (Port, "443", Value::Integer(443)),
            (Port, "44x", Value::TypeMismatch("44x")),
            (Port, "CWE-44", Value::TypeMismatch("CWE-44")),
            (Cwe, "20", Value::Integer(20)),
            (Cwe, "CWE-20", Value::Integer(20)),
            (Cwe, "cwe:20", Value::Integer(20)),
            (Cwe, "CWE 20", Value::Integer(20)),
            (Cwe, "CWE-ID: 020", Value::Integer(20)),
            (Cwe, "CWE20:", Value::Integer(20)),
            (Cwe, "-5", Value::Integer(-5)),
            (Cwe, "CVE-2020", Value::TypeMismatch("CVE-2020")),
            (Cwe, "CWE-20x", Value::TypeMismatch("CWE-20x")),
            (EdbId, "EDB-ID:123", Value::Integer(123)),
            (FieldId::Bid, "BID-123", Value::Integer(123)),
            (FieldId::Osvdb, "OSVDB-1", Value::Integer(1)),
            (CvssBaseScore, "10.0", Value::Number(10.0)),
            (CvssBaseScore, "7,5", Value::Number(7.5)),
            (CvssBaseScore, "7,5,1", Value::TypeMismatch("7,5,1")),
            (CvssBaseScore, "NaN", Value::TypeMismatch("NaN")),
            (CvssBaseScore, "inf", Value::TypeMismatch("inf")),
            (FieldId::Severity, "4", Value::Severity(Severity::Critical)),
            (FieldId::Severity, "high", Value::Severity(Severity::High)),
            (FieldId::Severity, "5", Value::TypeMismatch("5")),
            (ExploitAvailable, "True", Value::Boolean(true)),
            (ExploitAvailable, "No", Value::Boolean(false)),
            (ExploitAvailable, "maybe", Value::TypeMismatch("maybe")),
            (PatchPublicationDate, "2026/11/20", Value::Date("2026/11/20", 20_261_120)),
            (PatchPublicationDate, "2026-1-2", Value::Date("2026-1-2", 20_260_102)),
            (PatchPublicationDate, "20261120T18", Value::Date("20261120T18", 20_261_120)),
            (PatchPublicationDate, "2026-11-20T18:00:00+02:00", Value::Date("2026-11-20T18:00:00+02:00", 20_261_120)),
            (PatchPublicationDate, "2026/13/01", Value::TypeMismatch("2026/13/01")),
            (PatchPublicationDate, "2026/11-20", Value::TypeMismatch("2026/11-20")),
            (PatchPublicationDate, "2026/11/", Value::TypeMismatch("2026/11/")),
            (PatchPublicationDate, "20/11/2026", Value::TypeMismatch("20/11/2026")),
            (PatchPublicationDate, "2026/11/20x", Value::TypeMismatch("2026/11/20x")),
            (PatchPublicationDate, "1795200612", Value::TypeMismatch("1795200612")),
            (RiskFactor, "N/A", Value::Text("N/A")),
            (CiscoSa, "cisco-sa-1", Value::Text("cisco-sa-1")),
        ] {
            assert_eq!(typed(id, text), expected, "{id:?} {text}");
        }
    }
}
