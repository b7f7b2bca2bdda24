//! The hosts that may be scanned on a day.

use serde_json::json;

use super::{ScanService, error::ServiceError};
use crate::{
    housekeeping::{self, day_is_full},
    policy::{PolicyMode, ScopeError},
    queue::{ChargeOutcome, HostCharge, QueueError},
    task::{ChargedHosts, Task},
    time::Timestamp,
};

/// How often a task is brought into a queue that loses its data meanwhile.
const TRIES: u32 = 3;

impl ScanService {
    /// What so many hosts count against today, if the policy limits a day. Nothing is charged yet.
    ///
    /// # Errors
    /// [`ScopeError::DayIsFull`] when there is no room for them, unless that is a dry run.
    pub(super) async fn charge_for(&self, hosts: u64) -> Result<Option<ChargedHosts>, ServiceError> {
        let policy = self.scope.policy();
        let Some(most) = policy.max_hosts_per_day() else { return Ok(None) };
        // A queue that has lost its data knows what is charged when it is rebuilt.
        self.index.ensure().await?;
        let day = self.queue_time().await?.utc_day();
        let used = self.queue.charged_hosts(HostCharge::ALL, &day).await?;
        let mut charged = ChargedHosts::new(day, hosts);
        charged.most = Some(most);
        if used.saturating_add(hosts) > most {
            let refused = day_is_full(&charged, used);
            if policy.mode() != PolicyMode::DryRun {
                return Err(refused.into());
            }
            charged.would_refuse = Some(refused.to_string());
        }
        charged.most = charged.most.filter(|_| policy.mode() != PolicyMode::DryRun);
        Ok(Some(charged))
    }

    /// Brings a task into the queue, and charges its hosts. Returns the refusal when the day has no room for them; then the
    /// task has ended.
    pub(super) async fn enqueue(&self, task: &Task) -> Result<Option<ScopeError>, ServiceError> {
        for _ in 0..TRIES {
            match housekeeping::enqueue(self.queue.as_ref(), task).await? {
                ChargeOutcome::Enqueued(_) => return Ok(None),
                ChargeOutcome::DayIsFull { used } => {
                    return Ok(housekeeping::withdraw(&self.tasks, self.queue.as_ref(), task, used).await?);
                }
                ChargeOutcome::Unbound => _ = self.index.ensure().await?,
            }
        }
        let (location, problem) = ("the queue".to_owned(), "it loses its data again and again".to_owned());
        Err(QueueError::Unavailable { location, problem, source: None }.into())
    }

    /// What is used of today's hosts, for `/health`; `None` where a day has no limit or the queue does not answer.
    pub(super) async fn hosts_today(&self) -> Option<serde_json::Value> {
        let limit = self.scope.policy().max_hosts_per_day()?;
        let now = self.queue_time().await.ok()?;
        let used = self.queue.charged_hosts(HostCharge::ALL, &now.utc_day()).await.ok()?;
        Some(json!({ "day": now.utc_day(), "used": used, "limit": limit, "next_day": now.end_of_utc_day() }))
    }

    /// The time of the queue's clock, which is one for all processes.
    async fn queue_time(&self) -> Result<Timestamp, QueueError> {
        Ok(self.queue.now().await?.unwrap_or_else(|| self.clock.now()))
    }
}
