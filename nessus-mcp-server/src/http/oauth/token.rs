//! Checks an access token: a JWT as RFC 9068 has it.

use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};
use nessus_mcp_lib::{
    error::excerpt,
    policy::{Claims, OAuth},
};
use serde_json::Value;

use super::keys::KeySet;

/// The largest token.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// How far the clocks of server and provider may be apart, in seconds.
const LEEWAY: u64 = 30;
/// The `typ` of an access token; most providers say `JWT`, or nothing.
const TYPES: [&str; 3] = ["at+jwt", "application/at+jwt", "jwt"];

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum JwtError {
    #[error("the token has more than {} KiB", MAX_TOKEN_BYTES >> 10)]
    TooLarge,
    #[error("the token is no JWT, or is signed in a way that nobody should take: {0}")]
    Unreadable(String),
    #[error("the token is of the type `{0}`, and no access token")]
    Type(String),
    #[error("the token is signed with {0}, which `oauth.algorithms` does not have")]
    Algorithm(String),
    #[error("the keys of the identity provider cannot be read, and none is known")]
    NoKeys,
    #[error("the identity provider has no key `{0}` for this algorithm")]
    UnknownKey(String),
    #[error("the signature of the token is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token has no `{0}` that can be used")]
    Missing(String),
}

/// A token before its signature is checked: what it says of how it was signed.
#[derive(Debug)]
pub(super) struct Unchecked<'a> {
    token: &'a str,
    algorithm: Algorithm,
    pub(super) key_id: Option<String>,
}

impl<'a> Unchecked<'a> {
    /// Whether a token may be a JWT at all.
    pub(super) fn is_like(token: &str) -> bool {
        token.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Reads the head of a token. What it says of where its key is (`jku`, `x5u`, `jwk`, `x5c`) is not looked at.
    pub(super) fn read(token: &'a str, oauth: &OAuth) -> Result<Self, JwtError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JwtError::TooLarge);
        }
        let unreadable =
            |error: jsonwebtoken::errors::Error| JwtError::Unreadable(excerpt(&error.to_string()).to_string());
        let header = decode_header(token).map_err(unreadable)?;
        if let Some(typ) = header.typ.filter(|typ| !TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known))) {
            return Err(JwtError::Type(excerpt(&typ).to_string()));
        }
        let is_allowed = oauth.algorithms.iter().any(|allowed| allowed.as_str().parse() == Ok(header.alg));
        if !is_allowed {
            return Err(JwtError::Algorithm(format!("{:?}", header.alg)));
        }
        Ok(Self { token, algorithm: header.alg, key_id: header.kid })
    }

    /// The claims, once the signature and all that is required of them is right.
    pub(super) fn check(&self, oauth: &OAuth, keys: &KeySet) -> Result<Claims, JwtError> {
        let key = keys.find(self.key_id.as_deref(), self.algorithm).ok_or_else(|| {
            JwtError::UnknownKey(self.key_id.as_deref().map(|id| excerpt(id).to_string()).unwrap_or_default())
        })?;
        let mut required = Validation::new(self.algorithm);
        required.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        required.set_issuer(&[&oauth.issuer]);
        required.set_audience(&oauth.audiences);
        required.validate_nbf = true;
        required.leeway = LEEWAY;
        let claims = decode::<Claims>(self.token, key, &required).map_err(|error| match error.into_kind() {
            ErrorKind::InvalidSignature => JwtError::Signature,
            ErrorKind::ExpiredSignature => JwtError::Expired,
            ErrorKind::ImmatureSignature => JwtError::NotYet,
            ErrorKind::InvalidAudience => JwtError::Audience,
            ErrorKind::InvalidIssuer => JwtError::Issuer,
            ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => JwtError::Missing(claim),
            other => JwtError::Unreadable(excerpt(&jsonwebtoken::errors::new_error(other).to_string()).to_string()),
        })?;
        // The library takes a list of issuers as well.
        if claims.claims.get("iss").and_then(Value::as_str) == Some(&*oauth.issuer) {
            Ok(claims.claims)
        } else {
            Err(JwtError::Issuer)
        }
    }
}
