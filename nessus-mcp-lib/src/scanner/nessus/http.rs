//! One HTTP exchange with the scanner, and what its failure means.
//!
//! Nothing here knows sessions or repeats anything: it sends what it is given once, refuses redirects, bounds time and
//! memory, keeps quiet for as long as it is asked to, and sorts what comes back. Every text that goes into an error has the secrets of the exchange removed.

use std::{
    io,
    marker::PhantomData,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Certificate, Client, ClientBuilder, Proxy, RequestBuilder, Response,
    header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use serde::de::{DeserializeOwned, DeserializeSeed};
use tokio::time::Instant;

use super::{
    call::{Access, Call, Credentials, Expected, decode_error},
    config::{NessusConfig, TlsTrust},
    lenient,
    redactor::Redactor,
    refusal::{self, NonAnswer, Refusal},
    stream::{self, Begun, Broken},
    tls,
};
use crate::{
    durable,
    error::chain,
    scanner::error::{RequestSent, ScannerError},
    secret::{Secret, redact_url},
};

/// How much of an answer of any size is looked at before it is read; most are shorter.
const HEAD: usize = 64 * 1024;
/// The most bytes of another answer, which is read into memory.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// How much of an answer that cannot be read is kept to be shown.
const SHOWN: usize = 1024;
/// The most bytes of a refusal that are read: its first words are enough.
const MAX_REFUSAL: usize = 64 * 1024;

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// The body of a 2xx; a JSON object where one is expected.
    Body(Vec<u8>),
    /// A 2xx whose body has not been read, or not to its end; a JSON object where one is expected.
    Stream(Begun),
    /// Anything else, read as far as its reason.
    Refused(Refusal),
}

/// The way to one scanner.
#[derive(Debug)]
pub(super) struct Exchange {
    client: Client,
    base: String,
    pub(super) timeout: Duration,
    pub(super) redactor: Redactor,
    /// Until when the scanner, or a proxy before it, wants no requests.
    quiet_until: Mutex<Option<Instant>>,
}

