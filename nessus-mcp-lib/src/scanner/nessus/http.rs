//! One HTTP exchange with the scanner, and what its failure means.
//!
//! Nothing here knows sessions or repeats anything: it sends what it is given once, refuses redirects, bounds time and
//! memory, and sorts what comes back. Every text that goes into an error has the secrets of the exchange removed.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::{NessusConfig, TlsTrust};
use crate::{
    error::{chain, excerpt},
    scanner::{RequestSent, ScannerError},
    secret::{REDACTED, Secret, redact_url},
};

/// The most bytes of an answer that are read into memory.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// The most bytes of a refusal that are read: its first words are enough.
const MAX_REFUSAL: usize = 64 * 1024;
/// The longest a scanner may ask us to stay away.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// What must be shown to the scanner for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing.
    Open,
    /// A login session: enough to read and export.
    Session,
    /// A login session and the web interface's own token: what creates, controls and deletes asks for both.
    Control,
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// The request timeout, from connecting to the last byte.
    Request,
    /// This long until the answer begins; whoever reads the body watches the time.
    UntilHeaders(Duration),
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The path under the base URL, such as `/scans/57`. It stands in errors: no secrets in it.
    pub(super) path: String,
    pub(super) access: Access,
    pub(super) patience: Patience,
    /// A JSON document. It may hold a password and is never shown.
    body: Option<Vec<u8>>,
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>, access: Access) -> Self {
        Self { method, path: path.into(), access, patience: Patience::Request, body: None }
    }

    pub(super) fn get(path: impl Into<String>, access: Access) -> Self {
        Self::new(Method::GET, path, access)
    }

    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string().into_bytes());
        self
    }

    pub(super) fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// How errors name it: `POST /scans`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What is shown to the scanner with a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    pub(super) session: Option<Secret>,
    pub(super) api_token: Option<Secret>,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// A 2xx; its body has not been read.
    Success(Response),
    /// Anything else, read as far as its reason.
    Refused(Refusal),
}

/// A refusal: the status counts even when the connection died before its body.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) words: String,
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    /// What the status means where nothing more is known about the call.
    pub(super) fn into_error(self, call: &Call) -> ScannerError {
        let words = if self.words.is_empty() { format!("HTTP {}", self.status) } else { self.words };
        let said = format!("{}: {words}", call.name());
        match self.status {
            300..=399 => ScannerError::Configuration(format!("{said}; give the scanner's final URL")),
            401 => ScannerError::SessionRefused(said),
            403 => ScannerError::Forbidden(said),
            404 => ScannerError::NotFound(said),
            409 => ScannerError::Conflict(said),
            412 => ScannerError::ApiNotAvailable(said),
            429 => ScannerError::RateLimited { retry_after: self.retry_after },
            503 => ScannerError::NotReady(said),
            408 | 500.. => ScannerError::Server { status: self.status, message: said },
            _ => ScannerError::Rejected(said),
        }
    }
}

/// The way to one scanner.
#[derive(Debug)]
pub(super) struct Exchange {
    client: Client,
    base: String,
    pub(super) timeout: Duration,
    /// Known here only so that it can be removed from whatever the scanner says.
    password: Secret,
}

