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
mod routes;
mod timeout_stream;
mod trace;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};
use nessus_mcp_lib::ScanService;
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
pub(crate) use self::{door::Door, host::AllowedHosts, identity::Identities, routes::Routes};
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
    if door.routes.administration {
        for_operators = for_operators.route("/health", get(health::health)).route("/metrics", get(health::metrics));
    }
    let mut router = for_operators.with_state(app.clone());
    let tools = tools(&app.service, door, &app.stop);
    if door.routes.mcp {
        router = router.merge(mcp(&app.service, &tools, streams));
    }
    if door.routes.pages {
        router = router.merge(ui::routes(&tools));
    }
    let checks = checks(&app.service, door, refusals, tools);
    router.layer(middleware::from_fn_with_state(checks, checks::pass))
}

/// `/mcp` and what tells of tokens for it, behind the same checks, for a program that accepts its connections itself. Of a door it has
/// what holds for requests. `stop` ends calls that wait.
pub(crate) fn mounted(service: &ScanService, door: &Door, stop: &CancellationToken) -> Router {
    let refusals = Refusals::new(service.metrics(), service.audit());
    let tools = tools(service, door, stop);
    let router = mcp(service, &tools, &CancellationToken::new());
    let checks = checks(service, door, &refusals, tools);
    // Of these routes alone: what else is asked for is the other program's business.
    router.route_layer(middleware::from_fn_with_state(checks, checks::pass_accepted))
}

/// The tools of a door. Over HTTP each request brings its principal.
fn tools(service: &ScanService, door: &Door, stop: &CancellationToken) -> ScanTools {
    ScanTools::new(service, stop, None, door.offered)
}

/// The checks of a door.
fn checks(service: &ScanService, door: &Door, refusals: &Refusals, tools: ScanTools) -> Arc<Checks> {
    Arc::new(Checks {
        routes: door.routes,
        audit: service.audit().clone(),
        hosts: door.hosts.clone(),
        identities: door.identities.clone(),
        bodies: Bodies::new(door.client_timeout, refusals),
        places: Places::new(door.requests_per_client, door.client_timeout, refusals),
        tools,
    })
}

/// `/mcp`, and what tells clients where they get tokens for it.
fn mcp(service: &ScanService, tools: &ScanTools, streams: &CancellationToken) -> Router {
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
        .with_state(service.clone());
    metadata.route_service(MCP, mcp)
}
