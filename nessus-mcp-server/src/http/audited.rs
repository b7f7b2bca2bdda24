//! The audit lines of requests that are refused before they reach a tool: without a valid token, for another host, too large, too
//! many.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::StatusCode;
use nessus_mcp_lib::{
    audit::{Audit, Decision, Event, Who},
    error::excerpt,
};

use crate::client_address::ClientAddress;

/// An extension of an answer: why it refuses, in words that are for the operator alone.
#[derive(Debug, Clone)]
pub(super) struct Reason(pub(super) String);

/// The statuses of refusals.
const REFUSALS: [StatusCode; 8] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Writes that a request was refused. The same refusals within some seconds share a line.
pub(super) async fn note(State(audit): State<Audit>, request: Request, next: Next) -> Response {
    let path = excerpt(request.uri().path()).to_string();
    let from = request.extensions().get::<ClientAddress>().map(|ClientAddress(address)| *address);
    let response = next.run(request).await;
    let status = response.status();
    // Readiness is asked for by machines, and is no refusal.
    if REFUSALS.contains(&status) && !path.starts_with("/health") || status == StatusCode::UNAUTHORIZED {
        let what = if status == StatusCode::UNAUTHORIZED { "login" } else { "request" };
        let reason = response.extensions().get::<Reason>().map(|Reason(reason)| reason.as_str());
        let reason = reason.or(status.canonical_reason()).unwrap_or_default();
        let event = Event::new(what, Who::default().with_address(from));
        let event = event.decided(Decision::Refused, format!("{path}: {reason}"));
        audit.refused(event.with_outcome(format!("http_{}", status.as_u16())));
    }
    response
}
