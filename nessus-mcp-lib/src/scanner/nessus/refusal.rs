//! What a scanner's refusal means, also one that comes with status 200.
//!
//! Proxies and old versions answer 200 where they refuse: with an error as JSON, a login page, or an empty body. Without
//! this check an error in the place of a list would be read as an empty list.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{StatusCode, header::HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use super::{call::Call, lenient, redactor::Redactor, wire::ServerStatus};
use crate::{error::excerpt, scanner::error::ScannerError, secret::Secret};

/// The longest a scanner may ask us to stay away.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// A refusal: the status counts even when the connection died before its body.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) words: String,
    pub(super) retry_after: Option<Duration>,
    /// It came as a page with a 2xx, as a login page does.
    pub(super) is_page: bool,
    /// What a scanner that is not ready says of itself.
    pub(super) server: Option<ServerStatus>,
}

impl Refusal {
    /// What the status means where nothing more is known about the call.
    pub(super) fn into_error(self, call: &Call) -> ScannerError {
        let words = if self.words.is_empty() { format!("HTTP {}", self.status) } else { self.words };
        let said = format!("{}: {words}", call.name());
        if let Some(error) = self.server.as_ref().and_then(|server| check_ready(server).err()) {
            return error;
        }
        match self.status {
            200..=299 => ScannerError::Decode { call: call.name(), message: format!("it says: {words}") },
            300..=399 => ScannerError::Configuration(format!("{said}; give the scanner's final URL")),
            401 => ScannerError::SessionRefused(said),
            403 if speaks_of_a_licence(&words) => ScannerError::Licence(said),
            403 => ScannerError::Forbidden(said),
            404 => ScannerError::NotFound(said),
            409 => ScannerError::Conflict(said),
            412 => ScannerError::ApiNotAvailable(said),
            429 => ScannerError::RateLimited { retry_after: self.retry_after },
            503 if self.retry_after.is_some() => ScannerError::RateLimited { retry_after: self.retry_after },
            408 | 500.. => ScannerError::Server { status: self.status, message: said },
            _ => ScannerError::Rejected(said),
        }
    }
}

/// Whether the scanner can scan, by its own words.
///
/// # Errors
/// [`ScannerError::NotReady`] while it is loading, else [`ScannerError::Unusable`] with what is to be done about it.
pub(super) fn check_ready(status: &ServerStatus) -> Result<(), ScannerError> {
    let word = status.status.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
    let advice = match word.as_str() {
        "ready" => return Ok(()),
        "loading" => {
            return Err(ScannerError::NotReady(match status.progress {
                Some(percent) => format!("loading, {percent} %"),
                None => "loading".to_owned(),
            }));
        }
        "register" | "register-locked" => "it must be registered",
        "feed-expired" => "its plugin feed has expired",
        "eval-expired" => "its evaluation licence has expired",
        "locked" => "it is locked by its master password",
        "corrupt-db" => "its database is damaged",
        "download-failed" | "feed-error" => "its plugins could not be downloaded",
        // It answers, but not in words we know: perhaps it is just starting.
        "" => return Err(ScannerError::NotReady("it does not say its status".to_owned())),
        _ => return Err(ScannerError::NotReady(format!("it says the unknown status `{}`", excerpt(&word)))),
    };
    Err(ScannerError::Unusable(format!("{advice} (status `{word}`)")))
}

/// "Export is not allowed in trial mode. Please purchase a full Nessus license to enable exports."
fn speaks_of_a_licence(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["license", "licence", "trial mode", "evaluation"].iter().any(|word| words.contains(word))
}

