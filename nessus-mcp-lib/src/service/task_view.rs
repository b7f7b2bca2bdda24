//! A task as callers see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{attempts::EndedAttempt, phase::Phase, troubleshooting::Advice};
use crate::{
    ids::{InstanceId, PoolName, ScanId, TaskId, TraceId},
    task::{LastError, Pause, ScanType, TaskStatus},
    time::Timestamp,
};

/// A task as the API layer shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TaskView {
    /// The task.
    pub task_id: TaskId,
    /// The request it came with.
    pub trace_id: TraceId,
    /// Who submitted it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// queued, running, completed, failed, timeout or cancelled.
    pub status: TaskStatus,
    /// What is being done now; absent when the task has ended. `waiting_for` says what a task in the phase `waiting` waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// 0 to 100; absent until the scanner reports any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// The hosts that the scanner has found and begun with by now; absent until it reports any. Those asked for may be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts_known: Option<u64>,
    /// How many of these it is done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts_done: Option<u64>,
    /// The scan's state on the scanner: pending, running, paused (by somebody on the scanner), stopping, or its final state
    /// while results are fetched. Only while the task is running, once the scanner has reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_state: Option<String>,
    /// Since when neither `scan_state` nor `progress` has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_unchanged_since: Option<Timestamp>,
    /// Place in the pool's queue, 1 being next; only while queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
    /// Seconds until it is likely to begin, from what the pool's last scans took; only while queued, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_wait_seconds: Option<u64>,
    /// Why its scan cannot begin now, unless it only waits its turn. Somebody has paused it; or its window is closed
    /// (`window: ...`, with the time when it may begin); or the pool is paused; or no scanner that may run it is
    /// configured, enabled and called (with the last failure); or no worker serves the pool or has its scanner; or several workers
    /// in a row were lost with it; or the last try failed, and the next is later. The task waits; once it has started, up to its
    /// time limit. Of a scan that runs: why nothing new is heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// The last error that is retried: code, message, how often in a row, and when the next try is. Absent as soon as the
    /// step succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// How it is held, by whom and since when; absent unless it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// What the policy does with a scan that runs while its window is closed: it goes on, or is paused until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside_of_window: Option<String>,
    /// When somebody asked for it to be cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_requested_at: Option<Timestamp>,
    /// Whether there are findings to read.
    pub results_available: bool,
    /// Seconds to wait before asking again; absent when the task has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_poll_seconds: Option<u64>,
    /// untrusted, trusted or privileged.
    pub scan_type: ScanType,
    /// The template of the scanner that it is made of; absent for the default one, and for a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The policy of the scanner that it is made of, by its name as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The name a person gave.
    pub name: String,
    /// The normalised targets: the first of them, and how many more, where there are many; `task.json` has all.
    pub targets: String,
    /// The targets with the addresses that were checked for each host name, as in `db.example[10.0.0.5]`: what the scanner is
    /// told. Only where the scope is enforced and names are among the targets; looked up again right before the scan begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_targets: Option<String>,
    /// What the scope policy would have refused of it, if it were enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_warning: Option<String>,
    /// The type of scanner.
    pub scanner_type: String,
    /// The pool.
    pub scanner_pool: PoolName,
    /// The scanner, once one is chosen or pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_instance: Option<InstanceId>,
    /// The scan on the scanner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nessus_scan_id: Option<ScanId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a worker started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Seconds from start to end, without pauses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<f64>,
    /// The number of the attempt: 1, and 1 more for each retry.
    pub attempt: u32,
    /// How many attempts there may be.
    #[serde(default)]
    pub max_attempts: u32,
    /// The attempts that have ended, with status, time and error code, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_attempts: Vec<EndedAttempt>,
    /// What went wrong, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What went wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Whether the login on the targets worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_status: Option<String>,
    /// Counts of the results.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Map<String, Value>>"))]
    pub validation_stats: Option<Value>,
    /// What a reader of the results must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation_warnings: Vec<String>,
    /// What to look at next: where something failed, is retried, keeps the task waiting, or is missing in the results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubleshooting: Vec<Advice>,
}
