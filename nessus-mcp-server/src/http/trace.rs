//! `X-Trace-Id` and `traceparent`: taken from the request or made, passed to the tools and the log, and returned in the response.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
};
use nessus_mcp_lib::ids::TraceId;
use tracing::{Span, error_span};

use crate::trace::{RequestTrace, TraceParent};

const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Puts the trace into the request's extensions, and returns it with a span for the log lines. What is malformed or came more than
/// once is ignored.
pub(super) fn begin(request: &mut Request) -> (RequestTrace, Span) {
    let named = the_only(request.headers(), &TRACE_ID).and_then(|text| TraceId::new(text).ok());
    let trace = RequestTrace::new(named, the_only(request.headers(), &TRACE_PARENT).and_then(TraceParent::parse));
    let known = trace.known();
    let span = error_span!("request", trace_id = known.id.as_str(), span_id = known.span_id);
    request.extensions_mut().insert(trace.clone());
    (trace, span)
}

/// Puts the trace into the response's headers. A call may have told its own in its body.
pub(super) fn end(trace: &RequestTrace, response: &mut Response) {
    let known = trace.known();
    for (name, value) in [(TRACE_ID, known.id.to_string()), (TRACE_PARENT, known.traceparent())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// The value of a header that came once.
fn the_only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut sent = headers.get_all(name).iter();
    let value = sent.next()?.to_str().ok()?;
    sent.next().is_none().then_some(value)
}
