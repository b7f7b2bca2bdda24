//! The record: one item with its host, its fields typed.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    fields::{Derived, FieldId, FieldRef, FieldSet, Kind, Origin, key_of_other},
    host_time,
    item::{Attribute, Item, Occurrence},
};

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

/// What is kept of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    /// `ReportHost/@name`.
    pub name: Box<str>,
    ip: Option<Box<str>>,
    fqdn: Option<Box<str>>,
    operating_system: Option<Box<str>>,
    netbios_name: Option<Box<str>>,
    mac_address: Option<Box<str>>,
    start: Option<Box<str>>,
    end: Option<Box<str>>,
    credentialed: Option<Box<str>>,
}

impl Host {
    /// A host of which only the name is known.
    pub(crate) fn named(name: String) -> Self {
        Self { name: name.into_boxed_str(), ..Self::default() }
    }

    /// Sets a property; fields that are no host's are left alone.
    pub(crate) fn set(&mut self, id: FieldId, value: String) {
        if let FieldId::HostStart | FieldId::HostEnd = id {
            let property = if id == FieldId::HostStart { &mut self.start } else { &mut self.end };
            return host_time::keep(property, &value);
        }
        let property = match id {
            FieldId::HostIp => &mut self.ip,
            FieldId::HostFqdn => &mut self.fqdn,
            FieldId::OperatingSystem => &mut self.operating_system,
            FieldId::NetbiosName => &mut self.netbios_name,
            FieldId::MacAddress => &mut self.mac_address,
            FieldId::Credentialed => &mut self.credentialed,
            _ => return,
        };
        *property = Some(value.into_boxed_str());
    }

    /// A property. The name stands in for a missing `host-ip` when it is an address.
    pub(crate) fn get(&self, id: FieldId) -> Option<&str> {
        match id {
            FieldId::Host => Some(&self.name),
            FieldId::HostIp => self.ip.as_deref().or_else(|| self.name.parse::<IpAddr>().ok().map(|_| &*self.name)),
            FieldId::HostFqdn => self.fqdn.as_deref(),
            FieldId::OperatingSystem => self.operating_system.as_deref(),
            FieldId::NetbiosName => self.netbios_name.as_deref(),
            FieldId::MacAddress => self.mac_address.as_deref(),
            FieldId::HostStart => self.start.as_deref(),
            FieldId::HostEnd => self.end.as_deref(),
            FieldId::Credentialed => self.credentialed.as_deref(),
            _ => None,
        }
    }

    /// The address, when there is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.get(FieldId::HostIp)?.trim().parse().ok()
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
    /// A text that does not fit the field's type.
    Misfit(&'r str),
}

/// One item with its host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'r> {
    /// The host.
    pub host: &'r Host,
    /// The item.
    pub item: &'r Item,
}

impl<'r> Record<'r> {
    /// Calls `take` with every value of a field, until it returns true; whether it did.
    ///
    /// An absent truth value is false. Empty values of lists are no values.
    pub(crate) fn any(&self, id: FieldId, mut take: impl FnMut(Value<'r>) -> bool) -> bool {
        let field = id.field();
        match field.origin {
            Origin::Host => self.host.get(id).is_some_and(|text| take(typed(field.kind, text))),
            Origin::Derived(Derived::BestScore) => self.best_score().is_some_and(|score| take(Value::Number(score))),
            Origin::Attribute => match self.item.first(id) {
                Some(text) => take(typed(field.kind, text)),
                None if id == FieldId::PluginName => {
                    self.item.first(FieldId::PluginNameElement).is_some_and(|text| take(Value::Text(text)))
                }
                None => false,
            },
            Origin::Element if field.kind == Kind::Boolean => {
                let mut values = self.item.values(id).peekable();
                if values.peek().is_none() {
                    return take(Value::Boolean(false));
                }
                values.any(|text| take(typed(Kind::Boolean, text)))
            }
            Origin::Element => self.item.values(id).any(|text| take(typed(field.kind, text))),
            Origin::List if field.kind == Kind::Attachment => {
                self.item.occurrences(id).any(|occurrence| take(Value::Element(occurrence)))
            }
            Origin::List => {
                let mut values = self.item.values(id).map(trim).filter(|text| !text.is_empty());
                values.any(|text| take(typed(field.kind, text)))
            }
            Origin::Lines => {
                let mut values = self.item.values(id).flat_map(str::lines).map(trim);
                values.any(|text| !text.is_empty() && take(Value::Text(text)))
            }
        }
    }

    /// The first value of a field.
    pub(crate) fn first(&self, id: FieldId) -> Option<Value<'r>> {
        let mut found = None;
        self.any(id, |value| {
            found = Some(value);
            true
        });
        found
    }

