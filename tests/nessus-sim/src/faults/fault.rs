//! A fault as it is asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::When;

/// A fault to inject: its name in the catalogue, and what shall be other than the catalogue has it.
///
/// As JSON, for `POST /faults`, it has the names of the methods as keys; times are milliseconds (`delay_ms`, `for_ms`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct Fault {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    #[serde(default)]
    pub(super) skip: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) for_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) percent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<String>,
}

impl Fault {
    /// The fault with this name, as the catalogue has it.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// For how many requests; 0 for all until the faults are cleared.
    pub fn count(mut self, requests: u64) -> Self {
        self.count = Some(requests);
        self
    }

    /// How many matching requests pass before it strikes.
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Only requests with this method; `*` for any.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only requests with this path: `*` stands for one part of it, `**` at the end for all that may follow.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Whether the scanner does what it is asked before things go wrong.
    pub fn when(mut self, when: When) -> Self {
        self.when = Some(when);
        self
    }

    /// It is gone after this time, however often it has struck.
    pub fn lasting(mut self, time: Duration) -> Self {
        self.for_ms = Some(millis(time));
        self
    }

    /// How late, or how slowly.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay_ms = Some(millis(delay));
        self
    }

    /// How many bytes arrive, or at once, or more.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// How many hundredths of the body arrive.
    pub fn percent(mut self, percent: u64) -> Self {
        self.percent = Some(percent);
        self
    }

    /// The status of the answer.
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The text: of an error, a status, a note, a location.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The header `Retry-After`: seconds, a date, `date+SECONDS` for the date in so many seconds, or nothing for none.
    pub fn retry_after(mut self, value: impl Into<String>) -> Self {
        self.retry_after = Some(value.into());
        self
    }
}

/// The fault with this name, as the catalogue has it.
impl From<&str> for Fault {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