impl Exchange {
    /// # Errors
    /// [`ScannerError::Configuration`] for a bad URL, or when no certificate can be trusted on this machine.
    pub(super) fn new(config: &NessusConfig) -> Result<Self, ScannerError> {
        let url = config.base_url()?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        if url.scheme() == "https" && config.tls_trust == TlsTrust::AnyCertificate {
            tracing::warn!(
                scanner = %base,
                "the scanner's certificate is not verified: whoever controls the network can read the password"
            );
        }
        let builder = Client::builder()
            .user_agent(concat!("nessus-mcp/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            // Not advertised either: an export is checked as it comes.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .connect_timeout(config.request_timeout.min(Duration::from_secs(10)))
            // Shorter than any scanner's keep-alive, so that a write does not meet a connection about to be closed.
            .pool_idle_timeout(Duration::from_secs(15));
        let builder = match &config.proxy {
            Some(proxy) => builder.proxy(through(proxy)?),
            None => builder,
        };
        let client = trusting(builder, url.scheme(), &config.tls_trust)?
            .build()
            .map_err(|error| ScannerError::Configuration(chain(&error.without_url())))?;
        let redactor = Redactor::new(config.secrets());
        Ok(Self { client, base, timeout: config.request_timeout, redactor, quiet_until: Mutex::default() })
    }

    /// The scanner's URL, without a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends the call once.
    ///
    /// # Errors
    /// When there is no usable answer: [`ScannerError::Transport`], [`ScannerError::Decode`] for a 2xx with something
    /// else than what is expected, [`ScannerError::Certificate`] for one that is not trusted. Nothing is sent,
    /// [`ScannerError::RateLimited`], while an earlier answer asks for no requests.
    pub(super) async fn send(&self, call: &Call, credentials: &Credentials) -> Result<Answer, ScannerError> {
        self.check_quiet()?;
        let mut request = self.client.request(call.method.clone(), format!("{}{}", self.base, call.path));
        if let Some(token) = &credentials.session {
            request = request.header("X-Cookie", sensitive(call, &format!("token={}", token.expose()))?);
        }
        if let Some(token) = &credentials.api_token {
            request = request.header("X-API-Token", sensitive(call, token.expose())?);
        }
        if let Some(keys) = &credentials.api_keys {
            request = request.header("X-ApiKeys", sensitive(call, keys.expose())?);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, &body.content_type).body(body.bytes.clone());
        }
        let begun = Instant::now();
        let within = async |limit, request: RequestBuilder| {
            tokio::time::timeout(limit, request.send()).await.map_err(|_| silence(call, limit))
        };
        let response = match call.expected {
            Expected::Json | Expected::Consent | Expected::Text => request.timeout(self.timeout).send().await,
            Expected::Large => within(self.timeout, request).await?,
            Expected::Stream(limit) => within(limit, request).await?,
        }
        .map_err(|error| self.transport_error(call, error))?;
        tracing::debug!(
            scanner = self.base,
            call = call.name(),
            status = response.status().as_u16(),
            "the scanner answered"
        );
        if !response.status().is_success() {
            let refusal = self.refusal(call, response).await;
            if let (429 | 503, Some(wait)) = (refusal.status, refusal.retry_after) {
                self.keep_quiet(wait);
            }
            return Ok(Answer::Refused(refusal));
        }
        let (body, rest) = match call.expected {
            Expected::Stream(_) => return Ok(Answer::Stream(Begun { head: Vec::new(), rest: response })),
            Expected::Text => return Ok(Answer::Body(self.body(call, response).await?)),
            // The scanner has agreed: a body that breaks off takes nothing back.
            Expected::Consent => (self.body(call, response).await.unwrap_or_default(), None),
            Expected::Json => (self.body(call, response).await?, None),
            Expected::Large => self.head(call, response, begun + self.timeout).await?,
        };
        match (refusal::non_answer(&body), rest) {
            (None, None) => Ok(Answer::Body(body)),
            (None, Some(rest)) => Ok(Answer::Stream(Begun { head: body, rest })),
            (Some(found), _) => self.non_answer(call, body, found),
        }
    }

    /// What to do with a 2xx that is no answer.
    fn non_answer(&self, call: &Call, body: Vec<u8>, found: NonAnswer) -> Result<Answer, ScannerError> {
        match found {
            NonAnswer::Empty | NonAnswer::NotAnObject if call.expected == Expected::Consent => Ok(Answer::Body(body)),
            NonAnswer::Refusal(status, words) => {
                let words = self.redactor.shown(words.as_bytes(), &call.secrets);
                Ok(Answer::Refused(Refusal { status, words, ..Refusal::default() }))
            }
            NonAnswer::Page => {
                let words = "a page instead of an API answer".to_owned();
                Ok(Answer::Refused(Refusal { status: 200, words, is_page: true, ..Refusal::default() }))
            }
            NonAnswer::Empty => Err(decode_error(call, "it is empty")),
            NonAnswer::NotAnObject => Err(self.unreadable(call, &body, "not a JSON object")),
        }
    }

    fn check_quiet(&self) -> Result<(), ScannerError> {
        let until = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
        left.map_or(Ok(()), |left| Err(ScannerError::RateLimited { retry_after: Some(left) }))
    }

    fn keep_quiet(&self, wait: Duration) {
        let mut until = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Some(Instant::now() + wait));
    }

