//! Stall detection: how long a scan may stay in one state without progress before it is stopped.
//!
//! The time counts from the last change that was seen. It stands in `task.json`, so another worker continues the count.

use std::time::Duration;

use tracing::warn;

use super::outcome::StopReason;
use crate::{
    config::WorkerSettings,
    scanner::ScanState,
    task::{Pause, Task},
    time::Timestamp,
};

/// Detects that a scan makes no progress.
pub(super) struct StallDetector<'s> {
    settings: &'s WorkerSettings,
    /// Whether the log has said that half of the limit is over.
    has_warned: bool,
}

impl<'s> StallDetector<'s> {
    pub(super) fn new(settings: &'s WorkerSettings) -> Self {
        Self { settings, has_warned: false }
    }

    /// Why a scan that was just seen in this state shall be stopped, if so.
    pub(super) fn check(&mut self, task: &Task, state: ScanState, now: Timestamp) -> Option<StopReason> {
        // One that we hold waits as long as somebody wishes.
        let is_held = state == ScanState::Paused && task.pause.as_ref().is_some_and(Pause::is_ours);
        let limit = self.limit(state).filter(|_| !is_held)?;
        let lasted = now.since(task.observation.as_ref()?.unchanged_since);
        if lasted >= limit {
            return Some(StopReason::Stalled { state, progress: task.progress, limit });
        }
        let is_long = lasted >= limit / 2;
        if is_long && !self.has_warned {
            let (seconds, limit) = (lasted.as_secs(), limit.as_secs());
            warn!(?state, progress = task.progress, seconds, limit, "the scan makes no progress");
        }
        self.has_warned = is_long;
        None
    }

    /// How long a scan may be in this state without a change.
    fn limit(&self, state: ScanState) -> Option<Duration> {
        match state {
            ScanState::Completed | ScanState::Cancelled | ScanState::Aborted => None,
            ScanState::Pending => Some(self.settings.pending_timeout),
            ScanState::Paused => Some(self.settings.paused_timeout),
            ScanState::Created | ScanState::Running | ScanState::Stopping | ScanState::Unknown => {
                Some(self.settings.stall_timeout)
            }
        }
    }
}
