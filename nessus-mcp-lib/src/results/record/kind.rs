//! Of what kind an item of an export is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether an item is a finding of a plugin or the outcome of a compliance check.
///
/// An item is a compliance check when it has the name, the identifier or the result of one (elements of the namespace
/// `http://www.nessus.org/cm`), or `<compliance>true</compliance>`. All others are vulnerabilities, also those of severity
/// `Info`, and those of the plugin family `Policy Compliance` that have none of these, such as the ones about PCI DSS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

    /// What items of the kind are called.
    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Vulnerability => "vulnerabilities",
            Self::Compliance => "compliance checks",
        }
    }

    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Vulnerability => Self::Compliance,
            Self::Compliance => Self::Vulnerability,
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
