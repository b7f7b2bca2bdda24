//! What a scan's details mean.
//!
//! Nessus has no field for progress: it is computed from the checks of the hosts. Only hosts already begun are listed,
//! so it can fall back, and reach the end before the scan does; keeping it from falling is the caller's part, who
//! knows what was said before.

use serde_json::Value;

use super::{
    adopt::current,
    wire::{Details, HostSums},
};
use crate::{
    error::excerpt,
    scanner::{
        error::ScannerError,
        interface::{ScanState, ScanStatus},
    },
};

/// The state behind a status word of `GET /scans/{id}`.
pub(super) fn state_of(word: &str) -> ScanState {
    match word.trim().to_ascii_lowercase().as_str() {
        "empty" => ScanState::Created,
        "pending" | "initializing" | "processing" => ScanState::Pending,
        "running" | "resuming" => ScanState::Running,
        "pausing" | "paused" => ScanState::Paused,
        "stopping" | "canceling" | "killing" => ScanState::Stopping,
        // Tenable's document says `cancelled`, the wire says `canceled`.
        "canceled" | "cancelled" | "stopped" => ScanState::Cancelled,
        "completed" | "imported" => ScanState::Completed,
        "aborted" => ScanState::Aborted,
        _ => ScanState::Unknown,
    }
}

/// The status in the details of a scan.
///
/// # Errors
/// [`ScannerError::Decode`] when there is no status word in them.
pub(super) fn summarise(call: &str, details: &Details) -> Result<ScanStatus, ScannerError> {
    let info = details.info.as_ref();
    let word =
        info.and_then(|info| info.status.as_deref()).filter(|word| !word.trim().is_empty()).ok_or_else(|| {
            ScannerError::Decode { call: call.to_owned(), message: "there is no `info.status` in it".to_owned() }
        })?;
    let state = state_of(word);
    let mut status = ScanStatus::new(state);
    status.progress = progress(state, details.hosts.unwrap_or_default());
    status.hosts = details.hosts.map(|sums| sums.hosts);
    let is_complete = state == ScanState::Completed;
    status.hosts_done = details.hosts.map(|sums| if is_complete { sums.hosts } else { sums.hosts_done });
    status.left_out_hosts = info.and_then(|info| info.license.as_ref()?.trimmed);
    status.run_uuid = current(details);
    let notes = notes(&details.notes);
    let said = if notes.is_empty() { word.to_owned() } else { format!("{word}: {notes}") };
    status.detail = Some(excerpt(&said).to_string());
    Ok(status)
}

/// `floor(100 * done / total)` over the hosts: at most 99 before the end, 100 when completed, nothing without hosts.
fn progress(state: ScanState, sums: HostSums) -> Option<u8> {
    if state == ScanState::Completed {
        return Some(100);
    }
    let percent = (sums.checks_done * 100).checked_div(sums.checks)?;
    u8::try_from(percent.min(99)).ok()
}

/// The fields of a remark that hold its words, in this order.
const WORDS: [&str; 6] = ["title", "message", "note", "notes", "text", "error"];

