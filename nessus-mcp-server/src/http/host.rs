//! Checks `Host` and `Origin` on every route. A web page must not reach a server on loopback: neither through a host name of
//! its own (DNS rebinding), nor with a request from its origin. Nor may it load the pages of this server into itself, which would
//! spend the limits of whoever looks at it: a browser says of each request from where it comes (`Sec-Fetch-Site`).

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode, Uri, Version, header,
    uri::{Authority, Scheme},
};
use nessus_mcp_lib::config::ConfigError;

use crate::ui;

/// The loopback names of this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The host names that clients may use for this server; the loopback names are the default. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AllowedHosts(Arc<Vec<String>>);

impl Default for AllowedHosts {
    fn default() -> Self {
        Self(Arc::new(LOOPBACK.map(str::to_owned).into()))
    }
}

impl AllowedHosts {
    /// The same with those of a comma separated list, which stands in this setting.
    ///
    /// # Errors
    /// When one could stand in no `Host`, such as a URL.
    pub(crate) fn with_names(self, setting: &str, names: &str) -> Result<Self, ConfigError> {
        let more = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let is_host = |name: &str| name.parse::<IpAddr>().is_ok() || name.parse::<Authority>().is_ok();
        if more.clone().any(|name| !is_host(name) || name.contains('@')) {
            let message = "must be host names, such as gateway.example or gateway.example:8835".to_owned();
            return Err(ConfigError::Setting { name: setting.to_owned(), message });
        }
        Ok(Self(Arc::new(self.0.iter().cloned().chain(more.map(str::to_ascii_lowercase)).collect())))
    }

    /// The same with an address of this machine, unless it stands for all of them.
    pub(crate) fn with_address(self, address: IpAddr) -> Self {
        if address.is_unspecified() {
            return self;
        }
        Self(Arc::new(self.0.iter().cloned().chain([address.to_string()]).collect()))
    }

    /// Why a request is refused: 403 for another host or another origin, 400 where it does not name exactly one host.
    pub(super) fn refusal(&self, request: &Request) -> Option<Response> {
        let (status, message) = match the_host(request) {
            None => (StatusCode::BAD_REQUEST, "a request must name exactly one host\n"),
            Some(host) if !self.allow(&host) => {
                (StatusCode::FORBIDDEN, "this host name is not among the allowed hosts of this server\n")
            }
            _ if !request.headers().get_all(header::ORIGIN).iter().all(is_of_this_machine) => {
                (StatusCode::FORBIDDEN, "web pages of other origins are not allowed\n")
            }
            _ if ui::is_page(request.uri().path()) && is_embedded(request.headers()) => (
                StatusCode::FORBIDDEN,
                "another web page must not load the pages of this server: open them in a browser\n",
            ),
            _ => return None,
        };
        Some((status, message).into_response())
    }

    /// Whether the host is one of the names, with or without its port.
    fn allow(&self, host: &Authority) -> bool {
        let (whole, name) = (host.as_str().to_ascii_lowercase(), name_of(host));
        self.0.iter().any(|allowed| *allowed == name || *allowed == whole)
    }
}

fn name_of(host: &Authority) -> String {
    host.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// The host of the only `Host` header. If the request target names a host as well, it must be the same; from HTTP/2 on it may name
/// the host alone (RFC 9113, 8.3.1).
fn the_host(request: &Request) -> Option<Authority> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let host: Authority = match (headers.next(), headers.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok()?,
        (None, _) if request.version() >= Version::HTTP_2 => request.uri().authority()?.clone(),
        _ => return None,
    };
    let agrees = request.uri().authority().is_none_or(|target| *target == host);
    // The user name before an `@` may look like a host.
    (agrees && !host.as_str().contains('@')).then_some(host)
}

/// Whether an origin is an HTTP server on this machine, on any port.
fn is_of_this_machine(origin: &HeaderValue) -> bool {
    let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    uri.is_some_and(|uri| {
        let host = uri.authority().filter(|host| !host.as_str().contains('@'));
        uri.scheme() == Some(&Scheme::HTTP) && host.is_some_and(|host| LOOPBACK.contains(&&*name_of(host)))
    })
}

