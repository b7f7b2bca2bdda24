//! What tasks count against limits: charged when a task is enqueued, given back when it ends.

use tracing::warn;

use super::error::ReconcileError;
use crate::{
    error::Classified as _,
    ids::TaskId,
    policy::{Limit, ScopeError},
    queue::{Charge, ChargeOutcome, EntryState, Queue, QueueError, TaskBody},
    task::{ChargedHosts, ClientCharge, Task, TaskError, TaskManager, TaskStatus, Writer},
    time::Timestamp,
};

/// Enqueues a task, and charges what it counts against limits. Fine for one that the queue knows.
pub(crate) async fn enqueue(queue: &dyn Queue, task: &Task) -> Result<ChargeOutcome, ReconcileError> {
    let of_all = task.charge().map(|charged| of_hosts(task, charged));
    let of_client = task.client_charges().map(|charged| of_limit(task, charged));
    let mut charges: Vec<_> = of_all.into_iter().chain(of_client).collect();
    if charges.is_empty() {
        return enqueue_uncharged(queue, task).await;
    }
    if task.status != TaskStatus::Queued {
        // What runs is not refused any more.
        for charge in &mut charges {
            charge.most = None;
        }
    }
    let body = TaskBody::parse(task.queue_entry().to_string())?;
    Ok(queue.enqueue_charged(&task.scanner_pool, &body, &charges, task.has_started()).await?)
}

/// As [`enqueue`], without regard to its hosts.
pub(crate) async fn enqueue_uncharged(queue: &dyn Queue, task: &Task) -> Result<ChargeOutcome, ReconcileError> {
    let (pool, body) = (&task.scanner_pool, TaskBody::parse(task.queue_entry().to_string())?);
    let enqueued =
        if task.has_started() { queue.enqueue_started(pool, &body).await } else { queue.enqueue(pool, &body).await };
    Ok(ChargeOutcome::Enqueued(enqueued?))
}

/// Gives back what a task counts that does not count any more, now that it has ended. Fine to repeat: it is given back once.
pub(crate) async fn give_back(queue: &dyn Queue, task: &Task) -> Result<(), QueueError> {
    if let Some(charged) = task.charge_to_give_back() {
        queue.give_back(&of_hosts(task, charged)).await?;
    }
    for charged in task.client_charges_to_give_back() {
        queue.give_back(&of_limit(task, charged)).await?;
    }
    Ok(())
}

/// Charges again what a task file remembers, if its day is not long over and it counts still; returns how many hosts.
pub(super) async fn restore(queue: &dyn Queue, task: &Task, now: Timestamp) -> Result<u64, QueueError> {
    let yesterday = now.minus(std::time::Duration::from_secs(24 * 3600)).utc_day();
    let mut hosts = 0_u64;
    for charged in task.standing_charges().filter(|charged| charged.day >= yesterday) {
        queue.restore_charge(&of_hosts(task, charged)).await?;
        hosts = hosts.saturating_add(charged.hosts);
    }
    let counts = |charged: &&ClientCharge| match &charged.day {
        Some(day) => *day >= yesterday,
        None => charged.attempt == task.attempt,
    };
    for charged in task.standing_client_charges().filter(counts) {
        queue.restore_charge(&of_limit(task, charged)).await?;
    }
    Ok(hosts)
}

/// Ends a task for which a limit had no room, before anybody hears that it is accepted: a new one is cancelled, and frees its
/// idempotency key; one that was to be tried again is failed as before. `at` is the place of the charge without room, of which others
/// have `used` so much. Returns the refusal, or `None` if somebody else has brought the task into the queue meanwhile.
pub(crate) async fn withdraw(
    tasks: &TaskManager,
    queue: &dyn Queue,
    task: &Task,
    at: usize,
    used: u64,
) -> Result<Option<ScopeError>, ReconcileError> {
    let entry = queue.state_of(&task.scanner_pool, &task.task_id).await?;
    let refused = refusal_at(task, at, used).filter(|_| entry.is_none_or(|entry| entry == EntryState::Dead));
    let Some(refused) = refused else { return Ok(None) };
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
    warn!(task_id = %task.task_id, error = %refused, "a limit has no room for the task, which did not begin");
    Ok(Some(refused))
}

