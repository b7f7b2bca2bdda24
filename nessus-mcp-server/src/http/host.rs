//! The check of `Host` on every route: a web page must not reach a server on loopback through a name of its own
//! (DNS rebinding). The MCP library checks `/mcp` only.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

/// The names a client may use for this server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AllowedHosts(Arc<Vec<String>>);

impl AllowedHosts {
    /// Loopback, and the names of this comma separated list.
    pub(crate) fn new(more: Option<&str>) -> Self {
        let more = more.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        let names = ["localhost", "127.0.0.1", "::1"].into_iter().chain(more);
        Self(Arc::new(names.map(str::to_ascii_lowercase).collect()))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.as_ref().clone()
    }

    /// Whether `host`, with or without a port, is one of the names.
    fn allow(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        self.0.iter().any(|allowed| allowed == name || *allowed == host)
    }
}

/// Answers 403 to a request for another host.
pub(super) async fn check(State(hosts): State<AllowedHosts>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().host());
    if host.is_some_and(|host| hosts.allow(host)) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "this host name is not allowed; see MCP_ALLOWED_HOSTS\n").into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_hosts_are_allowed() {
        let hosts = AllowedHosts::new(Some("scanner.example, other.example:8443"));
        for host in
            ["localhost", "LOCALHOST:8835", "127.0.0.1:1", "[::1]:8835", "scanner.example:9", "other.example:8443"]
        {
            assert!(hosts.allow(host), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example", "other.example", "localhost.evil.example:8835"] {
            assert!(!hosts.allow(host), "{host}");
        }
    }
}
