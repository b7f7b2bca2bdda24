//! The queue of a fleet: a cluster, or a master with a replica and a sentinel.

use std::{fmt, thread, time::Duration};

use crate::redis_groups::{RedisCluster, RedisWithSentinel};

/// A key of the queue; its hash tag says on which node of a cluster the queue is.
const QUEUE: &str = "{nessus}:queue";

/// How the Redis servers belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisKind {
    /// Three primaries that share the slots, each with an append-only file that is synced at every write.
    Cluster,
    /// A master and a replica that keep nothing on their disks, and a sentinel.
    Sentinel,
}

impl RedisKind {
    /// Reads `cluster` or `sentinel`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Cluster, Self::Sentinel].into_iter().find(|kind| kind.to_string() == text)
    }
}

impl fmt::Display for RedisKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::Sentinel => "sentinel",
        })
    }
}

/// The running servers.
#[derive(Debug)]
pub(super) enum Redis {
    Cluster(RedisCluster),
    Sentinel(Box<RedisWithSentinel>),
}

impl Redis {
    pub(super) fn start(kind: RedisKind) -> Self {
        match kind {
            RedisKind::Cluster => Self::Cluster(RedisCluster::start()),
            RedisKind::Sentinel => Self::Sentinel(Box::new(RedisWithSentinel::start())),
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Cluster(cluster) => cluster.url(),
            Self::Sentinel(group) => group.url(),
        }
    }

    /// Kills the primary of the queue; returns when the queue is served again.
    pub(super) fn kill_primary(&mut self, away: Duration) {
        match self {
            Self::Cluster(cluster) => {
                let node = cluster.node_of(QUEUE);
                cluster.nodes[node].kill();
                thread::sleep(away);
                cluster.nodes[node].restart();
                cluster.wait_until_whole();
            }
            Self::Sentinel(group) => {
                let master = group.master();
                group.servers[master].kill();
                group.wait_until_replaced(master);
                group.servers[master].restart();
                group.wait_until_whole();
            }
        }
    }
}
