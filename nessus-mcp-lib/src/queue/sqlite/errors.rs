//! SQLite's errors as those of the queue.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::{
    durable,
    queue::error::{BoxError, QueueError},
};

/// The queue error for what SQLite reports.
pub(super) fn describe(location: &str, error: rusqlite::Error) -> QueueError {
    let location = location.to_owned();
    let unusable = |problem: &str| (problem.to_owned(), true);
    let unavailable = |problem: &str| (problem.to_owned(), false);
    let (problem, needs_a_person) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => return QueueError::StorageFull { location, source: Some(error.into()) },
        Some(ErrorCode::DatabaseCorrupt) => return QueueError::Damaged { location, source: Some(error.into()) },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            unavailable("other processes hold it locked")
        }
        Some(ErrorCode::SystemIoFailure) => unavailable("the disk fails"),
        Some(ErrorCode::OutOfMemory) => unavailable("out of memory"),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) if durable::is_read_only(Path::new(&location)) => {
            unusable("its disk is mounted read-only")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => unusable("the file or its directory is read-only"),
        Some(ErrorCode::CannotOpen) => unusable("the file cannot be opened"),
        Some(ErrorCode::NotADatabase) => unusable("the file is not a SQLite database"),
        _ if matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        ) =>
        {
            return QueueError::Damaged { location, source: Some(error.into()) };
        }
        _ => {
            return QueueError::Internal {
                location,
                problem: "SQLite reports an error".to_owned(),
                source: Some(error.into()),
            };
        }
    };
    let source = Some(error.into());
    if needs_a_person {
        QueueError::Unusable { location, problem, source }
    } else {
        QueueError::Unavailable { location, problem, source }
    }
}

/// The same error once more, for another step that failed with it; of its source, the text.
pub(super) fn again(error: &QueueError) -> QueueError {
    let text = |source: &Option<BoxError>| source.as_ref().map(|source| source.to_string().into());
    match error {
        QueueError::Unusable { location, problem, source } => {
            QueueError::Unusable { location: location.clone(), problem: problem.clone(), source: text(source) }
        }
        QueueError::Unavailable { location, problem, source } => {
            QueueError::Unavailable { location: location.clone(), problem: problem.clone(), source: text(source) }
        }
        QueueError::StorageFull { location, source } => {
            QueueError::StorageFull { location: location.clone(), source: text(source) }
        }
        QueueError::Damaged { location, source } => {
            QueueError::Damaged { location: location.clone(), source: text(source) }
        }
        QueueError::NewerSchema { location, found, supported } => {
            QueueError::NewerSchema { location: location.clone(), found: *found, supported: *supported }
        }
        QueueError::Internal { location, problem, source } => {
            QueueError::Internal { location: location.clone(), problem: problem.clone(), source: text(source) }
        }
        // Of what an open queue cannot have, the message.
        QueueError::InvalidUrl { url, .. } | QueueError::UnsupportedBackend { url, .. } => {
            QueueError::Internal { location: url.clone(), problem: error.to_string(), source: None }
        }
    }
}
