//! The attempts of a task.

use serde::{Deserialize, Serialize};

use crate::{
    task::{HistoryEntry, Task, TaskStatus},
    time::Timestamp,
};

/// How often a task may be started on request.
pub(super) const MAX_ATTEMPTS: u32 = 5;

/// How an attempt of a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EndedAttempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// completed, failed, timeout or cancelled.
    pub status: TaskStatus,
    /// When.
    pub ended_at: Timestamp,
    /// What went wrong, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

/// The attempts of a task that have ended, oldest first.
pub(super) fn ended(task: &Task) -> Vec<EndedAttempt> {
    let ends = task.history.iter().filter(|step| step.to.is_terminal());
    let attempt = |step: &HistoryEntry| EndedAttempt {
        attempt: step.attempt,
        status: step.to,
        ended_at: step.at,
        error_code: step.error_code.clone(),
    };
    ends.map(attempt).collect()
}
