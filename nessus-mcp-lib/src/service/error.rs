//! Errors an agent or an operator can act on.

use std::time::Duration;

use crate::{
    config::ConfigError,
    credentials::CredentialError,
    error::{Classified, ErrorKind, counted, excerpt, nearest},
    housekeeping::ReconcileError,
    ids::{IdError, TaskId},
    policy::{ApprovalError, ScopeError},
    queue::{BodyError, QueueError},
    results::ResultsError,
    scanner::ScannerError,
    targets::TargetError,
    task::{TaskError, TaskStatus},
    telemetry::MetricsError,
};

/// A request that could not be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A field of the request is wrong.
    #[error("`{field}` {message}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The scan cannot log in so.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The targets cannot be read.
    #[error(transparent)]
    Targets(#[from] TargetError),
    /// The targets may not be scanned.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// Nothing can be decided about the scan so.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// There is no such pool.
    #[error("there is no scanner pool `{pool}`")]
    UnknownPool {
        /// The name asked for.
        pool: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// There is no such scanner in the pool, or it is disabled.
    #[error("pool `{pool}` has no enabled scanner `{instance}`")]
    UnknownInstance {
        /// The pool.
        pool: String,
        /// The name asked for.
        instance: String,
        /// The names of the pool's enabled scanners.
        available: Vec<String>,
    },
    /// Every scanner of the pool is disabled.
    #[error("every scanner of pool `{pool}` is disabled")]
    PoolDisabled {
        /// The pool.
        pool: String,
    },
    /// The answer would be larger than one answer may be.
    #[error("the results are larger than {}", counted(*limit, "byte", "bytes"))]
    TooLarge {
        /// The most bytes.
        limit: usize,
    },
    /// Others read results, and there is no memory for one more reader.
    #[error("the server is busy with other requests for results: there was no memory for this one in {}", counted(waited.as_secs(), "second", "seconds"))]
    Busy {
        /// How long the request has waited.
        waited: Duration,
    },
    /// The key was used for another request.
    #[error("the idempotency key was used for another request, which became task `{task_id}`")]
    IdempotencyConflict {
        /// The task of that request.
        task_id: TaskId,
    },
    /// Several tasks have ids that begin so.
    #[error("`{begin}` is the beginning of the ids of {}", counted(*total, "task", "tasks"))]
    AmbiguousTask {
        /// What was given.
        begin: String,
        /// The first of them, newest first.
        candidates: Vec<TaskId>,
        /// How many there are.
        total: usize,
    },
    /// The task has ended, and not by being cancelled.
    #[error("task `{task_id}` has ended already: it is {status}")]
    AlreadyEnded {
        /// The task.
        task_id: TaskId,
        /// How it ended.
        status: TaskStatus,
    },
    /// The task cannot be tried again.
    #[error("task `{task_id}` cannot be tried again: {reason}")]
    NotRetryable {
        /// The task.
        task_id: TaskId,
        /// Why.
        reason: String,
    },
    /// The task cannot be paused any more.
    #[error("task `{task_id}` is not paused: {reason}")]
    NotPausable {
        /// The task.
        task_id: TaskId,
        /// Why.
        reason: &'static str,
    },
    /// Somebody else holds the task.
    #[error("task `{task_id}` is not resumed: {reason}")]
    NotResumable {
        /// The task.
        task_id: TaskId,
        /// Who holds it.
        reason: String,
    },
    /// The scan has not ended.
    #[error("task `{task_id}` is {status}: its results are not there yet")]
    ResultsNotReady {
        /// The task.
        task_id: TaskId,
        /// Where it stands.
        status: TaskStatus,
    },
    /// The scan has ended without results.
    #[error("task `{task_id}` has no results: it ended as {status}{}", reason.as_deref().map(|r| format!(" ({r})")).unwrap_or_default())]
    NoResults {
        /// The task.
        task_id: TaskId,
        /// How it ended.
        status: TaskStatus,
        /// Its error code.
        reason: Option<String>,
    },
    /// The disk of the data directory is nearly full: what it still has is for the scans that run.
    #[error(
        "the disk of the data directory is {used_percent:.0} % full: new scans are refused, so that those that run can end"
    )]
    DiskFull {
        /// How much of it is used, in percent.
        used_percent: f64,
    },
    /// The disk of the data directory is mounted read-only.
    #[error("the disk of the data directory is mounted read-only: no scan can be accepted")]
    DiskReadOnly,
    /// The data directory cannot be used.
    #[error("the data directory cannot be used: {0}")]
    DataDirectory(#[source] TaskError),
    /// A task could not be read or written.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The queue is not that of the data directory, or could not be bound to it.
    #[error(transparent)]
    Index(#[from] ReconcileError),
    /// A task could not be written as a queue entry.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The results could not be read as asked.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A scanner cannot be built from its configuration.
    #[error(transparent)]
    Scanner(#[from] ScannerError),
    /// Metrics could not be made or written.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

impl ServiceError {
    /// A wrong field, with what to do about it.
    pub fn invalid(field: &'static str, message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self::Invalid { field, message: message.into(), hint: hint.into() }
    }

    /// A field that has not the form of the name it stands for.
    pub fn invalid_id(field: &'static str, error: &IdError) -> Self {
        Self::invalid(field, format!("is refused: {error}"), None)
    }

    /// The runtime is shutting down.
    pub(super) fn stopping(source: std::io::Error) -> Self {
        Self::Results(ResultsError::Read(source))
    }

    /// The pools that are there stand in the order of their likeness to the name.
    pub(super) fn unknown_pool(pool: &str, available: &[String]) -> Self {
        let available = nearest(pool, available.iter().map(String::as_str)).into_iter().map(str::to_owned).collect();
        Self::UnknownPool { pool: excerpt(pool).to_string(), available }
    }

    fn inner(&self) -> Option<&dyn Classified> {
        match self {
            Self::Credential(error) => Some(error),
            Self::Targets(error) => Some(error),
            Self::Scope(error) => Some(error),
            Self::Approval(error) => Some(error),
            Self::Task(error) => Some(error),
            Self::Queue(error) => Some(error),
            Self::Body(error) => Some(error),
            Self::Index(error) => Some(error),
            Self::Results(error) => Some(error),
            Self::Config(error) => Some(error),
            Self::Scanner(error) => Some(error),
            _ => None,
        }
    }
}

impl Classified for ServiceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid_argument",
            Self::UnknownPool { .. } => "unknown_pool",
            Self::UnknownInstance { .. } => "unknown_instance",
            Self::PoolDisabled { .. } => "pool_disabled",
            Self::TooLarge { .. } => "too_large",
            Self::Busy { .. } => "busy",
            Self::IdempotencyConflict { .. } => "idempotency_conflict",
            Self::AmbiguousTask { .. } => "ambiguous_task",
            Self::AlreadyEnded { .. } => "already_ended",
            Self::NotRetryable { .. } => "not_retryable",
            Self::NotPausable { .. } => "not_pausable",
            Self::NotResumable { .. } => "not_resumable",
            Self::ResultsNotReady { .. } => "results_not_ready",
            Self::NoResults { .. } => "no_results",
            Self::DiskFull { .. } => "disk_full",
            Self::DiskReadOnly => "disk_read_only",
            Self::DataDirectory(error) if error.kind() == ErrorKind::Unavailable => "storage_error",
            Self::DataDirectory(_) => "bad_configuration",
            other => other.inner().map_or("internal_error", Classified::code),
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. }
            | Self::UnknownPool { .. }
            | Self::UnknownInstance { .. }
            | Self::TooLarge { .. }
            | Self::AmbiguousTask { .. } => ErrorKind::InvalidInput,
            Self::PoolDisabled { .. }
            | Self::IdempotencyConflict { .. }
            | Self::AlreadyEnded { .. }
            | Self::NotRetryable { .. }
            | Self::NotPausable { .. }
            | Self::NotResumable { .. }
            | Self::ResultsNotReady { .. } => ErrorKind::Conflict,
            Self::NoResults { .. } => ErrorKind::NotFound,
            Self::Busy { .. } | Self::DiskFull { .. } | Self::DiskReadOnly => ErrorKind::Unavailable,
            Self::DataDirectory(error) if error.kind() == ErrorKind::Unavailable => ErrorKind::Unavailable,
            Self::DataDirectory(_) => ErrorKind::Configuration,
            other => other.inner().map_or(ErrorKind::Internal, Classified::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { hint, .. } => hint.clone(),
            Self::UnknownPool { available, .. } => Some(format!("the pools are: {}", available.join(", "))),
            Self::UnknownInstance { available, .. } if available.is_empty() => {
                Some("every scanner of this pool is disabled; use another pool".to_owned())
            }
            Self::UnknownInstance { available, .. } => Some(format!(
                "its enabled scanners are: {}; leave the scanner out to use any of them",
                available.join(", ")
            )),
            Self::PoolDisabled { .. } => Some("use another pool; the list of pools shows them".to_owned()),
            Self::TooLarge { .. } => {
                Some("read page by page, or ask for fewer findings with `filters` or a smaller profile".to_owned())
            }
            Self::Busy { .. } => Some(
                "ask again in a minute, with fewer requests at once; an operator can allow more memory for results"
                    .to_owned(),
            ),
            Self::IdempotencyConflict { .. } => {
                Some("use a new key for a new scan, or repeat the first request unchanged".to_owned())
            }
            Self::AmbiguousTask { candidates, total, .. } => {
                let names: Vec<_> = candidates.iter().map(TaskId::as_str).collect();
                let more = total.saturating_sub(names.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Some(format!("give more of it; the newest are: {}{more}", names.join(", ")))
            }
            Self::AlreadyEnded { status: TaskStatus::Completed, .. } => {
                Some("it is complete; read the task's results".to_owned())
            }
            Self::AlreadyEnded { .. } => Some("the task's status tells how it ended".to_owned()),
            Self::NotRetryable { .. } => Some(
                "only tasks that are failed or timeout are tried again, a few times; submit a new scan instead"
                    .to_owned(),
            ),
            Self::NotPausable { .. } => Some("ask for the task's status until it has ended".to_owned()),
            Self::NotResumable { .. } => Some(
                "the task's status tells who holds it; to end it and keep what it has found, cancel the task"
                    .to_owned(),
            ),
            Self::ResultsNotReady { .. } => {
                Some("ask for the task's status until the scan has ended, then ask again".to_owned())
            }
            Self::DiskFull { .. } => Some(
                "an operator must free space on the disk of the data directory; the health report shows how much there \
                 is"
                    .to_owned(),
            ),
            Self::DiskReadOnly => Some("an operator must mount the disk of the data directory for writing".to_owned()),
            Self::DataDirectory(error) if error.hint().is_some() => error.hint(),
            Self::DataDirectory(_) => Some("name another data directory, one that this user can write to".to_owned()),
            Self::NoResults { .. } => {
                Some("the task's status tells why; submit the scan again when the cause is fixed".to_owned())
            }
            other => other.inner().and_then(Classified::hint),
        }
    }
}
