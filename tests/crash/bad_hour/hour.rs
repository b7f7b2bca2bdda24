//! The site of a bad hour: two scanners, a queue, a server and workers, and the scans that are submitted to it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    client::{ClientError, NessusMcpClient},
    durable,
    ids::TaskId,
    service::{IdempotencyKey, SubmitRequest},
};
use nessus_mcp_tests::{
    binaries,
    chaos::Moments,
    deployment::{Deployment, Server},
    processes::{Process, Program, files_below, until},
    redis::{DURABLE, RedisServer},
    sim::{SimConfig, SimulatedNessus},
};
use tokio::task::JoinHandle;

use crate::{clock::Clock, disk::Disk, faults::Fault, verdict::Verdict};

/// How many workers there are.
const WORKERS: usize = 3;
/// How long a submit that is refused is made again and again.
const SUBMIT: Duration = Duration::from_secs(300);
/// How long nothing may be completed at the end, besides the time that the faults took.
const STANDSTILL: Duration = Duration::from_secs(120);
/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// What an hour is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) redis: bool,
    pub(crate) time: Duration,
    pub(crate) running: usize,
    pub(crate) queued: usize,
    pub(crate) seed: u64,
}

/// The site. What is dropped first stands first: processes before the disks they write to.
#[derive(Debug)]
pub(crate) struct Hour {
    pub(crate) plan: Plan,
    pub(crate) workers: Vec<Process>,
    pub(crate) server: Server,
    pub(crate) redis: Option<RedisServer>,
    pub(crate) scanners: [SimulatedNessus; 2],
    /// How many requests were made.
    requests: usize,
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) moments: Moments,
    pub(crate) clock: Option<Clock>,
    /// The data directory, with the queue in it where that is SQLite, and the directory of the tasks.
    pub(crate) disks: Option<[Disk; 2]>,
    /// The exit codes of the processes that were told to end.
    pub(crate) codes: Vec<Option<i32>>,
    pub(crate) deployment: Deployment,
}

impl Hour {
    /// Starts everything but the workers.
    pub(crate) async fn begin(plan: Plan) -> Self {
        // Three waves of scans fill the time; not all end at once.
        let config = |share| SimConfig::new().scan_duration(plan.time / share).findings_per_host(20);
        let scanners = [SimulatedNessus::start_with(config(4)).await, SimulatedNessus::start_with(config(2)).await];
        let yaml = scanners_yaml(&scanners, plan.running.div_ceil(2));
        let redis = plan.redis.then(|| RedisServer::with(&DURABLE));
        let mut deployment = Deployment::new(&yaml);
        if let Some(redis) = &redis {
            deployment = deployment.with_queue(redis.url());
        }
        let data = deployment.data();
        let disks = Disk::mount(&data).and_then(|outer| Some([outer, Disk::mount(&data.join("tasks"))?]));
        let mut clock = Clock::in_file(deployment.path("clock"));
        let server = deployment.serve(&with_clock(clock.as_ref(), deployment.server(binaries::server())));
        if let Some(clock) = &mut clock {
            clock.remember(&server.process);
        }
        let (moments, workers) = (Moments::new(plan.seed), Vec::new());
        let (requests, tasks, codes) = (0, Vec::new(), Vec::new());
        Self { plan, workers, server, redis, scanners, requests, tasks, moments, clock, disks, codes, deployment }
    }

    /// The faults that can be made here, in the order of the seed.
    pub(crate) fn faults(&mut self) -> Vec<Fault> {
        let mut left = Fault::ALL.to_vec();
        let mut order = Vec::new();
        while let Some(fault) = self.moments.pick(&left) {
            left.retain(|other| *other != fault);
            order.push(fault);
        }
        order
    }

    /// A worker as the shipped binary runs, with times that fit an hour of minutes.
    pub(crate) fn worker(&self) -> Program {
        self.with_clock(self.deployment.program(binaries::worker(), &[]).args([
            "--poll-interval-seconds",
            "500ms",
            "--lease-seconds",
            "3s",
            "--circuit-open-seconds",
            "1s",
            "--circuit-open-max-seconds",
            "4s",
            "--health-check-interval-seconds",
            "2s",
        ]))
    }

    pub(crate) fn with_clock(&self, program: Program) -> Program {
        with_clock(self.clock.as_ref(), program)
    }

    pub(crate) fn start(&mut self, program: &Program) -> Process {
        let process = self.deployment.start(program);
        self.clock.iter_mut().for_each(|clock| clock.remember(&process));
        process
    }

    pub(crate) fn serve(&mut self, program: &Program) -> Server {
        let server = self.deployment.serve(program);
        self.clock.iter_mut().for_each(|clock| clock.remember(&server.process));
        server
    }

    /// Tells a process to end, and notes how it does.
    pub(crate) fn ended(&mut self, process: &mut Process) {
        self.codes.push(process.terminate());
    }

