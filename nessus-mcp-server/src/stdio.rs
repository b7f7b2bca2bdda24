//! `stdio`: MCP over stdin and stdout, for one agent that starts this process.
//!
//! What if the agent stops reading? Its answers are buffered in memory. While more than [`MAX_UNREAD_BYTES`] are buffered, no
//! further request is read.

use std::{
    fmt, io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use nessus_mcp_lib::{
    ScanService, TaskManager, Worker,
    audit::ProcessRole,
    config::cli::user_name,
    error::{Failure, chain},
    policy::{Principal, Role},
    streams,
};
use rmcp::{ServiceExt, service::ServerInitializeError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::info;

use crate::{
    access::{self, ToolSet},
    app::App,
    args::{Stdio, offered},
    tools::{Audited, ScanTools},
};

/// The bytes of unread answers above which no further request is read.
const MAX_UNREAD_BYTES: usize = 32 << 20;

/// Runs the command until the agent closes stdin or the process is told to stop.
pub(crate) async fn run(command: Stdio) -> Result<(), Failure> {
    command.log.init()?;
    let offered = offered(&command.tools)?;
    let worker_settings = command.worker.settings()?;
    let settings = command.common.scanning_settings()?.with_circuits(command.circuits.settings()?);
    let settings = command.scope.apply(settings.with_results_memory_mib(command.results.memory_mib()?))?;
    let settings = command.credentials.settings(settings)?;
    let scanners = ScanService::load_scanners(&settings).await?;
    let scope = ScanService::load_scope(&settings).await?.checked_by(access::check)?;
    if command.worker_here.with_worker {
        Worker::check_pools(&scanners, &worker_settings)?;
    }
    let service = ScanService::open_with(&settings, scanners, scope).await?;
    TaskManager::check_cache(&settings).await?;
    let app = App::new(service.audited(&settings, ProcessRole::Server).await?);
    app.stop_on_signal()?;
    app.reload_on_signal(None)?;
    let worker = if command.worker_here.with_worker { Some(app.start_worker(worker_settings)?) } else { None };
    let user = Principal::user(&user_name(), Role::Scan);
    let served = Box::pin(serve(&app, user, offered)).await;
    app.stop.cancel();
    if let Some(worker) = worker {
        worker.stopped().await;
    }
    app.service.end_audit().await;
    app.output_read().await;
    served
}

/// Serves until the agent closes stdin or stdout, or the process is told to stop.
async fn serve(app: &App, user: Principal, offered: ToolSet) -> Result<(), Failure> {
    let stopped = async {
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = streams::stdout().broken() => info!("the client has closed stdout"),
        }
    };
    let mut stopped = pin!(stopped);
    let tools = Audited::new(ScanTools::new(&app.service, &app.stop, Some(user), offered));
    let requests = Requests { input: rmcp::transport::stdio_pipes().0, until_drained: None };
    let started = tokio::select! {
        started = tools.serve((requests, Answers)) => started,
        () = &mut stopped => return Ok(()),
    };
    let running = match started {
        Ok(running) => running,
        // A client that only checked whether the server starts.
        Err(ServerInitializeError::ConnectionClosed(_)) => {
            info!("the client disconnected before it initialized");
            return Ok(());
        }
        Err(error) => return Err(Failure::new(chain(&error))),
    };
    let cancel = running.cancellation_token();
    tokio::select! {
        ended = running.waiting() => { ended.map_err(|failed| Failure::new(failed.to_string()))?; }
        () = stopped => cancel.cancel(),
    }
    Ok(())
}

/// Stdin, which is not read while too many answers are unread.
struct Requests<R> {
    input: R,
    /// Completes when enough answers were read.
    until_drained: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<R> fmt::Debug for Requests<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Requests<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.until_drained.is_none() && streams::stdout().pending() > MAX_UNREAD_BYTES {
            self.until_drained = Some(Box::pin(streams::stdout().drained(MAX_UNREAD_BYTES)));
        }
        if let Some(drained) = &mut self.until_drained {
            ready!(drained.as_mut().poll(context));
            self.until_drained = None;
        }
        Pin::new(&mut self.input).poll_read(context, buffer)
    }
}

/// Stdout, buffered: a write never blocks.
#[derive(Debug)]
struct Answers;

impl AsyncWrite for Answers {
    fn poll_write(self: Pin<&mut Self>, _context: &mut Context<'_>, answer: &[u8]) -> Poll<io::Result<usize>> {
        streams::stdout().write(answer);
        Poll::Ready(Ok(answer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
