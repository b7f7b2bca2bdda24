//! What there is: tasks, scanners, pools, queues.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    ScanService, approvals::asked_in_short, circuits::CircuitStatus, error::ServiceError, orphaned::OrphanedTasks,
    served::PoolWorkers, shorten,
};
use crate::{
    blocking,
    ids::{InstanceId, PoolName, TaskId},
    policy::Sight,
    queue::ProcessCircuits,
    scanner::{ScannerHealth, ScannerInstance, ScannerPool},
    targets,
    task::{Task, TaskCursor, TaskQuery, TaskStatus},
    time::Timestamp,
};

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TaskSummary {
    /// The task.
    pub task_id: TaskId,
    /// The name a person gave.
    pub name: String,
    /// queued, running, completed, failed, timeout or cancelled.
    pub status: TaskStatus,
    /// 0 to 100; absent until the scanner reports any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// The normalised targets: the first of them, and how many more, where there are many; `task.json` has all.
    pub targets: String,
    /// The pool.
    pub scanner_pool: PoolName,
    /// The scanner, once one is chosen or pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_instance: Option<InstanceId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// That a person must agree before it begins; absent unless one must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What went wrong, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

impl From<Task> for TaskSummary {
    fn from(task: Task) -> Self {
        Self {
            task_id: task.task_id,
            name: shorten::text(&task.payload.name),
            status: task.status,
            progress: task.progress,
            targets: targets::shortened(&task.payload.targets),
            scanner_pool: task.scanner_pool,
            scanner_instance: task.scanner_instance_id,
            created_at: task.created_at,
            completed_at: task.completed_at,
            waiting_for: None,
            error_code: task.error_code,
        }
    }
}

/// The answer of [`ScanService::list_tasks`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TaskListView {
    /// The tasks, newest first.
    pub tasks: Vec<TaskSummary>,
    /// How many match in all.
    pub total: usize,
    /// Whether more match behind these.
    pub truncated: bool,
    /// Where these are: give it as `cursor`, with the same filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Tasks whose file cannot be read, at most twenty; an operator must repair them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<TaskId>,
    /// How many more of these there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreadable_left_out: usize,
}

/// A scanner and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct InstanceView {
    /// The pool.
    pub scanner_pool: PoolName,
    /// The scanner.
    pub scanner_instance: InstanceId,
    /// Its name for people.
    pub name: String,
    /// The type of scanner.
    pub scanner_type: String,
    /// Its address; absent for a mock.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Whether it takes new scans.
    pub enabled: bool,
    /// Scans it runs now, counted over all workers.
    pub active_scans: usize,
    /// The most it runs at once.
    pub max_concurrent_scans: u32,
    /// Free slots; 0 when it is disabled or not called because of its circuit.
    pub available_slots: u32,
    /// Whether calls are made to it, and why not.
    pub circuit: CircuitStatus,
    /// What the last health check found; absent before the first one and where this process makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthView>,
}

impl InstanceView {
    /// Whether it takes new scans now, as far as it has a free slot.
    pub fn is_available(&self) -> bool {
        self.enabled && self.circuit.lets_through()
    }
}

/// What a scanner said of itself when it was asked whether it could scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HealthView {
    /// Whether it could scan.
    pub healthy: bool,
    /// When the scanner was checked.
    pub checked_at: Timestamp,
    /// How long it took to answer, in milliseconds.
    pub latency_ms: u64,
    /// The product and its edition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The version, as Nessus displays it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The plugin set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_set: Option<String>,
    /// The age of the plugin set in days; the scanner cannot find what was published later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_set_age_days: Option<u64>,
    /// The most hosts the licence allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licensed_hosts: Option<u64>,
    /// Why it could not scan, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Why it could not scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl HealthView {
    fn new(health: ScannerHealth, now: Timestamp) -> Self {
        const DAY: u64 = 24 * 3600;
        let age = health.plugin_set_at().map(|at| now.since(at).as_secs() / DAY);
        let healthy = health.is_healthy();
        let properties = health.properties.unwrap_or_default();
        let (error_code, error) =
            health.failure.map(|failure| (failure.code.to_owned(), shorten::text(&failure.message))).unzip();
        Self {
            healthy,
            checked_at: health.checked_at,
            latency_ms: u64::try_from(health.latency.as_millis()).unwrap_or(u64::MAX),
            product: properties.product.as_deref().map(shorten::text),
            version: properties.version.as_deref().map(shorten::text),
            plugin_set: properties.plugin_set.as_deref().map(shorten::text),
            plugin_set_age_days: age,
            licensed_hosts: properties.licensed_hosts,
            error_code,
            error,
        }
    }
}

/// The answer of [`ScanService::list_scanners`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ScannersView {
    /// The scanners, by pool in the order of the configuration.
    pub scanners: Vec<InstanceView>,
    /// How many there are.
    pub total: usize,
    /// How many are enabled.
    pub enabled: usize,
}

