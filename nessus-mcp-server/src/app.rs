//! What the server's front doors share.

use std::time::Duration;

use nessus_mcp_lib::{ScanService, Worker, config::WorkerSettings, error::Failure};
use tokio::{signal, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a stopping server waits for its worker.
const WORKER_STOP_WAIT: Duration = Duration::from_secs(35);

/// The service, and the worker in the same process if there is one.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) service: ScanService,
    /// Cancelled when the process shall stop.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(service: ScanService) -> Self {
        Self { service, stop: CancellationToken::new() }
    }

    /// Starts a worker that stops with the process.
    pub(crate) fn start_worker(&self, settings: WorkerSettings) -> Result<RunningWorker, Failure> {
        let worker = Worker::new(&self.service, settings)?;
        let stop = self.stop.clone();
        Ok(RunningWorker(tokio::spawn(worker.run(async move { stop.cancelled().await }))))
    }

    /// Cancels `stop` on SIGTERM or Ctrl-C.
    pub(crate) fn stop_on_signal(&self) -> Result<(), Failure> {
        let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        let mut interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt())?;
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => info!("SIGTERM: stopping"),
                _ = interrupt.recv() => info!("SIGINT: stopping"),
                () = stop.cancelled() => {}
            }
            stop.cancel();
        });
        Ok(())
    }
}

/// A worker in this process.
#[derive(Debug)]
pub(crate) struct RunningWorker(JoinHandle<()>);

impl RunningWorker {
    /// Waits until its tasks are handed back.
    pub(crate) async fn stopped(self) {
        if tokio::time::timeout(WORKER_STOP_WAIT, self.0).await.is_err() {
            warn!("the worker did not stop in time; its leases will run out");
        }
    }
}
