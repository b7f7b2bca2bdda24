//! The processes of a fleet.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{Plan, redis::Redis};
use crate::{
    binaries,
    deployment::{Deployment, Server},
    processes::{PATIENCE, Process, Program},
    proxy::Proxy,
    s3::{BUCKET, S3Process},
    sim::SimulatedNessus,
};

/// What the logins of tasks are sealed with, by all processes.
const SECRET_KEY: &str = "5ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4";
/// Long enough for a busy machine, short enough that what a killed worker held goes on.
const LEASE: &str = "5s";
/// How many scans a scanner runs at a time.
const AT_ONCE: usize = 20;
/// The exit code of a process that could not reach queue or store when it started; whoever runs it starts it again.
const AWAY: i32 = 69;
/// How often a process is started before the run is over.
const STARTS: usize = 60;

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    deployment: Deployment,
    pub(super) redis: Redis,
    pub(super) s3: S3Process,
    /// The way to the S3 server.
    pub(super) proxy: Proxy,
    servers: Vec<Server>,
    workers: Vec<Process>,
    /// Processes that were started again because they had ended with [`AWAY`].
    pub(super) started_again: usize,
}

impl Stage {
    pub(super) fn start(plan: &Plan, scanners: &[SimulatedNessus]) -> Self {
        let redis = Redis::start(plan.redis);
        let mut deployment = Deployment::new(&scanners_yaml(scanners)).with_queue(redis.url());
        // Also when this panics: what was written tells why.
        deployment.keep_files(true);
        let s3 = S3Process::start(&deployment.logs().join("s3.log"));
        let proxy = Proxy::to(s3.port());
        let mut stage =
            Self { deployment, redis, s3, proxy, servers: Vec::new(), workers: Vec::new(), started_again: 0 };
        for number in 0..plan.servers {
            let server = stage.start_server(number, "127.0.0.1:0");
            stage.servers.push(server);
        }
        for number in 0..plan.workers {
            let worker = stage.start_worker(number);
            stage.workers.push(worker);
        }
        stage
    }

    pub(super) fn directory(&self) -> &Path {
        self.deployment.directory()
    }

    /// The MCP endpoints of the servers; they stay the same.
    pub(super) fn servers(&self) -> Vec<String> {
        self.servers.iter().map(Server::mcp).collect()
    }

    pub(super) fn worker_count(&self) -> usize {
        self.workers.len()
    }

    pub(super) fn server_count(&self) -> usize {
        self.servers.len()
    }

    /// `kill -9` of a worker, and a new one on what it has left on its machine.
    pub(super) fn kill_worker(&mut self, number: usize) {
        self.workers[number].kill();
        self.workers[number] = self.start_worker(number);
    }

    /// `kill -9` of a server, and a new one on the same address.
    pub(super) fn kill_server(&mut self, number: usize) {
        self.servers[number].process.kill();
        let address = self.servers[number].url().trim_start_matches("http://").to_owned();
        self.servers[number] = self.start_server(number, &address);
    }

    /// Starts those again that have ended because queue or store were away; the others must run.
    pub(super) fn supervise(&mut self) -> Result<(), String> {
        for number in 0..self.workers.len() {
            if may_be_started_again(&mut self.workers[number])? {
                self.started_again += 1;
                self.workers[number] = self.start_worker(number);
            }
        }
        for number in 0..self.servers.len() {
            if may_be_started_again(&mut self.servers[number].process)? {
                self.started_again += 1;
                let address = self.servers[number].url().trim_start_matches("http://").to_owned();
                self.servers[number] = self.start_server(number, &address);
            }
        }
        Ok(())
    }

