//! Log lines on stderr; stdout belongs to data and to the stdio transport.
//!
//! Logging never waits: lines are handed to a thread that writes them, and dropped when too many wait.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io, panic,
    str::FromStr,
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, prelude::*};

use crate::{
    error::{Classified, ErrorKind, excerpt},
    streams,
};

/// The most bytes of log lines that wait for a reader of stderr.
const MOST_WAITING: usize = 1 << 20;

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

/// What is logged of the MCP library unless somebody asks for more: no line a request, and nothing of clients that went away
/// before their answer came, which its service tells as errors.
const MCP_LIBRARY: &str = "rmcp=warn,rmcp::service=off";

/// What is never logged of it, whoever asks: requests as they came, because a tool's arguments may hold a password.
const NEVER: &str = "rmcp::service=off";

/// Starts logging for the process.
///
/// `level` is a level or a list of directives (`info,nessus_mcp_lib=debug`). The MCP library logs several lines a
/// request at `info`; it is held at `warn` unless a directive names it. What it would log of whole requests is off.
///
/// Nobody waits for a reader of stderr: where a megabyte waits already, further lines are dropped and counted. A panic
/// is a log line too, for the same reason. A process that ends waits for its last lines with
/// [`streams::stderr().finish`](streams::StreamWriter::finish).
///
/// # Errors
/// When `level` cannot be read or the process logs already.
pub fn init_logging(level: &str, format: LogFormat) -> Result<(), LoggingError> {
    check_words(level)?;
    let held_back = if level.contains("rmcp") { NEVER } else { MCP_LIBRARY };
    let directives = format!("{level},{held_back}");
    let filter = EnvFilter::builder().parse(&directives).map_err(|error| LoggingError::Level(error.to_string()))?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
            registry.with(lines.with_writer(|| Lines)).try_init()
        }
        LogFormat::Text => {
            // Colour only for a person at a terminal who did not ask for none.
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            registry.with(fmt::layer().with_ansi(colour).with_writer(|| Lines)).try_init()
        }
    };
    started.map_err(|error| LoggingError::Started(error.to_string()))?;
    panic::set_hook(Box::new(|panicked| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(panic = %panicked, backtrace, "a thread panicked");
    }));
    Ok(())
}

/// Refuses a level or directives that cannot be read.
#[cfg(feature = "cli")]
pub(crate) fn check_level(level: &str) -> Result<(), LoggingError> {
    check_words(level)?;
    EnvFilter::builder().parse(level).map_err(|error| LoggingError::Level(error.to_string())).map(drop)
}

/// Hands log lines over. Each comes in one piece.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        streams::stderr().offer(line, MOST_WAITING);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses a word that is neither a level nor a directive: it would be taken for the name of a module, and the process
/// would be silent about everything else.
fn check_words(level: &str) -> Result<(), LoggingError> {
    let is_directive = |word: &str| word.contains(['=', '[', ']', '{', '}']);
    // An empty word is taken for `error`.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    match level.split(',').map(str::trim).find(|word| !is_directive(word) && !is_level(word)) {
        None => Ok(()),
        Some(word) => Err(LoggingError::Level(format!("`{}` is neither", excerpt(word)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_no_module_name() {
        for level in ["info", "DEBUG", "off", "info,nessus_mcp_lib=debug", "warn, [task{task_id=x}]=trace"] {
            assert!(check_words(level).is_ok(), "{level}");
        }
        for level in ["", "loud", "info,debgu", "nessus_mcp_lib"] {
            assert!(check_words(level).is_err(), "{level}");
        }
        assert!(check_words("loud").unwrap_err().to_string().ends_with("or directives: `loud` is neither"));
    }
}
