//! What `top` shows: one look at queue and data directory.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    Queue,
    circuit_breaker::CircuitState,
    config::{ScannersConfig, Settings},
    error::{Failure, excerpt},
    ids::{PoolName, TaskId},
    queue::SeenWorker,
    service::has_older_workers,
    task::{Task, TaskManager, TaskQuery, TaskStatus},
    time::{Clock as _, SystemClock, Timestamp},
};
use serde::Serialize;

use crate::commands::queue;

/// The most running scans, failures and circuits that are shown.
const MOST: usize = 50;
/// How many dead letters of each pool are looked at.
const LETTERS: u32 = 10;

/// A look at a deployment.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct View {
    /// When it was taken.
    pub(super) at: Option<Timestamp>,
    /// How long the queue took to answer, in milliseconds.
    pub(super) queue_latency_ms: u64,
    pub(super) pools: Vec<PoolRow>,
    pub(super) workers: Vec<WorkerRow>,
    /// Those that have run for the longest first.
    pub(super) running: Vec<RunningRow>,
    /// How many run in all.
    pub(super) running_total: usize,
    /// Those that are not closed.
    pub(super) circuits: Vec<CircuitRow>,
    /// The dead letters, newest first.
    pub(super) failures: Vec<FailureRow>,
}

/// A pool.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PoolRow {
    pub(super) pool: PoolName,
    pub(super) queued: u64,
    pub(super) delayed: u64,
    pub(super) leased: u64,
    pub(super) dead: u64,
    /// For how long the task that is next has waited; absent when none waits.
    pub(super) oldest_waiting_seconds: Option<u64>,
    /// How many workers serve it; absent when only workers of an older version may, which do not tell.
    pub(super) workers: Option<usize>,
    pub(super) paused: Option<String>,
}

/// A worker.
#[derive(Debug, Clone, Serialize)]
pub(super) struct WorkerRow {
    pub(super) worker: String,
    pub(super) host: String,
    pub(super) pid: u32,
    pub(super) version: String,
    /// alive, stopping or lost.
    pub(super) state: &'static str,
    /// How long ago it was heard of, in seconds.
    pub(super) heard_seconds: u64,
    /// For how long it has run, in seconds.
    pub(super) up_seconds: u64,
    pub(super) pools: Vec<PoolName>,
    pub(super) holds: usize,
}

/// A scan that runs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunningRow {
    pub(super) task_id: TaskId,
    pub(super) name: String,
    pub(super) scanner: String,
    /// In percent; absent while it is not known.
    pub(super) progress: Option<u8>,
    /// For how long, in seconds.
    pub(super) running_seconds: u64,
    /// The failure of the step that is tried again.
    pub(super) error: Option<String>,
}

/// A circuit that is not closed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CircuitRow {
    pub(super) scanner: String,
    pub(super) state: CircuitState,
    /// The process that says so.
    pub(super) process: String,
    pub(super) reason: String,
}

/// A dead letter.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FailureRow {
    pub(super) task_id: Option<TaskId>,
    pub(super) pool: PoolName,
    pub(super) failed_at: Timestamp,
    pub(super) error_code: String,
    pub(super) error: String,
}

/// What is looked at.
#[derive(Debug, Clone)]
pub(super) struct Source {
    queue: Arc<dyn Queue>,
    /// Absent where the data directory is not on this machine.
    tasks: Option<TaskManager>,
    scanner_config: Arc<Path>,
}

