//! Why an object store refuses, in words and with the next step.

use std::{error::Error as _, io};

use object_store::Error;

use crate::{error::excerpt, task::failure::PlaceFailure};

/// What stores call an error, which kind it is of, and what to do about it.
const KNOWN: [(&[&str], io::ErrorKind, &str); 6] = [
    (
        &["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"],
        io::ErrorKind::NotADirectory,
        "there is no such bucket: create it, or name the right one; its region and address must be right as well",
    ),
    (
        &["ExpiredToken", "TokenRefreshRequired", "token included in the request is expired", "AuthenticationFailed"],
        io::ErrorKind::PermissionDenied,
        "the credentials of the object store have expired or are not valid: renew them; what was begun goes on then",
    ),
    (
        &["RequestTimeTooSkewed", "RequestExpired"],
        io::ErrorKind::PermissionDenied,
        "the clock of this machine differs too much from that of the object store: set it by NTP",
    ),
    (
        &["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "NoAuthenticationInformation"],
        io::ErrorKind::PermissionDenied,
        "the object store does not know these credentials: check key, secret and region",
    ),
    (
        &["SlowDown", "ServerBusy", "TooManyRequests", "ServiceUnavailable"],
        io::ErrorKind::ResourceBusy,
        "the object store asks to go slower: it is tried again; if it lasts, ask its operator for a higher limit",
    ),
    (
        &["AccessDenied", "AllAccessDisabled", "AuthorizationPermissionMismatch", "AuthorizationFailure", "Forbidden"],
        io::ErrorKind::PermissionDenied,
        "the object store forbids it: allow these credentials to read, write, list and delete objects below the prefix",
    ),
];

/// What a store has refused that was asked to do this, such as `write`, as an error of input and output.
pub(super) fn failure(asked: &str, error: &Error) -> io::Error {
    let text = texts(error);
    let known = KNOWN.iter().find(|(words, ..)| words.iter().any(|word| text.contains(word)));
    let (kind, hint) = match (known, error) {
        (Some((_, kind, hint)), _) => (*kind, Some(*hint)),
        (None, Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => {
            (io::ErrorKind::PermissionDenied, Some(KNOWN[5].2))
        }
        (None, Error::NotImplemented { .. } | Error::NotSupported { .. }) => (io::ErrorKind::Unsupported, None),
        (None, _) if text.contains("NotImplemented") => (io::ErrorKind::Unsupported, None),
        (None, Error::NotFound { .. }) => (io::ErrorKind::NotFound, None),
        (None, _) => (
            io::ErrorKind::HostUnreachable,
            Some("look whether the object store runs and can be reached from here; it is tried again"),
        ),
    };
    let said = said(&text).unwrap_or_else(|| innermost(error));
    PlaceFailure::error(kind, format!("asked to {asked}, the object store says: {}", excerpt(&said)), hint)
}

/// Nothing can be asked of a store, by what this process is told of it.
pub(super) fn bad_settings(error: &Error) -> io::Error {
    let hint = "look at what the environment of this process says of the object store and of who asks it";
    let message = format!("the object store cannot be asked: {}", excerpt(&innermost(error)));
    PlaceFailure::error(io::ErrorKind::InvalidInput, message, Some(hint))
}

/// What was written is not shown.
pub(super) fn stale() -> io::Error {
    let hint = "wait until the object store shows what was written; if it does not, it is not fit for this";
    PlaceFailure::error(io::ErrorKind::ResourceBusy, "the object store shows an older version", Some(hint))
}

/// Whether a missing object means that there is nothing: not where the bucket is missing.
pub(super) fn is_missing_object(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && !KNOWN[0].0.iter().any(|word| texts(error).contains(word))
}

/// An error and its causes as text. A store's answers are XML or JSON.
fn texts(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push('\n');
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Code and message of an answer in XML.
fn said(text: &str) -> Option<String> {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.trim())
    };
    let code = element("Code")?;
    Some(element("Message").map_or_else(|| code.to_owned(), |message| format!("{code}: {message}")))
}

/// The innermost cause, which says what has happened; those around it say where.
fn innermost(error: &Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn what_a_store_says_has_a_kind_and_a_next_step() {
        for (text, kind, hint) in [
            (
                "403: <Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>",
                io::ErrorKind::PermissionDenied,
                "NTP",
            ),
            ("400: <Error><Code>ExpiredToken</Code></Error>", io::ErrorKind::PermissionDenied, "renew"),
            ("404: <Error><Code>NoSuchBucket</Code></Error>", io::ErrorKind::NotADirectory, "create it"),
            ("503: <Error><Code>SlowDown</Code></Error>", io::ErrorKind::ResourceBusy, "slower"),
            ("connection refused", io::ErrorKind::HostUnreachable, "can be reached"),
        ] {
            let error = failure("write", &generic(text));
            assert_eq!(error.kind(), kind, "{text}");
            assert!(PlaceFailure::of(&error).unwrap().hint().unwrap().contains(hint), "{text}");
        }
        let said = failure("list", &generic("<Error><Code>A</Code><Message>b</Message></Error>")).to_string();
        assert_eq!(said, "asked to list, the object store says: A: b");
    }

    #[test]
    fn a_missing_bucket_is_no_missing_object() {
        let missing = |text: &str| Error::NotFound { path: "x".to_owned(), source: text.to_owned().into() };
        assert!(is_missing_object(&missing("<Code>NoSuchKey</Code>")));
        assert!(!is_missing_object(&missing("<Code>NoSuchBucket</Code>")));
    }
}
