//! Who works here, and whether anybody does.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use super::{
    ScanService,
    error::ServiceError,
    served::{ANNOUNCED_WITHIN, PoolWorkers, has_older_workers},
};
use crate::{
    error::chain,
    ids::{InstanceId, PoolName, TaskId, WorkerId},
    policy::Sight,
    queue::{LeaseInfo, SeenWorker, ServedPool},
    task::{Task, TaskQuery, TaskStatus},
    time::Timestamp,
};

/// How often it is looked whether all pools are served.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A scan that has changed within this time has a worker: the queue need not be asked.
pub(super) const RECENT: Duration = Duration::from_secs(60);

/// How a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkerState {
    /// It claims tasks.
    Alive,
    /// It was told to stop, and hands back what it holds.
    Stopping,
    /// Nothing was heard of it for more than 30 seconds, and it has not said that it ends.
    Lost,
}

impl WorkerState {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Stopping => "stopping",
            Self::Lost => "lost",
        }
    }
}

/// A worker and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct WorkerView {
    /// The worker.
    pub worker: WorkerId,
    /// alive, stopping or lost.
    pub state: WorkerState,
    /// Its machine. This, like all that follows but `pools` and `holds`, is absent for a worker of an older version, which does not tell:
    /// it is known by the leases that it renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The number of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The user of the operating system that it runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The version of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How many seconds ago it was heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_seconds_ago: Option<u64>,
    /// By how many ms its clock is ahead of the queue's; negative when it is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// The pools that it serves, with their scanners as it has them configured, and how many scans these may run at once.
    pub pools: Vec<ServedPool>,
    /// The tasks it holds, or held when it was heard of last, without those that the caller may not see.
    pub holds: Vec<TaskId>,
    /// How many it holds in all.
    pub holding: usize,
}

/// A pool that no worker serves: its tasks wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct UnservedPool {
    /// The pool.
    pub scanner_pool: PoolName,
    /// Tasks that wait for a worker, those that have begun included.
    pub waiting: u64,
    /// When the last worker was heard of that served it and did not say that it ends; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heard_at: Option<Timestamp>,
}

/// The answer of [`ScanService::workers`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct WorkersView {
    /// The workers, in the order of their ids. One that died without a word is shown for a day.
    pub workers: Vec<WorkerView>,
    /// The pools that are configured or have unfinished tasks and that no worker serves, in the order of their names.
    pub unserved_pools: Vec<UnservedPool>,
}

impl WorkersView {
    /// How many workers claim tasks.
    pub fn alive(&self) -> usize {
        self.workers.iter().filter(|worker| worker.state == WorkerState::Alive).count()
    }
}

impl ScanService {
    /// Who works here: the workers that serve a pool that the caller may use, and the pools that nobody serves.
    ///
    /// # Errors
    /// [`ServiceError::Queue`] when the queue does not answer, [`ServiceError::Task`] when the tasks cannot be read.
    pub async fn workers(&self) -> Result<WorkersView, ServiceError> {
        self.workers_and(&[]).await
    }

    /// As [`workers`](Self::workers), for a service that does not know its pools: these are to be served as well.
    ///
    /// # Errors
    /// As there.
    pub async fn workers_and(&self, to_be_served: &[PoolName]) -> Result<WorkersView, ServiceError> {
        let seen = self.queue.workers().await?;
        let mut pools = self.pools_with_tasks().await?;
        pools.extend(to_be_served.iter().cloned());
        if to_be_served.is_empty() && self.scanners.pools().is_empty() {
            // Nobody here knows what is configured; the workers do.
            let told = seen.iter().flat_map(|worker| &worker.record.pools);
            pools.extend(told.map(|served| served.pool.clone()));
        }
        let (rights, mut workers) = (self.rights(), Vec::new());
        for mut worker in seen.iter().map(WorkerView::of).chain(self.older_workers(&seen, &pools).await?) {
            let has_all = worker.pools.iter().all(|served| rights.allows_pool(&served.pool));
            worker.pools.retain(|served| rights.allows_pool(&served.pool));
            if has_all || !worker.pools.is_empty() {
                worker.holds = self.seen_of_held(worker.holds).await;
                workers.push(worker);
            }
        }
        workers.sort_by(|one, other| one.worker.cmp(&other.worker));
        Ok(WorkersView { workers, unserved_pools: self.unserved(&pools).await? })
    }

