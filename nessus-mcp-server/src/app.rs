//! What `serve`, `stdio` and `demo` share.

use std::time::Duration;

use nessus_mcp_lib::{ScanService, Worker, config::WorkerSettings, error::Failure, streams};
use tokio::{signal, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{output, tls::Tls};

/// How long a stopping server waits for its worker.
const WORKER_STOP_WAIT: Duration = Duration::from_secs(40);

/// The service, and the worker in the same process if there is one.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) service: ScanService,
    /// Cancelled when the process should stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled by a signal, which cancels `stop` as well.
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
            // A panic drops it as well, so the process stops: a server whose worker is gone must not look healthy.
            let _stop_with_the_worker = stop.drop_guard();
            worker.run(async move { stopped.cancelled().await }).await;
        })))
    }

    /// Runs health checks of the scanners regularly, so that this process can show their results.
    pub(crate) fn watch_scanners(&self, interval: Duration) {
        let (service, stop) = (self.service.clone(), self.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move { service.watch_scanners(interval).await }));
    }

    /// Reads the configuration of scanners and credentials, the policy, and the certificate if there is one, again on SIGHUP.
    pub(crate) fn reload_on_signal(&self, tls: Option<Tls>) -> Result<(), Failure> {
        let mut hangup = signal::unix::signal(signal::unix::SignalKind::hangup())?;
        let (service, stop) = (self.service.clone(), self.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            while hangup.recv().await.is_some() {
                // The results are logged; an invalid file changes nothing.
                let _ = service.reload_scanners().await;
                let _ = service.reload_policy().await;
                let _ = service.reload_credentials().await;
                if let Some(tls) = &tls {
                    service.note_reload("certificate", &tls.reload()).await;
                }
            }
        }));
        Ok(())
    }

    /// Sees to it that the queue is whole, until the process stops.
    pub(crate) fn watch_queue(&self) {
        let (service, stop) = (self.service.clone(), self.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move { service.watch_queue().await }));
    }

    /// Follows the scans that wait for a person, until the process stops.
    pub(crate) fn watch_approvals(&self) {
        let (service, stop) = (self.service.clone(), self.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move { service.watch_approvals().await }));
    }

    /// Waits until all data on stdout is read, or until a signal ends the wait.
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
            // A second signal ends the process at once.
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
    /// Waits until the worker has handed back its tasks.
    pub(crate) async fn stopped(self) {
        match tokio::time::timeout(WORKER_STOP_WAIT, self.0).await {
            Ok(Ok(())) => {}
            Ok(Err(failed)) => error!(error = %failed, "the worker panicked; its leases will expire"),
            Err(_elapsed) => warn!("the worker did not stop in time; its leases will expire"),
        }
    }
}
