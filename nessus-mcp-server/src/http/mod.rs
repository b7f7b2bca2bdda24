//! The HTTP front door: `/mcp`, `/health`, `/health/live`, `/health/ready`, `/metrics`.

mod health;
mod host;
mod trace;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::host::AllowedHosts;
use crate::{app::App, tools::ScanTools};

/// The most bytes of a request.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// All routes, each behind the check of `Host` and with a trace id.
pub(crate) fn router(app: &App, hosts: AllowedHosts, streams: &CancellationToken) -> Router {
    let config = StreamableHttpServerConfig::default()
        // Stateless: a session would be lost with the process, and would cut off silent tools.
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts.names())
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
        .enforce_origin_validation()
        .with_max_request_body_bytes(MAX_REQUEST_BYTES)
        .with_cancellation_token(streams.child_token());
    let tools = ScanTools::new(app.service.clone());
    let mcp = StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(LocalSessionManager::default()), config);
    Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .with_state(app.clone())
        .route_service("/mcp", mcp)
        .layer(middleware::from_fn(trace::trace))
        .layer(middleware::from_fn_with_state(hosts, host::check))
}
