//! The HTTP API: `/mcp`, `/health`, `/health/live`, `/health/ready`, `/metrics`, and the metadata of OAuth.

mod audited;
mod bodies;
mod connections;
mod health;
mod host;
mod identity;
mod oauth;
mod timeout_stream;
mod trace;

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware, routing::get};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tokio_util::sync::CancellationToken;

use self::bodies::Bodies;
pub(crate) use self::{connections::serve, host::AllowedHosts, identity::Identities};
use crate::{
    access::ToolSet,
    app::App,
    client_address::TrustedProxies,
    tls::Tls,
    tools::{Audited, ScanTools},
};

/// Who may come in, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) hosts: AllowedHosts,
    pub(crate) identities: Identities,
    /// How long a client may take to send a request, stay idle between two, or leave an answer unread.
    pub(crate) client_timeout: Duration,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxies: TrustedProxies,
    /// The tools that are offered, whoever comes in.
    pub(crate) offered: ToolSet,
}

/// All routes. Each request passes the checks of host and origin, gets a trace id, is known to come from somebody, and is
/// bounded in size and time.
pub(crate) fn router(app: &App, door: &Door, streams: &CancellationToken) -> Router {
    let config = StreamableHttpServerConfig::default()
        // Stateless: a session would be lost with the process, and its idle timeout would end tools that take long.
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // `host::check` does both, for every route.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_cancellation_token(streams.child_token());
    // Over HTTP each request brings its principal.
    let tools = ScanTools::new(app, None, door.offered);
    let for_scopes = tools.clone();
    let tools = Audited::new(tools);
    let mcp = StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(LocalSessionManager::default()), config);
    let bodies = Bodies::new(door.client_timeout, app.service.metrics());
    let mcp =
        Router::new().route_service("/mcp", mcp).layer(middleware::from_fn_with_state(for_scopes, oauth::step_up));
    let metadata = Router::new()
        .route(oauth::METADATA_PATH, get(oauth::metadata))
        .route(&format!("{}/{{*path}}", oauth::METADATA_PATH), get(oauth::metadata))
        .with_state(app.service.clone());
    Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .with_state(app.clone())
        .merge(metadata)
        .merge(mcp)
        .layer(middleware::from_fn_with_state(bodies, bodies::bounded))
        .layer(middleware::from_fn_with_state(door.identities.clone(), identity::identify))
        .layer(middleware::from_fn(trace::trace))
        .layer(middleware::from_fn_with_state(door.hosts.clone(), host::check))
        .layer(middleware::from_fn_with_state(app.service.audit().clone(), audited::note))
}
