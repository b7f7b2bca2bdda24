//! Errors of the client.

use serde::Deserialize;

use crate::error::{Classified, ErrorKind, chain, excerpt};

/// A call to a server that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server could not be reached, or does not speak MCP.
    #[error("the server cannot be reached: {0}")]
    Connection(String),
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
    /// The arguments are not a JSON object.
    #[error("the arguments of {tool} are not a JSON object")]
    Arguments {
        /// The tool.
        tool: String,
    },
    /// The answer has not the expected form.
    #[error("the server's answer cannot be read")]
    Answer {
        /// Why.
        source: serde_json::Error,
    },
}

impl Classified for ClientError {
    fn code(&self) -> &'static str {
        match self {
            Self::Connection(_) => "server_unreachable",
            Self::Tool { .. } => "tool_refused",
            Self::Arguments { .. } => "invalid_arguments",
            Self::Answer { .. } => "bad_answer",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection(_) => ErrorKind::Unavailable,
            Self::Tool { .. } | Self::Arguments { .. } => ErrorKind::InvalidInput,
            Self::Answer { .. } => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Tool { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}

impl ClientError {
    pub(super) fn connection(error: impl std::error::Error) -> Self {
        Self::Connection(chain(&error))
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
