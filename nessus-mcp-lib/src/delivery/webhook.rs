//! One request to a webhook: signed, to an address that was checked, without redirects, bounded in time and size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{
    Certificate, Client, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect::Policy,
};
use sha2::Sha256;

use super::{
    body,
    target::{self, Refused, Target},
};
use crate::{
    error::{Classified, ErrorKind, chain},
    hex,
    policy::{Resolver, Scope, Webhook},
    secret::Secret,
    time::{Clock as _, SystemClock, Timestamp},
};

/// How long a request may take, from the lookup of the name to the end of the answer.
const REQUEST_WAIT: Duration = Duration::from_secs(10);
/// The longest pause that a webhook may ask for.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// The most bytes of an answer that are read, and thrown away.
const MOST_ANSWER: usize = 4096;

/// What a webhook has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The status, from 200 to 299.
    pub status: u16,
    /// How long that took.
    pub took: Duration,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It may pass: not before the pause that the webhook has asked for.
    Later(Option<Duration>),
    /// Somebody has to change something first, here or there.
    Seldom,
    /// The webhook wants nothing any more.
    Never,
}

/// Why a webhook was not told. The message holds neither its key nor the path of its URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    message: String,
    pub(super) next: Next,
}

impl DeliveryError {
    pub(super) fn new(message: impl Into<String>, next: Next) -> Self {
        Self { message: message.into(), next }
    }
}

impl Classified for DeliveryError {
    fn code(&self) -> &'static str {
        "webhook_failed"
    }

    fn kind(&self) -> ErrorKind {
        match self.next {
            Next::Later(_) => ErrorKind::Unavailable,
            Next::Seldom | Next::Never => ErrorKind::Configuration,
        }
    }
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) event: &'a str,
    pub(super) id: &'a str,
    pub(super) body: String,
    /// By the clock of whoever sends.
    pub(super) now: Timestamp,
}

/// Sends an event `ping` to a webhook, once.
///
/// # Errors
/// [`DeliveryError`] when it does not answer with a status from 200 to 299.
pub async fn ping(webhook: &Webhook, scope: &Scope) -> Result<Sent, DeliveryError> {
    let (id, now) = (uuid::Uuid::new_v4().simple().to_string(), SystemClock.now());
    let body =
        body::ping(&webhook.name, &id, now).map_err(|error| DeliveryError::new(error.to_string(), Next::Seldom))?;
    let message = Message { event: body::PING, id: &id, body, now };
    Sender::new(Arc::clone(scope.resolver())).send(webhook, message).await
}

/// Sends to webhooks.
#[derive(Debug)]
pub(super) struct Sender {
    resolver: Arc<dyn Resolver>,
    wait: Duration,
}

impl Sender {
    pub(super) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, wait: REQUEST_WAIT }
    }

    #[cfg(test)]
    pub(super) fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Sends a message once.
    pub(super) async fn send(&self, webhook: &Webhook, message: Message<'_>) -> Result<Sent, DeliveryError> {
        let key = webhook.key.as_ref().map_err(|error| DeliveryError::new(error.to_string(), Next::Later(None)))?;
        let begun = Instant::now();
        let exchange = async {
            let target = target::find(webhook, self.resolver.as_ref()).await.map_err(|refused| match refused {
                Refused::Address(message) => DeliveryError::new(message, Next::Seldom),
                Refused::Name(message) => DeliveryError::new(message, Next::Later(None)),
            })?;
            let failed = |error| transport_error(webhook, error);
            let request = client(webhook, &target)?.post(target.url).header(CONTENT_TYPE, "application/json");
            let timestamp = message.now.as_millis().div_euclid(1000).to_string();
            let response = request
                .header("X-Nessus-Mcp-Event", message.event)
                .header("X-Nessus-Mcp-Delivery", message.id)
                .header("X-Nessus-Mcp-Timestamp", &timestamp)
                .header("X-Nessus-Mcp-Signature", signature(key, &timestamp, &message.body))
                .body(message.body)
                .send();
            let response = response.await.map_err(failed)?;
            let status = response.status();
            let outcome = judge(webhook, &response);
            throw_away(response).await;
            outcome.map(|()| status.as_u16())
        };
        let status = tokio::time::timeout(self.wait, exchange).await.unwrap_or_else(|_| {
            let message = format!("{} does not answer within {} s", webhook.address, self.wait.as_secs_f64());
            Err(DeliveryError::new(message, Next::Later(None)))
        })?;
        Ok(Sent { status, took: begun.elapsed() })
    }
}

