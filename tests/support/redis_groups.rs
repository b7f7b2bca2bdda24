//! Redis servers that belong together: a cluster, and a master with a replica and a sentinel.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its servers cannot go on")]

use std::{
    thread,
    time::{Duration, Instant},
};

use nessus_mcp_lib::durable;
use tempfile::TempDir;

use crate::{
    processes::{Process, Program},
    redis::{Connection, DURABLE, FORGETFUL, RedisServer, Reply, free_port},
};

/// How long a group may take. A sentinel that is not woken up in time, as on a busy machine, does nothing for the next 30 s,
/// and that may happen more than once.
pub const GROUP_PATIENCE: Duration = Duration::from_secs(240);

/// Three primaries that share the slots.
#[derive(Debug)]
pub struct RedisCluster {
    /// The primaries.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the servers and makes a cluster of them.
    pub fn start() -> Self {
        let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let nodes: Vec<_> = (0..3).map(|_| RedisServer::with(&[&DURABLE[..], &cluster].concat())).collect();
        let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port()));
        let create = Program::new("redis-cli").args(["--cluster", "create"]).args(addresses).arg("--cluster-yes").run();
        assert_eq!(create.code, Some(0), "{create:?}");
        let cluster = Self { nodes };
        cluster.wait_until_whole();
        cluster
    }

    /// Waits until every node knows that all slots are served.
    pub fn wait_until_whole(&self) {
        for node in &self.nodes {
            wait_until("the cluster is whole", &node.process, || {
                node.ask(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok")
            });
        }
    }

    /// A URL that names two of the nodes.
    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", self.nodes[0].port(), self.nodes[1].port())
    }

    /// The node that serves a key.
    pub fn node_of(&self, key: &str) -> usize {
        let serves = |node: &RedisServer| !matches!(node.ask(&["TYPE", key]), Reply::Error(_));
        self.nodes.iter().position(serves).unwrap_or_else(|| panic!("no node serves {key}"))
    }

    /// The reply of the node that serves a key.
    pub fn ask(&self, key: &str, command: &[&str]) -> Reply {
        self.nodes[self.node_of(key)].ask(command)
    }
}

/// Two servers, one of which is the master, and a sentinel that changes that when it dies.
#[derive(Debug)]
pub struct RedisWithSentinel {
    /// The servers; the first is the master at the beginning.
    pub servers: [RedisServer; 2],
    sentinel: Process,
    sentinel_port: u16,
    _directory: TempDir,
}

impl RedisWithSentinel {
    /// Starts them and waits until they know each other.
    pub fn start() -> Self {
        let master = RedisServer::with(&FORGETFUL);
        let port = master.port().to_string();
        let replica = RedisServer::with(&[&FORGETFUL[..], &["--replicaof", "127.0.0.1", &port]].concat());
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let (sentinel_port, configuration) = (free_port(), directory.path().join("sentinel.conf"));
        let text = format!(
            "port {sentinel_port}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n"
        );
        let written = durable::replace(&configuration, text.as_bytes());
        written.unwrap_or_else(|error| panic!("{}: {error}", configuration.display()));
        let sentinel = Program::new("redis-server").arg(configuration).arg("--sentinel").current_dir(directory.path());
        let sentinel = sentinel.start(&directory.path().join("sentinel.log"));
        let group = Self { servers: [master, replica], sentinel, sentinel_port, _directory: directory };
        wait_until("the sentinel knows the replica", &group.sentinel, || {
            let Ok(mut sentinel) = Connection::open(sentinel_port) else { return false };
            matches!(sentinel.ask(&["SENTINEL", "REPLICAS", "mymaster"]), Reply::List(replicas) if replicas.len() == 1)
        });
        wait_until("the replica has the master's data", &group.sentinel, || {
            group.servers[1].ask(&["INFO", "replication"]).text().contains("master_link_status:up")
        });
        group
    }

    /// A URL that names a sentinel which is down, and then the one that runs.
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:9,127.0.0.1:{}/mymaster", self.sentinel_port)
    }

    /// Which of the servers the sentinel names as master.
    pub fn master(&self) -> usize {
        let mut sentinel = Connection::open(self.sentinel_port).unwrap_or_else(|error| panic!("{error}"));
        let address = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"]).texts();
        let is_named = |server: &RedisServer| server.port().to_string() == address[1];
        self.servers.iter().position(is_named).unwrap_or_else(|| panic!("{address:?} is none of the servers"))
    }

    /// Waits until the sentinel names another master than a server.
    pub fn wait_until_replaced(&self, server: usize) {
        wait_until("the sentinel names another master", &self.sentinel, || self.master() != server);
    }

    /// Waits until the server that the sentinel names is a master, and the other one its replica with the same data. On a busy machine
    /// the sentinel may find the master dead that lives, so which is which may change more than once.
    pub fn wait_until_whole(&self) {
        wait_until("master and replica agree", &self.sentinel, || {
            let master = self.master();
            let is = |server: usize, what: &str| {
                // A master that becomes a replica breaks off the connections of its clients.
                self.servers[server].try_ask(&["INFO", "replication"]).is_ok_and(|told| told.text().contains(what))
            };
            is(master, "role:master") && is(1 - master, "role:slave") && is(1 - master, "master_link_status:up")
        });
    }

    /// Tells the sentinel to make the replica the master, although the master is well.
    pub fn fail_over(&self) {
        wait_until("the sentinel agrees to a failover", &self.sentinel, || {
            let mut sentinel = Connection::open(self.sentinel_port).unwrap_or_else(|error| panic!("{error}"));
            matches!(sentinel.ask(&["SENTINEL", "FAILOVER", "mymaster"]), Reply::Text(_))
        });
    }
}

fn wait_until(what: &str, process: &Process, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < GROUP_PATIENCE, "waited in vain until {what}\n{}", process.tail());
        thread::sleep(Duration::from_millis(20));
    }
}
