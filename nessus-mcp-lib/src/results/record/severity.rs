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

/// A severity by its number from 0 to 4, or by its name.
pub(crate) fn severity(text: &str) -> Option<Severity> {
    text.parse().ok().and_then(Severity::from_number).or_else(|| Severity::from_name(text))
}
