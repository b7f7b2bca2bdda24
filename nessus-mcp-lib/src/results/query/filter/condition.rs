//! One condition on one value: how it is written, and when it holds.

use std::{cmp::Ordering, net::IpAddr};

use ipnet::IpNet;
use serde_json::Value as Json;

use crate::{
    error::excerpt,
    results::{
        error::ResultsError,
        record::{
            FieldId, FieldRef, FieldSet, FindingKey, Kind, Record, Severity, Value, as_address, boolean, day, decimal,
            integer, is_same_name, number, severity,
        },
    },
};

/// A comparison with one operand.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Contains(Needle),
    Exactly(Box<str>),
    /// The whole text, in any case.
    Word(Box<str>),
    Number(Operator, f64),
    Severity(Operator, Severity),
    Day(Operator, u32),
    Is(bool),
    Key(FindingKey),
    Address(IpAddr),
    Network(IpNet),
    /// Does not fit a field that is text, as one is that only the export can vouch for. Whether the name or the value
    /// is the mistake is not known before the export was read; see [`FilterSet::check`](super::FilterSet::check).
    Unfit {
        value: Json,
        reason: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

impl Test {
    pub(super) fn read(field: &FieldRef, value: &Json) -> Result<Self, ResultsError> {
        match (Self::read_fit(field, value), value) {
            (Err(ResultsError::InvalidFilter { reason, .. }), Json::Bool(_) | Json::String(_))
                if field.undeclared().is_some() =>
            {
                Ok(Self::Unfit { value: value.clone(), reason })
            }
            (read, _) => read,
        }
    }

    fn read_fit(field: &FieldRef, value: &Json) -> Result<Self, ResultsError> {
        let kind = kind_of(field);
        match (kind, value) {
            (_, Json::Null | Json::Object(_) | Json::Array(_)) => {
                Err(invalid(field, format!("{} is no value to compare with", type_of(value))))
            }
            (Kind::Boolean, Json::Bool(value)) => Ok(Self::Is(*value)),
            (_, Json::Bool(value)) => {
                Err(invalid(field, format!("the field is no truth value, so `{value}` does not fit it")))
            }
            (Kind::Integer | Kind::Number, Json::Number(value)) => match value.as_f64() {
                Some(value) => Ok(Self::Number(Operator::Equal, value)),
                None => Err(invalid(field, "the number is too large")),
            },
            (_, Json::Number(value)) => Self::read_text(field, kind, &value.to_string()),
            (_, Json::String(text)) => Self::read_text(field, kind, text),
        }
    }

    fn read_text(field: &FieldRef, kind: Kind, text: &str) -> Result<Self, ResultsError> {
        let wrong = |what: &str| invalid(field, format!("`{}` is not {what}", excerpt(text)));
        match kind {
            Kind::Text | Kind::Attachment => Self::text(field, text),
            Kind::Name => Self::text(field, text.trim()),
            Kind::Host => Self::host(field, text),
            Kind::Outcome => {
                let text = text.trim();
                let word = text.strip_prefix('=').map(str::trim);
                let is_word = |word: &str| word.starts_with(char::is_alphanumeric);
                // As of other texts, `=` alone is for none.
                let is_fit = word == Some("") || is_word(word.unwrap_or(text));
                if is_fit { Ok(Self::Word(word.unwrap_or(text).into())) } else { Err(wrong("a result")) }
            }
            Kind::Integer | Kind::Number => {
                let (operator, operand) = Operator::split(text);
                let number = match field {
                    FieldRef::Declared(id) if kind == Kind::Integer => {
                        #[expect(clippy::cast_precision_loss, reason = "ports and identifiers are far below 2^53")]
                        let whole = integer(*id, operand).map(|number| number as f64);
                        whole.or_else(|| number(operand))
                    }
                    _ => decimal(operand),
                };
                number.map(|number| Self::Number(operator, number)).ok_or_else(|| wrong("a number"))
            }
            Kind::Severity => {
                let (operator, operand) = Operator::split(text);
                severity(operand).map(|found| Self::Severity(operator, found)).ok_or_else(|| wrong("a severity"))
            }
            Kind::Date => {
                let (operator, operand) = Operator::split(text);
                day(operand).map(|day| Self::Day(operator, day)).ok_or_else(|| wrong("a date"))
            }
            Kind::Boolean => {
                let operand = text.trim().strip_prefix('=').unwrap_or(text).trim();
                boolean(operand).map(Self::Is).ok_or_else(|| wrong("true or false"))
            }
            Kind::Key => {
                let operand = text.trim().strip_prefix('=').unwrap_or(text).trim();
                operand.parse().map(Self::Key).map_err(|_| wrong("a finding key of version 1"))
            }
        }
    }

    fn text(field: &FieldRef, text: &str) -> Result<Self, ResultsError> {
        let text = text.trim();
        if let Some(exact) = text.strip_prefix('=') {
            let exact = exact.trim_start().into();
            let is_word = matches!(field, FieldRef::Declared(id) if FieldSet::WORDS.contains(*id));
            return Ok(if is_word { Self::Word(exact) } else { Self::Exactly(exact) });
        }
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if quoted.is_none() && (text.starts_with(['<', '>']) || text.starts_with("!=")) {
            return Err(invalid(field, format!("the field is text, and `{}` begins with an operator", excerpt(text))));
        }
        let wanted = quoted.unwrap_or(text);
        if wanted.is_empty() {
            return Err(invalid(field, "an empty text is contained in every text"));
        }
        Ok(Self::Contains(Needle::new(wanted)))
    }

    fn host(field: &FieldRef, text: &str) -> Result<Self, ResultsError> {
        let text = text.trim();
        let operand = text.strip_prefix('=').unwrap_or(text).trim();
        if let Some(address) = as_address(operand) {
            return Ok(Self::Address(address));
        }
        if let Ok(network) = operand.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        // Any other text with a `/` may be the URL of a web application.
        if operand.split_once('/').is_some_and(|(address, _)| as_address(address).is_some()) {
            return Err(invalid(field, format!("`{}` is no CIDR range", excerpt(operand))));
        }
        Self::text(field, text)
    }

    /// What [`Test::read`] reads as the same test.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Contains(needle) => {
                let text = &needle.shown;
                let looks_like_operator = text.starts_with(['<', '>', '=', '"']) || text.starts_with("!=");
                Json::String(if looks_like_operator || text.trim() != &**text {
                    format!("\"{text}\"")
                } else {
                    text.to_string()
                })
            }
            Self::Exactly(text) | Self::Word(text) => Json::String(format!("={text}")),
            Self::Number(operator, number) => Json::String(format!("{}{number}", operator.text())),
            Self::Severity(operator, severity) => Json::String(format!("{}{severity}", operator.text())),
            Self::Day(operator, day) => {
                let (year, month, day) = (day / 10_000, day / 100 % 100, day % 100);
                Json::String(format!("{}{year:04}/{month:02}/{day:02}", operator.text()))
            }
            Self::Is(value) => Json::Bool(*value),
            Self::Key(key) => Json::String(key.to_string()),
            Self::Address(address) => Json::String(address.to_string()),
            Self::Network(network) => Json::String(network.to_string()),
            Self::Unfit { value, .. } => value.clone(),
        }
    }

    /// The error of a test that cannot be applied.
    pub(super) fn check(&self, field: &FieldRef) -> Result<(), ResultsError> {
        match self {
            Self::Unfit { reason, .. } => Err(invalid(field, reason)),
            _ => Ok(()),
        }
    }

    /// Whether the test holds for a field of this record.
    pub(super) fn holds(&self, field: &FieldRef, record: &Record<'_>) -> bool {
        let id = match field {
            FieldRef::Declared(id) => *id,
            FieldRef::Other(name) => {
                let mut texts = record.others(name).peekable();
                let is_absent = texts.peek().is_none();
                return texts.any(|text| self.holds_for_text(text)) || (is_absent && self.is_for_nothing());
            }
        };
        match self {
            _ if self.is_for_nothing() => record.first(id).is_none(),
            Self::Address(_) | Self::Network(_) if id == FieldId::Host => {
                record.host.addresses().any(|address| self.holds_for_address(address))
            }
            Self::Address(_) | Self::Network(_) => {
                record.host.address().is_some_and(|address| self.holds_for_address(address))
            }
            Self::Contains(_) | Self::Exactly(_) if id == FieldId::Host => {
                record.host.known_as().any(|name| self.holds_for_name(name))
            }
            Self::Contains(_) | Self::Exactly(_) if matches!(id.field().kind, Kind::Host | Kind::Name) => {
                record.any(id, |value| matches!(value, Value::Text(name) if self.holds_for_name(name)))
            }
            Self::Contains(_) | Self::Exactly(_) | Self::Word(_) => record.any(id, |value| match value {
                Value::Text(text) => self.holds_for_text(text),
                Value::Element(occurrence) => {
                    self.holds_for_text(record.item.value(occurrence))
                        || record.attributes(occurrence).any(|attribute| self.holds_for_text(attribute.value))
                }
                _ => false,
            }),
            Self::Number(operator, _) | Self::Severity(operator, _) | Self::Day(operator, _) => {
                operator.holds_in(|accepts| record.any(id, |value| accepts(self.compare(&value))))
            }
            // What a host does not have is false too, though it is not shown as such: nobody has said so.
            Self::Is(wanted) => {
                let mut is_absent = true;
                let holds = record.any(id, |value| {
                    is_absent = false;
                    value == Value::Boolean(*wanted)
                });
                holds || (is_absent && !wanted)
            }
            Self::Key(wanted) => record.any(id, |value| value == Value::Key(*wanted)),
            Self::Unfit { .. } => false,
        }
    }

    /// Whether the test holds for a field that has this one value or none.
    pub(super) fn holds_for(&self, value: Option<Value<'_>>) -> bool {
        match self {
            Self::Number(operator, _) | Self::Severity(operator, _) | Self::Day(operator, _) => {
                operator.holds_in(|accepts| value.is_some_and(|value| accepts(self.compare(&value))))
            }
            Self::Is(wanted) => value == Some(Value::Boolean(*wanted)),
            Self::Key(wanted) => value == Some(Value::Key(*wanted)),
            _ if self.is_for_nothing() => value.is_none(),
            Self::Contains(_) | Self::Exactly(_) | Self::Word(_) => {
                matches!(value, Some(Value::Text(text)) if self.holds_for_text(text))
            }
            Self::Address(_) | Self::Network(_) | Self::Unfit { .. } => false,
        }
    }

    /// How a value compares with the operand; a value of another type does not.
    fn compare(&self, value: &Value<'_>) -> Option<Ordering> {
        match (self, value) {
            #[expect(clippy::cast_precision_loss, reason = "ports and identifiers are far below 2^53")]
            (Self::Number(_, wanted), Value::Integer(found)) => (*found as f64).partial_cmp(wanted),
            (Self::Number(_, wanted), Value::Number(found)) => found.partial_cmp(wanted),
            (Self::Severity(_, wanted), Value::Severity(found)) => Some(found.cmp(wanted)),
            (Self::Day(_, wanted), Value::Date(_, found)) => Some(found.cmp(wanted)),
            _ => None,
        }
    }

    /// Whether it holds where there is no value, which an empty text is too.
    fn is_for_nothing(&self) -> bool {
        matches!(self, Self::Exactly(text) | Self::Word(text) if text.is_empty())
    }

    fn holds_for_address(&self, address: IpAddr) -> bool {
        match self {
            Self::Address(wanted) => *wanted == address,
            Self::Network(network) => network.contains(&address),
            _ => false,
        }
    }

    /// Names of machines are compared without regard to case and trailing dots.
    fn holds_for_name(&self, name: &str) -> bool {
        match self {
            Self::Contains(needle) => needle.is_in(name) || needle.is_end_with_dot_of(name),
            Self::Exactly(exact) => is_same_name(exact, name),
            _ => false,
        }
    }

    fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Self::Contains(needle) => needle.is_in(text),
            Self::Exactly(exact) => **exact == *text,
            Self::Word(word) => word.eq_ignore_ascii_case(text),
            // All are named, so that whoever adds a test of texts is asked for it here.
            Self::Number(..)
            | Self::Severity(..)
            | Self::Day(..)
            | Self::Is(_)
            | Self::Key(_)
            | Self::Address(_)
            | Self::Network(_)
            | Self::Unfit { .. } => false,
        }
    }
}

