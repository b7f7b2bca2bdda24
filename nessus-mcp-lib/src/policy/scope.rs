//! The scope of this process: what scans may be aimed at.

use super::{ScopeError, reserved};
use crate::{config::Settings, targets::TargetSet};

/// What scans may be aimed at. Asked when a scan is submitted, and again right before it begins.
#[derive(Debug, Clone)]
pub struct Scope {
    most_hosts: u64,
}

impl Default for Scope {
    fn default() -> Self {
        Self { most_hosts: Settings::DEFAULT_MAX_HOSTS_PER_SCAN }
    }
}

impl Scope {
    /// The same scope with so many hosts for one scan.
    pub fn with_max_hosts_per_scan(mut self, hosts: u64) -> Self {
        self.most_hosts = hosts;
        self
    }

    /// Refuses what nobody may scan, and what no scanner takes.
    ///
    /// # Errors
    /// [`ScopeError`] with the first target that is refused.
    pub fn check(&self, targets: &TargetSet) -> Result<(), ScopeError> {
        reserved::check(targets)?;
        targets.for_scanner()?;
        let (hosts, most) = (targets.host_count(), self.most_hosts);
        if hosts > most.into() {
            return Err(ScopeError::TooManyHosts { hosts, most, limit: "MAX_HOSTS_PER_SCAN" });
        }
        Ok(())
    }
}
