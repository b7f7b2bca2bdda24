//! Enqueueing what the queue has forgotten.
//!
//! A submit writes `task.json` and then enqueues; a process that dies between the two leaves a task the queue does not
//! know, and a queue that lost its data knows none. The files are the truth, so every task that is not terminal is
//! enqueued again; for a task the queue knows that changes nothing. Which tasks those are, the catalogue says; each of its records is
//! compared with the file.

use std::time::Duration;

use tracing::warn;

use super::{charges, error::ReconcileError};
use crate::{
    ids::PoolName,
    queue::{
        ChargeOutcome, EnqueueOutcome, EntryState, IDEMPOTENCY_TTL, IdempotencyEntry, IdempotencyOutcome, Queue,
        QueueError, RemoveOutcome, TaskBody,
    },
    task::{Task, TaskKey, TaskManager, TaskStatus, Writer, enqueue_deliveries},
    time::Timestamp,
};

/// Tasks younger than this are skipped: their submit may be about to enqueue them. The same holds for a task that a clock
/// ahead of ours has dated up to this much in the future; a clock further ahead says nothing about a task's age.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// By then a worker has looked by itself at a task that it has put off because a person must agree.
const LOOKED_AT_BY_THEN: Duration = Duration::from_secs(900);

/// A key that is about to expire decides nothing any more: the queue may have given it away rightly.
const KEY_MARGIN: Duration = Duration::from_secs(3600);

/// Enqueues every task that is not terminal and that the queue does not know, and every one of which webhooks are to be told; returns
/// how many those were. A task that has left
/// a login behind when it ended counts as unfinished in the catalogue, and is freed of it when it is compared.
pub(super) async fn reconcile(tasks: &TaskManager, queue: &dyn Queue, now: Timestamp) -> Result<usize, ReconcileError> {
    tasks.record_rest().await?;
    enqueue_unfinished(tasks, queue, now, Some(GRACE)).await
}

/// How many tasks [`reconcile`] would enqueue, by their files.
pub(super) async fn forgotten(tasks: &TaskManager, queue: &dyn Queue, now: Timestamp) -> Result<usize, ReconcileError> {
    let mut forgotten = 0;
    for task in &tasks.unfinished_by_files().await? {
        if task.has_deliveries() {
            let is_known = queue.state_of(&PoolName::deliveries(), &task.task_id).await?.is_some();
            forgotten += usize::from(!is_known);
        }
        if task.status.is_terminal() || is_young(task, now, GRACE) {
            continue;
        }
        let is_known = queue.state_of(&task.scanner_pool, &task.task_id).await?.is_some();
        forgotten += usize::from(!is_known);
    }
    Ok(forgotten)
}

/// As [`reconcile`], but tasks younger than `grace` are skipped.
pub(super) async fn enqueue_unfinished(
    tasks: &TaskManager,
    queue: &dyn Queue,
    now: Timestamp,
    grace: Option<Duration>,
) -> Result<usize, ReconcileError> {
    let mut enqueued = 0;
    // Oldest first, so that the order of submission is kept.
    for unfinished in tasks.unfinished().await? {
        let Some(task) = tasks.compare(&unfinished).await? else { continue };
        if task.has_deliveries() {
            enqueued += usize::from(enqueue_deliveries(queue, &task).await?);
        }
        if task.status.is_terminal() {
            continue;
        }
        if grace.is_some_and(|grace| is_young(&task, now, grace)) {
            continue;
        }
        if !keeps_its_key(tasks, queue, &task, now).await? {
            continue;
        }
        let outcome = match grace {
            Some(_) => charges::enqueue(queue, &task).await?,
            // What is charged was restored before.
            None => charges::enqueue_uncharged(queue, &task).await?,
        };
        let is_new = match outcome {
            ChargeOutcome::Enqueued(outcome) => outcome == EnqueueOutcome::Added,
            ChargeOutcome::Full { at, used } => {
                charges::withdraw(tasks, queue, &task, at, used).await?;
                continue;
            }
            // It is rebuilt first, and then compared once more.
            ChargeOutcome::Unbound => return Ok(enqueued),
        };
        // Whoever has decided about it may have died before they could let a worker look at it.
        let may_be_put_off = grace.is_some() && !is_new && was_decided_lately(&task, now);
        if may_be_put_off && take_if_put_off(queue, &task).await? {
            charges::enqueue(queue, &task).await?;
        }
        // A task that is alive has no letter: that of a retry that was cut short, or from when its file was missing.
        if is_new || !task.has_started() {
            let body = TaskBody::parse(task.queue_entry().to_string())?;
            queue.retry_dead(&task.scanner_pool, &body).await?;
        }
        enqueued += usize::from(is_new);
    }
    Ok(enqueued)
}

