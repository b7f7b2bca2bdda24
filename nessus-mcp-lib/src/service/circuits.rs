//! What is shown of the circuits of scanners, and an operator's orders.

use serde::{Deserialize, Serialize};

use super::{ScanService, ServiceError, shorten, submit::instance_of};
use crate::{
    circuit_breaker::{CircuitOrder, CircuitState, CircuitView},
    ids::{InstanceId, PoolName},
    queue::{CircuitChange, CircuitRecord},
    time::Timestamp,
};

/// Whether calls are made to a scanner, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CircuitStatus {
    /// closed: scans run there. open: it is left alone for a while, too many calls failed. half_open: a few calls try
    /// whether it is back. isolated: an operator has forbidden it. unusable: it refused the login.
    pub state: CircuitState,
    /// Since when; absent while nothing ever happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// In how many seconds it is tried again; absent where nobody waits, or somebody has to do something first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// Why, with the last failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who found or ordered it; absent when it is this process.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub changed_by: String,
    /// How often it opened.
    pub opens: u64,
    /// How many failed calls were told of.
    pub failures: u64,
}

impl CircuitStatus {
    /// Whether new scans are begun there, as far as the circuit decides.
    pub const fn lets_through(&self) -> bool {
        matches!(self.state, CircuitState::Closed | CircuitState::HalfOpen)
    }

    /// What processes have told, unless this one has found something that it has not told yet.
    fn of(record: Option<CircuitRecord>, local: &CircuitView, now: Timestamp) -> Self {
        let (opens, failures) = record.as_ref().map_or((0, 0), |record| (record.opens, record.failures));
        let retry_after = |left: std::time::Duration, state| {
            let whole = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            matches!(state, CircuitState::Open | CircuitState::HalfOpen).then_some(whole)
        };
        match record {
            Some(record) if record.state != CircuitState::Closed || local.state == CircuitState::Closed => Self {
                state: record.state,
                since: Some(record.since),
                retry_after_seconds: retry_after(record.left, record.state),
                reason: shorten::text(&record.reason),
                changed_by: shorten::text(&record.by),
                opens,
                failures,
            },
            _ => Self {
                state: local.state,
                since: (!local.reason.is_empty()).then(|| now.minus(local.lasted)),
                retry_after_seconds: retry_after(local.left, local.state),
                reason: shorten::text(&local.reason),
                changed_by: String::new(),
                opens: opens.max(local.opens),
                failures: failures.max(local.failures),
            },
        }
    }
}

impl ScanService {
    /// How the circuits of these scanners stand, in their order.
    pub(super) async fn circuit_statuses(
        &self,
        pool: &PoolName,
        instances: &[InstanceId],
    ) -> Result<Vec<CircuitStatus>, ServiceError> {
        let records = self.queue.circuits(pool, instances).await?;
        let now = self.clock.now();
        let statuses = instances
            .iter()
            .zip(records)
            .map(|(instance, record)| CircuitStatus::of(record, &self.circuits.breaker(pool, instance).view(), now));
        Ok(statuses.collect())
    }

    /// Isolates, closes or resets the circuit of a scanner, in every process; those that run notice within seconds.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPool`] or [`ServiceError::UnknownInstance`] when it is not configured;
    /// [`ServiceError::Invalid`] to close the circuit of a scanner that has refused the login.
    pub async fn order_circuit(
        &self,
        pool: &str,
        instance: &str,
        order: CircuitOrder,
        reason: &str,
    ) -> Result<CircuitStatus, ServiceError> {
        let pool = self.pool_of(Some(pool))?;
        let id = instance_of(&pool, instance, |_| true)?;
        if order == CircuitOrder::Close {
            let standing = self.circuit_statuses(&pool.name, std::slice::from_ref(&id)).await?;
            if standing.iter().any(|status| status.state == CircuitState::Unusable) {
                return Err(ServiceError::Invalid {
                    field: "instance",
                    message: "names a scanner that has refused the login: closing its circuit does not change that"
                        .to_owned(),
                    hint: Some("mend the user name and password, then reset the circuit".to_owned()),
                });
            }
        }
        let isolation = (order == CircuitOrder::Isolate).then_some(reason);
        self.index.record_isolation(&pool.name, &id, isolation).await?;
        let change = CircuitChange::ordered(order, reason, OPERATOR);
        let record = self.queue.publish_circuit(&pool.name, &id, &change).await?.into_record();
        let local = self.circuits.breaker(&pool.name, &id);
        self.circuits.exchange(self.queue.as_ref(), &pool.name, &[id]).await?;
        Ok(CircuitStatus::of(Some(record), &local.view(), self.clock.now()))
    }
}

/// Who orders.
const OPERATOR: &str = "operator";
