//! Everything that is printed: data on stdout, talk on stderr, and the exit code.
#![expect(clippy::print_stderr, reason = "the one place that may")]

use std::{
    io::{self, Write},
    process::ExitCode,
};

use nessus_mcp_lib::{error::Failure, results::ResultsError};

/// Where data goes.
pub(crate) fn stdout() -> impl Write {
    io::stdout().lock()
}

/// Writes lines of data. A reader that went away, as `head` does, is no failure for a program in a pipe.
pub(crate) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Result<(), Failure> {
    let mut stdout = stdout();
    let written = lines.into_iter().try_for_each(|line| writeln!(stdout, "{}", line.as_ref()));
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes one JSON document, indented.
pub(crate) fn pretty(document: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::new(error.to_string()))?;
    lines([text])
}

/// Says what is wrong with something that works all the same.
pub(crate) fn warning(text: &str) {
    eprintln!("warning: {text}");
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
    eprintln!("{failure}");
}

/// Prints what went wrong, if anything did, and gives the exit code of the process.
pub(crate) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}
