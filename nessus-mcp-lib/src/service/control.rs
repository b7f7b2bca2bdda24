//! Stopping a scan, trying it again, and clearing away what failed.
//!
//! The file decides, under its lock: a cancel and a completion that arrive together are one after the other there, and
//! the first wins. A task that waits is cancelled at once; one that runs is marked, and its worker stops the scan on the
//! scanner, keeps what it has found, and ends the task.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{ScanService, ServiceError};
use crate::{
    error::{chain, excerpt},
    ids::{PoolName, TaskId},
    queue::{self, DeadLetter, TaskBody},
    task::{Task, TaskError, TaskStatus, Writer},
    time::Timestamp,
};

/// How often a task may be begun on request.
const MAX_ATTEMPTS: u32 = 5;
/// The most characters of a reason.
const MAX_REASON: usize = 500;
/// When a scan that is being stopped is worth asking for.
const STOP_POLL_SECONDS: u64 = 5;
/// Dead letters that are looked at at once.
const LETTERS: u32 = 200;

/// The answer of [`ScanService::cancel`] and [`ScanService::retry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ControlView {
    /// The task.
    pub task_id: TaskId,
    /// Where it stands now.
    pub status: TaskStatus,
    /// How often it was begun on request.
    pub attempt: u32,
    /// Seconds to wait before the status is asked for; absent when the task has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_poll_seconds: Option<u64>,
    /// What happens next.
    pub message: String,
}

/// The answer of [`ScanService::purge_dead`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Purged {
    /// Dead letters that were written to the archive.
    pub archived: u64,
    /// Dead letters that were removed from the queue.
    pub removed: u64,
}

impl ScanService {
    /// Cancels a task: at once while it waits; while it runs, its worker stops the scan and keeps what was found.
    /// Repeated, it changes nothing. A scan that is complete before it can be stopped stays complete.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyEnded`] for a task that has ended in another way, and those of a disk that fails.
    pub async fn cancel(&self, task_id: &TaskId, reason: Option<&str>) -> Result<ControlView, ServiceError> {
        if reason.is_some_and(|reason| reason.chars().count() > MAX_REASON) {
            return Err(ServiceError::invalid("reason", format!("must have at most {MAX_REASON} characters"), None));
        }
        let now = self.clock.now();
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned);
        let before = self.tasks.get(task_id).await?.status;
        let update = self.tasks.update(task_id, Writer::FrontDoor, move |task| match task.status {
            TaskStatus::Queued => {
                task.error_message = Some(match &reason {
                    Some(reason) => format!("cancelled on request: {}", excerpt(reason)),
                    None => "cancelled on request".to_owned(),
                });
                task.error_code = Some("cancelled".to_owned());
                task.cancel_requested_at = Some(now);
                task.cancel_reason = reason;
                task.status = TaskStatus::Cancelled;
            }
            TaskStatus::Running if task.cancel_requested_at.is_none() => {
                task.cancel_requested_at = Some(now);
                task.cancel_reason = reason;
            }
            _ => {}
        });
        let task = update.await?;
        let message = match task.status {
            TaskStatus::Running => "the scan is being stopped; what it has found is kept; ask get_scan_status",
            TaskStatus::Cancelled if before == TaskStatus::Queued => "the scan was cancelled before it began",
            TaskStatus::Cancelled => "the scan is cancelled",
            status => return Err(ServiceError::AlreadyEnded { task_id: task.task_id, status }),
        };
        info!(%task_id, status = %task.status, "cancel requested");
        if task.status == TaskStatus::Cancelled {
            if before == TaskStatus::Queued {
                self.metrics.task_reached(task.scan_type.as_str(), task.status.as_str());
            }
            // A worker that has claimed it meanwhile sees that it is over, and so does one that claims it later.
            if let Err(error) = self.queue.remove(&task.scanner_pool, task_id).await {
                warn!(%task_id, error = chain(&error), "the cancelled task stays in the queue until a worker sees it");
            }
        }
        Ok(view(task, message))
    }

    /// Puts a task that failed or took too long back into the queue, with its history and `attempt` + 1. Its earlier
    /// results are removed.
    ///
    /// # Errors
    /// [`ServiceError::NotRetryable`] for a task in another state or with too many attempts.
    pub async fn retry(&self, task_id: &TaskId) -> Result<ControlView, ServiceError> {
        let task = self.tasks.get(task_id).await?;
        let refused = |reason| ServiceError::NotRetryable { task_id: task_id.clone(), reason };
        if task.attempt >= MAX_ATTEMPTS {
            return Err(refused(format!("it was begun {} times", task.attempt)));
        }
        self.pool_of(Some(task.scanner_pool.as_str()))?;
        let task = match self.tasks.retry(task_id).await {
            Err(TaskError::Transition(error)) => return Err(refused(format!("it is {}", error.from))),
            other => other?,
        };
        self.metrics.task_reached(task.scan_type.as_str(), task.status.as_str());
        info!(%task_id, attempt = task.attempt, "retry requested");
        let mut message = "the scan is queued again; ask get_scan_status";
        if let Err(error) = self.enqueue_again(&task).await {
            warn!(%task_id, error = chain(&error), "the task is kept, and enqueued by the reconciler");
            message = "the scan will be queued again as soon as the queue answers; ask get_scan_status";
        }
        Ok(view(task, message))
    }

    async fn enqueue_again(&self, task: &Task) -> Result<(), ServiceError> {
        let body = TaskBody::parse(task.queue_entry().to_string())?;
        queue::revive(self.queue.as_ref(), &task.scanner_pool, &body).await?;
        Ok(())
    }

    /// Removes the dead letters of a pool that failed before a moment, after each was written to the archive with what
    /// its task knows. The tasks themselves stay.
    ///
    /// # Errors
    /// When something cannot be archived; then nothing is removed.
    pub async fn purge_dead(&self, pool: &PoolName, before: Timestamp) -> Result<Purged, ServiceError> {
        let mut purged = Purged::default();
        let mut offset = 0;
        loop {
            let letters = self.queue.dead_letters(pool, offset, LETTERS).await?;
            if letters.is_empty() {
                break;
            }
            offset += letters.len() as u64;
            for letter in letters.iter().filter(|letter| letter.failed_at < before) {
                self.archive(letter).await?;
                purged.archived += 1;
            }
        }
        if purged.archived > 0 {
            purged.removed = self.queue.purge_dead(pool, before).await?;
        }
        info!(%pool, removed = purged.removed, "dead letters purged");
        Ok(purged)
    }

    async fn archive(&self, letter: &DeadLetter) -> Result<(), ServiceError> {
        let name = match &letter.task_id {
            Some(task_id) => task_id.to_string(),
            None => format!("unreadable_{}", letter.failed_at.as_millis()),
        };
        let task = match &letter.task_id {
            Some(task_id) => match self.tasks.get(task_id).await {
                Ok(task) => serde_json::to_value(task).unwrap_or(Value::Null),
                Err(_) => Value::Null,
            },
            None => Value::Null,
        };
        let document = json!({"dead_letter": letter.to_json(), "task": task, "archived_at": self.clock.now()});
        Ok(self.tasks.archive(&name, document).await?)
    }
}

fn view(task: Task, message: &str) -> ControlView {
    ControlView {
        next_poll_seconds: (!task.status.is_terminal()).then_some(STOP_POLL_SECONDS),
        task_id: task.task_id,
        status: task.status,
        attempt: task.attempt,
        message: message.to_owned(),
    }
}
