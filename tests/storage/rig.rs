//! A site whose tasks are in a bucket: scanner, queue and store live in the test; each process has a data directory of its own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nessus_mcp_lib::{client::NessusMcpClient, ids::TaskId, service::SubmitRequest, task::TaskStatus};
use nessus_mcp_tests::{
    binaries,
    deployment::{Deployment, Server},
    processes::{Finished, Process, Program, until},
    redis::RedisServer,
    s3::SimulatedS3,
    sim::{SimConfig, SimulatedNessus},
};

/// Where the tasks are.
pub(crate) const URL: &str = "s3://nessus/of/the/tests";

pub(crate) struct Rig {
    pub(crate) sim: SimulatedNessus,
    pub(crate) s3: SimulatedS3,
    pub(crate) redis: RedisServer,
    pub(crate) deployment: Deployment,
    /// Where the tasks are, for the processes that are started from now on.
    pub(crate) url: String,
    /// What their environment has beside, or in place of, what the store says.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
        let redis = RedisServer::start();
        let deployment = Deployment::new(&sim.scanners_yaml()).with_queue(redis.url());
        let s3 = SimulatedS3::start().await;
        Self { sim, s3, redis, deployment, url: URL.to_owned(), environment: Vec::new() }
    }

    /// The data directory of a process.
    pub(crate) fn machine(&self, name: &str) -> PathBuf {
        self.deployment.path(name)
    }

    pub(crate) fn program(&self, binary: &Path, subcommand: &[&str], machine: &str) -> Program {
        let program = Program::new(binary).args(subcommand).arg("--data-dir").arg(self.machine(machine));
        let program = program.arg("--scanner-config").arg(self.deployment.scanners_yaml());
        let program = program.env("DATA_URL", &self.url).env("QUEUE_URL", self.redis.url());
        let environment = self.s3.environment().into_iter().chain(self.environment.iter().cloned());
        environment.fold(program, |program, (name, value)| program.env(name, value))
    }

    /// A server of which a test counts the requests: it makes no health checks.
    pub(crate) fn server_program(&self) -> Program {
        let server = self.program(binaries::server(), &["serve"], "server").args(["--mcp-bind", "127.0.0.1:0"]);
        server.env("HEALTH_CHECK_INTERVAL_SECONDS", "0").env("HOUSEKEEPING_ENABLED", "false")
    }

    pub(crate) fn worker_program(&self) -> Program {
        let worker = self.program(binaries::worker(), &["--poll-interval-seconds", "50ms"], "worker");
        worker.env("HOUSEKEEPING_ENABLED", "false")
    }

    pub(crate) fn admin(&self, command: &[&str]) -> Finished {
        self.program(binaries::admin(), command, "admin").run()
    }

    pub(crate) fn serve(&self) -> Server {
        self.deployment.serve(&self.server_program())
    }

    pub(crate) fn work(&self) -> Process {
        self.deployment.start(&self.worker_program())
    }

    /// All objects whose keys contain this.
    pub(crate) fn keys_with(&self, part: &str) -> Vec<String> {
        self.s3.objects(nessus_mcp_tests::s3::BUCKET).into_keys().filter(|key| key.contains(part)).collect()
    }
}

pub(crate) async fn connect(server: &Server) -> NessusMcpClient {
    NessusMcpClient::connect(&server.mcp()).await.unwrap()
}

pub(crate) async fn submit(client: &NessusMcpClient, name: &str) -> TaskId {
    client.submit_scan(&SubmitRequest::untrusted(name, "192.0.2.1")).await.unwrap().task_id
}

/// Waits until a task is completed.
pub(crate) async fn completed(client: &NessusMcpClient, task: &TaskId, processes: &[&Process]) {
    until(&format!("{task} is completed"), processes, async || {
        let view = client.get_status(task).await.ok()?;
        assert!(!view.status.is_terminal() || view.status == TaskStatus::Completed, "{view:?}");
        view.status.is_terminal().then_some(())
    })
    .await;
}
