//! What is being done with a task.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::task::{PauseState, Task, TaskStatus};

/// What is being done with a task that has not ended, as far as its worker has written it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It waits its turn.
    Queued,
    /// Something keeps it from beginning; what, is said beside it.
    Waiting,
    /// Its scan is looked for on the scanner, and created.
    Creating,
    /// Its scan exists and is being launched.
    Launching,
    /// The scanner has accepted the launch and has not begun.
    Pending,
    /// The scanner scans.
    Scanning,
    /// The scan is held on the scanner.
    Paused,
    /// The scan is being stopped.
    Stopping,
    /// The scan has ended, and its results are fetched.
    Exporting,
    /// The results are checked, indexed and converted.
    Converting,
}

impl Phase {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Creating => "creating",
            Self::Launching => "launching",
            Self::Pending => "pending",
            Self::Scanning => "scanning",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Exporting => "exporting",
            Self::Converting => "converting",
        }
    }

    /// The phase of a task; `None` when it has ended. `is_held`: whether something keeps it from beginning its scan.
    pub(super) fn of(task: &Task, is_held: bool) -> Option<Self> {
        if task.status.is_terminal() {
            return None;
        }
        let has_scan = task.nessus_scan_id.is_some();
        Some(match task.observation.as_ref().map(|seen| seen.state.as_str()) {
            _ if task.status == TaskStatus::Queued => {
                if is_held {
                    Self::Waiting
                } else {
                    Self::Queued
                }
            }
            _ if task.scan_is_over() && task.export_fetched_at.is_some() => Self::Converting,
            _ if task.scan_is_over() => Self::Exporting,
            _ if task.cancel_requested_at.is_some() => Self::Stopping,
            _ if !has_scan => {
                if is_held {
                    Self::Waiting
                } else {
                    Self::Creating
                }
            }
            _ if task.shown_pause().is_some_and(|pause| pause.state == PauseState::Paused) => Self::Paused,
            None | Some("created") => Self::Launching,
            Some("pending") => Self::Pending,
            Some("paused") => Self::Paused,
            Some("stopping") => Self::Stopping,
            Some(_) => Self::Scanning,
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{InstanceId, PoolName, ScanId, TaskId, TraceId},
        task::{Observation, Pause, PausedBy, ScanPayload, ScanType},
        time::Timestamp,
    };

    #[test]
    fn a_task_goes_through_its_phases() {
        let now = Timestamp::from_millis(0);
        let payload = ScanPayload::new("office", "192.0.2.1");
        let pool = PoolName::new("lab").unwrap();
        let id = TaskId::generate("mock", "lab", now);
        let mut task = Task::new(id, TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, now);
        assert_eq!((Phase::of(&task, false), Phase::of(&task, true)), (Some(Phase::Queued), Some(Phase::Waiting)));
        task.status = TaskStatus::Running;
        assert_eq!((Phase::of(&task, false), Phase::of(&task, true)), (Some(Phase::Creating), Some(Phase::Waiting)));
        task.open_scan(&InstanceId::new("one").unwrap(), &ScanId::new("7"));
        assert_eq!(Phase::of(&task, true), Some(Phase::Launching));
        for (state, phase) in [
            ("created", Phase::Launching),
            ("pending", Phase::Pending),
            ("running", Phase::Scanning),
            ("unknown", Phase::Scanning),
            ("paused", Phase::Paused),
            ("stopping", Phase::Stopping),
            ("completed", Phase::Exporting),
            ("cancelled", Phase::Exporting),
        ] {
            task.observation = Some(Observation::new(state, None, now));
            assert_eq!(Phase::of(&task, false), Some(phase), "{state}");
        }
        task.export_fetched_at = Some(now);
        assert_eq!(Phase::of(&task, false), Some(Phase::Converting));
        task.observation = Some(Observation::new("running", Some(3), now));
        // The scanner was not looked at since it has done what it was told.
        task.pause = Some(Pause::new(PausedBy::Request, PauseState::Paused, now));
        assert_eq!(Phase::of(&task, false), Some(Phase::Paused));
        task.pause = None;
        task.cancel_requested_at = Some(now);
        assert_eq!(Phase::of(&task, false), Some(Phase::Stopping));
        task.status = TaskStatus::Cancelled;
        assert_eq!(Phase::of(&task, false), None);
    }
}
