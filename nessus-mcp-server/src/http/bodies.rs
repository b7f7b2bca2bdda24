//! Bounds the memory of requests and answers in flight, and the time a request may take to arrive.
//!
//! A request is read whole before it is handled. A large answer counts as in flight until it is written or its connection is
//! closed. Once large answers fill their limit, further ones are refused: otherwise clients that never read could fill the
//! memory.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, HttpBody as _, to_bytes},
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError};
use nessus_mcp_lib::telemetry::Metrics;
use rmcp::model::CallToolResult;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusals::Refusals;
use crate::client_address::ClientAddress;

/// The largest request, in bytes.
const MAX_REQUEST_BYTES: usize = 1 << 20;
const TOO_LARGE: &str = "the request is larger than 1 MiB\n";
/// How the media type of JSON begins.
const JSON: &[u8] = b"application/json";
/// When to retry a request that was refused.
const RETRY_AFTER_SECONDS: &str = "2";
/// Bodies up to this size are not counted: the number of connections bounds them.
const UNCOUNTED_BYTES: usize = 64 << 10;
/// The most bytes of counted requests in flight.
const MAX_REQUESTS_IN_FLIGHT: usize = 32 << 20;
/// The most bytes of counted answers in flight. A larger answer is written when it is the only one.
const MAX_ANSWERS_IN_FLIGHT: usize = 64 << 20;

/// The bytes that bodies in flight may still take. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Bodies {
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    read_timeout: Duration,
    refusals: Refusals,
}

impl Bodies {
    /// A request must arrive within `read_timeout`.
    pub(super) fn new(read_timeout: Duration, refusals: &Refusals) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(MAX_REQUESTS_IN_FLIGHT)),
            answers: Arc::new(Semaphore::new(MAX_ANSWERS_IN_FLIGHT)),
            read_timeout,
            refusals: refusals.clone(),
        }
    }

    async fn read(&self, body: Body, client: Option<IpAddr>) -> Result<Bytes, Response> {
        match tokio::time::timeout(self.read_timeout, to_bytes(body, MAX_REQUEST_BYTES)).await {
            Ok(Ok(request)) => Ok(request),
            Ok(Err(error)) => Err(if error.into_inner().is::<LengthLimitError>() {
                self.too_large(client)
            } else {
                refuse(StatusCode::BAD_REQUEST, "the request cannot be read\n")
            }),
            Err(_elapsed) => {
                self.refusals.count("body_time", client);
                Err(refuse(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time\n"))
            }
        }
    }

    fn too_large(&self, client: Option<IpAddr>) -> Response {
        self.refusals.count("body_size", client);
        refuse(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
    }
}

impl Bodies {
    /// An event of an answer that is streamed. A large one is counted as a whole answer is; where there is no room for it, `busy`
    /// takes its place.
    fn event(&self, event: Bytes, busy: Option<&Bytes>) -> Bytes {
        if event.len() <= UNCOUNTED_BYTES {
            return event;
        }
        match (take(&self.answers, event.len(), MAX_ANSWERS_IN_FLIGHT), busy) {
            (Some(permit), _) => Bytes::from_owner(Unwritten::new(event, permit, self.refusals.metrics())),
            (None, busy) => {
                self.refusals.count("answers", None);
                busy.cloned().unwrap_or_default()
            }
        }
    }
}

/// Reads the whole request, lets it be answered, and counts request and answer while they are in flight.
pub(super) async fn bounded<F: Future<Output = Response>>(
    bodies: &Bodies,
    request: Request,
    answered: impl FnOnce(Request) -> F,
) -> Response {
    let (parts, body) = request.into_parts();
    let hint = body.size_hint();
    let client = parts.extensions.get().map(|ClientAddress(address)| *address);
    if hint.lower() > MAX_REQUEST_BYTES as u64 {
        return bodies.too_large(client);
    }
    // A body of unknown size counts as the largest one.
    let size = hint.upper().and_then(|size| usize::try_from(size).ok()).unwrap_or(MAX_REQUEST_BYTES);
    let permit = if size > UNCOUNTED_BYTES {
        let Some(permit) = take(&bodies.requests, size, MAX_REQUESTS_IN_FLIGHT) else {
            bodies.refusals.count("requests", client);
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many large requests are in flight; try again soon\n");
        };
        Some(permit)
    } else {
        None
    };
    let request = match bodies.read(body, client).await {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let permit = permit.filter(|_| request.len() > UNCOUNTED_BYTES);
    let version = parts.headers.get("mcp-protocol-version").cloned();
    let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|sent| sent.as_bytes().starts_with(JSON));
    let answer = answered(Request::from_parts(parts, Body::from(request.clone()))).await;
    drop(permit);
    if answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE && is_json {
        return no_message(&request);
    }
    let Some(size) = answer.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()) else {
        let busy = busy_call(version.as_ref(), &request).map(|busy| Bytes::from(format!("data: {busy}\n\n")));
        let bodies = bodies.clone();
        return answer.map(|body| {
            Body::new(body.map_frame(move |frame| frame.map_data(|event| bodies.event(event, busy.as_ref()))))
        });
    };
    if size <= UNCOUNTED_BYTES {
        return answer;
    }
    let Some(permit) = take(&bodies.answers, size, MAX_ANSWERS_IN_FLIGHT) else {
        bodies.refusals.count("answers", client);
        return busy(version.as_ref(), &request);
    };
    let (parts, body) = answer.into_parts();
    match to_bytes(body, size).await {
        Ok(bytes) => {
            let bytes = Unwritten::new(bytes, permit, bodies.refusals.metrics());
            Response::from_parts(parts, Body::from(Bytes::from_owner(bytes)))
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The answer to what was sent as JSON and is no message of JSON-RPC. The MCP library says that its media type is wrong.
fn no_message(request: &[u8]) -> Response {
    let (code, message) = match serde_json::from_slice::<IgnoredAny>(request) {
        Err(error) => (-32700, format!("Parse error: the request is no JSON: {error}")),
        Ok(_) => (-32600, "Invalid Request: the request is JSON, but no message of JSON-RPC 2.0".to_owned()),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } });
    (StatusCode::BAD_REQUEST, Json(answer)).into_response()
}

/// A permit for `bytes`, or for the whole limit if they are more; none if others hold too much.
fn take(limit: &Arc<Semaphore>, bytes: usize, most: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(limit).try_acquire_many_owned(u32::try_from(bytes.min(most)).ok()?).ok()
}

/// Refuses a request. It may not have been read to its end, so the connection is closed.
fn refuse(status: StatusCode, message: &'static str) -> Response {
    let mut response = (status, [(header::CONNECTION, "close")], message).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// The answer when too many large answers are in flight: for a tool call, an error that an agent understands.
fn busy(version: Option<&HeaderValue>, request: &[u8]) -> Response {
    busy_call(version, request).map_or_else(
        || {
            let message = "too many large answers have not been read yet; try again soon\n";
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)], message).into_response()
        },
        |answer| Json(answer).into_response(),
    )
}

