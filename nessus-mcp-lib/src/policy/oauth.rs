//! Whose access tokens are taken, and what whoever sends one may do: `oauth` in `policy.yaml`.
//!
//! The server is a resource server of OAuth 2.1. It checks tokens where it speaks HTTP; here stands what an operator says about
//! them, and who somebody with such claims is.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    str::FromStr,
    sync::Arc,
};

use http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    clients::{Principal, Role, client_name},
    rights::{Rights, keys_with_rights},
};
use crate::{
    config::{ConfigError, OneOrMore, Reader, Scalar, not_empty},
    error::nearest,
};

/// The claims of a token that was checked.
pub type Claims = Map<String, Value>;

/// What the name of such a principal begins with.
const NAME_PREFIX: &str = "oauth:";
/// The longest name of a principal.
const MOST_NAME_BYTES: usize = 255;

/// How a token may be signed: with a private key that only the identity provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "RFC 7518 and RFC 8037 say what each is")]
pub enum SigningAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl SigningAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];
    /// Those that are taken where nobody says which.
    const DEFAULT: [Self; 4] = [Self::RS256, Self::PS256, Self::ES256, Self::EdDSA];

    /// The name in the `alg` of a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SigningAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(found) = Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text) {
            return Ok(found);
        }
        if text.eq_ignore_ascii_case("none") || text.starts_with("HS") {
            return Err(
                "lets others than the identity provider make tokens: only asymmetric algorithms are taken".into()
            );
        }
        let names = nearest(text, Self::ALL.into_iter().map(Self::as_str));
        Err(format!("is no algorithm; they are: {}", names.join(", ")))
    }
}

/// An entry of `roles`: what a token needs for a role. All that it asks for must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RoleRule {
    /// What tasks call it; there is one where it has rights.
    name: Option<Arc<str>>,
    scope: Option<String>,
    /// A claim, and the value that it has or that is in it.
    claim: Option<(String, String)>,
    role: Role,
    team: Option<Arc<str>>,
    /// What whoever comes in by it may do.
    rights: Arc<Rights>,
}

impl RoleRule {
    fn has_claim(&self, claims: &Claims) -> bool {
        self.claim.as_ref().is_none_or(|(name, value)| find(claims, name).is_some_and(|found| holds(found, value)))
    }

    fn is_for(&self, claims: &Claims) -> bool {
        self.scope.as_ref().is_none_or(|scope| scopes(claims).any(|given| given == scope)) && self.has_claim(claims)
    }
}

/// The identity provider, and what its tokens give.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OAuth {
    /// The `iss` that every token has, exactly.
    pub issuer: String,
    /// Where its keys are; `None` where the metadata of the issuer says it.
    pub jwks_url: Option<String>,
    /// A token has one of these in its `aud`.
    pub audiences: Vec<String>,
    /// The URL by which clients know this server.
    pub resource: String,
    /// How tokens may be signed.
    pub algorithms: Vec<SigningAlgorithm>,
    /// What clients are told to ask for.
    pub scopes_supported: Vec<String>,
    roles: Vec<RoleRule>,
}

/// Why somebody with a valid token is nobody here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OAuthError {
    /// There is no name to know them by.
    #[error("the token has no subject")]
    NoSubject,
    /// The name is too long.
    #[error("the subject of the token is longer than {MOST_NAME_BYTES} bytes")]
    LongSubject,
    /// Nothing in the token gives a role.
    #[error("no entry of `oauth.roles` gives `{name}` a role")]
    NoRole {
        /// Who it is.
        name: String,
    },
}

