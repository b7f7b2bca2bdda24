//! A server that runs as a child, for one client.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::error::ClientError;

/// How long a server has to hand back what its worker holds, once its input has ended.
const GRACE: Duration = Duration::from_secs(20);
/// How long a process is waited for that was killed.
const DEATH: Duration = Duration::from_secs(2);
/// How often is looked for its end where nothing tells.
const LOOK: Duration = Duration::from_millis(2);

/// A running server. It is killed and waited for when this is dropped.
#[derive(Debug)]
pub(super) struct ServerProcess(Child);

impl ServerProcess {
    /// Starts it; its standard error goes where the command says.
    pub(super) fn start(command: std::process::Command) -> Result<(Self, ChildStdout, ChildStdin), ClientError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let refused = |source| ClientError::Start { program, source };
        let mut process = Self(command.spawn().map_err(refused)?);
        match (process.0.stdout.take(), process.0.stdin.take()) {
            (Some(stdout), Some(stdin)) => Ok((process, stdout, stdin)),
            _ => Err(ClientError::Transport("the process has no pipes".to_owned())),
        }
    }

    /// Its process id; `None` when it has ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// Waits for its end after its input has ended; one that does not end by itself is killed.
    pub(super) async fn end(mut self) {
        // One that has ended already, or cannot be waited for, needs no killing: dropping it sees to the rest.
        let _ = tokio::time::timeout(GRACE, self.0.wait()).await;
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        let began = Instant::now();
        // There is nothing to be done about a failure: it has ended meanwhile.
        let _ = self.0.start_kill();
        while matches!(self.0.try_wait(), Ok(None)) && began.elapsed() < DEATH {
            thread::sleep(LOOK);
        }
    }
}
