//! All printing of this binary: data goes to stdout, messages go to stderr. A reader that stops never blocks the process.

use std::{process::ExitCode, time::Duration};

use nessus_mcp_lib::{error::Failure, streams, telemetry};

/// How long the process waits at its end until stdout, and then stderr, is read.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Prints a line of data. It is dropped if stdout is closed.
pub(crate) fn line(text: impl AsRef<str>) {
    streams::stdout().write(format!("{}\n", text.as_ref()).as_bytes());
}

/// Prints a message for the person at the terminal.
pub(crate) fn note(text: impl AsRef<str>) {
    streams::stderr().write(format!("{}\n", text.as_ref()).as_bytes());
}

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
    let _ = streams::stdout().finish(Some(EXIT_WAIT));
    telemetry::finish_logs(EXIT_WAIT);
    code
}

/// Ends the process without waiting for anything.
#[expect(clippy::exit, reason = "asked for by a second signal; tasks and queue survive it like a kill")]
pub(crate) fn stop_at_once() -> ! {
    std::process::exit(1)
}
