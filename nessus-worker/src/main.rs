//! Queue consumer that drives Nessus scanners.

mod args;
mod operators;
mod output;

use std::process::ExitCode;

use nessus_mcp_lib::{ScanService, TaskManager, Worker, audit::ProcessRole, config::cli, error::Failure};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Arguments;

fn main() -> ExitCode {
    let arguments = cli::parse();
    output::exit_code(cli::block_on(run(arguments)))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.log.init()?;
    let settings = arguments.worker.settings()?;
    let circuits = arguments.circuits.settings()?;
    let service_settings = arguments.common.scanning_settings()?.with_circuits(circuits);
    let service_settings = arguments.scope.apply(service_settings)?;
    let service_settings = arguments.credentials.settings(service_settings)?;
    let scanners = ScanService::load_scanners(&service_settings).await?;
    let scope = ScanService::load_scope(&service_settings).await?.checked_by(Worker::check_webhooks)?;
    // Before anything is made: a start that fails leaves no data directory.
    Worker::check_pools(&scanners, &settings)?;
    let listener = operators::listen(arguments.metrics.metrics_bind.as_deref(), &scope.policy()).await?;
    let service = ScanService::open_with(&service_settings, scanners, scope).await?;
    TaskManager::check_cache(&service_settings).await?;
    let service = service.audited(&service_settings, ProcessRole::Worker).await?;
    let (ending, shown) = (service.clone(), service.clone());
    let worker = Worker::new(&service, settings)?;
    let mut hangup = signal(SignalKind::hangup())?;
    let reload = async move {
        while hangup.recv().await.is_some() {
            // The results are logged; an invalid file changes nothing.
            let _ = service.reload_scanners().await;
            let _ = service.reload_policy().await;
            let _ = service.reload_credentials().await;
        }
    };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        // A second signal ends the process at once.
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            output::stop_at_once();
        });
    };
    let (reloading, serving) = (tokio::spawn(reload), tokio::spawn(operators::serve(listener, shown)));
    worker.run(shutdown).await;
    reloading.abort();
    serving.abort();
    ending.end_audit().await;
    Ok(())
}
