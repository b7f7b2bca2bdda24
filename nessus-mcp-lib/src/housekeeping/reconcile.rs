//! Enqueueing what the queue has forgotten.
//!
//! A submit writes `task.json` and then enqueues; a process that dies between the two leaves a task the queue does not
//! know, and a queue that lost its data knows none. The files are the truth, so every task that is not terminal is
//! enqueued again; for a task the queue knows that changes nothing.

use std::time::Duration;

use crate::{
    queue::{self, BodyError, EnqueueOutcome, Queue, QueueError, TaskBody},
    task::{Task, TaskError, TaskManager, TaskQuery, TaskStatus},
    time::Timestamp,
};

/// Tasks younger than this are left alone: their submit may be about to enqueue them. So are those whose submit seems to be
/// about to come, by a clock that is ahead of ours by less; one that is further ahead says nothing about a task's age.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Task files and queue that could not be compared, or do not belong together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The tasks could not be read.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A task could not be written as a queue entry.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The queue belongs to another data directory.
    #[error(
        "the queue belongs to another data directory: its id is `{queue}`, this directory {}",
        directory.as_ref().map_or("has none".to_owned(), |id| format!("has `{id}`"))
    )]
    Mismatch {
        /// The id of this directory, if it has one.
        directory: Option<String>,
        /// The id of the queue's directory.
        queue: String,
    },
    /// The data directory is not the one it was when the process started.
    #[error("the data directory is not the one it was: it has no longer the id `{before}`")]
    DirectoryChanged {
        /// The id it had.
        before: String,
    },
}

/// Enqueues every task that is not terminal and that the queue does not know; returns how many those were.
pub async fn reconcile(tasks: &TaskManager, queue: &dyn Queue, now: Timestamp) -> Result<usize, ReconcileError> {
    let mut enqueued = 0;
    let list = tasks.list(TaskQuery::default().unfinished()).await?;
    // Oldest first, so that the order of submission is kept.
    for task in list.tasks.iter().rev().filter(|task| !is_young(task, now)) {
        // It may have ended since the list was made; enqueued again, it would be buried a second time.
        let Some(task) = tasks.get(&task.task_id).await.ok().filter(|task| !task.status.is_terminal()) else {
            continue;
        };
        let body = TaskBody::parse(task.queue_entry().to_string())?;
        let pool = &task.scanner_pool;
        let is_new = match (task.status, task.attempt) {
            // Its scan may run: it is handed out also where no other may begin.
            (TaskStatus::Running, _) => queue.enqueue_begun(pool, &body).await?.outcome == EnqueueOutcome::Added,
            (_, 0 | 1) => queue.enqueue(pool, &body).await?.outcome == EnqueueOutcome::Added,
            // A retry that was cut short has left its dead letter.
            _ => queue::revive(queue, pool, &body).await?,
        };
        if is_new {
            // It was buried because its file was missing, and it is back: a task that is alive has no letter.
            queue.retry_dead(pool, &body).await?;
        }
        enqueued += usize::from(is_new);
    }
    Ok(enqueued)
}

fn is_young(task: &Task, now: Timestamp) -> bool {
    now.since(task.created_at).max(task.created_at.since(now)) < GRACE
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;
    use crate::{
        ids::{PoolName, TaskId, TraceId},
        queue::sqlite::SqliteQueue,
        task::{ScanPayload, ScanType},
    };

    /// The clock of whoever wrote `created_at` may be ahead of ours, by milliseconds or by a day.
    #[tokio::test]
    async fn a_task_from_the_future_is_enqueued_again_too() {
        let now = Timestamp::from_millis(1_764_599_422_000);
        let day = Duration::from_secs(26 * 3600);
        for (created_at, enqueued) in [
            (now.plus(day), 1),
            (now.minus(day), 1),
            (now, 0),
            (now.plus(Duration::from_secs(3)), 0),
            (now.minus(Duration::from_secs(3)), 0),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let tasks = TaskManager::open(directory.path()).unwrap();
            let queue = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
            let (pool, payload) = (PoolName::new("lab").unwrap(), ScanPayload::new("office", "192.0.2.1"));
            let id = TaskId::generate("mock", "lab", created_at);
            let task = Task::new(id, TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, created_at);
            tasks.create(task).await.unwrap();
            assert_eq!(reconcile(&tasks, &queue, now).await.unwrap(), enqueued, "created at {created_at}, now {now}");
        }
    }
}
