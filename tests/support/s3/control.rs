//! What the server is told from other processes, under `/-/`, which no bucket is called.
//!
//! ```text
//! POST   /-/faults              sets a fault, as JSON
//! DELETE /-/faults              ends all faults and lets held requests go on
//! GET    /-/requests            the requests so far
//! DELETE /-/requests            forgets them
//! GET    /-/objects/{bucket}    the objects of a bucket: by key what stands in it, if that is a JSON text, else null
//! POST   /-/age                 lets all objects have been written so many seconds earlier
//! ```

use std::collections::BTreeMap;

use hyper::{Method, http::request::Parts};
use serde_json::{Value, json};

use super::{
    answers::Answer,
    state::{Shared, State},
    store::Object,
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
        (&Method::GET, ("objects", bucket)) => {
            let objects = shared.look(|state| {
                let objects = state.buckets.get(bucket)?.objects();
                let objects = objects.map(|(key, object)| (key.to_owned(), content_of(key, object)));
                Some(objects.collect::<BTreeMap<_, _>>())
            });
            match objects {
                Some(objects) => json_answer(200, &json!(objects)),
                None => json_answer(404, &json!({ "error": "there is no such bucket" })),
            }
        }
        (&Method::POST, ("age", "")) => match serde_json::from_slice(body) {
            Ok(seconds) => {
                shared.change(|state| state.buckets.values_mut().for_each(|bucket| bucket.age(seconds)));
                Answer::new(204)
            }
            Err(error) => json_answer(400, &json!({ "error": error.to_string() })),
        },
        _ => json_answer(404, &json!({ "error": "there is nothing here" })),
    }
}

fn content_of(key: &str, object: &Object) -> Option<Value> {
    serde_json::from_slice(&object.content)
        .ok()
        .filter(|_| key.rsplit_once('.').is_some_and(|(_, kind)| kind == "json"))
}

fn json_answer(status: u16, value: &Value) -> Answer {
    Answer { body: value.to_string().into(), ..Answer::new(status).with("content-type", "application/json") }
}
