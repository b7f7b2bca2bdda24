//! Where a task stands.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ScanService, error::ServiceError, shorten};
use crate::{
    ids::{InstanceId, PoolName, ScanId, TaskId, TraceId},
    queue::EntryState,
    targets,
    task::{EXPORT_FILE, LastError, ScanType, Task, TaskStatus},
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
    /// queued, running, completed, failed, timeout or cancelled.
    pub status: TaskStatus,
    /// 0 to 100; absent until the scanner reports any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
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
    /// Why its scan cannot begin now, unless it only waits its turn. The pool is paused; or no scanner that may run it is
    /// configured, enabled and called (with the last failure); or several workers in a row were lost with it; or the last
    /// try failed, and the next is later. The task waits; once it has started, up to its time limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// The last error that is retried: code, message, how often in a row, and when the next try is. Absent as soon as the
    /// step succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// When somebody asked for it to be cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_requested_at: Option<Timestamp>,
    /// Whether `get_scan_results` has findings to return.
    pub results_available: bool,
    /// Seconds to wait before asking again; absent when the task has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_poll_seconds: Option<u64>,
    /// untrusted, trusted or privileged.
    pub scan_type: ScanType,
    /// The name a person gave.
    pub name: String,
    /// The normalised targets: the first of them, and how many more, where there are many; `task.json` has all.
    pub targets: String,
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
    /// Seconds from start to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<f64>,
    /// The number of the attempt: 1, and 1 more for each retry.
    pub attempt: u32,
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
}

impl ScanService {
    /// Where a task stands.
    ///
    /// # Errors
    /// [`ServiceError::Task`] with the code `task_not_found` when there is none.
    pub async fn status(&self, task_id: &TaskId) -> Result<TaskView, ServiceError> {
        let task = self.tasks.get(task_id).await?;
        let queue_position = match task.status {
            // The file is the truth; a queue that does not answer only cannot tell the place.
            TaskStatus::Queued => self.queue.position(&task.scanner_pool, task_id).await.ok().flatten(),
            _ => None,
        };
        let results_available = task.status.is_terminal() && self.tasks.has_artifact(task_id, EXPORT_FILE).await?;
        let estimated_wait_seconds = match (task.status, queue_position) {
            (TaskStatus::Queued, Some(position)) => self.estimated_wait(&task, position).await,
            // One without a place has been in a worker's hands and is among the next, if the queue knows it.
            (TaskStatus::Queued, None) => match self.queue.state_of(&task.scanner_pool, task_id).await {
                Ok(Some(EntryState::Delayed | EntryState::Leased)) => self.estimated_wait(&task, 1).await,
                _ => None,
            },
            _ => None,
        };
        let waiting_for = self.waiting_for(&task).await;
        Ok(TaskView { estimated_wait_seconds, waiting_for, ..self.view(task, queue_position, results_available) })
    }

    /// Reads a task id as the API layer gets it.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] when it has not the form of one.
    pub fn parse_task_id(text: &str) -> Result<TaskId, ServiceError> {
        TaskId::new(text.trim()).map_err(|error| {
            let hint = "use the `task_id` that a submit returned; `list_tasks` shows those there are".to_owned();
            ServiceError::invalid("task_id", format!("is refused: {error}"), hint)
        })
    }

    fn view(&self, task: Task, queue_position: Option<u64>, results_available: bool) -> TaskView {
        let is_running = task.status == TaskStatus::Running;
        let observation = task.observation.clone().filter(|_| is_running);
        let observation = observation.map(|seen| (shorten::text(&seen.state), seen.unchanged_since));
        let (scan_state, scan_unchanged_since) = observation.unzip();
        TaskView {
            scan_state,
            scan_unchanged_since,
            results_available,
            next_poll_seconds: next_poll(&task, self.clock.now()),
            task_id: task.task_id,
            trace_id: task.trace_id,
            status: task.status,
            progress: task.progress,
            queue_position,
            estimated_wait_seconds: None,
            waiting_for: None,
            last_error: task.last_error.map(|last| LastError { message: shorten::text(&last.message), ..last }),
            cancel_requested_at: task.cancel_requested_at,
            scan_type: task.scan_type,
            name: shorten::text(&task.payload.name),
            targets: targets::shortened(&task.payload.targets),
            scanner_type: task.scanner_type,
            scanner_pool: task.scanner_pool,
            scanner_instance: task.scanner_instance_id,
            nessus_scan_id: task.nessus_scan_id,
            created_at: task.created_at,
            started_at: task.started_at,
            completed_at: task.completed_at,
            execution_time: task.execution_time,
            attempt: task.attempt,
            error_code: task.error_code,
            error_message: task.error_message.as_deref().map(shorten::text),
            authentication_status: task.authentication_status,
            validation_stats: task.validation_stats,
            validation_warnings: shorten::list(&task.validation_warnings),
        }
    }
}

/// A tenth of the task's age, at least 2 and at most 60 seconds: quick scans are noticed quickly, long ones cost little.
fn next_poll(task: &Task, now: Timestamp) -> Option<u64> {
    (!task.status.is_terminal()).then(|| (now.since(task.created_at).as_secs() / 10).clamp(2, 60))
}
