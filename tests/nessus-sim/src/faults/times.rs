//! Times that a client must not rely on.

use serde_json::{Value, json};

use super::{changes::each_number, entry::Settings};
use crate::reply::Reply;

const TIMES: [&str; 9] = [
    "creation_date",
    "last_modification_date",
    "timestamp",
    "scan_start",
    "scan_end",
    "scanner_start",
    "scanner_end",
    "lastlogin",
    "scanner_boottime",
];

/// All times are off by the text, in seconds.
pub(super) fn skewed(reply: Reply, settings: &Settings) -> Reply {
    let offset: i64 = settings.text.parse().unwrap_or(0);
    changed(reply, &|seconds| json!(seconds + offset))
}

/// All times are 0.
pub(super) fn zero(reply: Reply, _settings: &Settings) -> Reply {
    changed(reply, &|_| json!(0))
}

/// All times are texts.
pub(super) fn texts(reply: Reply, _settings: &Settings) -> Reply {
    changed(reply, &|seconds| json!(seconds.to_string()))
}

fn changed(reply: Reply, new: &dyn Fn(i64) -> Value) -> Reply {
    reply.change_json(|body| each_number(body, &|key| TIMES.contains(&key), new))
}
