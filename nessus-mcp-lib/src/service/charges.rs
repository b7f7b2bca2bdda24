//! What a scan counts against limits: the hosts of a day, and those of the caller.

use serde_json::json;

use super::{ScanService, error::ServiceError};
use crate::{
    housekeeping::{self, day_is_full, limit_is_full},
    policy::{Limit, PolicyMode, Principal, ScopeError},
    queue::{Charge, ChargeOutcome, QueueError},
    task::{ChargedHosts, Charges, ClientCharge, Task},
    time::Timestamp,
};

/// How often a task is brought into a queue that loses its data meanwhile.
const TRIES: u32 = 3;

impl ScanService {
    /// What a scan of so many hosts counts against today and against the limits of the caller, if there are any. Nothing is charged
    /// yet. What counts against a day is left out for a scan that launches nothing.
    ///
    /// # Errors
    /// [`ScopeError::DayIsFull`] when there is no room for the hosts, unless that is a dry run, and [`ScopeError::ClientLimit`].
    pub(super) async fn charges_for(&self, hosts: u64, launches: bool) -> Result<Charges, ServiceError> {
        let policy = self.scope.policy();
        let rights = self.rights();
        let is_limited = |limit: &Limit| rights.most(*limit).is_some() && (launches || !limit.is_daily());
        let limits: Vec<_> = Limit::ALL.into_iter().filter(is_limited).collect();
        let most = policy.max_hosts_per_day().filter(|_| launches);
        if most.is_none() && limits.is_empty() {
            return Ok(Charges::default());
        }
        // A queue that has lost its data knows what is charged when it is rebuilt.
        self.index.ensure().await?;
        let day = self.queue_time().await?.utc_day();
        let mut client = Vec::new();
        for limit in limits {
            client.extend(self.client_charge(limit, hosts, &day).await?);
        }
        let mut charged = ChargedHosts::new(day, hosts);
        if let Some(most) = most {
            let used = self.queue.charged(Charge::ALL, Some(&charged.day)).await?;
            charged.most = Some(most);
            if used.saturating_add(hosts) > most {
                let refused = day_is_full(&charged, used);
                if policy.mode() != PolicyMode::DryRun {
                    return Err(refused.into());
                }
                charged.would_refuse = Some(refused.to_string());
            }
            charged.most = charged.most.filter(|_| policy.mode() != PolicyMode::DryRun);
        }
        Ok(Charges { hosts: Some(charged), client })
    }

    /// What a scan counts against a limit of the caller.
    async fn client_charge(&self, limit: Limit, hosts: u64, day: &str) -> Result<Option<ClientCharge>, ServiceError> {
        let Some(Principal { name, rights, .. }) = self.caller() else { return Ok(None) };
        let Some(most) = rights.most(limit) else { return Ok(None) };
        let charged = ClientCharge {
            attempt: 1,
            principal: name.to_string(),
            limit,
            day: limit.is_daily().then(|| day.to_owned()),
            amount: if limit == Limit::HostsPerDay { hosts } else { 1 },
            most,
        };
        let scope = housekeeping::scope_of(limit, name);
        for is_last in [false, true] {
            let used = self.queue.charged(&scope, charged.day.as_deref()).await?;
            if used.saturating_add(charged.amount) <= most {
                break;
            }
            if is_last || limit.is_daily() || !self.free_ended(name).await? {
                return Err(limit_is_full(&charged, used).into());
            }
        }
        Ok(Some(charged))
    }

    /// Gives back what scans of a principal still count that have ended, if there are any.
    async fn free_ended(&self, principal: &str) -> Result<bool, ServiceError> {
        let (tasks, queue) = (&self.tasks, self.queue.as_ref());
        Ok(housekeeping::give_back_ended(tasks, queue, Limit::ScansAtOnce, principal).await?)
    }

    /// Brings a task into the queue, and charges what it counts. Returns the refusal when a limit has no room for it; then the
    /// task has ended.
    pub(super) async fn enqueue(&self, task: &Task) -> Result<Option<ScopeError>, ServiceError> {
        for _ in 0..TRIES {
            match housekeeping::enqueue(self.queue.as_ref(), task).await? {
                ChargeOutcome::Enqueued(_) => return Ok(None),
                ChargeOutcome::Full { at, used } => {
                    return Ok(housekeeping::withdraw(&self.tasks, self.queue.as_ref(), task, at, used).await?);
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
        let used = self.queue.charged(Charge::ALL, Some(&now.utc_day())).await.ok()?;
        Some(json!({ "day": now.utc_day(), "used": used, "limit": limit, "next_day": now.end_of_utc_day() }))
    }

    /// The time of the queue's clock, which is one for all processes.
    async fn queue_time(&self) -> Result<Timestamp, QueueError> {
        Ok(self.queue.now().await?.unwrap_or_else(|| self.clock.now()))
    }
}
