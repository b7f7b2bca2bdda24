//! Requests and replies as the simulator sees them.
//!
//! They are the simulator's own types, so that the endpoints do not care which server carries them: today
//! wiremock, and whatever can do to a connection what wiremock cannot (reset it, cut a body short) beside it.

use nessus_mcp_lib::time::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wiremock::{Respond, ResponseTemplate};

/// The headers that every answer of a Nessus carries.
const HEADERS: [(&str, &str); 10] = [
    ("Server", "NessusWWW"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
    ("Expires", "0"),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-XSS-Protection", "1; mode=block"),
    ("Expect-CT", "max-age=0"),
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Content-Security-Policy", "upgrade-insecure-requests; block-all-mixed-content; default-src 'self'"),
];

const JSON: &str = "application/json";

/// A request, taken in whole.
pub(super) struct Incoming {
    pub(super) method: String,
    pub(super) path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Incoming {
    pub(super) fn from_wiremock(request: &wiremock::Request) -> Self {
        let header = |(name, value): (&wiremock::http::HeaderName, &wiremock::http::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            method: request.method.to_string(),
            path: request.url.path().to_owned(),
            query: pairs(request.url.query_pairs()),
            headers: request.headers.iter().map(header).collect(),
            body: request.body.clone(),
        }
    }

    /// The header's first value; `name` in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
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

    /// The fields of a form-encoded body; nothing when it is not UTF-8.
    pub(super) fn form(&self) -> Vec<(String, String)> {
        let text = std::str::from_utf8(&self.body).unwrap_or_default();
        // The query parser of the URL crate is the form parser: borrow it through a URL.
        let Ok(mut url) = wiremock::http::Url::parse("http://form/") else { return Vec::new() };
        url.set_query(Some(text));
        pairs(url.query_pairs())
    }
}

fn pairs<'a>(
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
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

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    mime: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    /// 200 with a JSON body.
    pub(super) fn json(body: &Value) -> Self {
        Self { status: 200, mime: JSON, headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    /// 200 with no body, still called JSON: so does Nessus.
    pub(super) fn empty() -> Self {
        Self { status: 200, mime: JSON, headers: Vec::new(), body: Vec::new() }
    }

    /// 200 with a text of another type.
    pub(super) fn text(mime: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, mime, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn into_wiremock(self) -> ResponseTemplate {
        let mut template = ResponseTemplate::new(self.status);
        for (name, value) in HEADERS {
            template = template.insert_header(name, value);
        }
        for (name, value) in self.headers {
            template = template.insert_header(name, value.as_str());
        }
        template.set_body_raw(self.body, self.mime)
    }
}

/// A refusal: Nessus answers `{"error":"<text>"}`.
#[derive(Debug)]
pub(super) struct ApiError {
    status: u16,
    text: String,
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

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let mut reply = Self::json(&json!({ "error": error.text }));
        reply.status = error.status;
        reply
    }
}

/// Something that answers requests, whichever server brings them.
pub(super) trait Answer: Send + Sync + 'static {
    fn answer(&self, request: &Incoming) -> Reply;
}

/// Makes an [`Answer`] known to wiremock.
pub(super) struct OnWiremock<A>(pub(super) A);

impl<A: Answer> Respond for OnWiremock<A> {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        self.0.answer(&Incoming::from_wiremock(request)).into_wiremock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_writes_is_32_bytes_long() {
        assert_eq!(Reply::from(ApiError::not_available()).body, br#"{"error":"API is not available"}"#);
        assert_eq!(Reply::from(ApiError::not_available()).body.len(), 32);
    }
}
