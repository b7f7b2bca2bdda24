//! Hosts that count against a day.

use std::time::Duration;

use super::entry::EnqueueOutcome;

/// How long what counts against a day is kept after the last charge: until no clock takes the day for today any more.
pub(crate) const DAY_KEPT: Duration = Duration::from_secs(3 * 24 * 3600);

/// Hosts that a task counts against a day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostCharge {
    /// Whose day it is. There is one for all, `all`.
    pub scope: String,
    /// The day, as `YYYY-MM-DD`.
    pub day: String,
    /// What is charged, once for a scope and day: a task, or a later attempt of it.
    pub id: String,
    /// How many hosts.
    pub hosts: u64,
    /// The most hosts of the day; `None` for any number.
    pub most: Option<u64>,
}

impl HostCharge {
    /// The scope of all tasks together.
    pub const ALL: &'static str = "all";

    /// Hosts of all tasks together, as many as there may be.
    pub fn new(day: impl Into<String>, id: impl Into<String>, hosts: u64) -> Self {
        Self { scope: Self::ALL.to_owned(), day: day.into(), id: id.into(), hosts, most: None }
    }

    /// The same, of a day that may have so many hosts.
    pub fn of_at_most(mut self, most: Option<u64>) -> Self {
        self.most = most;
        self
    }
}

/// What became of a task that was to be enqueued and charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChargeOutcome {
    /// Its hosts are charged, now or before, and it is in the queue.
    Enqueued(EnqueueOutcome),
    /// The day has no room for it; nothing was changed.
    DayIsFull {
        /// The hosts that are charged.
        used: u64,
    },
    /// The queue is not bound to a directory, so nobody knows what is charged: it has to be rebuilt first. Nothing was
    /// changed.
    Unbound,
}
