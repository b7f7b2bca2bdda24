//! Stopping a scan, holding it, trying it again, and clearing away what failed.
//!
//! The file decides, under its lock: a cancel and a completion that arrive together are one after the other there, and
//! the first wins. A task that waits is cancelled at once; one that runs is marked, and its worker stops the scan on the
//! scanner, keeps what it has found, and ends the task.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::{ScanService, attempts::MAX_ATTEMPTS, error::ServiceError, submit::as_json_integer};
use crate::{
    blocking,
    error::{chain, counted},
    hex, housekeeping,
    ids::{PoolName, TaskId},
    policy::{Principal, ScopeError},
    queue::{DeadLetter, Settlement, TaskBody},
    task::{Charges, PauseRequest, PausedBy, Task, TaskError, TaskStatus, Writer},
    time::Timestamp,
};

/// The most characters of a reason.
const MAX_REASON: usize = 500;
/// When a scan that is being stopped is worth asking for.
const STOP_POLL_SECONDS: u64 = 5;
/// How often the dead letters are gone through before they are removed.
const MOST_PASSES: u32 = 5;
/// Dead letters that are looked at at once.
const LETTERS: u32 = 200;

/// The answer of [`ScanService::cancel`], [`ScanService::pause`], [`ScanService::resume`] and [`ScanService::retry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ControlView {
    /// The task.
    pub task_id: TaskId,
    /// Its status now.
    pub status: TaskStatus,
    /// The number of the attempt: 1, and 1 more for each retry.
    pub attempt: u32,
    /// Seconds to wait before the status is asked for; absent when the task has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_poll_seconds: Option<u64>,
    /// What happens next.
    pub message: String,
}