    /// The texts of an element or attribute that is not in the table of fields.
    pub(crate) fn others<'n>(&self, name: &'n str) -> impl Iterator<Item = &'r str> + use<'r, 'n> {
        let item = self.item;
        item.others().filter(move |other| is_called(item.name(other), name)).map(|other| item.value(other))
    }

    /// The first value of a declared or other field.
    pub(crate) fn first_of(&self, field: &FieldRef) -> Option<Value<'r>> {
        match field {
            FieldRef::Declared(id) => self.first(*id),
            FieldRef::Other(name) => self.others(name).next().map(Value::Text),
        }
    }

    /// The declared fields that the `full` profile shows of this record, but for those that are `known`.
    pub(crate) fn shown_beside(&self, known: FieldSet) -> FieldSet {
        /// Shown in every record.
        const ALWAYS: FieldSet = FieldSet::of(&[
            FieldId::Host,
            FieldId::Port,
            FieldId::PluginId,
            FieldId::Severity,
            FieldId::Cve,
            FieldId::ExploitAvailable,
        ]);
        let present = self.item.present();
        let mut shown = ALWAYS.union(present.intersection(FieldSet::SINGLE)).without(known);
        for id in present.union(FieldSet::BESIDE).without(shown).without(known).iter().filter(|id| self.has_value(*id))
        {
            shown.insert(id);
        }
        shown
    }

    /// Whether a field has a value that is shown.
    fn has_value(&self, id: FieldId) -> bool {
        match id {
            // Mostly it repeats the attribute.
            FieldId::PluginNameElement => {
                let attribute = self.item.first(FieldId::PluginName);
                attribute.is_some() && self.item.values(id).any(|text| Some(text) != attribute)
            }
            _ if id.field().origin == Origin::Host => self.host.get(id).is_some(),
            _ => self.first(id).is_some(),
        }
    }

    /// The number of the item's plugin as it is written.
    pub(crate) fn plugin(&self) -> Option<&'r str> {
        self.item.first(FieldId::PluginId).map(str::trim)
    }

    /// What the item's plugin has to say; programs that write exports by hand call it `output`.
    pub(crate) fn output(&self) -> &'r str {
        let item = self.item;
        item.first(FieldId::PluginOutput).or_else(|| item.first(FieldId::Output)).unwrap_or_default()
    }

    /// The severity, when it is one.
    pub(crate) fn severity(&self) -> Option<Severity> {
        match self.first(FieldId::Severity) {
            Some(Value::Severity(severity)) => Some(severity),
            _ => None,
        }
    }

    /// The best CVSS base score present: version 4, else 3, else 2; exports of web application scans use other names.
    pub(crate) fn best_score(&self) -> Option<f64> {
        const SCORES: [FieldId; 5] =
            [FieldId::Cvss4BaseScore, FieldId::Cvss3BaseScore, FieldId::Cvssv3, FieldId::CvssBaseScore, FieldId::Cvss];
        SCORES.into_iter().find_map(|id| number(trim(self.item.first(id)?)))
    }

    /// Whether the item is the outcome of a compliance check.
    pub(crate) fn is_compliance(&self) -> bool {
        self.item.has(FieldId::ComplianceResult)
    }

    /// Calls `report` with each field whose value does not fit its type.
    pub(crate) fn misfits(&self, mut report: impl FnMut(FieldId)) {
        for id in self.item.present().intersection(FieldSet::TYPED).iter() {
            self.any(id, |value| {
                if matches!(value, Value::Misfit(_)) {
                    report(id);
                }
                false
            });
        }
        if !self.item.has(FieldId::Severity) {
            report(FieldId::Severity);
        }
    }

    /// The attributes of an element.
    pub(crate) fn attributes(&self, occurrence: &'r Occurrence) -> impl ExactSizeIterator<Item = Attribute<'r>> {
        self.item.attributes(occurrence)
    }
}

/// Whether an undeclared element or attribute, `found` in the export, is meant by a name.
pub(crate) fn is_called(found: &str, name: &str) -> bool {
    // A key begins with the name; nearly all differ in that already.
    name.starts_with(found) && key_of_other(found) == name
}

/// Gives a text its type.
fn typed(kind: Kind, text: &str) -> Value<'_> {
    let trimmed = trim(text);
    let value = match kind {
        Kind::Text | Kind::Host | Kind::Attachment => Some(Value::Text(text)),
        Kind::Integer => trimmed.parse().ok().map(Value::Integer),
        Kind::Number => number(trimmed).map(Value::Number),
        Kind::Severity => trimmed.parse().ok().and_then(Severity::from_number).map(Value::Severity),
        Kind::Boolean => boolean(trimmed).map(Value::Boolean),
        Kind::Date => day(trimmed).map(|day| Value::Date(text, day)),
    };
    value.unwrap_or(Value::Misfit(text))
}

/// The text without white space around it, which few texts have.
fn trim(text: &str) -> &str {
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
mod field_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_get_their_types() {
        for (kind, text, expected) in [
            (Kind::Integer, " 443 ", Value::Integer(443)),
            (Kind::Integer, "44x", Value::Misfit("44x")),
            (Kind::Number, "10.0", Value::Number(10.0)),
            (Kind::Number, "NaN", Value::Misfit("NaN")),
            (Kind::Number, "inf", Value::Misfit("inf")),
            (Kind::Severity, "4", Value::Severity(Severity::Critical)),
            (Kind::Severity, "5", Value::Misfit("5")),
            (Kind::Severity, "", Value::Misfit("")),
            (Kind::Boolean, "True", Value::Boolean(true)),
            (Kind::Boolean, "maybe", Value::Misfit("maybe")),
            (Kind::Date, "2026/11/20", Value::Date("2026/11/20", 20_261_120)),
            (Kind::Date, "2026-11-20T18:00:00+02:00", Value::Date("2026-11-20T18:00:00+02:00", 20_261_120)),
            (Kind::Date, "2026/13/01", Value::Misfit("2026/13/01")),
            (Kind::Date, "20/11/2026", Value::Misfit("20/11/2026")),
            (Kind::Date, "2026/11/20x", Value::Misfit("2026/11/20x")),
            (Kind::Text, " a ", Value::Text(" a ")),
        ] {
            assert_eq!(typed(kind, text), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn the_name_stands_in_for_a_missing_address() {
        let mut host = Host::named("10.0.0.7".to_owned());
        assert_eq!(host.get(FieldId::HostIp), Some("10.0.0.7"));
        host.set(FieldId::HostIp, "10.0.0.8".to_owned());
        assert_eq!(host.address(), Some("10.0.0.8".parse().unwrap()));
        assert_eq!(Host::named("web01".to_owned()).address(), None);
    }
}
