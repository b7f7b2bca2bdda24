//! What goes into the queue and what comes out of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::body::TaskBody;
use crate::{
    ids::{FencingToken, PoolName, TaskId, WorkerId},
    time::Timestamp,
};

/// Whether an entry is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnqueueOutcome {
    /// It was added at the end of the queue.
    Added,
    /// The task is ready, delayed or leased already; nothing was changed.
    AlreadyKnown,
}

/// What proves that a worker holds a task: who, and by which claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lease {
    /// The pool whose queue the task is in.
    pub pool: PoolName,
    /// The task.
    pub task_id: TaskId,
    /// The holder.
    pub worker: WorkerId,
    /// The fencing token of the claim.
    pub fence: FencingToken,
}

impl Lease {
    /// A lease of these parts.
    pub const fn new(pool: PoolName, task_id: TaskId, worker: WorkerId, fence: FencingToken) -> Self {
        Self { pool, task_id, worker, fence }
    }
}

/// How many workers in a row may be lost with a task before it waits: one whose workers die of it must not take them all
/// down, and one that was in the hands of workers that died of something else must not suffer for it.
pub const LOSSES_ALLOWED: u32 = 20;

/// The pause before a task is handed out again whose last worker was lost with it, as so many in a row before: none up to
/// [`LOSSES_ALLOWED`], then a second that doubles with each further one, up to 15 minutes. The Redis backend has the same
/// in `due.lua`.
pub const fn pause_after_losses(losses: u32) -> Option<Duration> {
    match losses.checked_sub(LOSSES_ALLOWED + 1) {
        None => None,
        Some(more @ 0..=9) => Some(Duration::from_secs(1 << more)),
        Some(_) => Some(Duration::from_secs(15 * 60)),
    }
}

/// A task handed to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// What proves it.
    pub lease: Lease,
    /// The entry, byte for byte as it was enqueued.
    pub body: TaskBody,
    /// How often the task was tried, this time included: what ended in a retry is counted, releases and workers that were
    /// lost are not.
    pub deliveries: u32,
    /// How many workers in a row, up to this claim, were lost with the task before they got anywhere with it: their leases
    /// ran out without a word. See [`Queue::note_progress`](super::Queue::note_progress).
    pub losses: u32,
}

impl Claim {
    /// A claim of these parts, of a task with which no worker was lost.
    pub const fn new(lease: Lease, body: TaskBody, deliveries: u32) -> Self {
        Self { lease, body, deliveries, losses: 0 }
    }

    /// The same of a task with which so many workers in a row were lost.
    #[must_use]
    pub const fn with_losses(mut self, losses: u32) -> Self {
        self.losses = losses;
        self
    }
}

/// A lease as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseInfo {
    /// The lease.
    pub lease: Lease,
    /// When it ends unless it is renewed, by the clock of the backend.
    pub expires_at: Timestamp,
    /// How often the task was tried, this time included.
    pub deliveries: u32,
}

impl LeaseInfo {
    /// A lease with its end and count.
    pub const fn new(lease: Lease, expires_at: Timestamp, deliveries: u32) -> Self {
        Self { lease, expires_at, deliveries }
    }
}

/// Whether a lease still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewOutcome {
    /// It stands, and now ends a full lease from now.
    Held,
    /// Somebody else holds the task, or nobody, or another claim of the same worker: stop acting on it.
    Lost,
}

/// How a worker settles its claim of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// The task is in a terminal state: forget it.
    Ack,
    /// It failed for now: ready again after `delay`, at the end of the queue, or before all others when it has started.
    /// This delivery counts.
    Nack {
        /// How long to wait.
        delay: Duration,
        /// Whether the task has started: see [`Queue::claim_started`](super::Queue::claim_started).
        started: bool,
    },
    /// It failed for good: into the dead letters.
    DeadLetter(DeadReason),
    /// Nothing was tried (shutdown, no free slot): ready again after `delay`, before all tasks that have not started, this
    /// delivery not counted.
    Release {
        /// How long to wait; zero for at once.
        delay: Duration,
        /// Whether the task has started: see [`Queue::claim_started`](super::Queue::claim_started).
        started: bool,
    },
}

/// Whether a settlement took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleOutcome {
    /// It did.
    Settled,
    /// The lease does not stand any more, and nothing was changed. Also the answer to a repeated call whose first
    /// reply was lost; either way there is nothing more to do.
    LeaseLost,
}

/// Why a task is in the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadReason {
    /// The message; holds no secret.
    pub error: String,
    /// The stable code of the error.
    pub error_code: String,
    /// Which attempt of the task failed, from 1; 0 when that is not known.
    pub attempt: u32,
    /// The scanner on which it failed, as `pool:instance`; `None` where it had none, and in letters of older versions.
    pub scanner: Option<String>,
    /// What to do about it, if anything is known.
    pub hint: Option<String>,
}

impl DeadReason {
    /// The code and message of a body that cannot be read.
    pub const CORRUPTED_JSON: &'static str = "corrupted_json";

    /// A reason of these parts.
    pub fn new(error: impl Into<String>, error_code: impl Into<String>, attempt: u32) -> Self {
        Self { error: error.into(), error_code: error_code.into(), attempt, scanner: None, hint: None }
    }

    /// The same with the scanner on which it failed.
    #[must_use]
    pub fn with_scanner(mut self, scanner: Option<String>) -> Self {
        self.scanner = scanner;
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The members `scanner` and `hint`, as far as they are known.
    pub(super) fn more(&self) -> Map<String, Value> {
        let member = |name: &str, text: &Option<String>| Some((name.to_owned(), Value::from(text.as_deref()?)));
        [member("scanner", &self.scanner), member("hint", &self.hint)].into_iter().flatten().collect()
    }

    /// The same with these members of a document.
    pub(super) fn with_more(self, fields: &Map<String, Value>) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        self.with_scanner(text("scanner")).with_hint(text("hint"))
    }

