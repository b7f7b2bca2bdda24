//! Answers, and the XML in them.

use std::fmt::Write as _;

use bytes::Bytes;
use jiff::{Timestamp, fmt::strtime, tz::TimeZone};

use super::{fault::S3Error, store::Object};

/// An answer before it is sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn xml(status: u16, body: &str) -> Self {
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}").into();
        Self { body, ..Self::new(status).with("content-type", "application/xml") }
    }

    pub(super) fn error(error: S3Error, resource: &str) -> Self {
        let (status, message) = error.details();
        let resource = escape(resource);
        let body = format!(
            "<Error><Code>{error:?}</Code><Message>{message}</Message><Resource>{resource}</Resource>\
             <RequestId>4442587FB7D0A2F9</RequestId></Error>"
        );
        Self::xml(status, &body)
    }

    /// The headers that tell of an object.
    pub(super) fn about(self, object: &Object) -> Self {
        let answer = object.metadata.iter().fold(self, |answer, (name, value)| answer.with(name, value));
        answer
            .with("etag", &object.etag)
            .with("last-modified", http_date(object.modified))
            .with("accept-ranges", "bytes")
    }
}

/// What a list found.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) contents: Vec<(String, Object)>,
    pub(super) prefixes: Vec<String>,
    /// Where to go on, if there is more.
    pub(super) next: Option<String>,
}

impl Listing {
    pub(super) fn xml(&self, bucket: &str, prefix: &str, most: usize) -> Answer {
        let mut text = format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{}</Name><Prefix>{}</Prefix>\
             <KeyCount>{}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{}</IsTruncated>",
            escape(bucket),
            escape(prefix),
            self.contents.len() + self.prefixes.len(),
            self.next.is_some()
        );
        // Writing to a string cannot fail.
        if let Some(next) = &self.next {
            let _ = write!(text, "<NextContinuationToken>{}</NextContinuationToken>", escape(next));
        }
        for (key, object) in &self.contents {
            let (key, etag) = (escape(key), escape(&object.etag));
            let (modified, size) = (xml_date(object.modified), object.content.len());
            let _ = write!(
                text,
                "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>{etag}</ETag><Size>{size}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>"
            );
        }
        for prefix in &self.prefixes {
            let _ = write!(text, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape(prefix));
        }
        text.push_str("</ListBucketResult>");
        Answer::xml(200, &text)
    }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn formatted(format: &str, at: Timestamp) -> String {
    strtime::format(format, &at.to_zoned(TimeZone::UTC)).unwrap_or_else(|error| panic!("no date: {error}"))
}

fn http_date(at: Timestamp) -> String {
    formatted("%a, %d %b %Y %H:%M:%S GMT", at)
}

fn xml_date(at: Timestamp) -> String {
    formatted("%Y-%m-%dT%H:%M:%S.000Z", at)
}
