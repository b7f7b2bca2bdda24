//! Everything that is printed: data on stdout, talk on stderr, and the exit code.

#![expect(clippy::print_stderr, reason = "the one place that may")]

use std::{
    io::{self, Write},
    process::ExitCode,
};

use nessus_mcp_lib::{
    error::{Classified, chain},
    results::ResultsError,
};

/// What a command failed with.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    exit_code: u8,
    /// The reader of stdout went away, as `head` does; no failure for a program in a pipe.
    broken_pipe: bool,
}

impl Failure {
    /// A failure without a hint.
    pub(crate) fn new(message: String) -> Self {
        Self { message, hint: None, exit_code: 1, broken_pipe: false }
    }
}

impl From<ResultsError> for Failure {
    fn from(error: ResultsError) -> Self {
        let broken_pipe = error.is_broken_pipe();
        Self { message: chain(&error), hint: error.hint(), exit_code: error.kind().exit_code(), broken_pipe }
    }
}

/// Where data goes.
pub(crate) fn stdout() -> impl Write {
    io::stdout().lock()
}

/// Prints what went wrong, if anything did, and gives the exit code of the process.
pub(crate) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    if failure.broken_pipe {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", failure.message);
    if let Some(hint) = failure.hint {
        eprintln!("\nhint: {hint}");
    }
    ExitCode::from(failure.exit_code)
}
