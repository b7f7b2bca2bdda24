//! What each request passes before it is answered, in this order: host and origin, its trace, who sends it, its size, a place.
//!
//! One layer for all of them: each layer of its own would be cloned and boxed for every request, with all that lie below it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use nessus_mcp_lib::audit::Audit;
use tracing::Instrument as _;

use super::{
    audited::Asked,
    bodies::{self, Bodies},
    host::AllowedHosts,
    identity::Identities,
    oauth,
    places::{self, Places},
    routes::Routes,
    trace,
};
use crate::{client_address::TrustedProxies, tools::ScanTools};

/// The path of the tools.
pub(super) const MCP: &str = "/mcp";

/// What the checks of an address need.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) routes: Routes,
    pub(super) audit: Audit,
    pub(super) hosts: AllowedHosts,
    pub(super) identities: Identities,
    pub(super) bodies: Bodies,
    pub(super) places: Places,
    pub(super) tools: ScanTools,
}

/// Passes a request on, or refuses it. Each refusal of somebody who must not ask has a line in the audit log.
pub(super) async fn pass(State(checks): State<Arc<Checks>>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let response = match checks.hosts.refusal(&request) {
        Some(refusal) => refusal,
        None => traced(&checks, request, next).await,
    };
    asked.note(&checks.audit, &response);
    response
}

/// The same for a request that another program has accepted.
pub(super) async fn pass_accepted(checks: State<Arc<Checks>>, mut request: Request, next: Next) -> Response {
    TrustedProxies::default().mark_accepted(&mut request);
    pass(checks, request, next).await
}

async fn traced(checks: &Checks, mut request: Request, next: Next) -> Response {
    let (trace, span) = trace::begin(&mut request);
    let mut response = identified(checks, request, next).instrument(span).await;
    trace::end(&trace, &mut response);
    response
}

async fn identified(checks: &Checks, mut request: Request, next: Next) -> Response {
    if let Err(refusal) = checks.identities.check(&mut request, checks.routes).await {
        return refusal;
    }
    bodies::bounded(&checks.bodies, request, move |request| {
        places::in_place(&checks.places, request, move |request| answered(checks, request, next))
    })
    .await
}

async fn answered(checks: &Checks, request: Request, next: Next) -> Response {
    if !checks.routes.mcp || request.uri().path() != MCP {
        return next.run(request).await;
    }
    match oauth::step_up(&checks.tools, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal,
    }
}
