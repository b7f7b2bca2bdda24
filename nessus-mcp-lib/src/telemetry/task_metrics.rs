//! What this process does with tasks: how long they wait, what happens to their leases, and what becomes of their results.

use std::time::Duration;

use super::{
    instruments::{self, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry},
    series::{NONE, POOL, register},
};
use crate::ids::PoolName;

/// From at once to a day: scans wait for scans.
const WAIT_BUCKETS: [f64; 9] = [1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0];
/// From a small export on this machine to a gigabyte from far away.
const WORK_BUCKETS: [f64; 9] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// Counters of a worker's tasks.
#[derive(Debug)]
pub(crate) struct TaskMetrics {
    queue_wait: HistogramVec,
    lease_losses: IntCounterVec,
    adoptions: IntCounterVec,
    retries: IntCounterVec,
    validations: IntCounterVec,
    validation_failures: IntCounterVec,
    auth_failures: IntCounterVec,
    export_bytes: IntCounterVec,
    export_seconds: HistogramVec,
    conversion_seconds: HistogramVec,
    repairs: IntCounterVec,
}

/// How a scan came into the hands of a worker that did not begin it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// The task says which scan is its own.
    Task,
    /// The scan was found on its scanner by the marker in its name.
    Marker,
}

/// Why what a scan has found is of no or little use. The words are those of the predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValidationFailure {
    /// The login that was asked for worked on no host.
    Authentication,
    /// The export cannot be read to its end.
    Malformed,
    /// No host was scanned.
    Empty,
    /// The scanner does not have it any more.
    Missing,
    /// Anything else.
    Other,
}

impl ValidationFailure {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "auth_failed",
            Self::Malformed => "xml_invalid",
            Self::Empty => "empty_scan",
            Self::Missing => "file_not_found",
            Self::Other => "other",
        }
    }
}

impl TaskMetrics {
    pub(super) fn build(registry: &Registry) -> instruments::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let seconds = |name: &str, help: &str, buckets: [f64; 9]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(registry, HistogramVec::new(options, POOL)?)
        };
        Ok(Self {
            queue_wait: seconds(
                "nessus_queue_wait_seconds",
                "Time from when a task was queued to when a worker began with it",
                WAIT_BUCKETS,
            )?,
            lease_losses: counter(
                "nessus_lease_losses_total",
                "Tasks whose lease this worker has lost before it was done with them",
                POOL,
            )?,
            adoptions: counter(
                "nessus_adoptions_total",
                "Scans that this worker went on with and had not begun, by how it found them (task or marker)",
                &["pool", "found_by"],
            )?,
            retries: counter(
                "nessus_retries_total",
                "Steps of tasks that have failed and are tried again, by step (begin, watch, results)",
                &["pool", "step"],
            )?,
            validations: counter(
                "nessus_validation_total",
                "Exports that were checked, by result (success, failed)",
                &["pool", "result"],
            )?,
            validation_failures: counter(
                "nessus_validation_failures_total",
                "Exports of no or little use, by reason",
                &["pool", "reason"],
            )?,
            auth_failures: counter(
                "nessus_auth_failures_total",
                "Scans whose login worked on no host",
                &["pool", "scan_type"],
            )?,
            export_bytes: counter("nessus_export_bytes_total", "Bytes of exports that were fetched", POOL)?,
            export_seconds: seconds(
                "nessus_export_seconds",
                "Time until an export was there, the scanner's own preparation included",
                WORK_BUCKETS,
            )?,
            conversion_seconds: seconds(
                "nessus_conversion_seconds",
                "Time to check, index and convert an export",
                WORK_BUCKETS,
            )?,
            repairs: counter(
                "nessus_reconciler_repairs_total",
                "Tasks that the queue had forgotten and that this process has enqueued again",
                NONE,
            )?,
        })
    }

    /// A worker begins with a task that was queued so long ago.
    pub(crate) fn waited(&self, pool: &PoolName, wait: Duration) {
        self.queue_wait.with_label_values(&[pool.as_str()]).observe(wait.as_secs_f64());
    }

    /// This worker does not hold a task any more that it has not settled.
    pub(crate) fn lease_lost(&self, pool: &PoolName) {
        self.lease_losses.with_label_values(&[pool.as_str()]).inc();
    }

    /// This worker goes on with a scan that it has not begun.
    pub(crate) fn adopted(&self, pool: &PoolName, adoption: Adoption) {
        let found_by = match adoption {
            Adoption::Task => "task",
            Adoption::Marker => "marker",
        };
        self.adoptions.with_label_values(&[pool.as_str(), found_by]).inc();
    }

    /// A step of a task has failed and is tried again.
    pub(crate) fn step_retried(&self, pool: &PoolName, step: &str) {
        self.retries.with_label_values(&[pool.as_str(), step]).inc();
    }

    /// An export was checked.
    pub(crate) fn validated(&self, pool: &PoolName, scan_type: &str, failure: Option<ValidationFailure>) {
        let result = if failure.is_none() { "success" } else { "failed" };
        self.validations.with_label_values(&[pool.as_str(), result]).inc();
        if let Some(failure) = failure {
            self.validation_failures.with_label_values(&[pool.as_str(), failure.as_str()]).inc();
        }
        if failure == Some(ValidationFailure::Authentication) {
            self.auth_failures.with_label_values(&[pool.as_str(), scan_type]).inc();
        }
    }

    /// An export was fetched.
    pub(crate) fn exported(&self, pool: &PoolName, bytes: u64, took: Duration) {
        self.export_bytes.with_label_values(&[pool.as_str()]).inc_by(bytes);
        self.export_seconds.with_label_values(&[pool.as_str()]).observe(took.as_secs_f64());
    }

    /// An export was checked, indexed and converted.
    pub(crate) fn converted(&self, pool: &PoolName, took: Duration) {
        self.conversion_seconds.with_label_values(&[pool.as_str()]).observe(took.as_secs_f64());
    }

    /// What the reconciler has enqueued again is counted elsewhere.
    pub(super) fn repairs(&self) -> IntCounter {
        self.repairs.with_label_values(NONE)
    }
}
