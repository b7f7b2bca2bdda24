//! The shared queue: Redis or Valkey, for servers and workers on any number of machines.
//!
//! One server (`redis://`, `rediss://` for TLS), a cluster (`redis+cluster://`), or a master that sentinels know
//! (`redis+sentinel://`). The keys of a pool are documented, so that an operator can look with `redis-cli` and older
//! producers can push:
//!
//! | key | type | content |
//! |---|---|---|
//! | `{pool}:queue` | list | the inbox: bodies that others push left, until the next step moves them to where they belong |
//! | `{pool}:queue:ready` | sorted set | ready tasks by place, the smallest is next: `ZCARD` is the depth, but for the inbox |
//! | `{pool}:queue:ready:by_scanner` | sorted set | those that have not started, as `scanner place task`: by the scanner that they wait for |
//! | `{pool}:queue:bodies` | hash | ready or delayed task: its exact body |
//! | `{pool}:queue:later` | sorted set | delayed tasks, by when they are due in ms |
//! | `{pool}:queue:later:places` | hash | delayed task: where it goes, `back`, `front` or `begun` (before all others) |
//! | `{pool}:queue:dead` | sorted set | the body's fields with `error`, `error_code`, `failed_at`, `attempt`, by unix seconds |
//! | `idemp:{key}` | string | `{task_id, request_hash, created_at}`, expires |
//! | `nessus:binding` | string | `{directory, epoch}`: the data directory all of this belongs to |
//! | `nessus:hosts:{scope}:{day}` | hash | what counts against a limit: of the day in UTC, and expires; or without a day until it is given back. Task (from the second attempt on `task.attempt`), how many; `total`, how many charges these are and what they amount to |
//! | `{pool}:queue:dead:by_task`, `:dead:cursor` | sorted set, string | the same letters as `task letter`; how far they are named |
//! | `nessus:catalogue` | hash | task: what lists need of it, as `revision:unfinished:entry`; and facts about the whole, which begin with `#` |
//! | `nessus:catalogue:changes`, `nessus:catalogue:unfinished` | sorted set | its tasks by the number of their last change; those that are not over |
//! | `{pool}:queue:inflight` | hash | leased task: its exact body |
//! | `{pool}:queue:leases` | sorted set | leased task, by the end of its lease in ms |
//! | `{pool}:queue:leases:length` | string | how long the last lease was given, in ms: for one whose end is lost |
//! | `{pool}:queue:owners` | hash | leased task: `fence:worker` |
//! | `{pool}:queue:attempts` | hash | task: how often it was tried |
//! | `{pool}:queue:losses` | hash | task: claims in a row of which nothing was heard any more, the one that stands included |
//! | `{pool}:queue:slots:{instance}` | sorted set | tasks that hold a slot of a scanner, by its end in ms |
//! | `nessus:circuit:{pool}:{instance}` | hash | the last command about a scanner's circuit, or that its login was refused: `order`, `reason`, `by`, `since` in ms, `generation` |
//! | `nessus:circuit-states` | hash | process: how its circuits stand, when it said so and how long that lasts, in ms |
//! | `nessus:workers` | hash | worker: when it was heard of, how long that is kept, both in ms, and what it tells of itself; `#clock` is the last time seen |
//! | `{pool}:queue:paused`, `:fence`, `:wake` | | reason of a pause, last fence, marker that wakes a worker |
//! | `{pool}:queue:clock`, `:slots:{instance}:clock` | string | the last time seen, in ms: when the clock steps back, leases and slots move along |
//! | `{pool}:queue:later:clock` | string | the same for `later`, and by how many ms its time is ahead of the clock |
//!
//! Earlier versions had all ready entries in the inbox, delayed ones in `{pool}:queue:delayed` (a sorted set of bodies), and where a task
//! was in `{pool}:queue:ids`. Such a queue is moved step by step by the first process that needs its order, and keeps it. Workers of such
//! a version may go on beside: they claim what is in the inbox, and leases are shared. What they put back is moved again; what they
//! release to the front of the inbox comes to the end, unless it has started.
//!
//! In a cluster the pool stands in braces, `{nessus}:queue`, `nessus:circuit:{nessus}:a`, so that all keys of a pool lie in one slot, and every key that a script touches is named
//! in its call: scanners are in the members of `ready:by_scanner`, and have no keys of their own. A day
//! is `{nessus:binding}:hosts:{scope}:{day}` there, in the slot of the binding, without which nothing is charged. The catalogue of tasks lies there too. Pools lie
//! elsewhere, so a task is charged right before it is enqueued: whoever dies between the two leaves its file, and the
//! reconciler enqueues it.
//!
//! # How it works
//! Each step is one Lua script, which runs whole or not at all and goes by the server's clock. None holds the server for more than a few
//! milliseconds: what has piled up is worked off in parts, by the same call again. All steps go over one
//! connection that is opened again when it fails. Waiting for work is a blocking command on a connection of its own; in a
//! cluster, where pools lie on several servers, it is a look every 250 ms. An enqueue leaves at most one marker, which
//! wakes one waiting worker; a worker that takes a task and sees more leaves the marker for the next.
//!
//! # How it fails
//! A step whose reply is lost is repeated where that changes nothing, for up to ten seconds, which bridges a restart of the
//! server and most failovers; then it is [`QueueError::Unavailable`]. A claim is not repeated: a task that was leased
//! without anybody hearing of it is delivered again when the lease is over. (In a cluster the client does repeat it after
//! a broken connection, with the same effect.) What Redis confirms it keeps as well as it is told to: with
//! `appendonly yes` a killed server loses nothing it had confirmed, and a machine without power the last second unless
//! `appendfsync always` is set. A failover loses what the replica had not received. All of that is rebuilt from the task
//! files, idempotency keys too. [`warnings`](Queue::warnings) says when the server may evict or does not persist.
//!
//! A server whose memory is full refuses new tasks, claims and renewals ([`QueueError::StorageFull`]), but not the
//! acknowledgement that frees some.

