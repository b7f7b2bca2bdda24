//! A request to the scanner, and what it has to show.

use std::{fmt, time::Duration};

use reqwest::Method;
use serde_json::Value;

use crate::{scanner::error::ScannerError, secret::Secret};

/// What must be shown to the scanner for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing.
    Open,
    /// A login session: enough to read and export.
    Session,
    /// A login session and the web interface's own token: what creates, controls and deletes asks for both.
    Control,
}

/// What is expected of a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A JSON object.
    Json,
    /// A JSON object of any size.
    Large,
    /// The scanner's consent: an empty body does, and one that breaks off.
    Consent,
    /// Any text.
    Text,
    /// A body that is read by whoever asked, who watches the time; the answer begins within this time.
    Stream(Duration),
}

/// A request.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The path under the base URL, such as `/scans/57`.
    pub(super) path: String,
    /// The path as it stands in errors and logs: no secrets in it.
    shown_path: Option<&'static str>,
    pub(super) access: Access,
    pub(super) expected: Expected,
    pub(super) body: Option<Body>,
    /// Secrets in the body, which the scanner may echo.
    pub(super) secrets: Vec<Secret>,
}

/// What a request carries. It may hold a password and is never shown.
#[derive(Clone)]
pub(super) struct Body {
    pub(super) content_type: String,
    pub(super) bytes: Vec<u8>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Call {
    /// A call that has nothing to say yet. Where its method calls for a body it says `{}`: without a body it would have no
    /// `Content-Length`, and a proxy refuses it with 411.
    pub(super) fn new(method: Method, path: impl Into<String>, access: Access) -> Self {
        let has_body = method == Method::POST || method == Method::PUT;
        let call = Self {
            method,
            path: path.into(),
            shown_path: None,
            access,
            expected: Expected::Json,
            body: None,
            secrets: Vec::new(),
        };
        if has_body { call.json(&Value::Object(serde_json::Map::new())) } else { call }
    }

    pub(super) fn get(path: impl Into<String>, access: Access) -> Self {
        Self::new(Method::GET, path, access)
    }

    pub(super) fn expects(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().into_bytes())
    }

    pub(super) fn body(mut self, content_type: impl Into<String>, bytes: Vec<u8>) -> Self {
        self.body = Some(Body { content_type: content_type.into(), bytes });
        self
    }

    /// Names what must not be shown although the scanner may say it.
    pub(super) fn secrets(mut self, secrets: Vec<Secret>) -> Self {
        self.secrets = secrets;
        self
    }

    /// Shows another path than the real one, which holds a secret.
    pub(super) fn shown_as(mut self, path: &'static str) -> Self {
        self.shown_path = Some(path);
        self
    }

    /// How errors name it: `POST /scans`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.shown_path.unwrap_or(&self.path))
    }
}

/// What is shown to the scanner with a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    pub(super) session: Option<Secret>,
    pub(super) api_token: Option<Secret>,
    pub(super) api_keys: Option<Secret>,
}

/// The error for an answer that is not what the API promises.
pub(super) fn decode_error(call: &Call, message: &str) -> ScannerError {
    ScannerError::Decode { call: call.name(), message: message.to_owned() }
}

/// What every Nessus has: that it is not there says that something else has answered, such as a proxy, and nothing of scans.
pub(super) fn always_there<T>(answer: Result<T, ScannerError>) -> Result<T, ScannerError> {
    answer.map_err(|error| match error {
        ScannerError::NotFound(message) | ScannerError::Rejected(message) => ScannerError::Decode {
            call: "a list that every Nessus has".to_owned(),
            message: format!("it is refused: {message}"),
        },
        other => other,
    })
}

/// `GET /scans`: all scans of the account.
pub(super) fn scan_list() -> Call {
    Call::get("/scans", Access::Session).expects(Expected::Large)
}

/// `GET /scans/{id}`: with all hosts of the scan, however many there are.
pub(super) fn details_call(scan: u64) -> Call {
    Call::get(format!("/scans/{scan}"), Access::Session).expects(Expected::Large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_shows_neither_its_body_nor_a_secret_path() {
        let call = Call::new(Method::POST, "/tokens/planted/download", Access::Open)
            .json(&serde_json::json!({ "password": "planted" }))
            .secrets(vec![Secret::new("planted")])
            .shown_as("/tokens/[redacted]/download");
        assert_eq!(format!("{call:?}"), "POST /tokens/[redacted]/download");
    }
}
