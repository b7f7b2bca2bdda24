//! A data directory, a `scanners.yaml`, and the processes that share them.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its deployment cannot go on")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nessus_mcp_lib::{durable, ids::TaskId, task::Task};
use tempfile::TempDir;

use crate::{
    bucket::Bucket,
    processes::{Process, Program, entries},
};

/// The policy that lies in the directory of a deployment.
pub const BY_POLICY: [&str; 2] = ["--policy-config", "policy.yaml"];

/// A scanner that is not there, for commands that need none.
const NO_SCANNERS: &str = "nessus: [{instance_id: sim, type: nessus, name: none, url: 'http://127.0.0.1:9', username: nobody, \
                          password: nothing, enabled: false, max_concurrent_scans: 1}]\n";

/// A fresh directory with a `scanners.yaml`, `data/` (made by the processes) and `logs/`. It is removed when dropped. In
/// [`in_buckets`](crate::bucket::in_buckets) its tasks are in a bucket.
#[derive(Debug)]
pub struct Deployment {
    directory: TempDir,
    started: AtomicUsize,
    queue_url: Option<String>,
    bucket: Option<Arc<Bucket>>,
}

impl Deployment {
    /// A deployment with this `scanners.yaml`.
    pub fn new(scanners: &str) -> Self {
        Self::with_bucket(scanners, Bucket::for_deployment())
    }

    /// Another deployment on this bucket and its queue, without a scanner that answers.
    pub(crate) fn on_bucket(bucket: &Arc<Bucket>) -> Self {
        Self::with_bucket(NO_SCANNERS, Some(Arc::clone(bucket)))
    }

    fn with_bucket(scanners: &str, bucket: Option<Arc<Bucket>>) -> Self {
        let queue_url = bucket.as_ref().map(|bucket| bucket.redis.url());
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let deployment = Self { directory, started: AtomicUsize::new(0), queue_url, bucket };
        let made = durable::create_directory(&deployment.logs());
        made.unwrap_or_else(|error| panic!("cannot create {}: {error}", deployment.logs().display()));
        deployment.configure(scanners);
        deployment
    }

    /// The same deployment with another queue than the embedded one. A bucket keeps its own.
    #[must_use]
    pub fn with_queue(mut self, url: impl Into<String>) -> Self {
        if self.bucket.is_none() {
            self.queue_url = Some(url.into());
        }
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
        let program = match &self.queue_url {
            // A flag would show the password to everybody who lists the processes.
            Some(url) => program.env("QUEUE_URL", url),
            None => program,
        };
        match &self.bucket {
            Some(bucket) => bucket.used_by(program),
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

    /// The bucket, if its tasks are in one.
    pub fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_deref()
    }

    /// What stands in a file of the place where the tasks are, such as `archive/{task_id}.json`; `None` when there is none.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        match &self.bucket {
            Some(bucket) => bucket.objects().remove(name).map(Vec::from),
            None => std::fs::read(self.data().join(name)).ok(),
        }
    }

    /// Replaces a file there.
    pub fn write_file(&self, name: &str, content: &[u8]) {
        let written = match &self.bucket {
            Some(bucket) => return bucket.put(name, content.to_vec()),
            None => durable::replace(&self.data().join(name), content),
        };
        written.unwrap_or_else(|error| panic!("cannot write {name}: {error}"));
    }

    /// Removes everything the queue knows; nobody may use it meanwhile.
    pub fn lose_queue(&self) {
        if let Some(bucket) = &self.bucket {
            let _ = bucket.redis.ask(&["FLUSHALL"]);
            return;
        }
        for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            // The others vanish with the last who had it open.
            let _ = std::fs::remove_file(self.data().join(file));
        }
    }

    /// The names of the task directories.
    pub fn task_directories(&self) -> Vec<String> {
        let Some(bucket) = &self.bucket else {
            let names = entries(&self.data().join("tasks")).into_iter();
            return names.map(|name| name.to_string_lossy().into_owned()).collect();
        };
        let objects = bucket.objects();
        let name = |key: &String| key.strip_prefix("tasks/")?.split('/').next().map(str::to_owned);
        let names: BTreeSet<_> = objects.keys().filter_map(name).collect();
        names.into_iter().collect()
    }

    /// Whether a login is kept for a task: beside its file, or in it.
    pub fn keeps_login(&self, id: &TaskId) -> bool {
        self.file(&format!("tasks/{id}/credential.sealed")).is_some()
            || self.task(id).extra.contains_key("sealed_login")
    }

    /// What stands in a task's file now.
    pub fn task(&self, id: &TaskId) -> Task {
        let name = format!("tasks/{id}/task.json");
        let text = self.file(&name).unwrap_or_else(|| panic!("cannot read {name}"));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
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
