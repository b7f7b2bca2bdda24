//! How bad a finding is.

use std::fmt;

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

/// From its name in any case, or its number, as a number or in digits.
impl<'de> serde::Deserialize<'de> for Severity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl serde::de::Visitor<'_> for Reader {
            type Value = Severity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a severity: Info, Low, Medium, High, Critical, or 0 to 4")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Severity, E> {
                severity(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Severity, E> {
                let severity = Severity::from_number(number);
                severity.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Severity, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// No severity: neither a name nor a number from 0 to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no severity: it is Info, Low, Medium, High, Critical, or 0 to 4")]
pub struct NoSeverity;

impl std::str::FromStr for Severity {
    type Err = NoSeverity;

    fn from_str(text: &str) -> Result<Self, NoSeverity> {
        severity(text.trim()).ok_or(NoSeverity)
    }
}

/// A severity by its number from 0 to 4, or by its name.
pub(crate) fn severity(text: &str) -> Option<Severity> {
    text.parse().ok().and_then(Severity::from_number).or_else(|| Severity::from_name(text))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn a_severity_is_read_back_from_its_name_and_its_number() {
        for (number, severity) in (0_i64..).zip(Severity::ALL) {
            let name = severity.name();
            let written =
                [to_value(severity).unwrap(), json!(name.to_lowercase()), json!(number), json!(number.to_string())];
            for value in written {
                assert_eq!(from_value::<Severity>(value.clone()).unwrap(), severity, "{value}");
            }
            assert_eq!((name.parse(), number.to_string().parse()), (Ok(severity), Ok(severity)));
        }
        for wrong in [json!("Severe"), json!(5), json!(-1), json!(u64::MAX), json!(1.5), json!(null), json!("")] {
            assert!(from_value::<Severity>(wrong.clone()).is_err(), "{wrong}");
        }
        assert_eq!("5".parse::<Severity>(), Err(NoSeverity));
    }
}
