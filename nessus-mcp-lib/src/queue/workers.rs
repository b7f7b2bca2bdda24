//! Who works on the queue: what each worker tells of itself.
//!
//! Nobody acts on another's record; it is what operators see, and what says that nobody serves a pool. A worker that dies without a
//! word is not heard of any more, and its record stays for a while, so that it is missed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{InstanceId, PoolName, TaskId, WorkerId},
    time::Timestamp,
};

/// After this long without a word a worker counts as lost.
const HEARD_WITHIN: Duration = Duration::from_secs(30);

/// How many records a queue keeps: of more, those that were heard of longest ago vanish.
#[cfg(any(feature = "sqlite", feature = "redis"))]
pub(crate) const MOST_WORKERS: u32 = 1000;

/// What a worker tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkerRecord {
    /// The worker.
    pub worker: WorkerId,
    /// The name of its machine.
    #[serde(default)]
    pub host: String,
    /// The number of its process there.
    #[serde(default)]
    pub pid: u32,
    /// The user of the operating system that it runs as.
    #[serde(default)]
    pub user: String,
    /// The version of the program.
    #[serde(default)]
    pub version: String,
    /// When it started, by the backend's clock.
    pub started_at: Timestamp,
    /// The pools it serves, as they are configured there now.
    #[serde(default)]
    pub pools: Vec<ServedPool>,
    /// The tasks it holds, in the order of their ids.
    #[serde(default)]
    pub holds: Vec<TaskId>,
    /// By how many ms its clock is ahead of the backend's; negative when it is behind.
    #[serde(default)]
    pub clock_offset_ms: i64,
    /// It was told to stop: it claims nothing more, and hands back what it holds.
    #[serde(default)]
    pub stopping: bool,
}

impl WorkerRecord {
    /// A worker of this process that serves and holds nothing yet, on a machine and for a user without a name.
    pub fn new(worker: WorkerId, started_at: Timestamp) -> Self {
        Self {
            worker,
            host: String::new(),
            pid: std::process::id(),
            user: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            pools: Vec::new(),
            holds: Vec::new(),
            clock_offset_ms: 0,
            stopping: false,
        }
    }

    /// What it serves of a pool; `None` when it does not serve it.
    pub fn serves(&self, pool: &PoolName) -> Option<&ServedPool> {
        self.pools.iter().find(|served| served.pool == *pool)
    }
}

/// A pool that a worker serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ServedPool {
    /// The pool.
    pub pool: PoolName,
    /// Its scanners as the worker has them configured, disabled ones too.
    pub scanners: Vec<InstanceId>,
    /// How many scans those that are enabled may run at once.
    pub capacity: u32,
}

impl ServedPool {
    /// These scanners of a pool.
    pub const fn new(pool: PoolName, scanners: Vec<InstanceId>, capacity: u32) -> Self {
        Self { pool, scanners, capacity }
    }
}

/// What a worker has told of itself, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenWorker {
    /// What it has told last.
    pub record: WorkerRecord,
    /// How long ago, by the backend's clock.
    pub age: Duration,
}

impl SeenWorker {
    /// A record that was announced this long ago.
    pub const fn new(record: WorkerRecord, age: Duration) -> Self {
        Self { record, age }
    }

    /// Whether it claims tasks: it was heard of within 30 seconds, and has not been told to stop.
    pub fn is_alive(&self) -> bool {
        !self.is_lost() && !self.record.stopping
    }

    /// Whether nothing was heard of it for more than 30 seconds.
    pub fn is_lost(&self) -> bool {
        self.age > HEARD_WITHIN
    }

    /// What a backend has stored; `None` for what only another version of the program can read.
    #[cfg(any(feature = "sqlite", feature = "redis"))]
    pub(crate) fn parse(record: &str, age_ms: u64) -> Option<Self> {
        Some(Self { record: serde_json::from_str(record).ok()?, age: Duration::from_millis(age_ms) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_lives_while_it_is_heard_of_and_does_not_stop() {
        let record = WorkerRecord::new(WorkerId::generate(), Timestamp::from_millis(0));
        let states = |record: &WorkerRecord, seconds| {
            let seen = SeenWorker::new(record.clone(), Duration::from_secs(seconds));
            (seen.is_alive(), seen.is_lost())
        };
        assert_eq!([0, 30, 31].map(|seconds| states(&record, seconds)), [(true, false), (true, false), (false, true)]);
        let stopping = WorkerRecord { stopping: true, ..record };
        assert_eq!([0, 31].map(|seconds| states(&stopping, seconds)), [(false, false), (false, true)]);
    }

    #[test]
    #[cfg(any(feature = "sqlite", feature = "redis"))]
    fn a_record_of_another_version_is_read() {
        let text = r#"{"worker":"w","started_at":"2026-11-29T10:00:00Z","mood":"fine"}"#;
        let seen = SeenWorker::parse(text, 7).unwrap();
        assert_eq!((seen.record.worker.as_str(), seen.age), ("w", Duration::from_millis(7)));
        assert_eq!(SeenWorker::parse("[]", 0), None);
    }
}
