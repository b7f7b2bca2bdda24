//! The second port, by which a test in another process sees what the scanner saw, and lets it fail.

use serde_json::{Value, json};

use super::{
    faults::{Fault, Faults},
    reply::Reply,
    state::Shared,
    stats::Stats,
    wire::{Answer, ApiError, Incoming},
};

/// The control port.
pub(super) struct Control {
    shared: Shared,
    faults: Faults,
}

impl Control {
    pub(super) fn new(shared: Shared, faults: Faults) -> Self {
        Self { shared, faults }
    }

    /// What the scanner has seen so far.
    pub(super) fn stats(&self) -> Stats {
        Stats { faults: self.faults.struck(), ..self.shared.lock().stats() }
    }

    /// Sets all of the faults, or none when one of them is not known.
    fn inject(&self, request: &Incoming) -> Result<Reply, ApiError> {
        let faults: Vec<Fault> = match request.json()? {
            Value::Array(faults) => faults.into_iter().map(read).collect::<Result<_, _>>()?,
            fault => vec![read(fault)?],
        };
        self.faults.inject(&mut self.shared.lock(), faults).map_err(|error| ApiError::new(400, error.to_string()))?;
        Ok(self.settled())
    }

    fn clear(&self, name: Option<&str>) -> Reply {
        self.faults.clear(name);
        self.settled()
    }

    /// The faults that are set, once they are effective.
    fn settled(&self) -> Reply {
        self.faults.settle();
        Reply::json(&json!({ "set": self.faults.shown()["set"] }))
    }
}

fn read(fault: Value) -> Result<Fault, ApiError> {
    serde_json::from_value(fault).map_err(|error| ApiError::new(400, format!("This is no fault: {error}")))
}

impl Answer for Control {
    fn answer(&self, request: &Incoming) -> Reply {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/stats") => Reply::json(&json!(self.stats())),
            ("GET", "/faults") => Reply::json(&self.faults.shown()),
            ("POST", "/faults") => self.inject(request).unwrap_or_else(Reply::from),
            ("DELETE", "/faults") => self.clear(None),
            ("DELETE", path) if path.starts_with("/faults/") => self.clear(path.strip_prefix("/faults/")),
            _ => {
                let known = "GET /stats, GET /faults, POST /faults, DELETE /faults and DELETE /faults/NAME";
                ApiError::new(404, format!("The control port knows {known}")).into()
            }
        }
    }
}
