//! The only place of this binary that prints: data on stdout, talk on stderr.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where the binary prints")]

use std::process::ExitCode;

use nessus_mcp_lib::error::Failure;

/// A line of data.
pub(crate) fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Says what went wrong, if anything did, and gives the exit code of the process.
pub(crate) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}
