//! What the server is told from other processes, under `/-/`, which no bucket is called.
//!
//! ```text
//! POST   /-/faults              sets a fault, as JSON
//! DELETE /-/faults              ends all faults and lets held requests go on
//! GET    /-/requests            the requests so far
//! DELETE /-/requests            forgets them
//! GET    /-/keys/{bucket}       the keys of a bucket
//! ```

use hyper::{Method, http::request::Parts};
use serde_json::json;

use super::{
    answers::Answer,
    state::{Shared, State},
};

pub(super) const PREFIX: &str = "/-/";

pub(super) fn answer(shared: &Shared, parts: &Parts, body: &[u8]) -> Answer {
    let path = parts.uri.path().trim_start_matches(PREFIX);
    match (&parts.method, path.split_once('/').unwrap_or((path, ""))) {
        (&Method::POST, ("faults", "")) => match serde_json::from_slice(body) {
            Ok(fault) => {
                shared.change(|state| state.faults.push(fault));
                Answer::new(204)
            }
            Err(error) => json_answer(400, &json!({ "error": error.to_string() })),
        },
        (&Method::DELETE, ("faults", "")) => {
            shared.clear_faults();
            Answer::new(204)
        }
        (&Method::GET, ("requests", "")) => json_answer(200, &json!(shared.look(|state| state.requests.clone()))),
        (&Method::DELETE, ("requests", "")) => {
            shared.change(State::forget_requests);
            Answer::new(204)
        }
        (&Method::GET, ("keys", bucket)) => {
            let keys = shared.look(|state| {
                let bucket = state.buckets.get(bucket)?;
                Some(bucket.objects().map(|(key, _)| key.to_owned()).collect::<Vec<_>>())
            });
            match keys {
                Some(keys) => json_answer(200, &json!(keys)),
                None => json_answer(404, &json!({ "error": "there is no such bucket" })),
            }
        }
        _ => json_answer(404, &json!({ "error": "there is nothing here" })),
    }
}

fn json_answer(status: u16, value: &serde_json::Value) -> Answer {
    Answer { body: value.to_string().into(), ..Answer::new(status).with("content-type", "application/json") }
}
