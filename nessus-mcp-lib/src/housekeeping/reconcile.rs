//! Enqueueing what the queue has forgotten.
//!
//! A submit writes `task.json` and then enqueues; a process that dies between the two leaves a task the queue does not
//! know, and a queue that lost its data knows none. The files are the truth, so every task that is not terminal is
//! enqueued again; for a task the queue knows that changes nothing.

use std::time::Duration;

use crate::{
    queue::{self, BodyError, EnqueueOutcome, Queue, QueueError, TaskBody},
    task::{TaskError, TaskManager, TaskQuery, TaskStatus},
    time::Timestamp,
};

/// Tasks younger than this are left alone: their submit may be about to enqueue them.
const GRACE: Duration = Duration::from_secs(10);

/// A comparison that could not be finished.
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
}

/// Enqueues every task that is not terminal and that the queue does not know; returns how many those were.
pub async fn reconcile(tasks: &TaskManager, queue: &dyn Queue, now: Timestamp) -> Result<usize, ReconcileError> {
    let mut enqueued = 0;
    let list = tasks.list(TaskQuery::default().unfinished()).await?;
    // Oldest first, so that the order of submission is kept.
    for task in list.tasks.iter().rev().filter(|task| now.since(task.created_at) >= GRACE) {
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