impl OAuth {
    /// Whether keys and metadata may come from a URL: others can neither read nor change what it answers, because it is of
    /// https or on this machine.
    pub fn trusts(url: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'#' | b'@');
        let uri = url.parse::<Uri>().ok().filter(|_| url.bytes().all(is_plain));
        let Some((scheme, host)) = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?))) else {
            return false;
        };
        let host = host.trim_matches(['[', ']']);
        let is_loopback = || host.parse::<IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
        !host.is_empty() && (scheme == "https" || (scheme == "http" && is_loopback()))
    }

    /// Whoever has a token with these claims, which were checked: with the highest role that they give.
    ///
    /// # Errors
    /// [`OAuthError`] when there is no subject, or none of its scopes and claims gives a role.
    pub fn principal(&self, claims: &Claims) -> Result<Principal, OAuthError> {
        let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty());
        let name = name_of(subject.ok_or(OAuthError::NoSubject)?)?;
        let found = self.roles.iter().filter(|rule| rule.is_for(claims));
        // Of several with the same role the first.
        let found = found.reduce(|best, rule| if rule.role > best.role { rule } else { best });
        match found {
            Some(rule) => {
                let principal = Principal::new(name, rule.role).with_team(rule.team.clone());
                Ok(principal.with_rights(Arc::clone(&rule.rights)).by_entry(rule.name.clone()))
            }
            None => Err(OAuthError::NoRole { name }),
        }
    }

    /// The rights of the entry of this name, if there is one.
    pub(super) fn rights_of(&self, entry: &str) -> Option<&Arc<Rights>> {
        self.roles.iter().find(|rule| rule.name.as_deref() == Some(entry)).map(|rule| &rule.rights)
    }

    /// The rights of all entries.
    pub(super) fn rights(&self) -> impl Iterator<Item = &Rights> {
        self.roles.iter().map(|rule| &*rule.rights)
    }

    /// The scope that would give whoever has these claims this role; `None` where no scope would.
    pub fn scope_for(&self, needed: Role, claims: &Claims) -> Option<&str> {
        let rules = self.roles.iter().filter(|rule| rule.role.may(needed) && rule.has_claim(claims));
        let with_scope = rules.filter_map(|rule| Some((rule.role, rule.scope.as_deref()?)));
        let least = with_scope.reduce(|least, rule| if rule.0 < least.0 { rule } else { least });
        least.map(|(_, scope)| scope)
    }
}

/// The name of a subject. Two subjects never have the same: what is not plain is written as `%XX`, and so is `%`.
fn name_of(subject: &str) -> Result<String, OAuthError> {
    let mut name = NAME_PREFIX.to_owned();
    for byte in subject.bytes() {
        if name.len() >= MOST_NAME_BYTES {
            return Err(OAuthError::LongSubject);
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@') {
            name.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > MOST_NAME_BYTES { Err(OAuthError::LongSubject) } else { Ok(name) }
}

/// The scopes of a token: in `scope` (RFC 9068) or `scp`, separated by spaces or in a list.
fn scopes(claims: &Claims) -> impl Iterator<Item = &str> {
    let texts = ["scope", "scp"].into_iter().filter_map(|name| claims.get(name)).flat_map(|value| match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    });
    texts.filter_map(Value::as_str).flat_map(str::split_ascii_whitespace)
}

/// The claim of this name; where there is none, the one that it is the path to: `realm_access.roles`.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        find(claims.get(first)?.as_object()?, rest)
    })
}

/// Whether a claim is this value, or a list that has it.
fn holds(claim: &Value, value: &str) -> bool {
    match claim {
        Value::String(text) => text == value,
        Value::Bool(_) | Value::Number(_) => {
            let text = claim.to_string();
            text == value
        }
        Value::Array(list) => list.iter().any(|entry| !entry.is_array() && holds(entry, value)),
        Value::Null | Value::Object(_) => false,
    }
}

/// The keys of `oauth`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOAuth {
    issuer: Scalar,
    audience: OneOrMore,
    resource: Option<Scalar>,
    jwks_url: Option<Scalar>,
    algorithms: Option<OneOrMore>,
    scopes_supported: Option<OneOrMore>,
    roles: Vec<RawRole>,
}

keys_with_rights! {
    /// The keys of an entry of `roles`.
    struct RawRole {
        name: Option<Scalar>,
        scope: Option<Scalar>,
        claim: Option<Scalar>,
        value: Option<Scalar>,
        role: Scalar,
        team: Option<Scalar>,
    }
}

