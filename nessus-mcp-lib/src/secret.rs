//! Values that must not be seen, and the cleaning of texts that may carry them.
//!
//! A [`Secret`] cannot be printed or serialised by accident: `Debug` and `Display` show a placeholder and there is
//! no `Serialize`. The only way to its text is [`Secret::expose`], so that every use can be found by name.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// What is shown in the place of a secret.
pub const REDACTED: &str = "[redacted]";

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

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// The URL without user name, password and query: what may stand in a log or an error.
///
/// Works on anything of the form `scheme://authority/...`; other texts are returned up to the first `?`.
///
/// ```
/// use nessus_mcp_lib::secret::redact_url;
/// assert_eq!(redact_url("redis://user:hunter2@db:6379/0?x=y"), "redis://db:6379/0");
/// assert_eq!(redact_url("sqlite:/var/lib/queue.db"), "sqlite:/var/lib/queue.db");
/// ```
pub fn redact_url(url: &str) -> String {
    let before_query = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    let Some((scheme, rest)) = url.split_once("://") else {
        return before_query(url);
    };
    // A password may itself hold an `@`, or, by mistake, a `/`, `?` or `#`: the host begins after the last `@` of all.
    let (_, host_and_path) = rest.rsplit_once('@').unwrap_or(("", rest));
    format!("{scheme}://{}", before_query(host_and_path))
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
}
