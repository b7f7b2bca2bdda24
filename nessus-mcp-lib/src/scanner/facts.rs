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

/// One run of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScanRun {
    /// The scanner's number for it.
    pub id: Option<u64>,
    /// The scanner's name for it.
    pub uuid: Option<String>,
    /// The scanner's word for where it stands.
    pub status: Option<String>,
    /// When it was launched, by the scanner's clock.
    pub started: Option<Timestamp>,
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

/// What a scan has found on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScanHostDetails {
    /// Its address.
    pub address: Option<String>,
    /// Its full name.
    pub name: Option<String>,
    /// Its operating system, several lines when the scanner is not sure.
    pub operating_system: Option<String>,
    /// What was found, without the plugins' outputs.
    pub findings: Vec<HostFinding>,
}

/// One plugin's finding on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostFinding {
    /// The plugin.
    pub plugin_id: u64,
    /// Its name.
    pub plugin_name: String,
    /// Its family.
    pub plugin_family: String,
    /// 0 informational to 4 critical.
    pub severity: u8,
    /// How often it was found there.
    pub count: u64,
}
