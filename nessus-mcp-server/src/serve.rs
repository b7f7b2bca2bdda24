//! `serve`: serves MCP over HTTP until the process is told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    ScanService, Worker,
    config::ConfigError,
    error::{Classified, ErrorKind, Failure},
    time::{DurationUnit, parse_duration},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    app::App,
    args::Serve,
    http::{self, AllowedHosts},
    output,
};

/// How long open requests may take to end after the process was told to stop. Then streams are cancelled, which may take as
/// long again: together less than the ten seconds after which Docker kills a container.
const DRAIN_WAIT: Duration = Duration::from_secs(3);

/// Runs the command.
pub(crate) async fn run(command: Serve) -> Result<(), Failure> {
    command.log.init()?;
    let address = parse_address(&command.bind.mcp_bind)?;
    let hosts = AllowedHosts::new(command.bind.mcp_allowed_hosts.as_deref())?;
    let timeout = parse_client_timeout(&command.bind.mcp_client_timeout_seconds)?;
    let worker_settings = command.worker.settings()?;
    let settings = command.common.scanning_settings()?.with_circuits(command.circuits.settings()?);
    let settings = command.scope.apply(settings.with_results_memory_mib(command.results.memory_mib()?))?;
    let settings = command.credentials.settings(settings)?;
    let scanners = ScanService::load_scanners(&settings).await?;
    let scope = ScanService::load_scope(&settings).await?;
    if command.with_worker {
        Worker::check_pools(&scanners, &worker_settings)?;
    }
    // Before anything is made: a start that fails leaves no data directory.
    let listener = listen(address).await?;
    let app = App::new(ScanService::open_with(&settings, scanners, scope).await?);
    app.stop_on_signal()?;
    app.reload_on_signal()?;
    let health_interval = worker_settings.health_interval;
    let worker = if command.with_worker { Some(app.start_worker(worker_settings)?) } else { None };
    // A worker does both by itself.
    if worker.is_none() {
        app.watch_queue();
        if let Some(interval) = health_interval {
            app.watch_scanners(interval);
        }
    }
    // With port 0 this line is the only way to know the port.
    output::line(format!("listening on http://{}/mcp", listener.local_addr()?));
    until_stopped(&app, listener, hosts, timeout).await?;
    match worker {
        Some(worker) => worker.stopped().await,
        None => app.service.scanners().close().await,
    }
    Ok(())
}

fn parse_address(text: &str) -> Result<SocketAddr, ConfigError> {
    let refuse = |message: &str| ConfigError::Setting { name: "MCP_BIND".to_owned(), message: message.to_owned() };
    let text = text.replace("localhost:", "127.0.0.1:");
    let address: SocketAddr =
        text.parse().map_err(|_| refuse("must be an address and a port, such as 127.0.0.1:8835"))?;
    if !address.ip().is_loopback() {
        return Err(refuse("must be a loopback address: without a token only this machine may connect"));
    }
    Ok(address)
}

fn parse_client_timeout(text: &str) -> Result<Duration, ConfigError> {
    let refuse = |message: String| ConfigError::Setting { name: "MCP_CLIENT_TIMEOUT_SECONDS".to_owned(), message };
    let timeout =
        parse_duration(text, DurationUnit::Seconds).map_err(|error| refuse(format!("has a bad value: {error}")))?;
    if !(Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&timeout) {
        return Err(refuse("must be from 100ms to 1h".to_owned()));
    }
    Ok(timeout)
}

/// The server cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub(crate) struct BindError {
    address: SocketAddr,
    pub(crate) source: std::io::Error,
}

impl Classified for BindError {
    fn code(&self) -> &'static str {
        "cannot_listen"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }

    fn hint(&self) -> Option<String> {
        let hint = match self.source.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process listens there; stop it, or choose another address with `--mcp-bind`"
            }
            _ => "choose another address with `--mcp-bind`",
        };
        Some(hint.to_owned())
    }
}

/// Listens on an address.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, source })
}

/// Serves until `app.stop` is cancelled. Then waits for open requests to end, and closes what is still open.
pub(crate) async fn until_stopped(
    app: &App,
    listener: TcpListener,
    hosts: AllowedHosts,
    client_timeout: Duration,
) -> Result<(), Failure> {
    info!(address = %listener.local_addr()?, "serving");
    let streams = CancellationToken::new();
    let router = http::router(app, hosts, client_timeout, &streams);
    let metrics = Arc::clone(app.service.metrics());
    let mut serving = tokio::spawn(http::serve(listener, router, client_timeout, metrics, app.stop.clone()));
    tokio::select! {
        ended = &mut serving => return ended.map_err(|failed| Failure::new(failed.to_string())),
        () = app.stop.cancelled() => {}
    }
    if tokio::time::timeout(DRAIN_WAIT, &mut serving).await.is_ok() {
        return Ok(());
    }
    // Streams and half-sent requests do not end by themselves.
    streams.cancel();
    if tokio::time::timeout(DRAIN_WAIT, &mut serving).await.is_err() {
        warn!("connections were closed before their requests had ended");
        serving.abort();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_accepted() {
        for text in ["127.0.0.1:0", "localhost:8835", "[::1]:8835"] {
            assert!(parse_address(text).is_ok(), "{text}");
        }
        for text in ["0.0.0.0:8835", "[::]:8835", "192.0.2.1:8835", "8835", ""] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
