//! The processes of a run, and the threads that torment them.
//!
//! Each process belongs to one thread, which alone kills, freezes and restarts it: nothing is thawed that another has
//! killed. All threads stop when the stage is dropped, also by a panic, and their processes with them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Fault, Moments, Plan, backend::RedisServer};
use crate::{
    binaries,
    deployment::{Deployment, Server},
    processes::Process,
};

/// The time between two looks at the clock while a thread waits.
const LOOK: Duration = Duration::from_millis(10);
/// What the logins of tasks are sealed with, by all processes.
const SECRET_KEY: &str = "5ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4";
/// How long a killed server stays away at most.
const PAUSE_OF_SERVER: Duration = Duration::from_millis(300);

/// What a thread does to its process until the run is over.
type Torment = Box<dyn FnOnce(&Common, Moments) + Send>;

/// What the threads share.
#[derive(Debug)]
pub(super) struct Common {
    plan: Plan,
    pub(super) deployment: Deployment,
    queue_url: Option<String>,
    /// Where the server listens; the same after each restart.
    address: String,
    counts: [AtomicU32; Fault::ALL.len()],
    /// Faults are done until this is set.
    calm: AtomicBool,
    /// Faults against the server are done while there are submits.
    submitting: AtomicBool,
    over: AtomicBool,
    /// The queue outlives those who use it.
    queue_over: AtomicBool,
    /// Held while a server starts and while the queue is away: a server without its queue does not start.
    queue_there: Mutex<()>,
    /// Restarts every worker once when it is raised: a new worker compares files and queue.
    round: AtomicU32,
}

/// The processes under torment.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) common: Arc<Common>,
    threads: Vec<JoinHandle<()>>,
    queue: Option<JoinHandle<()>>,
}

impl Stage {
    /// Starts queue, server and workers, and what torments them.
    pub(super) fn start(plan: &Plan, deployment: Deployment) -> Self {
        let redis = plan.needs_redis().then(|| RedisServer::start(&deployment));
        let queue_url = redis.as_ref().map(RedisServer::url);
        let server = start_server(&deployment, queue_url.as_deref(), "127.0.0.1:0");
        let address = server.url().trim_start_matches("http://").to_owned();
        let common = Arc::new(Common {
            plan: plan.clone(),
            deployment,
            queue_url,
            address,
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
            calm: AtomicBool::new(false),
            submitting: AtomicBool::new(true),
            over: AtomicBool::new(false),
            queue_over: AtomicBool::new(false),
            queue_there: Mutex::new(()),
            round: AtomicU32::new(0),
        });
        let mut seed = plan.seed;
        let mut spawn = |torment: Torment| {
            seed += 1;
            let (common, moments) = (Arc::clone(&common), Moments::new(seed));
            thread::spawn(move || torment(&common, moments))
        };
        let mut threads = vec![spawn(Box::new(move |common, moments| common.torment_server(server, moments)))];
        for _ in 0..plan.workers {
            threads.push(spawn(Box::new(Common::torment_worker)));
        }
        let queue = redis.map(|redis| spawn(Box::new(move |common, moments| common.torment_redis(redis, moments))));
        Self { common, threads, queue }
    }

    /// Lets everything stand, without further faults.
    pub(super) fn calm_down(&self) {
        self.common.calm.store(true, Ordering::Relaxed);
    }

    /// Says that all submits have been answered.
    pub(super) fn all_submitted(&self) {
        self.common.submitting.store(false, Ordering::Relaxed);
    }

