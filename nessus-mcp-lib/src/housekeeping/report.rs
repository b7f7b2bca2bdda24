//! What a run of housekeeping has done, or would do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{InstanceId, PoolName, ScanId, TaskId, scanner_name},
    time::Timestamp,
};

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HousekeepingReport {
    /// Whether nothing was removed: the lists say what would have been.
    pub dry_run: bool,
    /// Why nothing was removed although that was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<String>,
    /// When it began, by the queue's clock: everything is decided as of then.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why it ended before it was through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// How many tasks were looked at.
    pub looked_at: u64,
    /// The tasks that were removed.
    pub tasks: Vec<TaskId>,
    /// The scans that were deleted on their scanners.
    pub scans: Vec<ScanOnScanner>,
    /// Scans on scanners that carry the id of a task, and that no task here or in the archive has: another deployment's, perhaps. They stay.
    #[serde(default)]
    pub unknown_scans: Vec<ScanOnScanner>,
    /// Unfinished files that were removed, and directories of tasks that were never accepted, by their paths in the data directory.
    pub files: Vec<String>,
    /// The records of the archive that were removed.
    pub archive_records: Vec<String>,
    /// Running tasks without a worker that were given back to the queue.
    pub stale_tasks: Vec<StaleTask>,
    /// How many tasks were kept, by the reason.
    pub kept_tasks: BTreeMap<String, u64>,
    /// How many scans were kept that a task of ours has, by the reason.
    pub kept_scans: BTreeMap<String, u64>,
    /// What was kept and should be looked at by a person.
    pub notable: Vec<Notable>,
}

/// A scan on a scanner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScanOnScanner {
    /// `pool:instance`.
    pub scanner: String,
    /// Its id there.
    pub scan_id: ScanId,
    /// The task it was made for, or is said to be by its name.
    pub task_id: TaskId,
}

impl ScanOnScanner {
    pub(super) fn new(pool: &PoolName, instance: &InstanceId, scan_id: ScanId, task_id: TaskId) -> Self {
        Self { scanner: scanner_name(pool, instance), scan_id, task_id }
    }
}

/// A running task without a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StaleTask {
    /// The task.
    pub task_id: TaskId,
    /// The last sign of a worker.
    pub since: Timestamp,
}

/// Something that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notable {
    /// A path in the data directory, or `pool:instance scan ID`.
    pub what: String,
    /// Why it was kept.
    pub reason: String,
}

impl HousekeepingReport {
    pub(super) fn begin(started_at: Timestamp, dry_run: bool, rehearsal: Option<String>) -> Self {
        Self {
            dry_run,
            rehearsal,
            started_at,
            ended_at: started_at,
            stopped: None,
            looked_at: 0,
            tasks: Vec::new(),
            scans: Vec::new(),
            unknown_scans: Vec::new(),
            files: Vec::new(),
            archive_records: Vec::new(),
            stale_tasks: Vec::new(),
            kept_tasks: BTreeMap::new(),
            kept_scans: BTreeMap::new(),
            notable: Vec::new(),
        }
    }

    /// How many things were removed, or would be.
    pub fn removals(&self) -> usize {
        self.tasks.len() + self.scans.len() + self.files.len() + self.archive_records.len()
    }

    pub(super) fn keep_task(&mut self, reason: &str) {
        *self.kept_tasks.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn keep_scan(&mut self, reason: &str) {
        *self.kept_scans.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn note(&mut self, what: impl Into<String>, reason: impl Into<String>) {
        self.notable.push(Notable { what: what.into(), reason: reason.into() });
    }
}
