//! The states of a circuit, what an operator can command, and how a call ended.

use std::{fmt, time::Duration};

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
    /// The word for it in answers and logs.
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

/// What an operator can command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CircuitCommand {
    /// Make no calls until told otherwise.
    Isolate,
    /// Make calls again. The circuit of a scanner that fails again soon stays open for longer than the time before.
    Close,
    /// Make calls again, and forget everything: also that the login was refused, and how often the circuit was open.
    Reset,
}

impl CircuitCommand {
    /// The state it leads to.
    pub const fn state(self) -> CircuitState {
        match self {
            Self::Isolate => CircuitState::Isolated,
            Self::Close | Self::Reset => CircuitState::Closed,
        }
    }
}

/// What the end of a call says about the scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// It works.
    Success,
    /// It does not: no answer, a 5xx, too many requests.
    Failure {
        /// What happened, for people; no secret.
        reason: String,
        /// For how long it asks for no further calls, if it says so.
        retry_after: Option<Duration>,
    },
    /// Nothing: the request was wrong, or nobody waited for the answer.
    Ignored,
    /// It works, but refuses our login. Trying again brings the account closer to being locked.
    LoginRefused {
        /// What it says; no secret.
        reason: String,
    },
}

impl CallOutcome {
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
        for state in [
            CircuitState::Closed,
            CircuitState::Open,
            CircuitState::HalfOpen,
            CircuitState::Isolated,
            CircuitState::Unusable,
        ] {
            assert_eq!(serde_json::json!(state), state.as_str());
            assert_eq!(serde_json::from_value::<CircuitState>(state.as_str().into()).unwrap(), state);
        }
    }
}
