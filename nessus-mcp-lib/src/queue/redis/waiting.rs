//! Waiting for work: woken by a marker where one command can wait for all pools, else by looking.

use std::time::Duration;

use redis::{Value, cmd};

use super::{RedisQueue, calls::LostReply, scripts};
use crate::{ids::PoolName, queue::error::QueueError};

/// The longest blocking command; many proxies cut connections that are silent for longer.
const LONGEST_BLOCK: Duration = Duration::from_secs(5);
/// How often a worker looks for work where it cannot be woken.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The pause of a waiting worker whose server does not answer.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

impl RedisQueue {
    /// Waits until there may be something to claim; returns early only then.
    pub(super) async fn wait(&self, pools: &[PoolName]) {
        loop {
            let waited = match self.next_due(pools).await {
                Ok(Some(Duration::ZERO)) => return,
                Ok(due) => self.wait_at_most(pools, due.unwrap_or(LONGEST_BLOCK).min(LONGEST_BLOCK)).await,
                Err(_) => None,
            };
            match waited {
                Some(true) => return,
                Some(false) => {}
                None => tokio::time::sleep(FAILURE_PAUSE).await,
            }
        }
    }

    /// Whether a marker was left within the time; `None` when the server failed.
    async fn wait_at_most(&self, pools: &[PoolName], time: Duration) -> Option<bool> {
        // Times below this are rounded to zero somewhere on the way, and zero is for ever.
        const SHORTEST_BLOCK: Duration = Duration::from_millis(50);
        if self.calls.is_cluster() || time < SHORTEST_BLOCK {
            tokio::time::sleep(time.min(LOOK_EVERY)).await;
            return Some(false);
        }
        let mut block = cmd("BLPOP");
        for pool in pools {
            block.arg(self.naming.companion(pool, "wake"));
        }
        block.arg(format!("{:.3}", time.as_secs_f64()));
        self.calls.block(&block, time).await.ok().map(|popped| popped != Value::Nil)
    }

    /// When there is something to claim from one of the pools; `None` when nothing is in sight.
    async fn next_due(&self, pools: &[PoolName]) -> Result<Option<Duration>, QueueError> {
        let mut earliest = None;
        for pool in pools {
            let due: i64 = self.calls.run(&self.script(&scripts::NEXT_DUE, pool, []), LostReply::Repeat).await?;
            let Ok(due) = u64::try_from(due) else { continue };
            let due = Duration::from_millis(due);
            earliest = Some(earliest.map_or(due, |earliest: Duration| earliest.min(due)));
        }
        Ok(earliest)
    }
}
