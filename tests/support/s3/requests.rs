//! What each request does. All of it happens under the lock of the state.

use std::ops::Range;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use super::{
    answers::{Answer, Listing, escape},
    fault::S3Error,
    state::{ConditionalWrites, Operation, State},
    store::{Bucket, Object, hex},
    wire::Call,
};

/// How far a request's clock may be from the server's.
const SKEW: SignedDuration = SignedDuration::from_mins(15);
/// How many keys a list has at most.
const MOST_KEYS: usize = 1000;

/// What is known of a request when its head has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// How often its key had been deleted.
    deletions: u64,
}

impl Begun {
    pub(super) fn new(state: &State, call: &Call) -> Self {
        Self { deletions: state.buckets.get(&call.bucket).map_or(0, |bucket| bucket.deletions(&call.key)) }
    }
}

/// Which state a request sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sees {
    Now,
    Before,
}

/// Does what a request asks for.
pub(super) fn answer(state: &mut State, call: &Call, begun: Begun, sees: Sees) -> Answer {
    let done = authorize(state, call).and_then(|()| act(state, call, begun, sees));
    let mut answer = done.unwrap_or_else(|error| Answer::error(error, call.parts.uri.path()));
    if call.parts.method == hyper::Method::HEAD && answer.status != 200 {
        answer.body.clear();
    }
    answer
}

/// Whether the key is known and the clock right. The signature itself is not checked.
fn authorize(state: &State, call: &Call) -> Result<(), S3Error> {
    let authorization = call.header("authorization").ok_or(S3Error::AccessDenied)?;
    let credential = authorization.split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
    if credential != Some(state.config.access_key_id.as_str()) {
        return Err(S3Error::InvalidAccessKeyId);
    }
    let date = call.header("x-amz-date").and_then(|date| DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok());
    let date: Timestamp =
        date.and_then(|date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())).ok_or(S3Error::AccessDenied)?;
    if date.duration_since(state.now()).abs() > SKEW {
        return Err(S3Error::RequestTimeTooSkewed);
    }
    Ok(())
}

fn act(state: &mut State, call: &Call, begun: Begun, sees: Sees) -> Result<Answer, S3Error> {
    if call.operation == Operation::Other {
        return Err(S3Error::NotImplemented);
    }
    if call.operation == Operation::Bucket && call.parts.method == hyper::Method::PUT {
        state.buckets.entry(call.bucket.clone()).or_default();
        return Ok(Answer::new(200));
    }
    let now = state.now();
    let conditional_writes = state.config.conditional_writes;
    let bucket = state.buckets.get_mut(&call.bucket).ok_or(S3Error::NoSuchBucket)?;
    let object = match sees {
        Sees::Now => bucket.get(&call.key),
        Sees::Before => bucket.before(&call.key),
    };
    match call.operation {
        Operation::Get | Operation::Head => get(object.ok_or(S3Error::NoSuchKey)?, call),
        Operation::Put => {
            check_body(call)?;
            if call.condition().is_some() {
                match conditional_writes {
                    ConditionalWrites::Atomic | ConditionalWrites::Nameless => check_condition(bucket, call, begun)?,
                    ConditionalWrites::Ignored => {}
                    ConditionalWrites::Refused => return Err(S3Error::NotImplemented),
                }
            }
            let is_nameless = conditional_writes == ConditionalWrites::Nameless;
            let metadata = if is_nameless { Vec::new() } else { call.metadata() };
            let etag = bucket.put(&call.key, call.body.clone(), metadata, now);
            Ok(Answer::new(200).with("etag", etag))
        }
        Operation::Delete => {
            bucket.delete(&call.key);
            Ok(Answer::new(204))
        }
        Operation::DeleteMany => delete_many(bucket, call),
        Operation::List => list(bucket, call, sees),
        Operation::Bucket | Operation::Other if call.parts.method == hyper::Method::HEAD => Ok(Answer::new(200)),
        Operation::Bucket | Operation::Other => Err(S3Error::NotImplemented),
    }
}

/// Whether the body is the one that the client wanted to send.
fn check_body(call: &Call) -> Result<(), S3Error> {
    let sha256 = || digest::digest(&digest::SHA256, &call.body);
    let signed = call.header("x-amz-content-sha256").filter(|hash| hash.len() == 64);
    if signed.is_some_and(|hash| hash != hex(sha256().as_ref())) {
        return Err(S3Error::BadDigest);
    }
    if call.header("x-amz-checksum-sha256").is_some_and(|hash| hash != STANDARD.encode(sha256())) {
        return Err(S3Error::BadDigest);
    }
    Ok(())
}

