//! The only place of this binary that prints: talk on stderr.
#![expect(clippy::print_stderr, reason = "this is where the binary prints")]

use std::process::ExitCode;

use nessus_mcp_lib::error::Failure;

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

/// Ends the process without waiting for anything.
#[expect(clippy::exit, reason = "asked for by a second signal; tasks and queue survive it like a kill")]
pub(crate) fn stop_at_once() -> ! {
    std::process::exit(1)
}
