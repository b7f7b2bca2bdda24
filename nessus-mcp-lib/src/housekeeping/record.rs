//! What a data directory remembers of housekeeping: `housekeeping.json` says when the next run is due, and
//! `housekeeping-report.json` is the report of the last one.

use serde::{Deserialize, Serialize};

use super::report::HousekeepingReport;
use crate::{
    task::{TaskError, TaskManager},
    time::Timestamp,
};

const FILE: &str = "housekeeping.json";
const REPORT: &str = "housekeeping-report.json";

/// Grows when the rules remove something that they did not before: the first run by them removes nothing.
const RULES: u32 = 1;

/// When housekeeping was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    rules: u32,
    /// When the last run by a worker or an operator ended.
    pub(super) ended_at: Timestamp,
    /// When the next run of a worker is due.
    pub(super) next_at: Timestamp,
    /// By what the last run of a worker went, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) workers_go_by: Option<String>,
}

/// When housekeeping has run last, and when it is due again; `None` when it has not run by the rules of this version.
///
/// # Errors
/// [`TaskError::Storage`] when what it has written down cannot be read.
pub async fn last_run(tasks: &TaskManager) -> Result<Option<(Timestamp, Timestamp)>, TaskError> {
    Ok(Record::read(tasks).await?.map(|record| record.times()))
}

impl Record {
    /// The record; `None` when there was no run by these rules, or the file makes no sense.
    pub(super) async fn read(tasks: &TaskManager) -> Result<Option<Self>, TaskError> {
        let read = tasks.data_file(FILE).await?;
        let record = read.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        Ok(record.filter(|record| record.rules == RULES))
    }

    /// What [`due`](super::rules::due) asks for.
    pub(super) const fn times(&self) -> (Timestamp, Timestamp) {
        (self.ended_at, self.next_at)
    }

    /// Writes down that a run has ended, after what it says.
    pub(super) async fn write(
        tasks: &TaskManager,
        report: &HousekeepingReport,
        next_at: Timestamp,
        workers_go_by: Option<String>,
    ) -> Result<(), TaskError> {
        let pretty = |document: serde_json::Value| format!("{document:#}\n").into_bytes();
        tasks.write_data_file(REPORT, pretty(serde_json::json!(report))).await?;
        let record = Self { rules: RULES, ended_at: report.ended_at, next_at, workers_go_by };
        tasks.write_data_file(FILE, pretty(serde_json::json!(record))).await
    }
}
