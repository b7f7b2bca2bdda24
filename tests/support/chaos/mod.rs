//! Chaos: many tasks on a site whose processes are killed, frozen and emptied, and what must hold afterwards.
//!
//! A run starts a simulated scanner, a queue, a server and workers, all of them the shipped binaries, lets clients submit
//! under idempotency keys until each has its answer, and meanwhile does the faults of its [`Plan`]. When every task has
//! ended, the processes are stopped and the [`Verdict`] is read from what was written: the tasks' files and their
//! history, the logs of all processes, and the scanner's own counts.
//!
//! ```no_run
//! # async fn example() {
//! use nessus_mcp_tests::chaos::{self, BackendKind, Fault, Plan};
//! let plan = Plan::new(BackendKind::Sqlite, vec![Fault::WorkerKilled]).tasks(30).workers(3);
//! let verdict = chaos::run(&plan).await;
//! assert!(verdict.is_clean(), "{}", verdict.report());
//! # }
//! ```
#![expect(clippy::missing_panics_doc, reason = "a run that cannot go on panics: that is how a test fails")]

mod backend;
mod clients;
pub(crate) mod evidence;
mod fault;
mod moments;
mod stage;
mod verdict;
mod watch;

use std::{ops::Range, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::{backend::BackendKind, fault::Fault, moments::Moments, verdict::Verdict};
use self::{stage::Stage, watch::Watch};
use crate::{
    binaries,
    deployment::Deployment,
    processes::PATIENCE,
    sim::{SimConfig, SimulatedNessus},
};

/// The time between two looks at the tasks' files.
const LOOK: Duration = Duration::from_millis(200);
/// How often the workers are restarted after the queue was emptied: each start compares the files with the queue.
const RESTART_EVERY: Duration = Duration::from_secs(8);

/// What a run does; each method sets one thing and returns the plan.
#[derive(Debug, Clone)]
#[must_use]
pub struct Plan {
    pub(self) backend: BackendKind,
    pub(self) faults: Vec<Fault>,
    pub(self) tasks: usize,
    pub(self) workers: usize,
    pub(self) capacity: u32,
    pub(self) lease: Duration,
    pub(self) scan: Duration,
    pub(self) seed: u64,
    /// The time between two faults of one worker.
    pub(self) worker_faults: Range<Duration>,
    /// The time between two faults of the server.
    pub(self) server_faults: Range<Duration>,
    /// The time between two faults of the queue's server.
    pub(self) queue_faults: Range<Duration>,
    /// The pause of a client between two submits.
    pub(self) submit_pause: Range<Duration>,
    /// When the faults end, whether the tasks have or not.
    pub(self) faults_for: Duration,
}

const fn millis(range: Range<u64>) -> Range<Duration> {
    Duration::from_millis(range.start)..Duration::from_millis(range.end)
}

impl Plan {
    /// 300 tasks, 6 workers, short leases and short scans.
    pub fn new(backend: BackendKind, faults: Vec<Fault>) -> Self {
        Self {
            backend,
            faults,
            tasks: 300,
            workers: 6,
            capacity: 12,
            lease: Duration::from_millis(1500),
            scan: Duration::from_millis(400),
            seed: 0x5EED,
            worker_faults: millis(1000..5000),
            server_faults: millis(300..1500),
            queue_faults: millis(3000..9000),
            submit_pause: millis(0..2000),
            faults_for: Duration::from_secs(180),
        }
    }

    /// How many tasks are submitted.
    pub fn tasks(mut self, tasks: usize) -> Self {
        self.tasks = tasks;
        self
    }

    /// How many worker processes there are.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many scans the scanner may run at a time.
    pub fn capacity(mut self, scans: u32) -> Self {
        self.capacity = scans;
        self
    }

    /// How long a scan takes.
    pub fn scan_duration(mut self, duration: Duration) -> Self {
        self.scan = duration;
        self
    }

    /// How long a lease lasts.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Other moments.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The time between two faults of one worker.
    pub fn worker_faults(mut self, every: Range<Duration>) -> Self {
        self.worker_faults = every;
        self
    }

    /// The pause of a client between two submits.
    pub fn submit_pause(mut self, pause: Range<Duration>) -> Self {
        self.submit_pause = pause;
        self
    }

    /// When the faults end, whether the tasks have or not.
    pub fn faults_for(mut self, duration: Duration) -> Self {
        self.faults_for = duration;
        self
    }

    fn needs_redis(&self) -> bool {
        self.backend == BackendKind::Redis
    }

    fn empties_the_queue(&self) -> bool {
        self.faults.contains(&Fault::RedisEmptied)
    }

    fn faults_among(&self, kinds: &[Fault]) -> Vec<Fault> {
        self.faults.iter().copied().filter(|fault| kinds.contains(fault)).collect()
    }
}

/// Runs a plan and says what became of the tasks.
pub async fn run(plan: &Plan) -> Verdict {
    for fault in &plan.faults {
        assert!(plan.backend.faults().contains(fault), "{} has no `{fault}`", plan.backend);
    }
    // Built before the clock runs.
    binaries::worker();
    let began = Instant::now();
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(plan.scan)).await;
    let capacity = format!("max_concurrent_scans: {}", plan.capacity);
    let mut deployment = Deployment::new(&sim.scanners_yaml().replace("max_concurrent_scans: 2", &capacity));
    // Also when this panics: what was written tells why.
    deployment.keep_files(true);
    let directory = deployment.directory().to_owned();
    let mut stage = Stage::start(plan, deployment);
    let mut watch = Watch::new(Arc::clone(&stage.common));

    let submits = tokio::spawn(clients::submit_all(plan.clone(), stage.mcp()));
    let mut restarted = Instant::now();
    let mut progress = Instant::now();
    loop {
        let news = watch.look();
        if news > 0 {
            progress = Instant::now();
        }
        if submits.is_finished() {
            stage.all_submitted();
            if watch.all_ended() {
                break;
            }
        }
        if began.elapsed() > plan.faults_for {
            stage.calm_down();
        }
        let forgets = plan.faults.iter().any(|fault| fault.is_of_the_queue());
        if forgets && submits.is_finished() && restarted.elapsed() > RESTART_EVERY {
            stage.restart_workers();
            restarted = Instant::now();
        }
        if stage.has_fallen() || progress.elapsed() > PATIENCE * 2 {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    stage.calm_down();
    let answers = if submits.is_finished() { submits.await.ok() } else { None };
    // A worker that was told to stop has done everything it will ever do, so that late writes are seen.
    let fallen = tokio::task::block_in_place(|| stage.end());
    let evidence = evidence::gather(&directory);
    let verdict =
        Verdict::of(plan, &stage, answers, &watch, &evidence, &sim.stats(), fallen, began.elapsed(), &directory);
    drop(watch);
    if verdict.is_clean() {
        // The deployment ends with the stage, whose files are not needed any more.
        stage.forget_files();
    }
    verdict
}