/// A pool and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PoolView {
    /// The pool.
    pub scanner_pool: PoolName,
    /// The type of its scanners.
    pub scanner_type: String,
    /// Whether it is the default for scans that name no pool.
    pub default: bool,
    /// How many scanners it has.
    pub scanners: usize,
    /// How many of them are enabled.
    pub enabled_scanners: usize,
    /// Scans running, over all workers.
    pub active_scans: usize,
    /// The most its enabled scanners run at once.
    pub capacity: u32,
    /// Scans waiting.
    pub queue_depth: u64,
    /// Workers that serve it: without one, nothing begins. Absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
}

impl PoolView {
    fn new(
        pool: &ScannerPool,
        default: bool,
        active_scans: usize,
        queue_depth: u64,
        workers: Option<&PoolWorkers>,
    ) -> Self {
        Self {
            scanner_pool: pool.name.clone(),
            scanner_type: pool.scanner_type.clone(),
            default,
            scanners: pool.instances.len(),
            enabled_scanners: pool.enabled().count(),
            active_scans,
            capacity: pool.capacity(),
            queue_depth,
            workers: workers.filter(|workers| !workers.has_older).map(|workers| workers.alive),
        }
    }
}

/// The answer of [`ScanService::list_pools`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PoolsView {
    /// The pools, in the order of the configuration.
    pub pools: Vec<PoolView>,
    /// The pool of scans that name none.
    pub default_pool: PoolName,
    /// Tasks that wait because their pool or scanner is not configured any more.
    #[serde(default, rename = "unserved", skip_serializing_if = "Vec::is_empty")]
    pub orphaned: Vec<OrphanedTasks>,
}

/// The queue of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PoolQueueView {
    /// The pool.
    pub scanner_pool: PoolName,
    /// Scans waiting for a worker.
    pub queued: u64,
    /// Scans waiting until their next try is due.
    pub delayed: u64,
    /// Scans that a worker holds under a lease.
    pub leased: u64,
    /// Dead letters: scans that failed and need an operator.
    pub dead: u64,
    /// Why the pool is paused; absent when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// That no worker serves the pool, and when the last one was heard of; absent when one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_worker: Option<String>,
    /// The next tasks in the order of the queue, at most ten, without those that the caller may not see.
    pub next: Vec<String>,
}

/// The answer of [`ScanService::pool_status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PoolStatusView {
    /// The pool and its load.
    #[serde(flatten)]
    pub pool: PoolView,
    /// Its queue.
    pub queue: PoolQueueView,
    /// Its scanners.
    pub instances: Vec<InstanceView>,
    /// Seconds until a scan that is submitted now is likely to begin; absent when that is not known, or the pool is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_wait_seconds: Option<u64>,
}

/// The answer of [`ScanService::queue_status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QueueView {
    /// Scans waiting in all pools.
    pub total_queued: u64,
    /// Dead letters of all pools.
    pub total_dead: u64,
    /// The pools, in the order of the configuration.
    pub pools: Vec<PoolQueueView>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// How many tasks that cannot be read are named.
const UNREADABLE_SHOWN: usize = 20;
/// How many of the next tasks a queue shows.
const NEXT_SHOWN: u32 = 10;

impl ScanService {
    /// The tasks that match, newest first.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPool`] when the query names a pool that is not configured.
    pub async fn list_tasks(&self, query: TaskQuery) -> Result<TaskListView, ServiceError> {
        if let Some(pool) = &query.pool {
            self.check_pool(pool.as_str())?;
        }
        let list = self.tasks_matching(query).await?;
        let found = list.tasks;
        // Their targets may be long.
        let service = self.clone();
        let summary = move |task| {
            let asked = service.approval_request(&task).map(|request| asked_in_short(&request));
            TaskSummary { waiting_for: asked, ..TaskSummary::from(task) }
        };
        let tasks = blocking::run(move || found.into_iter().map(summary).collect::<Vec<_>>());
        let tasks = tasks.await.map_err(ServiceError::stopping)?;
        Ok(TaskListView {
            truncated: list.next.is_some(),
            next_cursor: list.next.as_ref().map(TaskCursor::to_string),
            total: list.total,
            tasks,
            unreadable_left_out: list.unreadable.len().saturating_sub(UNREADABLE_SHOWN),
            unreadable: list.unreadable.into_iter().map(|(task_id, _)| task_id).take(UNREADABLE_SHOWN).collect(),
        })
    }

    /// The scanners, of one pool or all.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPool`] when there is no such pool.
    pub async fn list_scanners(&self, pool: Option<&str>) -> Result<ScannersView, ServiceError> {
        let pools = self.pools_of(pool)?;
        let processes = self.process_circuits().await?;
        let mut scanners = Vec::new();
        for pool in pools {
            scanners.extend(self.scanners_of(&pool, &processes).await?);
        }
        Ok(ScannersView {
            total: scanners.len(),
            enabled: scanners.iter().filter(|scanner| scanner.enabled).count(),
            scanners,
        })
    }

