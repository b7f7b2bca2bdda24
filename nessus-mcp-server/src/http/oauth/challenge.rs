//! What clients are told of how to come in: the metadata of the resource (RFC 9728), and `WWW-Authenticate` (RFC 6750).

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode};
use nessus_mcp_lib::{ScanService, policy::OAuth};
use serde::Serialize;

/// Where the metadata of a resource without a path is; that of one with a path follows.
pub(in crate::http) const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// What a client needs to get a token.
#[derive(Debug, Serialize)]
struct Metadata {
    resource: String,
    authorization_servers: [String; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
}

/// The metadata, if tokens of an identity provider are taken.
pub(in crate::http) async fn metadata(State(service): State<ScanService>, request: Request) -> Response {
    let policy = service.scope().policy();
    let path = request.uri().path().strip_prefix(METADATA_PATH).unwrap_or_default();
    let Some(oauth) =
        policy.oauth().filter(|oauth| path.is_empty() || path == "/mcp" || path == path_of(&oauth.resource))
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    Json(Metadata {
        resource: oauth.resource.clone(),
        authorization_servers: [oauth.issuer.clone()],
        scopes_supported: oauth.scopes_supported.clone(),
        bearer_methods_supported: ["header"],
    })
    .into_response()
}

/// What is wrong with a request, in the words of RFC 6750.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) enum Wrong {
    NoToken,
    InvalidToken,
    InsufficientScope,
}

/// The challenge of a request that is refused: where the metadata are, and which scopes to ask for.
pub(in crate::http) fn challenge(oauth: Option<&OAuth>, wrong: Wrong, scope: Option<&str>) -> HeaderValue {
    let mut challenge = "Bearer realm=\"nessus-mcp\"".to_owned();
    let mut add = |name: &str, value: &str| {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        challenge.extend([", ", name, "=\"", &escaped, "\""]);
    };
    match wrong {
        Wrong::NoToken => {}
        Wrong::InvalidToken => add("error", "invalid_token"),
        Wrong::InsufficientScope => add("error", "insufficient_scope"),
    }
    if let Some(scope) = scope.filter(|scope| !scope.is_empty()) {
        add("scope", scope);
    }
    if let Some(oauth) = oauth {
        add("resource_metadata", &metadata_url(&oauth.resource));
    }
    // A resource has visible characters only.
    HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// Where the metadata of a resource are: the path stands between its host and its own path.
fn metadata_url(resource: &str) -> String {
    let path = path_of(resource);
    let host = resource.strip_suffix(path).unwrap_or(resource).trim_end_matches('/');
    format!("{host}{METADATA_PATH}{path}")
}

/// The path of a resource; nothing where it is `/`.
fn path_of(resource: &str) -> &str {
    let begin = resource.find("://").map_or(0, |at| at + 3);
    let path = resource[begin..].find('/').map_or("", |at| &resource[begin + at..]);
    if path == "/" { "" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_stand_between_host_and_path() {
        let known = "/.well-known/oauth-protected-resource";
        for (resource, url) in [
            ("https://a.example/mcp", format!("https://a.example{known}/mcp")),
            ("https://a.example", format!("https://a.example{known}")),
            ("https://a.example/", format!("https://a.example{known}")),
            ("https://a.example:8443/b/mcp", format!("https://a.example:8443{known}/b/mcp")),
            ("http://[::1]:1/mcp", format!("http://[::1]:1{known}/mcp")),
        ] {
            assert_eq!(metadata_url(resource), url);
        }
    }

    #[test]
    fn a_challenge_is_one_header_whatever_stands_in_it() {
        let challenge = challenge(None, Wrong::InvalidToken, Some("a\"b\\ c"));
        assert_eq!(challenge, r#"Bearer realm="nessus-mcp", error="invalid_token", scope="a\"b\\ c""#);
    }
}
