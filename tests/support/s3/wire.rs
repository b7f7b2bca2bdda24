//! A request as it came.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use hyper::{
    Method,
    header::{HeaderName, HeaderValue},
    http::request::Parts,
};

use super::state::Operation;

/// A request, read.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) parts: Parts,
    /// Empty until it is read.
    pub(super) body: Bytes,
}

impl Call {
    /// What the head of a request says.
    pub(super) fn of(parts: Parts) -> Self {
        let path = decode(parts.uri.path());
        let path = path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let query: BTreeMap<String, String> = form_urlencoded::parse(query).into_owned().collect();
        let operation = operation(&parts, key, &query);
        let key = if operation == Operation::List { query.get("prefix").cloned() } else { Some(key.to_owned()) };
        Self { operation, bucket: bucket.to_owned(), key: key.unwrap_or_default(), query, parts, body: Bytes::new() }
    }

    /// A header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// What the writer says of the object.
    pub(super) fn metadata(&self) -> Vec<(String, String)> {
        let of = |(name, value): (&HeaderName, &HeaderValue)| {
            let name = Some(name.as_str()).filter(|name| name.starts_with("x-amz-meta-"))?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        };
        self.parts.headers.iter().filter_map(of).collect()
    }

    /// The condition under which it is to be done.
    pub(super) fn condition(&self) -> Option<String> {
        let mut names = ["if-match", "if-none-match"].into_iter();
        names.find_map(|name| Some(format!("{name} {}", self.header(name)?)))
    }
}

fn operation(parts: &Parts, key: &str, query: &BTreeMap<String, String>) -> Operation {
    let is_plain =
        !["uploads", "uploadId", "acl", "tagging", "versions", "location"].iter().any(|n| query.contains_key(*n));
    let is_copy = parts.headers.contains_key("x-amz-copy-source");
    match (&parts.method, key) {
        (&Method::POST, "") if query.contains_key("delete") => Operation::DeleteMany,
        _ if !is_plain || is_copy => Operation::Other,
        (&Method::GET, "") => Operation::List,
        (&Method::HEAD | &Method::PUT | &Method::DELETE, "") => Operation::Bucket,
        (&Method::GET, _) => Operation::Get,
        (&Method::HEAD, _) => Operation::Head,
        (&Method::PUT, _) => Operation::Put,
        (&Method::DELETE, _) => Operation::Delete,
        _ => Operation::Other,
    }
}

/// The path without its percent signs.
fn decode(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return path.into();
    }
    let mut rest = path.as_bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(escaped) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(escaped);
            rest = &after[2..];
        } else {
            decoded.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned().into()
}
