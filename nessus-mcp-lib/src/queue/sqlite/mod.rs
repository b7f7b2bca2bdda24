//! The embedded queue: one SQLite file, shared by any number of processes of one machine.
//!
//! The file is in WAL mode with `synchronous=FULL`, so a confirmed step survives power loss. Transactions are `BEGIN IMMEDIATE`,
//! so those of several processes follow each other. Steps that wait at the same time share a transaction, in which each
//! happens as a whole or not at all. The file needs a local disk: WAL does not work across machines.
//!
//! Steps run on a blocking thread and to their end: a future that is dropped midway leaves a whole step or none.
//! Processes do not signal each other; [`wait_for_work`](Queue::wait_for_work) looks every 250 ms, and is woken at
//! once by work that comes from the same [`SqliteQueue`].

mod catalogue;
mod charges;
mod circuits;
mod claims;
mod clock;
mod connection;
mod errors;
mod schema;
mod shared;
mod statements;
mod steps;
#[cfg(test)]
mod tests;
mod workers;

use std::{
    fmt,
    ops::ControlFlow,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rusqlite::Transaction;
use tokio::sync::Notify;

use self::{claims::Which, connection::Store, statements::End};
use super::{
    binding::Binding,
    body::TaskBody,
    charge::{Charge, ChargeOutcome},
    circuit::{CircuitNotice, CircuitReport, PostedNotice, ProcessCircuits},
    entry::{
        Claim, DeadLetter, EnqueueOutcome, EntryState, IdempotencyEntry, IdempotencyOutcome, Lease, LeaseInfo, Outlook,
        QueueStats, RemoveOutcome, RenewOutcome, RetryDeadOutcome, SettleOutcome, Settlement, SlotOutcome,
    },
    error::{BoxError, QueueError},
    interface::Queue,
    workers::{SeenWorker, WorkerRecord},
};
use crate::{
    ids::{FencingToken, InstanceId, PoolName, TaskId, WorkerId},
    time::{Clock, SystemClock, Timestamp},
};

/// How often a waiting worker looks for what other processes have done.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The largest fence: the largest integer that every JSON reader keeps exactly.
const LARGEST_FENCING_TOKEN: u64 = 1 << 53;

/// A [`Queue`] in one SQLite file.
pub struct SqliteQueue {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    /// Told when a step of this value made something ready.
    work: Notify,
    look_every: Duration,
}

impl SqliteQueue {
    /// Opens the queue in the file at `path`, creating it (mode 0600) and its directory (0700) when missing.
    ///
    /// Blocks on the disk, and for up to ten seconds while other processes open the same new file.
    ///
    /// # Errors
    /// [`QueueError::Unusable`] when the file cannot be created or written or is something else than a queue,
    /// [`QueueError::NewerSchema`], or [`QueueError::Unavailable`] when others hold it locked.
    pub fn open(path: &Path) -> Result<Self, QueueError> {
        Self::open_with_clock(path, Arc::new(SystemClock))
    }

    /// Like [`open`](Self::open), with leases, delays and expiry measured by `clock`.
    ///
    /// All processes that share the file must share the clock.
    pub fn open_with_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, QueueError> {
        Ok(Self { store: Arc::new(Store::open(path)?), clock, work: Notify::new(), look_every: LOOK_EVERY })
    }

    /// Waiting workers look less often for what other processes have done: a test in which hours pass has none.
    #[cfg(test)]
    pub(crate) fn looking_every(self, look_every: Duration) -> Self {
        Self { look_every, ..self }
    }

    /// One step that changes something. It may be run more than once, but only what it does the last time stays.
    async fn write<T, F>(&self, step: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    {
        let clock = Arc::clone(&self.clock);
        let (answer, lead) = self.store.add(move |transaction| {
            let now = clock.now();
            clock::follow(transaction, now)?;
            step(transaction, now)
        });
        if let Some(lead) = lead {
            tokio::task::spawn_blocking(|| lead.run());
        }
        answer.await.unwrap_or_else(|error| Err(self.did_not_end(error)))
    }

    /// One look at a consistent state, which waits for no writer.
    async fn read<T, F>(&self, look: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    {
        let clock = Arc::clone(&self.clock);
        self.on_blocking_thread(move |store| store.read(|view| look(view, clock.now()))).await
    }

    async fn enqueue_at(&self, pool: &PoolName, body: &TaskBody, end: End) -> Result<EnqueueOutcome, QueueError> {
        let (pool, body) = (pool.clone(), body.clone());
        let outcome = self.write(move |step, _| statements::enqueue(step, &pool, &body, end)).await?;
        if outcome == EnqueueOutcome::Added {
            self.work.notify_waiters();
        }
        Ok(outcome)
    }

    async fn claim_of(
        &self,
        which: Which,
        pool: &PoolName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Option<Claim>, QueueError> {
        loop {
            let (pool, worker, which) = (pool.clone(), worker.clone(), which.clone());
            let step = self.write(move |step, now| claims::claim(step, now, &pool, &worker, now.plus(lease), &which));
            if let ControlFlow::Break(claim) = step.await? {
                return Ok(claim);
            }
        }
    }

    async fn on_blocking_thread<T, F>(&self, call: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, QueueError> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        let span = tracing::Span::current();
        match tokio::task::spawn_blocking(move || span.in_scope(|| call(&store))).await {
            Ok(result) => result,
            Err(error) => Err(self.did_not_end(error)),
        }
    }

    fn did_not_end(&self, error: impl Into<BoxError>) -> QueueError {
        QueueError::Internal {
            location: self.store.location().to_owned(),
            problem: "the step did not end".to_owned(),
            source: Some(error.into()),
        }
    }
}

impl fmt::Debug for SqliteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteQueue").field("location", &self.store.location()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn enqueue(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError> {
        self.enqueue_at(pool, body, End::Back).await
    }

    async fn enqueue_started(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError> {
        self.enqueue_at(pool, body, End::Started).await
    }

    async fn enqueue_charged(
        &self,
        pool: &PoolName,
        body: &TaskBody,
        charges: &[Charge],
        started: bool,
    ) -> Result<ChargeOutcome, QueueError> {
        let (pool, body, due) = (pool.clone(), body.clone(), charges.to_vec());
        let end = if started { End::Started } else { End::Back };
        let step = move |step: &Transaction<'_>, now| charges::enqueue_charged(step, now, &pool, &body, &due, end);
        let outcome = self.write(step).await?;
        if outcome == ChargeOutcome::Enqueued(EnqueueOutcome::Added) {
            self.work.notify_waiters();
        }
        Ok(outcome)
    }

    async fn restore_charge(&self, charge: &Charge) -> Result<(), QueueError> {
        let charge = charge.clone();
        self.write(move |step, now| charges::charge(step, now, &charge)).await
    }

    async fn give_back(&self, charge: &Charge) -> Result<(), QueueError> {
        let charge = charge.clone();
        self.write(move |step, _| charges::give_back(step, &charge)).await
    }

    async fn charged<'a>(&self, scope: &str, day: Option<&'a str>) -> Result<u64, QueueError> {
        let (scope, day) = (scope.to_owned(), day.map(str::to_owned));
        self.read(move |view, _| charges::charged(view, &scope, day.as_deref())).await
    }

    async fn charged_ids<'a>(&self, scope: &str, day: Option<&'a str>) -> Result<Vec<String>, QueueError> {
        let (scope, day) = (scope.to_owned(), day.map(str::to_owned));
        self.read(move |view, _| charges::charged_ids(view, &scope, day.as_deref())).await
    }

    async fn claim(
        &self,
        pool: &PoolName,
        worker: &WorkerId,
        lease: Duration,
        passed_over: &[InstanceId],
    ) -> Result<Option<Claim>, QueueError> {
        self.claim_of(Which::AllBut(passed_over.to_vec()), pool, worker, lease).await
    }

    async fn claim_started(
        &self,
        pool: &PoolName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Option<Claim>, QueueError> {
        self.claim_of(Which::Started, pool, worker, lease).await
    }

    async fn raise_fencing_token(&self, lease: &Lease, above: FencingToken) -> Result<Option<Lease>, QueueError> {
        if above.0 >= LARGEST_FENCING_TOKEN {
            return Err(QueueError::Internal {
                location: self.store.location().to_owned(),
                problem: format!("no fence above {above} can be given"),
                source: None,
            });
        }
        let lease = lease.clone();
        self.write(move |step, now| statements::raise_fencing_token(step, now, &lease, above)).await
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<RenewOutcome>, QueueError> {
        let leases = leases.to_vec();
        self.write(move |step, now| statements::renew(step, &leases, now.plus(lease))).await
    }

    async fn note_progress(&self, lease: &Lease) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.write(move |step, _| statements::note_progress(step, &lease)).await
    }

    async fn suspects(&self, pool: &PoolName) -> Result<Vec<(TaskId, u32)>, QueueError> {
        let pool = pool.clone();
        self.read(move |view, _| statements::suspects(view, &pool)).await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<SettleOutcome, QueueError> {
        let lease = lease.clone();
        let made_ready = matches!(settlement, Settlement::Release { .. });
        let outcome = self.write(move |step, now| statements::settle(step, now, &lease, &settlement)).await?;
        if made_ready && outcome == SettleOutcome::Settled {
            self.work.notify_waiters();
        }
        Ok(outcome)
    }

    async fn remove(&self, pool: &PoolName, task: &TaskId) -> Result<RemoveOutcome, QueueError> {
        let (pool, task) = (pool.clone(), task.clone());
        self.write(move |step, _| statements::remove(step, &pool, &task)).await
    }

    async fn retry_dead(&self, pool: &PoolName, body: &TaskBody) -> Result<RetryDeadOutcome, QueueError> {
        let (pool, body) = (pool.clone(), body.clone());
        let outcome = self.write(move |step, _| statements::retry_dead(step, &pool, &body)).await?;
        if outcome == RetryDeadOutcome::Requeued {
            self.work.notify_waiters();
        }
        Ok(outcome)
    }

    async fn purge_dead(&self, pool: &PoolName, before: Timestamp) -> Result<u64, QueueError> {
        let mut purged = 0;
        loop {
            let pool = pool.clone();
            let removed = self.write(move |step, _| statements::purge_dead(step, &pool, before)).await?;
            purged += removed;
            if removed < u64::from(statements::PURGED_PER_STEP) {
                return Ok(purged);
            }
        }
    }

    async fn dead_letters(&self, pool: &PoolName, offset: u64, limit: u32) -> Result<Vec<DeadLetter>, QueueError> {
        let pool = pool.clone();
        self.read(move |view, _| statements::dead_letters(view, &pool, offset, limit)).await
    }

    async fn stats(&self, pool: &PoolName) -> Result<QueueStats, QueueError> {
        let pool = pool.clone();
        self.read(move |view, _| statements::stats(view, &pool)).await
    }

    async fn position(&self, pool: &PoolName, task: &TaskId) -> Result<Option<u64>, QueueError> {
        let (pool, task) = (pool.clone(), task.clone());
        self.read(move |view, _| statements::position(view, &pool, &task)).await
    }

    async fn peek(&self, pool: &PoolName, limit: u32) -> Result<Vec<String>, QueueError> {
        let pool = pool.clone();
        self.read(move |view, _| statements::peek(view, &pool, limit)).await
    }

    async fn state_of(&self, pool: &PoolName, task: &TaskId) -> Result<Option<EntryState>, QueueError> {
        let (pool, task) = (pool.clone(), task.clone());
        self.read(move |view, _| statements::state_of(view, &pool, &task)).await
    }

    async fn outlook<'a>(
        &self,
        pool: &PoolName,
        task: Option<&'a TaskId>,
        scanners: &[InstanceId],
    ) -> Result<Outlook, QueueError> {
        let (pool, task, scanners) = (pool.clone(), task.cloned(), scanners.to_vec());
        self.read(move |view, now| statements::outlook(view, now, &pool, task.as_ref(), &scanners)).await
    }

    async fn leases(&self, pool: &PoolName) -> Result<Vec<LeaseInfo>, QueueError> {
        let pool = pool.clone();
        self.read(move |view, _| statements::leases(view, &pool)).await
    }

    async fn acquire_slot(
        &self,
        pool: &PoolName,
        instance: &InstanceId,
        task: &TaskId,
        capacity: u32,
        lease: Duration,
    ) -> Result<SlotOutcome, QueueError> {
        let (pool, instance, task) = (pool.clone(), instance.clone(), task.clone());
        self.write(move |step, now| shared::acquire_slot(step, now, &pool, &instance, &task, capacity, lease)).await
    }

    async fn release_slot(&self, pool: &PoolName, instance: &InstanceId, task: &TaskId) -> Result<(), QueueError> {
        let (pool, instance, task) = (pool.clone(), instance.clone(), task.clone());
        self.write(move |step, _| shared::release_slot(step, &pool, &instance, &task)).await
    }

    async fn slots_in_use(&self, pool: &PoolName, instance: &InstanceId) -> Result<Vec<TaskId>, QueueError> {
        let (pool, instance) = (pool.clone(), instance.clone());
        self.read(move |view, now| shared::slots_in_use(view, now, &pool, &instance)).await
    }

    async fn pause_pool(&self, pool: &PoolName, reason: &str) -> Result<(), QueueError> {
        let (pool, reason) = (pool.clone(), reason.to_owned());
        self.write(move |step, _| shared::set_paused(step, &pool, Some(&reason))).await
    }

    async fn resume_pool(&self, pool: &PoolName) -> Result<(), QueueError> {
        let pool = pool.clone();
        self.write(move |step, _| shared::set_paused(step, &pool, None)).await?;
        self.work.notify_waiters();
        Ok(())
    }

    async fn claim_idempotency_key(
        &self,
        key: &str,
        entry: &IdempotencyEntry,
        ttl: Duration,
    ) -> Result<IdempotencyOutcome, QueueError> {
        let (key, entry) = (key.to_owned(), entry.clone());
        self.write(move |step, now| shared::claim_idempotency_key(step, now, &key, &entry, now.plus(ttl))).await
    }

    async fn idempotency_entry(&self, key: &str) -> Result<Option<IdempotencyEntry>, QueueError> {
        let key = key.to_owned();
        self.read(move |view, now| shared::idempotency_entry(view, now, &key)).await
    }

    async fn restore_idempotency_key(
        &self,
        key: &str,
        entry: &IdempotencyEntry,
        ttl: Duration,
    ) -> Result<(), QueueError> {
        let (key, entry) = (key.to_owned(), entry.clone());
        self.write(move |step, now| shared::set_idempotency_key(step, &key, &entry, now.plus(ttl))).await
    }

    async fn forget_idempotency_key(&self, key: &str, task: &TaskId) -> Result<(), QueueError> {
        let (key, task) = (key.to_owned(), task.clone());
        self.write(move |step, _| shared::forget_idempotency_key(step, &key, &task)).await
    }

    async fn restore_dead_letter(&self, pool: &PoolName, letter: &DeadLetter) -> Result<(), QueueError> {
        let (pool, letter) = (pool.clone(), letter.clone());
        self.write(move |step, _| statements::restore_dead_letter(step, &pool, &letter)).await
    }

    async fn post_circuit_notice(
        &self,
        pool: &PoolName,
        instance: &InstanceId,
        notice: &CircuitNotice,
    ) -> Result<PostedNotice, QueueError> {
        let (pool, instance, notice) = (pool.clone(), instance.clone(), notice.clone());
        self.write(move |step, now| circuits::post(step, now, &pool, &instance, &notice)).await
    }

    async fn circuit_notices(
        &self,
        pool: &PoolName,
        instances: &[InstanceId],
    ) -> Result<Vec<Option<PostedNotice>>, QueueError> {
        let (pool, instances) = (pool.clone(), instances.to_vec());
        self.read(move |view, _| instances.iter().map(|instance| circuits::notice(view, &pool, instance)).collect())
            .await
    }

    async fn publish_circuit_states(
        &self,
        process: &str,
        circuits: &[CircuitReport],
        lasts: Duration,
    ) -> Result<(), QueueError> {
        let (process, circuits) = (process.to_owned(), circuits.to_vec());
        self.write(move |step, now| circuits::publish(step, now, &process, &circuits, lasts)).await
    }

    async fn circuit_states(&self) -> Result<Vec<ProcessCircuits>, QueueError> {
        self.read(circuits::published).await
    }

    async fn announce_worker(&self, record: &WorkerRecord, kept: Duration) -> Result<(), QueueError> {
        let record = record.clone();
        self.write(move |step, now| workers::announce(step, now, &record, kept)).await
    }

    async fn withdraw_worker(&self, worker: &WorkerId) -> Result<(), QueueError> {
        let worker = worker.clone();
        self.write(move |step, _| workers::withdraw(step, &worker)).await
    }

    async fn workers(&self) -> Result<Vec<SeenWorker>, QueueError> {
        self.read(workers::workers).await
    }

    async fn binding(&self) -> Result<Option<Binding>, QueueError> {
        self.read(|view, _| shared::binding(view)).await
    }

    async fn bind(&self, expected: Option<Binding>, binding: &Binding) -> Result<Option<Binding>, QueueError> {
        let binding = binding.clone();
        self.write(move |step, _| shared::bind(step, expected.as_ref(), &binding)).await
    }

    async fn wait_for_work(&self, pools: &[PoolName], timeout: Duration) {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            // Listening before looking: work that comes between the two is not missed.
            let mut told = pin!(self.work.notified());
            told.as_mut().enable();
            let pools = pools.to_vec();
            let found = self.read(move |view, now| claims::any_claimable(view, now, &pools)).await;
            let rest = deadline.saturating_duration_since(tokio::time::Instant::now());
            if matches!(found, Ok(true)) || rest.is_zero() {
                return;
            }
            tokio::select! {
                () = told => {}
                () = tokio::time::sleep(rest.min(self.look_every)) => {}
            }
        }
    }

    async fn ping(&self) -> Result<Duration, QueueError> {
        let asked = Instant::now();
        self.on_blocking_thread(Store::check).await?;
        Ok(asked.elapsed())
    }

    async fn now(&self) -> Result<Option<Timestamp>, QueueError> {
        Ok(Some(self.clock.now()))
    }

    async fn warnings(&self) -> Result<Vec<String>, QueueError> {
        Ok(Vec::new())
    }
}