    /// Says in the log when a pool in which tasks wait was not served twice in a row, and when it is again. Never returns.
    pub async fn watch_workers(&self) {
        let (mut missed, mut before) = (BTreeSet::new(), BTreeSet::new());
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let found = async { self.unserved(&self.pools_with_tasks().await?).await };
            let unserved = match found.await {
                Ok(unserved) => unserved,
                Err(error) => {
                    debug!(error = chain(&error), "it is not known whether all pools are served");
                    self.served.expect_worker();
                    before.clear();
                    continue;
                }
            };
            for UnservedPool { scanner_pool, waiting, last_heard_at } in &unserved {
                // After a clock was set or a machine was suspended, all seem lost until they announce themselves again.
                if *waiting > 0 && before.contains(scanner_pool) && missed.insert(scanner_pool.clone()) {
                    let last_heard = last_heard_at.map(tracing::field::display);
                    warn!(pool = %scanner_pool, waiting, last_heard, "no worker serves this pool: its tasks wait");
                }
            }
            missed.retain(|pool| {
                let is_missed = unserved.iter().any(|one| one.scanner_pool == *pool);
                if !is_missed {
                    info!(%pool, "a worker serves this pool again");
                }
                is_missed
            });
            before = unserved.into_iter().map(|one| one.scanner_pool).collect();
        }
    }

    /// A worker starts in this process, and announces itself soon.
    pub(crate) fn expect_worker(&self) {
        self.served.expect_worker();
    }

    /// A worker of this process serves these pools now, whatever the queue has heard of it.
    pub(crate) fn serve_here(&self, pools: Vec<PoolName>) {
        self.served.set_own(pools);
    }

    /// Why no worker takes this task, if so. Of a scan that has changed lately that is not asked.
    pub(super) async fn nobody_for(&self, task: &Task) -> Option<String> {
        if task.status.is_terminal() || self.has_changed_lately(task) {
            return None;
        }
        let pool = &task.scanner_pool;
        let workers = self.workers_of(pool).await?;
        // One that holds it goes on with it, whatever is configured there by now.
        let is_held = task.status == TaskStatus::Running && workers.holds(&task.task_id);
        if is_held { None } else { self.nobody_of(&workers, pool, task.next_instance()).await }
    }

    /// Whether its scan has changed so lately that it must have a worker.
    pub(super) fn has_changed_lately(&self, task: &Task) -> bool {
        let changed = task.observation.as_ref().map(|seen| seen.unchanged_since);
        task.status == TaskStatus::Running && changed.is_some_and(|changed| self.clock.now().since(changed) < RECENT)
    }

    /// Why no worker takes what is for this scanner of a pool, or for any, if so.
    pub(super) async fn nobody_serves(&self, pool: &PoolName, scanner: Option<&InstanceId>) -> Option<String> {
        let workers = self.workers_of(pool).await?;
        self.nobody_of(&workers, pool, scanner).await
    }

    /// Beside those that announce themselves an older worker may have the scanner.
    async fn nobody_of(&self, workers: &PoolWorkers, pool: &PoolName, scanner: Option<&InstanceId>) -> Option<String> {
        let nobody = workers.nobody(pool, scanner)?;
        if workers.is_unserved() {
            return Some(nobody);
        }
        if self.may_not_have_heard() || self.has_older_workers(pool).await.unwrap_or(true) {
            return None;
        }
        Some(nobody)
    }

    /// Whether a worker may serve the pool that does not announce itself.
    pub(super) async fn has_older_workers(&self, pool: &PoolName) -> Result<bool, ServiceError> {
        let seen = self.queue.workers().await?;
        Ok(has_older_workers(self.queue.as_ref(), pool, &seen, self.clock.now()).await?)
    }

    /// Who serves a pool, as far as that is known: it is not while workers may be about to announce themselves.
    pub(super) async fn workers_of(&self, pool: &PoolName) -> Option<std::sync::Arc<PoolWorkers>> {
        let found = self.served.workers_of(self.queue.as_ref(), pool, self.clock.now()).await?;
        let is_doubtful = found.is_unserved() && (self.may_not_have_heard() || self.served.is_own(pool));
        (!is_doubtful).then_some(found)
    }

    /// Whether the queue may not have heard yet from all who work.
    fn may_not_have_heard(&self) -> bool {
        self.served.is_worker_expected() || self.index.is_shaken(ANNOUNCED_WITHIN)
    }

    /// The pools that the caller may use and that are configured or have unfinished tasks.
    async fn pools_with_tasks(&self) -> Result<BTreeSet<PoolName>, ServiceError> {
        let unfinished = self.tasks.pick(TaskQuery::default().unfinished(), |_, facts| {
            ControlFlow::Continue(Some(PoolName::clone(&facts.pool)))
        });
        let (configured, rights) = (self.scanners.pools(), self.rights());
        let configured = configured.iter().map(|pool| pool.name.clone());
        let pools = configured.chain(unfinished.await?);
        Ok(pools.filter(|pool| rights.allows_pool(pool)).collect())
    }

    async fn unserved(&self, pools: &BTreeSet<PoolName>) -> Result<Vec<UnservedPool>, ServiceError> {
        let mut unserved = Vec::new();
        for pool in pools {
            let Some(workers) = self.workers_of(pool).await.filter(|workers| workers.is_unserved()) else { continue };
            let stats = self.queue.stats(pool).await?;
            unserved.push(UnservedPool {
                scanner_pool: pool.clone(),
                // Nobody is there to take back the leases of those that were lost.
                waiting: stats.ready + stats.delayed + stats.leased,
                last_heard_at: workers.last_heard_at,
            });
        }
        Ok(unserved)
    }

    /// Those that renew leases in these pools and do not announce themselves.
    async fn older_workers(
        &self,
        seen: &[SeenWorker],
        pools: &BTreeSet<PoolName>,
    ) -> Result<Vec<WorkerView>, ServiceError> {
        let now = self.queue.now().await?.unwrap_or_else(|| self.clock.now());
        let mut older = BTreeMap::new();
        for pool in pools {
            for LeaseInfo { lease, expires_at, .. } in self.queue.leases(pool).await? {
                if expires_at <= now || seen.iter().any(|seen| seen.record.worker == lease.worker) {
                    continue;
                }
                let worker: &mut WorkerView =
                    older.entry(lease.worker.clone()).or_insert_with(|| WorkerView::older(lease.worker));
                if worker.pools.last().is_none_or(|served| served.pool != *pool) {
                    worker.pools.push(ServedPool::new(pool.clone(), Vec::new(), 0));
                }
                worker.holds.push(lease.task_id);
                worker.holding += 1;
            }
        }
        Ok(older.into_values().collect())
    }

    /// Those that the caller may see.
    async fn seen_of_held(&self, held: Vec<TaskId>) -> Vec<TaskId> {
        if self.sight() == Sight::All {
            return held;
        }
        let mut seen = Vec::new();
        for task_id in held {
            if self.task(&task_id).await.is_ok() {
                seen.push(task_id);
            }
        }
        seen
    }
}

impl WorkerView {
    fn of(seen: &SeenWorker) -> Self {
        let record = seen.record.clone();
        let state = match (seen.is_lost(), record.stopping) {
            (true, _) => WorkerState::Lost,
            (false, true) => WorkerState::Stopping,
            (false, false) => WorkerState::Alive,
        };
        Self {
            worker: record.worker,
            state,
            host: Some(record.host),
            pid: Some(record.pid),
            user: Some(record.user),
            version: Some(record.version),
            started_at: Some(record.started_at),
            heard_seconds_ago: Some(seen.age.as_secs()),
            clock_offset_ms: Some(record.clock_offset_ms),
            pools: record.pools,
            holding: record.holds.len(),
            holds: record.holds,
        }
    }

    /// One that is known by its leases only.
    const fn older(worker: WorkerId) -> Self {
        Self {
            worker,
            state: WorkerState::Alive,
            host: None,
            pid: None,
            user: None,
            version: None,
            started_at: None,
            heard_seconds_ago: None,
            clock_offset_ms: None,
            pools: Vec::new(),
            holds: Vec::new(),
            holding: 0,
        }
    }
}
