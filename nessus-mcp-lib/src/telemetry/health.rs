//! The answer of `/health` and of the tool `health_check`.

use std::{borrow::Cow, collections::BTreeMap, io, path::Path};

use rustix::fs::StatVfsMountFlags;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Works.
    Healthy,
    /// Works, but an operator should look.
    Degraded,
    /// Does not work.
    Unhealthy,
}

/// One part of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HealthCheck {
    /// How well it is.
    pub status: CheckStatus,
    /// Figures and reasons, by name.
    #[serde(flatten)]
    pub details: BTreeMap<String, serde_json::Value>,
}

impl HealthCheck {
    /// A check with no details.
    pub(crate) fn new(status: CheckStatus) -> Self {
        Self { status, details: BTreeMap::new() }
    }

    /// Adds a figure or reason.
    pub(crate) fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// The state of a process and what it depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HealthReport {
    /// The worst of the checks.
    pub status: CheckStatus,
    /// The parts, by name.
    pub checks: BTreeMap<Cow<'static, str>, HealthCheck>,
    /// When it was made.
    pub timestamp: Timestamp,
}

impl HealthReport {
    /// A report of these checks.
    pub(crate) fn new(checks: BTreeMap<&'static str, HealthCheck>, timestamp: Timestamp) -> Self {
        let status = checks.values().map(|check| check.status).max().unwrap_or(CheckStatus::Healthy);
        let checks = checks.into_iter().map(|(name, check)| (name.into(), check)).collect();
        Self { status, checks, timestamp }
    }
}

/// The share of the disk in use from which a report warns, in percent.
const DISK_WARN_PERCENT: f64 = 80.0;
/// The share of the disk in use from which a report fails and new scans are refused, in percent.
const DISK_FAIL_PERCENT: f64 = 90.0;
/// A disk that has so much left is not full, however large it is.
const DISK_ENOUGH_BYTES: u64 = 5 << 30;

/// The space on the disk of a directory, and by one rule for all whether it is too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes an ordinary user may still write.
    free_bytes: u64,
    /// Bytes in all.
    total_bytes: u64,
    /// Whether it is mounted read-only.
    pub(crate) is_read_only: bool,
}

impl DiskSpace {
    /// Asks the file system.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn of(path: &Path) -> io::Result<Self> {
        let figures = rustix::fs::statvfs(path)?;
        Ok(Self {
            free_bytes: figures.f_bavail.saturating_mul(figures.f_frsize),
            total_bytes: figures.f_blocks.saturating_mul(figures.f_frsize),
            is_read_only: figures.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }

    /// The share in use, in percent.
    #[expect(clippy::cast_precision_loss, reason = "figures for people, rounded to two digits")]
    pub fn used_percent(self) -> f64 {
        100.0 * (1.0 - self.free_bytes as f64 / (self.total_bytes.max(1)) as f64)
    }

    /// Whether new scans are refused, so that those that run can still be written down: from 90 % in use, unless 5 GiB are left.
    pub fn is_full(self) -> bool {
        self.used_percent() >= DISK_FAIL_PERCENT && self.free_bytes < DISK_ENOUGH_BYTES
    }

    /// Whether little is left: from 80 % in use.
    pub fn is_nearly_full(self) -> bool {
        self.used_percent() >= DISK_WARN_PERCENT
    }

    /// Bytes that an ordinary user may still write.
    pub const fn free_bytes(self) -> u64 {
        self.free_bytes
    }

    /// The check of a report: `free_gb`, `used_pct`; warns from 80 % in use, fails where new scans are refused.
    #[expect(clippy::cast_precision_loss, reason = "figures for people, rounded to two digits")]
    pub(crate) fn check(self) -> HealthCheck {
        let used = self.used_percent();
        let status = if self.is_full() || self.is_read_only {
            CheckStatus::Unhealthy
        } else if self.is_nearly_full() {
            CheckStatus::Degraded
        } else {
            CheckStatus::Healthy
        };
        let round = |value: f64| (value * 100.0).round() / 100.0;
        let check = HealthCheck::new(status).with("free_gb", round(self.free_bytes as f64 / 1e9));
        let check = check.with("used_pct", round(used));
        if self.is_read_only { check.with("error", "the disk is mounted read-only") } else { check }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(free_bytes: u64, total_bytes: u64) -> DiskSpace {
        DiskSpace { free_bytes, total_bytes, is_read_only: false }
    }

    #[test]
    fn a_large_disk_is_full_later_than_a_small_one() {
        let gib = |free: u64, total: u64| space(free << 30, total << 30);
        for (space, is_full, status) in [
            (gib(3, 10), false, CheckStatus::Healthy),
            (gib(2, 10), false, CheckStatus::Degraded),
            (gib(1, 10), true, CheckStatus::Unhealthy),
            (gib(5, 100), false, CheckStatus::Degraded),
            (gib(4, 100), true, CheckStatus::Unhealthy),
            (space(9, 100), true, CheckStatus::Unhealthy),
        ] {
            assert_eq!((space.is_full(), space.check().status), (is_full, status), "{space:?}");
        }
    }

    #[test]
    fn a_report_is_as_well_as_its_worst_part() {
        let checks =
            BTreeMap::from([("queue", HealthCheck::new(CheckStatus::Healthy)), ("disk", space(15, 100).check())]);
        let report = HealthReport::new(checks, Timestamp::from_millis(0));
        assert_eq!(report.status, CheckStatus::Degraded);
        assert_eq!(serde_json::to_value(&report).unwrap()["checks"]["disk"]["used_pct"], 85.0);
    }
}
