//! What can go wrong between us and a scanner.

use std::time::Duration;

use crate::{
    error::{Classified, ErrorKind},
    ids::ScanId,
};

/// Whether the scanner may have acted on a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestSent {
    /// The connection was never made: the scanner cannot have acted.
    No,
    /// The request may have arrived: before a create or launch is repeated, look for its effect.
    Maybe,
}

/// A failed call to a scanner.
///
/// Messages name the call and the scanner's own words, cut to 200 bytes; never a password, token or cookie.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ScannerError {
    /// User name or password refused. Never repeated: scanners lock accounts after a few tries.
    #[error("the scanner refused the login: {0}")]
    AuthenticationRefused(String),
    /// The session has expired and a new login did not help.
    #[error("the session was refused again right after a new login, at {0}")]
    SessionRefused(String),
    /// 412 "API is not available": the edition does not allow control by API and the web token was not accepted.
    #[error("the scanner does not allow control by API: {0}")]
    ApiNotAvailable(String),
    /// The scan or file does not exist (any more).
    #[error("not found on the scanner: {0}")]
    NotFound(String),
    /// The scanner refuses in the present state, such as an export of a running scan.
    #[error("the scanner refuses in the present state: {0}")]
    Conflict(String),
    /// The request is not allowed for this user or licence.
    #[error("not allowed by the scanner: {0}")]
    Forbidden(String),
    /// The scanner says the request is wrong.
    #[error("the scanner rejects the request: {0}")]
    Rejected(String),
    /// The scanner runs but cannot scan: still loading, feed expired, locked.
    #[error("the scanner is not ready: {0}")]
    NotReady(String),
    /// Too many requests.
    #[error("the scanner asks for fewer requests")]
    RateLimited {
        /// How long it asks to wait, if it says so.
        retry_after: Option<Duration>,
    },
    /// A 5xx answer.
    #[error("the scanner failed with HTTP {status}: {message}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// No usable answer: refused, reset, DNS, TLS, timeout.
    #[error("no answer from the scanner at {call}: {message}")]
    Transport {
        /// The call, such as `POST /scans`.
        call: String,
        /// What happened.
        message: String,
        /// Whether the scanner may have acted on it.
        sent: RequestSent,
    },
    /// An answer that is not what the API promises.
    #[error("the scanner's answer to {call} could not be read: {message}")]
    Decode {
        /// The call.
        call: String,
        /// What is wrong with the answer.
        message: String,
    },
    /// An export that ends too early.
    #[error("the export is incomplete: {0}")]
    Truncated(String),
    /// An export larger than this machine is told to accept.
    #[error("the export has more than the allowed {limit} bytes")]
    ExportTooLarge {
        /// The most bytes allowed.
        limit: u64,
    },
    /// Something the scanner should have finished by now.
    #[error("gave up waiting for {what} after {waited:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
    },
    /// A scan template the scanner does not have.
    #[error("the scanner has no template `{name}`; it has: {}", available.join(", "))]
    UnknownTemplate {
        /// The name asked for.
        name: String,
        /// The names it has.
        available: Vec<String>,
    },
    /// Several scans carry the marker of one task: none can be adopted safely.
    #[error("{} scans carry the marker `{marker}`", scans.len())]
    AmbiguousMarker {
        /// The marker.
        marker: String,
        /// The scans that carry it.
        scans: Vec<ScanId>,
    },
    /// The export could not be written to this machine's disk.
    #[error("could not store the export: {0}")]
    Storage(String),
    /// This scanner implementation does not know the operation.
    #[error("this scanner does not support {0}")]
    Unsupported(&'static str),
    /// The instance is configured wrongly.
    #[error("wrong scanner configuration: {0}")]
    Configuration(String),
}

impl ScannerError {
    /// Whether the scanner may have done what it was asked for although the call failed.
    ///
    /// A create or launch that failed so is not repeated before its effect was looked for
    /// ([`find_by_marker`](super::ScannerInterface::find_by_marker), [`status`](super::ScannerInterface::status)).
    pub const fn may_have_acted(&self) -> bool {
        matches!(
            self,
            Self::Transport { sent: RequestSent::Maybe, .. }
                | Self::Server { .. }
                | Self::Decode { .. }
                | Self::TimedOut { .. }
        )
    }
}

impl Classified for ScannerError {
    fn code(&self) -> &'static str {
        match self {
            Self::AuthenticationRefused(_) => "scanner_login_refused",
            Self::SessionRefused(_) => "scanner_session_refused",
            Self::ApiNotAvailable(_) => "scanner_api_not_available",
            Self::NotFound(_) => "scan_vanished",
            Self::Conflict(_) => "scanner_conflict",
            Self::Forbidden(_) => "scanner_forbidden",
            Self::Rejected(_) => "scanner_rejected",
            Self::NotReady(_) => "scanner_not_ready",
            Self::RateLimited { .. } => "scanner_rate_limited",
            Self::Server { .. } => "scanner_server_error",
            Self::Transport { .. } => "scanner_unreachable",
            Self::Decode { .. } => "scanner_bad_answer",
            Self::Truncated(_) => "export_truncated",
            Self::ExportTooLarge { .. } => "export_too_large",
            Self::TimedOut { .. } => "scanner_timed_out",
            Self::UnknownTemplate { .. } => "unknown_template",
            Self::AmbiguousMarker { .. } => "ambiguous_scan",
            Self::Storage(_) => "storage_error",
            Self::Unsupported(_) => "unsupported",
            Self::Configuration(_) => "scanner_configuration",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotReady(_)
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Transport { .. }
            | Self::Decode { .. }
            | Self::Truncated(_)
            | Self::TimedOut { .. } => ErrorKind::Unavailable,
            Self::AuthenticationRefused(_)
            | Self::SessionRefused(_)
            | Self::ApiNotAvailable(_)
            | Self::Forbidden(_)
            | Self::ExportTooLarge { .. }
            | Self::Configuration(_) => ErrorKind::Configuration,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Conflict(_) | Self::AmbiguousMarker { .. } => ErrorKind::Conflict,
            Self::Rejected(_) | Self::UnknownTemplate { .. } | Self::Unsupported(_) => ErrorKind::InvalidInput,
            Self::Storage(_) => ErrorKind::Internal,
        }
    }
}
