//! Where a server is, and what it is called with.

use std::{fmt, time::Duration};

use crate::secret::{Secret, redact_url};

/// Longer than the longest call, which is a `get_scan_status` that waits 45 seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(100);

/// The MCP endpoint of a server over HTTP, such as `http://127.0.0.1:8835/mcp`.
///
/// ```
/// use nessus_mcp_lib::{client::Endpoint, secret::Secret};
///
/// let endpoint = Endpoint::new("https://scans.example/mcp").with_token(Secret::new("not-for-logs"));
/// assert!(!format!("{endpoint:?}").contains("not-for-logs"));
/// ```
#[derive(Clone)]
pub struct Endpoint {
    pub(super) url: String,
    pub(super) token: Option<Secret>,
    pub(super) trusted: Vec<String>,
    pub(super) call_timeout: Duration,
}

impl Endpoint {
    /// The endpoint at this URL. Without a token, only a server on loopback answers.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), token: None, trusted: Vec::new(), call_timeout: CALL_TIMEOUT }
    }

    /// Sends this bearer token with every request.
    #[must_use]
    pub fn with_token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// Trusts these certificates in PEM beside those of the system: the CA of a server with a certificate of one's own.
    #[must_use]
    pub fn with_ca(mut self, pem: impl Into<String>) -> Self {
        self.trusted.push(pem.into());
        self
    }

    /// How long an answer may take, instead of 100 seconds.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// The URL as it may be shown.
    pub(super) fn shown(&self) -> String {
        redact_url(&self.url)
    }
}

impl Default for Endpoint {
    /// That of a server with default settings on this machine.
    fn default() -> Self {
        Self::new("http://127.0.0.1:8835/mcp")
    }
}

impl From<&str> for Endpoint {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<&String> for Endpoint {
    fn from(url: &String) -> Self {
        Self::new(url.as_str())
    }
}

impl From<String> for Endpoint {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.shown())
            .field("token", &self.token)
            .field("trusted", &self.trusted.len())
            .field("call_timeout", &self.call_timeout)
            .finish()
    }
}
