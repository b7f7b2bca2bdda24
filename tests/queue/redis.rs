//! One server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nessus_mcp_lib::{
    Queue, ids::PoolName, queue::redis::RedisQueue, secret::Secret, testing::queue_conformance::QueueHarness,
};
use nessus_mcp_tests::redis::RedisServer;

/// Asks through two open queues in turn, as two processes would.
pub(crate) struct RedisHarness {
    server: RedisServer,
    queues: [Arc<RedisQueue>; 2],
    turn: AtomicUsize,
}

impl RedisHarness {
    pub(crate) async fn on(server: RedisServer) -> Self {
        let open = async || Arc::new(RedisQueue::open(&Secret::new(server.url())).await.unwrap());
        let queues = [open().await, open().await];
        Self { server, queues, turn: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl QueueHarness for RedisHarness {
    fn queue(&self) -> Arc<dyn Queue> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&self.queues[turn % 2]) as Arc<dyn Queue>
    }

    async fn let_pass(&self, time: Duration) {
        // A server counts whole milliseconds.
        tokio::time::sleep(time + Duration::from_millis(2)).await;
    }

    async fn push_raw(&self, pool: &PoolName, text: &str) {
        self.server.ask(&["LPUSH", &format!("{pool}:queue"), text]).number();
    }

    async fn wipe(&self) {
        assert_eq!(self.server.ask(&["FLUSHALL"]).text(), "OK");
    }
}

mod conformance {
    use super::*;

    nessus_mcp_lib::queue_conformance_tests!(RedisHarness::on(RedisServer::start()));
}
