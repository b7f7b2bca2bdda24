//! What tasks count against limits.

use std::collections::BTreeMap;

use redis::Value;

use super::{
    HEALED, RedisQueue,
    calls::LostReply,
    keys::{BINDING, Naming},
    scripts, warn_of_a_loss,
};
use crate::{
    ids::PoolName,
    queue::{
        body::TaskBody,
        charge::{Charge, ChargeOutcome, DAY_KEPT},
        entry::EnqueueOutcome,
        error::QueueError,
    },
};

/// What the scripts answer when the binding is missing.
const UNBOUND: i64 = -2;
/// The field beside the charges that has their sum.
const TOTAL: &str = "total";

impl RedisQueue {
    /// Charges what a task counts and enqueues it: in one step, but in a cluster, where both lie on different servers.
    pub(super) async fn enqueue_with(
        &self,
        pool: &PoolName,
        body: &TaskBody,
        charges: &[Charge],
        place: &str,
    ) -> Result<ChargeOutcome, QueueError> {
        if matches!(self.naming, Naming::Tagged) {
            return match self.charge_only(charges, true).await? {
                ChargeOutcome::Enqueued(_) => self.enqueue_at(pool, body, place).await.map(ChargeOutcome::Enqueued),
                refused => Ok(refused),
            };
        }
        let keys = [self.naming.entries(pool), self.charged_keys(charges)].concat();
        let entry = [body.task_id().to_string(), body.as_str().to_owned(), place.to_owned()];
        let enqueue = scripts::ENQUEUE_CHARGED.on(keys, [entry.as_slice(), &arguments(charges)].concat());
        let answer = self.calls.run(&enqueue, LostReply::Repeat).await?;
        if answer == Value::Int(HEALED) {
            warn_of_a_loss(pool);
        }
        self.read_outcome(answer)
    }

    async fn charge_only(&self, charges: &[Charge], if_bound: bool) -> Result<ChargeOutcome, QueueError> {
        let arguments = [&[String::from(if if_bound { "1" } else { "" })], arguments(charges).as_slice()].concat();
        let answer =
            self.calls.run(&scripts::CHARGE.on(self.charged_keys(charges), arguments), LostReply::Repeat).await?;
        self.read_outcome(answer)
    }

    /// The binding, and where these are charged.
    fn charged_keys(&self, charges: &[Charge]) -> Vec<String> {
        let keys = charges.iter().map(|charge| self.naming.charged(&charge.scope, charge.day.as_deref()));
        [BINDING.to_owned()].into_iter().chain(keys).collect()
    }

    fn read_outcome(&self, answer: Value) -> Result<ChargeOutcome, QueueError> {
        Ok(match answer {
            Value::Int(UNBOUND) => ChargeOutcome::Unbound,
            Value::Int(0) => ChargeOutcome::Enqueued(EnqueueOutcome::AlreadyKnown),
            Value::Int(_) => ChargeOutcome::Enqueued(EnqueueOutcome::Added),
            refused => {
                let (at, used) = self.calls.read(refused)?;
                ChargeOutcome::Full { at, used }
            }
        })
    }

    /// Charges, whatever room there is.
    pub(super) async fn charge_again(&self, charge: &Charge) -> Result<(), QueueError> {
        self.charge_only(&[Charge { most: None, ..charge.clone() }], false).await.map(drop)
    }

    pub(super) async fn uncharge(&self, charge: &Charge) -> Result<(), QueueError> {
        let charged = self.naming.charged(&charge.scope, charge.day.as_deref());
        self.calls.run(&scripts::GIVE_BACK.on([charged], [charge.id.clone()]), LostReply::Repeat).await
    }

    pub(super) async fn sum_of_charges(&self, scope: &str, day: Option<&str>) -> Result<u64, QueueError> {
        self.calls.run(&scripts::CHARGED.on([self.naming.charged(scope, day)], []), LostReply::Repeat).await
    }

    pub(super) async fn ids_of_charges(&self, scope: &str, day: Option<&str>) -> Result<Vec<String>, QueueError> {
        let charges: BTreeMap<String, String> = self.fields_of(&self.naming.charged(scope, day)).await?;
        Ok(charges.into_keys().filter(|id| id != TOTAL).collect())
    }
}

/// What the scripts are told of charges.
fn arguments(charges: &[Charge]) -> Vec<String> {
    let of_one = |charge: &Charge| {
        let most = charge.most.map(|most| most.to_string()).unwrap_or_default();
        let kept = charge.day.as_ref().map(|_| DAY_KEPT.as_secs().to_string()).unwrap_or_default();
        [charge.id.clone(), charge.amount.to_string(), most, kept]
    };
    charges.iter().flat_map(of_one).collect()
}
