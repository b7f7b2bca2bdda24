//! Dead letters as they stand in the sorted set: the body's own fields, then `error`, `error_code`, `failed_at` and
//! `attempt`, in one JSON object. What is no body stands in `raw_data`.

use serde_json::{Map, Value};

use crate::{
    ids::TaskId,
    queue::entry::{DeadLetter, DeadReason},
    time::Timestamp,
};

/// What begins the part that was appended to a body. Inside a JSON text the quotes would be escaped.
const APPENDED: &str = ",\"error\":";

/// The text that is appended to a body, before and after the time.
pub(super) fn appended(reason: &DeadReason) -> [String; 2] {
    let text = |text: &str| Value::from(text).to_string();
    let more = reason.more().iter().fold(String::new(), |more, (name, value)| more + &format!(",\"{name}\":{value}"));
    [
        format!("{APPENDED}{},\"error_code\":{},\"failed_at\":\"", text(&reason.error), text(&reason.error_code)),
        format!("\",\"attempt\":{}{more}}}", reason.attempt),
    ]
}

/// A moment as the score of a letter: seconds, as `dead.lua` writes them.
pub(super) fn score(at: Timestamp) -> String {
    let (seconds, millis) = (at.as_millis().div_euclid(1000), at.as_millis().rem_euclid(1000));
    if seconds < 0 { seconds.to_string() } else { format!("{seconds}.{millis:03}") }
}

/// Reads a letter; `score` is when it failed, in seconds. Letters of other programs are shown as far as they say more.
pub(super) fn read(letter: &[u8], score: f64) -> DeadLetter {
    let text = String::from_utf8_lossy(letter).into_owned();
    #[expect(clippy::cast_possible_truncation, reason = "a time in ms is far from the limits")]
    let failed_at = Timestamp::from_millis((score * 1000.0).round() as i64);
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(&text) else {
        return DeadLetter::new(None, text, DeadReason::corrupted(), failed_at);
    };
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let attempt = fields.get("attempt").and_then(Value::as_u64).and_then(|attempt| u32::try_from(attempt).ok());
    let reason = DeadReason::new(field("error"), field("error_code"), attempt.unwrap_or(0));
    let reason = reason.with_more(&fields);
    let (task, body) = match fields.get("raw_data").and_then(Value::as_str) {
        Some(raw) if !fields.contains_key("task_id") => (None, raw.to_owned()),
        _ => (TaskId::new(field("task_id")).ok(), without_reason(text)),
    };
    DeadLetter::new(task, body, reason, failed_at)
}

fn without_reason(mut text: String) -> String {
    if let Some(at) = text.rfind(APPENDED) {
        text.truncate(at);
        text.push('}');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "ne_ness_20251201_143022_a1b2c3d4";

    fn written(body: &str, reason: &DeadReason) -> String {
        let [before, after] = appended(reason);
        format!("{}{before}2025-12-01T14:30:22.123Z{after}", body.strip_suffix('}').unwrap())
    }

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        let body =
            format!(r#"{{"task_id":"{TASK}","big":12345678901234567890123,"text":",\"error\":\"x\"","attempt":1}}"#);
        let reason = DeadReason::new("refused: ,\"error\":\"a\\b\"\n", "scanner_login_refused", 3)
            .with_scanner(Some("lab:one".to_owned()))
            .with_hint(Some("look at \"it\"".to_owned()));
        let text = written(&body, &reason);
        let letter = read(text.as_bytes(), 1_764_599_422.123);
        assert_eq!((letter.body.as_str(), &letter.reason), (body.as_str(), &reason));
        assert_eq!(letter.task_id.unwrap().as_str(), TASK);
        assert_eq!(letter.failed_at.to_string(), "2025-12-01T14:30:22.123Z");
        // Other readers see one object, in which the reason's fields come last and therefore count.
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&document["error_code"], &document["attempt"]), (&"scanner_login_refused".into(), &3.into()));
    }

    #[test]
    fn letters_of_other_programs_are_shown() {
        let letter = read(br#"{"error":"corrupted_json","raw_data":"{broken","failed_at":1.5}"#, 7.0);
        assert_eq!((letter.task_id, letter.body.as_str()), (None, "{broken"));
        let older = format!(r#"{{"error":"no route","task_id":"{TASK}","failed_at":"2025"}}"#);
        let letter = read(older.as_bytes(), 7.0);
        assert_eq!((letter.task_id.unwrap().as_str(), letter.reason.error.as_str()), (TASK, "no route"));
        assert_eq!(letter.body, older);
        assert_eq!(read(b"\xFFnonsense", 7.0).reason, DeadReason::corrupted());
    }
}
