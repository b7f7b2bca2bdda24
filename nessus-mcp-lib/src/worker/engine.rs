//! Claiming tasks and looking after those that run.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, error_span, info, warn};

use super::{
    announce::{Announcer, HeldTasks},
    pacing::ClaimPacing,
    queue_clock::QueueClock,
    run_task::TaskRun,
    shared::Shared,
};
#[cfg(feature = "webhooks")]
use crate::delivery::Deliveries;
use crate::{
    config::{ConfigError, WorkerSettings, process_name},
    error::chain,
    housekeeping::{Housekeeping, ReconcileError},
    ids::{PoolName, TraceId, WorkerId},
    policy::Policy,
    queue::{Claim, Settlement},
    scanner::{self, ScannerPool, ScannerRegistry, Selection},
    service::ScanService,
    time::{BootInstant, Clock},
};

/// How long a worker sleeps at most before it looks at its queues again.
const IDLE_WAIT: Duration = Duration::from_secs(5);
/// How long a worker waits after its queue has failed.
const FAILURE_WAIT: Duration = Duration::from_secs(1);
/// How long a worker waits after its queue has told it of work of which it could claim nothing.
const NOTHING_WAIT: Duration = Duration::from_secs(1);
/// How long a stopping worker waits for its tasks to be handed back: a create or launch that is under way is finished.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// The time between two comparisons of the task files with the queue.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(300);

/// A queue consumer. Any number of them, in any number of processes, share one queue and one data directory.
///
/// # Example
/// ```no_run
/// use nessus_mcp_lib::{ScanService, Worker, config::{Settings, WorkerSettings}};
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let service = ScanService::open(&Settings::new("./data", "scanners.yaml")).await?;
/// let worker = Worker::new(&service, WorkerSettings::default())?;
/// let shutdown = std::future::pending::<()>();
/// worker.run(shutdown).await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    /// What else it sees to.
    service: ScanService,
    housekeeping: Housekeeping,
    #[cfg(feature = "webhooks")]
    deliveries: Deliveries,
}

impl Worker {
    /// A worker on the same tasks, queue and scanners as `service`.
    ///
    /// # Errors
    /// As [`check_pools`](Self::check_pools) and [`check_webhooks`](Self::check_webhooks), and [`ConfigError::Setting`] when its settings
    /// cannot work.
    pub fn new(service: &ScanService, settings: WorkerSettings) -> Result<Self, ConfigError> {
        let settings = settings.check()?;
        Self::check_pools(service.scanners(), &settings)?;
        Self::check_webhooks(&service.scope().policy())?;
        let housekeeping = service.housekeeping(settings.housekeeping.clone())?;
        service.expect_worker();
        let clock = Arc::new(QueueClock::new(Arc::clone(service.clock())));
        let id = WorkerId::generate();
        let name: Arc<str> = process_name(&id).into();
        let shared = Shared {
            tasks: service.tasks().with_clock(Arc::clone(&clock) as Arc<dyn Clock>).acting_as(Arc::clone(&name)),
            id,
            name,
            queue: Arc::clone(service.queue()),
            index: service.index().clone(),
            scanners: service.scanners().clone(),
            scope: service.scope().clone(),
            circuits: service.circuits().clone(),
            credentials: service.credentials().clone(),
            selection: Selection::default(),
            pacing: ClaimPacing::default(),
            settings,
            metrics: Arc::clone(service.metrics()),
            audit: service.audit().clone(),
            clock,
            holds: HeldTasks::default(),
            stop: CancellationToken::new(),
        };
        #[cfg(feature = "webhooks")]
        let deliveries = {
            let (lease, clock): (_, Arc<dyn Clock>) = (shared.settings.lease, Arc::clone(&shared.clock) as _);
            Deliveries::new(service, shared.id.clone(), clock, lease, shared.stop.clone())
        };
        Ok(Self {
            shared: Arc::new(shared),
            service: service.clone(),
            housekeeping,
            #[cfg(feature = "webhooks")]
            deliveries,
        })
    }

