//! Requests as the simulator sees them, and who answers them.
//!
//! They are the simulator's own types, so that the endpoints do not care which server brings them: the front of its own,
//! which can do anything to a connection, or wiremock.

use std::borrow::Cow;

use crate::time::Timestamp;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{certificates::Certificate, reply::Reply};

/// A request, taken in whole.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: String,
    pub(super) path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Bytes,
    /// Whether another request came on its connection before it.
    pub(super) on_used_connection: bool,
}

impl Incoming {
    /// A request with these headers, their names in lower case.
    pub(super) fn new(method: &str, path: &str, query: &str, headers: Vec<(String, String)>, body: Bytes) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, query: pairs(query.as_bytes()), headers, body, on_used_connection: false }
    }

    /// One that asks for nothing.
    pub(super) fn any() -> Self {
        Self::new("GET", "/", "", Vec::new(), Bytes::new())
    }

    /// The header's first value; `name` in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// Whether its method calls for a body and it does not say how long that is.
    pub(super) fn lacks_length(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") && self.header("content-length").is_none()
    }

    /// The query parameter's first value.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The body as JSON; an empty body is `{}`, as Nessus takes it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body: &[u8] = if self.body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &self.body };
        serde_json::from_slice(body).map_err(|error| ApiError::new(400, format!("Invalid JSON in request: {error}")))
    }

    /// The fields of a form-encoded body.
    pub(super) fn form(&self) -> Vec<(String, String)> {
        pairs(&self.body)
    }

    /// The body as it came.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Everything that was sent, as a text: what a careless proxy shows in its error page.
    pub(super) fn echo(&self) -> String {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let (headers, body) = (headers.join("\n"), String::from_utf8_lossy(&self.body));
        format!("{} {}\n{headers}\n\n{body}", self.method, self.path)
    }
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded)
        .map(|(name, value): (Cow<'_, str>, _)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn first<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
    list.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A request that was matched with an endpoint.
pub(super) struct Call<'a> {
    pub(super) request: &'a Incoming,
    /// The parts of the path that the endpoint leaves open.
    pub(super) args: Vec<&'a str>,
    pub(super) now: Timestamp,
    /// The session it came with; none with API keys or without a login.
    pub(super) session: Option<&'a str>,
    /// Whether somebody is logged in, in whatever way.
    pub(super) logged_in: bool,
}

impl Call<'_> {
    /// The open part of the path at `index`.
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).copied().unwrap_or_default()
    }

    /// The open part of the path at `index` as an id; what is no number names nothing.
    pub(super) fn id(&self, index: usize) -> Result<u64, ApiError> {
        self.arg(index).parse().map_err(|_| ApiError::not_found())
    }
}

/// What an endpoint gives back.
pub(super) type Outcome = Result<Reply, ApiError>;

/// A refusal: Nessus answers `{"error":"<text>"}`.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) text: String,
}

impl ApiError {
    pub(super) fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// 401: no session, or one that has ended.
    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Invalid Credentials")
    }

    /// 412: the call is kept for the web interface (or Nessus Manager).
    pub(super) fn not_available() -> Self {
        Self::new(412, "API is not available")
    }

    /// 404 with the text that is known from files, and used here for all.
    pub(super) fn not_found() -> Self {
        Self::new(404, "The requested file was not found")
    }

    /// 400 in the style of the recorded refusals.
    pub(super) fn invalid_field(name: &str) -> Self {
        Self::new(400, format!("Invalid '{name}' field"))
    }
}

/// Something that answers requests, whichever server brings them.
pub(super) trait Answer: Send + Sync + 'static {
    /// The answer to a request.
    fn answer(&self, request: &Incoming) -> Reply;

    /// A connection was made; tells which certificate it sees, if it is one with TLS.
    fn connected(&self) -> Certificate {
        Certificate::Sound
    }
}
