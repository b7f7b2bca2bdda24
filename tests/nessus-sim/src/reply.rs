//! Replies: what they say, and how they reach the client or do not.

use std::{
    fmt,
    io::{self, Write},
    time::Duration,
};

use serde_json::{Value, json};

use super::wire::ApiError;

/// The headers that every answer of a Nessus carries.
const HEADERS: [(&str, &str); 10] = [
    ("Server", "NessusWWW"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
    ("Expires", "0"),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-XSS-Protection", "1; mode=block"),
    ("Expect-CT", "max-age=0"),
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Content-Security-Policy", "upgrade-insecure-requests; block-all-mixed-content; default-src 'self'"),
];

const JSON: &str = "application/json";

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    mime: String,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) delivery: Delivery,
}

impl Reply {
    /// 200 with a JSON body.
    pub(super) fn json(body: &Value) -> Self {
        Self::text(JSON, body.to_string())
    }

    /// 200 with no body, still called JSON: so does Nessus.
    pub(super) fn empty() -> Self {
        Self::text(JSON, "")
    }

    /// 200 with a text of another type.
    pub(super) fn text(mime: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::of(mime, Body::Bytes(body.into()))
    }

    /// 200 with whatever body.
    pub(super) fn of(mime: &str, body: Body) -> Self {
        Self { status: 200, mime: mime.to_owned(), headers: Vec::new(), body, delivery: Delivery::default() }
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn with_mime(mut self, mime: &str) -> Self {
        mime.clone_into(&mut self.mime);
        self
    }

    pub(super) fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// The headers, except those that say how the body is framed.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        HEADERS.into_iter().chain([("Content-Type", self.mime.as_str())]).chain(own)
    }

    /// The answer with its JSON body changed; another body stays as it is.
    pub(super) fn change_json(mut self, change: impl FnOnce(&mut Value)) -> Self {
        if let Body::Bytes(bytes) = &self.body
            && let Ok(mut value) = serde_json::from_slice(bytes)
        {
            change(&mut value);
            self.body = Body::Bytes(value.to_string().into_bytes());
        }
        self
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        Self::json(&json!({ "error": error.text })).with_status(error.status)
    }
}

/// What writes a long body.
pub(super) type Writer = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// The body of an answer.
pub(super) enum Body {
    /// A short one.
    Bytes(Vec<u8>),
    /// One that is written while it is sent, so that it stands in no memory.
    Written {
        /// How many bytes it will have.
        length: u64,
        /// Writes them.
        write: Writer,
    },
}

impl Body {
    /// How many bytes it has.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Written { length, .. } => *length,
        }
    }

    /// Writes all of it.
    pub(super) fn write(self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(&bytes),
            Self::Written { write, .. } => write(out),
        }
    }

    /// All of it in memory; only for what has no other way.
    pub(super) fn into_bytes(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}

/// How an answer travels; as any, unless a fault says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Delivery {
    /// How long nothing is sent.
    pub(super) delay: Delay,
    /// What of it arrives.
    pub(super) end: End,
    /// How the length is told.
    pub(super) framing: Framing,
    /// How slowly the head is sent.
    pub(super) head_pace: Option<Drip>,
    /// How slowly the body is sent.
    pub(super) body_pace: Option<Drip>,
}

impl Delivery {
    /// Whether hyper can do it, once the delay is over.
    pub(super) fn is_ordinary(&self) -> bool {
        *self == Self { delay: self.delay, ..Self::default() }
    }

    /// Whether any server can do it: the answer comes, and whole.
    pub(super) fn comes_whole(&self) -> bool {
        self.is_ordinary() && self.delay != Delay::Forever
    }
}

/// Time before the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delay {
    /// So long.
    For(Duration),
    /// No byte ever comes; the connection stays open until the client closes it.
    Forever,
}

impl Default for Delay {
    fn default() -> Self {
        Self::For(Duration::ZERO)
    }
}

/// A few bytes, then a pause, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drip {
    pub(super) bytes: usize,
    pub(super) pause: Duration,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `Content-Length`.
    #[default]
    Sized,
    /// By chunks.
    Chunked,
}

/// Where an answer ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum End {
    /// Where it should.
    #[default]
    Whole,
    /// Before it begins.
    BeforeHead(Parting),
    /// After its head.
    AfterHead(Parting),
    /// Within its body.
    InBody(Extent, Parting),
    /// Where it should, but the connection ends with it, unannounced.
    WholeThen(Parting),
}

/// A part of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of it.
    Percent(u64),
}

impl Extent {
    /// How many bytes of a body with this length.
    pub(super) fn of(self, length: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.min(length),
            Self::Percent(percent) => length / 100 * percent.min(100) + length % 100 * percent.min(100) / 100,
        }
    }
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    /// In order, as far as TCP knows.
    Close,
    /// With a reset.
    Reset,
    /// Not at all: nothing more is sent.
    Hold,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_writes_is_32_bytes_long() {
        let body = Reply::from(ApiError::not_available()).body.into_bytes().unwrap();
        assert_eq!((body.as_slice(), body.len()), (&br#"{"error":"API is not available"}"#[..], 32));
    }

    #[test]
    fn parts_of_a_body_are_never_longer_than_it() {
        assert_eq!(Extent::Percent(40).of(1_000_000_007), 400_000_002);
        assert_eq!((Extent::Percent(400).of(10), Extent::Bytes(11).of(10), Extent::Percent(90).of(0)), (10, 10, 0));
    }
}
