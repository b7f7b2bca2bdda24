//! Log lines on stderr, and in a file if one is named; stdout belongs to data and to the stdio transport.
//!
//! Logging never waits: lines are handed to a thread that writes them, and dropped when too many wait.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io, panic,
    path::Path,
    str::FromStr,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tracing_subscriber::{EnvFilter, Registry, filter::LevelFilter, fmt, fmt::format::JsonFields, prelude::*, reload};

use super::{
    lines::Lines,
    log_file::{LIMITS, LogFile},
};
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
/// is a log line too, for the same reason. A process that ends waits for its last lines with [`finish_logs`].
///
/// # Errors
/// When `level` cannot be read or the process logs already.
pub fn init_logging(level: &str, format: LogFormat) -> Result<(), LoggingError> {
    check_words(level)?;
    let (filter, handle) = reload::Layer::new(filter(level)?);
    // Colour only for a person at a terminal who did not ask for none.
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let form = match format {
        LogFormat::Json => Lines::Json,
        LogFormat::Text => Lines::Text { colour: colour && FILE.get().is_none() },
    };
    let lines = fmt::layer().fmt_fields(JsonFields::new()).event_format(form).with_writer(|| Output);
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    started.map_err(|error| LoggingError::Started(error.to_string()))?;
    let _ = VERBOSITY.set(Verbosity { configured: level.to_owned(), handle, step: Mutex::new(0) });
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

/// Writes all log lines to this file as well, from now on: at most 16 MiB, with four earlier ones beside it as `PATH.1` to `PATH.4`.
///
/// A file that cannot be written holds nobody up and ends nothing: stderr says so once, and how many lines are missing when it can be
/// written again. Called once, before [`init_logging`].
pub fn log_to_file(path: &Path) {
    let file = LogFile::new(path.to_owned(), LIMITS);
    FILE.get_or_init(|| streams::StreamWriter::start("log-file", move || file.clone()));
}

/// Waits until all log lines are written, at most for this time for stderr and for the file.
pub fn finish_logs(patience: Duration) {
    // What is not read by then is lost.
    for stream in FILE.get().into_iter().chain([streams::stderr()]) {
        let _ = stream.finish(Some(patience));
    }
}

/// Writes more log lines than before, or as many again as the process was started with; the log says so.
pub fn change_verbosity(more: bool) {
    if let Some(verbosity) = VERBOSITY.get() {
        verbosity.change(more);
    }
}

/// What more there is to be logged, step by step.
const STEPS: [&str; 2] = ["debug", "trace"];

static FILE: OnceLock<streams::StreamWriter> = OnceLock::new();
static VERBOSITY: OnceLock<Verbosity> = OnceLock::new();

/// How much is logged.
struct Verbosity {
    configured: String,
    handle: reload::Handle<EnvFilter, Registry>,
    /// How many steps more than was configured.
    step: Mutex<usize>,
}

impl Verbosity {
    fn change(&self, more: bool) {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let next = if more { next_step(&self.configured, *step) } else { 0 };
        let level = self.level(next);
        if !more {
            tracing::info!(now = level, "SIGUSR2: the log level is as configured again");
        }
        let reloaded = filter(&level).map(|filter| self.handle.reload(filter));
        if !matches!(reloaded, Ok(Ok(()))) {
            return tracing::error!(wanted = level, "the log level could not be changed");
        }
        *step = next;
        if more {
            tracing::info!(now = level, "SIGUSR1: more is logged, until SIGUSR2");
        }
    }

    /// The configured directives, with another level for what none of them names.
    fn level(&self, step: usize) -> String {
        match step.checked_sub(1).and_then(|step| STEPS.get(step)) {
            Some(more) => format!("{},{more}", self.configured),
            None => self.configured.clone(),
        }
    }
}

/// The step after this one at which more is logged than by the configured level.
fn next_step(configured: &str, step: usize) -> usize {
    // The last one counts.
    let mut levels = configured.rsplit(',').filter_map(|word| word.trim().parse::<LevelFilter>().ok());
    let level = levels.next().unwrap_or(LevelFilter::ERROR);
    let says_more = |step: &usize| STEPS[step - 1].parse::<LevelFilter>().is_ok_and(|more| more > level);
    (step + 1..=STEPS.len()).find(says_more).unwrap_or(step)
}

fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    let held_back = if level.contains("rmcp") { NEVER } else { MCP_LIBRARY };
    let directives = format!("{level},{held_back}");
    EnvFilter::builder().parse(&directives).map_err(|error| LoggingError::Level(error.to_string()))
}

/// Hands log lines over. Each comes in one piece.
struct Output;

impl io::Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for stream in FILE.get().into_iter().chain([streams::stderr()]) {
            stream.offer(line, MOST_WAITING);
        }
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
    fn each_step_says_more_than_the_one_before() {
        for (configured, steps) in [
            ("info", [1, 2, 2]),
            ("warn,hyper=trace", [1, 2, 2]),
            ("debug", [2, 2, 2]),
            ("trace", [0, 0, 0]),
            ("off", [1, 2, 2]),
        ] {
            let mut step = 0;
            for expected in steps {
                step = next_step(configured, step);
                assert_eq!(step, expected, "{configured}");
            }
        }
        assert!(filter("info,hyper=warn,debug").unwrap().to_string().contains("debug"));
    }

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