    /// Restarts every worker once, one after the other's signal.
    pub(super) fn restart_workers(&self) {
        self.common.round.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a thread has given up: a process ended that nobody had killed.
    pub(super) fn has_fallen(&self) -> bool {
        self.threads.iter().chain(&self.queue).any(JoinHandle::is_finished)
    }

    /// Ends workers and server, as an operator would, then the queue; returns how many did what they must not, which
    /// their threads have printed.
    pub(super) fn end(&mut self) -> usize {
        self.common.over.store(true, Ordering::Relaxed);
        let mut panicked = self.threads.drain(..).filter_map(|thread| thread.join().err()).count();
        self.common.queue_over.store(true, Ordering::Relaxed);
        panicked += usize::from(self.queue.take().is_some_and(|thread| thread.join().is_err()));
        panicked
    }

    pub(super) fn count(&self, fault: Fault) -> u32 {
        self.common.counts[fault.index()].load(Ordering::Relaxed)
    }

    /// Lets the files of the run go with it.
    pub(super) fn forget_files(&mut self) {
        // Nobody else holds it: the threads have ended.
        if let Some(common) = Arc::get_mut(&mut self.common) {
            common.deployment.keep_files(false);
        }
    }

    /// The MCP endpoint.
    pub(super) fn mcp(&self) -> String {
        format!("http://{}/mcp", self.common.address)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end();
    }
}

fn start_server(deployment: &Deployment, queue_url: Option<&str>, address: &str) -> Server {
    let server = deployment.program(binaries::server(), &["serve"]).args(["--mcp-bind", address]);
    let server = server.env("NESSUS_MCP_SECRET_KEY", SECRET_KEY);
    deployment.serve(&match queue_url {
        Some(url) => server.env("QUEUE_URL", url),
        None => server,
    })
}

/// The exit code of a process whose queue was away when it started; whoever runs it starts it again.
const QUEUE_AWAY: i32 = 69;

/// Whether a process still runs.
///
/// # Panics
/// When it has ended for another reason than a queue that was away.
fn is_running(process: &mut Process) -> bool {
    if process.is_running() {
        return true;
    }
    assert_eq!(process.wait().code(), Some(QUEUE_AWAY), "it has ended, and nobody had killed it\n{}", process.tail());
    false
}

/// Tells a worker to stop, once it listens to that: before, SIGTERM kills it like any process.
fn end_worker(worker: &mut Process) {
    while is_running(worker) {
        if worker.log().contains("worker started") {
            assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
            return;
        }
        thread::sleep(LOOK);
    }
}

impl Common {
    fn start_worker(&self) -> Process {
        let worker = self.deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]);
        let worker = worker.args(["--lease-seconds", &format!("{}ms", self.plan.lease.as_millis())]);
        let worker = worker.env("NESSUS_MCP_SECRET_KEY", SECRET_KEY);
        self.deployment.start(&match &self.queue_url {
            Some(url) => worker.env("QUEUE_URL", url),
            None => worker,
        })
    }

    /// Waits; `false` when `stop` says so before, or the run is over.
    fn wait(&self, duration: Duration, stop: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + duration;
        while Instant::now() < until {
            if stop(self) || self.over.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn count(&self, fault: Fault) {
        self.counts[fault.index()].fetch_add(1, Ordering::Relaxed);
    }

    fn torment_worker(&self, mut moments: Moments) {
        let faults = self.plan.faults_among(&[Fault::WorkerKilled, Fault::WorkerFrozen]);
        let mut worker = self.start_worker();
        let mut round = 0;
        while !self.is_over() {
            let current = self.round.load(Ordering::Relaxed);
            if current != round {
                round = current;
                end_worker(&mut worker);
                worker = self.start_worker();
            }
            let pause = moments.next_in(&self.plan.worker_faults);
            let struck = self.wait(pause, |common| common.is_calm() || common.round.load(Ordering::Relaxed) != round);
            if !is_running(&mut worker) {
                worker = self.start_worker();
                continue;
            }
            match moments.pick(&faults).filter(|_| struck) {
                Some(Fault::WorkerKilled) => {
                    worker.kill();
                    self.count(Fault::WorkerKilled);
                    worker = self.start_worker();
                }
                Some(Fault::WorkerFrozen) => {
                    worker.freeze();
                    let long = moments.next_in(&(self.plan.lease * 11 / 10..self.plan.lease * 5 / 2));
                    // Not cut short when the faults are over: it would not be a freeze beyond the lease.
                    self.wait(long, |_| false);
                    worker.thaw();
                    self.count(Fault::WorkerFrozen);
                }
                _ => {
                    self.wait(LOOK * 5, |_| false);
                }
            }
        }
        end_worker(&mut worker);
    }

    fn torment_server(&self, mut server: Server, mut moments: Moments) {
        let is_struck = self.plan.faults.contains(&Fault::ServerKilled);
        let done = |common: &Self| common.is_calm() || !common.submitting.load(Ordering::Relaxed);
        while !self.is_over() {
            let struck = self.wait(moments.next_in(&self.plan.server_faults), done);
            assert!(server.process.is_running(), "the server has ended\n{}", server.process.tail());
            if struck && is_struck {
                server.process.kill();
                self.count(Fault::ServerKilled);
                self.wait(moments.next_below(PAUSE_OF_SERVER), |_| false);
                let _there = self.queue_there.lock();
                server = start_server(&self.deployment, self.queue_url.as_deref(), &self.address);
            } else {
                self.wait(LOOK * 5, |_| false);
            }
        }
        assert_eq!(server.process.terminate(), Some(0), "{}", server.process.tail());
    }

    fn torment_redis(&self, mut redis: RedisServer, mut moments: Moments) {
        let faults = self.plan.faults_among(&[Fault::RedisKilled, Fault::RedisEmptied]);
        while !self.queue_over.load(Ordering::Relaxed) {
            let struck = self.wait(moments.next_in(&self.plan.queue_faults), Self::is_calm);
            match moments.pick(&faults).filter(|_| struck) {
                Some(fault) => {
                    let _away = self.queue_there.lock();
                    redis.strike(&self.deployment, fault, moments.next_below(self.plan.lease / 2));
                    self.count(fault);
                }
                None => thread::sleep(LOOK * 5),
            }
        }
    }
}
