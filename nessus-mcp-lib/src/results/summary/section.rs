//! The parts that a summary can be asked for.

use std::{fmt, str::FromStr};

use crate::{
    error::{excerpt, nearest},
    results::error::ResultsError,
};

/// A part of a summary, called as in JSON. The counts and what is known of the scan as a whole are in every summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SummarySection {
    /// Findings, plugins and hosts by severity.
    BySeverity,
    /// What is known to be exploited.
    KnownExploited,
    /// What exploits are known for.
    Exploitable,
    /// The highest EPSS.
    HighestEpss,
    /// The highest VPR.
    HighestVpr,
    /// What to do.
    Solutions,
    /// By plugin.
    Plugins,
    /// By host.
    Hosts,
    /// The outcomes of compliance checks.
    Compliance,
    /// Whether the login worked.
    Authentication,
}

impl SummarySection {
    /// All of them, in the order of a summary.
    pub const ALL: [Self; 10] = [
        Self::BySeverity,
        Self::KnownExploited,
        Self::Exploitable,
        Self::HighestEpss,
        Self::HighestVpr,
        Self::Solutions,
        Self::Plugins,
        Self::Hosts,
        Self::Compliance,
        Self::Authentication,
    ];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BySeverity => "by_severity",
            Self::KnownExploited => "known_exploited",
            Self::Exploitable => "exploitable",
            Self::HighestEpss => "highest_epss",
            Self::HighestVpr => "highest_vpr",
            Self::Solutions => "solutions",
            Self::Plugins => "plugins",
            Self::Hosts => "hosts",
            Self::Compliance => "compliance",
            Self::Authentication => "authentication",
        }
    }
}

impl fmt::Display for SummarySection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SummarySection {
    type Err = ResultsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.trim();
        let found = Self::ALL.into_iter().find(|section| section.name().eq_ignore_ascii_case(wanted));
        found.ok_or_else(|| ResultsError::UnknownSection {
            name: excerpt(text).to_string(),
            nearest: nearest(wanted, Self::ALL.map(Self::name)),
        })
    }
}
