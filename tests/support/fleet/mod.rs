//! A fleet: servers and workers that share no directory, on a group of Redis servers and an object store, while all of them fail.
//!
//! A run starts simulated scanners, a Redis cluster or a sentinel group, the simulated S3 as a process behind a proxy, servers and workers, all of them
//! the shipped binaries with a data directory each. Agents submit under idempotency keys until each has its answer, and ask for their scans until all
//! have ended. Meanwhile one fault after the other is done, in an order that the seed decides: each when the agents have got so far, not at a time. When
//! all scans have ended, the [`Verdict`] is read from the bucket, from the logs of all processes, and from the scanners' own counts.
#![expect(clippy::missing_panics_doc, reason = "a run that cannot go on panics: that is how a test fails")]

mod agents;
mod director;
mod fault;
mod redis;
mod stage;
mod verdict;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::{agents::Progress, director::Director, stage::Stage};
pub use self::{
    fault::Fault,
    redis::RedisKind,
    verdict::{Count, Verdict},
};
use crate::{
    binaries,
    sim::{SimConfig, SimulatedNessus},
};

/// What a run does; each method sets one thing and returns the plan.
#[derive(Debug, Clone)]
#[must_use]
pub struct Plan {
    redis: RedisKind,
    seed: u64,
    scans: usize,
    servers: usize,
    workers: usize,
    scanners: usize,
    agents: usize,
    faults: usize,
    /// How long a scan runs.
    scan: Duration,
    /// When the agents give up.
    at_most: Duration,
}

impl Plan {
    /// 2,000 scans of 20 agents, with 3 servers, 8 workers, 5 scanners, and a fault for every 20 scans.
    pub fn new(redis: RedisKind) -> Self {
        Self {
            redis,
            seed: 1,
            scans: 2000,
            servers: 3,
            workers: 8,
            scanners: 5,
            agents: 20,
            faults: 100,
            scan: Duration::from_secs(1),
            at_most: Duration::from_secs(3600),
        }
    }

    /// Other moments.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many scans are submitted; the faults are one for every 20 of them, and one of each kind at least.
    pub fn scans(mut self, scans: usize) -> Self {
        self.scans = scans;
        self.faults = (scans / 20).max(Fault::ALL.len());
        self
    }

    /// How many server processes there are.
    pub fn servers(mut self, servers: usize) -> Self {
        self.servers = servers.max(1);
        self
    }

    /// How many worker processes there are.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How many scanners there are.
    pub fn scanners(mut self, scanners: usize) -> Self {
        self.scanners = scanners.max(1);
        self
    }

    /// How many agents submit at a time.
    pub fn agents(mut self, agents: usize) -> Self {
        self.agents = agents.max(1);
        self
    }

    /// When the agents give up; what has not ended by then is lost.
    pub fn at_most(mut self, at_most: Duration) -> Self {
        self.at_most = at_most;
        self
    }
}

/// Runs a plan and says what became of the scans.
pub async fn run(plan: &Plan) -> Verdict {
    // Built before the clock runs.
    binaries::simulated_s3();
    let mut scanners = Vec::new();
    for _ in 0..plan.scanners {
        scanners.push(SimulatedNessus::start_with(SimConfig::new().scan_duration(plan.scan)).await);
    }
    let stage = tokio::task::block_in_place(|| Stage::start(plan, &scanners));
    let directory = stage.directory().to_owned();
    let began = Instant::now();
    let progress = Arc::new(Progress::default());
    // Also when nobody waits for this any more: the director stops all processes then.
    let over = Over(Arc::clone(&progress));
    let mut agents =
        tokio::spawn(agents::run(plan.clone(), stage.servers(), began + plan.at_most, Arc::clone(&progress)));
    let director = Director::new(plan, stage, Arc::clone(&progress));
    let mut directed = tokio::task::spawn_blocking(move || director.run());
    let told = tokio::select! {
        told = &mut agents => told.unwrap_or_else(|error| panic!("the agents have failed: {error}")),
        // It goes on until the agents are done, so it has failed: nobody looks after the processes any more.
        ended = &mut directed => panic!("the director has failed: {:?}\n{}", ended.err(), directory.display()),
    };
    drop(over);
    let took = began.elapsed();
    // Workers that were told to stop have done everything they will ever do, so that late writes are seen.
    let ended =
        directed.await.unwrap_or_else(|error| panic!("the director has failed: {error}\n{}", directory.display()));
    let stats: Vec<_> = scanners.iter().map(SimulatedNessus::stats).collect();
    Verdict::of(plan, &told, ended, &stats, took)
}

/// Tells the director that the run is over.
struct Over(Arc<Progress>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.are_done();
    }
}
