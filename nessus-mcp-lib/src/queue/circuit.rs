//! What processes share about the circuits of their scanners.
//!
//! A **notice** is what every process acts on: an operator's command, or that the scanner has refused a login. Only the last
//! notice of a scanner is kept. A **report** is how a process's own circuit stands. It is shown to whoever asks, nobody acts
//! on it, and it vanishes when its process has not renewed it for a while.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    circuit_breaker::{CircuitCommand, CircuitState},
    ids::{InstanceId, PoolName},
    time::Timestamp,
};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitNoticeKind {
    /// An operator has given a command.
    Command(CircuitCommand),
    /// The scanner has refused the login of a process.
    LoginRefused,
}

impl CircuitNoticeKind {
    const ALL: [Self; 4] = [
        Self::Command(CircuitCommand::Isolate),
        Self::Command(CircuitCommand::Close),
        Self::Command(CircuitCommand::Reset),
        Self::LoginRefused,
    ];

    /// The word for it in the queue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command(CircuitCommand::Isolate) => "isolate",
            Self::Command(CircuitCommand::Close) => "close",
            Self::Command(CircuitCommand::Reset) => "reset",
            Self::LoginRefused => "refused",
        }
    }

    /// What a word in the queue means.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What every process is to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitNotice {
    /// What it is about.
    pub kind: CircuitNoticeKind,
    /// Why; no secret.
    pub reason: String,
    /// Who says so: an operator, or a process.
    pub by: String,
}

impl CircuitNotice {
    /// An operator's command.
    pub fn command(command: CircuitCommand, reason: impl Into<String>, by: impl Into<String>) -> Self {
        Self { kind: CircuitNoticeKind::Command(command), reason: reason.into(), by: by.into() }
    }

    /// The scanner has refused the login of the process `by`.
    pub fn login_refused(reason: impl Into<String>, by: impl Into<String>) -> Self {
        Self { kind: CircuitNoticeKind::LoginRefused, reason: reason.into(), by: by.into() }
    }
}

/// A notice that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PostedNotice {
    /// Grows with each notice of the scanner, also after a loss of all data.
    pub version: u64,
    /// When it was posted, by the backend's clock.
    pub at: Timestamp,
    /// What it says.
    pub notice: CircuitNotice,
}

impl PostedNotice {
    /// A notice that was posted at this time.
    pub const fn new(version: u64, at: Timestamp, notice: CircuitNotice) -> Self {
        Self { version, at, notice }
    }

    /// Whether it isolates the scanner.
    pub fn isolates(&self) -> bool {
        self.notice.kind == CircuitNoticeKind::Command(CircuitCommand::Isolate)
    }
}

/// How a process's circuit of a scanner stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CircuitReport {
    /// The pool of the scanner.
    pub pool: PoolName,
    /// The scanner.
    pub instance: InstanceId,
    /// The state.
    pub state: CircuitState,
    /// Why; empty for a circuit that has always been closed.
    pub reason: String,
    /// How long it had been in this state when the report was made.
    pub lasted_ms: u64,
    /// What was left of the state's time then; 0 for a state without one.
    pub left_ms: u64,
    /// How often it opened, in this process.
    pub opens: u64,
    /// Failures that counted, in this process.
    pub failures: u64,
}

impl CircuitReport {
    /// A circuit that has just come into this state.
    pub fn new(pool: PoolName, instance: InstanceId, state: CircuitState, reason: impl Into<String>) -> Self {
        Self { pool, instance, state, reason: reason.into(), lasted_ms: 0, left_ms: 0, opens: 0, failures: 0 }
    }

    /// The same with how long it has been in this state, and what is left of its time.
    pub fn with_times(mut self, lasted: Duration, left: Duration) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        (self.lasted_ms, self.left_ms) = (millis(lasted), millis(left));
        self
    }

    /// The same with how often it opened and how many calls failed.
    pub fn with_counts(mut self, opens: u64, failures: u64) -> Self {
        (self.opens, self.failures) = (opens, failures);
        self
    }
}

/// What a process has published of its circuits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessCircuits {
    /// The process.
    pub process: String,
    /// How long ago, by the backend's clock.
    pub age: Duration,
    /// Its circuits.
    pub circuits: Vec<CircuitReport>,
}

impl ProcessCircuits {
    /// These circuits of a process.
    pub fn new(process: impl Into<String>, age: Duration, circuits: Vec<CircuitReport>) -> Self {
        Self { process: process.into(), age, circuits }
    }

    /// What a backend has stored; `None` for what only another version of the program can read.
    #[cfg(any(feature = "sqlite", feature = "redis"))]
    pub(crate) fn parse(process: String, age_ms: u64, circuits: &str) -> Option<Self> {
        let circuits = serde_json::from_str(circuits).ok()?;
        Some(Self { process, age: Duration::from_millis(age_ms), circuits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for kind in CircuitNoticeKind::ALL {
            assert_eq!(CircuitNoticeKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(CircuitNoticeKind::parse("ajar"), None);
        assert_eq!(CircuitNoticeKind::parse(""), None);
    }
}
