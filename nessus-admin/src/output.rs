//! Everything that is printed: data on stdout, talk on stderr, and the exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use nessus_mcp_lib::{error::Failure, results::ResultsError, streams};

/// How long the end of the process may wait for a reader of stderr.
const EXIT_WAIT: Duration = Duration::from_secs(5);

/// Where the findings of a conversion go, which has nothing else to do while nobody reads them.
pub(crate) fn stdout() -> impl Write {
    io::stdout().lock()
}

/// Hands over lines of data: a reader that stops holds up the output, not what a command still has to do.
pub(crate) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) {
    for line in lines {
        streams::stdout().write(format!("{}\n", line.as_ref()).as_bytes());
    }
}

/// Waits until all lines are written. A reader that went away, as `head` does, is no failure for a program in a pipe.
fn all_written() -> Result<(), Failure> {
    match streams::stdout().finish(None) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Talk stands behind the data that was written before it.
fn say(text: &str) {
    // A failure is told at the end.
    let _ = all_written();
    streams::stderr().write(format!("{text}\n").as_bytes());
}

/// Writes one JSON document, indented.
pub(crate) fn pretty(document: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::new(error.to_string()))?;
    lines([text]);
    Ok(())
}

/// Says what is wrong with something that works all the same.
pub(crate) fn warning(text: &str) {
    say(&format!("warning: {text}"));
}

/// The same leniency for a conversion to stdout.
pub(crate) fn unless_reader_left(converted: Result<(), ConvertFailure>) -> Result<(), Failure> {
    match converted {
        Err(ConvertFailure::Results(error)) if error.is_broken_pipe() => Ok(()),
        converted => Ok(converted?),
    }
}

/// What a conversion failed with, before it is decided whether that matters.
#[derive(Debug)]
pub(crate) enum ConvertFailure {
    /// The export or the query.
    Results(ResultsError),
    /// Anything else.
    Other(Failure),
}

impl From<ResultsError> for ConvertFailure {
    fn from(error: ResultsError) -> Self {
        Self::Results(error)
    }
}

impl From<Failure> for ConvertFailure {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<ConvertFailure> for Failure {
    fn from(failure: ConvertFailure) -> Self {
        match failure {
            ConvertFailure::Results(error) => error.into(),
            ConvertFailure::Other(failure) => failure,
        }
    }
}

/// Prints a failure that does not end the process.
pub(crate) fn failure(failure: &Failure) {
    say(&failure.to_string());
}

/// Prints what went wrong, if anything did, and gives the exit code of the process.
pub(crate) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    let code = match outcome.and_then(|()| all_written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            self::failure(&failure);
            failure.exit_code()
        }
    };
    let _ = streams::stderr().finish(Some(EXIT_WAIT));
    code
}
