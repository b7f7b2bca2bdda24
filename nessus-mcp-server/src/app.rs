//! What the server's front doors share.

use std::time::Duration;

use nessus_mcp_lib::{ScanService, Worker, config::WorkerSettings, error::Failure, streams};
use tokio::{signal, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::output;

/// How long a stopping server waits for its worker.
const WORKER_STOP_WAIT: Duration = Duration::from_secs(40);

/// The service, and the worker in the same process if there is one.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) service: ScanService,
    /// Cancelled when the process shall stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled when a signal says so; `stop` is then cancelled as well.
    signalled: CancellationToken,
}

impl App {
    pub(crate) fn new(service: ScanService) -> Self {
        let signalled = CancellationToken::new();
        Self { service, stop: signalled.child_token(), signalled }
    }

    /// Starts a worker that stops with the process.
    pub(crate) fn start_worker(&self, settings: WorkerSettings) -> Result<RunningWorker, Failure> {
        let worker = Worker::new(&self.service, settings)?;
        let (stop, stopped) = (self.stop.clone(), self.stop.clone());
        Ok(RunningWorker(tokio::spawn(async move {
            // Dropped by a panic as well: a server whose worker is gone must not look healthy.
            let _stop_with_the_worker = stop.drop_guard();
            worker.run(async move { stopped.cancelled().await }).await;
        })))
    }

    /// Checks the scanners regularly, for what this process shows of them.
    pub(crate) fn watch_scanners(&self, interval: Duration) {
        let (service, stop) = (self.service.clone(), self.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move { service.watch_scanners(interval).await }));
    }

    /// Reads the scanner configuration again on SIGHUP.
    pub(crate) fn reload_on_signal(&self) -> Result<(), Failure> {
        let mut hangup = signal::unix::signal(signal::unix::SignalKind::hangup())?;
        let (service, stop) = (self.service.clone(), self.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            while hangup.recv().await.is_some() {
                // It logs how it went; a file that cannot be used changes nothing.
                let _ = service.reload_scanners().await;
            }
        }));
        Ok(())
    }

    /// Keeps in step with what other processes say of the circuits of scanners, until the process stops.
    pub(crate) fn follow_circuits(&self) {
        let app = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = app.service.follow_circuits() => {}
                () = app.stop.cancelled() => {}
            }
        });
    }

    /// Waits until all data on stdout is read, or a signal says that nobody shall wait for it.
    pub(crate) async fn output_read(&self) {
        tokio::select! {
            () = streams::stdout().drained(0) => {}
            () = self.signalled.cancelled() => {}
        }
    }

    /// Cancels `stop` on SIGTERM or Ctrl-C.
    pub(crate) fn stop_on_signal(&self) -> Result<(), Failure> {
        let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        let mut interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt())?;
        let signalled = self.signalled.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => info!("SIGTERM: stopping"),
                _ = interrupt.recv() => info!("SIGINT: stopping"),
            }
            signalled.cancel();
            // Somebody who asks twice does not want to wait.
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            output::stop_at_once();
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
        match tokio::time::timeout(WORKER_STOP_WAIT, self.0).await {
            Ok(Ok(())) => {}
            Ok(Err(failed)) => error!(error = %failed, "the worker panicked; its leases will run out"),
            Err(_elapsed) => warn!("the worker did not stop in time; its leases will run out"),
        }
    }
}