/// The scanner's remarks: nothing, a text, a list of them, or objects with a `title` and a `message`, however deep they are
/// wrapped.
fn notes(notes: &Value) -> String {
    let all = |found: Vec<String>, separator| {
        found.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(separator)
    };
    match notes {
        Value::String(text) => text.clone(),
        Value::Array(entries) => all(entries.iter().map(self::notes).collect(), "; "),
        Value::Object(fields) => {
            let words = WORDS.iter().filter_map(|field| fields.get(*field)).map(self::notes).collect();
            let words = all(words, ": ");
            if !words.is_empty() {
                return words;
            }
            let wrapped = fields.values().filter(|value| value.is_object() || value.is_array());
            all(wrapped.map(self::notes).collect(), "; ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn details(json: &Value) -> Details {
        serde_json::from_value(json.clone()).unwrap()
    }

    #[rstest]
    #[case("empty", ScanState::Created)]
    #[case("pending", ScanState::Pending)]
    #[case("processing", ScanState::Pending)]
    #[case("running", ScanState::Running)]
    #[case("Running ", ScanState::Running)]
    #[case("resuming", ScanState::Running)]
    #[case("pausing", ScanState::Paused)]
    #[case("paused", ScanState::Paused)]
    #[case("stopping", ScanState::Stopping)]
    #[case("canceling", ScanState::Stopping)]
    #[case("killing", ScanState::Stopping)]
    #[case("canceled", ScanState::Cancelled)]
    #[case("cancelled", ScanState::Cancelled)]
    #[case("stopped", ScanState::Cancelled)]
    #[case("completed", ScanState::Completed)]
    #[case("imported", ScanState::Completed)]
    #[case("aborted", ScanState::Aborted)]
    #[case("publishing", ScanState::Unknown)]
    #[case("hibernating", ScanState::Unknown)]
    fn every_status_word_has_its_state(#[case] word: &str, #[case] state: ScanState) {
        assert_eq!(state_of(word), state);
    }

    #[rstest]
    #[case::no_hosts("running", "[]", None)]
    #[case::null_hosts("pending", "null", None)]
    #[case::totals_of_zero("running", r#"[{"scanprogresscurrent":0,"scanprogresstotal":0}]"#, None)]
    #[case::floor("running", r#"[{"scanprogresscurrent":2,"scanprogresstotal":3}]"#, Some(66))]
    #[case::sum(
        "running",
        r#"[{"scanprogresscurrent":100,"scanprogresstotal":100},{"scanprogresscurrent":0,"scanprogresstotal":300}]"#,
        Some(25)
    )]
    #[case::texts("running", r#"[{"scanprogresscurrent":"50","scanprogresstotal":"100"}]"#, Some(50))]
    #[case::missing_fields("running", r#"[{},{"scanprogresscurrent":1,"scanprogresstotal":4}]"#, Some(25))]
    #[case::early_end("running", r#"[{"scanprogresscurrent":9,"scanprogresstotal":9}]"#, Some(99))]
    #[case::beyond("running", r#"[{"scanprogresscurrent":19,"scanprogresstotal":9}]"#, Some(99))]
    #[case::huge("running", r#"[{"scanprogresscurrent":18446744073709551615,"scanprogresstotal":18446744073709551615},{"scanprogresscurrent":0,"scanprogresstotal":18446744073709551615}]"#, Some(50))]
    #[case::cancelled("canceled", r#"[{"scanprogresscurrent":9,"scanprogresstotal":9}]"#, Some(99))]
    #[case::completed("completed", "null", Some(100))]
    #[case::completed_below("completed", r#"[{"scanprogresscurrent":1,"scanprogresstotal":9}]"#, Some(100))]
    fn progress_is_computed(#[case] word: &str, #[case] hosts: &str, #[case] expected: Option<u8>) {
        let hosts: Value = serde_json::from_str(hosts).unwrap();
        let details = details(&serde_json::json!({ "info": { "status": word }, "hosts": hosts }));
        assert_eq!(summarise("GET /scans/1", &details).unwrap().progress, expected);
    }

    #[rstest]
    #[case::never_ran("empty", "null", None, None)]
    #[case::none_yet("running", "[]", Some(0), Some(0))]
    #[case::one_of_three(
        "running",
        r#"[{"scanprogresscurrent":9,"scanprogresstotal":9},{"scanprogresscurrent":1,"scanprogresstotal":9},{}]"#,
        Some(3),
        Some(1)
    )]
    #[case::not_begun("running", r#"[{"scanprogresscurrent":0,"scanprogresstotal":0}]"#, Some(1), Some(0))]
    #[case::completed("completed", r#"[{"scanprogresscurrent":1,"scanprogresstotal":9}]"#, Some(1), Some(1))]
    fn hosts_are_counted(
        #[case] word: &str,
        #[case] hosts: &str,
        #[case] known: Option<u64>,
        #[case] done: Option<u64>,
    ) {
        let hosts: Value = serde_json::from_str(hosts).unwrap();
        let details = details(&serde_json::json!({ "info": { "status": word }, "hosts": hosts }));
        let status = summarise("GET /scans/1", &details).unwrap();
        assert_eq!((status.hosts, status.hosts_done), (known, done));
    }

    #[rstest]
    #[case(r#"{"info":{"status":"aborted"},"notes":null}"#, "aborted")]
    #[case(r#"{"info":{"status":"aborted"},"notes":"engine restarted"}"#, "aborted: engine restarted")]
    #[case(
        r#"{"info":{"status":"aborted"},"notes":[{"title":"Licence","message":"16 hosts"},{"x":1}]}"#,
        "aborted: Licence: 16 hosts"
    )]
    #[case(
        r#"{"info":{"status":"aborted"},"notes":{"note":[{"title":"Licence","message":"16 hosts","severity":3}]}}"#,
        "aborted: Licence: 16 hosts"
    )]
    #[case(
        r#"{"info":{"status":"aborted"},"notes":[[{"title":"Licence","message":{"text":"16 hosts"}}],null,{}]}"#,
        "aborted: Licence: 16 hosts"
    )]
    #[case(
        r#"{"info":{"status":"aborted"},"notes":{"1":{"message":"engine restarted"}}}"#,
        "aborted: engine restarted"
    )]
    fn the_reason_of_an_abort_is_told(#[case] json: &str, #[case] detail: &str) {
        let details: Details = serde_json::from_str(json).unwrap();
        assert_eq!(summarise("GET /scans/1", &details).unwrap().detail.as_deref(), Some(detail));
    }

    #[rstest]
    #[case(r#"{"limit":16,"trimmed":"3"}"#, Some(3))]
    #[case(r#"{"limit":16,"trimmed":0}"#, Some(0))]
    #[case("null", None)]
    fn what_the_licence_left_out_is_told(#[case] info: &str, #[case] hosts: Option<u64>) {
        let info: Value = serde_json::from_str(info).unwrap();
        let details = details(&serde_json::json!({ "info": { "status": "running", "license_info": info } }));
        assert_eq!(summarise("GET /scans/1", &details).unwrap().left_out_hosts, hosts);
    }

    #[test]
    fn a_template_uuid_is_no_run() {
        for (uuid, run) in [("template-1", None), ("2776e999", Some("2776e999")), ("", None)] {
            let details = details(&serde_json::json!({ "info": { "status": "empty", "uuid": uuid } }));
            assert_eq!(summarise("GET /scans/1", &details).unwrap().run_uuid.as_deref(), run);
        }
    }

    #[rstest]
    #[case("{}")]
    #[case(r#"{"info":null}"#)]
    #[case(r#"{"info":{"status":""}}"#)]
    fn details_without_a_status_are_no_answer(#[case] json: &str) {
        let details: Details = serde_json::from_str(json).unwrap();
        assert!(matches!(summarise("GET /scans/1", &details), Err(ScannerError::Decode { .. })));
    }
}
