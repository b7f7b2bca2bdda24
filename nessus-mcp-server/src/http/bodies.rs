//! What requests and answers may hold of memory, and for how long.
//!
//! A request is read whole before anybody works on it, within a time. A large answer counts until it is written or its
//! connection is closed, and above a ceiling the next is refused: clients that never read would else hold everything.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use nessus_mcp_lib::telemetry::Metrics;
use rmcp::model::CallToolResult;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most bytes of a request.
const MOST_REQUEST_BYTES: usize = 1 << 20;
const TOO_LARGE: &str = "a request may have a megabyte\n";
/// When to try again what there was no room for.
const RETRY_AFTER_SECONDS: &str = "2";
/// Smaller bodies are not counted: the number of connections bounds them.
const SMALL: usize = 64 << 10;
/// The most bytes of requests that are not small.
const REQUESTS_ROOM: usize = 32 << 20;
/// The most bytes of answers that are not small; a larger one is written when it is the only one.
const ANSWERS_ROOM: usize = 64 << 20;

/// The room for bodies. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Bodies {
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    patience: Duration,
    metrics: Arc<Metrics>,
}

impl Bodies {
    /// Requests must have come in within `patience`.
    pub(super) fn new(patience: Duration, metrics: &Arc<Metrics>) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS_ROOM)),
            answers: Arc::new(Semaphore::new(ANSWERS_ROOM)),
            patience,
            metrics: Arc::clone(metrics),
        }
    }

    async fn read(&self, body: Body) -> Result<Bytes, Response> {
        match tokio::time::timeout(self.patience, to_bytes(body, MOST_REQUEST_BYTES)).await {
            Ok(Ok(request)) => Ok(request),
            Ok(Err(_)) => Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)),
            Err(_elapsed) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the request did not come in time\n")),
        }
    }
}

/// Reads the request, and counts the answer.
pub(super) async fn bounded(State(bodies): State<Bodies>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let hint = body.size_hint();
    if hint.lower() > MOST_REQUEST_BYTES as u64 {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
    }
    // One that does not say how large it is may become the largest.
    let size = hint.upper().and_then(|size| usize::try_from(size).ok()).unwrap_or(MOST_REQUEST_BYTES);
    let room = if size > SMALL {
        let Some(room) = take(&bodies.requests, size, REQUESTS_ROOM) else {
            bodies.metrics.process().http_refused("requests");
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "many large requests are under way; try again soon\n");
        };
        Some(room)
    } else {
        None
    };
    let request = match bodies.read(body).await {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let room = room.filter(|_| request.len() > SMALL);
    let version = parts.headers.get("mcp-protocol-version").cloned();
    let answer = next.run(Request::from_parts(parts, Body::from(request.clone()))).await;
    drop(room);
    let Some(size) = answer.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()) else {
        return answer;
    };
    if size <= SMALL {
        return answer;
    }
    let Some(room) = take(&bodies.answers, size, ANSWERS_ROOM) else {
        bodies.metrics.process().http_refused("answers");
        return busy(version.as_ref(), &request);
    };
    let (parts, body) = answer.into_parts();
    match to_bytes(body, size).await {
        Ok(bytes) => {
            let bytes = Unwritten::new(bytes, room, &bodies.metrics);
            Response::from_parts(parts, Body::from(Bytes::from_owner(bytes)))
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Room for so many bytes, or all there is.
fn take(room: &Arc<Semaphore>, bytes: usize, all: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(room).try_acquire_many_owned(u32::try_from(bytes.min(all)).ok()?).ok()
}

/// A refusal of what may not even have come in: the connection ends with it.
fn refuse(status: StatusCode, message: &'static str) -> Response {
    let mut response = (status, [(header::CONNECTION, "close")], message).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// What stands in place of an answer that there is no room for: for a tool call an error that an agent understands.
fn busy(version: Option<&HeaderValue>, request: &[u8]) -> Response {
    #[derive(Deserialize)]
    struct Call {
        id: Value,
        method: String,
    }
    let call = serde_json::from_slice::<Call>(request).ok().filter(|call| call.method == "tools/call");
    let Some(call) = call else {
        let message = "too many large answers wait for their readers; try again soon\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)], message)
            .into_response();
    };
    let error = CallToolResult::structured_error(json!({
        "error": "busy",
        "message": "the answer is ready, but too many large answers wait for their readers",
        "hint": "try again in a few seconds, or ask for less: a page, fewer fields, a filter",
    }));
    let mut result = json!(error);
    // The MCP library does the same: clients before this version do not know it.
    let knows_result_types = version.is_some_and(|version| version.as_bytes() >= b"2026-07-28".as_slice());
    if let (false, Some(result)) = (knows_result_types, result.as_object_mut()) {
        result.remove("resultType");
    }
    Json(json!({ "jsonrpc": "2.0", "id": call.id, "result": result })).into_response()
}

/// An answer with its room, both given back when it is written or its connection is closed.
struct Unwritten {
    bytes: Bytes,
    metrics: Arc<Metrics>,
    _room: OwnedSemaphorePermit,
}

impl Unwritten {
    fn new(bytes: Bytes, room: OwnedSemaphorePermit, metrics: &Arc<Metrics>) -> Self {
        metrics.process().add_http_answer_bytes(signed(bytes.len()));
        Self { bytes, metrics: Arc::clone(metrics), _room: room }
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