    /// Whether there are the pools that its settings name: for those who want to know before they open a service.
    ///
    /// # Errors
    /// [`ConfigError::UnknownPool`] when one is not configured.
    pub fn check_pools(scanners: &ScannerRegistry, settings: &WorkerSettings) -> Result<(), ConfigError> {
        let served = settings.pools.iter().flatten().map(|pool| ("settings.worker_pools", pool));
        // A misspelt name would have its tasks removed too early.
        let mut named = served.chain(settings.housekeeping.named_pools());
        match named.find(|(_, pool)| scanners.pool(pool).is_none()) {
            None => Ok(()),
            Some((name, unknown)) => {
                let available = scanners.pools().iter().map(|pool| pool.name.to_string()).collect();
                Err(ConfigError::UnknownPool { name, pool: unknown.clone(), available })
            }
        }
    }

    /// Whether the keys of all webhooks are known, which only a worker needs.
    ///
    /// # Errors
    /// [`ConfigError::Key`] for the first that cannot be read.
    pub fn check_webhooks(policy: &Policy) -> Result<(), ConfigError> {
        let missing = policy.webhooks().iter().find_map(|webhook| webhook.key.as_ref().err());
        missing.map_or(Ok(()), |missing| Err(missing.clone().into_error()))
    }

    /// Works until `shutdown` is ready, then hands back what is running and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        // Each line of the worker names it, whatever lines are written.
        let span = error_span!("worker", worker = &*self.shared.name);
        // Boxed, because it is large, and so would be whatever awaits a worker.
        Box::pin(self.run_named(shutdown)).instrument(span).await;
    }

    async fn run_named(self, shutdown: impl Future<Output = ()> + Send) {
        info!(worker_id = %self.shared.id, "worker started");
        let mut runs = JoinSet::new();
        let mut delivering = JoinSet::<()>::new();
        #[cfg(feature = "webhooks")]
        delivering.spawn(self.deliveries.clone().run().in_current_span());
        let stop = self.shared.stop.clone();
        let announcer = Announcer {
            worker: &self.shared.id,
            queue: self.shared.queue.as_ref(),
            clock: &self.shared.clock,
            metrics: &self.shared.metrics,
            holds: &self.shared.holds,
            stop: &stop,
            started: BootInstant::now(),
        };
        let stop_on_shutdown = async {
            shutdown.await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        let serving = || {
            let pools = self.pools();
            self.service.serve_here(pools.iter().map(|pool| pool.name.clone()).collect());
            pools
        };
        tokio::select! {
            () = stop_on_shutdown => {}
            () = self.shared.index.watch(Some(RECONCILE_INTERVAL)) => {}
            () = self.housekeeping.watch() => {}
            () = self.watch_scanners() => {}
            () = announcer.follow(serving) => {}
            () = self.service.watch_workers() => {}
            () = self.shared.clock.follow(self.shared.queue.as_ref(), &self.shared.metrics) => {}
            () = self.shared.circuits.follow(self.shared.queue.as_ref()) => {}
            () = self.claim_until_stopped(&mut runs) => {}
        }
        self.service.serve_here(Vec::new());
        info!(running = runs.len(), "worker stops; scans go on on their scanners");
        let handed_back = tokio::time::timeout(STOP_WAIT, async {
            while let Some(ended) = runs.join_next().await {
                report_panic(ended);
            }
            while delivering.join_next().await.is_some() {}
        });
        tokio::select! {
            handed_back = handed_back => if handed_back.is_err() {
                warn!("some tasks were not handed back in time; their leases will run out");
            },
            () = announcer.follow(|| self.pools()) => {}
        }
        announcer.withdraw().await;
        self.shared.circuits.withdraw(self.shared.queue.as_ref()).await;
        self.shared.scanners.close().await;
    }

    /// Returns only when the worker shall stop, and never in the middle of a claim: its answer would be lost, and the
    /// task would wait for the end of a lease that nobody holds.
    async fn claim_until_stopped(&self, runs: &mut JoinSet<()>) {
        // Before anything is dated.
        while let Err(error) = self.shared.clock.look(self.shared.queue.as_ref(), &self.shared.metrics).await {
            warn!(error = chain(&error), "the queue does not tell the time");
            tokio::time::sleep(FAILURE_WAIT).await;
            if self.shared.stop.is_cancelled() {
                return;
            }
        }
        let mut served = Served::default();
        let mut was_told = false;
        for round in 0_usize.. {
            let mut started = false;
            let mut open = Vec::new();
            // Asked for each time: the configuration may have been read again.
            let mut pools = self.pools();
            served.log_change(&pools, self.shared.settings.pools.as_deref());
            if !pools.is_empty() {
                let first = round % pools.len();
                pools.rotate_left(first);
            }
            for pool in &pools {
                if self.shared.stop.is_cancelled() {
                    return;
                }
                match self.claim_for(pool).await {
                    Ok(Claimed::Task(claim, claimed_at)) => {
                        started = true;
                        self.start(*claim, claimed_at, runs);
                    }
                    Ok(Claimed::Nothing) => open.push(pool.name.clone()),
                    Ok(Claimed::NoCapacity) => {}
                    Err(message) => {
                        warn!(pool = %pool.name, error = message, "nothing could be claimed");
                        tokio::time::sleep(FAILURE_WAIT).await;
                    }
                }
            }
            while let Some(ended) = runs.try_join_next() {
                report_panic(ended);
            }
            if self.shared.stop.is_cancelled() {
                return;
            }
            was_told = !started && self.wait(&open, was_told, runs).await;
        }
    }

    /// The pools it serves, as they are configured now.
    fn pools(&self) -> Vec<Arc<ScannerPool>> {
        let mut pools = self.shared.scanners.pools();
        if let Some(named) = &self.shared.settings.pools {
            pools.retain(|pool| named.contains(&pool.name));
        }
        pools
    }

    /// Waits for work in pools with a free slot, for a run to end, or for a while. Whether the queue told it of work.
    ///
    /// Where it `was_told` before and nothing could be claimed, others were faster, or all that is ready is pinned to scanners
    /// that are passed over. The queue would tell of that again and again, so for a while only the other pools are listened to.
    async fn wait(&self, open: &[PoolName], was_told: bool, runs: &mut JoinSet<()>) -> bool {
        let open = if was_told { self.without_ready(open).await } else { open.to_vec() };
        let longest = IDLE_WAIT.min(self.shared.settings.poll_interval.max(FAILURE_WAIT));
        let until = Instant::now() + if was_told { NOTHING_WAIT } else { longest };
        tokio::select! {
            // It never waits to its own end.
            () = self.shared.queue.wait_for_work(&open, 2 * IDLE_WAIT), if !open.is_empty() => return true,
            Some(ended) = runs.join_next(), if !runs.is_empty() => report_panic(ended),
            () = tokio::time::sleep_until(until) => {}
            () = self.shared.stop.cancelled() => {}
        }
        false
    }

    /// The pools in which nothing is ready.
    async fn without_ready(&self, pools: &[PoolName]) -> Vec<PoolName> {
        let mut quiet = Vec::new();
        for pool in pools {
            if self.shared.queue.stats(pool).await.is_ok_and(|stats| stats.ready == 0) {
                quiet.push(pool.clone());
            }
        }
        quiet
    }

    /// Claims the next task of a pool that can run, if one of its scanners has a free slot, else the next whose scan may run
    /// already.
    ///
    /// Nothing is claimed from a queue that has lost its data and is not rebuilt: its pauses are lost too. If it loses them
    /// between the check and the claim, the task is released; so is one that comes when the worker stops already.
    async fn claim_for(&self, pool: &ScannerPool) -> Result<Claimed, String> {
        let failed = |error| {
            self.shared.index.notice_failure();
            chain(&error)
        };
        let bound = match self.shared.index.look_lately().await {
            Ok(Some(bound)) => bound,
            Err(ReconcileError::Queue(error)) => return Err(failed(error)),
            // Whoever watches the queue says why.
            Ok(None) | Err(_) => return Ok(Claimed::NoCapacity),
        };
        // An operator's command takes effect with the next claim.
        let instances = pool.instance_ids();
        if let Err(error) = self.shared.circuits.exchange(self.shared.queue.as_ref(), &pool.name, &instances).await {
            debug!(pool = %pool.name, error = failed(error), "what operators command about the scanners is not known");
        }
        let passed_over = self.shared.passed_over(pool).await.map_err(failed)?;
        let claimed_at = BootInstant::now();
        let Shared { queue, id, settings, .. } = self.shared.as_ref();
        let claim = match &passed_over {
            Some(scanners) => queue.claim(&pool.name, id, settings.lease, scanners).await,
            None => queue.claim_started(&pool.name, id, settings.lease).await,
        };
        let claim = claim.map_err(failed)?;
        let unwanted = match &claim {
            None => None,
            // A run of this worker may have handed it back a moment ago, for the next one.
            Some(_) if self.shared.stop.is_cancelled() => Some("the worker stops"),
            Some(_) => (!self.shared.index.is_still(&bound).await.map_err(failed)?)
                .then_some("the queue has lost what it knew"),
        };
        if let (Some(claim), Some(reason)) = (&claim, unwanted) {
            info!(task_id = %claim.lease.task_id, reason, "a task that was claimed is handed back");
            let task = self.shared.tasks.get(&claim.lease.task_id).await;
            let started = task.map_or(true, |task| task.has_started());
            let release = Settlement::Release { delay: Duration::ZERO, started };
            queue.settle(&claim.lease, release).await.map_err(failed)?;
            return Ok(Claimed::NoCapacity);
        }
        Ok(match claim {
            Some(claim) => Claimed::Task(Box::new(claim), claimed_at),
            None if passed_over.is_some() => Claimed::Nothing,
            None => Claimed::NoCapacity,
        })
    }

    fn start(&self, claim: Claim, claimed_at: BootInstant, runs: &mut JoinSet<()>) {
        let (task_id, fence) = (&claim.lease.task_id, claim.lease.fence);
        let span =
            error_span!("task", %task_id, trace_id = claim.body.trace_id().as_ref().map(TraceId::as_str), %fence);
        let holding = self.shared.holds.hold(task_id.clone());
        let run = TaskRun::new(Arc::clone(&self.shared), claim, claimed_at).run();
        let held = async move {
            run.await;
            drop(holding);
        };
        runs.spawn(held.instrument(span));
    }

    /// Never returns.
    async fn watch_scanners(&self) {
        let Shared { scanners, settings, metrics, .. } = self.shared.as_ref();
        let clock: Arc<dyn Clock> = Arc::clone(&self.shared.clock) as _;
        match settings.health_interval {
            Some(interval) => {
                scanner::watch_health(scanners, settings.pools.as_deref(), interval, &clock, metrics).await;
            }
            None => std::future::pending().await,
        }
    }
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(failed) = ended {
        error!(error = %failed, "the run of a task panicked; its lease will run out");
    }
}

/// The pools that were served last, so that a change is logged once.
#[derive(Default)]
struct Served(Option<Vec<(PoolName, u32)>>);

impl Served {
    fn log_change(&mut self, pools: &[Arc<ScannerPool>], wanted: Option<&[PoolName]>) {
        let now: Vec<_> = pools.iter().map(|pool| (pool.name.clone(), pool.capacity())).collect();
        if self.0.as_ref() == Some(&now) {
            return;
        }
        let named = |pool: &PoolName| now.iter().any(|(name, _)| name == pool);
        for pool in wanted.into_iter().flatten().filter(|pool| !named(pool)) {
            warn!(%pool, "a pool that this worker serves is not configured any more: its tasks wait");
        }
        for (pool, _) in now.iter().filter(|(_, capacity)| *capacity == 0) {
            warn!(%pool, "every scanner of this pool is disabled: its tasks wait");
        }
        let shown: Vec<_> = now.iter().map(|(name, capacity)| format!("{name} ({capacity})")).collect();
        info!(pools = shown.join(", "), "pools served, with the scans they may run at once");
        self.0 = Some(now);
    }
}

enum Claimed {
    Task(Box<Claim>, BootInstant),
    Nothing,
    NoCapacity,
}
