//! A whole site: a simulated scanner, a server, and as many workers as a test wants, each a process of its own.
#![expect(clippy::missing_panics_doc, reason = "a test whose site does not answer cannot go on")]

use std::collections::BTreeMap;

use nessus_mcp_lib::{
    client::NessusMcpClient,
    credentials::Login,
    ids::TaskId,
    service::{SubmitRequest, TaskView},
    task::TaskStatus,
};

use crate::{
    binaries,
    deployment::{Deployment, Server},
    processes::{Process, Program, until},
    sim::{SentCredential, SimConfig, SimulatedNessus},
};

/// The processes share a data directory and a queue; the scanner lives in the test.
#[derive(Debug)]
pub struct Site {
    /// The scanner.
    pub sim: SimulatedNessus,
    /// The directory.
    pub deployment: Deployment,
    /// The server; it has no worker.
    pub server: Server,
    client: NessusMcpClient,
}

impl Site {
    /// A scanner of this configuration, and a server that knows it.
    ///
    /// The server makes no health checks unless it is told to, so that what the scanner counts is the workers' doing.
    pub async fn start(config: SimConfig) -> Self {
        let sim = SimulatedNessus::start_with(config).await;
        let deployment = Deployment::new(&sim.scanners_yaml());
        Self::start_with(sim, deployment, &[]).await
    }

    /// The same with this queue.
    pub async fn start_on(queue_url: &str, config: SimConfig) -> Self {
        let sim = SimulatedNessus::start_with(config).await;
        let deployment = Deployment::new(&sim.scanners_yaml()).with_queue(queue_url);
        Self::start_with(sim, deployment, &[]).await
    }

    /// A server with more arguments, on a deployment that a test has prepared.
    pub async fn start_with(sim: SimulatedNessus, deployment: Deployment, arguments: &[&str]) -> Self {
        let server = deployment.server(binaries::server()).args(arguments);
        Self::start_as(sim, deployment, server).await
    }

    /// This server, on a deployment that a test has prepared.
    pub async fn start_as(sim: SimulatedNessus, deployment: Deployment, server: Program) -> Self {
        let server = deployment.serve(&unchecked(server));
        let client = connect(&server).await;
        Self { sim, deployment, server, client }
    }

    /// Kills the server, unless it is dead already, and starts another one on the same data.
    pub async fn restart_server(&mut self) {
        self.restart_server_as(|server| server).await;
    }

    /// The same with a server of other arguments.
    pub async fn restart_server_as(&mut self, change: impl FnOnce(Program) -> Program) {
        if self.server.process.is_running() {
            self.server.process.kill();
        }
        self.server = self.deployment.serve(&unchecked(change(self.deployment.server(binaries::server()))));
        self.client = connect(&self.server).await;
    }

    /// Starts a worker that looks often at its scans, with more arguments.
    pub fn start_worker(&self, arguments: &[&str]) -> Process {
        let worker = self.deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]);
        self.deployment.start(&worker.args(arguments))
    }

    /// Submits a scan.
    pub async fn submit(&self, name: &str, targets: &str) -> TaskId {
        let submitted = self.client.submit_scan(&SubmitRequest::untrusted(name, targets)).await;
        match submitted {
            Ok(submission) => submission.task_id,
            Err(error) => panic!("the submit of `{name}` failed: {error}\n{}", self.server.process.tail()),
        }
    }

    /// Submits a scan that logs in.
    pub async fn submit_trusted(&self, name: &str, targets: &str, login: &Login) -> TaskId {
        match self.client.submit_scan(&SubmitRequest::trusted(name, targets, login.clone())).await {
            Ok(submission) => submission.task_id,
            Err(error) => panic!("the submit of `{name}` failed: {error}\n{}", self.server.process.tail()),
        }
    }

    /// Whether a login is kept for a task.
    pub fn keeps_login(&self, task: &TaskId) -> bool {
        self.deployment.keeps_login(task)
    }

    /// What the scanner was sent for the scan of a task to log in with.
    pub fn credentials_of(&self, task: &TaskId) -> Vec<SentCredential> {
        let all = self.sim.stats().credentials.into_iter();
        all.filter(|(scan, _)| scan.contains(task.as_str())).flat_map(|(_, credentials)| credentials).collect()
    }

    /// The client of this server.
    pub fn client(&self) -> &NessusMcpClient {
        &self.client
    }

    /// Where a task stands.
    pub async fn view(&self, task: &TaskId) -> TaskView {
        match self.client.get_status(task).await {
            Ok(view) => view,
            Err(error) => panic!("the status of {task} cannot be read: {error}\n{}", self.server.process.tail()),
        }
    }

    /// Waits until a task has ended; `workers` are those whose logs tell why it did not.
    pub async fn ended(&self, task: &TaskId, workers: &[&Process]) -> TaskView {
        let processes: Vec<_> = workers.iter().copied().chain([&self.server.process]).collect();
        until(&format!("{task} has ended"), &processes, async || {
            let view = self.view(task).await;
            view.status.is_terminal().then_some(view)
        })
        .await
    }

    /// Waits until a task has ended, and sees to it that it is complete.
    pub async fn completed(&self, task: &TaskId, workers: &[&Process]) -> TaskView {
        let view = self.ended(task, workers).await;
        let tails: String = workers.iter().map(|process| process.tail()).collect();
        assert_eq!(view.status, TaskStatus::Completed, "{view:?}\n{tails}");
        view
    }

    /// Waits until the scanner runs as many scans.
    pub async fn running(&self, scans: u64, workers: &[&Process]) {
        until(&format!("the scanner runs {scans} scans"), workers, async || {
            (self.sim.stats().running == scans).then_some(())
        })
        .await;
    }

    /// Waits until the queue has nothing to do but dead letters. A task's file is written before its queue is told.
    pub async fn queue_is_empty(&self, workers: &[&Process]) {
        until("the queue is empty", workers, async || {
            let queue = self.client.get_queue_status(None).await.ok()?;
            queue.pools.iter().all(|pool| pool.queued + pool.delayed + pool.leased == 0).then_some(())
        })
        .await;
    }

    /// Every scan was created and launched exactly once, and there are as many as tasks.
    pub fn each_scan_ran_once(&self, tasks: usize) {
        let stats = self.sim.stats();
        let once = |counts: &BTreeMap<String, u64>| counts.len() == tasks && counts.values().all(|count| *count == 1);
        assert!(once(&stats.creates) && once(&stats.launches), "{tasks} tasks: {stats:#?}");
    }
}

/// An argument overrides this.
fn unchecked(server: Program) -> Program {
    server.env("HEALTH_CHECK_INTERVAL_SECONDS", "0")
}

async fn connect(server: &Server) -> NessusMcpClient {
    match NessusMcpClient::connect(&server.mcp()).await {
        Ok(client) => client,
        Err(error) => panic!("{error}\n{}", server.process.tail()),
    }
}
