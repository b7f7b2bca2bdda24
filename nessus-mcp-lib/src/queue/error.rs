//! What can go wrong with the queue.

use crate::error::{Classified, ErrorKind};

/// An error of a backend's own crate, kept as a source without naming its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failed call to the queue.
///
/// `location` is a path or a URL without credentials. After any error but those of opening, the step either happened
/// as a whole or not at all; see the contract of each method of [`Queue`](super::Queue) for repeating it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The text is not the URL of a queue.
    #[error("`{url}` is not a queue URL: {reason}")]
    InvalidUrl {
        /// The URL without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL names a backend that this build does not contain.
    #[error("this build has no {backend} queue, needed for `{url}`")]
    UnsupportedBackend {
        /// The backend, such as `Redis`.
        backend: &'static str,
        /// The URL without credentials.
        url: String,
    },
    /// The queue cannot be used until a person changes something: no permission, not a database, wrong server.
    #[error("cannot use the queue at {location}: {problem}")]
    Unusable {
        /// Where the queue is.
        location: String,
        /// What stands in the way.
        problem: String,
        /// The backend's own error.
        #[source]
        source: Option<BoxError>,
    },
    /// The stored queue was written by a newer version of this program.
    #[error("the queue at {location} has schema version {found}, and this program knows versions up to {supported}")]
    NewerSchema {
        /// Where the queue is.
        location: String,
        /// The version that was found.
        found: i64,
        /// The newest version this program knows.
        supported: i64,
    },
    /// The queue does not answer for now.
    #[error("the queue at {location} is not available: {problem}")]
    Unavailable {
        /// Where the queue is.
        location: String,
        /// What happened.
        problem: String,
        /// The backend's own error.
        #[source]
        source: Option<BoxError>,
    },
    /// No space is left to store the step.
    #[error("no space left for the queue at {location}")]
    StorageFull {
        /// Where the queue is.
        location: String,
        /// The backend's own error.
        #[source]
        source: Option<BoxError>,
    },
    /// What is stored cannot be read.
    #[error("the queue at {location} is damaged")]
    Damaged {
        /// Where the queue is.
        location: String,
        /// The backend's own error.
        #[source]
        source: Option<BoxError>,
    },
    /// Anything else, a defect among it.
    #[error("the queue at {location} failed: {problem}")]
    Internal {
        /// Where the queue is.
        location: String,
        /// What happened.
        problem: String,
        /// The backend's own error.
        #[source]
        source: Option<BoxError>,
    },
}

impl Classified for QueueError {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => "invalid_queue_url",
            Self::UnsupportedBackend { .. } => "queue_backend_unsupported",
            Self::Unusable { .. } => "queue_unusable",
            Self::NewerSchema { .. } => "queue_schema_newer",
            Self::Unavailable { .. } => "queue_unavailable",
            Self::StorageFull { .. } => "queue_storage_full",
            Self::Damaged { .. } => "queue_damaged",
            Self::Internal { .. } => "queue_internal",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidUrl { .. }
            | Self::UnsupportedBackend { .. }
            | Self::Unusable { .. }
            | Self::NewerSchema { .. } => ErrorKind::Configuration,
            Self::Unavailable { .. } | Self::StorageFull { .. } => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::InvalidUrl { .. } => {
                "write `sqlite:PATH`, such as `sqlite:./data/queue.db`, or `redis://HOST:PORT`".to_owned()
            }
            Self::UnsupportedBackend { .. } => "use `sqlite:PATH`, or a build that contains this backend".to_owned(),
            Self::Unusable { .. } => {
                "look at the URL of the queue, and at where the data directory is, which has the queue when no URL is \
                 given"
                    .to_owned()
            }
            Self::NewerSchema { .. } => "run the version that wrote it, or a newer one".to_owned(),
            Self::StorageFull { .. } => "free some space on the disk of the queue".to_owned(),
            Self::Damaged { location, .. } => format!(
                "stop all processes, move {location} away and start again: the queue is rebuilt from the task files"
            ),
            Self::Unavailable { location, .. } if location.contains("://") => {
                "see whether the server runs and can be reached from here, and what the URL of the queue names"
                    .to_owned()
            }
            _ => return None,
        })
    }
}