/// That answer to a tool call; `None` for another request.
fn busy_call(version: Option<&HeaderValue>, request: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Call {
        id: Value,
        method: String,
    }
    let call = serde_json::from_slice::<Call>(request).ok().filter(|call| call.method == "tools/call")?;
    let error = CallToolResult::structured_error(json!({
        "error": "busy",
        "message": "the answer is ready, but too many large answers have not been read yet",
        "hint": "try again in a few seconds, or ask for less: a page, fewer fields, a filter",
    }));
    let mut result = json!(error);
    // Clients of older protocol versions do not know this member; the MCP library leaves it out for them as well.
    let knows_result_types = version.is_some_and(|version| version.as_bytes() >= b"2026-07-28".as_slice());
    if let (false, Some(result)) = (knows_result_types, result.as_object_mut()) {
        result.remove("resultType");
    }
    Some(json!({ "jsonrpc": "2.0", "id": call.id, "result": result }))
}

/// An answer and its permit. Both are released when the answer is written or its connection is closed.
struct Unwritten {
    bytes: Bytes,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Unwritten {
    fn new(bytes: Bytes, permit: OwnedSemaphorePermit, metrics: &Arc<Metrics>) -> Self {
        metrics.process().add_http_answer_bytes(signed(bytes.len()));
        Self { bytes, metrics: Arc::clone(metrics), _permit: permit }
    }
}

impl AsRef<[u8]> for Unwritten {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.metrics.process().add_http_answer_bytes(-signed(self.bytes.len()));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use nessus_mcp_lib::audit::Audit;

    use super::*;

    /// What is streamed takes the same room as what is answered at once, and gives it back.
    #[test]
    fn large_events_are_counted_until_they_are_written() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let bodies = Bodies::new(Duration::from_secs(1), &Refusals::new(&metrics, &Audit::off()));
        let busy = Bytes::from_static(b"data: busy\n\n");
        let (small, large) = (Bytes::from(vec![b'x'; UNCOUNTED_BYTES]), Bytes::from(vec![b'x'; MAX_ANSWERS_IN_FLIGHT]));
        assert_eq!(bodies.event(small.clone(), Some(&busy)), small);
        assert_eq!(bodies.answers.available_permits(), MAX_ANSWERS_IN_FLIGHT);
        let first = bodies.event(large.clone(), Some(&busy));
        assert_eq!((first.len(), bodies.answers.available_permits()), (large.len(), 0));
        assert_eq!(bodies.event(large.clone(), Some(&busy)), busy);
        drop(first);
        assert_eq!(bodies.event(large.clone(), Some(&busy)).len(), large.len());
    }
}
