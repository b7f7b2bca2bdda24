//! Who a request comes from. With tokens in the policy, each request must bring one; only `/health/live` and `/health/ready`,
//! which tell nothing, and the metadata of OAuth are open to all. A program that has these routes in its own router may know by itself
//! who it is.

use std::sync::Arc;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use nessus_mcp_lib::{
    ScanService,
    error::chain,
    policy::{LOCAL, OAuth, OAuthError, Policy, Principal, Role, TokenError},
    time::{Clock as _, SystemClock},
};
use tracing::warn;

use super::{
    audited::Refused,
    basic,
    oauth::{JwtError, METADATA_PATH, StepUp, Verifier, Wrong, challenge, insufficient_scope},
    routes::Routes,
};
use crate::{client_address::FromAfar, ui};

/// When to ask again while no token can be checked.
const RETRY_AFTER_SECONDS: &str = "10";

/// What identities are found by.
#[derive(Debug, Clone)]
pub(crate) struct Identities {
    service: ScanService,
    verifier: Verifier,
    /// Whether other machines can connect: then nobody comes in without a token.
    is_exposed: bool,
    /// Whether what is sent can be read on the way.
    is_plain: bool,
}

/// Somebody who is known.
struct Identified {
    principal: Principal,
    /// What more scopes would give, where the token is one of OAuth.
    more: Option<StepUp>,
}

impl From<Principal> for Identified {
    fn from(principal: Principal) -> Self {
        Self { principal, more: None }
    }
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
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("{error}")]
    Nobody {
        error: OAuthError,
        /// The scope that would give a role.
        scope: Option<String>,
    },
}

impl Identities {
    pub(crate) fn new(service: &ScanService, is_exposed: bool) -> Self {
        Self { service: service.clone(), verifier: Verifier::default(), is_exposed, is_plain: is_exposed }
    }

    /// The same behind TLS, or not.
    pub(crate) fn with_tls(self, is_secured: bool) -> Self {
        Self { is_plain: self.is_exposed && !is_secured, ..self }
    }

    /// Puts the principal into the request's extensions, or refuses the request with 401. `routes`: what is offered where it came.
    pub(super) async fn check(&self, request: &mut Request, routes: Routes) -> Result<(), Response> {
        let path = request.uri().path();
        if matches!(path, "/health/live" | "/health/ready") || path.starts_with(METADATA_PATH) {
            return Ok(());
        }
        // Only this process puts extensions into requests: the program around these routes has found out who it is.
        if request.extensions().get::<Principal>().is_some() {
            return Ok(());
        }
        let policy = self.service.scope().policy();
        let is_from_afar = request.extensions().get::<FromAfar>().is_some();
        let is_page = routes.pages && ui::is_page(path);
        if let Some(off) = basic::pages_are_off(&policy, routes, self.is_plain).filter(|_| is_page) {
            return Err(closing(off));
        }
        // Of a person with a browser only the token of a client is taken: it is told what to do about any other.
        let oauth = policy.oauth().filter(|_| !is_page);
        let password = basic::password(request.headers()).filter(|_| is_page);
        let sent = match &password {
            Some(password) => Ok(Some(password.as_str())),
            None => bearer_token(request.headers()),
        };
        match self.identify(&policy, oauth, sent, is_from_afar).await {
            Ok(Identified { principal, more }) => {
                request.extensions_mut().insert(principal);
                if let Some(more) = more {
                    request.extensions_mut().insert(more);
                }
                Ok(())
            }
            Err(refusal) => {
                let reason = chain(&refusal);
                warn!(path, reason, "a request was refused: nobody is known by its token");
                self.service.metrics().process().http_refused("identity");
                let mut response =
                    if is_page { closing(basic::challenge()) } else { refuse(&refusal, oauth.map(Arc::as_ref)) };
                response.extensions_mut().insert(Refused::login(&format!("{path}: {reason}")));
                Err(response)
            }
        }
    }

    /// `is_from_afar`: it came, or may have come, from another machine.
    async fn identify(
        &self,
        policy: &Policy,
        oauth: Option<&Arc<OAuth>>,
        sent: Result<Option<&str>, Refusal>,
        is_from_afar: bool,
    ) -> Result<Identified, Refusal> {
        let local = policy.local_role().filter(|_| !self.is_exposed && !is_from_afar);
        let local = local.map(|role| Principal::new(LOCAL, role));
        Ok(match (sent, local) {
            // There is nothing to compare a token with.
            (_, Some(local)) if !policy.has_identities() => local.into(),
            (Ok(None), local) => local.ok_or(Refusal::NoToken)?.into(),
            (token, _) => self.by_token(policy, oauth, token?.unwrap_or_default()).await?,
        })
    }

    /// Whose token it is: that of a client, or one of the identity provider.
    async fn by_token(&self, policy: &Policy, oauth: Option<&Arc<OAuth>>, token: &str) -> Result<Identified, Refusal> {
        let known = policy.authenticate(token, SystemClock.now());
        let (Err(TokenError::Unknown), Some(oauth)) = (&known, oauth.filter(|_| Verifier::is_like(token))) else {
            return Ok(known?.into());
        };
        let claims = self.verifier.check(token, oauth).await?;
        match oauth.principal(&claims) {
            Ok(principal) => {
                let more = StepUp { oauth: Arc::clone(oauth), claims: Arc::new(claims) };
                Ok(Identified { principal, more: Some(more) })
            }
            Err(error) => {
                let scope = oauth.scope_for(Role::Read, &claims).map(str::to_owned);
                Err(Refusal::Nobody { error, scope })
            }
        }
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

/// Closes the connection after an answer: the request may not have been read to its end.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Says that a token is needed, and nothing of why the one that came is not taken.
fn refuse(refusal: &Refusal, oauth: Option<&OAuth>) -> Response {
    let scopes = oauth.map(|oauth| oauth.scopes_supported.join(" "));
    let unauthorized = |wrong| {
        let challenge = challenge(oauth, wrong, scopes.as_deref());
        let message = "a valid token is needed: `Authorization: Bearer TOKEN`\n";
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], message).into_response()
    };
    closing(match (refusal, oauth) {
        // Not the client's fault: its token may be right, and it should not throw it away.
        (Refusal::Jwt(JwtError::NoKeys), _) => {
            let message = "no token can be checked now; try again soon\n";
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)], message).into_response()
        }
        (Refusal::Nobody { error: OAuthError::NoRole { .. }, scope }, Some(oauth)) => {
            insufficient_scope(oauth, scope.as_deref())
        }
        (Refusal::NoToken, _) => unauthorized(Wrong::NoToken),
        _ => unauthorized(Wrong::InvalidToken),
    })
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