/// The answer of [`ScanService::purge_dead`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
        self.check_may_change()?;
        let (now, reason) = (self.clock.now(), checked_reason(reason)?);
        let before = self.task(task_id).await?.status;
        let update = self.tasks.update(task_id, Writer::Api, move |task| match task.status {
            // A scanner is written down before anything is created on it, so without one there is nothing to stop.
            TaskStatus::Queued | TaskStatus::Running if !task.may_have_a_scan() => {
                task.cancel_requested_at = Some(now);
                task.cancel_reason = reason;
                task.error_code = Some("cancelled".to_owned());
                task.error_message = Some(task.cancel_message());
                task.status = TaskStatus::Cancelled;
            }
            TaskStatus::Queued | TaskStatus::Running if task.cancel_requested_at.is_none() => {
                task.cancel_requested_at = Some(now);
                task.cancel_reason = reason;
            }
            _ => {}
        });
        let task = update.await?;
        let message = match task.status {
            TaskStatus::Queued | TaskStatus::Running => {
                "the scan is stopped as soon as a worker and its scanner can be reached; what it has found is kept; \
                 ask for the task's status"
            }
            TaskStatus::Cancelled if !before.is_terminal() => "the scan was cancelled before it began",
            TaskStatus::Cancelled => "the scan is cancelled",
            status => return Err(ServiceError::AlreadyEnded { task_id: task.task_id, status }),
        };
        if task.status == TaskStatus::Cancelled {
            if !before.is_terminal() {
                self.metrics.task_reached(task.scan_type.as_str(), task.status.as_str());
            }
            self.leave_queue(&task).await;
        }
        Ok(view(task, message))
    }

    /// Takes a task out of its queue that was cancelled before it began. A worker that has claimed it meanwhile sees that it is
    /// over, and so does one that claims it later. Its hosts are given back before it leaves the queue, so that nobody forgets
    /// them.
    pub(super) async fn leave_queue(&self, task: &Task) {
        let (pool, task_id) = (&task.scanner_pool, &task.task_id);
        let removed = match housekeeping::give_back(self.queue.as_ref(), task).await {
            Ok(()) => {
                crate::fail_points::fail_point!("cancel_hosts_given_back");
                self.queue.remove(pool, task_id).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            warn!(%task_id, error = chain(&error), "the cancelled task stays in the queue until a worker sees it");
        }
    }

    /// Holds a task until [`resume`](Self::resume): before its scan has begun it waits, and a scan that runs is paused on its
    /// scanner, where it keeps its slot. Repeated, it changes nothing. A scan that ends before it can be paused has ended.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyEnded`] for a task that has ended, [`ServiceError::NotPausable`] for one that is being cancelled
    /// or whose scan has ended, and those of a disk that fails.
    pub async fn pause(&self, task_id: &TaskId, reason: Option<&str>) -> Result<ControlView, ServiceError> {
        self.check_may_change()?;
        let (now, reason) = (self.clock.now(), checked_reason(reason)?);
        let is_new = self.task(task_id).await?.pause_request.is_none();
        let update = self.tasks.update(task_id, Writer::Api, move |task| {
            if kept_from_pausing(task).is_none() && !task.status.is_terminal() {
                task.pause_request.get_or_insert(PauseRequest { requested_at: now, reason });
            }
        });
        let task = update.await?;
        if task.status.is_terminal() {
            return Err(ServiceError::AlreadyEnded { task_id: task.task_id, status: task.status });
        }
        if let Some(reason) = kept_from_pausing(&task) {
            return Err(ServiceError::NotPausable { task_id: task.task_id, reason });
        }
        let by_others = task.pause.as_ref().is_some_and(|pause| pause.by == PausedBy::Scanner);
        let message = match (is_new, task.may_have_a_scan()) {
            (false, _) => "a pause was requested before, and lasts until the task is resumed",
            (true, false) => "its scan does not begin until the task is resumed",
            (true, true) if by_others => {
                "somebody has paused the scan on its scanner; resumed there, it is paused again until the task is \
                 resumed"
            }
            (true, true) => {
                "the scan is paused as soon as a worker and its scanner can be reached, and keeps its place there \
                 until the task is resumed; ask for the task's status"
            }
        };
        Ok(view(task, message))
    }

    /// Withdraws a [`pause`](Self::pause): the scan goes on, or begins when its turn has come. Repeated, it changes nothing.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyEnded`] for a task that has ended, [`ServiceError::NotResumable`] for one that somebody else holds,
    /// and those of a disk that fails.
    pub async fn resume(&self, task_id: &TaskId) -> Result<ControlView, ServiceError> {
        self.check_may_change()?;
        let was_requested = self.task(task_id).await?.pause_request.is_some();
        let task = self.tasks.update(task_id, Writer::Api, |task| task.pause_request = None).await?;
        if task.status.is_terminal() {
            return Err(ServiceError::AlreadyEnded { task_id: task.task_id, status: task.status });
        }
        let held = self.held_by_others(&task);
        if !was_requested {
            return match held {
                Some(reason) => Err(ServiceError::NotResumable { task_id: task.task_id, reason }),
                None => Ok(view(task, "no pause was requested")),
            };
        }
        let message = match (held, task.may_have_a_scan()) {
            (Some(reason), _) => format!("the pause is withdrawn, but the scan does not go on yet: {reason}"),
            (None, true) => {
                "the scan goes on as soon as a worker and its scanner can be reached; ask for the task's status"
                    .to_owned()
            }
            (None, false) => "the scan begins when its turn has come; ask for the task's status".to_owned(),
        };
        let handed_out = if task.has_scan() { Ok(()) } else { self.hand_out_now(&task).await };
        match handed_out {
            Ok(()) => Ok(view(task, &message)),
            Err(refused @ ServiceError::Scope(_)) => Err(refused),
            Err(error) => {
                self.index.notice_failure();
                warn!(%task_id, error = chain(&error), "the task is looked at later, when its turn in the queue has come");
                let later = "the queue does not answer: the scan begins some minutes later; ask for the task's status";
                Ok(view(task, later))
            }
        }
    }

    /// Puts a task that failed or took too long back into the queue, with its history and `attempt` + 1. Its earlier
    /// results are removed. A scan of it that is complete on its scanner, or that may run there and was not told to stop,
    /// is taken up again; another that may run is stopped before the next is created.
    ///
    /// # Errors
    /// [`ServiceError::NotRetryable`] for a task in another state or with too many attempts.
    pub async fn retry(&self, task_id: &TaskId) -> Result<ControlView, ServiceError> {
        self.check_may_change()?;
        let task = self.task(task_id).await?;
        let refused = |reason| ServiceError::NotRetryable { task_id: task_id.clone(), reason };
        if task.attempt >= MAX_ATTEMPTS {
            return Err(refused(format!("it was started {}", counted(task.attempt, "time", "times"))));
        }
        self.check_retry(&task).await?;
        // A worker may have died before it did so.
        housekeeping::give_back(self.queue.as_ref(), &task).await?;
        let charges = if task.status.allows_retry() {
            let launches = task.retry_launches();
            self.charges_for(if launches { hosts_of(&task).await? } else { 0 }, launches).await?
        } else {
            Charges::default()
        };
        let task = match self.tasks.retry(task_id, charges, self.caller().map(Principal::rights_key)).await {
            Err(TaskError::Transition(error)) => return Err(refused(format!("it is {}", error.from))),
            Err(TaskError::LoginGone(_)) => {
                return Err(refused("its login came with the request and was removed when it ended".to_owned()));
            }
            other => other?,
        };
        let task = self.asked_for(task).await?;
        self.metrics.task_reached(task.scan_type.as_str(), task.status.as_str());
        let mut message = match (&task.nessus_scan_id, task.open_scans.first()) {
            (Some(_), _) => {
                "the task is queued again and goes on with the scan it has on its scanner; ask for the task's status"
            }
            (None, Some(_)) => {
                "the scan is queued again; that of an earlier attempt may still run and is stopped first; ask for the \
                 task's status"
            }
            (None, None) => "the scan is queued again; ask for the task's status",
        };
        if task.approval.is_some() {
            message = "the task is queued again, and waits until a person agrees to this attempt; ask for the task's \
                       status";
        }
        let enqueued = self.enqueue_again(&task).await;
        if let Ok(Some(refused)) = enqueued {
            return Err(refused.into());
        }
        if let Err(error) = enqueued {
            self.index.notice_failure();
            warn!(%task_id, error = chain(&error), "the task is kept, and enqueued by the reconciler");
            message = "the scan will be queued again as soon as the queue answers; ask for the task's status";
        }
        Ok(view(task, message))
    }

    /// Who holds a task, if it is not the wish of a caller.
    fn held_by_others(&self, task: &Task) -> Option<String> {
        if task.pause.as_ref().is_some_and(|pause| pause.by == PausedBy::Scanner) {
            return Some("somebody has paused it on its scanner, where it has to be resumed".to_owned());
        }
        if let Some(asked) = self.waits_for_approval(task) {
            return Some(asked);
        }
        let closed = self.closed_window(task).filter(|closed| closed.pauses || !task.has_scan());
        closed.map(|closed| closed.to_string())
    }

    /// Brings a task back into its queue that a worker has put off. If this ends between the two, the reconciler does it.
    pub(super) async fn hand_out_now(&self, task: &Task) -> Result<(), ServiceError> {
        self.queue.remove(&task.scanner_pool, &task.task_id).await?;
        match self.enqueue_again(task).await? {
            Some(refused) => Err(refused.into()),
            None => Ok(()),
        }
    }

    /// Whoever holds the task at this moment may have read the file before the retry: it would acknowledge or dead-letter the
    /// entry. So its lease is ended first. One that had read the file afterwards loses its claim to the next worker; its smaller
    /// fencing token makes that harmless.
    pub(super) async fn enqueue_again(&self, task: &Task) -> Result<Option<ScopeError>, ServiceError> {
        let body = TaskBody::parse(task.queue_entry().to_string())?;
        let leases = self.queue.leases(&task.scanner_pool).await?;
        for held in leases.iter().filter(|held| held.lease.task_id == task.task_id) {
            self.queue.settle(&held.lease, Settlement::Ack).await?;
        }
        // One that has a scan is looked after also where no new one may begin.
        let refused = self.enqueue(task).await?;
        if refused.is_none() {
            // A task that is alive has no dead letter.
            self.queue.retry_dead(&task.scanner_pool, &body).await?;
        }
        Ok(refused)
    }

    /// Removes the dead letters of a pool that failed before a moment, after each was written to the archive with what
    /// its task knows. The tasks themselves stay.
    ///
    /// # Errors
    /// When something cannot be archived; then nothing is removed.
    pub async fn purge_dead(&self, pool: &PoolName, before: Timestamp) -> Result<Purged, ServiceError> {
        let mut archived = HashSet::new();
        // What is taken out meanwhile moves the rest up, so a pass may miss a letter; the next finds it.
        for _ in 0..MOST_PASSES {
            let known = archived.len();
            self.archive_dead(pool, before, &mut archived).await?;
            if archived.len() == known {
                break;
            }
        }
        let removed = if archived.is_empty() { 0 } else { self.queue.purge_dead(pool, before).await? };
        info!(%pool, removed, "dead letters of the pool were archived and removed");
        Ok(Purged { archived: archived.len() as u64, removed })
    }

    /// Archives the dead letters that are not in `archived`.
    async fn archive_dead(
        &self,
        pool: &PoolName,
        before: Timestamp,
        archived: &mut HashSet<String>,
    ) -> Result<(), ServiceError> {
        let mut offset = 0;
        loop {
            let letters = self.queue.dead_letters(pool, offset, LETTERS).await?;
            if letters.is_empty() {
                return Ok(());
            }
            offset += letters.len() as u64;
            for (at, letter) in letters.iter().enumerate().filter(|(_, letter)| letter.failed_at < before) {
                // Two of the same task, moment and text are two all the same.
                let twins = letters[..at].iter().filter(|other| *other == letter).count();
                let name = archive_name(pool, letter, twins);
                if !archived.contains(&name) {
                    self.archive(&name, letter).await?;
                    self.dismiss(pool, letter).await?;
                    archived.insert(name);
                }
            }
        }
    }

    /// Writes into the task that its dead letter was cleared away, so that a queue that is rebuilt does not bring it back.
    async fn dismiss(&self, pool: &PoolName, letter: &DeadLetter) -> Result<(), ServiceError> {
        let Some(task_id) = &letter.task_id else { return Ok(()) };
        let (now, attempt) = (self.clock.now(), letter.reason.attempt);
        let is_of_webhooks = *pool == PoolName::deliveries();
        let update = self.tasks.update(task_id, Writer::Api, move |task| {
            if is_of_webhooks {
                return task.dismiss_deliveries(now);
            }
            let is_of_this_failure = task.status.allows_retry() && (attempt == 0 || attempt == task.attempt);
            if is_of_this_failure {
                task.dismissed_at.get_or_insert(now);
            }
        });
        match update.await {
            // What has no file is not brought back.
            Ok(_) | Err(TaskError::NotFound(_) | TaskError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn archive(&self, name: &str, letter: &DeadLetter) -> Result<(), ServiceError> {
        let task = match &letter.task_id {
            Some(task_id) => match self.tasks.get(task_id).await {
                Err(error @ TaskError::Storage { .. }) => return Err(error.into()),
                // What cannot be read as a task is no reason to keep its letter.
                read => read.ok(),
            },
            None => None,
        };
        let document = json!({"dead_letter": letter.to_json(), "task": task, "archived_at": self.clock.now()});
        Ok(self.tasks.archive(name, document).await?)
    }
}

/// How many hosts a retry of the task scans: as many as it was charged for before, else those of its targets.
async fn hosts_of(task: &Task) -> Result<u64, ServiceError> {
    if let Some(charged) = task.charged_hosts.last() {
        return Ok(charged.hosts);
    }
    let task = task.clone();
    let counted =
        move || task.checked_targets().map(|(targets, addresses)| targets.with_addresses(&addresses).host_count());
    Ok(as_json_integer(blocking::run(counted).await.map_err(ServiceError::stopping)??))
}

/// A file name for each dead letter, which holds no text of the letter.
fn archive_name(pool: &PoolName, letter: &DeadLetter, twins: usize) -> String {
    let task = letter.task_id.as_ref().map_or("unreadable", |task_id| task_id.as_str());
    let hash = Sha256::digest(format!("{pool}\n{twins}\n{}\n{}", letter.reason.error_code, letter.body));
    format!("dead_{task}_{}_{}", letter.failed_at.as_millis(), hex::encode(&hash[..4]))
}

fn checked_reason(reason: Option<&str>) -> Result<Option<String>, ServiceError> {
    let refused = |message| ServiceError::invalid("reason", message, None);
    Ok(reason.map(reason_of_an_order).transpose().map_err(refused)?.filter(|reason| !reason.is_empty()))
}

/// The reason of a cancel or a pause as it is written down: without white space around it, and of at most 500 characters. Whoever
/// carries out many orders for one reason asks this before the first.
///
/// # Errors
/// A sentence fragment.
pub fn reason_of_an_order(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.chars().count() > MAX_REASON {
        return Err(format!("must have at most {MAX_REASON} characters"));
    }
    Ok(text.to_owned())
}

/// Why a task that has not ended cannot be paused.
fn kept_from_pausing(task: &Task) -> Option<&'static str> {
    if task.cancel_requested_at.is_some() {
        Some("it is being cancelled")
    } else if task.scan_is_over() {
        Some("its scan has ended, and its results are being fetched")
    } else {
        None
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
