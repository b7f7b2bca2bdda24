//! How a browser comes in at the pages: it sends a client's token as the password of HTTP Basic (RFC 7617), under any user name.
//!
//! A browser sends a password again with each request, and a person types it wherever they are asked. So the pages are only where
//! nobody can read it on the way. Where access tokens of an identity provider are taken as well, they have an address of their own, and
//! there too the password is a token of `policy.yaml`.

use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use nessus_mcp_lib::policy::Policy;

use super::routes::Routes;

const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Basic realm="nessus-mcp", charset="UTF-8""#);

/// Why the pages of an address are not shown, if they are not. `is_plain`: what is sent to it can be read on the way.
pub(super) fn pages_are_off(policy: &Policy, routes: Routes, is_plain: bool) -> Option<Response> {
    if routes.mcp && policy.oauth().is_some() {
        let message = "there are no pages where access tokens of an identity provider are taken: a browser has none to send; \
                       UI_BIND gives them an address of their own\n";
        return Some((StatusCode::NOT_FOUND, message).into_response());
    }
    is_plain.then(|| {
        let message = "the pages are not shown over plain text, in which others could read your token: open them over TLS (TLS_CERT and \
                       TLS_KEY), or at a loopback address of the server\n";
        (StatusCode::FORBIDDEN, message).into_response()
    })
}

/// The password that a request sends, where it sends one and nothing else.
pub(super) fn password(headers: &HeaderMap) -> Option<String> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else { return None };
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    let decoded = BASE64_STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.trim().to_owned()).filter(|password| !password.is_empty())
}

/// Asks a browser for a token.
pub(super) fn challenge() -> Response {
    let message = "a valid token is needed, that of one of `clients` in policy.yaml: give it as the password, under any user name\n";
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, CHALLENGE)], message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_token_whatever_the_name() {
        let password_of = |values: &[&str]| {
            let values = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
            password(&values.fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            }))
        };
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        for text in ["me:abc", ":abc", "a b: abc "] {
            assert_eq!(password_of(&[&basic(text)]).as_deref(), Some("abc"), "{text}");
        }
        assert_eq!(password_of(&[&basic("me:a:b")]).as_deref(), Some("a:b"));
        for wrong in ["Basic", "Basic ", "Basic abc", "Bearer abc", "", &basic("abc"), &basic("me:"), &basic("me: ")] {
            assert_eq!(password_of(&[wrong]), None, "{wrong}");
        }
        assert_eq!(password_of(&[&basic("me:abc"), &basic("me:abc")]), None);
    }
}
