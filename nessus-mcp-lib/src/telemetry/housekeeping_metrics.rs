//! Metrics of housekeeping: what this process has removed.

use super::instruments::{self, IntCounter, IntCounterVec, Opts, Registry};

/// What was removed.
#[derive(Debug)]
pub(crate) struct HousekeepingMetrics {
    /// The predecessor's name, for tasks.
    tasks: IntCounter,
    removed: IntCounterVec,
    runs: IntCounterVec,
}

impl HousekeepingMetrics {
    pub(super) fn build(registry: &Registry) -> instruments::Result<Self> {
        let removed = Opts::new(
            "nessus_housekeeping_removed_total",
            "What housekeeping has removed: tasks, scans on scanners, files, archive_records; stale_tasks were given back to the queue",
        );
        let runs =
            Opts::new("nessus_housekeeping_runs_total", "Runs of housekeeping that removed something or could have");
        let metrics = Self {
            tasks: IntCounter::new("nessus_ttl_deletions_total", "Tasks that were removed after their retention")?,
            removed: IntCounterVec::new(removed, &["kind"])?,
            runs: IntCounterVec::new(runs, &["outcome"])?,
        };
        registry.register(Box::new(metrics.tasks.clone()))?;
        registry.register(Box::new(metrics.removed.clone()))?;
        registry.register(Box::new(metrics.runs.clone()))?;
        Ok(metrics)
    }

    /// Counts removals of a kind.
    pub(crate) fn removed(&self, kind: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.removed.with_label_values(&[kind]).inc_by(count);
        if kind == "task" {
            self.tasks.inc_by(count);
        }
    }

    /// Counts a run that got to its end, or did not.
    pub(crate) fn ran(&self, to_its_end: bool) {
        self.runs.with_label_values(&[if to_its_end { "done" } else { "stopped" }]).inc();
    }
}
