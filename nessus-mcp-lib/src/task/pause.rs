//! A task that is held: the wish of a caller, and how its scan stands because of a wish, a window or somebody at the scanner.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The wish of a caller that a task be held, until it is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PauseRequest {
    /// Since when.
    pub requested_at: Timestamp,
    /// Why, in the words of whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who holds a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[non_exhaustive]
pub enum PausedBy {
    /// A caller of `pause_scan`.
    Request,
    /// The policy: its window has closed.
    Window,
    /// The policy: a person must agree first.
    Approval,
    /// Somebody on the scanner itself, where it has to be resumed.
    Scanner,
}

/// How far a scan is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[non_exhaustive]
pub enum PauseState {
    /// The scanner is told to hold it, and has not done so yet.
    Pausing,
    /// It is held.
    Paused,
    /// The scanner is told to go on with it, and has not done so yet.
    Resuming,
}

/// How a scan is held, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[non_exhaustive]
pub struct Pause {
    /// request (`pause_scan`), window (of the policy), approval (a person must agree first) or scanner (somebody there, who has to
    /// resume it there).
    pub by: PausedBy,
    /// pausing, paused or resuming.
    pub state: PauseState,
    /// Since when it is held; while pausing, when the scanner was last told.
    pub since: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it goes on by itself: when its window opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Held by whom, how far, and since when.
    pub(crate) fn new(by: PausedBy, state: PauseState, since: Timestamp) -> Self {
        Self { by, state, since, reason: None, until: None }
    }

    /// Whether the scan is held because of us, so that we have to resume it.
    pub(crate) fn is_ours(&self) -> bool {
        self.by != PausedBy::Scanner
    }

    /// How long the scan was held, up to this moment.
    pub(super) fn lasted(&self, now: Timestamp) -> Duration {
        match self.state {
            PauseState::Pausing => Duration::ZERO,
            PauseState::Paused | PauseState::Resuming => now.since(self.since),
        }
    }
}