mod calls;
mod catalogue;
mod charges;
mod check;
mod circuits;
mod connect;
mod errors;
mod keys;
mod letters;
mod outlook;
mod pages;
mod scripts;
mod target;
mod waiting;
mod workers;

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use redis::{Value, cmd};

use self::{
    calls::{Calls, LostReply},
    keys::Naming,
    scripts::{Invocation, Script, millis},
    target::Target,
};
use super::{
    binding::Binding,
    body::TaskBody,
    charge::{Charge, ChargeOutcome},
    circuit::{CircuitNotice, CircuitReport, PostedNotice, ProcessCircuits},
    entry::{
        Claim, DeadLetter, EnqueueOutcome, EntryState, IdempotencyEntry, IdempotencyOutcome, LOSSES_ALLOWED, Lease,
        LeaseInfo, Outlook, QueueStats, RemoveOutcome, RenewOutcome, RetryDeadOutcome, SettleOutcome, Settlement,
        SlotOutcome,
    },
    error::QueueError,
    interface::Queue,
    workers::{SeenWorker, WorkerRecord},
};
use crate::{
    ids::{FencingToken, InstanceId, PoolName, TaskId, WorkerId},
    secret::Secret,
    time::Timestamp,
};

/// What a script answers when a task was known, but a part of its entry was lost.
const HEALED: i64 = 2;

/// How long a ping may take. Shorter than other calls: whoever asks wants to know the state of now.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// The largest fence: the largest integer that Lua and every JSON reader keep exactly.
const LARGEST_FENCING_TOKEN: u64 = 1 << 53;

/// A [`Queue`] on Redis or Valkey, version 6.2 or later.
pub struct RedisQueue {
    calls: Calls,
    naming: Naming,
}

