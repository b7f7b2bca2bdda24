//! Who a request comes from. With tokens in the policy, each request must bring one; only `/health/live` and `/health/ready`,
//! which tell nothing, are open to all.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use nessus_mcp_lib::{
    ScanService,
    error::chain,
    policy::{LOCAL, Principal, TokenError},
    time::{Clock as _, SystemClock},
};
use tracing::warn;

use crate::client_address::ThroughProxy;

/// What identities are found by. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Identities {
    service: ScanService,
    /// Whether other machines can connect: then nobody comes in without a token.
    is_exposed: bool,
}

/// Why nobody is known to be there.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there is no token")]
    NoToken,
    #[error("the header `Authorization` holds no bearer token")]
    Malformed,
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Identities {
    pub(crate) fn new(service: &ScanService, is_exposed: bool) -> Self {
        Self { service: service.clone(), is_exposed }
    }

    /// `is_forwarded`: it came through a proxy, so from another machine, however near the proxy is.
    fn identify(&self, headers: &HeaderMap, is_forwarded: bool) -> Result<Principal, Refusal> {
        let policy = self.service.scope().policy();
        let local =
            policy.local_role().filter(|_| !self.is_exposed && !is_forwarded).map(|role| Principal::new(LOCAL, role));
        Ok(match (bearer_token(headers), local) {
            // There is nothing to compare a token with.
            (_, Some(local)) if policy.clients().is_empty() => local,
            (Ok(None), local) => local.ok_or(Refusal::NoToken)?,
            (token, _) => policy.authenticate(token?.unwrap_or_default(), SystemClock.now())?,
        })
    }
}

/// The token of a request; none when it has no such header.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
        Some((_, token)) if sent.next().is_none() && !token.trim().is_empty() => Ok(Some(token.trim())),
        _ => Err(Refusal::Malformed),
    }
}

/// Puts the principal into the request's extensions, or answers 401.
pub(super) async fn identify(State(identities): State<Identities>, mut request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/health/live" | "/health/ready") {
        return next.run(request).await;
    }
    match identities.identify(request.headers(), request.extensions().get::<ThroughProxy>().is_some()) {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(refusal) => {
            warn!(
                path = request.uri().path(),
                reason = chain(&refusal),
                "a request was refused: nobody is known by its token"
            );
            identities.service.metrics().process().http_refused("identity");
            refuse(&refusal)
        }
    }
}

/// Says that a token is needed, and nothing of why the one that came is not taken. The request may not have been read to its
/// end, so the connection is closed.
fn refuse(refusal: &Refusal) -> Response {
    let challenge = match refusal {
        Refusal::NoToken => "Bearer realm=\"nessus-mcp\"",
        Refusal::Malformed | Refusal::Token(_) => "Bearer realm=\"nessus-mcp\", error=\"invalid_token\"",
    };
    let message = "a valid token is needed: `Authorization: Bearer TOKEN`\n";
    let mut response = (StatusCode::UNAUTHORIZED, message).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_bearer_token_is_taken() {
        let token = |values: &[&'static str]| {
            let values = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
            bearer_token(&values.fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            }))
            .map(|token| token.map(str::to_owned))
            .map_err(drop)
        };
        assert_eq!(token(&[]), Ok(None));
        assert_eq!(token(&["Bearer abc"]), Ok(Some("abc".to_owned())));
        assert_eq!(token(&["bearer  abc "]), Ok(Some("abc".to_owned())));
        for wrong in [&["Bearer"][..], &["Bearer "], &["Basic abc"], &["abc"], &[""], &["Bearer a", "Bearer a"]] {
            assert_eq!(token(wrong), Err(()), "{wrong:?}");
        }
    }
}
