//! The catalogue of tasks: what lists and the reconciler know of each task without reading its file.
//!
//! It lies beside the queue and is an index of the task files, as the queue is: whoever writes a file records the task here,
//! and what is lost is made again from the files. The queue understands nothing of an entry.

use async_trait::async_trait;

use super::error::QueueError;
use crate::ids::TaskId;

/// The most records of one call.
pub const CATALOGUE_BATCH: usize = 500;

/// What the catalogue has of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueRecord {
    /// The task.
    pub task_id: TaskId,
    /// The revision of its file that this says; never larger than 2^53.
    pub revision: u64,
    /// Whether it has to be looked after: it has not ended, or something of it is left to be done.
    pub unfinished: bool,
    /// What lists need; `None` for a task that is not there any more.
    pub entry: Option<String>,
}

impl CatalogueRecord {
    /// A record of a task.
    pub fn new(task_id: TaskId, revision: u64, unfinished: bool, entry: impl Into<String>) -> Self {
        Self { task_id, revision, unfinished, entry: Some(entry.into()) }
    }

    /// The record that a task is gone.
    pub fn gone(task_id: TaskId, revision: u64) -> Self {
        Self { task_id, revision, unfinished: false, entry: None }
    }
}

/// How it stands with the catalogue as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueState {
    /// What [`TaskCatalogue::finish_catalogue`] has set; `None` while it is not whole: it is new, was lost or is made again.
    pub mark: Option<String>,
    /// Of how many tasks there is an entry.
    pub tasks: u64,
}

impl CatalogueState {
    /// A state of these parts.
    pub fn new(mark: Option<String>, tasks: u64) -> Self {
        Self { mark, tasks }
    }
}

/// What has changed in the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueChanges {
    /// As [`CatalogueState::mark`]. Numbers of changes count under one mark only.
    pub mark: Option<String>,
    /// The tasks that have changed, each once, as they stand now, in the order of their last change.
    pub records: Vec<CatalogueRecord>,
    /// The number of the last of them; what was asked for, where there is none.
    pub last: u64,
}

impl CatalogueChanges {
    /// Changes of these parts.
    pub fn new(mark: Option<String>, records: Vec<CatalogueRecord>, last: u64) -> Self {
        Self { mark, records, last }
    }
}

/// The catalogue that a [`Queue`](super::Queue) keeps beside its entries, under the same guarantees.
///
/// It may be lost in part or as a whole, also because a backend that was started again may have lost what it had confirmed; then its
/// mark is `None`, until it is made again: [`begin_catalogue`](Self::begin_catalogue),
/// [`record_tasks`](Self::record_tasks) for every task there is, [`finish_catalogue`](Self::finish_catalogue). Any number of processes may do so at once.
#[async_trait]
pub trait TaskCatalogue {
    /// Puts each of at most [`CATALOGUE_BATCH`] records in the place of that of its task, unless that one has a larger revision: of
    /// those it returns the task and the revision that stands. Each record that is put has a larger number than all before.
    async fn record_tasks(&self, records: &[CatalogueRecord]) -> Result<Vec<(TaskId, u64)>, QueueError>;

    /// The first `limit` tasks, at most [`CATALOGUE_BATCH`], whose last change has a larger number than `after`; all from 0 on.
    async fn catalogue_changes(&self, after: u64, limit: usize) -> Result<CatalogueChanges, QueueError>;

    /// The first `limit` records, at most [`CATALOGUE_BATCH`], of tasks that are unfinished and stand behind `after` in the order of their
    /// ids. Complete only in a catalogue that is whole.
    async fn unfinished_records(&self, after: Option<TaskId>, limit: usize)
    -> Result<Vec<CatalogueRecord>, QueueError>;

    /// How it stands with the catalogue.
    async fn catalogue_state(&self) -> Result<CatalogueState, QueueError>;

    /// Begins to make the catalogue again, or joins in: without a mark, and empty unless others have begun to make it. Returns what
    /// [`finish_catalogue`](Self::finish_catalogue) asks for.
    async fn begin_catalogue(&self) -> Result<String, QueueError>;

    /// Gives the catalogue its mark when every task was recorded; whether it has one then. It has none when the catalogue was lost since it was
    /// begun.
    async fn finish_catalogue(&self, begun: &str, mark: &str) -> Result<bool, QueueError>;
}