/// The reason in a refusal: the field `error` of its JSON, else its text, unless that is a proxy's page.
pub(super) fn words(status: StatusCode, body: &[u8], redactor: &Redactor, secrets: &[Secret]) -> String {
    if let Ok(Value::Object(fields)) = serde_json::from_str(&lenient::text_of(body)) {
        for field in ["error", "message", "status"] {
            if let Some(Value::String(text)) = fields.get(field).filter(|value| value.as_str() != Some("")) {
                return redactor.shown(text.as_bytes(), secrets);
            }
        }
    }
    if body.trim_ascii_start().starts_with(b"<") {
        return format!("HTTP {} with a page instead of an API answer", status.as_u16());
    }
    redactor.shown(body, secrets)
}

/// What a 503 says of the scanner's own state, if it comes from the scanner.
pub(super) fn server_status(status: StatusCode, body: &[u8]) -> Option<ServerStatus> {
    let server: Option<ServerStatus> = (status == StatusCode::SERVICE_UNAVAILABLE)
        .then(|| serde_json::from_str(&lenient::text_of(body)).ok())
        .flatten();
    server.filter(|server| server.status.is_some() || server.must_destroy_session == Some(true))
}

/// A body that came with a 2xx and is no answer to a JSON call.
#[derive(Debug)]
pub(super) enum NonAnswer {
    /// Nothing.
    Empty,
    /// A login page, or a proxy's.
    Page,
    /// An error with this status and these words.
    Refusal(u16, String),
    /// Something that is not a JSON object.
    NotAnObject,
}

