//! `QUEUE_URL`: which backend, and where.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use super::{error::QueueError, interface::Queue};
use crate::secret::{Secret, redact_url};

/// A parsed queue URL. Its `Display` shows no credentials.
///
/// ```
/// use nessus_mcp_lib::queue::QueueUrl;
/// let url: QueueUrl = "sqlite:/var/lib/nessus-mcp/queue.db".parse()?;
/// assert_eq!(url.to_string(), "sqlite:/var/lib/nessus-mcp/queue.db");
/// # Ok::<(), nessus_mcp_lib::queue::QueueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueUrl {
    /// `sqlite:PATH`: the embedded queue in one file.
    Sqlite(PathBuf),
    /// `redis://`, `redis+cluster://` or `redis+sentinel://`, or the same with `rediss` for TLS: the whole URL, which may
    /// hold a password.
    Redis(Secret),
}

/// The schemes of [`QueueUrl::Redis`].
const REDIS_SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"];

impl FromStr for QueueUrl {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        let text = text.trim();
        let invalid = |reason: &str| QueueError::InvalidUrl { url: redact_url(text), reason: reason.to_owned() };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| invalid("it has no scheme"))?;
        if REDIS_SCHEMES.contains(&scheme) {
            return match rest.strip_prefix("//") {
                Some(authority) if !authority.is_empty() => Ok(Self::Redis(Secret::new(text))),
                _ => Err(invalid("it names no server")),
            };
        }
        if scheme != "sqlite" {
            return Err(invalid("known schemes are sqlite, redis, rediss, redis+cluster and redis+sentinel"));
        }
        // `sqlite:///var/q.db` and `sqlite:/var/q.db` are both in use elsewhere.
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match path {
            "" => Err(invalid("it names no file")),
            ":memory:" => Err(invalid("the queue must be a file, several processes share it")),
            _ if path.contains(['?', '#']) => Err(invalid("options after the path are not supported")),
            _ => Ok(Self::Sqlite(PathBuf::from(path))),
        }
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(url) => f.write_str(&redact_url(url.expose())),
        }
    }
}

/// Opens the queue at `url`, creating it where the backend allows that, and logs what an operator should change about it.
///
/// # Errors
/// [`QueueError::UnsupportedBackend`] when this build does not contain the backend, else what the backend says.
pub async fn open(url: &QueueUrl) -> Result<Arc<dyn Queue>, QueueError> {
    let queue = open_backend(url).await?;
    for warning in queue.warnings().await? {
        tracing::warn!(queue = %url, "{warning}");
    }
    Ok(queue)
}

#[cfg_attr(
    not(any(feature = "sqlite", feature = "redis")),
    expect(clippy::unused_async, reason = "without a backend there is nothing to wait for")
)]
async fn open_backend(url: &QueueUrl) -> Result<Arc<dyn Queue>, QueueError> {
    match url {
        #[cfg(feature = "sqlite")]
        QueueUrl::Sqlite(path) => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || super::sqlite::SqliteQueue::open(&path)).await;
            match opened {
                Ok(queue) => Ok(Arc::new(queue?)),
                Err(error) => Err(QueueError::Internal {
                    location: url.to_string(),
                    problem: "opening it was interrupted".to_owned(),
                    source: Some(error.into()),
                }),
            }
        }
        #[cfg(not(feature = "sqlite"))]
        QueueUrl::Sqlite(_) => Err(QueueError::UnsupportedBackend { backend: "SQLite", url: url.to_string() }),
        #[cfg(feature = "redis")]
        QueueUrl::Redis(url) => Ok(Arc::new(super::redis::RedisQueue::open(url).await?)),
        #[cfg(not(feature = "redis"))]
        QueueUrl::Redis(_) => Err(QueueError::UnsupportedBackend { backend: "Redis", url: url.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Classified, ErrorKind, chain};

    #[test]
    fn sqlite_urls_name_a_file() {
        for (url, path) in [
            ("sqlite:queue.db", "queue.db"),
            ("sqlite:./data/queue.db", "./data/queue.db"),
            ("sqlite:/var/q.db", "/var/q.db"),
            ("sqlite:///var/q.db", "/var/q.db"),
        ] {
            assert_eq!(url.parse::<QueueUrl>().unwrap(), QueueUrl::Sqlite(PathBuf::from(path)), "{url}");
        }
    }

    #[test]
    fn other_texts_are_configuration_errors_without_passwords() {
        for url in [
            "",
            "queue.db",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:q.db?mode=ro",
            "redis:",
            "amqp://user:hunter2@host/?token=hunter2",
        ] {
            let error = url.parse::<QueueUrl>().unwrap_err();
            assert_eq!((error.code(), error.kind()), ("invalid_queue_url", ErrorKind::Configuration), "{url}");
            assert!(!chain(&error).contains("hunter2"), "{error}");
        }
    }

    #[cfg(not(feature = "redis"))]
    #[tokio::test]
    async fn redis_is_recognised_and_refused_without_showing_the_password() {
        for scheme in REDIS_SCHEMES {
            let url: QueueUrl = format!("{scheme}://me:hunter2@db:6379/0").parse().unwrap();
            let error = open(&url).await.unwrap_err();
            assert!(matches!(error, QueueError::UnsupportedBackend { backend: "Redis", .. }), "{error:?}");
            assert!(error.to_string().contains(&format!("{scheme}://db:6379/0")), "{error}");
            assert!(!format!("{error:?} {url:?}").contains("hunter2"));
        }
    }

    #[cfg(feature = "redis")]
    #[tokio::test]
    async fn redis_that_cannot_be_reached_is_unavailable_without_showing_the_password() {
        for scheme in REDIS_SCHEMES {
            let name = if scheme.ends_with("sentinel") { "mymaster" } else { "" };
            // Nobody listens on the discard port.
            let url: QueueUrl = format!("{scheme}://me:hunter2@127.0.0.1:9/{name}").parse().unwrap();
            let error = open(&url).await.unwrap_err();
            assert_eq!((error.code(), error.kind()), ("queue_unavailable", ErrorKind::Unavailable), "{error:?}");
            assert!(error.to_string().contains(&format!("{scheme}://127.0.0.1:9/{name}")), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("the URL of the queue")));
            assert!(!format!("{error:?} {url:?} {}", chain(&error)).contains("hunter2"));
        }
    }
}