    pub(super) async fn scanners_of(
        &self,
        pool: &ScannerPool,
        processes: &[ProcessCircuits],
    ) -> Result<Vec<InstanceView>, ServiceError> {
        let mut scanners = Vec::new();
        let circuits = self.circuit_statuses(&pool.name, &pool.instance_ids(), processes).await?;
        for (instance, circuit) in pool.instances.iter().zip(circuits) {
            let active = self.active_scans(pool, instance).await?;
            let used = u32::try_from(active).unwrap_or(u32::MAX);
            let mut view = InstanceView {
                scanner_pool: pool.name.clone(),
                scanner_instance: instance.instance_id.clone(),
                name: instance.name.clone(),
                scanner_type: pool.scanner_type.clone(),
                url: instance.url.clone(),
                enabled: instance.enabled,
                active_scans: active,
                max_concurrent_scans: instance.max_concurrent_scans,
                available_slots: 0,
                circuit: if self.is_operator() { circuit } else { circuit.without_processes() },
                health: instance.health().map(|health| HealthView::new(health, self.clock.now())),
            };
            if view.is_available() {
                view.available_slots = instance.max_concurrent_scans.saturating_sub(used);
            }
            scanners.push(view);
        }
        Ok(scanners)
    }

    /// The pool of this name, or all.
    pub(super) fn pools_of(&self, pool: Option<&str>) -> Result<Vec<Arc<ScannerPool>>, ServiceError> {
        pool.map_or_else(|| Ok(self.usable_pools()), |name| Ok(vec![self.pool_of(Some(name))?]))
    }

    /// How many scans run on a scanner, over all workers.
    async fn active_scans(&self, pool: &ScannerPool, instance: &ScannerInstance) -> Result<usize, ServiceError> {
        Ok(self.queue.slots_in_use(&pool.name, &instance.instance_id).await?.len())
    }

    /// The pools and their load.
    pub async fn list_pools(&self) -> Result<PoolsView, ServiceError> {
        let default_pool = self.pool_of(None)?.name.clone();
        let mut pools = Vec::new();
        for pool in self.usable_pools() {
            let queue_depth = self.queue.stats(&pool.name).await?.ready;
            let mut active_scans = 0;
            for instance in &pool.instances {
                active_scans += self.active_scans(&pool, instance).await?;
            }
            let workers = self.workers_of(&pool.name).await;
            pools.push(PoolView::new(&pool, pool.name == default_pool, active_scans, queue_depth, workers.as_deref()));
        }
        Ok(PoolsView { pools, default_pool, orphaned: self.orphaned_tasks().await? })
    }

    /// One pool: its load, its queue, its scanners, and how long a scan would wait. The default pool, if none is named.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPool`] when there is no such pool.
    pub async fn pool_status(&self, pool: Option<&str>) -> Result<PoolStatusView, ServiceError> {
        let pool = self.pool_of(pool)?;
        let instances = self.scanners_of(&pool, &self.process_circuits().await?).await?;
        let active_scans = instances.iter().map(|instance| instance.active_scans).sum();
        let queue = self.queue_of(&pool).await?;
        let workers = self.workers_of(&pool.name).await;
        let is_default = self.pool_of(None).is_ok_and(|default| default.name == pool.name);
        let can_begin = instances.iter().any(|one| one.enabled && one.circuit.lets_through());
        let estimated_wait_seconds = if can_begin { self.wait_behind(&pool.name, queue.queued).await } else { None };
        Ok(PoolStatusView {
            estimated_wait_seconds,
            pool: PoolView::new(&pool, is_default, active_scans, queue.queued, workers.as_deref()),
            queue,
            instances,
        })
    }

    /// The queues, of one pool or all.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPool`] when there is no such pool.
    pub async fn queue_status(&self, pool: Option<&str>) -> Result<QueueView, ServiceError> {
        let mut pools = Vec::new();
        for pool in self.pools_of(pool)? {
            pools.push(self.queue_of(&pool).await?);
        }
        Ok(QueueView {
            total_queued: pools.iter().map(|pool| pool.queued).sum(),
            total_dead: pools.iter().map(|pool| pool.dead).sum(),
            pools,
        })
    }

    async fn queue_of(&self, pool: &ScannerPool) -> Result<PoolQueueView, ServiceError> {
        let stats = self.queue.stats(&pool.name).await?;
        let next = self.queue.peek(&pool.name, NEXT_SHOWN).await?;
        let next = self.seen_of(next.iter().filter_map(|body| task_id_of(body)).collect()).await;
        Ok(PoolQueueView {
            scanner_pool: pool.name.clone(),
            queued: stats.ready,
            delayed: stats.delayed,
            leased: stats.leased,
            dead: stats.dead,
            paused: stats.paused.as_deref().map(shorten::text),
            no_worker: self.nobody_serves(&pool.name, None).await,
            next,
        })
    }

    /// Those of the tasks that the caller may see.
    async fn seen_of(&self, task_ids: Vec<String>) -> Vec<String> {
        if self.sight() == Sight::All {
            return task_ids;
        }
        let mut seen = Vec::new();
        for task_id in task_ids {
            let known = TaskId::new(task_id.as_str());
            if let Ok(known) = known
                && self.task(&known).await.is_ok()
            {
                seen.push(task_id);
            }
        }
        seen
    }
}

/// The task a queue entry names; entries of another form are shown by nothing.
fn task_id_of(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body["task_id"].as_str().map(shorten::text)
}
