//! A data directory, a `scanners.yaml`, and the processes that share them.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its deployment cannot go on")]

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use nessus_mcp_lib::{durable, ids::TaskId, task::Task};
use tempfile::TempDir;

use crate::processes::{Process, Program, entries};

/// The policy that lies in the directory of a deployment.
pub const BY_POLICY: [&str; 2] = ["--policy-config", "policy.yaml"];

/// A fresh directory with a `scanners.yaml`, `data/` (made by the processes) and `logs/`. It is removed when dropped.
#[derive(Debug)]
pub struct Deployment {
    directory: TempDir,
    started: AtomicUsize,
    queue_url: Option<String>,
}

impl Deployment {
    /// A deployment with this `scanners.yaml`.
    pub fn new(scanners: &str) -> Self {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let deployment = Self { directory, started: AtomicUsize::new(0), queue_url: None };
        let made = durable::create_directory(&deployment.logs());
        made.unwrap_or_else(|error| panic!("cannot create {}: {error}", deployment.logs().display()));
        deployment.configure(scanners);
        deployment
    }

    /// The same deployment with another queue than the embedded one.
    #[must_use]
    pub fn with_queue(mut self, url: impl Into<String>) -> Self {
        self.queue_url = Some(url.into());
        self
    }

    /// The same deployment on this queue, or on the embedded one.
    #[must_use]
    pub fn on_queue(self, url: Option<&str>) -> Self {
        match url {
            Some(url) => self.with_queue(url),
            None => self,
        }
    }

    /// The queue of the processes.
    pub fn queue_url(&self) -> String {
        let embedded = || format!("sqlite:{}", self.data().join("queue.db").display());
        self.queue_url.clone().unwrap_or_else(embedded)
    }

    /// Lets the directory stay when this is dropped, or not: what a failing run has written tells why.
    pub fn keep_files(&mut self, keep: bool) {
        self.directory.disable_cleanup(keep);
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Replaces `scanners.yaml`.
    pub fn configure(&self, scanners: &str) {
        let path = self.scanners_yaml();
        let written = durable::replace(&path, scanners.as_bytes());
        written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }

    /// Where `path` is in this deployment.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The scanner configuration.
    pub fn scanners_yaml(&self) -> PathBuf {
        self.path("scanners.yaml")
    }

    /// The standard errors of all processes started here.
    pub fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    /// A binary that uses this deployment; a subcommand stands before the flags.
    pub fn program(&self, binary: &Path, subcommand: &[&str]) -> Program {
        let program = Program::new(binary).args(subcommand).current_dir(self.directory.path());
        let program = program.arg("--data-dir").arg(self.data()).arg("--scanner-config").arg(self.scanners_yaml());
        match &self.queue_url {
            // A flag would show the password to everybody who lists the processes.
            Some(url) => program.env("QUEUE_URL", url),
            None => program,
        }
    }

    /// `serve` on a free port of loopback.
    pub fn server(&self, binary: &Path) -> Program {
        self.program(binary, &["serve"]).args(["--mcp-bind", "127.0.0.1:0"])
    }

    /// Starts a program with its standard error in a file of its own under [`logs`](Self::logs).
    pub fn start(&self, program: &Program) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        program.start(&self.logs().join(format!("{number:02}.log")))
    }

    /// Starts a server and waits until it listens.
    pub fn serve(&self, program: &Program) -> Server {
        Server::of(self.start(program))
    }

    /// The names of the task directories.
    pub fn task_directories(&self) -> Vec<String> {
        let names = entries(&self.data().join("tasks")).into_iter();
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// What stands in a task's file now.
    pub fn task(&self, id: &TaskId) -> Task {
        let path = self.data().join("tasks").join(id.as_str()).join("task.json");
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// A running `nessus-mcp-server serve`.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub process: Process,
    url: String,
}

impl Server {
    /// A process that was started as a server: waits until it listens.
    pub fn of(process: Process) -> Self {
        let url = process.wait_for_line("the line with its address", |line| {
            line.strip_prefix("listening on ")?.strip_suffix("/mcp").map(str::to_owned)
        });
        Self { process, url }
    }

    /// The base URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The MCP endpoint.
    pub fn mcp(&self) -> String {
        format!("{}/mcp", self.url)
    }
}
