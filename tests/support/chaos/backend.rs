//! The queue under test, as a server that can be killed and emptied where there is one.

use std::{
    fmt, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::Fault;
use crate::{
    deployment::Deployment,
    processes::{PATIENCE, Process, Program},
};

/// Which queue the processes of a run share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendKind {
    /// The embedded queue in the data directory; where the tasks are in a bucket, the Redis beside that, which stays.
    Sqlite,
    /// A `redis-server` of our own, with an append-only file that is synced at every write.
    Redis,
}

impl BackendKind {
    /// What can be done to a site with this queue.
    pub fn faults(self) -> &'static [Fault] {
        match self {
            Self::Sqlite => &Fault::ALL[..3],
            Self::Redis => &Fault::ALL,
        }
    }

    /// Reads `sqlite` or `redis`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Sqlite, Self::Redis].into_iter().find(|kind| kind.to_string() == text)
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
        })
    }
}

/// The server behind the queue, if it has one.
#[derive(Debug)]
pub(super) struct RedisServer {
    process: Process,
    port: u16,
}

impl RedisServer {
    /// A server with its files and logs in the deployment's directory.
    pub(super) fn start(deployment: &Deployment) -> Self {
        // Another process may take the port before the server does: then the next one is tried.
        for _ in 0..20 {
            let port = free_port();
            let mut process = launch(deployment, port);
            if answers(&mut process, port) {
                return Self { process, port };
            }
        }
        panic!("no redis-server could be started");
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// `kill -9`, a pause, and a start on what is on the disk: everything, or nothing when it is to be emptied.
    pub(super) fn strike(&mut self, deployment: &Deployment, fault: Fault, pause: Duration) {
        self.process.kill();
        if fault == Fault::RedisEmptied {
            let files = deployment.path("redis");
            fs::remove_dir_all(&files).unwrap_or_else(|error| panic!("{}: {error}", files.display()));
        }
        thread::sleep(pause);
        self.process = launch(deployment, self.port);
        assert!(answers(&mut self.process, self.port), "redis does not start again\n{}", self.process.tail());
    }
}

fn launch(deployment: &Deployment, port: u16) -> Process {
    let files = deployment.path("redis");
    fs::create_dir_all(&files).unwrap_or_else(|error| panic!("{}: {error}", files.display()));
    let server = Program::new("redis-server").current_dir(&files).args(["--port", &port.to_string()]);
    deployment.start(&server.args([
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ]))
}

/// Waits until the server listens with its data loaded; `false` when it ends before.
fn answers(process: &mut Process, port: u16) -> bool {
    let began = Instant::now();
    while process.is_running() {
        if process.stdout().contains("Ready to accept connections")
            && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        {
            return true;
        }
        assert!(began.elapsed() < PATIENCE, "redis does not answer\n{}", process.tail());
        thread::sleep(Duration::from_millis(5));
    }
    false
}

fn free_port() -> u16 {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.unwrap_or_else(|error| panic!("no free port: {error}")).port()
}