impl RedisQueue {
    /// Connects to the server, cluster or master that `url` names; see the [module](self) for the forms.
    ///
    /// TLS checks the server's certificate against the roots of the operating system, or of the file that the variable
    /// `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// [`QueueError::InvalidUrl`], [`QueueError::Unavailable`] when nobody answers, [`QueueError::Unusable`] when the
    /// login is refused.
    pub async fn open(url: &Secret) -> Result<Self, QueueError> {
        let calls = Calls::open(Target::parse(url)?).await?;
        let naming = if calls.is_cluster() { Naming::Tagged } else { Naming::Plain };
        let queue = Self { calls, naming };
        queue.ping().await?;
        Ok(queue)
    }

    fn script<const N: usize>(&self, script: &'static Script, pool: &PoolName, arguments: [String; N]) -> Invocation {
        script.on(self.naming.entries(pool), arguments)
    }

    /// Adds an entry at the `back`, or as that of a task that has `begun`.
    async fn enqueue_at(&self, pool: &PoolName, body: &TaskBody, place: &str) -> Result<EnqueueOutcome, QueueError> {
        let arguments = [body.task_id().to_string(), body.as_str().to_owned(), place.to_owned()];
        let enqueue = self.script(&scripts::ENQUEUE, pool, arguments);
        let added: i64 = self.calls.run(&enqueue, LostReply::Repeat).await?;
        if added == HEALED {
            warn_of_a_loss(pool);
        }
        Ok(if added == 0 { EnqueueOutcome::AlreadyKnown } else { EnqueueOutcome::Added })
    }

    /// Claims a task, of `all` or of those that have `begun`.
    async fn claim_of(
        &self,
        which: &str,
        pool: &PoolName,
        worker: &WorkerId,
        lease: Duration,
        passed_over: &[InstanceId],
    ) -> Result<Option<Claim>, QueueError> {
        let arguments = [worker.to_string(), millis(lease), which.to_owned()];
        let passed_over = passed_over.iter().map(ToString::to_string);
        let arguments: Vec<_> = arguments.into_iter().chain(passed_over).collect();
        let claim = scripts::CLAIM.on(self.naming.entries(pool), arguments);
        loop {
            let claimed: Value = self.calls.run(&claim, LostReply::Tell).await?;
            match &claimed {
                Value::Nil => return Ok(None),
                Value::Array(parts) if parts.is_empty() => continue,
                _ => {}
            }
            let (id, body, fence, deliveries, losses): (String, Vec<u8>, u64, u32, u32) = self.calls.read(claimed)?;
            let body = String::from_utf8(body).ok().and_then(|body| TaskBody::parse(body).ok());
            // The script reads bodies less strictly.
            let Some(body) = body.filter(|body| body.task_id().as_str() == id) else {
                self.dead_letter_unreadable(pool, id, format!("{fence}:{worker}")).await?;
                continue;
            };
            let lease = Lease::new(pool.clone(), body.task_id().clone(), worker.clone(), FencingToken(fence));
            return Ok(Some(Claim::new(lease, body, deliveries).with_losses(losses)));
        }
    }

    fn read_binding(&self, text: Option<String>) -> Result<Option<Binding>, QueueError> {
        let binding = text.map(|text| serde_json::from_str(&text)).transpose();
        binding.map_err(|error| errors::unexpected(self.calls.location(), error))
    }

    fn read_entry(&self, text: &str) -> Result<IdempotencyEntry, QueueError> {
        serde_json::from_str(text).map_err(|error| errors::unexpected(self.calls.location(), error))
    }

