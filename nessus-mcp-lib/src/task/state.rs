//! The state machine of a task.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::excerpt;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[non_exhaustive]
pub enum TaskStatus {
    /// Accepted, waiting for a worker.
    Queued,
    /// A worker drives its scan.
    Running,
    /// The scan ended and its results are here.
    Completed,
    /// It ended in error; `error_code` says why. There may be results of a part of it.
    Failed,
    /// It took longer than it may; what it had found by then is kept.
    Timeout,
    /// Somebody stopped it; what it had found by then is kept.
    Cancelled,
}

impl TaskStatus {
    /// All of them, in the order of a task's life.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Timeout, Self::Cancelled];

    /// The word in `task.json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether no worker will touch the task any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Timeout | Self::Cancelled)
    }

    /// Whether a step to `next` is one of the ordinary steps; a retry is not.
    pub const fn allows(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Running => !matches!(next, Self::Queued),
            Self::Completed | Self::Failed | Self::Timeout | Self::Cancelled => false,
        }
    }

    /// Whether an explicit retry may put the task back into the queue.
    pub const fn allows_retry(self) -> bool {
        matches!(self, Self::Failed | Self::Timeout)
    }

    /// Checks a step.
    ///
    /// # Errors
    /// When it is not one of the ordinary steps.
    pub const fn check(self, next: Self) -> Result<(), StateTransitionError> {
        if self.allows(next) { Ok(()) } else { Err(StateTransitionError { from: self, to: next }) }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TaskStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{}` is not a status; there are: {known}", excerpt(text))
        })
    }
}

/// A step the state machine does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from} cannot become {to}")]
pub struct StateTransitionError {
    /// Where the task stands.
    pub from: TaskStatus,
    /// Where it was to go.
    pub to: TaskStatus,
}

#[cfg(test)]
mod tests {
    use super::{TaskStatus::*, *};

    #[test]
    fn the_machine_has_the_documented_steps_and_no_others() {
        let steps = [
            (Queued, vec![Running, Failed, Cancelled]),
            (Running, vec![Running, Completed, Failed, Timeout, Cancelled]),
            (Completed, vec![]),
            (Failed, vec![]),
            (Timeout, vec![]),
            (Cancelled, vec![]),
        ];
        for (from, allowed) in steps {
            for to in TaskStatus::ALL {
                assert_eq!(from.check(to).is_ok(), allowed.contains(&to), "{from} -> {to}");
            }
            assert_eq!(from.allows_retry(), matches!(from, Failed | Timeout));
        }
    }

    #[test]
    fn a_status_is_read_by_its_word() {
        for status in TaskStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("done".parse::<TaskStatus>().unwrap_err().contains("completed"));
    }
}
