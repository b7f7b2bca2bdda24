//! Of what a client may have only so many.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What of its scans a client may have only so many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// Scans that were accepted and have not ended: those that wait, run or are held.
    #[serde(rename = "max_scans_at_once")]
    ScansAtOnce,
    /// Scans of a day in UTC.
    #[serde(rename = "max_scans_per_day")]
    ScansPerDay,
    /// Hosts of the scans of a day in UTC.
    #[serde(rename = "max_hosts_per_day")]
    HostsPerDay,
}

impl Limit {
    /// All limits, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::ScansAtOnce, Self::ScansPerDay, Self::HostsPerDay];

    /// The key in `policy.yaml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ScansAtOnce => "max_scans_at_once",
            Self::ScansPerDay => "max_scans_per_day",
            Self::HostsPerDay => "max_hosts_per_day",
        }
    }

    /// Whether it is one of a day.
    pub fn is_daily(self) -> bool {
        self != Self::ScansAtOnce
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