/// Recognises a body that is no answer; `None` for what may be one.
pub(super) fn non_answer(body: &[u8]) -> Option<NonAnswer> {
    /// `status` stands beside `error` in answers that are none: `{"error":"","status":"ready"}`.
    #[derive(Deserialize)]
    struct Said {
        #[serde(default, deserialize_with = "lenient::value")]
        error: Value,
        status: Option<serde::de::IgnoredAny>,
    }

    match body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start().first() {
        None => return Some(NonAnswer::Empty),
        Some(b'<') => return Some(NonAnswer::Page),
        Some(b'{') => {}
        Some(_) => return Some(NonAnswer::NotAnObject),
    }
    let said: Said = serde_json::from_str(&lenient::text_of(body)).ok()?;
    let (Value::String(error), None) = (said.error, said.status) else { return None };
    let lower = error.to_ascii_lowercase();
    let mentions = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let status = match () {
        () if error.trim().is_empty() => return None,
        () if mentions(&["api is not available"]) => 412,
        () if mentions(&["invalid credentials", "need to log in", "not logged in", "session"]) => 401,
        () => 200,
    };
    Some(NonAnswer::Refusal(status, error))
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), capped.
pub(super) fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(until.duration_since(jiff::Timestamp::now())).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use rstest::rstest;

    use super::*;
    use crate::{error::Classified as _, scanner::nessus::call::Access};

    fn error(status: u16, words: &str, retry_after: Option<Duration>) -> ScannerError {
        let refusal = Refusal { status, words: words.to_owned(), retry_after, ..Refusal::default() };
        refusal.into_error(&Call::new(Method::GET, "/scans", Access::Session))
    }

    #[rstest]
    #[case(200, "scanner_bad_answer")]
    #[case(302, "scanner_configuration")]
    #[case(400, "scanner_rejected")]
    #[case(401, "scanner_session_refused")]
    #[case(403, "scanner_forbidden")]
    #[case(404, "scan_vanished")]
    #[case(408, "scanner_server_error")]
    #[case(409, "scanner_conflict")]
    #[case(412, "scanner_api_not_available")]
    #[case(429, "scanner_rate_limited")]
    #[case(500, "scanner_server_error")]
    #[case(502, "scanner_server_error")]
    #[case(503, "scanner_server_error")]
    fn each_status_has_its_error(#[case] status: u16, #[case] code: &str) {
        let error = error(status, "because", None);
        assert_eq!(error.code(), code);
        assert!(status == 429 || error.to_string().contains("because"), "{error}");
    }

    #[rstest]
    #[case(429, Some(7))]
    #[case(503, Some(7))]
    #[case(500, None)]
    fn who_is_asked_to_come_later_knows_when(#[case] status: u16, #[case] seconds: Option<u64>) {
        let error = error(status, "later", Some(Duration::from_secs(7)));
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs));
    }

    #[test]
    fn a_licence_has_an_error_of_its_own() {
        let words = "Export is not allowed in trial mode. Please purchase a full Nessus license to enable exports.";
        assert_eq!(error(403, words, None).code(), "scanner_licence");
        assert_eq!(error(403, "The scan is disabled", None).code(), "scanner_forbidden");
    }

    #[rstest]
    #[case(r#"{"error":"API is not available"}"#, "API is not available")]
    #[case(r#"{"code":503,"status":"loading"}"#, "loading")]
    #[case("  <html><body>502 Bad Gateway</body></html>", "HTTP 500 with a page instead of an API answer")]
    #[case(r#"{"error":"no such user planted-password"}"#, "no such user [redacted]")]
    #[case("session planted-session is over", "session [redacted] is over")]
    #[case("", "")]
    fn the_reason_is_found_and_secrets_are_not(#[case] body: &str, #[case] expected: &str) {
        let redactor = Redactor::new([Secret::new("planted-password")]);
        redactor.learn(&Secret::new("planted-session"));
        assert_eq!(words(StatusCode::INTERNAL_SERVER_ERROR, body.as_bytes(), &redactor, &[]), expected);
    }

    #[rstest]
    #[case(" ", "Some(Empty)")]
    #[case("<!DOCTYPE html>", "Some(Page)")]
    #[case("[]", "Some(NotAnObject)")]
    #[case("not ready", "Some(NotAnObject)")]
    #[case(r#"{"error":"Invalid Credentials"}"#, r#"Some(Refusal(401, "Invalid Credentials"))"#)]
    #[case(r#"{"error":"API is not available"}"#, r#"Some(Refusal(412, "API is not available"))"#)]
    #[case(r#"{"error":"disk full"}"#, r#"Some(Refusal(200, "disk full"))"#)]
    #[case(r#"{"error":"","message":"The download is ready.","status":"ready"}"#, "None")]
    #[case(r#"{"error":"failed","status":"error"}"#, "None")]
    #[case(r#"{"error":null,"scans":null}"#, "None")]
    #[case(r#"{"scans":["#, "None")]
    fn a_non_answer_is_recognised(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(format!("{:?}", non_answer(body.as_bytes())), expected);
    }

    #[rstest]
    #[case("7", Some(7))]
    #[case("86400", Some(900))]
    #[case("Mon, 30 Nov 2099 23:59:59 GMT", Some(900))]
    #[case("Sun, 06 Nov 1994 08:49:37 GMT", Some(0))]
    #[case("soon", None)]
    fn retry_after_is_read_in_both_forms_and_capped(#[case] value: &'static str, #[case] seconds: Option<u64>) {
        assert_eq!(retry_after(&HeaderValue::from_static(value)), seconds.map(Duration::from_secs));
    }

    #[rstest]
    #[case(r#"{"status":"loading","progress":37}"#, "loading, 37 %", true)]
    #[case(r#"{"status":"Loading","progress":null}"#, "loading", true)]
    #[case(r#"{"status":"brooding"}"#, "`brooding`", true)]
    #[case("{}", "does not say", true)]
    #[case(r#"{"status":"feed-expired"}"#, "its plugin feed has expired", false)]
    #[case(r#"{"status":"register"}"#, "must be registered", false)]
    #[case(r#"{"status":"corrupt-db"}"#, "damaged", false)]
    #[case(r#"{"status":"locked"}"#, "master password", false)]
    fn a_scanner_that_cannot_scan_says_why(#[case] json: &str, #[case] words: &str, #[case] passes: bool) {
        let error = check_ready(&serde_json::from_str(json).unwrap()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.is_retryable(), passes, "{error:?}");
        assert!(error.hint().is_some());
    }
}
