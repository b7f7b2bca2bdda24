//! Answers of the scanner that are changed on their way.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::entry::Settings;
use crate::{
    reply::{Body, Reply},
    wire::ApiError,
};

/// Nothing is left of the body.
pub(super) fn emptied(mut reply: Reply, _settings: &Settings) -> Reply {
    reply.body = Body::Bytes(Vec::new());
    reply
}

/// Half of the body is left, and HTTP does not notice.
pub(super) fn halved(reply: Reply, settings: &Settings) -> Reply {
    with_bytes(reply, |mut bytes| {
        bytes.truncate(usize::try_from(settings.extent().of(bytes.len() as u64)).unwrap_or(usize::MAX));
        bytes
    })
}

/// The end of a long body is missing, and HTTP does not notice.
pub(super) fn cut(mut reply: Reply, settings: &Settings) -> Reply {
    let kept = settings.extent().of(reply.body.len());
    let body = reply.body;
    let write = move |out: &mut dyn Write| body.write(&mut Limited { out, left: kept });
    reply.body = Body::Written { length: kept, write: Box::new(write) };
    reply
}

/// Passes so many bytes on, and drops the others.
struct Limited<'a> {
    out: &'a mut dyn Write,
    left: u64,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let kept = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.out.write_all(&bytes[..kept])?;
        self.left -= kept as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// As many bytes stand before the body, as a comment of a script.
pub(super) fn padded_script(reply: Reply, settings: &Settings) -> Reply {
    let padding = usize::try_from(settings.bytes.unwrap_or_default()).unwrap_or(usize::MAX);
    with_bytes(reply, |bytes| [b"/*", " ".repeat(padding).as_bytes(), b"*/", &bytes].concat())
}

/// What closes the last element of an export.
const END_TAG: &[u8] = b"</NessusClientData_v2>";
const PADDING: &[u8; 1024] = &[b' '; 1024];

/// The export has as many bytes, most of them white space before its end.
pub(super) fn padded_export(mut reply: Reply, settings: &Settings) -> Reply {
    let length = reply.body.len();
    let wanted = settings.bytes.unwrap_or_default().max(length);
    let tail = END_TAG.len() as u64 + 1;
    let body = reply.body;
    let write = move |out: &mut dyn Write| {
        body.write(&mut Limited { out: &mut *out, left: length - tail.min(length) })?;
        let mut left = wanted - length;
        while left > 0 {
            let piece = left.min(PADDING.len() as u64);
            out.write_all(&PADDING[..usize::try_from(piece).unwrap_or_default()])?;
            left -= piece;
        }
        out.write_all(END_TAG)?;
        out.write_all(b"\n")
    };
    reply.body = Body::Written { length: wanted, write: Box::new(write) };
    reply
}

/// Compressed, whether or not the client has said that it can read that.
pub(super) fn compressed(reply: Reply, _settings: &Settings) -> Reply {
    with_bytes(reply, |bytes| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory cannot fail.
        let _ = encoder.write_all(&bytes);
        encoder.finish().unwrap_or_default()
    })
    .with_header("Content-Encoding", "gzip")
}

/// The content type is the text.
pub(super) fn mistyped(reply: Reply, settings: &Settings) -> Reply {
    reply.with_mime(&settings.text)
}

/// An error, with the status of success.
pub(super) fn error_as_success(_reply: Reply, settings: &Settings) -> Reply {
    Reply::from(ApiError::new(200, settings.text.clone()))
}

/// An empty list.
pub(super) fn list(reply: Reply, _settings: &Settings) -> Reply {
    reply.change_json(|body| *body = json!([]))
}

/// Without the field that the text names.
pub(super) fn without_field(reply: Reply, settings: &Settings) -> Reply {
    reply.change_json(|body| {
        if let Some(object) = body.as_object_mut() {
            object.remove(&settings.text);
        }
    })
}

/// Ids are texts.
pub(super) fn ids_as_texts(reply: Reply, _settings: &Settings) -> Reply {
    let is_id = |key: &str| key == "id" || key == "file" || key.ends_with("_id");
    reply.change_json(|body| each_number(body, &is_id, &|number| Value::from(number.to_string())))
}

/// No hosts, which is not an empty list.
pub(super) fn without_hosts(reply: Reply, _settings: &Settings) -> Reply {
    reply.change_json(|body| set(body, "hosts", Value::Null))
}

/// No host has anything to do.
pub(super) fn without_totals(reply: Reply, _settings: &Settings) -> Reply {
    let is_count = |key: &str| key.starts_with("scanprogress") || key.ends_with("checksconsidered");
    reply.change_json(|body| each_number(body, &is_count, &|_| json!(0)))
}

/// Every host has done half of what it had done.
pub(super) fn with_less_done(reply: Reply, _settings: &Settings) -> Reply {
    reply.change_json(|body| {
        each_number(body, &|key| key == "scanprogresscurrent", &|number| json!(number / 2));
    })
}

/// The status is the text.
pub(super) fn with_status_word(reply: Reply, settings: &Settings) -> Reply {
    reply.change_json(|body| each_status(body, &|_| true, &settings.text))
}

/// Canceled is spelt as the text.
pub(super) fn with_canceled_spelt(reply: Reply, settings: &Settings) -> Reply {
    reply.change_json(|body| each_status(body, &|word| word == "canceled", &settings.text))
}

/// Changes the statuses of a scan's details, or of a list of scans.
fn each_status(body: &mut Value, applies: &dyn Fn(&str) -> bool, word: &str) {
    let scans = body["scans"].as_array().map_or(0, Vec::len);
    let history = body["history"].as_array().map_or(0, Vec::len);
    let places = (0..scans).map(|at| format!("/scans/{at}/status"));
    let places =
        places.chain((0..history).map(|at| format!("/history/{at}/status"))).chain(["/info/status".to_owned()]);
    for place in places {
        if let Some(status) = body.pointer_mut(&place)
            && status.as_str().is_some_and(applies)
        {
            *status = json!(word);
        }
    }
}

fn set(body: &mut Value, key: &str, value: Value) {
    if let Some(place) = body.get_mut(key) {
        *place = value;
    }
}

/// Replaces the integers under the keys that are chosen, however deep.
pub(super) fn each_number(value: &mut Value, chosen: &dyn Fn(&str) -> bool, new: &dyn Fn(i64) -> Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_i64().filter(|_| chosen(key)) {
                    Some(number) => *value = new(number),
                    None => each_number(value, chosen, new),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_number(item, chosen, new)),
        _ => {}
    }
}

fn with_bytes(mut reply: Reply, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Reply {
    // What the simulator writes into memory is written.
    reply.body = Body::Bytes(change(reply.body.into_bytes().unwrap_or_default()));
    reply
}
