//! That housekeeping is done once, however many workers there are: whoever leads holds the only slot of a scanner that does not
//! exist, so the queue keeps the lease as it keeps those of scans.

use std::{sync::Arc, time::Duration};

use tracing::debug;

use crate::{
    error::chain,
    ids::{InstanceId, PoolName, TaskId},
    queue::{Queue, QueueError, SlotOutcome},
    time::{BootInstant, Timestamp},
};

/// No pool should be called so.
const POOL: &str = "nessus-mcp.housekeeping";
const INSTANCE: &str = "leader";
/// How long the lead lasts without being renewed: longer than a step takes, such as to read an export of gigabytes.
const LEASE: Duration = Duration::from_secs(180);
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(30);

/// The lead, until it is let go, or lost.
#[derive(Debug)]
pub(super) struct Lead {
    queue: Arc<dyn Queue>,
    slot: (PoolName, InstanceId),
    /// By what the queue knows it: another one each time.
    holder: TaskId,
    renewed: BootInstant,
}

impl Lead {
    /// Takes the lead; `None` when somebody else has it.
    pub(super) async fn take(queue: &Arc<dyn Queue>, now: Timestamp) -> Result<Option<Self>, QueueError> {
        let (Ok(pool), Ok(instance)) = (PoolName::new(POOL), InstanceId::new(INSTANCE)) else { return Ok(None) };
        let holder = TaskId::generate("housekeeping", INSTANCE, now);
        let mut lead = Self { queue: Arc::clone(queue), slot: (pool, instance), holder, renewed: BootInstant::now() };
        Ok(lead.renew().await?.then_some(lead))
    }

    /// Whether it is still ours. Asked before each removal, and now and then.
    pub(super) async fn stands(&mut self) -> Result<bool, QueueError> {
        if self.renewed.elapsed() < RENEW_EVERY { Ok(true) } else { self.renew().await }
    }

    async fn renew(&mut self) -> Result<bool, QueueError> {
        let asked = BootInstant::now();
        let (pool, instance) = &self.slot;
        let outcome = self.queue.acquire_slot(pool, instance, &self.holder, 1, LEASE).await?;
        self.renewed = asked;
        Ok(outcome == SlotOutcome::Acquired)
    }

    /// Lets it go, so that nobody has to wait for its end.
    pub(super) async fn let_go(self) {
        let (pool, instance) = &self.slot;
        if let Err(error) = self.queue.release_slot(pool, instance, &self.holder).await {
            debug!(error = chain(&error), "the lead of housekeeping ends with its lease");
        }
    }
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;
    use crate::{queue::sqlite::SqliteQueue, time::ManualClock};

    #[tokio::test]
    async fn one_leads_until_it_lets_go_or_its_lease_ends() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_764_599_422_000);
        let clock = ManualClock::new(now);
        let queue = SqliteQueue::open_with_clock(&directory.path().join("queue.db"), Arc::new(clock.clone())).unwrap();
        let queue: Arc<dyn Queue> = Arc::new(queue);
        let take = async || Lead::take(&queue, now).await.unwrap();
        let mut first = take().await.unwrap();
        assert!(take().await.is_none());
        assert!(first.renew().await.unwrap(), "its own lease does not keep it out");
        clock.advance(LEASE);
        let second = take().await.unwrap();
        assert!(!first.renew().await.unwrap(), "it has lost the lead");
        first.let_go().await;
        assert!(take().await.is_none(), "who has lost the lead takes it from nobody");
        second.let_go().await;
        assert!(take().await.is_some());
    }
}
