//! Wrapping a queue without losing a part of it.

use std::time::Duration;

use super::{
    binding::Binding,
    body::TaskBody,
    catalogue::{CatalogueChanges, CatalogueRecord, CatalogueState, TaskCatalogue},
    charge::{Charge, ChargeOutcome},
    circuit::{CircuitNotice, CircuitReport, PostedNotice, ProcessCircuits},
    entry::{
        Claim, DeadLetter, EnqueueOutcome, EntryState, IdempotencyEntry, IdempotencyOutcome, Lease, LeaseInfo, Outlook,
        QueueStats, RemoveOutcome, RenewOutcome, RetryDeadOutcome, SettleOutcome, Settlement, SlotOutcome,
    },
    error::QueueError,
    interface::Queue,
    workers::{SeenWorker, WorkerRecord},
};
use crate::{
    delegate::decorator,
    ids::{FencingToken, InstanceId, PoolName, TaskId, WorkerId},
    time::Timestamp,
};

/// Gives the methods of a queue to the macro `$then`, before them what else it is given.
macro_rules! queue_methods {
    ($then:ident! { $($first:tt)* }) => {
        $then! {
            $($first)*
            Queue {
                enqueue(pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError>;
                enqueue_started(pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError>;
                enqueue_charged(
                    pool: &PoolName, body: &TaskBody, charges: &[Charge], started: bool
                ) -> Result<ChargeOutcome, QueueError>;
                restore_charge(charge: &Charge) -> Result<(), QueueError>;
                give_back(charge: &Charge) -> Result<(), QueueError>;
                charged<'a>(scope: &str, day: Option<&'a str>) -> Result<u64, QueueError>;
                charged_ids<'a>(scope: &str, day: Option<&'a str>) -> Result<Vec<String>, QueueError>;
                claim(
                    pool: &PoolName, worker: &WorkerId, lease: Duration, passed_over: &[InstanceId]
                ) -> Result<Option<Claim>, QueueError>;
                claim_started(pool: &PoolName, worker: &WorkerId, lease: Duration) -> Result<Option<Claim>, QueueError>;
                raise_fencing_token(lease: &Lease, above: FencingToken) -> Result<Option<Lease>, QueueError>;
                renew(leases: &[Lease], lease: Duration) -> Result<Vec<RenewOutcome>, QueueError>;
                note_progress(lease: &Lease) -> Result<(), QueueError>;
                suspects(pool: &PoolName) -> Result<Vec<(TaskId, u32)>, QueueError>;
                settle(lease: &Lease, settlement: Settlement) -> Result<SettleOutcome, QueueError>;
                remove(pool: &PoolName, task: &TaskId) -> Result<RemoveOutcome, QueueError>;
                retry_dead(pool: &PoolName, body: &TaskBody) -> Result<RetryDeadOutcome, QueueError>;
                dead_letters(pool: &PoolName, offset: u64, limit: u32) -> Result<Vec<DeadLetter>, QueueError>;
                purge_dead(pool: &PoolName, before: Timestamp) -> Result<u64, QueueError>;
                stats(pool: &PoolName) -> Result<QueueStats, QueueError>;
                position(pool: &PoolName, task: &TaskId) -> Result<Option<u64>, QueueError>;
                peek(pool: &PoolName, limit: u32) -> Result<Vec<String>, QueueError>;
                state_of(pool: &PoolName, task: &TaskId) -> Result<Option<EntryState>, QueueError>;
                outlook<'a>(
                    pool: &PoolName, task: Option<&'a TaskId>, scanners: &[InstanceId]
                ) -> Result<Outlook, QueueError>;
                leases(pool: &PoolName) -> Result<Vec<LeaseInfo>, QueueError>;
                acquire_slot(
                    pool: &PoolName, instance: &InstanceId, task: &TaskId, capacity: u32, lease: Duration
                ) -> Result<SlotOutcome, QueueError>;
                release_slot(pool: &PoolName, instance: &InstanceId, task: &TaskId) -> Result<(), QueueError>;
                slots_in_use(pool: &PoolName, instance: &InstanceId) -> Result<Vec<TaskId>, QueueError>;
                pause_pool(pool: &PoolName, reason: &str) -> Result<(), QueueError>;
                resume_pool(pool: &PoolName) -> Result<(), QueueError>;
                claim_idempotency_key(
                    key: &str, entry: &IdempotencyEntry, ttl: Duration
                ) -> Result<IdempotencyOutcome, QueueError>;
                idempotency_entry(key: &str) -> Result<Option<IdempotencyEntry>, QueueError>;
                restore_idempotency_key(key: &str, entry: &IdempotencyEntry, ttl: Duration) -> Result<(), QueueError>;
                forget_idempotency_key(key: &str, task: &TaskId) -> Result<(), QueueError>;
                restore_dead_letter(pool: &PoolName, letter: &DeadLetter) -> Result<(), QueueError>;
                post_circuit_notice(
                    pool: &PoolName, instance: &InstanceId, notice: &CircuitNotice
                ) -> Result<PostedNotice, QueueError>;
                circuit_notices(
                    pool: &PoolName, instances: &[InstanceId]
                ) -> Result<Vec<Option<PostedNotice>>, QueueError>;
                publish_circuit_states(
                    process: &str, circuits: &[CircuitReport], lasts: Duration
                ) -> Result<(), QueueError>;
                circuit_states() -> Result<Vec<ProcessCircuits>, QueueError>;
                announce_worker(record: &WorkerRecord, kept: Duration) -> Result<(), QueueError>;
                withdraw_worker(worker: &WorkerId) -> Result<(), QueueError>;
                workers() -> Result<Vec<SeenWorker>, QueueError>;
                binding() -> Result<Option<Binding>, QueueError>;
                bind(expected: Option<Binding>, binding: &Binding) -> Result<Option<Binding>, QueueError>;
                wait_for_work(pools: &[PoolName], timeout: Duration) -> ();
                ping() -> Result<Duration, QueueError>;
                now() -> Result<Option<Timestamp>, QueueError>;
                warnings() -> Result<Vec<String>, QueueError>;
            }
            TaskCatalogue {
                record_tasks(records: &[CatalogueRecord]) -> Result<Vec<(TaskId, u64)>, QueueError>;
                catalogue_changes(after: u64, limit: usize) -> Result<CatalogueChanges, QueueError>;
                unfinished_records(after: Option<TaskId>, limit: usize) -> Result<Vec<CatalogueRecord>, QueueError>;
                catalogue_state() -> Result<CatalogueState, QueueError>;
                begin_catalogue() -> Result<String, QueueError>;
                finish_catalogue(begun: &str, mark: &str) -> Result<bool, QueueError>;
            }
        }
    };
}

#[cfg(feature = "testing")]
pub(crate) use queue_methods;

queue_methods! { decorator! {
    /// A queue that wraps another one. What it does not change reaches the inner one; it is itself a [`Queue`] and a [`TaskCatalogue`].
    ///
    /// The check `testing::decorators::a_queue_decorator_loses_nothing` (feature `testing`)
    /// tells what does not arrive there.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// use nessus_mcp_lib::{ids::PoolName, queue::{EnqueueOutcome, Queue, QueueDecorator, QueueError, TaskBody}};
    ///
    /// /// Counts what is enqueued.
    /// #[derive(Debug)]
    /// struct Counting(Arc<dyn Queue>, AtomicU64);
    ///
    /// #[async_trait::async_trait]
    /// impl QueueDecorator for Counting {
    ///     fn inner(&self) -> &dyn Queue {
    ///         self.0.as_ref()
    ///     }
    ///
    ///     async fn enqueue(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError> {
    ///         self.1.fetch_add(1, Ordering::Relaxed);
    ///         self.inner().enqueue(pool, body).await
    ///     }
    /// }
    /// ```
    QueueDecorator of Queue:
} }