/// Whether a person has agreed to the scan of this task so short a while ago that its worker may not have looked since.
fn was_decided_lately(task: &Task, now: Timestamp) -> bool {
    let decision = task.approval.as_ref().and_then(|approval| approval.decision.as_ref());
    decision.is_some_and(|decision| now.since(decision.decided_at) < LOOKED_AT_BY_THEN && !task.may_have_a_scan())
}

/// Takes a task out of its queue that a worker has put off, so that it can be enqueued to be looked at now. One that is ready
/// keeps its place, and one that a worker holds is looked at already.
pub(crate) async fn take_if_put_off(queue: &dyn Queue, task: &Task) -> Result<bool, QueueError> {
    let (pool, id) = (&task.scanner_pool, &task.task_id);
    Ok(queue.state_of(pool, id).await? == Some(EntryState::Delayed)
        && queue.remove(pool, id).await? == RemoveOutcome::Removed)
}

/// Whether the task is the one that its idempotency key stands for. A queue that lost its keys while the task was written
/// may have given its key to another: then this one, which no caller knows, is cancelled before it runs.
pub(super) async fn keeps_its_key(
    tasks: &TaskManager,
    queue: &dyn Queue,
    task: &Task,
    now: Timestamp,
) -> Result<bool, ReconcileError> {
    // What the queue knows or has started is the one that the key was given to.
    let may_be_second = task.status == TaskStatus::Queued && task.attempt <= 1;
    let Some((key, entry, left)) = key_of(task, now).filter(|(_, _, left)| may_be_second && *left > KEY_MARGIN) else {
        return Ok(true);
    };
    if queue.state_of(&task.scanner_pool, &task.task_id).await?.is_some() {
        return Ok(true);
    }
    let first = match queue.claim_idempotency_key(key, &entry, left).await? {
        IdempotencyOutcome::Existing(first) if first.task_id != task.task_id => first.task_id,
        _ => return Ok(true),
    };
    warn!(task_id = %task.task_id, %first, "the request was submitted twice under one key: this task is cancelled");
    let update = tasks.update(&task.task_id, Writer::Api, move |task| {
        if task.status == TaskStatus::Queued {
            task.status = TaskStatus::Cancelled;
            task.idempotency = None;
            task.error_code = Some("duplicate_request".to_owned());
            task.error_message = Some(format!("the request became task `{first}`, under the same idempotency key"));
        }
    });
    Ok(update.await?.status != TaskStatus::Cancelled)
}

/// The idempotency key of a task, what it stands for, and for how long.
pub(super) fn key_of(task: &Task, now: Timestamp) -> Option<(&str, IdempotencyEntry, Duration)> {
    let TaskKey { key, request_hash, claimed_at, .. } = task.idempotency.as_ref()?;
    let left = IDEMPOTENCY_TTL.saturating_sub(now.since(*claimed_at));
    let entry = IdempotencyEntry::new(task.task_id.clone(), request_hash, *claimed_at);
    (!left.is_zero()).then_some((key, entry, left))
}

fn is_young(task: &Task, now: Timestamp, grace: Duration) -> bool {
    now.since(task.created_at).max(task.created_at.since(now)) < grace
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;
    use crate::{
        ids::{TaskId, TraceId},
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

    /// A queue that was emptied between the claim of a key and the write of its task gives the key to another request. Of the
    /// two one runs, also when the process of the other has died before it could see that.
    #[tokio::test]
    async fn of_two_tasks_with_one_key_the_queues_is_run() {
        let now = Timestamp::from_millis(1_764_599_422_000);
        let directory = tempfile::tempdir().unwrap();
        let tasks = TaskManager::open(directory.path()).unwrap();
        let queue = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
        let (pool, created_at) = (PoolName::new("lab").unwrap(), now.minus(GRACE));
        let keyed = async || {
            let id = TaskId::generate("mock", "lab", created_at);
            let payload = ScanPayload::new("office", "192.0.2.1");
            let mut task =
                Task::new(id, TraceId::generate(), ScanType::Untrusted, "mock", pool.clone(), payload, created_at);
            task.idempotency = Some(TaskKey::new("key", "hash", created_at));
            tasks.create(task.clone()).await.unwrap();
            task
        };
        let (first, second) = (keyed().await, keyed().await);
        let entry = IdempotencyEntry::new(first.task_id.clone(), "hash", created_at);
        queue.claim_idempotency_key("key", &entry, IDEMPOTENCY_TTL).await.unwrap();
        for enqueued in [1, 0] {
            assert_eq!(reconcile(&tasks, &queue, now).await.unwrap(), enqueued);
        }
        assert_eq!(tasks.get(&first.task_id).await.unwrap().status, TaskStatus::Queued);
        let second = tasks.get(&second.task_id).await.unwrap();
        assert_eq!((second.status, second.error_code.as_deref()), (TaskStatus::Cancelled, Some("duplicate_request")));
        assert!(second.error_message.unwrap().contains(first.task_id.as_str()));
    }
}
