//! Of what kind an item of an export is.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::results::error::ResultsError;

/// Whether an item is a finding of a plugin or the outcome of a compliance check.
///
/// An item is a compliance check when it has the name, the identifier or the result of one (elements of the namespace
/// `http://www.nessus.org/cm`), or `<compliance>true</compliance>`. All others are vulnerabilities, also those of severity
/// `Info`, and those of the plugin family `Policy Compliance` that have none of these, such as the ones about PCI DSS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// A finding, with a severity.
    #[default]
    Vulnerability,
    /// The outcome of a compliance check, with a result. What stands in its severity is the plugin's stand-in for the
    /// result, and is shown and counted nowhere.
    Compliance,
}

impl RecordKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vulnerability, Self::Compliance];

    /// The name, which is also the `type` of the lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vulnerability => "vulnerability",
            Self::Compliance => "compliance",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RecordKind {
    type Err = ResultsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| ResultsError::UnknownKind {
            name: crate::error::excerpt(text).to_string(),
            known: Self::ALL.map(Self::name).into(),
        })
    }
}