impl Operator {
    /// Takes the operator off the front; none is `=`.
    fn split(text: &str) -> (Self, &str) {
        const OPERATORS: [(&str, Operator); 6] = [
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            ("!=", Operator::NotEqual),
            (">", Operator::Greater),
            ("<", Operator::Less),
            ("=", Operator::Equal),
        ];
        let text = text.trim();
        OPERATORS
            .into_iter()
            .find_map(|(sign, operator)| text.strip_prefix(sign).map(|rest| (operator, rest.trim())))
            .unwrap_or((Self::Equal, text))
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::NotEqual => "!=",
        }
    }

    /// Asks `any` whether one value compares as this operator wants; `!=` is the opposite of `=`.
    fn holds_in(self, any: impl FnOnce(&dyn Fn(Option<Ordering>) -> bool) -> bool) -> bool {
        match self {
            Self::Greater => any(&|found| found == Some(Ordering::Greater)),
            Self::GreaterOrEqual => any(&|found| matches!(found, Some(Ordering::Greater | Ordering::Equal))),
            Self::Less => any(&|found| found == Some(Ordering::Less)),
            Self::LessOrEqual => any(&|found| matches!(found, Some(Ordering::Less | Ordering::Equal))),
            Self::Equal => any(&|found| found == Some(Ordering::Equal)),
            Self::NotEqual => !any(&|found| found == Some(Ordering::Equal)),
        }
    }
}

