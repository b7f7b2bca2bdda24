//! The second port, by which a test in another process sees what the scanner saw.

use serde_json::json;

use super::{
    state::Shared,
    wire::{Answer, ApiError, Incoming, Reply},
};

/// The control port.
pub(super) struct Control(Shared);

impl Control {
    pub(super) fn new(shared: Shared) -> Self {
        Self(shared)
    }
}

impl Answer for Control {
    fn answer(&self, request: &Incoming) -> Reply {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/stats") => Reply::json(&json!(self.0.lock().stats())),
            _ => ApiError::new(404, "The control port knows GET /stats").into(),
        }
    }
}
