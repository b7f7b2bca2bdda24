//! What tasks count against limits: hosts and scans of a day, and scans that have not ended.

use std::time::Duration;

use super::entry::EnqueueOutcome;

/// How long what counts against a day is kept after the last charge: until no clock takes the day for today any more.
pub(crate) const DAY_KEPT: Duration = Duration::from_secs(3 * 24 * 3600);

/// What a task counts against a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charge {
    /// Whose limit, and of what. There is one for the hosts of all, `all`.
    pub scope: String,
    /// The day, as `YYYY-MM-DD`. Without one it counts until it is given back, however long that takes.
    pub day: Option<String>,
    /// What is charged, once for a scope and day: a task, or a later attempt of it.
    pub id: String,
    /// How many.
    pub amount: u64,
    /// The most that may be charged together; `None` for any number.
    pub most: Option<u64>,
}

impl Charge {
    /// The scope of the hosts of all tasks together.
    pub const ALL: &'static str = "all";

    /// So many of a scope, as many as there may be, until they are given back.
    pub fn new(scope: impl Into<String>, id: impl Into<String>, amount: u64) -> Self {
        Self { scope: scope.into(), day: None, id: id.into(), amount, most: None }
    }

    /// The same on a day.
    pub fn on(mut self, day: impl Into<String>) -> Self {
        self.day = Some(day.into());
        self
    }

    /// The same where there may be so many.
    pub fn of_at_most(mut self, most: Option<u64>) -> Self {
        self.most = most;
        self
    }
}

/// What became of a task that was to be enqueued and charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChargeOutcome {
    /// It is charged, now or before, and it is in the queue.
    Enqueued(EnqueueOutcome),
    /// There is no room for one of the charges; nothing was changed.
    Full {
        /// The place of the first such charge among them, from 0.
        at: usize,
        /// What others have charged there.
        used: u64,
    },
    /// The queue is not bound to a directory, so nobody knows what is charged: it has to be rebuilt first. Nothing was
    /// changed.
    Unbound,
}
