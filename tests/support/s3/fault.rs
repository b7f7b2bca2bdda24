//! What goes wrong on demand.

use serde::{Deserialize, Serialize};

use super::state::{Operation, Request};

/// An error of S3, with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of S3")]
pub enum S3Error {
    AccessDenied,
    BadDigest,
    ConditionalRequestConflict,
    ExpiredToken,
    InternalError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRange,
    MalformedXML,
    NoSuchBucket,
    NoSuchKey,
    NotImplemented,
    PreconditionFailed,
    RequestTimeTooSkewed,
    ServiceUnavailable,
    SignatureDoesNotMatch,
    SlowDown,
}

impl S3Error {
    /// The status and the message that S3 gives with it.
    pub(super) fn details(self) -> (u16, &'static str) {
        match self {
            Self::AccessDenied => (403, "Access Denied"),
            Self::BadDigest => (400, "The Content-MD5 or checksum you specified did not match what we received."),
            Self::ConditionalRequestConflict => {
                (409, "The conditional request cannot succeed due to a conflicting operation against this resource.")
            }
            Self::ExpiredToken => (400, "The provided token has expired."),
            Self::InternalError => (500, "We encountered an internal error. Please try again."),
            Self::InvalidAccessKeyId => (403, "The AWS Access Key Id you provided does not exist in our records."),
            Self::InvalidArgument => (400, "Invalid Argument"),
            Self::InvalidRange => (416, "The requested range is not satisfiable"),
            Self::MalformedXML => (400, "The XML you provided was not well-formed."),
            Self::NoSuchBucket => (404, "The specified bucket does not exist"),
            Self::NoSuchKey => (404, "The specified key does not exist."),
            Self::NotImplemented => {
                (501, "A header or query you provided requested a function that is not implemented")
            }
            Self::PreconditionFailed => (412, "At least one of the preconditions you specified did not hold"),
            Self::RequestTimeTooSkewed => {
                (403, "The difference between the request time and the current time is too large.")
            }
            Self::ServiceUnavailable => (503, "Service is unable to handle request."),
            Self::SignatureDoesNotMatch => {
                (403, "The request signature we calculated does not match the signature you provided.")
            }
            Self::SlowDown => (503, "Please reduce your request rate."),
        }
    }
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// It is not done and gets this error.
    Answer(S3Error),
    /// It is not done, and the connection is closed.
    Lost,
    /// It is done, and the connection is closed without an answer.
    ReplyLost,
    /// It is done, and the connection is closed after so many bytes of the answer's body.
    CutAfter(usize),
    /// It is done so many milliseconds later.
    Delayed(u64),
    /// It is not done before the faults are cleared.
    Held,
    /// It sees what was there before the last write: of its key, or of the bucket when it lists.
    Stale,
}

/// A fault, and the requests that it strikes: the next one, unless more is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Fault {
    kind: FaultKind,
    #[serde(default)]
    operation: Option<Operation>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    skip: u64,
    /// `None`: until the faults are cleared.
    #[serde(default = "once")]
    count: Option<u64>,
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn once() -> Option<u64> {
    Some(1)
}

impl Fault {
    /// A fault that strikes the next request.
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, operation: None, key: None, skip: 0, count: once() }
    }

    /// The next request gets this error and is not done.
    pub fn answer(error: S3Error) -> Self {
        Self::new(FaultKind::Answer(error))
    }

    /// Only requests of this kind.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only requests whose key (of a list: prefix) contains this.
    pub fn key(mut self, part: impl Into<String>) -> Self {
        self.key = Some(part.into());
        self
    }

    /// Not the first so many of them.
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// So many of them.
    pub fn count(mut self, requests: u64) -> Self {
        self.count = Some(requests);
        self
    }

    /// All of them, until the faults are cleared.
    pub fn until_cleared(mut self) -> Self {
        self.count = None;
        self
    }

    /// What happens to this request; counts it.
    pub(super) fn strikes(&mut self, request: &Request) -> Option<FaultKind> {
        let fits = self.operation.is_none_or(|operation| operation == request.operation)
            && self.key.as_ref().is_none_or(|part| request.key.contains(part.as_str()))
            && self.count != Some(0);
        if !fits {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.count = self.count.map(|count| count - 1);
        Some(self.kind)
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.count == Some(0)
    }
}
