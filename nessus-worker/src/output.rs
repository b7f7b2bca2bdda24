//! The only place of this binary that prints: talk on stderr. Nobody waits for those who read it.

use std::{process::ExitCode, time::Duration};

use nessus_mcp_lib::{error::Failure, streams};

/// How long the end of the process may wait for a reader of stderr.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Says what went wrong, if anything did, and gives the exit code of the process.
pub(crate) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            streams::stderr().write(format!("{failure}\n").as_bytes());
            failure.exit_code()
        }
    };
    // What is not read by now is lost: a process that is told to end ends.
    let _ = streams::stderr().finish(Some(EXIT_WAIT));
    code
}

/// Ends the process without waiting for anything.
#[expect(clippy::exit, reason = "asked for by a second signal; tasks and queue survive it like a kill")]
pub(crate) fn stop_at_once() -> ! {
    std::process::exit(1)
}