    /// Reads a whole body, at most `MAX_BODY` bytes of it.
    async fn body(&self, call: &Call, mut response: Response) -> Result<Vec<u8>, ScannerError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport_error(call, error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(decode_error(call, &format!("it has more than {MAX_BODY} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads the beginning of a body, until `deadline`; returns the response when there is more.
    async fn head(
        &self,
        call: &Call,
        mut response: Response,
        deadline: Instant,
    ) -> Result<(Vec<u8>, Option<Response>), ScannerError> {
        let mut head = Vec::new();
        while head.len() < HEAD {
            match tokio::time::timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => head.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok((head, None)),
                Ok(Err(error)) => return Err(self.transport_error(call, error)),
                Err(_) => return Err(silence(call, self.timeout)),
            }
        }
        Ok((head, Some(response)))
    }

    /// Reads a JSON body by its content, whatever its declared type.
    pub(super) fn decode<T: DeserializeOwned>(&self, call: &Call, body: &[u8]) -> Result<T, ScannerError> {
        self.decode_as(call, body, PhantomData)
    }

    /// The same into what `seed` makes of it.
    pub(super) fn decode_as<T>(
        &self,
        call: &Call,
        body: &[u8],
        seed: impl for<'de> DeserializeSeed<'de, Value = T>,
    ) -> Result<T, ScannerError> {
        let text = lenient::text_of(body);
        let mut json = serde_json::Deserializer::from_str(&text);
        let read = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
        read.map_err(|error| self.not_the_json(call, body, &error))
    }

    /// The same for one that is too large for memory.
    pub(super) async fn decode_large<T, S>(&self, call: &Call, answer: Begun, seed: S) -> Result<T, ScannerError>
    where
        T: Send + 'static,
        S: for<'de> DeserializeSeed<'de, Value = T> + Send + 'static,
    {
        let beginning = answer.head[..answer.head.len().min(SHOWN)].to_vec();
        stream::decode(answer, seed, self.timeout).await.map_err(|broken| match broken {
            Broken::Cut(error) => self.transport_error(call, error),
            Broken::Silent(patience) => silence(call, patience),
            Broken::Unreadable(error) => self.not_the_json(call, &beginning, &error),
        })
    }

    fn not_the_json(&self, call: &Call, body: &[u8], error: &serde_json::Error) -> ScannerError {
        let place = format!("not the expected JSON at line {} column {}", error.line(), error.column());
        self.unreadable(call, body, &place)
    }

    fn unreadable(&self, call: &Call, body: &[u8], what: &str) -> ScannerError {
        // The answer to a login is a token: neither it nor serde's words, which quote it, may be shown.
        match call.access {
            Access::Open => decode_error(call, what),
            Access::Session | Access::Control => {
                let shown = self.redactor.shown(body, &call.secrets);
                decode_error(call, &format!("{what}, it begins with `{shown}`"))
            }
        }
    }

    async fn refusal(&self, call: &Call, mut response: Response) -> Refusal {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(refusal::retry_after);
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(redact_url);
        let mut body = Vec::new();
        let limit = Instant::now() + self.timeout;
        // Real scanners close the connection between the headers of a 412 and its body: what came is enough.
        while body.len() < MAX_REFUSAL {
            match tokio::time::timeout_at(limit, response.chunk()).await {
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
        let words = match location.filter(|_| status.is_redirection()) {
            Some(location) => format!("redirects to {}", self.redactor.shown(location.as_bytes(), &[])),
            None => refusal::words(status, &body, &self.redactor, &call.secrets),
        };
        let server = refusal::server_status(status, &body);
        Refusal { status: status.as_u16(), words, retry_after, server, ..Refusal::default() }
    }

    /// Sorts a failure without an answer by its cause and by whether the scanner may have acted.
    pub(super) fn transport_error(&self, call: &Call, error: reqwest::Error) -> ScannerError {
        let error = error.without_url();
        if error.is_timeout() && !error.is_connect() {
            return silence(call, self.timeout);
        }
        let message = self.redactor.shown(chain(&error).as_bytes(), &call.secrets);
        if error.is_connect() && is_out_of_resources(&error) {
            return ScannerError::OutOfResources(message);
        }
        if error.is_connect() && message.contains("certificate") {
            let advice = tls::advice(&error);
            return ScannerError::Certificate(format!(
                "the certificate of {} is refused: {message}; {advice}",
                self.base
            ));
        }
        let sent = if error.is_connect() || error.is_builder() { RequestSent::No } else { RequestSent::Maybe };
        ScannerError::Transport { call: call.name(), message, sent }
    }
}

/// Whether a connection was not made because this machine has no descriptor, port or memory left for it.
fn is_out_of_resources(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::AddrNotAvailable || durable::is_shortage(cause))
}

/// All requests through a proxy.
fn through(proxy: &Secret) -> Result<Proxy, ScannerError> {
    Proxy::all(proxy.expose()).map_err(|error| {
        let shown = redact_url(proxy.expose());
        ScannerError::Configuration(format!("the proxy `{shown}` cannot be used: {}", chain(&error.without_url())))
    })
}

/// Whom the client believes to be the scanner.
fn trusting(builder: ClientBuilder, scheme: &str, trust: &TlsTrust) -> Result<ClientBuilder, ScannerError> {
    let wrong = |error: String| ScannerError::Configuration(error);
    Ok(match trust {
        // Without TLS there is nothing to verify, and a machine without certificate authorities must do.
        _ if scheme == "http" => builder.tls_danger_accept_invalid_certs(true),
        TlsTrust::AnyCertificate => builder.tls_danger_accept_invalid_certs(true),
        TlsTrust::Verified => builder,
        TlsTrust::Authorities(authorities) => {
            let certificates = Certificate::from_pem_bundle(authorities.as_bytes())
                .map_err(|error| wrong(format!("the certificates of `ca_file` cannot be read: {}", chain(&error))))?;
            if certificates.is_empty() {
                return Err(wrong("there is no certificate in `ca_file`".to_owned()));
            }
            builder.tls_certs_only(certificates)
        }
        TlsTrust::Pinned(sha256) => {
            let config = tls::pinned(*sha256).map_err(|error| wrong(format!("TLS cannot be used: {error}")))?;
            builder.tls_backend_preconfigured(config)
        }
    })
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
    let mut value =
        HeaderValue::from_str(text).map_err(|_| decode_error(call, "a token or key cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
