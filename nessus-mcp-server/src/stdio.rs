//! `stdio`: MCP over stdin and stdout, for one agent that starts this process.

use nessus_mcp_lib::{
    ScanService,
    error::{Failure, chain},
};
use rmcp::{ServiceExt, service::ServerInitializeError};
use tracing::info;

use crate::{app::App, args::Stdio, tools::ScanTools};

/// Runs the command until the agent closes stdin or the process is told to stop.
pub(crate) async fn run(command: Stdio) -> Result<(), Failure> {
    command.log.init()?;
    let worker_settings = command.worker.settings()?;
    let settings = command.common.scanning_settings()?.with_circuits(command.circuits.settings()?);
    let settings = settings.with_results_memory_mib(command.results.memory_mib()?);
    let app = App::new(ScanService::open(&settings).await?);
    app.stop_on_signal()?;
    app.reload_on_signal()?;
    let worker = if command.with_worker { Some(app.start_worker(worker_settings)?) } else { None };
    let served = serve(&app).await;
    app.stop.cancel();
    if let Some(worker) = worker {
        worker.stopped().await;
    }
    served
}

async fn serve(app: &App) -> Result<(), Failure> {
    let tools = ScanTools::new(app.service.clone());
    let started = tokio::select! {
        started = tools.serve(rmcp::transport::stdio_pipes()) => started,
        () = app.stop.cancelled() => return Ok(()),
    };
    let running = match started {
        Ok(running) => running,
        // A client that only looked whether we start.
        Err(ServerInitializeError::ConnectionClosed(_)) => {
            info!("the client left before it began");
            return Ok(());
        }
        Err(error) => return Err(Failure::new(chain(&error))),
    };
    let cancel = running.cancellation_token();
    tokio::select! {
        ended = running.waiting() => { ended.map_err(|failed| Failure::new(failed.to_string()))?; }
        () = app.stop.cancelled() => cancel.cancel(),
    }
    Ok(())
}
