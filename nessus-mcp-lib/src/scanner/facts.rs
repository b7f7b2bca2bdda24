//! What a scanner tells about itself and about its scans, beyond their status.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a scanner tells about itself. Everything is optional: scanners differ, and some say little without a login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScannerProperties {
    /// The product and its edition, such as `Nessus Professional`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The version a person sees in the user interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The plugin set, `YYYYMMDDhhmm` on Nessus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_set: Option<String>,
    /// The most hosts the licence allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licensed_hosts: Option<u64>,
    /// How many of these hosts are used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_hosts: Option<u64>,
    /// The name of the licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// When the licence ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_ends: Option<Timestamp>,
    /// Whether scans can be created and launched with API keys alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scans_by_api_key: Option<bool>,
}

impl ScannerProperties {
    /// How old the plugin set is; `None` when its name is no time.
    ///
    /// ```
    /// # use nessus_mcp_lib::scanner::ScannerProperties;
    /// let mut properties = ScannerProperties::default();
    /// properties.plugin_set = Some("202511200505".to_owned());
    /// let age = properties.plugin_age("2025-11-21T06:05:00Z".parse()?);
    /// assert_eq!(age.map(|age| age.as_secs() / 3600), Some(25));
    /// # Ok::<(), nessus_mcp_lib::time::TimestampError>(())
    /// ```
    pub fn plugin_age(&self, now: Timestamp) -> Option<Duration> {
        let set =
            self.plugin_set.as_deref().filter(|set| set.len() == 12 && set.bytes().all(|b| b.is_ascii_digit()))?;
        let time = format!("{}-{}-{}T{}:{}:00Z", &set[..4], &set[4..6], &set[6..8], &set[8..10], &set[10..]);
        Some(now.since(time.parse().ok()?))
    }
}

/// A host that a scan has results for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScanHost {
    /// The scanner's number for it within the scan.
    pub id: u64,
    /// Its name or address, as it was scanned.
    pub name: String,
    /// Findings by severity: informational, low, medium, high, critical.
    pub findings: [u64; 5],
}

/// What the last check of a scanner found. While its circuit is open no check is made, and this stays as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScannerHealth {
    /// When it ended.
    pub checked_at: Timestamp,
    /// How long the scanner took to answer, or to fail.
    pub latency: Duration,
    /// What the scanner told about itself the last time it answered.
    pub properties: Option<ScannerProperties>,
    /// Why it could not scan, if it could not.
    pub failure: Option<HealthFailure>,
}

/// Why a scanner cannot scan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthFailure {
    /// The code of the [`ScannerError`](super::ScannerError).
    pub code: &'static str,
    /// Its message.
    pub message: String,
}

impl ScannerHealth {
    /// Whether the scanner could scan.
    pub const fn is_healthy(&self) -> bool {
        self.failure.is_none()
    }

    /// When the scanner's plugin set was made, if it says so in the form of Nessus, `YYYYMMDDhhmm` in UTC.
    pub fn plugin_set_at(&self) -> Option<Timestamp> {
        let text = self.properties.as_ref()?.plugin_set.as_deref()?;
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (date, time) = text.split_at(8);
        format!("{}-{}-{}T{}:{}:00Z", &date[..4], &date[4..6], &date[6..], &time[..2], &time[2..]).parse().ok()
    }
}
