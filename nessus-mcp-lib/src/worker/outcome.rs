//! How the work on a claimed task can end.

use std::time::Duration;

use super::hold::Hold;
use crate::{
    error::{Classified, chain, counted},
    policy::ScopeError,
    queue::{DeadReason, QueueError},
    results::ResultsError,
    scanner::{ScanState, ScannerError},
    service,
    task::{TaskError, TaskStatus},
};

/// The most characters of a message in a task's file.
const SHOWN_CHARS: usize = 1000;

/// What becomes of a claimed task.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is in a terminal state, written to its file.
    Ended,
    /// Somebody else has written its end, and counted it.
    EndedElsewhere,
    /// It failed for good and its file says so; an operator shall see it among the dead letters.
    Dead(DeadReason),
    /// It failed for now.
    Retry(Duration),
    /// Nothing was tried, or the worker stops: the next worker continues.
    HandBack(Duration),
    /// Another worker holds it: no step may be taken any more.
    Lost,
}

/// Why a scan is stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StopReason {
    /// Somebody asked for it; what is said of the task.
    Requested(String),
    /// It has used up its time.
    OutOfTime(Duration),
    /// It has shown no change for as long as it may in this state.
    Stalled { state: ScanState, progress: Option<u8>, limit: Duration },
}

impl StopReason {
    /// How the task ends when its scan does not end by itself first.
    pub(super) fn error(&self) -> StepError {
        match self {
            Self::Requested(message) => {
                StepError::Scan { status: TaskStatus::Cancelled, code: "cancelled", message: message.clone() }
            }
            Self::OutOfTime(limit) => StepError::Scan {
                status: TaskStatus::Timeout,
                code: "scan_timeout",
                message: format!("the scan took longer than {}", counted(limit.as_secs(), "second", "seconds")),
            },
            Self::Stalled { state, progress, limit } => {
                let seconds = counted(limit.as_secs(), "second", "seconds");
                let (code, message) = match state {
                    ScanState::Pending => (
                        "scan_pending",
                        format!(
                            "the scanner did not begin the scan within {seconds}: it is busy with other scans, or \
                             its licence does not let it scan"
                        ),
                    ),
                    ScanState::Paused => {
                        ("scan_paused", format!("the scan was held on the scanner for longer than {seconds}"))
                    }
                    _ => {
                        let at = progress.map(|progress| format!(" at {progress} %")).unwrap_or_default();
                        ("scan_stalled", format!("the scan has made no progress{at} for {seconds}"))
                    }
                };
                StepError::Scan { status: TaskStatus::Timeout, code, message }
            }
        }
    }

    /// The same, with what else is to be said of it.
    pub(super) fn error_with(&self, more: &str) -> StepError {
        match self.error() {
            StepError::Scan { status, code, message } => {
                StepError::Scan { status, code, message: format!("{message}; {more}") }
            }
            other => other,
        }
    }
}

/// An error of a step, before it is decided what follows from it.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Scanner(#[from] ScannerError),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The scan may not begin: nothing was launched.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The scan ended on the scanner without being complete, or cannot be run at all.
    #[error("{message}")]
    Scan { status: TaskStatus, code: &'static str, message: String },
    /// The scan may not begin now: nothing was launched.
    #[error("the task is held")]
    Held(Hold),
    /// The worker was told to stop, or its lease is in doubt.
    #[error("the worker stops")]
    Stopped,
    /// The lease is gone or too old to act on.
    #[error("the lease is lost")]
    LeaseLost,
}

impl StepError {
    pub(super) fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::Scan { status: TaskStatus::Failed, code, message: message.into() }
    }

    /// The stable code for `task.json` and the dead letters.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Scanner(error) => error.code(),
            Self::Task(error) => error.code(),
            Self::Queue(error) => error.code(),
            Self::Results(error) => error.code(),
            Self::Scope(error) => error.code(),
            Self::Scan { code, .. } => code,
            Self::Held(_) => "held",
            Self::Stopped => "worker_stopped",
            Self::LeaseLost => "lease_lost",
        }
    }

    /// What to do about it, if anything is known.
    pub(super) fn hint(&self) -> Option<String> {
        let own = match self {
            Self::Scanner(error) => error.hint(),
            Self::Task(error) => error.hint(),
            Self::Queue(error) => error.hint(),
            Self::Results(error) => error.hint(),
            Self::Scope(error) => error.hint(),
            Self::Scan { .. } | Self::Held(_) | Self::Stopped | Self::LeaseLost => None,
        };
        own.or_else(|| service::advice_on(self.code()).map(str::to_owned))
    }

    /// Whether it says nothing about the scan or its scanner: this machine lacks disk, descriptors or memory, this program is
    /// too old to read the task, or the queue failed, which is only an index. The scan goes on meanwhile, and the delivery
    /// is not counted.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Queue(_) => true,
            Self::Scanner(error) => matches!(error, ScannerError::Storage(_) | ScannerError::OutOfResources(_)),
            Self::Task(error) => {
                use TaskError as E;
                matches!(error, E::Storage { .. } | E::Newer { .. } | E::Catalogue(_) | E::Contended(_))
            }
            Self::Results(error) => error.is_input_output(),
            Self::Scope(_) | Self::Scan { .. } | Self::Held(_) | Self::Stopped | Self::LeaseLost => false,
        }
    }

    /// Whether another try may help without anybody changing anything.
    pub(super) fn is_retryable(&self) -> bool {
        self.is_local() || matches!(self, Self::Scanner(error) if error.is_retryable())
    }

    /// Whether a scanner that answers has no results of one scan to give: nothing that says that the scanner, the way to it,
    /// or this machine is in trouble.
    pub(super) const fn is_about_results(&self) -> bool {
        use ScannerError as E;
        let Self::Scanner(error) = self else { return false };
        !matches!(
            error,
            E::AuthenticationRefused(_)
                | E::SessionRefused(_)
                | E::NotReady(_)
                | E::Unusable(_)
                | E::Certificate(_)
                | E::TooManySessions { .. }
                | E::RateLimited { .. }
                | E::Transport { .. }
                | E::Storage(_)
                | E::Configuration(_)
                | E::CircuitOpen(_)
        )
    }

    pub(super) fn message(&self) -> String {
        chain(self)
    }

    /// The message for clients: short, and without what only concerns this machine, such as paths. The log has all of it.
    pub(super) fn shown(&self) -> String {
        let whole = match self {
            Self::Task(TaskError::Storage { action, source, .. }) => {
                format!("the worker {action} the files of the task: {source}")
            }
            Self::Task(TaskError::Damaged { .. }) => "the file of the task is damaged".to_owned(),
            Self::Queue(_) => "the queue failed".to_owned(),
            _ => self.message(),
        };
        match whole.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{}…", &whole[..end]),
            None => whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_task_sees_no_path_and_no_endless_text() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let storage =
            TaskError::Storage { action: "cannot write", path: "/srv/data/task.json".into(), source: full.into() };
        let location = "/srv/data/queue.db".to_owned();
        let damaged = TaskError::Damaged { path: "/srv/data/task.json".into(), message: "no JSON".to_owned() };
        for error in
            [StepError::from(storage), damaged.into(), QueueError::StorageFull { location, source: None }.into()]
        {
            assert!(error.message().contains("/srv/data") && !error.shown().contains('/'), "{}", error.shown());
        }
        let long = StepError::failed("scan_aborted", "x".repeat(5000));
        assert_eq!(long.shown().chars().count(), SHOWN_CHARS + 1);
    }
}
