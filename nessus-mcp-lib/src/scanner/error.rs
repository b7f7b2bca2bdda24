//! What can go wrong between us and a scanner.

use std::time::Duration;

use crate::{
    circuit_breaker::{CallOutcome, CircuitOpen, ClassifyOutcome},
    error::{Classified, ErrorKind, chain, counted},
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
    /// The scanner's licence does not allow it, such as an export in trial mode.
    #[error("the scanner's licence does not allow it: {0}")]
    Licence(String),
    /// The scanner says the request is wrong.
    #[error("the scanner rejects the request: {0}")]
    Rejected(String),
    /// The scanner is starting or compiling its plugins: it becomes ready by itself.
    #[error("the scanner is not ready: {0}")]
    NotReady(String),
    /// The scanner runs but cannot scan until an operator fixes it: not registered, feed expired, locked.
    #[error("the scanner cannot be used: {0}")]
    Unusable(String),
    /// The certificate of the scanner is not trusted. Nothing was sent. An operator has to renew it or configure what to trust.
    #[error("{0}")]
    Certificate(String),
    /// The scanner has as many open sessions as it allows. More logins would only keep it so.
    #[error("the scanner allows no further session: {message}; it is asked again in {} s", retry_after.as_secs())]
    TooManySessions {
        /// Its words.
        message: String,
        /// How long no login is tried.
        retry_after: Duration,
    },
    /// Too many requests.
    #[error("the scanner asks for fewer requests{}", later(*retry_after))]
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
    /// The scanner answers but does not deliver the results of this scan: their file is lost each time, fails, is never
    /// ready or is not an export. The results are still on the scanner.
    #[error("the export is lost: {0}")]
    ExportLost(String),
    /// An export larger than this machine is told to accept.
    #[error("the export has more than the allowed {}", counted(*limit, "byte", "bytes"))]
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
    /// A scan template the scanner does not have, or that the operator does not allow.
    #[error("the scanner offers no template `{name}`; it offers: {}", available.join(", "))]
    UnknownTemplate {
        /// The name asked for.
        name: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// A scan template that the scanner has and that cannot be used here.
    #[error("the template `{name}` cannot be used: {reason}; the scanner offers: {}", available.join(", "))]
    UnusableTemplate {
        /// The name asked for.
        name: String,
        /// Why not.
        reason: &'static str,
        /// The names of those that can.
        available: Vec<String>,
    },
    /// There is no policy of this name or id on the scanner.
    #[error("the scanner has no policy `{name}`")]
    UnknownPolicy {
        /// The name or id asked for.
        name: String,
        /// The names most like it, of those that scans may use.
        nearest: Vec<String>,
    },
    /// A policy that the operator does not let scans use (`allowed_policies`).
    #[error("the operator does not allow scans by the policy `{name}`")]
    PolicyNotAllowed {
        /// The name or id asked for.
        name: String,
        /// The names most like it, of those that scans may use.
        nearest: Vec<String>,
    },
    /// Several policies have the name.
    #[error("{} the name `{name}`: those with the ids {}", counted(ids.len(), "policy has", "policies have"), ids.join(", "))]
    AmbiguousPolicy {
        /// The name.
        name: String,
        /// Their ids, or the first of them.
        ids: Vec<String>,
    },
    /// The policy of an id has another name than it had when it was asked for.
    #[error("the policy with the id `{id}` is called `{now}`, and was called `{before}` when it was asked for")]
    RenamedPolicy {
        /// Its id.
        id: String,
        /// Its name then.
        before: String,
        /// Its name now.
        now: String,
    },
    /// A policy holds credentials, and the scan is one that may not log in on its targets.
    #[error("the policy `{0}` has credentials of its own, and an untrusted scan logs in nowhere")]
    PolicyLogsIn(String),
    /// A policy holds no credentials, and the scan was to log in with those.
    #[error("the policy `{0}` has no credentials of its own, and the scan was given none")]
    PolicyWithoutLogin(String),
    /// Several scans carry the marker of one task: none can be adopted safely.
    #[error("{} the marker `{marker}`", counted(scans.len(), "scan carries", "scans carry"))]
    AmbiguousMarker {
        /// The marker.
        marker: String,
        /// The scans that carry it.
        scans: Vec<ScanId>,
    },
    /// The export could not be written to this machine's disk.
    #[error("could not store the export: {0}")]
    Storage(String),
    /// This machine has no descriptor, port or memory left for a connection. Nothing was sent, and it says nothing about the
    /// scanner.
    #[error("this machine cannot make a connection: {0}")]
    OutOfResources(String),
    /// This scanner implementation does not know the operation.
    #[error("this scanner does not support {0}")]
    Unsupported(&'static str),
    /// The instance is configured wrongly.
    #[error("wrong scanner configuration: {0}")]
    Configuration(String),
    /// The call was not made, because the scanner's circuit is open.
    #[error(transparent)]
    CircuitOpen(#[from] CircuitOpen),
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

    /// Whether the failure means that the scanner, or the way to it, is in trouble: no answer, an unreadable or late one, a
    /// 5xx, too many requests, a scanner that cannot scan at the moment. A healthy scanner's answer to a wrong request or
    /// login is no such failure, nor is an export that cannot be delivered.
    pub const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Transport { .. }
                | Self::Server { .. }
                | Self::RateLimited { .. }
                | Self::TooManySessions { .. }
                | Self::NotReady(_)
                | Self::Unusable(_)
                | Self::Certificate(_)
                | Self::Decode { .. }
                | Self::TimedOut { .. }
        )
    }

    /// Whether an operator has to fix the scanner, or the way to it, before any scan can run there. The task is fine and
    /// can wait.
    pub const fn needs_operator(&self) -> bool {
        matches!(self, Self::Unusable(_) | Self::Certificate(_))
    }

    /// Whether the scanner does not have what the scan is to be made of, or not as it was asked for. Another may have it.
    pub(crate) const fn is_about_basis(&self) -> bool {
        matches!(
            self,
            Self::UnknownTemplate { .. }
                | Self::UnusableTemplate { .. }
                | Self::UnknownPolicy { .. }
                | Self::PolicyNotAllowed { .. }
                | Self::AmbiguousPolicy { .. }
                | Self::RenamedPolicy { .. }
        )
    }

    /// Whether the scanner knows nothing of what the scan is to be made of.
    pub(crate) const fn is_unknown_basis(&self) -> bool {
        matches!(self, Self::UnknownTemplate { .. } | Self::UnknownPolicy { .. })
    }

    /// How long the scanner asks not to be called, if it does.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            Self::TooManySessions { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

fn later(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!(", and to come back in {} s", wait.as_secs())).unwrap_or_default()
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
            Self::Licence(_) => "scanner_licence",
            Self::Rejected(_) => "scanner_rejected",
            Self::NotReady(_) => "scanner_not_ready",
            Self::Unusable(_) => "scanner_unusable",
            Self::TooManySessions { .. } => "scanner_too_many_sessions",
            Self::RateLimited { .. } => "scanner_rate_limited",
            Self::Server { .. } => "scanner_server_error",
            Self::Transport { .. } => "scanner_unreachable",
            Self::Decode { .. } => "scanner_bad_answer",
            Self::Truncated(_) => "export_truncated",
            Self::ExportLost(_) => "export_lost",
            Self::ExportTooLarge { .. } => "export_too_large",
            Self::TimedOut { .. } => "scanner_timed_out",
            Self::UnknownTemplate { .. } => "unknown_template",
            Self::UnusableTemplate { .. } => "unusable_template",
            Self::UnknownPolicy { .. } => "unknown_policy",
            Self::PolicyNotAllowed { .. } => "policy_not_allowed",
            Self::AmbiguousPolicy { .. } => "ambiguous_policy",
            Self::RenamedPolicy { .. } => "policy_renamed",
            Self::PolicyLogsIn(_) => "policy_logs_in",
            Self::PolicyWithoutLogin(_) => "policy_without_login",
            Self::AmbiguousMarker { .. } => "ambiguous_scan",
            Self::Storage(_) => "storage_error",
            Self::OutOfResources(_) => "out_of_resources",
            Self::Unsupported(_) => "unsupported",
            Self::Certificate(_) | Self::Configuration(_) => "scanner_configuration",
            Self::CircuitOpen(_) => "circuit_open",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotReady(_)
            | Self::TooManySessions { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Transport { .. }
            | Self::Decode { .. }
            | Self::Truncated(_)
            | Self::ExportLost(_)
            | Self::TimedOut { .. }
            | Self::CircuitOpen(_) => ErrorKind::Unavailable,
            Self::AuthenticationRefused(_)
            | Self::SessionRefused(_)
            | Self::ApiNotAvailable(_)
            | Self::Forbidden(_)
            | Self::Licence(_)
            | Self::Unusable(_)
            | Self::Certificate(_)
            | Self::ExportTooLarge { .. }
            | Self::Configuration(_) => ErrorKind::Configuration,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Conflict(_) | Self::AmbiguousMarker { .. } => ErrorKind::Conflict,
            Self::Rejected(_)
            | Self::UnknownTemplate { .. }
            | Self::UnusableTemplate { .. }
            | Self::UnknownPolicy { .. }
            | Self::PolicyNotAllowed { .. }
            | Self::AmbiguousPolicy { .. }
            | Self::RenamedPolicy { .. }
            | Self::PolicyLogsIn(_)
            | Self::PolicyWithoutLogin(_)
            | Self::Unsupported(_) => ErrorKind::InvalidInput,
            Self::Storage(_) | Self::OutOfResources(_) => ErrorKind::Internal,
        }
    }

    fn is_retryable(&self) -> bool {
        // Not the scanner's fault, but it passes like one that does not answer.
        self.kind() == ErrorKind::Unavailable || matches!(self, Self::OutOfResources(_))
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::AuthenticationRefused(_) => {
                "check user name and password of this scanner; the login is not tried again before its configuration changes \
                 or an operator resets its circuit, because Nessus locks accounts"
            }
            Self::SessionRefused(_) => {
                "somebody may log in with the same account elsewhere; give this program one of its own"
            }
            Self::ApiNotAvailable(_) => {
                "scans are created and launched with user name and password; if they are given, this edition does not \
                 allow it"
            }
            Self::NotFound(_) => "the scan may have been deleted on the scanner; submit it again",
            Self::Forbidden(_) => "give the account on the scanner the right to do this",
            Self::Licence(_) => "the scan is kept on the scanner: look at it there, or change the licence",
            Self::NotReady(_) => "wait: plugins may take many minutes after a start or an update",
            Self::Unusable(_) => "open the scanner's user interface and fix what it reports, then try again",
            Self::TooManySessions { .. } => "end sessions on the scanner, or give this program an account of its own",
            Self::RateLimited { .. } => "fewer tasks at once, or ask whoever runs the proxy before the scanner",
            Self::Transport { .. } => "check that the scanner runs, its URL, and the network between",
            Self::Truncated(_) => "a proxy before the scanner may cut long downloads; its limits must be higher",
            Self::ExportLost(_) => "the scan and its results are on the scanner still: look at them there",
            Self::ExportTooLarge { .. } => "scan fewer hosts at once, or allow larger exports",
            Self::UnknownTemplate { .. } | Self::UnusableTemplate { .. } => "use one of the templates listed",
            Self::UnknownPolicy { nearest, .. } | Self::PolicyNotAllowed { nearest, .. } if !nearest.is_empty() => {
                return Some(format!(
                    "the names most like it are: {}; the list of policies shows those that scans may use",
                    nearest.join(", ")
                ));
            }
            Self::UnknownPolicy { .. } | Self::PolicyNotAllowed { .. } => {
                "there is no policy that scans may use; leave `policy` out, or name a template"
            }
            Self::AmbiguousPolicy { .. } => {
                "give the id as `policy`, with the scanner in `scanner_instance` where its pool has several; or rename one of them"
            }
            Self::RenamedPolicy { .. } => "see whether it is still what is wanted, and submit the scan again",
            Self::PolicyLogsIn(_) => "submit a trusted scan, which may log in, or use another policy",
            Self::PolicyWithoutLogin(_) => "name a `credential_id`, or use another policy",
            Self::AmbiguousMarker { .. } => "delete or rename the copies on the scanner",
            Self::CircuitOpen(open) if open.retry_after.is_none() => {
                "an operator closes or resets the circuit, or corrects the configuration"
            }
            Self::CircuitOpen(_) => "the scanner is asked again by itself; the list of scanners shows when",
            Self::Storage(_) => "free space on the disk of the worker",
            Self::OutOfResources(_) => {
                "raise the limit of open files of this process, or see what uses up this machine"
            }
            Self::Conflict(_)
            | Self::Rejected(_)
            | Self::Server { .. }
            | Self::Decode { .. }
            | Self::TimedOut { .. }
            | Self::Unsupported(_)
            | Self::Certificate(_)
            | Self::Configuration(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// What an error says about the scanner. A scanner that answers works, even if it refuses. Our own disk, the size of an
/// export and a lost export say nothing about it. A scanner that answers with something else than the API, or that needs an
/// operator, is as useless as one that does not answer: it is tried now and then instead of failing task after task.
impl ClassifyOutcome for ScannerError {
    fn outcome(&self) -> CallOutcome {
        match self {
            Self::AuthenticationRefused(_) => CallOutcome::LoginRefused { reason: chain(self) },
            Self::Decode { .. } | Self::Unusable(_) | Self::Certificate(_) => CallOutcome::failure(chain(self)),
            error if error.is_outage() => {
                CallOutcome::Failure { reason: chain(self), retry_after: error.retry_after() }
            }
            _ => CallOutcome::Ignored,
        }
    }

    /// An answer that cannot be read, or a 500, may come from what is wrong with that scan alone. When the scanner itself is
    /// in trouble, calls that concern it say so too, the health checks among them. A gateway's 502 to 504 speak of the way
    /// to the scanner, and so does a 408.
    fn outcome_on_one(&self) -> CallOutcome {
        match self {
            Self::Server { status: 408 | 502..=504, .. } => self.outcome(),
            Self::Server { .. } | Self::Decode { .. } => CallOutcome::Ignored,
            error => error.outcome(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_healthy_scanner_refuses_is_no_outage() {
        let text = || "because".to_owned();
        let transport = ScannerError::Transport { call: text(), message: text(), sent: RequestSent::No };
        let rate_limited = ScannerError::RateLimited { retry_after: Some(Duration::from_secs(7)) };
        let sessions = ScannerError::TooManySessions { message: text(), retry_after: Duration::from_secs(60) };
        assert_eq!(rate_limited.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(rate_limited.to_string(), "the scanner asks for fewer requests, and to come back in 7 s");
        assert_eq!(sessions.retry_after(), Some(Duration::from_secs(60)));
        let timed_out = ScannerError::TimedOut { what: text(), waited: Duration::from_secs(1) };
        let server = ScannerError::Server { status: 502, message: text() };
        for error in [transport, rate_limited, sessions, timed_out, server, ScannerError::NotReady(text())] {
            assert!(error.is_outage() && error.is_retryable(), "{error:?}");
        }
        for error in [
            ScannerError::AuthenticationRefused(text()),
            ScannerError::Conflict(text()),
            ScannerError::NotFound(text()),
            ScannerError::Licence(text()),
            ScannerError::Rejected(text()),
        ] {
            assert!(!error.is_outage() && !error.is_retryable(), "{error:?}");
        }
    }

    fn word(outcome: &CallOutcome) -> &'static str {
        match outcome {
            CallOutcome::Success => "success",
            CallOutcome::Failure { .. } => "failure",
            CallOutcome::Ignored => "ignored",
            CallOutcome::LoginRefused { .. } => "login refused",
        }
    }

    #[test]
    fn what_is_the_matter_with_one_scan_says_nothing_about_its_scanner() {
        let text = || "because".to_owned();
        let server = |status| ScannerError::Server { status, message: text() };
        for (error, of_scanner, of_scan) in [
            (server(500), "failure", "ignored"),
            (server(502), "failure", "failure"),
            (server(504), "failure", "failure"),
            (server(408), "failure", "failure"),
            (server(507), "failure", "ignored"),
            (ScannerError::Decode { call: text(), message: text() }, "failure", "ignored"),
            (ScannerError::Transport { call: text(), message: text(), sent: RequestSent::Maybe }, "failure", "failure"),
            (ScannerError::TimedOut { what: text(), waited: Duration::ZERO }, "failure", "failure"),
            (ScannerError::NotReady(text()), "failure", "failure"),
            (ScannerError::AuthenticationRefused(text()), "login refused", "login refused"),
            (ScannerError::ExportLost(text()), "ignored", "ignored"),
            (ScannerError::Truncated(text()), "ignored", "ignored"),
        ] {
            assert_eq!((word(&error.outcome()), word(&error.outcome_on_one())), (of_scanner, of_scan), "{error}");
        }
        assert!(ScannerError::ExportLost(text()).is_retryable());
    }

    #[test]
    fn only_what_the_scanner_is_to_blame_for_counts_against_it() {
        let lost = |sent| ScannerError::Transport { call: "GET /scans".to_owned(), message: "reset".to_owned(), sent };
        let wait = Some(Duration::from_secs(7));
        for (error, expected) in [
            (lost(RequestSent::No), "failure"),
            (lost(RequestSent::Maybe), "failure"),
            (ScannerError::Server { status: 503, message: String::new() }, "failure"),
            (ScannerError::RateLimited { retry_after: wait }, "failure"),
            (ScannerError::TimedOut { what: "the export".to_owned(), waited: Duration::ZERO }, "failure"),
            (ScannerError::NotReady("loading".to_owned()), "failure"),
            (ScannerError::AuthenticationRefused("no".to_owned()), "login refused"),
            (ScannerError::Unusable("not registered".to_owned()), "failure"),
            (ScannerError::Certificate("expired".to_owned()), "failure"),
            (ScannerError::Licence("no".to_owned()), "ignored"),
            (ScannerError::SessionRefused("no".to_owned()), "ignored"),
            (ScannerError::Forbidden("no".to_owned()), "ignored"),
            (ScannerError::NotFound("no".to_owned()), "ignored"),
            (ScannerError::Conflict("no".to_owned()), "ignored"),
            (ScannerError::Rejected("no".to_owned()), "ignored"),
            (ScannerError::Storage("no".to_owned()), "ignored"),
            (ScannerError::OutOfResources("no".to_owned()), "ignored"),
        ] {
            let outcome = error.outcome();
            assert_eq!(word(&outcome), expected, "{error}");
            if let CallOutcome::Failure { retry_after, .. } = outcome {
                assert_eq!(retry_after, wait.filter(|_| matches!(error, ScannerError::RateLimited { .. })));
            }
        }
    }
}
