//! Reads the keys of an identity provider over HTTP. An answer is bounded in size and time, and a redirect is none.

use std::{fmt, time::Duration};

use nessus_mcp_lib::{
    error::{chain, excerpt},
    policy::OAuth,
};
use reqwest::{Client, redirect::Policy};
use serde::Deserialize;

use super::keys::KeySet;

/// How long the metadata and the keys may take together.
const READ_WAIT: Duration = Duration::from_secs(5);
/// The most bytes of a document.
const MAX_BYTES: usize = 256 << 10;

/// Where the metadata of an issuer with a path may be: RFC 8414, and OpenID Connect Discovery in both its readings.
const METADATA: [(&str, Place); 3] = [
    ("/.well-known/oauth-authorization-server", Place::BeforePath),
    ("/.well-known/openid-configuration", Place::AfterPath),
    ("/.well-known/openid-configuration", Place::BeforePath),
];

#[derive(Clone, Copy)]
enum Place {
    BeforePath,
    AfterPath,
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    issuer: String,
    keys: Option<String>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("there is no answer within {} s", READ_WAIT.as_secs())]
    Slow,
    #[error("{url} cannot be read: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{url} answers with the status {status}, not with a document")]
    Status { url: String, status: u16 },
    #[error("{url} answers with more than {} KiB", MAX_BYTES >> 10)]
    TooLarge { url: String },
    #[error("{url} answers with something else than {what}: {reason}")]
    Unreadable { url: String, what: &'static str, reason: String },
    #[error("{url} is the metadata of another issuer: {issuer}")]
    OtherIssuer { url: String, issuer: String },
    #[error("{url} says that the keys are at {keys}, which is neither https nor on this machine")]
    Unsafe { url: String, keys: String },
    #[error("the issuer has no metadata that say where its keys are: {reasons}")]
    NoMetadata { reasons: String },
    #[error("{url} has no keys that check signatures")]
    NoKeys { url: String },
}

/// What the metadata of an issuer says of its keys.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Source {
    pub(super) fn new(oauth: &OAuth) -> Self {
        Self { issuer: oauth.issuer.clone(), keys: oauth.jwks_url.clone() }
    }

    /// The keys as they are now.
    pub(super) async fn read(self) -> Result<KeySet, ReadError> {
        tokio::time::timeout(READ_WAIT, self.read_all()).await.unwrap_or(Err(ReadError::Slow))
    }

    async fn read_all(self) -> Result<KeySet, ReadError> {
        let url = match self.keys {
            Some(url) => url,
            None => find_keys(&self.issuer).await?,
        };
        let document = get(&url).await?;
        let keys = KeySet::parse(&document).map_err(|error| unreadable(&url, "keys", &error))?;
        if keys.len() == 0 { Err(ReadError::NoKeys { url }) } else { Ok(keys) }
    }
}

/// What an issuer says of where its keys are: the first place that has its metadata counts.
async fn find_keys(issuer: &str) -> Result<String, ReadError> {
    let mut reasons = Vec::new();
    for (document, place) in METADATA {
        match keys_of(issuer, &well_known(issuer, document, place)).await {
            Ok(keys) => return Ok(keys),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    // Without a path in the issuer, two of the places are the same.
    reasons.dedup();
    Err(ReadError::NoMetadata { reasons: reasons.join("; ") })
}

async fn keys_of(issuer: &str, url: &str) -> Result<String, ReadError> {
    let document = get(url).await?;
    let metadata: Metadata =
        serde_json::from_slice(&document).map_err(|error| unreadable(url, "an issuer's metadata", &error))?;
    let (url, shown) = (url.to_owned(), |text: &str| excerpt(text).to_string());
    if metadata.issuer != issuer {
        return Err(ReadError::OtherIssuer { url, issuer: shown(&metadata.issuer) });
    }
    if !OAuth::trusts(&metadata.jwks_uri) {
        return Err(ReadError::Unsafe { url, keys: shown(&metadata.jwks_uri) });
    }
    Ok(metadata.jwks_uri)
}

fn well_known(issuer: &str, document: &str, place: Place) -> String {
    let issuer = issuer.trim_end_matches('/');
    let begin = issuer.find("://").map_or(0, |at| at + 3);
    let (host, path) = issuer.split_at(issuer[begin..].find('/').map_or(issuer.len(), |at| begin + at));
    match place {
        Place::BeforePath => format!("{host}{document}{path}"),
        Place::AfterPath => format!("{host}{path}{document}"),
    }
}

/// The document at a URL.
async fn get(url: &str) -> Result<Vec<u8>, ReadError> {
    let failed =
        |error: reqwest::Error| ReadError::Unreachable { url: url.to_owned(), reason: chain(&error.without_url()) };
    let client = Client::builder()
        .user_agent(concat!("nessus-mcp/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0);
    // What is on this machine is not behind a proxy.
    let client = if url.starts_with("http://") { client.no_proxy() } else { client };
    let client = client.build().map_err(failed)?;
    let mut response = client.get(url).header("accept", "application/json").send().await.map_err(failed)?;
    if response.status() != http::StatusCode::OK {
        return Err(ReadError::Status { url: url.to_owned(), status: response.status().as_u16() });
    }
    let mut document = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if document.len() + part.len() > MAX_BYTES {
            return Err(ReadError::TooLarge { url: url.to_owned() });
        }
        document.extend_from_slice(&part);
    }
    Ok(document)
}

fn unreadable(url: &str, what: &'static str, reason: &dyn fmt::Display) -> ReadError {
    ReadError::Unreadable { url: url.to_owned(), what, reason: excerpt(&reason.to_string()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_stands_where_the_standards_say() {
        let places = |issuer: &str| METADATA.map(|(document, place)| well_known(issuer, document, place));
        assert_eq!(
            places("https://idp.example/realms/a"),
            [
                "https://idp.example/.well-known/oauth-authorization-server/realms/a",
                "https://idp.example/realms/a/.well-known/openid-configuration",
                "https://idp.example/.well-known/openid-configuration/realms/a",
            ]
        );
        assert_eq!(places("https://idp.example/")[0], "https://idp.example/.well-known/oauth-authorization-server");
        assert_eq!(places("http://[::1]:1")[1], "http://[::1]:1/.well-known/openid-configuration");
    }
}
