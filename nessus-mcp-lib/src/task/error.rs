//! Errors of the task store and its state machine.

use std::{io, path::PathBuf, sync::Arc};

use super::{failure::PlaceFailure, state::StateTransitionError};
use crate::{
    durable,
    error::{Classified, ErrorKind, is_away},
    ids::{FencingToken, TaskId},
    queue::QueueError,
    time::Timestamp,
};

/// A task that could not be read or changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// There is no such task.
    #[error("there is no task `{0}`")]
    NotFound(TaskId),
    /// The task was removed by housekeeping.
    #[error("there is no task `{task_id}` any more: it was removed on {} after its retention", at.utc_day())]
    Removed {
        /// The task.
        task_id: TaskId,
        /// When.
        at: Timestamp,
    },
    /// A task of this id was created before.
    #[error("task `{0}` exists already")]
    AlreadyExists(TaskId),
    /// The state machine does not allow the change.
    #[error(transparent)]
    Transition(#[from] StateTransitionError),
    /// The login came with the request, and was removed when the task ended.
    #[error("the login of task `{0}` came with its request and was removed when the task ended")]
    LoginGone(TaskId),
    /// Another worker has claimed the task since: the writer must stop acting on it.
    #[error("task `{task_id}` is held by a later claim (fencing token {current}, ours {ours})")]
    StaleFencingToken {
        /// The task.
        task_id: TaskId,
        /// The fencing token in the file.
        current: FencingToken,
        /// The fencing token of the writer.
        ours: FencingToken,
    },
    /// Others have changed the task again and again in the moment between its reading and its writing.
    #[error("task `{0}` could not be changed: others were faster each time")]
    Contended(TaskId),
    /// A newer version of this program has written the file, and only such a one knows what to do with the task: it waits.
    #[error("`{}` was written by a newer version of this program: {message}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What this version does not know.
        message: String,
    },
    /// The file is not a task: it is damaged.
    #[error("`{}` is not readable as a task: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The catalogue of tasks, which the queue keeps, cannot be asked or written.
    #[error("the catalogue of tasks cannot be used")]
    Catalogue(#[source] Arc<QueueError>),
    /// The disk refused.
    #[error("{action} `{}`: {source}", path.display())]
    Storage {
        /// What was tried, such as `cannot write`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
}

impl TaskError {
    pub(super) fn storage(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Storage { action, path, source: Arc::new(source) }
    }

    /// Whether this process could open no file at all, or the whole place of the tasks refuses: that says nothing about the one that is named.
    pub(crate) fn is_shortage(&self) -> bool {
        matches!(self, Self::Storage { source, .. } if durable::is_shortage(source) || PlaceFailure::of(source).is_some())
    }

    /// Whether the same would happen to any other task: a shortage of this process, a disk that takes nothing, a queue that failed.
    pub(crate) fn concerns_all(&self) -> bool {
        match self {
            Self::Storage { source, .. } => self.is_shortage() || durable::is_disk_refusal(source),
            Self::Catalogue(_) => true,
            _ => false,
        }
    }

    /// Whether somebody else does not let go of what was to be locked.
    pub(super) fn is_timeout(&self) -> bool {
        match self {
            Self::Contended(_) => true,
            Self::Storage { source, .. } => source.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }
}

impl From<QueueError> for TaskError {
    fn from(error: QueueError) -> Self {
        Self::Catalogue(Arc::new(error))
    }
}

impl Classified for TaskError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::Removed { .. } => "task_not_found",
            Self::AlreadyExists(_) => "task_exists",
            Self::Transition(_) => "invalid_state",
            Self::LoginGone(_) => "login_gone",
            Self::StaleFencingToken { .. } => "lease_lost",
            Self::Contended(_) => "task_contended",
            Self::Newer { .. } => "task_newer",
            Self::Damaged { .. } => "task_damaged",
            Self::Catalogue(error) => error.code(),
            Self::Storage { .. } => "storage_error",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) | Self::Removed { .. } => ErrorKind::NotFound,
            Self::AlreadyExists(_) | Self::Transition(_) | Self::LoginGone(_) | Self::StaleFencingToken { .. } => {
                ErrorKind::Conflict
            }
            Self::Newer { .. } | Self::Contended(_) => ErrorKind::Unavailable,
            Self::Catalogue(error) => error.kind(),
            // A whole store that does not answer may do so later; one that is missing or unfit has to be looked at.
            Self::Storage { source, .. } if PlaceFailure::of(source).is_some() => {
                if is_away(source) {
                    ErrorKind::Unavailable
                } else {
                    ErrorKind::Configuration
                }
            }
            Self::Damaged { .. } | Self::Storage { .. } => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(_) | Self::Removed { .. } => Some("the list of tasks shows those there are".to_owned()),
            Self::Newer { .. } => {
                Some("bring this program up to date, as others that use the data directory are".to_owned())
            }
            Self::Contended(_) => Some(
                "try again; if it lasts, look whether the place of the tasks shows what was written last".to_owned(),
            ),
            Self::Catalogue(error) => error.hint(),
            Self::Storage { source, .. } if PlaceFailure::of(source).is_some() => {
                PlaceFailure::of(source)?.hint().map(str::to_owned)
            }
            Self::Storage { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("give this user write access to the data directory, or name another data directory".to_owned())
            }
            Self::Storage { source, .. } => durable::hint(source).map(str::to_owned),
            _ => None,
        }
    }
}