impl Source {
    pub(super) async fn open(settings: &Settings) -> Result<Self, Failure> {
        let queue = queue::open(settings).await?;
        let tasks = queue::tasks(settings).await.ok().map(|tasks| tasks.with_catalogue(Arc::clone(&queue)));
        Ok(Self { queue, tasks, scanner_config: settings.scanner_config.as_path().into() })
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the queue does not answer, or no task can be read.
    pub(super) async fn look(&self) -> Result<View, Failure> {
        let now = SystemClock.now();
        let latency = self.queue.ping().await?;
        let workers = self.queue.workers().await?;
        let mut running = Vec::new();
        let mut running_total = 0;
        if let Some(tasks) = &self.tasks {
            let list = tasks.list(TaskQuery::default().with_status(TaskStatus::Running)).await?;
            running_total = list.total;
            running = list.tasks;
        }
        let (mut pools, mut failures) = (Vec::new(), Vec::new());
        for pool in self.pools(&workers, &running) {
            let stats = self.queue.stats(&pool).await?;
            let serving = workers.iter().filter(|one| one.is_alive() && one.record.serves(&pool).is_some()).count();
            let is_older = serving == 0 && has_older_workers(self.queue.as_ref(), &pool, &workers, now).await?;
            pools.push(PoolRow {
                queued: stats.ready,
                delayed: stats.delayed,
                leased: stats.leased,
                dead: stats.dead,
                oldest_waiting_seconds: self.oldest(&pool, now).await?.map(|age| age.as_secs()),
                workers: (!is_older).then_some(serving),
                paused: stats.paused,
                pool: pool.clone(),
            });
            failures.extend(self.queue.dead_letters(&pool, 0, LETTERS).await?.into_iter().map(|letter| FailureRow {
                task_id: letter.task_id,
                pool: pool.clone(),
                failed_at: letter.failed_at,
                error_code: letter.reason.error_code,
                error: excerpt(&letter.reason.error).to_string(),
            }));
        }
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.failed_at));
        failures.truncate(MOST);
        running.sort_by_key(|task| task.started_at);
        running.truncate(MOST);
        Ok(View {
            at: Some(now),
            queue_latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            pools,
            workers: workers.iter().map(|worker| worker_row(worker, now)).collect(),
            running: running.iter().map(|task| running_row(task, now)).collect(),
            running_total,
            circuits: self.circuits().await?,
            failures,
        })
    }

    /// The pools of the configuration, as far as it can be read, and those that workers serve or that scans run in.
    fn pools(&self, workers: &[SeenWorker], running: &[Task]) -> BTreeSet<PoolName> {
        let configured = ScannersConfig::examine(&self.scanner_config).pools.into_iter().map(|(pool, _)| pool);
        let served = workers.iter().flat_map(|worker| worker.record.pools.iter().map(|served| served.pool.clone()));
        configured.chain(served).chain(running.iter().map(|task| task.scanner_pool.clone())).collect()
    }

    /// For how long the task that is next has waited.
    async fn oldest(&self, pool: &PoolName, now: Timestamp) -> Result<Option<Duration>, Failure> {
        #[derive(serde::Deserialize)]
        struct Body {
            task_id: TaskId,
            created_at: Timestamp,
        }
        let Some(body) = self.queue.peek(pool, 1).await?.pop() else { return Ok(None) };
        // A body that cannot be read becomes a dead letter when it is claimed.
        let Ok(body) = serde_json::from_str::<Body>(&body) else { return Ok(None) };
        let task = match &self.tasks {
            Some(tasks) => tasks.get(&body.task_id).await.ok(),
            None => None,
        };
        // A task that is tried again waits since then.
        let retried = task.and_then(|task| {
            let changes = task.history.iter().rev();
            changes.filter(|change| change.to == TaskStatus::Queued).map(|change| change.at).next()
        });
        Ok(Some(now.since(retried.unwrap_or(body.created_at))))
    }

    /// The circuits that are not closed, the worst that a process says of each.
    async fn circuits(&self) -> Result<Vec<CircuitRow>, Failure> {
        let mut rows: Vec<CircuitRow> = Vec::new();
        for process in self.queue.circuit_states().await? {
            for circuit in process.circuits.iter().filter(|circuit| circuit.state != CircuitState::Closed) {
                let scanner = format!("{}:{}", circuit.pool, circuit.instance);
                if !rows.iter().any(|row| row.scanner == scanner) {
                    let reason = excerpt(&circuit.reason).to_string();
                    rows.push(CircuitRow { scanner, state: circuit.state, process: process.process.clone(), reason });
                }
            }
        }
        rows.truncate(MOST);
        Ok(rows)
    }
}

fn worker_row(worker: &SeenWorker, now: Timestamp) -> WorkerRow {
    let record = &worker.record;
    let state = match () {
        () if worker.is_lost() => "lost",
        () if record.stopping => "stopping",
        () => "alive",
    };
    WorkerRow {
        worker: record.worker.to_string(),
        host: excerpt(&record.host).to_string(),
        pid: record.pid,
        version: excerpt(&record.version).to_string(),
        state,
        heard_seconds: worker.age.as_secs(),
        up_seconds: now.since(record.started_at).as_secs(),
        pools: record.pools.iter().map(|served| served.pool.clone()).collect(),
        holds: record.holds.len(),
    }
}

fn running_row(task: &Task, now: Timestamp) -> RunningRow {
    let instance = task.scanner_instance_id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    RunningRow {
        task_id: task.task_id.clone(),
        name: excerpt(&task.payload.name).to_string(),
        scanner: format!("{}:{instance}", task.scanner_pool),
        progress: task.progress,
        running_seconds: task.started_at.map_or(0, |started| now.since(started).as_secs()),
        error: task.last_error.as_ref().map(|error| format!("{}: {}", error.code, excerpt(&error.message))),
    }
}
