//! Hosts that count against a day.

use redis::Value;

use super::{
    RedisQueue,
    calls::LostReply,
    keys::{BINDING, Naming},
    scripts,
};
use crate::{
    ids::PoolName,
    queue::{
        body::TaskBody,
        entry::EnqueueOutcome,
        error::QueueError,
        hosts::{ChargeOutcome, DAY_KEPT, HostCharge},
    },
};

/// What the scripts answer when the binding is missing.
const UNBOUND: i64 = -2;

impl RedisQueue {
    /// Charges hosts and enqueues their task: in one step, but in a cluster, where they lie on different servers.
    pub(super) async fn enqueue_with(
        &self,
        pool: &PoolName,
        body: &TaskBody,
        charge: &HostCharge,
        place: &str,
    ) -> Result<ChargeOutcome, QueueError> {
        let keys = [self.naming.hosts(&charge.scope, &charge.day), BINDING.to_owned()];
        if matches!(self.naming, Naming::Tagged) {
            let charged = self.calls.run(&scripts::CHARGE.on(keys, arguments(charge)), LostReply::Repeat).await?;
            return match self.read_outcome(charged)? {
                ChargeOutcome::Enqueued(_) => self.enqueue_at(pool, body, place).await.map(ChargeOutcome::Enqueued),
                refused => Ok(refused),
            };
        }
        let keys = [self.naming.entries(pool).as_slice(), &keys].concat();
        let entry = [body.task_id().to_string(), body.as_str().to_owned(), place.to_owned()];
        let enqueue = scripts::ENQUEUE_CHARGED.on(keys, [entry.as_slice(), &arguments(charge)].concat());
        let answer = self.calls.run(&enqueue, LostReply::Repeat).await?;
        if answer == Value::Int(-1) {
            // It is charged.
            return self.enqueue_at(pool, body, place).await.map(ChargeOutcome::Enqueued);
        }
        self.read_outcome(answer)
    }

    fn read_outcome(&self, answer: Value) -> Result<ChargeOutcome, QueueError> {
        Ok(match answer {
            Value::Int(UNBOUND) => ChargeOutcome::Unbound,
            Value::Int(0) => ChargeOutcome::Enqueued(EnqueueOutcome::AlreadyKnown),
            Value::Int(_) => ChargeOutcome::Enqueued(EnqueueOutcome::Added),
            refused => {
                let (used,) = self.calls.read(refused)?;
                ChargeOutcome::DayIsFull { used }
            }
        })
    }

    /// Charges hosts, whatever room the day has.
    pub(super) async fn charge_again(&self, charge: &HostCharge) -> Result<(), QueueError> {
        let unlimited = HostCharge { most: None, ..charge.clone() };
        let day = self.naming.hosts(&charge.scope, &charge.day);
        self.calls.run(&scripts::CHARGE.on([day], arguments(&unlimited)), LostReply::Repeat).await
    }

    pub(super) async fn uncharge(&self, charge: &HostCharge) -> Result<(), QueueError> {
        let day = self.naming.hosts(&charge.scope, &charge.day);
        self.calls.run(&scripts::GIVE_BACK.on([day], [charge.id.clone()]), LostReply::Repeat).await
    }
}

/// What the scripts are told of a charge.
fn arguments(charge: &HostCharge) -> [String; 4] {
    let most = charge.most.map(|most| most.to_string()).unwrap_or_default();
    [charge.id.clone(), charge.hosts.to_string(), most, DAY_KEPT.as_secs().to_string()]
}
