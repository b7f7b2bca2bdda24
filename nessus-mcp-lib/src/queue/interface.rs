//! The contract of a queue backend.

use std::time::Duration;

use async_trait::async_trait;

#[cfg(feature = "testing")]
use super::catalogue::{CatalogueChanges, CatalogueRecord, CatalogueState};
use super::{
    binding::Binding,
    body::TaskBody,
    catalogue::TaskCatalogue,
    charge::{Charge, ChargeOutcome},
    circuit::{CircuitNotice, CircuitReport, PostedNotice, ProcessCircuits},
    entry::{
        Claim, DeadLetter, EnqueueOutcome, EntryState, IdempotencyEntry, IdempotencyOutcome, Lease, LeaseInfo, Outlook,
        QueueStats, RemoveOutcome, RenewOutcome, RetryDeadOutcome, SettleOutcome, Settlement, SlotOutcome,
    },
    error::QueueError,
    workers::{SeenWorker, WorkerRecord},
};
use crate::{
    ids::{FencingToken, InstanceId, PoolName, TaskId, WorkerId},
    time::Timestamp,
};

/// A durable queue with leases, dead letters, scanner slots and idempotency keys, shared by any number of processes.
///
/// Implementors guarantee:
/// - **Atomic**: each method is one step. It happens as a whole or not at all, whatever is killed, and when the returned
///   future is dropped before it is ready.
/// - **Durable**: what a method has confirmed survives a crash of the process (and of the machine, as far as the
///   backend's configuration says so).
/// - **Repeatable**: after an error or a lost reply the call may be repeated with the same arguments. Where the second
///   answer differs from the first, the method says so.
/// - **One clock**: leases, delays and expiry are measured by one clock of the backend, never by the caller's.
/// - **Exact bodies**: a [`TaskBody`] comes out byte for byte as it went in.
/// - **Bounded**: no call waits for ever; a backend that does not answer is [`QueueError::Unavailable`].
///
/// A lease stands until a [`claim`](Queue::claim) takes the task back: one that has expired and that no claim has noticed
/// yet can still be renewed and settled. A worker must not rely on that.
///
/// The suite in `testing::queue_conformance` (feature `testing`) checks all of this.
///
/// No method has a default: whoever wraps a queue would lose it without a word. A wrapper that changes only some methods
/// implements [`QueueDecorator`](super::QueueDecorator) instead, which passes on all others.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Queue: TaskCatalogue + Send + Sync + std::fmt::Debug {
    /// Adds a task at the end of the pool's queue, unless it is ready, delayed or leased there already.
    ///
    /// The bodies are not compared: the task id decides, so it is safe to enqueue a task again at any time. A dead
    /// letter of the task neither prevents the enqueue nor is it removed by it; see [`retry_dead`](Self::retry_dead).
    /// A repeated call answers [`EnqueueOutcome::AlreadyKnown`](super::EnqueueOutcome::AlreadyKnown).
    async fn enqueue(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError>;

    /// As [`enqueue`](Self::enqueue), for a task that has started: before all others, for [`claim_started`](Self::claim_started)
    /// to find.
    async fn enqueue_started(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError>;

    /// As [`enqueue`](Self::enqueue), or as [`enqueue_started`](Self::enqueue_started) for a task that has `started`, and
    /// charges what it counts against limits, each unless that was done before. No two of the charges have the same scope and day.
    ///
    /// It does nothing of it when one of the charges has no room, which [`Charge::most`] says, and when the queue is not
    /// [bound](Self::binding): then it may have lost what is charged. What is charged already needs no room. Of several
    /// callers at once no more is charged than there is room for. It is one step, but a backend that cannot change
    /// both at once charges first, all charges in one step; then a repeated call enqueues.
    async fn enqueue_charged(
        &self,
        pool: &PoolName,
        body: &TaskBody,
        charges: &[Charge],
        started: bool,
    ) -> Result<ChargeOutcome, QueueError>;

    /// Charges what was charged before, whatever room there is: a queue that has lost its data gets back what task
    /// files remember. Repeated, it changes nothing.
    async fn restore_charge(&self, charge: &Charge) -> Result<(), QueueError>;

    /// Gives back what was charged, whoever has asked for it; does nothing when it is not charged (any more).
    async fn give_back(&self, charge: &Charge) -> Result<(), QueueError>;

    /// How much of a scope is charged to a day, `YYYY-MM-DD`, or without a day until it is given back. An old day may have been
    /// forgotten.
    async fn charged<'a>(&self, scope: &str, day: Option<&'a str>) -> Result<u64, QueueError>;

    /// The ids of the charges that [`charged`](Self::charged) counts, in order.
    async fn charged_ids<'a>(&self, scope: &str, day: Option<&'a str>) -> Result<Vec<String>, QueueError>;

    /// Leases the next task of the pool to `worker` for `lease`; `None` when there is none. From a paused pool, only as
    /// [`claim_started`](Self::claim_started) does.
    ///
    /// Tasks that have started come before all others. In the same step, expired leases are taken back (to the front) and
    /// delayed entries that are due become ready, of very many a part. Entries whose body cannot be read go to the dead letters with the
    /// error [`corrupted_json`](super::DeadReason::CORRUPTED_JSON). The fencing token is larger than any that this
    /// pool has given and at least the clock's microseconds since 1970, so that it keeps growing after a loss of all data.
    /// An entry for a task that is leased already is dropped.
    ///
    /// Tasks that have not started and whose [body names](TaskBody::pinned_instance) one of the scanners `passed_over` stay where they
    /// are: the first task is taken that can run. However many they are, the claim costs no more. Tasks that have started are handed
    /// out all the same.
    ///
    /// After a lost reply do not expect the same task again: it is delivered when its lease is over.
    async fn claim(
        &self,
        pool: &PoolName,
        worker: &WorkerId,
        lease: Duration,
        passed_over: &[InstanceId],
    ) -> Result<Option<Claim>, QueueError>;

    /// As [`claim`](Self::claim), of the tasks that have started only, whether the pool is paused or not: their scans run,
    /// so they are watched, stopped and ended also where no new scan may begin.
    ///
    /// A task counts as started when it was enqueued or settled as such ([`Settlement`]), and when its lease has expired:
    /// nobody knows how far its worker came.
    async fn claim_started(
        &self,
        pool: &PoolName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Option<Claim>, QueueError>;

    /// Gives the holder of a lease a fencing token larger than `above`; `None` when the lease is lost.
    ///
    /// Needed when `task.json` holds a token at or above the one just claimed, after a loss of data and a clock that went
    /// back. The old lease is void afterwards; after a lost reply the task is delivered again when its lease is over.
    ///
    /// # Errors
    /// [`QueueError::Internal`] when no larger token can be written (over 2^53, the largest exact integer of JSON).
    async fn raise_fencing_token(&self, lease: &Lease, above: FencingToken) -> Result<Option<Lease>, QueueError>;

    /// Prolongs leases to `lease` from now; the answers stand in the order of `leases`.
    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<RenewOutcome>, QueueError>;

    /// Says that a worker makes progress with a task: it has held it for a while, or has written something new. This resets
    /// the count of workers that were lost with the task. Does nothing when the lease is lost.
    ///
    /// When too many workers in a row are lost with a task ([`LOSSES_ALLOWED`](super::LOSSES_ALLOWED)), the task waits after
    /// its lease has expired, before it is ready again as a started one ([`pause_after_losses`](super::pause_after_losses)).
    /// A nack resets the count; a release leaves it as it was before the claim.
    async fn note_progress(&self, lease: &Lease) -> Result<(), QueueError>;

    /// The tasks of the pool with which more than [`LOSSES_ALLOWED`](super::LOSSES_ALLOWED) workers in a row were lost, and
    /// how many. A worker that holds one counts as lost until it makes progress.
    async fn suspects(&self, pool: &PoolName) -> Result<Vec<(TaskId, u32)>, QueueError>;

    /// Settles a claim and so ends its lease; see [`Settlement`]. Whoever knows a lease may end it, such as one of
    /// [`leases`](Self::leases).
    ///
    /// Ack and dead letter reset the count of deliveries, nack counts this one, release does not.
    /// A repeated call answers [`SettleOutcome::LeaseLost`].
    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<SettleOutcome, QueueError>;

    /// Removes a task that no worker holds. A repeated call answers [`RemoveOutcome::NotFound`].
    async fn remove(&self, pool: &PoolName, task: &TaskId) -> Result<RemoveOutcome, QueueError>;

    /// Moves a task from the dead letters to the end of the queue, with a new body and no deliveries counted.
    ///
    /// `body` names the task. A repeated call answers [`RetryDeadOutcome::AlreadyQueued`] while the task is in the
    /// queue, then [`RetryDeadOutcome::NotFound`].
    async fn retry_dead(&self, pool: &PoolName, body: &TaskBody) -> Result<RetryDeadOutcome, QueueError>;

    /// A part of the pool's dead letters, newest first.
    async fn dead_letters(&self, pool: &PoolName, offset: u64, limit: u32) -> Result<Vec<DeadLetter>, QueueError>;

    /// Removes the pool's dead letters that failed before a moment, readable or not; returns how many. Of many it removes the
    /// oldest first, in several steps, so that nobody waits for all of them; a repeated call goes on.
    async fn purge_dead(&self, pool: &PoolName, before: Timestamp) -> Result<u64, QueueError>;

    /// How full the pool's queue is, and whether it is paused.
    async fn stats(&self, pool: &PoolName) -> Result<QueueStats, QueueError>;

    /// The place of a ready task, 1 for the next; `None` when it is not ready.
    async fn position(&self, pool: &PoolName, task: &TaskId) -> Result<Option<u64>, QueueError>;

    /// The bodies of the first `limit` ready entries, next first, readable or not.
    async fn peek(&self, pool: &PoolName, limit: u32) -> Result<Vec<String>, QueueError>;

    /// Where the task's entry is; `None` when the queue does not know it.
    async fn state_of(&self, pool: &PoolName, task: &TaskId) -> Result<Option<EntryState>, QueueError>;

    /// What decides when a task begins that waits for one of these scanners, or without a task when another would: what
    /// [`position`](Self::position), [`state_of`](Self::state_of), [`suspects`](Self::suspects), [`stats`](Self::stats) and
    /// [`slots_in_use`](Self::slots_in_use) say. A dead letter has no state here. Every question about a task that waits asks for it, so a
    /// backend answers in one step.
    /// It may only read: after a clock has stepped back it may count slots that are over, until somebody asks for those or takes one.
    async fn outlook<'a>(
        &self,
        pool: &PoolName,
        task: Option<&'a TaskId>,
        scanners: &[InstanceId],
    ) -> Result<Outlook, QueueError>;

    /// The pool's leases, the one that ends first first.
    async fn leases(&self, pool: &PoolName) -> Result<Vec<LeaseInfo>, QueueError>;

    /// Takes one of the `capacity` slots of a scanner for a task, or prolongs the slot it holds, for `lease` from now.
    ///
    /// Expired slots are free. A slot that the task holds is prolonged even when `capacity` has shrunk below the slots
    /// in use. Renew it with the same call.
    async fn acquire_slot(
        &self,
        pool: &PoolName,
        instance: &InstanceId,
        task: &TaskId,
        capacity: u32,
        lease: Duration,
    ) -> Result<SlotOutcome, QueueError>;

    /// Frees the task's slot; fine when it holds none.
    async fn release_slot(&self, pool: &PoolName, instance: &InstanceId, task: &TaskId) -> Result<(), QueueError>;

    /// The tasks that hold a slot of the scanner, in the order of their ids; expired slots are left out.
    async fn slots_in_use(&self, pool: &PoolName, instance: &InstanceId) -> Result<Vec<TaskId>, QueueError>;

    /// Stops claims of tasks that have not started from the pool until [`resume_pool`](Self::resume_pool); a second pause
    /// replaces the reason.
    async fn pause_pool(&self, pool: &PoolName, reason: &str) -> Result<(), QueueError>;

    /// Allows claims from the pool again; fine when it is not paused.
    async fn resume_pool(&self, pool: &PoolName) -> Result<(), QueueError>;

    /// Lets `key` stand for `entry` for `ttl` from now, unless it stands for something already.
    ///
    /// Of several callers at once exactly one gets [`IdempotencyOutcome::Claimed`]; the others get its entry.
    async fn claim_idempotency_key(
        &self,
        key: &str,
        entry: &IdempotencyEntry,
        ttl: Duration,
    ) -> Result<IdempotencyOutcome, QueueError>;

    /// What `key` stands for; `None` when it is free.
    async fn idempotency_entry(&self, key: &str) -> Result<Option<IdempotencyEntry>, QueueError>;

    /// Lets `key` stand for `entry` for `ttl` from now, whatever it stood for: a queue that has lost its data gets the keys back
    /// that task files remember.
    async fn restore_idempotency_key(
        &self,
        key: &str,
        entry: &IdempotencyEntry,
        ttl: Duration,
    ) -> Result<(), QueueError>;

    /// Frees `key` if it stands for this task.
    async fn forget_idempotency_key(&self, key: &str, task: &TaskId) -> Result<(), QueueError>;

    /// Puts a dead letter back that was lost, as old as it was, unless its task is ready, delayed or leased. The letter names a
    /// task. Repeated, it changes nothing.
    async fn restore_dead_letter(&self, pool: &PoolName, letter: &DeadLetter) -> Result<(), QueueError>;

    /// Tells every process what to act on about a scanner's circuit, and returns the notice that stands.
    ///
    /// It replaces the one before, but a refused login does not replace an isolation: only another command ends that. The
    /// version is larger than that of the notice before, and at least the clock's microseconds since 1970, so that it keeps
    /// growing after a loss of all data. A repeated call posts the notice anew.
    async fn post_circuit_notice(
        &self,
        pool: &PoolName,
        instance: &InstanceId,
        notice: &CircuitNotice,
    ) -> Result<PostedNotice, QueueError>;

    /// The notices about the circuits of these scanners, in the order of `instances`; `None` where there is none.
    async fn circuit_notices(
        &self,
        pool: &PoolName,
        instances: &[InstanceId],
    ) -> Result<Vec<Option<PostedNotice>>, QueueError>;

    /// Shows for `lasts` from now how the circuits of a process stand, instead of what it has shown before.
    async fn publish_circuit_states(
        &self,
        process: &str,
        circuits: &[CircuitReport],
        lasts: Duration,
    ) -> Result<(), QueueError>;

    /// How the circuits of all processes stand that have published lately, in the order of the processes' names.
    async fn circuit_states(&self) -> Result<Vec<ProcessCircuits>, QueueError>;

    /// Keeps for `kept` from now what a worker tells of itself, instead of what it has told before.
    ///
    /// How many records are kept is bounded: of very many, those that were heard of longest ago vanish earlier.
    async fn announce_worker(&self, record: &WorkerRecord, kept: Duration) -> Result<(), QueueError>;

    /// Takes back what a worker has told of itself: it ends. Fine when there is nothing.
    async fn withdraw_worker(&self, worker: &WorkerId) -> Result<(), QueueError>;

    /// What workers have told of themselves and when, in the order of their ids; also those that were not heard of for a while.
    async fn workers(&self) -> Result<Vec<SeenWorker>, QueueError>;

    /// The data directory this queue belongs to; `None` when it is new, comes from an older version, or has lost its data.
    async fn binding(&self) -> Result<Option<Binding>, QueueError>;

    /// Lets the queue belong to a data directory, if what stands is `expected` (`None` for no binding), and returns what
    /// stands then.
    ///
    /// Of several callers at once that expect the same, one succeeds; the others get its binding.
    async fn bind(&self, expected: Option<Binding>, binding: &Binding) -> Result<Option<Binding>, QueueError>;

    /// Returns when one of the pools may have something to claim, at the latest after `timeout`.
    ///
    /// A hint: it may return for nothing, and it may sleep through an entry that becomes ready. It never fails; a queue
    /// that does not answer lets the time pass. Ask only for pools you would claim from: where something is ready it
    /// returns at once, also where a claim would pass over all of it. So pause before you ask again when you could claim
    /// nothing. It holds nothing, so dropping the future is harmless.
    async fn wait_for_work(&self, pools: &[PoolName], timeout: Duration);

    /// Checks that the backend answers and returns how long that took.
    async fn ping(&self) -> Result<Duration, QueueError>;

    /// What time it is by the backend's clock; `None` where that cannot be told. A worker measures how
    /// long scans have taken by it.
    async fn now(&self) -> Result<Option<Timestamp>, QueueError>;

    /// What an operator should change about the backend, one sentence each: that it may lose what it was given, for
    /// example. Empty when there is nothing to say.
    async fn warnings(&self) -> Result<Vec<String>, QueueError>;
}

/// A mocked queue keeps no catalogue: it never becomes whole.
#[cfg(feature = "testing")]
#[async_trait]
impl TaskCatalogue for MockQueue {
    async fn record_tasks(&self, _records: &[CatalogueRecord]) -> Result<Vec<(TaskId, u64)>, QueueError> {
        Ok(Vec::new())
    }

    async fn catalogue_changes(&self, after: u64, _limit: usize) -> Result<CatalogueChanges, QueueError> {
        Ok(CatalogueChanges::new(None, Vec::new(), after))
    }

    async fn unfinished_records(
        &self,
        _after: Option<TaskId>,
        _limit: usize,
    ) -> Result<Vec<CatalogueRecord>, QueueError> {
        Ok(Vec::new())
    }

    async fn catalogue_state(&self) -> Result<CatalogueState, QueueError> {
        Ok(CatalogueState::default())
    }

    async fn begin_catalogue(&self) -> Result<String, QueueError> {
        Ok(String::new())
    }

    async fn finish_catalogue(&self, _begun: &str, _mark: &str) -> Result<bool, QueueError> {
        Ok(false)
    }
}
