//! Hosts that count against a day: charged when a task is enqueued, given back when it ends without a launch.

use tracing::warn;

use super::error::ReconcileError;
use crate::{
    error::Classified as _,
    policy::ScopeError,
    queue::{ChargeOutcome, EntryState, HostCharge, Queue, QueueError, TaskBody},
    task::{ChargedHosts, Task, TaskManager, TaskStatus, Writer},
    time::Timestamp,
};

/// Enqueues a task, and charges its hosts if they count against a day. Fine for one that the queue knows.
pub(crate) async fn enqueue(queue: &dyn Queue, task: &Task) -> Result<ChargeOutcome, ReconcileError> {
    let Some(charged) = task.charge() else { return enqueue_uncharged(queue, task).await };
    let (body, charge) = (TaskBody::parse(task.queue_entry().to_string())?, charge_of(task, charged));
    // What runs is not refused any more.
    let most = charged.most.filter(|_| task.status == TaskStatus::Queued);
    Ok(queue.enqueue_charged(&task.scanner_pool, &body, &charge.of_at_most(most), task.has_started()).await?)
}

/// As [`enqueue`], without regard to its hosts.
pub(crate) async fn enqueue_uncharged(queue: &dyn Queue, task: &Task) -> Result<ChargeOutcome, ReconcileError> {
    let (pool, body) = (&task.scanner_pool, TaskBody::parse(task.queue_entry().to_string())?);
    let enqueued =
        if task.has_started() { queue.enqueue_started(pool, &body).await } else { queue.enqueue(pool, &body).await };
    Ok(ChargeOutcome::Enqueued(enqueued?))
}

/// Gives back what a task is charged that has ended without launching anything. Fine to repeat: it is given back once.
pub(crate) async fn give_back(queue: &dyn Queue, task: &Task) -> Result<(), QueueError> {
    match task.charge_to_give_back() {
        Some(charged) => queue.give_back(&charge_of(task, charged)).await,
        None => Ok(()),
    }
}

/// Charges again what a task file remembers, if its day is not long over; returns how many hosts.
pub(super) async fn restore(queue: &dyn Queue, task: &Task, now: Timestamp) -> Result<u64, QueueError> {
    let yesterday = now.minus(std::time::Duration::from_secs(24 * 3600)).utc_day();
    let mut hosts = 0_u64;
    for charged in task.standing_charges().filter(|charged| charged.day >= yesterday) {
        queue.restore_charge(&charge_of(task, charged)).await?;
        hosts = hosts.saturating_add(charged.hosts);
    }
    Ok(hosts)
}

/// Ends a task that the day had no room for, before anybody hears that it is accepted: a new one is cancelled, and frees its
/// idempotency key; one that was to be tried again is failed as before. Returns the refusal, or `None` if somebody else has
/// brought the task into the queue meanwhile.
pub(crate) async fn withdraw(
    tasks: &TaskManager,
    queue: &dyn Queue,
    task: &Task,
    used: u64,
) -> Result<Option<ScopeError>, ReconcileError> {
    let entry = queue.state_of(&task.scanner_pool, &task.task_id).await?;
    let Some(charged) = task.charge().filter(|_| entry.is_none_or(|entry| entry == EntryState::Dead)) else {
        return Ok(None);
    };
    let refused = day_is_full(charged, used);
    let (attempt, code, message) = (task.attempt, refused.code(), refused.to_string());
    let update = tasks.update(&task.task_id, Writer::Api, move |task| {
        if task.status == TaskStatus::Queued && task.attempt == attempt {
            task.drop_charge();
            task.error_code = Some(code.to_owned());
            task.error_message = Some(message);
            task.status = if attempt > 1 { TaskStatus::Failed } else { TaskStatus::Cancelled };
            if attempt <= 1 {
                task.idempotency = None;
            }
        }
    });
    update.await?;
    crate::fail_points::fail_point!("submit_withdrawn");
    if let Some(key) = task.idempotency.as_ref().filter(|_| attempt <= 1) {
        queue.forget_idempotency_key(&key.key, &task.task_id).await?;
    }
    warn!(task_id = %task.task_id, error = %refused, "the day has no room for the task, which did not begin");
    Ok(Some(refused))
}

/// Whether a task was [withdrawn](withdraw), so that its key is free although the queue may not know it yet.
pub(crate) fn is_withdrawn(task: &Task) -> bool {
    task.status == TaskStatus::Cancelled
        && task.idempotency.is_none()
        && task.error_code.as_deref() == Some(ScopeError::DAY_IS_FULL)
}

/// The refusal of hosts by a day of which so many are used.
pub(crate) fn day_is_full(charged: &ChargedHosts, used: u64) -> ScopeError {
    let ends = Timestamp::begin_of_utc_day(&charged.day).map(Timestamp::end_of_utc_day);
    let next = ends.map_or_else(|_| "the next day".to_owned(), |next| next.to_string());
    let (hosts, most, day) = (charged.hosts, charged.most.unwrap_or_default(), charged.day.clone());
    ScopeError::DayIsFull { hosts, used, most, day, next }
}

/// What the queue is told of a charge.
fn charge_of(task: &Task, charged: &ChargedHosts) -> HostCharge {
    let id = match charged.attempt {
        0 | 1 => task.task_id.to_string(),
        attempt => format!("{}.{attempt}", task.task_id),
    };
    HostCharge::new(&charged.day, id, charged.hosts)
}
