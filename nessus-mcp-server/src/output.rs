//! The only place of this binary that prints: data on stdout, talk on stderr. Nobody waits for those who read them.

use std::{process::ExitCode, time::Duration};

use nessus_mcp_lib::{error::Failure, streams};

/// How long the end of the process may wait for a reader of stdout or stderr.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// A line of data. When nobody reads stdout any more, there is nobody to tell it to.
pub(crate) fn line(text: impl AsRef<str>) {
    streams::stdout().write(format!("{}\n", text.as_ref()).as_bytes());
}

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
    let _ = streams::stdout().finish(Some(EXIT_WAIT));
    let _ = streams::stderr().finish(Some(EXIT_WAIT));
    code
}

/// Ends the process without waiting for anything.
#[expect(clippy::exit, reason = "asked for by a second signal; tasks and queue survive it like a kill")]
pub(crate) fn stop_at_once() -> ! {
    std::process::exit(1)
}
