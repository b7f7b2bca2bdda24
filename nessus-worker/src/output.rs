//! All printing of this binary: messages on stderr. A reader that stops never blocks the process.

use std::{process::ExitCode, time::Duration};

use nessus_mcp_lib::{error::Failure, streams, telemetry};

/// How long the process waits at its end until stderr is read.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Prints the failure, if there is one, and returns the exit code of the process.
pub(crate) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            streams::stderr().write(format!("{failure}\n").as_bytes());
            failure.exit_code()
        }
    };
    // Output that is not read by then is lost: a process that was told to end must end.
    telemetry::finish_logs(EXIT_WAIT);
    code
}

/// Ends the process without waiting for anything.
#[expect(clippy::exit, reason = "asked for by a second signal; tasks and queue survive it like a kill")]
pub(crate) fn stop_at_once() -> ! {
    std::process::exit(1)
}