/// A text to look for in any case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Needle {
    shown: Box<str>,
    lower: Box<str>,
}

impl Needle {
    fn new(text: &str) -> Self {
        Self { shown: text.into(), lower: text.to_lowercase().into() }
    }

    /// Whether it ends in a dot, and is without it how `name` ends.
    fn is_end_with_dot_of(&self, name: &str) -> bool {
        let end = self.lower.trim_end_matches('.');
        !end.is_empty() && end.len() < self.lower.len() && name.trim_end_matches('.').to_lowercase().ends_with(end)
    }

    /// Whether `text` contains it. Texts without accents, which is nearly all of them, are not copied.
    fn is_in(&self, text: &str) -> bool {
        let wanted = self.lower.as_bytes();
        if !text.is_ascii() {
            return text.to_lowercase().contains(&*self.lower);
        }
        let Some(first) = wanted.first() else { return true };
        let text = text.as_bytes();
        let Some(last) = text.len().checked_sub(wanted.len()) else { return false };
        memchr::memchr2_iter(*first, first.to_ascii_uppercase(), &text[..=last])
            .any(|at| text[at..at + wanted.len()].eq_ignore_ascii_case(wanted))
    }
}

fn kind_of(field: &FieldRef) -> Kind {
    match field {
        FieldRef::Declared(id) => id.field().kind,
        FieldRef::Other(_) => Kind::Text,
    }
}