/// As S3 does: `If-Match` without an object is 404, and a key that was deleted while the request was on its way is 409.
fn check_condition(bucket: &Bucket, call: &Call, begun: Begun) -> Result<(), S3Error> {
    let object = bucket.get(&call.key);
    if bucket.deletions(&call.key) != begun.deletions {
        return Err(S3Error::ConditionalRequestConflict);
    }
    if let Some(etags) = call.header("if-match") {
        let object = object.ok_or(S3Error::NoSuchKey)?;
        if !matches(etags, object) {
            return Err(S3Error::PreconditionFailed);
        }
    }
    match call.header("if-none-match") {
        Some("*") if object.is_some() => Err(S3Error::PreconditionFailed),
        Some("*") | None => Ok(()),
        // Of a write, S3 knows no other.
        Some(_) => Err(S3Error::NotImplemented),
    }
}

/// Whether one of these ETags, with or without quotes, is the object's.
fn matches(etags: &str, object: &Object) -> bool {
    let bare = |etag: &str| etag.trim().trim_matches('"').to_owned();
    etags.trim() == "*" || etags.split(',').any(|etag| bare(etag) == bare(&object.etag))
}

fn get(object: &Object, call: &Call) -> Result<Answer, S3Error> {
    if call.header("if-match").is_some_and(|etags| !matches(etags, object)) {
        return Err(S3Error::PreconditionFailed);
    }
    if call.header("if-none-match").is_some_and(|etags| matches(etags, object)) {
        return Ok(Answer::new(304).about(object));
    }
    let size = object.content.len();
    let range = match call.header("range").and_then(|range| range.strip_prefix("bytes=")) {
        Some(range) => parse_range(range, size).map(Some).ok_or(S3Error::InvalidRange)?,
        None => None,
    };
    let mut answer = match &range {
        Some(range) => {
            let last = range.end - 1;
            Answer::new(206).with("content-range", format!("bytes {}-{last}/{size}", range.start))
        }
        None => Answer::new(200),
    };
    answer.body = object.content.slice(range.unwrap_or(0..size));
    Ok(answer.about(object).with("content-type", "application/octet-stream"))
}

/// `FIRST-LAST`, `FIRST-` or `-LENGTH` of an object of this size; `None` when nothing of it is there.
fn parse_range(range: &str, size: usize) -> Option<Range<usize>> {
    let (first, last) = range.split_once('-')?;
    let range = if first.is_empty() {
        size.saturating_sub(last.parse().ok()?)..size
    } else {
        let end = if last.is_empty() { size } else { last.parse::<usize>().ok()?.saturating_add(1) };
        first.parse().ok()?..end.min(size)
    };
    (range.start < range.end).then_some(range)
}

fn delete_many(bucket: &mut Bucket, call: &Call) -> Result<Answer, S3Error> {
    let text = std::str::from_utf8(&call.body).map_err(|_| S3Error::MalformedXML)?;
    let document = roxmltree::Document::parse(text).map_err(|_| S3Error::MalformedXML)?;
    let keys = document.descendants().filter(|node| node.tag_name().name() == "Key");
    let keys: Vec<&str> = keys.filter_map(|node| node.text()).collect();
    if keys.len() > MOST_KEYS {
        return Err(S3Error::MalformedXML);
    }
    for key in &keys {
        bucket.delete(key);
    }
    let deleted: Vec<_> = keys.iter().map(|key| format!("<Deleted><Key>{}</Key></Deleted>", escape(key))).collect();
    let deleted = deleted.concat();
    let result = format!("<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{deleted}</DeleteResult>");
    Ok(Answer::xml(200, &result))
}

fn list(bucket: &Bucket, call: &Call, sees: Sees) -> Result<Answer, S3Error> {
    if call.query.get("list-type").map(String::as_str) != Some("2") {
        return Err(S3Error::NotImplemented);
    }
    let text = |name: &str| call.query.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let most = match text("max-keys") {
        Some(most) => most.parse::<usize>().map_err(|_| S3Error::InvalidArgument)?.min(MOST_KEYS),
        None => MOST_KEYS,
    };
    let prefix = text("prefix").unwrap_or_default();
    // The token is the last key or common prefix of the page before.
    let after = text("continuation-token").or(text("start-after"));
    let objects: Box<dyn Iterator<Item = (&str, &Object)>> = match sees {
        Sees::Now => Box::new(bucket.objects()),
        Sees::Before => Box::new(bucket.objects_before()),
    };
    let mut listing = Listing::default();
    let mut last = String::new();
    for (key, object) in objects {
        let Some(rest) = key.strip_prefix(prefix) else { continue };
        let common = text("delimiter").and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        let common = common.map(|end| &key[..prefix.len() + end]);
        let shown = common.unwrap_or(key);
        if after.is_some_and(|after| shown <= after) || listing.prefixes.last().is_some_and(|prefix| prefix == shown) {
            continue;
        }
        if listing.contents.len() + listing.prefixes.len() == most {
            listing.next = Some(last);
            break;
        }
        shown.clone_into(&mut last);
        match common {
            Some(common) => listing.prefixes.push(common.to_owned()),
            None => listing.contents.push((key.to_owned(), object.clone())),
        }
    }
    Ok(listing.xml(&call.bucket, prefix, most))
}
