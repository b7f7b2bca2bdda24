//! What can go wrong between the task files and the queue.

use crate::{
    error::{Classified, ErrorKind},
    queue::{BodyError, QueueError},
    task::TaskError,
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
                "look at `DATA_DIR` and `QUEUE_URL`; to let the queue belong to this data directory from now on, run \
                 `nessus-admin queue rebind`"
                    .to_owned(),
            ),
            Self::DirectoryChanged { .. } => {
                Some("see whether the disk of the data directory is mounted, then restart the process".to_owned())
            }
        }
    }
}
