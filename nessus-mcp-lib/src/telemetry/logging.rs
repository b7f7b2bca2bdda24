//! Log lines on stderr; stdout belongs to data and to the stdio transport.

use std::str::FromStr;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::error::{Classified, ErrorKind};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(LoggingError::Format),
        }
    }
}

/// Logging that cannot be started as asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// The format is unknown.
    #[error("the log format must be `json` or `text`")]
    Format,
    /// The level or the directives cannot be read.
    #[error("the log level must be error, warn, info, debug, trace or directives: {0}")]
    Level(String),
    /// The process logs already.
    #[error("logging cannot be started: {0}")]
    Started(String),
}

impl Classified for LoggingError {
    fn code(&self) -> &'static str {
        "bad_configuration"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Configuration
    }
}

/// Starts logging for the process.
///
/// `level` is a level or a list of directives (`info,nessus_mcp_lib=debug`). The MCP library logs several lines a
/// request at `info`; it is held at `warn` unless a directive names it.
///
/// # Errors
/// When `level` cannot be read or the process logs already.
pub fn init_logging(level: &str, format: LogFormat) -> Result<(), LoggingError> {
    let directives = if level.contains("rmcp") { level.to_owned() } else { format!("{level},rmcp=warn") };
    let filter = EnvFilter::builder().parse(&directives).map_err(|error| LoggingError::Level(error.to_string()))?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
            registry.with(lines.with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Text => {
            // Colour only for a person at a terminal who did not ask for none.
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            registry.with(fmt::layer().with_ansi(colour).with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(|error| LoggingError::Started(error.to_string()))
}
