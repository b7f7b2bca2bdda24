//! What processes tell each other about the circuits of their scanners.
//!
//! Only changes of state are told: how many calls failed is each process's own business. A change names the change it
//! follows, and of two processes that change the same circuit at once one is refused and hears of the other's. An
//! operator's order always stands, and only another order ends an isolation.

use std::time::Duration;

use crate::{
    circuit_breaker::{CircuitOrder, CircuitState},
    time::Timestamp,
};

/// A change of a circuit that a process wants to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitChange {
    /// The generation of the change it follows; 0 when none is known.
    pub after: u64,
    /// The new state.
    pub state: CircuitState,
    /// How long the state lasts from now, where it has a time.
    pub lasts: Duration,
    /// Why; no secret.
    pub reason: String,
    /// Who: the process, or an operator.
    pub by: String,
    /// The order, when it is an operator's.
    pub order: Option<CircuitOrder>,
    /// Openings that this process has not told of yet: changes that follow each other fast are told as one.
    pub opens: u64,
    /// Failed calls that it has not told of yet.
    pub failures: u64,
}

impl CircuitChange {
    /// A change that a process has found by itself.
    pub fn found(after: u64, state: CircuitState, reason: impl Into<String>, by: impl Into<String>) -> Self {
        let (reason, by) = (reason.into(), by.into());
        Self { after, state, lasts: Duration::ZERO, reason, by, order: None, opens: 0, failures: 0 }
    }

    /// What an operator orders.
    pub fn ordered(order: CircuitOrder, reason: impl Into<String>, by: impl Into<String>) -> Self {
        Self { order: Some(order), ..Self::found(0, order.state(), reason, by) }
    }

    /// The same with the time the state lasts.
    pub fn lasting(mut self, lasts: Duration) -> Self {
        self.lasts = lasts;
        self
    }

    /// The same with openings and failed calls that were not told of yet.
    pub fn with_counts(mut self, opens: u64, failures: u64) -> Self {
        (self.opens, self.failures) = (opens, failures);
        self
    }
}

/// How a circuit stands, as processes have told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitRecord {
    /// Grows with each change, also after a loss of all data.
    pub generation: u64,
    /// The state.
    pub state: CircuitState,
    /// What is left of the state's time by the backend's clock; zero for a state without one, or whose time is over.
    pub left: Duration,
    /// Why.
    pub reason: String,
    /// Who told.
    pub by: String,
    /// The order, when it was an operator's.
    pub order: Option<CircuitOrder>,
    /// Since when, by the backend's clock.
    pub since: Timestamp,
    /// How often it opened.
    pub opens: u64,
    /// How many failed calls were told of.
    pub failures: u64,
}

impl CircuitRecord {
    /// What a backend stores for a change, but for the counts.
    pub fn new(generation: u64, change: &CircuitChange, since: Timestamp) -> Self {
        let CircuitChange { state, lasts, order, .. } = *change;
        let (reason, by) = (change.reason.clone(), change.by.clone());
        Self { generation, state, left: lasts, reason, by, order, since, opens: 0, failures: 0 }
    }

    /// The same with these counts.
    pub fn with_counts(mut self, opens: u64, failures: u64) -> Self {
        (self.opens, self.failures) = (opens, failures);
        self
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It stands.
    Published(CircuitRecord),
    /// It does not: another change, which stands, came before it, or an operator has isolated the scanner. Also the answer
    /// to a repeated call whose first reply was lost: the record is the caller's then.
    Superseded(CircuitRecord),
}

impl PublishOutcome {
    /// How the circuit stands now.
    pub fn into_record(self) -> CircuitRecord {
        match self {
            Self::Published(record) | Self::Superseded(record) => record,
        }
    }
}
