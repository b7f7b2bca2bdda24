//! The states of a circuit, what an operator can order, and how a call ended.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Whether calls to a scanner are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CircuitState {
    /// They are.
    Closed,
    /// They are not, until some time has passed: too many failed.
    Open,
    /// A few are, to see whether the scanner is back.
    HalfOpen,
    /// They are not, until an operator allows them: an operator has forbidden them.
    Isolated,
    /// They are not, until the configuration changes or an operator resets it: the scanner refused the login.
    Unusable,
}

impl CircuitState {
    const ALL: [Self; 5] = [Self::Closed, Self::Open, Self::HalfOpen, Self::Isolated, Self::Unusable];

    /// The word for it in files, keys and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Isolated => "isolated",
            Self::Unusable => "unusable",
        }
    }

    /// The value of `nessus_circuit_state`: 0 closed, 1 open (isolated and unusable too), 2 half-open.
    pub const fn gauge(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::Open | Self::Isolated | Self::Unusable => 1,
            Self::HalfOpen => 2,
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no state or order of a circuit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no {1} of a circuit")]
pub struct CircuitWordError(String, &'static str);

impl FromStr for CircuitState {
    type Err = CircuitWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == word);
        known.ok_or_else(|| CircuitWordError(crate::error::excerpt(word).to_string(), "state"))
    }
}

/// What an operator can order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CircuitOrder {
    /// Make no calls until told otherwise.
    Isolate,
    /// Make calls again. A scanner that fails again soon is left alone for longer than the time before.
    Close,
    /// Make calls again, and forget everything: also that the login was refused, and how often the circuit was open.
    Reset,
}

impl CircuitOrder {
    const ALL: [Self; 3] = [Self::Isolate, Self::Close, Self::Reset];

    /// The word for it in keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Close => "close",
            Self::Reset => "reset",
        }
    }

    /// The state it leads to.
    pub const fn state(self) -> CircuitState {
        match self {
            Self::Isolate => CircuitState::Isolated,
            Self::Close | Self::Reset => CircuitState::Closed,
        }
    }
}

impl FromStr for CircuitOrder {
    type Err = CircuitWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|order| order.as_str() == word);
        known.ok_or_else(|| CircuitWordError(crate::error::excerpt(word).to_string(), "order"))
    }
}

/// What a call's end says about the scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Success,
    /// It does not: no answer, a 5xx, too many requests.
    Failure {
        /// What happened, for people; no secret.
        reason: String,
        /// How long it asks to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// Nothing: the request was wrong, or nobody waited for the answer.
    Excluded,
    /// It works, but not for us: it refuses our login. Trying again makes it worse.
    Fault {
        /// What it says; no secret.
        reason: String,
    },
}

impl Verdict {
    /// A failure for this reason.
    pub fn failure(reason: impl Into<String>) -> Self {
        Self::Failure { reason: reason.into(), retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for state in CircuitState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::json!(state), state.as_str());
        }
        for order in CircuitOrder::ALL {
            assert_eq!(order.as_str().parse(), Ok(order));
        }
        assert!("ajar".parse::<CircuitState>().is_err() && "".parse::<CircuitOrder>().is_err());
    }
}
