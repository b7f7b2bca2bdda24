//! `X-Trace-Id`: taken from the request or generated, passed to the tools, and returned in the response.

use axum::{extract::Request, http::HeaderValue, middleware::Next, response::Response};
use nessus_mcp_lib::ids::TraceId;

/// The header's name.
const TRACE_HEADER: &str = "x-trace-id";

/// Puts the trace id into the request's extensions and the response's headers. A malformed one is replaced.
pub(super) async fn trace(mut request: Request, next: Next) -> Response {
    let sent = request.headers().get(TRACE_HEADER).and_then(|value| value.to_str().ok());
    let trace_id = sent.and_then(|text| TraceId::new(text).ok()).unwrap_or_else(TraceId::generate);
    let value = HeaderValue::from_str(trace_id.as_str());
    request.extensions_mut().insert(trace_id);
    let mut response = next.run(request).await;
    if let Ok(value) = value {
        response.headers_mut().insert(TRACE_HEADER, value);
    }
    response
}