/// Reads `oauth`. That key has no line of its own: what is wrong with the whole is at the issuer's.
pub(super) fn read(reader: &Reader<'_>, raw: RawOAuth) -> Result<OAuth, ConfigError> {
    let line = raw.issuer.line;
    let issuer = reader.required("oauth.issuer", raw.issuer, identifier)?;
    let audiences = reader.each("oauth.audience", raw.audience.0, not_empty)?;
    let Some(first) = audiences.first() else {
        return Err(reader.error(
            "oauth.audience",
            line,
            "is empty: name what the tokens for this server have as `aud`",
        ));
    };
    let resource = match reader.value("oauth.resource", raw.resource, identifier)? {
        Some(resource) => resource,
        None => identifier(first).map_err(|_| {
            let message = "is missing: name the URL by which clients know this server, such as \
                           https://scan.corp.example/mcp (`audience` is none)";
            reader.error("oauth.resource", line, message)
        })?,
    };
    let algorithms = reader.each("oauth.algorithms", raw.algorithms.map_or_else(Vec::new, |raw| raw.0), str::parse)?;
    let roles = role_rules(reader, line, raw.roles)?;
    let named = raw.scopes_supported.map(|raw| reader.each("oauth.scopes_supported", raw.0, scope)).transpose()?;
    let of_roles = roles.iter().filter_map(|rule| rule.scope.clone());
    Ok(OAuth {
        issuer,
        jwks_url: reader.value("oauth.jwks_url", raw.jwks_url, key_address)?,
        resource,
        algorithms: if algorithms.is_empty() { SigningAlgorithm::DEFAULT.to_vec() } else { algorithms },
        scopes_supported: once_each(named.unwrap_or_else(|| of_roles.collect())),
        audiences,
        roles,
    })
}

fn role_rules(reader: &Reader<'_>, line: u64, raw: Vec<RawRole>) -> Result<Vec<RoleRule>, ConfigError> {
    if raw.is_empty() {
        return Err(reader.error("oauth.roles", line, "is empty: nobody could come in"));
    }
    let mut rules: Vec<RoleRule> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let line = raw.role.line;
        let rule = role_rule(reader, &format!("oauth.roles[{at}]"), raw)?;
        if rule.name.is_some() && rules.iter().any(|other| other.name == rule.name) {
            return Err(reader.error(&format!("oauth.roles[{at}].name"), line, "is that of another entry, too"));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn role_rule(reader: &Reader<'_>, key: &str, mut raw: RawRole) -> Result<RoleRule, ConfigError> {
    let (line, of) = (raw.role.line, |name: &str| format!("{key}.{name}"));
    let rights = raw.take_rights();
    let claim = reader.value(&of("claim"), raw.claim, not_empty)?;
    let value = reader.value(&of("value"), raw.value, not_empty)?;
    let scope = reader.value(&of("scope"), raw.scope, scope)?;
    let claim = match (claim, value) {
        (Some(claim), Some(value)) => Some((claim, value)),
        (None, None) if scope.is_some() => None,
        (None, None) => return Err(reader.error(key, line, "needs a `scope`, or a `claim` with its `value`")),
        (Some(_), None) => return Err(reader.error(&of("value"), line, "is missing beside `claim`")),
        (None, Some(_)) => return Err(reader.error(&of("claim"), line, "is missing beside `value`")),
    };
    let name: Option<Arc<str>> = reader.value(&of("name"), raw.name, client_name)?.map(Into::into);
    let rights = reader.rights(key, name.as_deref().unwrap_or_default(), rights)?;
    if name.is_none() && !rights.is_unrestricted() {
        let message = "is missing: workers find what an entry allows by its name";
        return Err(reader.error(&of("name"), line, message));
    }
    let team = reader.value(&of("team"), raw.team, client_name)?.map(Into::into);
    let role = reader.required(&of("role"), raw.role, str::parse)?;
    Ok(RoleRule { name, scope, claim, role, team, rights: rights.into() })
}

fn once_each(scopes: Vec<String>) -> Vec<String> {
    scopes.into_iter().fold(Vec::new(), |mut kept, scope| {
        if !kept.contains(&scope) {
            kept.push(scope);
        }
        kept
    })
}

/// A scope as RFC 6749 has it, which is safe in a header.
fn scope(text: &str) -> Result<String, String> {
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if !text.is_empty() && text.bytes().all(is_fine) {
        Ok(text.to_owned())
    } else {
        Err("must be one scope, of visible characters without spaces, `\"` and `\\`".to_owned())
    }
}

/// A URL that names something, so that it has no query.
fn identifier(text: &str) -> Result<String, String> {
    if text.contains('?') { Err("must have no query".to_owned()) } else { key_address(text) }
}

/// A URL whose answers others cannot change.
fn key_address(text: &str) -> Result<String, String> {
    if OAuth::trusts(text) {
        Ok(text.to_owned())
    } else {
        Err("must be a URL that begins with https (http only on loopback addresses), without user and fragment"
            .to_owned())
    }
}

#[cfg(test)]
mod tests;