    /// The reason for an entry whose body cannot be read.
    pub fn corrupted() -> Self {
        Self::new(Self::CORRUPTED_JSON, Self::CORRUPTED_JSON, 0)
    }
}

/// An entry of the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The task; `None` when the entry was too damaged to name one.
    pub task_id: Option<TaskId>,
    /// The entry as it was enqueued. A backend may store it together with the reason, so compare it as JSON.
    pub body: String,
    /// Why it is here.
    pub reason: DeadReason,
    /// Since when.
    pub failed_at: Timestamp,
}

impl DeadLetter {
    /// A dead letter of these parts.
    pub const fn new(task_id: Option<TaskId>, body: String, reason: DeadReason, failed_at: Timestamp) -> Self {
        Self { task_id, body, reason, failed_at }
    }

    /// The documented form: the body's own fields and `error`, `error_code`, `failed_at`, `attempt`, and
    /// `scanner` and `hint` where they are known. A body that is not a JSON object stands in `raw_data`.
    pub fn to_json(&self) -> Value {
        let mut fields = serde_json::from_str::<Map<String, Value>>(&self.body)
            .unwrap_or_else(|_| Map::from_iter([("raw_data".to_owned(), Value::from(self.body.as_str()))]));
        fields.insert("error".to_owned(), Value::from(self.reason.error.as_str()));
        fields.insert("error_code".to_owned(), Value::from(self.reason.error_code.as_str()));
        fields.insert("failed_at".to_owned(), Value::from(self.failed_at.to_string()));
        fields.insert("attempt".to_owned(), Value::from(self.reason.attempt));
        fields.extend(self.reason.more());
        Value::Object(fields)
    }
}

/// What became of a retry from the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDeadOutcome {
    /// It left the dead letters and is ready.
    Requeued,
    /// The task is in the queue already; a dead letter of it, if there was one, is gone.
    AlreadyQueued,
    /// There is no dead letter of this task.
    NotFound,
}

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// It was ready or delayed and is gone.
    Removed,
    /// A worker holds it; nothing was changed.
    Leased,
    /// It is not in the queue.
    NotFound,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Waiting to be claimed.
    Ready,
    /// Held by a worker, or by one that died and whose lease nobody has noticed to be over.
    Leased,
    /// Waiting until it is due.
    Delayed,
    /// In the dead letters, and nowhere else.
    Dead,
}

/// What decides when a task of a pool begins, seen together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlook {
    /// The place of the task, 1 for the next; `None` when it is not ready.
    pub position: Option<u64>,
    /// Where its entry is; `None` when it is nowhere, or in the dead letters only.
    pub state: Option<EntryState>,
    /// How many workers in a row were lost with it, if they are more than [`LOSSES_ALLOWED`].
    pub losses: Option<u32>,
    /// Why the pool is paused; `None` when it is not.
    pub paused: Option<String>,
    /// The slots in use of all scanners that were named.
    pub slots_in_use: u64,
}

/// How full a pool's queue is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueStats {
    /// Waiting to be claimed: the depth.
    pub ready: u64,
    /// Waiting until they are due; an entry that is due is counted here until the next claim.
    pub delayed: u64,
    /// Held by workers, expired leases included until the next claim.
    pub leased: u64,
    /// In the dead letters.
    pub dead: u64,
    /// Why the pool is paused; `None` when it is not.
    pub paused: Option<String>,
}

impl QueueStats {
    /// Counts of a pool that is not paused.
    pub const fn new(ready: u64, delayed: u64, leased: u64, dead: u64) -> Self {
        Self { ready, delayed, leased, dead, paused: None }
    }

    /// Whether there is nothing in the pool, and it is not paused: as it is with a pool that does not exist.
    pub fn is_empty(&self) -> bool {
        *self == Self::new(0, 0, 0, 0)
    }

    /// The same counts with the reason of a pause.
    pub fn with_paused(mut self, reason: Option<String>) -> Self {
        self.paused = reason;
        self
    }
}

/// Whether a task may run on a scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotOutcome {
    /// The task holds a slot until the lease ends.
    Acquired,
    /// All slots are held by other tasks.
    Full,
}

/// How long an idempotency key keeps meaning the same request.
pub(crate) const IDEMPOTENCY_TTL: Duration = Duration::from_secs(48 * 3600);

/// What an idempotency key stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IdempotencyEntry {
    /// The task that the first request with this key named.
    pub task_id: TaskId,
    /// The hash of that request.
    pub request_hash: String,
    /// When it came.
    pub created_at: Timestamp,
}

impl IdempotencyEntry {
    /// An entry of these parts.
    pub fn new(task_id: TaskId, request_hash: impl Into<String>, created_at: Timestamp) -> Self {
        Self { task_id, request_hash: request_hash.into(), created_at }
    }
}

/// Whether an idempotency key was free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyOutcome {
    /// It was, and now stands for the given entry.
    Claimed,
    /// It stands for this entry. Also the answer to a repeated call: compare the task id.
    Existing(IdempotencyEntry),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_shows_the_body_and_the_reason() {
        let letter = |body: &str| {
            DeadLetter::new(None, body.to_owned(), DeadReason::new("no", "bad", 2), Timestamp::from_millis(0)).to_json()
        };
        assert_eq!(
            letter(r#"{"name":"x"}"#),
            serde_json::json!({"name": "x", "error": "no", "error_code": "bad",
                "failed_at": "1970-01-01T00:00:00.000Z", "attempt": 2})
        );
        assert_eq!(letter("{broken")["raw_data"], "{broken");
    }
}
