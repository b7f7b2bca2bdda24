//! The HTTP API: `/mcp`, `/health`, `/health/live`, `/health/ready`, `/metrics`, and the metadata of OAuth.

mod audited;
mod bodies;
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

use self::{bodies::Bodies, places::Places, refusals::Refusals};
pub(crate) use self::{
    door::{Door, Routes},
    host::AllowedHosts,
    identity::Identities,
    places::MOST_REQUESTS,
};
use crate::{
    access::ToolSet,
    app::App,
    tools::{Audited, ScanTools},
};

/// Serves at an address until `app.stop` is cancelled and all connections have ended; `streams` ends answers that are streamed.
pub(crate) async fn serve(app: App, listener: TcpListener, door: Door, streams: CancellationToken) {
    let refusals = Refusals::new(app.service.metrics(), app.service.audit());
    let router = router(&app, &door, &refusals, &streams);
    connections::serve(listener, router, door, refusals, app.stop).await;
}

/// The routes of an address. Each request passes the checks of host and origin, gets a trace id, is known to come from
/// somebody, is read whole within bounds of size and time, and waits for a place.
fn router(app: &App, door: &Door, refusals: &Refusals, streams: &CancellationToken) -> Router {
    let mut for_operators =
        Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready));
    if door.routes != Routes::Mcp {
        for_operators = for_operators.route("/health", get(health::health)).route("/metrics", get(health::metrics));
    }
    let mut router = for_operators.with_state(app.clone());
    if door.routes != Routes::Administration {
        router = router.merge(mcp(app, door.offered, streams));
    }
    let bodies = Bodies::new(door.client_timeout, refusals);
    let places = Places::new(door.requests_per_client, door.client_timeout, refusals);
    router
        .layer(middleware::from_fn_with_state(places, places::in_place))
        .layer(middleware::from_fn_with_state(bodies, bodies::bounded))
        .layer(middleware::from_fn_with_state(door.identities.clone(), identity::identify))
        .layer(middleware::from_fn(trace::trace))
        .layer(middleware::from_fn_with_state(door.hosts.clone(), host::check))
        .layer(middleware::from_fn_with_state(app.service.audit().clone(), audited::note))
}

/// `/mcp`, and what tells clients where they get tokens for it.
fn mcp(app: &App, offered: ToolSet, streams: &CancellationToken) -> Router {
    let config = StreamableHttpServerConfig::default()
        // Stateless: a session would be lost with the process, and its idle timeout would end tools that take long.
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // `host::check` does both, for every route.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_cancellation_token(streams.child_token());
    // Over HTTP each request brings its principal.
    let tools = ScanTools::new(app, None, offered);
    let for_scopes = tools.clone();
    let tools = Audited::new(tools);
    let mcp = StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(LocalSessionManager::default()), config);
    let mcp =
        Router::new().route_service("/mcp", mcp).layer(middleware::from_fn_with_state(for_scopes, oauth::step_up));
    let metadata = Router::new()
        .route(oauth::METADATA_PATH, get(oauth::metadata))
        .route(&format!("{}/{{*path}}", oauth::METADATA_PATH), get(oauth::metadata))
        .with_state(app.service.clone());
    mcp.merge(metadata)
}
