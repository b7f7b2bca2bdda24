//! Whether a worker serves a pool, as far as the queue has told lately.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::debug;

use crate::{
    error::chain,
    ids::{InstanceId, PoolName, TaskId, WorkerId},
    queue::{Queue, QueueError, SeenWorker},
    time::Timestamp,
};

/// How long it is known who serves a pool, before the queue is asked again: many ask for the status of tasks at once.
const KEPT: Duration = Duration::from_secs(1);
/// By how much a time may differ from the last that was found for the same, because two clocks are compared.
const SAME_TIME: Duration = Duration::from_secs(3);
/// How the names of processes begin that publish circuits and are of a version whose workers do not announce themselves.
const OLDER_PROCESS: &str = "process:";

/// How long all workers may take to announce themselves: one that starts in this process, and those that could not while the queue
/// was away.
pub(super) const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);
/// For how long a worker of this process counts that has told what it serves, as it does every five seconds, be the queue there or not.
const OWN_KEPT: Duration = Duration::from_secs(15);

/// What is known of the pools. All clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct ServedPools(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pools: HashMap<PoolName, Known>,
    /// Until when workers may be about to announce themselves.
    expected_until: Option<Instant>,
    /// What a worker of this process serves, and when it has said so.
    own: Option<(Instant, Vec<PoolName>)>,
}

#[derive(Debug)]
struct Known {
    asked: Instant,
    workers: Option<Arc<PoolWorkers>>,
}

/// Who serves a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PoolWorkers {
    /// How many workers that live serve it.
    pub(super) alive: usize,
    /// The scanners of the pool that these have configured.
    scanners: BTreeSet<InstanceId>,
    /// The tasks that workers hold that are not lost.
    held: HashSet<TaskId>,
    /// Whether a worker hands back its tasks that has served it.
    is_stopping: bool,
    /// When the last of the lost workers was heard of that have served it, to the second.
    pub(super) last_heard_at: Option<Timestamp>,
    /// Whether a process of an older version is there that may be a worker.
    pub(super) has_older: bool,
}

impl ServedPools {
    /// A worker starts in this process, or the queue has not answered.
    pub(super) fn expect_worker(&self) {
        self.state().expected_until = Some(Instant::now() + ANNOUNCED_WITHIN);
    }

    /// Whether workers may be about to announce themselves.
    pub(super) fn is_worker_expected(&self) -> bool {
        self.state().expected_until.is_some_and(|until| Instant::now() < until)
    }

    /// What a worker of this process serves now.
    pub(super) fn set_own(&self, pools: Vec<PoolName>) {
        self.state().own = Some((Instant::now(), pools));
    }

    /// Whether a worker of this process serves the pool, whatever the queue says.
    pub(super) fn is_own(&self, pool: &PoolName) -> bool {
        self.state().own.as_ref().is_some_and(|(at, pools)| at.elapsed() < OWN_KEPT && pools.contains(pool))
    }