    /// Submits what runs and waits at first, starts the workers, and waits until the scanners are full.
    pub(crate) async fn fill(&mut self) {
        let submits = self.submit(self.server.mcp(), self.plan.running + self.plan.queued);
        self.receive(submits).await;
        for _ in 0..WORKERS {
            let worker = self.worker();
            let worker = self.start(&worker);
            self.workers.push(worker);
        }
        self.await_workers();
        let workers: Vec<_> = self.workers.iter().collect();
        until("the scanners are full", &workers, async || (self.running() >= self.plan.running).then_some(())).await;
    }

    /// Waits until all workers are at work: one that cannot even start may end.
    pub(crate) fn await_workers(&mut self) {
        for worker in &mut self.workers {
            worker.wait_for_log("worker started");
        }
    }

    /// Submits scans, as a client does that repeats what was refused.
    pub(crate) fn submit(&mut self, mcp: String, count: usize) -> JoinHandle<Vec<TaskId>> {
        let first = self.requests;
        self.requests += count;
        tokio::spawn(async move {
            let mut tasks = Vec::new();
            for number in first..first + count {
                tasks.push(submit(&mcp, number).await);
            }
            tasks
        })
    }

    /// Waits for the answers to such requests.
    pub(crate) async fn receive(&mut self, submits: JoinHandle<Vec<TaskId>>) {
        self.tasks.extend(submits.await.unwrap_or_else(|failed| panic!("{failed}")));
    }

    /// How many scans run on both scanners.
    pub(crate) fn running(&self) -> usize {
        self.scanners.iter().map(|scanner| usize::try_from(scanner.stats().running).unwrap_or(0)).sum()
    }

    /// How many tasks are completed, by their files.
    pub(crate) fn completed(&self) -> usize {
        let is_completed = |task: &&TaskId| {
            let path = self.deployment.data().join("tasks").join(task.as_str()).join("task.json");
            fs::read_to_string(path).is_ok_and(|text| text.contains("\"status\": \"completed\""))
        };
        self.tasks.iter().filter(is_completed).count()
    }

    /// The length of each log.
    pub(crate) fn log_sizes(&self) -> BTreeMap<PathBuf, usize> {
        files_below(&self.deployment.logs()).into_iter().map(|(path, text)| (path, text.len())).collect()
    }

    /// What was written to the logs since they had these lengths.
    pub(crate) fn logs_since(&self, sizes: &BTreeMap<PathBuf, usize>) -> String {
        let logs = files_below(&self.deployment.logs());
        let news = logs.iter().filter_map(|(path, text)| text.get(sizes.get(path).copied().unwrap_or(0)..));
        news.map(String::from_utf8_lossy).collect()
    }

    /// Waits until all is completed or nothing changes any more, ends the processes, and says what became of the tasks.
    pub(crate) async fn end(mut self) -> Verdict {
        let (mut last, mut since) = (self.completed(), Instant::now());
        while last < self.tasks.len() && since.elapsed() < self.plan.time + STANDSTILL {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.completed();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        for mut worker in std::mem::take(&mut self.workers) {
            self.ended(&mut worker);
        }
        self.codes.push(self.server.process.terminate());
        let verdict = Verdict::of(&self);
        if !verdict.is_clean() {
            self.keep_files();
        }
        verdict
    }

    /// Lets logs and data stay: they tell why a promise was broken.
    fn keep_files(&mut self) {
        self.deployment.keep_files(true);
        let (data, kept) = (self.deployment.data(), self.deployment.path("kept"));
        for (path, content) in files_below(&data) {
            let Ok(name) = path.strip_prefix(&data) else { continue };
            let _ = fs::create_dir_all(kept.join(name).parent().unwrap_or(&kept));
            let _ = durable::replace(&kept.join(name), &content);
        }
    }
}

impl Drop for Hour {
    fn drop(&mut self) {
        if thread::panicking() {
            self.keep_files();
        }
    }
}

fn with_clock(clock: Option<&Clock>, program: Program) -> Program {
    match clock {
        Some(clock) => clock.shown_to(program),
        None => program,
    }
}

fn scanners_yaml(scanners: &[SimulatedNessus; 2], slots: usize) -> String {
    let mut yaml = "nessus:\n".to_owned();
    for (number, scanner) in scanners.iter().enumerate() {
        let own = scanner.scanners_yaml();
        let entry: Vec<_> = own.lines().skip_while(|line| !line.trim_start().starts_with('-')).collect();
        let entry = entry.join("\n");
        let entry = entry.replace("instance_id: sim", &format!("instance_id: sim{number}"));
        yaml += &entry.replace("max_concurrent_scans: 2", &format!("max_concurrent_scans: {slots}"));
        yaml.push('\n');
    }
    yaml
}

async fn submit(mcp: &str, number: usize) -> TaskId {
    let attempt = async || -> Result<TaskId, ClientError> {
        let client = NessusMcpClient::connect(mcp).await?;
        let mut arguments = SubmitRequest::untrusted(format!("scan {number}"), format!("192.0.2.{}", number % 250 + 1));
        arguments.idempotency_key = IdempotencyKey::new(format!("key-{number}")).ok();
        Ok(client.submit_scan(&arguments).await?.task_id)
    };
    let began = Instant::now();
    while began.elapsed() < SUBMIT {
        if let Ok(Ok(task)) = tokio::time::timeout(ANSWER, attempt()).await {
            return task;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("scan {number} could not be submitted")
}
