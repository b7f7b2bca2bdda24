//! Errors of the client.

use std::{fmt, io, time::Duration};

use serde::Deserialize;

use crate::{
    error::{Classified, ErrorKind, excerpt},
    ids::TaskId,
    results::UnreadableResults,
};

/// A call to a server that failed.
///
/// No message shows a token, a password, or the credentials of a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address of the server, the token or a certificate cannot be used.
    #[error("{what} cannot be used: {reason}")]
    Endpoint {
        /// What of it.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The program of a server could not be started.
    #[error("`{program}` cannot be started")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The server could not be reached, or the connection has ended. Whether it has done what was asked is not known.
    #[error("the server cannot be reached: {0}")]
    Transport(String),
    /// The server did not answer in time. Whether it has done what was asked is not known.
    #[error("{call} was not answered within {} s", after.as_secs_f32())]
    Timeout {
        /// The tool, or the request of the protocol.
        call: String,
        /// How long was waited.
        after: Duration,
    },
    /// The server does not know who asks: the token is missing, wrong or too old (HTTP status 401).
    #[error("the server does not accept the token (HTTP status 401)")]
    Unauthorized,
    /// The server knows who asks, and refuses the request as a whole (HTTP status 403).
    #[error("the server refuses the request (HTTP status 403): {0}")]
    Forbidden(String),
    /// The server, or a proxy before it, answered with another HTTP status that is an error.
    #[error("the server answered with HTTP status {status}")]
    Http {
        /// The status.
        status: u16,
        /// The header `Retry-After`, where there is one.
        retry_after: Option<String>,
    },
    /// The server does not speak MCP, or refuses the request as one of the protocol, such as for a tool it does not offer.
    #[error("the server does not answer as an MCP server should: {message}")]
    Protocol {
        /// The code of the JSON-RPC error, where there is one.
        code: Option<i32>,
        /// What was wrong.
        message: String,
    },
    /// The tool refused.
    #[error("{tool}: {message} ({code})")]
    Tool {
        /// The tool.
        tool: String,
        /// Its stable code.
        code: String,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The arguments cannot be sent.
    #[error("{tool} cannot be called so: {reason}")]
    Arguments {
        /// The tool.
        tool: String,
        /// Why.
        reason: String,
    },
    /// The answer has not the form that this version of the library knows. [`NessusMcpClient::call`](super::NessusMcpClient::call)
    /// returns it as it is.
    #[error("the answer of {tool} cannot be read")]
    Answer {
        /// The tool.
        tool: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A page of results has not the form that this version of the library knows.
    #[error("the answer of get_scan_results cannot be read")]
    Results(#[from] UnreadableResults),
    /// The results of a task became others while they were read: those read so far and those to come do not belong together.
    #[error("the results of {task_id} have changed while they were read")]
    ResultsChanged {
        /// The task.
        task_id: TaskId,
    },
    /// The pages of a result ended before all findings were there.
    #[error("the pages of {task_id} ended early: findings read {read}, matching {matched}")]
    Incomplete {
        /// The task.
        task_id: TaskId,
        /// Findings that were read.
        read: u64,
        /// Findings that there are.
        matched: u64,
    },
}

impl Classified for ClientError {
    fn code(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "bad_endpoint",
            Self::Start { .. } => "server_not_started",
            Self::Transport(_) => "server_unreachable",
            Self::Timeout { .. } => "server_timeout",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::Http { .. } => "http_status",
            Self::Protocol { .. } => "protocol_error",
            Self::Tool { .. } => "tool_refused",
            Self::Arguments { .. } => "invalid_arguments",
            Self::Answer { .. } | Self::Results(_) => "bad_answer",
            Self::ResultsChanged { .. } => "results_changed",
            Self::Incomplete { .. } => "results_incomplete",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Transport(_) | Self::Timeout { .. } | Self::Http { .. } | Self::ResultsChanged { .. } => {
                ErrorKind::Unavailable
            }
            Self::Endpoint { .. } | Self::Start { .. } | Self::Unauthorized | Self::Forbidden(_) => {
                ErrorKind::Configuration
            }
            Self::Tool { .. } | Self::Arguments { .. } => ErrorKind::InvalidInput,
            Self::Protocol { .. } | Self::Answer { .. } | Self::Results(_) | Self::Incomplete { .. } => {
                ErrorKind::Internal
            }
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Tool { hint, .. } => return hint.clone(),
            Self::Unauthorized => "give the token of a client that the server knows",
            Self::Forbidden(_) => "ask the operator whether this host name, origin and token may use the server",
            Self::Transport(_) | Self::Timeout { .. } => {
                "see whether the server runs; a submit with an idempotency key can be repeated safely"
            }
            Self::ResultsChanged { .. } => "read them again from the beginning",
            Self::Answer { .. } | Self::Results(_) => "use the client of the server's version",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Codes of tools that say that the same call may succeed a little later.
const PASSING: [&str; 4] = ["busy", "rate_limited", "queue_unavailable", "storage_error"];

impl ClientError {
    /// Whether the same call may succeed later, without anything else being done: the server was not reached, did not answer in
    /// time, or is overloaded.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Timeout { .. } => true,
            Self::Http { status, .. } => *status == 429 || *status >= 500,
            Self::Tool { code, .. } => PASSING.contains(&&**code),
            _ => false,
        }
    }

    /// The stable code that the tool refused with, such as `task_not_found`; `None` unless it did.
    pub fn tool_code(&self) -> Option<&str> {
        match self {
            Self::Tool { code, .. } => Some(code),
            _ => None,
        }
    }

    pub(super) fn arguments(tool: &str, reason: impl fmt::Display) -> Self {
        Self::Arguments { tool: tool.to_owned(), reason: reason.to_string() }
    }

    /// Reads the error a tool wrote; what has another form becomes its message.
    pub(super) fn tool(tool: &str, text: &str) -> Self {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
            message: String,
            hint: Option<String>,
        }
        let tool = tool.to_owned();
        match serde_json::from_str(text) {
            Ok(Refusal { error, message, hint }) => Self::Tool { tool, code: error, message, hint },
            Err(_) => Self::Tool { tool, code: "unknown".to_owned(), message: excerpt(text).to_string(), hint: None },
        }
    }
}
