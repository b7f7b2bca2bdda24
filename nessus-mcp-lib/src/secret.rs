//! Values that must not be seen, and the cleaning of texts that may carry them.
//!
//! A [`Secret`] cannot be printed or serialised by accident: `Debug` and `Display` show a placeholder and there is
//! no `Serialize`. The only way to its text is [`Secret::expose`], so that every use can be found by name.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// What is shown in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// A password or token. Its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself. Never log what this returns.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// The URL without user name, password and query: what may stand in a log or an error.
///
/// Only what is known to hold no secret is shown: `scheme://authority/...`, `sqlite:` with a path, and the path of a relative
/// reference. Any other text may be a URL with a mistake in it, so nothing of it is shown.
pub(crate) fn redact_url(url: &str) -> String {
    let before_query = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            // A password may itself hold an `@`, or, by mistake, a `/`, `?` or `#`: the host begins after the last `@`.
            let (_, host_and_path) = rest.rsplit_once('@').unwrap_or(("", rest));
            let shown = before_query(host_and_path);
            let (servers, path) = shown.split_at(shown.find('/').unwrap_or(shown.len()));
            let servers: Vec<_> = servers.split(',').map(without_word_as_port).collect();
            format!("{scheme}://{}{path}", servers.join(","))
        }
        _ if !url.contains('@') && (url.starts_with("sqlite:") || url.starts_with('/')) => before_query(url),
        _ => REDACTED.to_owned(),
    }
}

/// `host:port`, or only the host where the port is no number: `redis://:hunter2` lacks its `@`.
fn without_word_as_port(server: &str) -> String {
    match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') && !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{host}:{REDACTED}")
        }
        _ => server.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {secret}"), "[redacted] [redacted]");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_password_is_removed_whole() {
        for password in ["p@ss", "p/ss", "p?ss", "p#ss", "p/s@s?x"] {
            assert_eq!(redact_url(&format!("rediss://me:{password}@host:1/2?x=y")), "rediss://host:1/2", "{password}");
        }
    }

    #[test]
    fn a_mistyped_url_shows_no_password() {
        for url in [
            "redis:/:hunter2@h",
            "redis//:hunter2@h",
            "redis:hunter2@h:1",
            ":hunter2@h",
            "hunter2@h",
            "hunter2",
            "redis:hunter2",
            "redis//hunter2",
            "redis;//me:hunter2@h:1",
            "me:hunter2://h",
            "://me:hunter2@h",
            "sqlite:hunter2@h",
            "/:hunter2@h",
            "redis://:hunter2",
            "redis://me:hunter2/0",
            "redis+cluster://a:1,b:hunter2,c:2",
        ] {
            assert!(!redact_url(url).contains("hunter2"), "{url}: {}", redact_url(url));
        }
    }

    #[test]
    fn what_holds_no_secret_is_shown() {
        for url in [
            "redis://db:6379/0",
            "redis+cluster://a:1,b,c:3/",
            "rediss://[::1]:6380/0",
            "rediss://[::1]",
            "sqlite:./data/queue.db",
            "https://scanner.example/a:b",
            "/login",
        ] {
            assert_eq!(redact_url(url), url);
        }
    }
}
