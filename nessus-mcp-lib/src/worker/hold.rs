//! Why a task is held: somebody has asked for it, the policy's windows are closed, or a person must agree first.

use std::time::Duration;

use crate::{
    policy::{ApprovalRequest, Closed, named},
    task::{Pause, PauseRequest, PauseState, PausedBy},
    time::{Timestamp, with_jitter},
};

/// How long a task whose scan has not begun waits before it is looked at again: somebody may have changed the policy, or a
/// process may have died between the end of a pause and telling the queue of it.
const LOOK_AGAIN: Duration = Duration::from_secs(600);
/// The shortest such time.
const SHORTEST: Duration = Duration::from_secs(1);

/// Why a task is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) by: PausedBy,
    pub(super) reason: Option<String>,
    /// When it ends by itself.
    pub(super) until: Option<Timestamp>,
}

impl Hold {
    /// The wish of a caller.
    pub(super) fn of(request: &PauseRequest) -> Self {
        Self { by: PausedBy::Request, reason: request.reason.clone(), until: None }
    }

    /// A window that is closed.
    pub(super) fn until_open(closed: Closed) -> Self {
        Self { by: PausedBy::Window, reason: Some(closed.reason), until: closed.opens_at }
    }

    /// A person who has not agreed.
    pub(super) fn until_agreed(request: &ApprovalRequest) -> Self {
        let reason = format!("a person must agree ({})", named(request.rules.keys()));
        Self { by: PausedBy::Approval, reason: Some(reason), until: Some(request.expires_at) }
    }

    /// How long a task whose scan has not begun waits for its next look.
    pub(super) fn next_look(&self, now: Timestamp) -> Duration {
        let longest = with_jitter(LOOK_AGAIN);
        self.until.map_or(longest, |until| until.since(now).clamp(SHORTEST, longest))
    }

    /// What is written down of a task that is held for this reason.
    pub(super) fn pause(self, state: PauseState, since: Timestamp) -> Pause {
        let Self { by, reason, until } = self;
        Pause { reason, until, ..Pause::new(by, state, since) }
    }
}
