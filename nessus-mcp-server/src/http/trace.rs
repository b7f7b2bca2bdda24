//! `X-Trace-Id` and `traceparent`: taken from the request or made, passed to the tools and the log, and returned in the response.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use nessus_mcp_lib::ids::TraceId;
use tracing::{Instrument as _, info_span};

use crate::trace::{RequestTrace, TraceParent};

const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Puts the trace into the request's extensions, the log lines and the response's headers. What is malformed or came more than
/// once is ignored.
pub(super) async fn trace(mut request: Request, next: Next) -> Response {
    let named = the_only(request.headers(), &TRACE_ID).and_then(|text| TraceId::new(text).ok());
    let trace = RequestTrace::new(named, the_only(request.headers(), &TRACE_PARENT).and_then(TraceParent::parse));
    let known = trace.known();
    let span = info_span!("request", trace_id = known.id.as_str(), span_id = known.span_id);
    request.extensions_mut().insert(trace.clone());
    let mut response = next.run(request).instrument(span).await;
    // A call may have told its trace in its body.
    let known = trace.known();
    for (name, value) in [(TRACE_ID, known.id.to_string()), (TRACE_PARENT, known.traceparent())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The value of a header that came once.
fn the_only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut sent = headers.get_all(name).iter();
    let value = sent.next()?.to_str().ok()?;
    sent.next().is_none().then_some(value)
}