/// Whether a browser asks for the sake of another web page, and not because somebody follows a link of it. What has none of these
/// headers is no browser, or one to which this server is not trustworthy.
fn is_embedded(headers: &HeaderMap) -> bool {
    let is = |name: &str, words: &[&str]| {
        headers.get(name).is_some_and(|value| words.iter().any(|word| value.as_bytes() == word.as_bytes()))
    };
    let is_of_another = is("sec-fetch-site", &["cross-site", "same-site"]);
    // A frame is navigated as well.
    let is_frame = headers.contains_key("sec-fetch-dest") && !is("sec-fetch-dest", &["document"]);
    is_of_another && (is_frame || !is("sec-fetch-mode", &["navigate"]))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_named_hosts_are_allowed() {
        let hosts =
            AllowedHosts::default().with_names("HOSTS", "scanner.example, other.example:8443, fe80::1").unwrap();
        for host in
            ["localhost", "LOCALHOST:8835", "127.0.0.1:1", "[::1]:8835", "scanner.example:9", "other.example:8443"]
        {
            assert!(hosts.allow(&host.parse().unwrap()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "other.example", "localhost.evil.example:8835"] {
            assert!(!hosts.allow(&host.parse().unwrap()), "{host}");
        }
    }

    #[test]
    fn names_that_no_request_could_have_are_refused() {
        for names in ["https://gateway.example", "gateway.example/mcp", "me@gateway.example", "localhost, a b"] {
            let refused = AllowedHosts::default().with_names("HOSTS", names).unwrap_err().to_string();
            assert!(refused.starts_with("`HOSTS` must be host names"), "{names}: {refused}");
        }
    }

    #[test]
    fn a_request_must_name_exactly_one_host() {
        let host = |uri: &str, hosts: &[&str]| {
            let request = hosts.iter().fold(Request::get(uri), |request, host| request.header("host", *host));
            the_host(&request.body(Body::empty()).unwrap()).map(|host| host.to_string())
        };
        assert_eq!(host("/health", &["localhost:1"]).unwrap(), "localhost:1");
        assert_eq!(host("http://localhost:1/health", &["LOCALHOST:1"]).unwrap(), "LOCALHOST:1");
        for (uri, hosts) in [
            ("/health", &[][..]),
            ("/health", &[""]),
            ("/health", &["localhost", "localhost"]),
            ("/health", &["localhost", "evil.example"]),
            ("/health", &["localhost@evil.example"]),
            ("/health", &["local host"]),
            ("http://evil.example/health", &["localhost"]),
            ("http://localhost:2/health", &["localhost:1"]),
            ("http://localhost/health", &[]),
        ] {
            assert_eq!(host(uri, hosts), None, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn http_2_names_the_host_in_the_target() {
        let host = |uri: &str, hosts: &[&str]| {
            let request = Request::get(uri).version(Version::HTTP_2);
            let request = hosts.iter().fold(request, |request, host| request.header("host", *host));
            the_host(&request.body(Body::empty()).unwrap()).map(|host| host.to_string())
        };
        assert_eq!(host("http://localhost:1/mcp", &[]).unwrap(), "localhost:1");
        assert_eq!(host("http://localhost:1/mcp", &["localhost:1"]).unwrap(), "localhost:1");
        for (uri, hosts) in [
            ("/mcp", &[][..]),
            ("http://localhost@evil.example/mcp", &[]),
            ("http://evil.example/mcp", &["localhost"]),
            ("http://localhost/mcp", &["localhost", "localhost"]),
        ] {
            assert_eq!(host(uri, hosts), None, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn only_origins_on_this_machine_are_allowed() {
        for origin in ["http://localhost", "http://localhost:5173", "http://127.0.0.1:1", "http://[::1]:8080"] {
            assert!(is_of_this_machine(&HeaderValue::from_static(origin)), "{origin}");
        }
        for origin in
            ["null", "", "localhost", "https://localhost", "http://evil.example", "http://localhost@evil.example:1"]
        {
            assert!(!is_of_this_machine(&HeaderValue::from_static(origin)), "{origin}");
        }
    }
}
