//! What can go wrong between the task files and the queue.

use crate::{
    error::{Classified, ErrorKind},
    queue::{BodyError, QueueError},
    task::TaskError,
    time::Timestamp,
};

/// Task files and queue that could not be compared, or do not belong together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The tasks could not be read.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A task could not be written as a queue entry.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The queue belongs to another data directory.
    #[error(
        "the queue belongs to another data directory: its id is `{queue}`, this directory {}",
        directory.as_ref().map_or("has none".to_owned(), |id| format!("has `{id}`"))
    )]
    Mismatch {
        /// The id of this directory, if it has one.
        directory: Option<String>,
        /// The id of the queue's directory.
        queue: String,
    },
    /// The data directory is not the one it was when the process started.
    #[error("the data directory is not the one it was: it has no longer the id `{before}`")]
    DirectoryChanged {
        /// The id it had.
        before: String,
    },
}

impl Classified for ReconcileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Task(error) => error.code(),
            Self::Queue(error) => error.code(),
            Self::Body(error) => error.code(),
            Self::Mismatch { .. } => "queue_mismatch",
            Self::DirectoryChanged { .. } => "data_directory_changed",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Task(error) => error.kind(),
            Self::Queue(error) => error.kind(),
            Self::Body(error) => error.kind(),
            Self::Mismatch { .. } | Self::DirectoryChanged { .. } => ErrorKind::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Task(error) => error.hint(),
            Self::Queue(error) => error.hint(),
            Self::Body(error) => error.hint(),
            Self::Mismatch { .. } => Some(
                "look at where the data directory is and at the URL of the queue; if both are right, bind the queue to \
                 this data directory"
                    .to_owned(),
            ),
            Self::DirectoryChanged { .. } => {
                Some("see whether the disk of the data directory is mounted, then restart the process".to_owned())
            }
        }
    }
}

/// Housekeeping that could not be done, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HousekeepingError {
    /// The tasks could not be read or removed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Queue and data directory do not belong together, or could not be compared.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// A task could not be written as a queue entry.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Another process does it.
    #[error("another process does housekeeping at this moment")]
    Busy,
    /// Another process has the lead by now.
    #[error("another process does housekeeping by now")]
    LeadLost,
    /// Nobody knows what time it is.
    #[error("the clock of this machine ({own}) and that of the queue ({queue}) differ: nothing is removed by either")]
    Clock {
        /// The time on this machine.
        own: Timestamp,
        /// The time of the queue.
        queue: Timestamp,
    },
}

impl HousekeepingError {
    /// Whether the next entry would fare no better.
    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Task(error) | Self::Reconcile(ReconcileError::Task(error)) => error.concerns_all(),
            Self::Body(_) | Self::Reconcile(ReconcileError::Body(_)) => false,
            Self::Queue(_) | Self::Reconcile(_) | Self::Busy | Self::LeadLost | Self::Clock { .. } => true,
        }
    }
}

impl Classified for HousekeepingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Task(error) => error.code(),
            Self::Queue(error) => error.code(),
            Self::Reconcile(error) => error.code(),
            Self::Body(error) => error.code(),
            Self::Busy | Self::LeadLost => "housekeeping_busy",
            Self::Clock { .. } => "clocks_differ",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Task(error) => error.kind(),
            Self::Queue(error) => error.kind(),
            Self::Reconcile(error) => error.kind(),
            Self::Body(error) => error.kind(),
            Self::Busy | Self::LeadLost | Self::Clock { .. } => ErrorKind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Task(error) => error.hint(),
            Self::Queue(error) => error.hint(),
            Self::Reconcile(error) => error.hint(),
            Self::Body(error) => error.hint(),
            Self::Busy | Self::LeadLost => Some("wait until it is done, then try again".to_owned()),
            Self::Clock { .. } => Some("set the clock that is wrong, best with NTP on both machines".to_owned()),
        }
    }
}
