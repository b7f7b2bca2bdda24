//! `/metrics` and `/health` of a worker, for Prometheus, load balancers and people, at an address of their own.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nessus_mcp_lib::{
    ScanService,
    config::{Bind, ConfigError},
    error::{Failure, chain},
    policy::{Policy, Principal},
    telemetry::CheckStatus,
    time::{Clock as _, SystemClock},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tracing::{debug, info, warn};

/// The setting of the address.
const METRICS_BIND: &str = "METRICS_BIND";
/// The most connections at a time: each is an open file, and so are tasks and the queue.
const MOST_CONNECTIONS: usize = 16;
/// How long a client may take to send a request, or to send the next one.
const HEAD_WAIT: Duration = Duration::from_secs(2);
/// How long one connection may last, however slow its client is.
const LONGEST: Duration = Duration::from_secs(10);
/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens at the address that the setting names, if it names one.
///
/// # Errors
/// For an address that cannot be used; other machines may connect only where the policy has clients.
pub(crate) async fn listen(address: Option<&str>, policy: &Policy) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = address.filter(|address| !address.trim().is_empty()) else { return Ok(None) };
    let bind = Bind::parse(METRICS_BIND, address)?;
    if bind.is_exposed() {
        if policy.clients().is_empty() {
            let message = "must be a loopback address: other machines may connect only with the token of one of `clients` in policy.yaml";
            return Err(ConfigError::Setting { name: METRICS_BIND.to_owned(), message: message.to_owned() }.into());
        }
        warn!(
            "other machines may connect to the metrics, and tokens travel in clear text: put a proxy with TLS in front"
        );
    }
    Ok(Some(bind.listen().await?))
}

/// Serves there for as long as it is polled; never returns.
pub(crate) async fn serve(listener: Option<TcpListener>, service: ScanService) {
    let Some(listener) = listener else { return std::future::pending().await };
    if let Ok(address) = listener.local_addr() {
        info!(%address, "metrics and health are served");
    }
    let is_exposed = listener.local_addr().is_ok_and(|address| !address.ip().is_loopback());
    let router = router(service, is_exposed);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT);
    loop {
        // Whoever comes when there is no place waits for one.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = protocol.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            if let Ok(Err(error)) = tokio::time::timeout(LONGEST, connection).await {
                debug!(error = chain(&error), "a connection to the metrics ended early");
            }
            drop(place);
        });
    }
}

fn router(service: ScanService, is_exposed: bool) -> Router {
    let checked = Router::new().route("/health", get(health)).route("/metrics", get(metrics));
    let checked = checked.layer(middleware::from_fn_with_state((service.clone(), is_exposed), has_token));
    let open = Router::new().route("/health/live", get(async || "live\n")).route("/health/ready", get(ready));
    checked.merge(open).with_state(service)
}

/// Where other machines can connect, a request brings the token of a client of the policy.
async fn has_token(
    State((service, is_exposed)): State<(ScanService, bool)>,
    mut request: Request,
    next: Next,
) -> Response {
    let policy = service.scope().policy();
    let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        sent.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if is_exposed {
        let caller = token.and_then(|(_, token)| policy.authenticate(token.trim(), SystemClock.now()).ok());
        let Some(caller) = caller else {
            let message = "a token of a client of policy.yaml is needed: `Authorization: Bearer TOKEN`\n";
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], message).into_response();
        };
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

/// The state of the process and of what it depends on; 503 when any of it is unhealthy. Nobody is known where only this machine can connect.
async fn health(State(service): State<ScanService>, caller: Option<Extension<Principal>>) -> Response {
    let service = match caller {
        Some(Extension(caller)) => service.acting_for(caller),
        None => service,
    };
    let report = service.health().await;
    let status = match report.status {
        CheckStatus::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        CheckStatus::Healthy | CheckStatus::Degraded => StatusCode::OK,
    };
    (status, Json(report)).into_response()
}

/// Whether tasks can be claimed; 503 when they cannot.
async fn ready(State(service): State<ScanService>) -> (StatusCode, &'static str) {
    if service.ready().await { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

/// All metrics in Prometheus' text format.
async fn metrics(State(service): State<ScanService>) -> Response {
    match service.render_metrics().await {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", chain(&error))).into_response(),
    }
}
