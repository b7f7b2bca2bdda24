//! Telling in our words what the server or the connection reports.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::queue::error::QueueError;

/// What an error says about the call and the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The reply is lost: the step may have happened.
    Unknown,
    /// The server would not do it for now; nothing has happened.
    NotNow,
    /// Repeating it would give the same.
    Refused,
}

/// Whether the call may have happened, and whether it is worth repeating.
pub(super) fn outcome(error: &RedisError) -> Outcome {
    let not_now = ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS"];
    match error.kind() {
        ErrorKind::Io if error.is_connection_refusal() => Outcome::NotNow,
        ErrorKind::Io | ErrorKind::Parse => Outcome::Unknown,
        ErrorKind::ClusterConnectionNotFound | ErrorKind::MasterNameNotFoundBySentinel => Outcome::NotNow,
        _ if not_now.iter().any(|code| says(error, code)) => Outcome::NotNow,
        _ => Outcome::Refused,
    }
}

/// Whether the server does not know the script that was called by its hash.
pub(super) fn unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether the error has this code. Servers before version 7 wrap the errors of commands inside scripts in a text.
fn says(error: &RedisError, code: &str) -> bool {
    error.code() == Some(code) || error.detail().is_some_and(|detail| detail.contains(&format!("-{code} ")))
}

/// The error of a queue that this error stands for.
pub(super) fn describe(location: &str, error: RedisError) -> QueueError {
    let location = location.to_owned();
    let any = |codes: &[&str]| codes.iter().any(|code| says(&error, code));
    let unusable = match error.kind() {
        ErrorKind::AuthenticationFailed => Some("the server refuses the login"),
        _ if any(&["NOAUTH", "WRONGPASS"]) => Some("the server refuses the login"),
        _ if any(&["NOPERM"]) => Some("the login may not use a command or key that the queue needs"),
        _ if any(&["MOVED", "CROSSSLOT"]) => Some("the server is part of a cluster, which needs `redis+cluster://`"),
        _ if any(&["WRONGTYPE"]) => Some("a key of the queue holds something else"),
        ErrorKind::InvalidClientConfig => Some("the connection cannot be set up as the URL says"),
        _ => None,
    };
    if let Some(problem) = unusable {
        return QueueError::Unusable { location, problem: problem.to_owned(), source: Some(error.into()) };
    }
    if any(&["OOM"]) {
        return QueueError::StorageFull { location, source: Some(error.into()) };
    }
    let unavailable = match error.kind() {
        ErrorKind::MasterNameNotFoundBySentinel => Some("no sentinel names a master that answers"),
        ErrorKind::ClusterConnectionNotFound => Some("a part of the cluster cannot be reached"),
        ErrorKind::Io if error.is_connection_refusal() => Some("the connection is refused"),
        ErrorKind::Io if error.is_timeout() => Some("the server does not answer in time"),
        ErrorKind::Io => Some("the connection fails"),
        ErrorKind::Parse => Some("the server's answer cannot be understood"),
        _ if any(&["LOADING"]) => Some("the server is loading its data"),
        _ if any(&["READONLY", "MASTERDOWN"]) => Some("the server is a replica, which cannot be written to"),
        _ if any(&["MISCONF"]) => Some("the server cannot write to its disk"),
        _ if any(&["NOREPLICAS"]) => Some("the server has too few replicas"),
        _ if any(&["CLUSTERDOWN", "TRYAGAIN"]) => Some("a part of the cluster is down"),
        _ if any(&["BUSY"]) => Some("the server is busy with a script"),
        _ => None,
    };
    let source = Some(error.into());
    match unavailable {
        Some(problem) => QueueError::Unavailable { location, problem: problem.to_owned(), source },
        None => QueueError::Internal { location, problem: "the server reports an error".to_owned(), source },
    }
}

/// A call that took longer than any may.
pub(super) fn too_slow(location: &str) -> QueueError {
    QueueError::Unavailable {
        location: location.to_owned(),
        problem: "the server does not answer in time".to_owned(),
        source: None,
    }
}

/// An answer that has another form than the script's.
pub(super) fn unexpected(location: &str, source: impl Into<crate::queue::BoxError>) -> QueueError {
    QueueError::Internal {
        location: location.to_owned(),
        problem: "the server's answer has an unexpected form".to_owned(),
        source: Some(source.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Classified as _, chain};

    fn server_error(text: &str) -> RedisError {
        redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn what_a_server_says_is_told_apart() {
        for (text, code, outcome_of) in [
            ("WRONGPASS invalid username-password pair or user is disabled.", "queue_unusable", Outcome::Refused),
            ("NOAUTH Authentication required.", "queue_unusable", Outcome::Refused),
            ("NOPERM this user has no permissions to run the 'evalsha' command", "queue_unusable", Outcome::Refused),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", "queue_unusable", Outcome::Refused),
            ("MOVED 866 10.0.0.1:6379", "queue_unusable", Outcome::Refused),
            ("OOM command not allowed when used memory > 'maxmemory'.", "queue_storage_full", Outcome::Refused),
            (
                "ERR Error running script (call to f_1): @user_script:1: -OOM command not",
                "queue_storage_full",
                Outcome::Refused,
            ),
            ("MISCONF Redis is configured to save RDB snapshots", "queue_unavailable", Outcome::Refused),
            ("LOADING Redis is loading the dataset in memory", "queue_unavailable", Outcome::NotNow),
            ("READONLY You can't write against a read only replica.", "queue_unavailable", Outcome::NotNow),
            ("CLUSTERDOWN The cluster is down", "queue_unavailable", Outcome::NotNow),
            ("BUSY Redis is busy running a script.", "queue_unavailable", Outcome::NotNow),
            ("ERR unknown command", "queue_internal", Outcome::Refused),
        ] {
            let error = server_error(text);
            assert_eq!(outcome(&error), outcome_of, "{text}");
            let described = describe("redis://db", error);
            assert_eq!(described.code(), code, "{text}");
            assert!(chain(&described).contains("redis://db"), "{described}");
        }
        assert!(unknown_script(&server_error("NOSCRIPT No matching script.")));
    }

    #[test]
    fn a_lost_reply_is_no_refusal() {
        let of = |kind: std::io::ErrorKind| outcome(&RedisError::from(std::io::Error::from(kind)));
        assert_eq!(of(std::io::ErrorKind::ConnectionRefused), Outcome::NotNow);
        assert_eq!(of(std::io::ErrorKind::ConnectionReset), Outcome::Unknown);
        assert_eq!(of(std::io::ErrorKind::TimedOut), Outcome::Unknown);
    }
}
