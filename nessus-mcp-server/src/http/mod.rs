//! The HTTP API: `/mcp`, `/ui`, `/health`, `/health/live`, `/health/ready`, `/metrics`, and the metadata of OAuth.

mod audited;
mod basic;
mod bodies;
mod checks;
mod connections;
mod door;
mod health;
mod host;
mod identity;
mod oauth;
mod open;
mod places;
mod refusals;
mod timeout_stream;
mod trace;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    bodies::Bodies,
    checks::{Checks, MCP},
    places::Places,
    refusals::Refusals,
};
pub(crate) use self::{
    door::{Door, Routes},
    host::AllowedHosts,
    identity::Identities,
};
use crate::{
    app::App,
    tools::{Audited, ScanTools},
    ui,
};

/// Serves at an address until `app.stop` is cancelled and all connections have ended; `streams` ends answers that are streamed.
pub(crate) async fn serve(app: App, listener: TcpListener, door: Door, streams: CancellationToken) {
    let refusals = Refusals::new(app.service.metrics(), app.service.audit());
    let router = router(&app, &door, &refusals, &streams);
    connections::serve(listener, router, door, refusals, app.stop).await;
}

/// The routes of an address, behind the checks that each request has to pass.
fn router(app: &App, door: &Door, refusals: &Refusals, streams: &CancellationToken) -> Router {
    let mut for_operators =
        Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready));
    if door.routes != Routes::Mcp {
        for_operators = for_operators.route("/health", get(health::health)).route("/metrics", get(health::metrics));
    }
    let mut router = for_operators.with_state(app.clone());
    // Over HTTP each request brings its principal.
    let tools = (door.routes != Routes::Administration).then(|| ScanTools::new(app, None, door.offered));
    if let Some(tools) = &tools {
        router = router.merge(mcp(app, tools, streams)).merge(ui::routes(tools));
    }
    let checks = Checks {
        audit: app.service.audit().clone(),
        hosts: door.hosts.clone(),
        identities: door.identities.clone(),
        bodies: Bodies::new(door.client_timeout, refusals),
        places: Places::new(door.requests_per_client, door.client_timeout, refusals),
        tools,
    };
    router.layer(middleware::from_fn_with_state(Arc::new(checks), checks::pass))
}

/// `/mcp`, and what tells clients where they get tokens for it.
fn mcp(app: &App, tools: &ScanTools, streams: &CancellationToken) -> Router {
    let config = StreamableHttpServerConfig::default()
        // Stateless: a session would be lost with the process, and its idle timeout would end tools that take long.
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // `AllowedHosts::refusal` does both, for every route.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_cancellation_token(streams.child_token());
    let tools = Audited::new(tools.clone());
    let mcp = StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(LocalSessionManager::default()), config);
    let metadata = Router::new()
        .route(oauth::METADATA_PATH, get(oauth::metadata))
        .route(&format!("{}/{{*path}}", oauth::METADATA_PATH), get(oauth::metadata))
        .with_state(app.service.clone());
    metadata.route_service(MCP, mcp)
}