    /// Throws out an entry that was leased and then could not be read.
    async fn dead_letter_unreadable(&self, pool: &PoolName, id: String, owner: String) -> Result<(), QueueError> {
        let settle = self.script(&scripts::SETTLE, pool, [id, owner, "corrupted".to_owned()]);
        self.calls.run::<u64>(&settle, LostReply::Repeat).await?;
        Ok(())
    }
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueue").field("location", &self.calls.location()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn enqueue(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError> {
        self.enqueue_at(pool, body, "back").await
    }

    async fn enqueue_started(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError> {
        self.enqueue_at(pool, body, "begun").await
    }

    async fn enqueue_charged(
        &self,
        pool: &PoolName,
        body: &TaskBody,
        charges: &[Charge],
        started: bool,
    ) -> Result<ChargeOutcome, QueueError> {
        self.enqueue_with(pool, body, charges, if started { "begun" } else { "back" }).await
    }

    async fn restore_charge(&self, charge: &Charge) -> Result<(), QueueError> {
        self.charge_again(charge).await
    }

    async fn give_back(&self, charge: &Charge) -> Result<(), QueueError> {
        self.uncharge(charge).await
    }

    async fn charged<'a>(&self, scope: &str, day: Option<&'a str>) -> Result<u64, QueueError> {
        self.sum_of_charges(scope, day).await
    }

    async fn charged_ids<'a>(&self, scope: &str, day: Option<&'a str>) -> Result<Vec<String>, QueueError> {
        self.ids_of_charges(scope, day).await
    }

    async fn claim(
        &self,
        pool: &PoolName,
        worker: &WorkerId,
        lease: Duration,
        passed_over: &[InstanceId],
    ) -> Result<Option<Claim>, QueueError> {
        self.claim_of("all", pool, worker, lease, passed_over).await
    }

    async fn claim_started(
        &self,
        pool: &PoolName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Option<Claim>, QueueError> {
        self.claim_of("begun", pool, worker, lease, &[]).await
    }

    async fn raise_fencing_token(&self, lease: &Lease, above: FencingToken) -> Result<Option<Lease>, QueueError> {
        if above.0 >= LARGEST_FENCING_TOKEN {
            return Err(QueueError::Internal {
                location: self.calls.location().to_owned(),
                problem: format!("no fence above {above} can be given"),
                source: None,
            });
        }
        let arguments = [lease.task_id.to_string(), owner(lease), above.to_string(), lease.worker.to_string()];
        let raise = self.script(&scripts::RAISE_FENCING_TOKEN, &lease.pool, arguments);
        let fence: Option<u64> = self.calls.run(&raise, LostReply::Tell).await?;
        Ok(fence.map(|fence| Lease { fence: FencingToken(fence), ..lease.clone() }))
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<RenewOutcome>, QueueError> {
        let mut by_pool: BTreeMap<&PoolName, Vec<usize>> = BTreeMap::new();
        for (at, lease) in leases.iter().enumerate() {
            by_pool.entry(&lease.pool).or_default().push(at);
        }
        let mut outcomes = vec![RenewOutcome::Lost; leases.len()];
        for (pool, places) in by_pool {
            let held = places.iter().flat_map(|at| [leases[*at].task_id.to_string(), owner(&leases[*at])]);
            let arguments: Vec<_> = std::iter::once(millis(lease)).chain(held).collect();
            let renew = scripts::RENEW.on(self.naming.entries(pool), arguments);
            let held: Vec<u64> = self.calls.run(&renew, LostReply::Repeat).await?;
            for (at, held) in places.into_iter().zip(held) {
                if held == 1 {
                    outcomes[at] = RenewOutcome::Held;
                }
            }
        }
        Ok(outcomes)
    }

    async fn note_progress(&self, lease: &Lease) -> Result<(), QueueError> {
        let note = self.script(&scripts::NOTE_PROGRESS, &lease.pool, [lease.task_id.to_string(), owner(lease)]);
        self.calls.run::<u64>(&note, LostReply::Repeat).await?;
        Ok(())
    }

    async fn suspects(&self, pool: &PoolName) -> Result<Vec<(TaskId, u32)>, QueueError> {
        let losses: BTreeMap<String, u32> = self.fields_of(&self.naming.companion(pool, "losses")).await?;
        let suspects = losses.into_iter().filter(|(_, losses)| *losses > LOSSES_ALLOWED);
        Ok(suspects.filter_map(|(id, losses)| Some((TaskId::new(id).ok()?, losses))).collect())
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<SettleOutcome, QueueError> {
        let mut arguments = vec![lease.task_id.to_string(), owner(lease)];
        match settlement {
            Settlement::Ack => arguments.push("ack".to_owned()),
            Settlement::Nack { delay, started } => {
                let place = if started { "begun" } else { "back" };
                arguments.extend(["nack".to_owned(), millis(delay), place.to_owned()]);
            }
            Settlement::Release { delay, started } => {
                let place = if started { "begun" } else { "front" };
                arguments.extend(["release".to_owned(), millis(delay), place.to_owned()]);
            }
            Settlement::DeadLetter(reason) => {
                arguments.push("dead".to_owned());
                arguments.extend(letters::appended(&reason));
            }
        }
        let settle = scripts::SETTLE.on(self.naming.entries(&lease.pool), arguments);
        let done: u64 = self.calls.run(&settle, LostReply::Repeat).await?;
        Ok(if done == 1 { SettleOutcome::Settled } else { SettleOutcome::LeaseLost })
    }

    async fn remove(&self, pool: &PoolName, task: &TaskId) -> Result<RemoveOutcome, QueueError> {
        let remove = self.script(&scripts::REMOVE, pool, [task.to_string()]);
        Ok(match self.calls.run::<Option<String>>(&remove, LostReply::Repeat).await?.as_deref() {
            Some("leased") => RemoveOutcome::Leased,
            Some(_) => RemoveOutcome::Removed,
            None => RemoveOutcome::NotFound,
        })
    }

    async fn retry_dead(&self, pool: &PoolName, body: &TaskBody) -> Result<RetryDeadOutcome, QueueError> {
        let retry = self.script(&scripts::RETRY_DEAD, pool, [body.task_id().to_string(), body.as_str().to_owned()]);
        let outcome: Option<String> = self.calls.run(&retry, LostReply::Repeat).await?;
        if outcome.as_deref() == Some("healed") {
            warn_of_a_loss(pool);
        }
        Ok(match outcome.as_deref() {
            Some("requeued") => RetryDeadOutcome::Requeued,
            Some(_) => RetryDeadOutcome::AlreadyQueued,
            None => RetryDeadOutcome::NotFound,
        })
    }

    async fn dead_letters(&self, pool: &PoolName, offset: u64, limit: u32) -> Result<Vec<DeadLetter>, QueueError> {
        self.letters_from(pool, offset, limit).await
    }

    async fn purge_dead(&self, pool: &PoolName, before: Timestamp) -> Result<u64, QueueError> {
        self.purge_letters(pool, before).await
    }

    async fn stats(&self, pool: &PoolName) -> Result<QueueStats, QueueError> {
        let stats = self.script(&scripts::STATS, pool, []);
        let (ready, delayed, leased, dead, paused): (u64, u64, u64, u64, Option<String>) =
            self.calls.run(&stats, LostReply::Repeat).await?;
        Ok(QueueStats::new(ready, delayed, leased, dead).with_paused(paused))
    }

    async fn position(&self, pool: &PoolName, task: &TaskId) -> Result<Option<u64>, QueueError> {
        self.calls.run(&self.script(&scripts::POSITION, pool, [task.to_string()]), LostReply::Repeat).await
    }

    async fn peek(&self, pool: &PoolName, limit: u32) -> Result<Vec<String>, QueueError> {
        self.first_bodies(pool, limit).await
    }

    async fn state_of(&self, pool: &PoolName, task: &TaskId) -> Result<Option<EntryState>, QueueError> {
        let state = self.script(&scripts::STATE, pool, [task.to_string()]);
        let state: Option<String> = self.calls.run(&state, LostReply::Repeat).await?;
        Ok(state.as_deref().map(entry_state))
    }

    async fn outlook<'a>(
        &self,
        pool: &PoolName,
        task: Option<&'a TaskId>,
        scanners: &[InstanceId],
    ) -> Result<Outlook, QueueError> {
        self.look_ahead(pool, task, scanners).await
    }

    async fn leases(&self, pool: &PoolName) -> Result<Vec<LeaseInfo>, QueueError> {
        let listed: Vec<(String, String, i64, u32)> =
            self.calls.run(&self.script(&scripts::LEASES, pool, []), LostReply::Repeat).await?;
        let read = |(id, owner, expires, deliveries): (String, String, i64, u32)| {
            let (fence, worker) = owner.split_once(':')?;
            let (task, worker) = (TaskId::new(id).ok()?, WorkerId::new(worker).ok()?);
            let lease = Lease::new(pool.clone(), task, worker, FencingToken(fence.parse().ok()?));
            Some(LeaseInfo::new(lease, Timestamp::from_millis(expires), deliveries))
        };
        Ok(listed.into_iter().filter_map(read).collect())
    }

    async fn acquire_slot(
        &self,
        pool: &PoolName,
        instance: &InstanceId,
        task: &TaskId,
        capacity: u32,
        lease: Duration,
    ) -> Result<SlotOutcome, QueueError> {
        let arguments = [task.to_string(), capacity.to_string(), millis(lease)];
        let acquire = scripts::ACQUIRE_SLOT.on(self.naming.timed_slots(pool, instance), arguments);
        let acquired: u64 = self.calls.run(&acquire, LostReply::Repeat).await?;
        Ok(if acquired == 1 { SlotOutcome::Acquired } else { SlotOutcome::Full })
    }

    async fn release_slot(&self, pool: &PoolName, instance: &InstanceId, task: &TaskId) -> Result<(), QueueError> {
        self.calls.ask(cmd("ZREM").arg(self.naming.slots(pool, instance)).arg(task.as_str())).await
    }

    async fn slots_in_use(&self, pool: &PoolName, instance: &InstanceId) -> Result<Vec<TaskId>, QueueError> {
        let in_use = scripts::SLOTS_IN_USE.on(self.naming.timed_slots(pool, instance), []);
        let tasks: Vec<String> = self.calls.run(&in_use, LostReply::Repeat).await?;
        let mut tasks: Vec<_> = tasks.into_iter().filter_map(|id| TaskId::new(id).ok()).collect();
        tasks.sort();
        Ok(tasks)
    }

    async fn pause_pool(&self, pool: &PoolName, reason: &str) -> Result<(), QueueError> {
        self.calls.ask(cmd("SET").arg(self.naming.companion(pool, "paused")).arg(reason)).await
    }

    async fn resume_pool(&self, pool: &PoolName) -> Result<(), QueueError> {
        self.calls.run(&self.script(&scripts::RESUME, pool, []), LostReply::Repeat).await
    }

    async fn claim_idempotency_key(
        &self,
        key: &str,
        entry: &IdempotencyEntry,
        ttl: Duration,
    ) -> Result<IdempotencyOutcome, QueueError> {
        let text = serde_json::json!(entry).to_string();
        let claim = scripts::CLAIM_KEY.on([keys::idempotency(key)], [text, millis(ttl)]);
        let reply = self.calls.reply_to(&claim, LostReply::Repeat).await?;
        let Some(existing) = self.calls.read::<Option<String>>(reply.value)? else {
            return Ok(IdempotencyOutcome::Claimed);
        };
        let existing = self.read_entry(&existing)?;
        // The reply that was lost said that the key is the caller's.
        if reply.repeated && existing == *entry {
            return Ok(IdempotencyOutcome::Claimed);
        }
        Ok(IdempotencyOutcome::Existing(existing))
    }

    async fn idempotency_entry(&self, key: &str) -> Result<Option<IdempotencyEntry>, QueueError> {
        let entry: Option<String> = self.calls.ask(cmd("GET").arg(keys::idempotency(key))).await?;
        entry.map(|entry| self.read_entry(&entry)).transpose()
    }

    async fn restore_idempotency_key(
        &self,
        key: &str,
        entry: &IdempotencyEntry,
        ttl: Duration,
    ) -> Result<(), QueueError> {
        let mut set = cmd("SET");
        set.arg(keys::idempotency(key)).arg(serde_json::json!(entry).to_string()).arg("PX").arg(millis(ttl));
        self.calls.ask(&set).await
    }

    async fn forget_idempotency_key(&self, key: &str, task: &TaskId) -> Result<(), QueueError> {
        let forget = scripts::FORGET_KEY.on([keys::idempotency(key)], [task.to_string()]);
        self.calls.run(&forget, LostReply::Repeat).await
    }

    async fn restore_dead_letter(&self, pool: &PoolName, letter: &DeadLetter) -> Result<(), QueueError> {
        let Some(task) = &letter.task_id else { return Ok(()) };
        let [before, after] = letters::appended(&letter.reason);
        let failed_at = letter.failed_at.as_millis().to_string();
        let arguments = [task.to_string(), letter.body.clone(), before, after, failed_at];
        let restore = self.script(&scripts::RESTORE_LETTER, pool, arguments);
        self.calls.run::<u64>(&restore, LostReply::Repeat).await?;
        Ok(())
    }

    async fn post_circuit_notice(
        &self,
        pool: &PoolName,
        instance: &InstanceId,
        notice: &CircuitNotice,
    ) -> Result<PostedNotice, QueueError> {
        self.post_notice(pool, instance, notice).await
    }

    async fn circuit_notices(
        &self,
        pool: &PoolName,
        instances: &[InstanceId],
    ) -> Result<Vec<Option<PostedNotice>>, QueueError> {
        self.notices(pool, instances).await
    }

    async fn publish_circuit_states(
        &self,
        process: &str,
        circuits: &[CircuitReport],
        lasts: Duration,
    ) -> Result<(), QueueError> {
        self.publish_circuits(process, circuits, lasts).await
    }

    async fn circuit_states(&self) -> Result<Vec<ProcessCircuits>, QueueError> {
        self.published_circuits().await
    }

    async fn announce_worker(&self, record: &WorkerRecord, kept: Duration) -> Result<(), QueueError> {
        self.announce(record, kept).await
    }

    async fn withdraw_worker(&self, worker: &WorkerId) -> Result<(), QueueError> {
        self.withdraw(worker).await
    }

    async fn workers(&self) -> Result<Vec<SeenWorker>, QueueError> {
        self.announced().await
    }

    async fn binding(&self) -> Result<Option<Binding>, QueueError> {
        self.read_binding(self.calls.ask(cmd("GET").arg(keys::BINDING)).await?)
    }

    async fn bind(&self, expected: Option<Binding>, binding: &Binding) -> Result<Option<Binding>, QueueError> {
        let text = |binding: &Binding| serde_json::json!(binding).to_string();
        let bind = scripts::BIND
            .on([keys::BINDING.to_owned()], [expected.as_ref().map(text).unwrap_or_default(), text(binding)]);
        self.read_binding(self.calls.run(&bind, LostReply::Repeat).await?)
    }

    async fn wait_for_work(&self, pools: &[PoolName], timeout: Duration) {
        // Dropping the wait is harmless: a marker it may have taken costs another worker one look.
        let _ = tokio::time::timeout(timeout, self.wait(pools)).await;
    }

    async fn ping(&self) -> Result<Duration, QueueError> {
        let asked = Instant::now();
        self.calls.ask_once::<Value>(&cmd("PING"), PING_TIMEOUT).await?;
        Ok(asked.elapsed())
    }

    async fn now(&self) -> Result<Option<Timestamp>, QueueError> {
        let (seconds, micros): (i64, i64) = self.calls.ask_once(&cmd("TIME"), PING_TIMEOUT).await?;
        Ok(Some(Timestamp::from_millis(seconds.saturating_mul(1000).saturating_add(micros / 1000))))
    }

    async fn warnings(&self) -> Result<Vec<String>, QueueError> {
        check::warnings(&self.calls).await
    }
}

fn warn_of_a_loss(pool: &PoolName) {
    tracing::warn!(%pool, "a part of the pool's keys was lost, and what is known of a task was put back");
}

/// Where an entry is, in the words of the scripts.
fn entry_state(word: &str) -> EntryState {
    match word {
        "leased" => EntryState::Leased,
        "dead" => EntryState::Dead,
        "ready" | "begun" => EntryState::Ready,
        _ => EntryState::Delayed,
    }
}

/// What a script compares to know whether a lease stands.
fn owner(lease: &Lease) -> String {
    format!("{}:{}", lease.fence, lease.worker)
}