/// What follows `!=` in a condition on a name of a machine, which takes the operator although it is text.
pub(super) fn unwanted_name<'t>(field: &FieldRef, text: &'t str) -> Option<&'t str> {
    let is_name = matches!(kind_of(field), Kind::Host | Kind::Name);
    text.trim().strip_prefix("!=").filter(|_| is_name)
}

pub(super) fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a truth value",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

pub(super) fn invalid(field: &FieldRef, reason: impl Into<String>) -> ResultsError {
    let (field, valid) = (excerpt(field.name()).to_string(), valid(kind_of(field)));
    ResultsError::InvalidFilter { field, reason: reason.into(), valid }
}

/// What conditions on a field of this kind may look like.
pub(in crate::results::query) fn valid(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Attachment => {
            r#""text" for a part of it in any case, "=text" for all of it, "\"<text>\"" to look for an operator"#
        }
        Kind::Outcome => {
            r#"PASSED, FAILED, WARNING, ERROR or another word in any case; a list for any of several; {"not": "PASSED"}"#
        }
        Kind::Host => r#""web" for a part of a name, "=web01", "!=web01", "10.0.0.7", "10.0.0.0/24""#,
        Kind::Name => r#""web" for a part of it, "=web01" for all of it, "!=web01", in any case"#,
        Kind::Integer => r#"443, "443", or an operator > >= < <= = != and a number, as in ">=1024""#,
        Kind::Number => r#"7.5, "7.5", or an operator > >= < <= = != and a number, as in ">=7.5""#,
        Kind::Severity => r#"Info, Low, Medium, High, Critical or 0 to 4, with > >= < <= = !=, as in ">=High""#,
        Kind::Boolean => "true or false; an absent value counts as false",
        Kind::Date => r#"a day, with > >= < <= = !=, as in ">=2025/01/31""#,
        Kind::Key => r#"a whole key, as `finding_key` shows it: "v1:" and 32 hexadecimal digits"#,
    }
}