impl Exchange {
    /// # Errors
    /// [`ScannerError::Configuration`] for a bad URL, or when no certificate can be trusted on this machine.
    pub(super) fn new(config: &NessusConfig) -> Result<Self, ScannerError> {
        let url = config.base_url()?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        let unverified = url.scheme() == "https" && config.tls_trust == TlsTrust::AnyCertificate;
        if unverified {
            tracing::warn!(
                scanner = %base,
                "the scanner's certificate is not verified: whoever sits on the way can read the password"
            );
        }
        let client = Client::builder()
            .user_agent(concat!("nessus-mcp/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .connect_timeout(config.request_timeout.min(Duration::from_secs(10)))
            // Shorter than any scanner's keep-alive, so that a write does not meet a connection about to be closed.
            .pool_idle_timeout(Duration::from_secs(15))
            // Without TLS there is nothing to verify, and a machine without certificate authorities must do.
            .tls_danger_accept_invalid_certs(unverified || url.scheme() == "http")
            .build()
            .map_err(|error| ScannerError::Configuration(chain(&error.without_url())))?;
        Ok(Self { client, base, timeout: config.request_timeout, password: config.password.clone() })
    }

    /// The scanner's URL, without a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends the call once.
    ///
    /// # Errors
    /// When there is no answer at all: [`ScannerError::Transport`], or [`ScannerError::Configuration`] for a
    /// certificate that is not trusted.
    pub(super) async fn send(&self, call: &Call, credentials: &Credentials) -> Result<Answer, ScannerError> {
        let mut request = self.client.request(call.method.clone(), format!("{}{}", self.base, call.path));
        if let Some(token) = &credentials.session {
            request = request.header("X-Cookie", sensitive(call, &format!("token={}", token.expose()))?);
        }
        if let Some(token) = &credentials.api_token {
            request = request.header("X-API-Token", sensitive(call, token.expose())?);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = match call.patience {
            Patience::Request => request.timeout(self.timeout).send().await,
            Patience::UntilHeaders(limit) => match tokio::time::timeout(limit, request.send()).await {
                Ok(response) => response,
                Err(_) => return Err(silence(call, limit)),
            },
        }
        .map_err(|error| self.transport_error(call, error))?;
        if response.status().is_success() {
            Ok(Answer::Success(response))
        } else {
            Ok(Answer::Refused(self.refusal(response, credentials).await))
        }
    }

    /// Reads a whole body, at most `MAX_BODY` bytes of it.
    pub(super) async fn body(&self, call: &Call, mut response: Response) -> Result<Vec<u8>, ScannerError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport_error(call, error))? {
            if body.len() + chunk.len() > MAX_BODY {
                let message = format!("it has more than {MAX_BODY} bytes");
                return Err(ScannerError::Decode { call: call.name(), message });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads a JSON body by its content, whatever its declared type.
    pub(super) async fn decode<T: DeserializeOwned>(&self, call: &Call, response: Response) -> Result<T, ScannerError> {
        let body = self.body(call, response).await?;
        serde_json::from_slice(&body).map_err(|error| {
            // The answer to a login is a token: neither it nor serde's words, which quote it, may be shown.
            let seen = match call.access {
                Access::Open => String::new(),
                Access::Session | Access::Control => {
                    format!(", it begins with `{}`", self.shown(&body, &Credentials::default()))
                }
            };
            let message = format!("not the expected JSON at line {} column {}{seen}", error.line(), error.column());
            ScannerError::Decode { call: call.name(), message }
        })
    }

    /// Somebody's text made fit for a message: secrets removed, short, printable.
    pub(super) fn shown(&self, text: &[u8], credentials: &Credentials) -> String {
        // More than an excerpt needs, so that a secret at its edge is still removed whole.
        let mut text = String::from_utf8_lossy(&text[..text.len().min(4096)]).into_owned();
        for secret in [Some(&self.password), credentials.session.as_ref(), credentials.api_token.as_ref()] {
            if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
                text = text.replace(secret.expose(), REDACTED);
            }
        }
        excerpt(text.trim()).to_string()
    }

    async fn refusal(&self, mut response: Response, credentials: &Credentials) -> Refusal {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(retry_after);
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(redact_url);
        let mut body = Vec::new();
        // Real scanners close the connection between the headers of a 412 and its body: what came is enough.
        while body.len() < MAX_REFUSAL {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        let words = match location.filter(|_| status.is_redirection()) {
            Some(location) => format!("redirects to {}", self.shown(location.as_bytes(), credentials)),
            None => self.words(status, &body, credentials),
        };
        Refusal { status: status.as_u16(), words, retry_after }
    }

    /// The reason in a refusal: the field `error` of its JSON, else its text, unless that is a proxy's page.
    fn words(&self, status: StatusCode, body: &[u8], credentials: &Credentials) -> String {
        if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
            for field in ["error", "message", "status"] {
                if let Some(Value::String(text)) = fields.get(field).filter(|value| value.as_str() != Some("")) {
                    return self.shown(text.as_bytes(), credentials);
                }
            }
        }
        if body.trim_ascii_start().starts_with(b"<") {
            return format!("HTTP {} with a page instead of an API answer", status.as_u16());
        }
        self.shown(body, credentials)
    }

    /// Sorts a failure without an answer by its cause and by whether the scanner may have acted.
    pub(super) fn transport_error(&self, call: &Call, error: reqwest::Error) -> ScannerError {
        let error = error.without_url();
        if error.is_timeout() && !error.is_connect() {
            return silence(call, self.timeout);
        }
        let message = self.shown(chain(&error).as_bytes(), &Credentials::default());
        if error.is_connect() && message.contains("certificate") {
            let advice = "trust its authority on this machine, or accept any certificate for this scanner";
            return ScannerError::Configuration(format!(
                "the certificate of {} is refused: {message}; {advice}",
                self.base
            ));
        }
        let sent = if error.is_connect() || error.is_builder() { RequestSent::No } else { RequestSent::Maybe };
        ScannerError::Transport { call: call.name(), message, sent }
    }
}

/// The error for a scanner that said nothing in time.
fn silence(call: &Call, limit: Duration) -> ScannerError {
    ScannerError::Transport {
        call: call.name(),
        message: format!("no answer within {limit:?}"),
        sent: RequestSent::Maybe,
    }
}

/// A header value that no log shows.
fn sensitive(call: &Call, text: &str) -> Result<HeaderValue, ScannerError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| ScannerError::Decode {
        call: call.name(),
        message: "the token the scanner gave cannot stand in a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), capped.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(until.duration_since(jiff::Timestamp::now())).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn exchange() -> Exchange {
        Exchange::new(&NessusConfig::new("http://127.0.0.1:1", "admin", Secret::new("planted-password"))).unwrap()
    }

    #[rstest]
    #[case(302, "scanner_configuration")]
    #[case(400, "scanner_rejected")]
    #[case(401, "scanner_session_refused")]
    #[case(403, "scanner_forbidden")]
    #[case(404, "scan_vanished")]
    #[case(409, "scanner_conflict")]
    #[case(412, "scanner_api_not_available")]
    #[case(429, "scanner_rate_limited")]
    #[case(500, "scanner_server_error")]
    #[case(502, "scanner_server_error")]
    #[case(503, "scanner_not_ready")]
    fn each_status_has_its_error(#[case] status: u16, #[case] code: &str) {
        use crate::error::Classified as _;
        let refusal = Refusal { status, words: "because".to_owned(), retry_after: None };
        let error = refusal.into_error(&Call::get("/scans", Access::Session));
        assert_eq!(error.code(), code);
        assert!(status == 429 || error.to_string().contains("because"), "{error}");
    }

    #[rstest]
    #[case(r#"{"error":"API is not available"}"#, "API is not available")]
    #[case(r#"{"code":503,"status":"loading"}"#, "loading")]
    #[case("  <html><body>502 Bad Gateway</body></html>", "HTTP 500 with a page instead of an API answer")]
    #[case(r#"{"error":"no such user planted-password"}"#, "no such user [redacted]")]
    #[case("session planted-session is over", "session [redacted] is over")]
    #[case("", "")]
    fn the_reason_is_found_and_secrets_are_not(#[case] body: &str, #[case] words: &str) {
        let credentials = Credentials { session: Some(Secret::new("planted-session")), api_token: None };
        assert_eq!(exchange().words(StatusCode::INTERNAL_SERVER_ERROR, body.as_bytes(), &credentials), words);
    }

    #[rstest]
    #[case("7", Some(7))]
    #[case("86400", Some(900))]
    #[case("Mon, 30 Nov 2099 23:59:59 GMT", Some(900))]
    #[case("Sun, 06 Nov 1994 08:49:37 GMT", Some(0))]
    #[case("soon", None)]
    fn retry_after_is_read_in_both_forms_and_capped(#[case] value: &'static str, #[case] seconds: Option<u64>) {
        assert_eq!(retry_after(&HeaderValue::from_static(value)), seconds.map(Duration::from_secs));
    }

    #[tokio::test]
    async fn a_refused_connection_was_not_sent() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let config = NessusConfig::new(format!("http://127.0.0.1:{port}"), "admin", Secret::new("x"));
        let call = Call::get("/server/status", Access::Open);
        let error = Exchange::new(&config).unwrap().send(&call, &Credentials::default()).await.unwrap_err();
        assert!(matches!(error, ScannerError::Transport { sent: RequestSent::No, .. }), "{error:?}");
    }
}