    /// A binary with a data directory of its own, which it shares with nobody.
    fn program(&self, binary: &Path, subcommand: &[&str], machine: &str) -> Program {
        let data: PathBuf = self.deployment.path(machine);
        let program = Program::new(binary).args(subcommand).arg("--data-dir").arg(data);
        let program = program.arg("--scanner-config").arg(self.deployment.scanners_yaml());
        let program = program.env("QUEUE_URL", self.deployment.queue_url());
        let program = program.env("DATA_URL", format!("s3://{BUCKET}/fleet")).env("NESSUS_MCP_SECRET_KEY", SECRET_KEY);
        S3Process::environment(self.proxy.port())
            .into_iter()
            .fold(program, |program, (name, value)| program.env(name, value))
    }

    fn start_worker(&self, number: usize) -> Process {
        let worker =
            self.program(binaries::worker(), &["--poll-interval-seconds", "200ms"], &format!("worker-{number}"));
        self.deployment.start(&worker.args(["--lease-seconds", LEASE]))
    }

    fn start_server(&self, number: usize, address: &str) -> Server {
        let server = self.program(binaries::server(), &["serve"], &format!("server-{number}"));
        let server = server.args(["--mcp-bind", address]);
        for _ in 0..STARTS {
            let mut process = self.deployment.start(&server);
            if listens(&mut process) {
                return Server::of(process);
            }
            assert_eq!(process.wait().code(), Some(AWAY), "a server does not start\n{}", process.tail());
            thread::sleep(Duration::from_millis(100));
        }
        panic!("a server does not start, although it was tried {STARTS} times")
    }

    /// Tells workers and servers to stop, as an operator would; what they have done wrong meanwhile.
    pub(super) fn stop(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        for worker in &mut self.workers {
            // Before it says so, SIGTERM kills it like any process.
            while worker.is_running() && !worker.log().contains("worker started") {
                thread::sleep(Duration::from_millis(10));
            }
        }
        let servers = self.servers.iter_mut().map(|server| &mut server.process);
        for process in self.workers.iter_mut().chain(servers) {
            if !process.is_running() {
                wrong.extend(may_be_started_again(process).err());
                continue;
            }
            match process.terminate() {
                Some(0 | AWAY) => {}
                code => {
                    wrong.push(format!("a process ended with {code:?} when it was told to stop\n{}", process.tail()));
                }
            }
        }
        wrong
    }

    /// Housekeeping by an operator, a week later by the clock of the store.
    pub(super) fn clean_up(&self) -> Result<(), String> {
        self.s3.age(7 * 24 * 3600);
        let admin = self.program(binaries::admin(), &["housekeeping", "run", "--yes"], "admin");
        let ended = admin.run();
        if ended.code == Some(0) { Ok(()) } else { Err(format!("housekeeping has failed: {ended:?}")) }
    }

    /// Lets the files of the run go with it.
    pub(super) fn forget_files(&mut self) {
        self.deployment.keep_files(false);
    }
}

/// Waits until a server listens; `false` when it ends before.
fn listens(process: &mut Process) -> bool {
    let began = Instant::now();
    while process.is_running() {
        if process.stdout().contains("listening on ") {
            return true;
        }
        assert!(began.elapsed() < PATIENCE, "a server does not listen\n{}", process.tail());
        thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Whether a process has ended because queue or store were away.
///
/// # Errors
/// When it has ended for another reason.
fn may_be_started_again(process: &mut Process) -> Result<bool, String> {
    if process.is_running() {
        return Ok(false);
    }
    match process.wait().code() {
        Some(AWAY) => Ok(true),
        code => Err(format!("a process ended with {code:?}, and nobody had killed it\n{}", process.tail())),
    }
}

fn scanners_yaml(scanners: &[SimulatedNessus]) -> String {
    let mut text = "nessus:\n".to_owned();
    for (number, scanner) in scanners.iter().enumerate() {
        let one = scanner.scanners_yaml().replace("nessus:\n", "");
        let one = one.replace("instance_id: sim", &format!("instance_id: sim{number}"));
        text += &one.replace("max_concurrent_scans: 2", &format!("max_concurrent_scans: {AT_ONCE}"));
    }
    text
}
