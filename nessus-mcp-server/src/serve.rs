//! `serve`: serves MCP over HTTP until the process is told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    ScanService, Worker,
    audit::ProcessRole,
    config::ConfigError,
    error::{Classified, ErrorKind, Failure},
    time::{DurationUnit, parse_duration},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    access,
    app::App,
    args::Serve,
    client_address::TrustedProxies,
    http::{self, AllowedHosts, Door, Identities},
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
    let proxies = TrustedProxies::new(command.bind.trusted_proxies.as_deref())?;
    let timeout = parse_client_timeout(&command.bind.mcp_client_timeout_seconds)?;
    let offered = command.tools.offered()?;
    let worker_settings = command.worker.settings()?;
    let settings = command.common.scanning_settings()?.with_circuits(command.circuits.settings()?);
    let settings = command.scope.apply(settings.with_results_memory_mib(command.results.memory_mib()?))?;
    let settings = command.credentials.settings(settings)?;
    let scanners = ScanService::load_scanners(&settings).await?;
    let scope = ScanService::load_scope(&settings).await?.checked_by(access::check)?;
    let is_exposed = check_exposure(address, scope.policy().has_identities())?;
    let tls = command.tls.load()?;
    if command.with_worker {
        Worker::check_pools(&scanners, &worker_settings)?;
    }
    // Before anything is made: a start that fails leaves no data directory.
    let listener = listen(address).await?;
    let app = App::new(
        ScanService::open_with(&settings, scanners, scope).await?.audited(&settings, ProcessRole::Server).await?,
    );
    app.stop_on_signal()?;
    app.reload_on_signal(tls.clone())?;
    let health_interval = worker_settings.health_interval;
    let worker = if command.with_worker { Some(app.start_worker(worker_settings)?) } else { None };
    app.watch_approvals();
    // A worker does both by itself.
    if worker.is_none() {
        app.watch_queue();
        if let Some(interval) = health_interval {
            app.watch_scanners(interval);
        }
    }
    if is_exposed && tls.is_none() {
        warn!(
            "other machines may connect, and tokens travel in clear text: set TLS_CERT and TLS_KEY, or put a proxy with TLS in front"
        );
    }
    // With port 0 this line is the only way to know the port.
    let scheme = if tls.is_some() { "https" } else { "http" };
    output::line(format!("listening on {scheme}://{}/mcp", listener.local_addr()?));
    let identities = Identities::new(&app.service, is_exposed);
    let hosts = hosts.with_address(address.ip());
    let door = Door { hosts, identities, client_timeout: timeout, tls, proxies, offered };
    until_stopped(&app, listener, door).await?;
    match worker {
        Some(worker) => worker.stopped().await,
        None => app.service.scanners().close().await,
    }
    app.service.end_audit().await;
    Ok(())
}

fn parse_address(text: &str) -> Result<SocketAddr, ConfigError> {
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse().map_err(|_| bad_address("must be an address and a port, such as 127.0.0.1:8835"))
}

/// Whether other machines can connect to an address. Then there must be tokens.
fn check_exposure(address: SocketAddr, has_tokens: bool) -> Result<bool, ConfigError> {
    let is_exposed = !address.ip().is_loopback();
    if is_exposed && !has_tokens {
        return Err(bad_address(
            "must be a loopback address: other machines may connect only with tokens, of `clients` or `oauth` in policy.yaml",
        ));
    }
    Ok(is_exposed)
}

fn bad_address(message: &str) -> ConfigError {
    ConfigError::Setting { name: "MCP_BIND".to_owned(), message: message.to_owned() }
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
pub(crate) async fn until_stopped(app: &App, listener: TcpListener, door: Door) -> Result<(), Failure> {
    info!(address = %listener.local_addr()?, "serving");
    let streams = CancellationToken::new();
    let router = http::router(app, &door, &streams);
    let metrics = Arc::clone(app.service.metrics());
    let mut serving = tokio::spawn(http::serve(listener, router, door, metrics, app.stop.clone()));
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
    fn other_machines_may_connect_only_with_tokens() {
        let check = |address: &str, has_tokens| check_exposure(address.parse().unwrap(), has_tokens).ok();
        assert_eq!((check("127.0.0.1:1", false), check("[::1]:1", true)), (Some(false), Some(false)));
        for address in ["0.0.0.0:8835", "[::]:8835", "192.0.2.1:8835", "[::ffff:127.0.0.1]:1"] {
            assert_eq!((check(address, false), check(address, true)), (None, Some(true)), "{address}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        for text in ["127.0.0.1:0", "localhost:8835", "[::1]:8835", "0.0.0.0:8835"] {
            assert!(parse_address(text).is_ok(), "{text}");
        }
        for text in ["192.0.2.1", "8835", ""] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