/// A client for one request: no connection is kept, because a name may stand for something else by the next time.
fn client(webhook: &Webhook, target: &Target) -> Result<Client, DeliveryError> {
    let failed = |error: reqwest::Error| DeliveryError::new(chain(&error.without_url()), Next::Later(None));
    let builder = Client::builder()
        .user_agent(concat!("nessus-mcp/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        // A proxy would look the name up by itself.
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0);
    let builder = match &target.resolved {
        Some((name, addresses)) => builder.resolve_to_addrs(name, addresses),
        None => builder,
    };
    let builder = match &webhook.ca_certificates {
        // Without TLS there is nothing to verify, and a machine without certificate authorities must do.
        _ if target.url.scheme() == "http" => builder.tls_danger_accept_invalid_certs(true),
        Some(authorities) => {
            let certificates = Certificate::from_pem_bundle(authorities.as_bytes());
            builder.tls_certs_only(certificates.map_err(failed)?)
        }
        None => builder,
    };
    builder.build().map_err(failed)
}

/// `v1=` and the HMAC-SHA256 of the timestamp, a dot and the body, in hexadecimal digits.
pub(super) fn signature(key: &Secret, timestamp: &str, body: &str) -> String {
    // A key may have any length.
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
    let digest =
        mac.map(|mac| mac.chain_update(timestamp).chain_update(".").chain_update(body).finalize().into_bytes());
    digest.map(|digest| format!("v1={}", hex::encode(&digest))).unwrap_or_default()
}

/// What a status means.
fn judge(webhook: &Webhook, response: &Response) -> Result<(), DeliveryError> {
    let (status, address) = (response.status(), &webhook.address);
    if status.is_success() {
        return Ok(());
    }
    let retry_after =
        || response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(retry_after);
    Err(match status {
        _ if status.is_redirection() => {
            let message = format!("{address} answers with HTTP {}, a redirect, which is not followed", status.as_u16());
            DeliveryError::new(message, Next::Seldom)
        }
        StatusCode::GONE => {
            DeliveryError::new(format!("{address} answers with HTTP 410: it wants nothing any more"), Next::Never)
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            DeliveryError::new(format!("{address} answers with HTTP {}", status.as_u16()), Next::Later(retry_after()))
        }
        _ if status.is_client_error() => {
            DeliveryError::new(format!("{address} refuses it with HTTP {}", status.as_u16()), Next::Seldom)
        }
        _ => DeliveryError::new(format!("{address} answers with HTTP {}", status.as_u16()), Next::Later(retry_after())),
    })
}

/// `Retry-After` in seconds or as a date, within bounds.
fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(until.duration_since(jiff::Timestamp::now())).unwrap_or_default()
    };
    Some(wait.min(MOST_RETRY_AFTER))
}

/// Reads a little of an answer, so that a webhook that waits until it is read is not told of a broken connection.
async fn throw_away(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(part)) = response.chunk().await {
        read += part.len();
        if read >= MOST_ANSWER {
            return;
        }
    }
}

fn transport_error(webhook: &Webhook, error: reqwest::Error) -> DeliveryError {
    let (address, message) = (&webhook.address, chain(&error.without_url()));
    let said = message.to_ascii_lowercase();
    let message = if said.contains("certificate") && said.contains("expired") {
        format!("the certificate of {address} has expired")
    } else if said.contains("certificate") {
        format!("the certificate of {address} is refused: {message}; `ca_file` names who vouches for it")
    } else {
        format!("{address} cannot be reached: {message}")
    };
    DeliveryError::new(message, Next::Later(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac`, as `docs/webhooks.md` shows it.
    #[test]
    fn a_signature_is_what_the_documentation_says() {
        let key = Secret::new("0123456789abcdef0123456789abcdef");
        assert_eq!(
            signature(&key, "1764599422", "{\"version\":1}"),
            "v1=b0bedc315ae7d7f8598b1185c9b8130fb6de0d68bf09984bfe76928b8044aafe"
        );
    }

    #[test]
    fn a_pause_that_is_asked_for_is_bounded() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(" 999999 "), Some(MOST_RETRY_AFTER));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("Tue, 31 Dec 2999 23:59:59 GMT"), Some(MOST_RETRY_AFTER));
        assert_eq!(retry_after("soon"), None);
    }
}
