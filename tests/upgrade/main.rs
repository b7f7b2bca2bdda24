//! The previous version of the program and this one, each with a server and a worker, on one Redis and one data directory, while all four
//! are killed again and again. `tests/upgrade/run` builds that version and starts this.
//!
//! It panics with what does not hold: each accepted task is completed, and has exactly one scan.
#![expect(clippy::print_stdout, reason = "the outcome is what it is for")]

use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use nessus_mcp_lib::{client::NessusMcpClient, ids::TaskId, service::SubmitRequest, task::TaskStatus};
use nessus_mcp_tests::{
    binaries,
    deployment::{Deployment, Server},
    processes::Process,
    redis::{DURABLE, RedisServer},
    sim::{SimConfig, SimulatedNessus},
};

/// How many tasks each of the two versions accepts alone, and then both in turn.
const TASKS: usize = 20;
/// How many processes are killed meanwhile.
const KILLS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(300);

/// A version of the program, with its processes.
struct Version {
    name: &'static str,
    server: PathBuf,
    worker: PathBuf,
    running: Option<(Server, NessusMcpClient)>,
    working: Option<Process>,
}

impl Version {
    fn new(name: &'static str, server: &Path, worker: &Path) -> Self {
        Self { name, server: server.to_owned(), worker: worker.to_owned(), running: None, working: None }
    }

    /// Starts what does not run.
    async fn start(&mut self, deployment: &Deployment) {
        if self.running.is_none() {
            let program = deployment.server(&self.server).env("HEALTH_CHECK_INTERVAL_SECONDS", "0");
            let server = deployment.serve(&program);
            let client = NessusMcpClient::connect(&server.mcp()).await;
            let client = client.unwrap_or_else(|error| panic!("{error}\n{}", server.process.tail()));
            self.running = Some((server, client));
        }
        if self.working.is_none() {
            let arguments = ["--poll-interval-seconds", "50ms", "--lease-seconds", "2s"];
            self.working = Some(deployment.start(&deployment.program(&self.worker, &arguments)));
        }
    }

    /// SIGKILL to the server or the worker.
    fn kill(&mut self, server: bool) {
        match (server, self.running.take(), self.working.take()) {
            (true, Some((mut server, _)), working) => {
                server.process.kill();
                self.working = working;
            }
            (false, running, Some(mut worker)) => {
                worker.kill();
                self.running = running;
            }
            (_, running, working) => (self.running, self.working) = (running, working),
        }
    }

    fn client(&self) -> &NessusMcpClient {
        match &self.running {
            Some((_, client)) => client,
            None => panic!("no server of the {} version runs", self.name),
        }
    }

    async fn submit(&self, number: usize) -> TaskId {
        let arguments =
            SubmitRequest::untrusted(format!("{} {number}", self.name), format!("192.0.2.{}", number % 250 + 1));
        match self.client().submit_scan(&arguments).await {
            Ok(submitted) => submitted.task_id,
            Err(error) => panic!("the {} version refuses a scan: {error}", self.name),
        }
    }
}

fn random(seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from(*seed >> 40).unwrap_or_default()
}

#[tokio::main]
async fn main() {
    let Some(previous) = env::var_os("UPGRADE_PREVIOUS").map(PathBuf::from) else {
        panic!("UPGRADE_PREVIOUS names no directory: start tests/upgrade/run");
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = env::var("UPGRADE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(now.as_secs());
    println!("UPGRADE_SEED={seed}");
    let mut random = {
        let mut state = seed * 2 + 1;
        move || random(&mut state)
    };
    let redis = RedisServer::with(&DURABLE);
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(400))).await;
    let deployment = Deployment::new(&sim.scanners_yaml()).with_queue(redis.url());
    let mut old = Version::new("previous", &previous.join("nessus-mcp-server"), &previous.join("nessus-worker"));
    let mut new = Version::new("present", binaries::server(), binaries::worker());

    // A queue in the old layout, with a worker that dies in the middle of its work.
    let mut tasks = Vec::new();
    old.start(&deployment).await;
    for number in 0..TASKS {
        tasks.push(old.submit(number).await);
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    old.kill(false);
    let listed = redis.ask(&["LLEN", "nessus:queue"]).number();
    println!("{listed} of {TASKS} tasks wait in the list of the previous version");

    let (mut submitted, mut killed) = (0, 0);
    while submitted < 2 * TASKS || killed < KILLS {
        old.start(&deployment).await;
        new.start(&deployment).await;
        for _ in 0..random() % 4 {
            if submitted < 2 * TASKS {
                let version = if submitted.is_multiple_of(2) { &old } else { &new };
                tasks.push(version.submit(TASKS + submitted).await);
                submitted += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(50 + random() as u64 % 600)).await;
        if killed < KILLS {
            let version = if random().is_multiple_of(2) { &mut old } else { &mut new };
            version.kill(random().is_multiple_of(2));
            killed += 1;
        }
    }
    old.start(&deployment).await;
    new.start(&deployment).await;
    println!("{} tasks were accepted, {killed} processes were killed", tasks.len());

    let began = Instant::now();
    for task in &tasks {
        loop {
            match new.client().get_status(task).await {
                Ok(view) if view.status == TaskStatus::Completed => break,
                Ok(view) if view.status.is_terminal() => panic!("{view:?}"),
                told => assert!(began.elapsed() < PATIENCE, "{task} does not end: {told:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    println!("all are completed, {:.1} s after the last kill", began.elapsed().as_secs_f64());
    let stats = sim.stats();
    let once =
        stats.creates.len() == tasks.len() && stats.creates.values().chain(stats.launches.values()).all(|n| *n == 1);
    assert!(once && stats.launches.len() == tasks.len(), "{stats:#?}");
    println!("each has exactly one scan: {} created, {} launched", stats.creates.len(), stats.launches.len());

    // What is left are copies that the reconciler of the previous version has enqueued.
    loop {
        let queue = new.client().get_queue_status(None).await.unwrap_or_else(|error| panic!("{error}"));
        if queue.pools.iter().all(|pool| pool.queued + pool.delayed + pool.leased == 0) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the queue does not drain: {queue:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("the queue is empty");
}