    /// Who serves a pool; `None` when the queue does not tell. The answer may be a second old.
    pub(super) async fn workers_of(
        &self,
        queue: &dyn Queue,
        pool: &PoolName,
        now: Timestamp,
    ) -> Option<Arc<PoolWorkers>> {
        let last = match self.state().pools.get_mut(pool) {
            Some(known) if known.asked.elapsed() < KEPT => return known.workers.clone(),
            Some(known) => {
                // Whoever comes meanwhile is content with what was known.
                known.asked = Instant::now();
                known.workers.clone()
            }
            None => None,
        };
        let found = match PoolWorkers::find(queue, pool, now).await {
            Ok(found) => Some(Arc::new(found.with_time_of(last.as_deref()))),
            Err(error) => {
                debug!(%pool, error = chain(&error), "who serves the pool is not known");
                self.expect_worker();
                None
            }
        };
        self.state().pools.insert(pool.clone(), Known { asked: Instant::now(), workers: found.clone() });
        found
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolWorkers {
    async fn find(queue: &dyn Queue, pool: &PoolName, now: Timestamp) -> Result<Self, QueueError> {
        let seen = queue.workers().await?;
        let found = Self::of(pool, &seen, now);
        if found.alive > 0 {
            return Ok(found);
        }
        let has_older = has_older_workers(queue, pool, &seen, now).await?;
        Ok(Self { has_older, ..found })
    }

    /// What these workers tell about a pool.
    pub(super) fn of(pool: &PoolName, seen: &[SeenWorker], now: Timestamp) -> Self {
        let mut found = Self::default();
        for worker in seen {
            if !worker.is_lost() {
                found.held.extend(worker.record.holds.iter().cloned());
            }
            let Some(served) = worker.record.serves(pool) else { continue };
            if worker.is_alive() {
                found.alive += 1;
                found.scanners.extend(served.scanners.iter().cloned());
            } else if worker.is_lost() {
                let heard = now.minus(worker.age).as_millis();
                found.last_heard_at = found.last_heard_at.max(Some(Timestamp::from_millis(heard - heard % 1000)));
            } else {
                found.is_stopping = true;
            }
        }
        found
    }

    /// The same time as before, if it is the same: what is said of it must not change by itself.
    fn with_time_of(self, last: Option<&Self>) -> Self {
        let before = last.and_then(|last| last.last_heard_at);
        let is_same = |(one, other): (Timestamp, Timestamp)| one.since(other).max(other.since(one)) < SAME_TIME;
        let last_heard_at = before.filter(|before| self.last_heard_at.is_some_and(|now| is_same((now, *before))));
        Self { last_heard_at: last_heard_at.or(self.last_heard_at), ..self }
    }

    /// Whether nobody takes tasks of the pool.
    pub(super) const fn is_unserved(&self) -> bool {
        self.alive == 0 && !self.has_older
    }

    /// Why no worker takes what is for this scanner of the pool, or for any, if that is so.
    pub(super) fn nobody(&self, pool: &PoolName, scanner: Option<&InstanceId>) -> Option<String> {
        if self.has_older {
            return None;
        }
        if self.alive == 0 {
            let last = match (self.is_stopping, self.last_heard_at) {
                (true, _) => ": the last one stops".to_owned(),
                (false, Some(at)) => format!(": the last one was heard of at {at}"),
                (false, None) => String::new(),
            };
            return Some(format!("no worker serves the pool `{pool}`{last}"));
        }
        let absent = scanner.filter(|scanner| !self.scanners.contains(scanner))?;
        Some(format!("no worker that serves the pool `{pool}` has the scanner `{absent}` configured"))
    }

    /// Whether a worker holds the task that is not lost.
    pub(super) fn holds(&self, task_id: &TaskId) -> bool {
        self.held.contains(task_id)
    }
}

/// Whether a worker of a version may serve the pool that does not announce itself, beside those that `seen` has. One that renews a lease
/// is there; else a process of such a version that shows circuits of the pool may be one. `now` counts where the queue has no clock.
///
/// # Errors
/// When the queue does not answer.
pub async fn has_older_workers(
    queue: &dyn Queue,
    pool: &PoolName,
    seen: &[SeenWorker],
    now: Timestamp,
) -> Result<bool, QueueError> {
    let processes = queue.circuit_states().await?;
    let is_older = processes.iter().any(|process| {
        process.process.starts_with(OLDER_PROCESS) && process.circuits.iter().any(|circuit| circuit.pool == *pool)
    });
    if is_older {
        return Ok(true);
    }
    let now = queue.now().await?.unwrap_or(now);
    let is_known = |worker: &WorkerId| seen.iter().any(|seen| seen.record.worker == *worker);
    let leases = queue.leases(pool).await?;
    Ok(leases.iter().any(|held| held.expires_at > now && !is_known(&held.lease.worker)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{ServedPool, WorkerRecord};

    const NOW: Timestamp = Timestamp::from_millis(1_764_599_422_123);

    fn pool() -> PoolName {
        PoolName::new("lab").unwrap()
    }

    fn scanner(name: &str) -> InstanceId {
        InstanceId::new(name).unwrap()
    }

    fn worker(seconds: u64, stopping: bool, scanners: &[&str]) -> SeenWorker {
        let mut record = WorkerRecord::new(WorkerId::generate(), NOW);
        record.stopping = stopping;
        record.pools = vec![ServedPool::new(pool(), scanners.iter().map(|name| scanner(name)).collect(), 1)];
        SeenWorker::new(record, Duration::from_secs(seconds))
    }

    #[test]
    fn it_is_said_who_is_missing() {
        let (alive, lost) = (|| worker(4, false, &["a"]), || worker(95, false, &["a", "b"]));
        let no_worker = "no worker serves the pool `lab`";
        for (workers, pinned, expected) in [
            (vec![], None, Some(no_worker.to_owned())),
            (
                vec![lost(), worker(700, false, &[])],
                None,
                Some(format!("{no_worker}: the last one was heard of at 2025-12-01T14:28:47.000Z")),
            ),
            (vec![lost(), worker(4, true, &["b"])], None, Some(format!("{no_worker}: the last one stops"))),
            (vec![lost(), alive()], None, None),
            (vec![lost(), alive()], Some("a"), None),
            (
                vec![lost(), alive()],
                Some("b"),
                Some("no worker that serves the pool `lab` has the scanner `b` configured".to_owned()),
            ),
        ] {
            let found = PoolWorkers::of(&pool(), &workers, NOW);
            assert_eq!(found.nobody(&pool(), pinned.map(scanner).as_ref()), expected, "{workers:?}");
            let elsewhere = PoolName::new("dmz").unwrap();
            assert!(PoolWorkers::of(&elsewhere, &workers, NOW).is_unserved());
            let older = PoolWorkers { has_older: true, ..found };
            assert_eq!(older.nobody(&pool(), None), None);
        }
    }

    #[test]
    fn a_time_that_two_clocks_tell_does_not_waver() {
        let at = |seconds| PoolWorkers {
            last_heard_at: Some(NOW.plus(Duration::from_secs(seconds))),
            ..PoolWorkers::default()
        };
        assert_eq!(at(11).with_time_of(Some(&at(10))), at(10));
        assert_eq!(at(14).with_time_of(Some(&at(10))), at(14));
        assert_eq!(at(11).with_time_of(Some(&PoolWorkers::default())), at(11));
        assert_eq!(PoolWorkers::default().with_time_of(Some(&at(10))), PoolWorkers::default());
    }
}