/// Whether a task was [withdrawn](withdraw), so that its key is free although the queue may not know it yet.
pub(crate) fn is_withdrawn(task: &Task) -> bool {
    task.status == TaskStatus::Cancelled
        && task.idempotency.is_none()
        && matches!(task.error_code.as_deref(), Some(ScopeError::DAY_IS_FULL | ScopeError::CLIENT_LIMIT))
}

/// The refusal of hosts by a day of which so many are used.
pub(crate) fn day_is_full(charged: &ChargedHosts, used: u64) -> ScopeError {
    let ends = Timestamp::begin_of_utc_day(&charged.day).map(Timestamp::end_of_utc_day);
    let next = ends.map_or_else(|_| "the next day".to_owned(), |next| next.to_string());
    let (hosts, most, day) = (charged.hosts, charged.most.unwrap_or_default(), charged.day.clone());
    ScopeError::DayIsFull { hosts, used, most, day, next }
}

/// The refusal by a limit of a client, of which so much is used.
pub(crate) fn limit_is_full(charged: &ClientCharge, used: u64) -> ScopeError {
    let ends = |day: &String| Timestamp::begin_of_utc_day(day).map(Timestamp::end_of_utc_day);
    let next = |day: &String| ends(day).map_or_else(|_| "the next day".to_owned(), |next| next.to_string());
    ScopeError::ClientLimit {
        client: charged.principal.clone(),
        limit: charged.limit,
        amount: charged.amount,
        used,
        most: charged.most,
        until: charged.day.as_ref().map(|day| (day.clone(), next(day))),
    }
}

/// The refusal of what stands at this place of what a task is charged.
fn refusal_at(task: &Task, at: usize, used: u64) -> Option<ScopeError> {
    let of_all = task.charge().map(|charged| day_is_full(charged, used));
    of_all.into_iter().chain(task.client_charges().map(|charged| limit_is_full(charged, used))).nth(at)
}

/// The scope of a limit of a principal, in the queue.
pub(crate) fn scope_of(limit: Limit, principal: &str) -> String {
    format!("{limit}:{principal}")
}

fn of_hosts(task: &Task, charged: &ChargedHosts) -> Charge {
    Charge::new(Charge::ALL, id_of(task, charged.attempt), charged.hosts).on(&charged.day).of_at_most(charged.most)
}

fn of_limit(task: &Task, charged: &ClientCharge) -> Charge {
    let scope = scope_of(charged.limit, &charged.principal);
    let charge = Charge::new(scope, id_of(task, charged.attempt), charged.amount).of_at_most(Some(charged.most));
    match &charged.day {
        Some(day) => charge.on(day),
        None => charge,
    }
}

/// By what an attempt of a task is known among what is charged.
fn id_of(task: &Task, attempt: u32) -> String {
    match attempt {
        0 | 1 => task.task_id.to_string(),
        attempt => format!("{}.{attempt}", task.task_id),
    }
}

/// Gives back what counts until its attempt ends, and whose attempt has ended: whoever ended it may be an older version of this
/// program, or its file was removed by hand. Returns whether there was any.
pub(crate) async fn give_back_ended(
    tasks: &TaskManager,
    queue: &dyn Queue,
    limit: Limit,
    principal: &str,
) -> Result<bool, ReconcileError> {
    let scope = scope_of(limit, principal);
    let mut any = false;
    for id in queue.charged_ids(&scope, None).await? {
        let retried = id.rsplit_once('.').and_then(|(task_id, attempt)| Some((task_id, attempt.parse().ok()?)));
        let (task_id, attempt) = retried.unwrap_or((&id, 1_u32));
        let Ok(task_id) = TaskId::new(task_id) else { continue };
        let has_ended = match tasks.get(&task_id).await {
            Ok(task) => task.status.is_terminal() || task.attempt.max(1) != attempt,
            Err(TaskError::NotFound(_)) => true,
            Err(_) => false,
        };
        if has_ended {
            warn!(%task_id, scope, "a scan that has ended still counted against a limit");
            queue.give_back(&Charge::new(&scope, &id, 1)).await?;
            any = true;
        }
    }
    Ok(any)
}
