//! What to look at next, when something is wrong with a task.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::advice;
use crate::{
    error::counted,
    results::CauseCount,
    task::{ScanType, Task, TaskStatus, WARNING_CODES},
    time::Timestamp,
};

/// How long a task may be the next on a scanner with a free slot before that is worth a word: workers ask far more often.
const UNCLAIMED: Duration = Duration::from_secs(90);
/// How long a task may be queued before it is worth a word.
const LONG_IN_QUEUE: Duration = Duration::from_secs(600);
/// How long a scan may show no change before it is worth a word.
pub(super) const LONG_WITHOUT_CHANGE: Duration = Duration::from_secs(1800);

/// What to do about something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Advice {
    /// What is wrong, as a stable code: that of an error, of a warning about the results, of why a login failed, or of what
    /// keeps the task waiting.
    pub code: String,
    /// What it means and what to do, in sentences.
    pub advice: String,
}

impl Advice {
    fn on(code: &str) -> Self {
        Self { code: code.to_owned(), advice: advice::of(code).to_owned() }
    }
}

/// Where a queued task stands.
pub(super) struct Place {
    /// Its place among those that are ready.
    pub queue_position: Option<u64>,
    /// How long it is likely to wait.
    pub estimated_wait_seconds: Option<u64>,
    /// Whether something keeps it from beginning.
    pub is_held: bool,
    /// Whether no worker takes it.
    pub has_no_worker: bool,
}

/// What to look at next. The most direct first: its failure, then what is retried, what it waits for, and what its results
/// lack.
pub(super) fn of(task: &Task, place: &Place, now: Timestamp) -> Vec<Advice> {
    let retried = task.last_error.as_ref().map(|last| last.code.as_str());
    let failed = task.error_code.as_deref().filter(|_| task.status.is_terminal());
    let mut found: Vec<Advice> = failed.into_iter().chain(retried).map(Advice::on).collect();
    if !task.status.is_terminal() && found.is_empty() {
        found.extend(waiting(task, place, now).map(Advice::on));
    }
    found.extend(of_results(task));
    found
}

/// The code of what keeps a task waiting for long.
fn waiting(task: &Task, place: &Place, now: Timestamp) -> Option<&'static str> {
    if place.has_no_worker {
        return Some("no_worker");
    }
    if place.is_held {
        return Some("cannot_begin");
    }
    let unchanged = task.observation.as_ref().map(|seen| now.since(seen.unchanged_since));
    let queued = now.since(queued_at(task));
    let is_next = place.queue_position.is_some() && place.estimated_wait_seconds == Some(0);
    match task.status {
        TaskStatus::Queued if is_next && queued >= UNCLAIMED => Some("no_worker"),
        TaskStatus::Queued if !is_next && queued >= LONG_IN_QUEUE => Some("queued_long"),
        TaskStatus::Running if task.pause.is_some() => Some("paused"),
        TaskStatus::Running if unchanged.is_some_and(|unchanged| unchanged >= LONG_WITHOUT_CHANGE) => {
            Some("no_progress")
        }
        _ => None,
    }
}

/// When the task was queued, by its submit or by a retry.
fn queued_at(task: &Task) -> Timestamp {
    let retried = task.history.iter().rev().find(|step| step.to == TaskStatus::Queued);
    retried.map_or(task.created_at, |step| step.at)
}

/// What the results lack: logins by their cause, then hosts. The hosts of a cause are listed in the statistics.
fn of_results(task: &Task) -> Vec<Advice> {
    let Some(stats) = &task.validation_stats else { return Vec::new() };
    let mut found = Vec::new();
    if task.scan_type != ScanType::Untrusted {
        for count in causes(stats) {
            let hosts = counted(count.hosts, "host", "hosts");
            let advice = format!("On {hosts}: {}.", count.cause.advice());
            found.push(Advice { code: count.cause.as_str().to_owned(), advice });
        }
    }
    let codes = stats[WARNING_CODES].as_array().into_iter().flatten().filter_map(Value::as_str);
    for code in codes {
        // Several warnings may be about the same; what the causes say already has no row.
        let Some(advice) = advice::known(code) else { continue };
        if !found.iter().any(|other| other.advice == advice) {
            found.push(Advice { code: code.to_owned(), advice: advice.to_owned() });
        }
    }
    found
}

fn causes(stats: &Value) -> Vec<CauseCount> {
    serde_json::from_value(stats["authentication"]["causes"].clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        ids::{PoolName, TaskId, TraceId},
        task::{LastError, Observation, Pause, PauseState, PausedBy, ScanPayload, Step},
    };

    const FREE: Place =
        Place { queue_position: Some(1), estimated_wait_seconds: Some(0), is_held: false, has_no_worker: false };
    const BEHIND: Place =
        Place { queue_position: Some(4), estimated_wait_seconds: None, is_held: false, has_no_worker: false };
    const HELD: Place =
        Place { queue_position: Some(1), estimated_wait_seconds: None, is_held: true, has_no_worker: false };
    const UNSERVED: Place =
        Place { queue_position: Some(1), estimated_wait_seconds: None, is_held: true, has_no_worker: true };

    fn task(scan_type: ScanType) -> Task {
        let now = Timestamp::from_millis(0);
        let id = TaskId::generate("mock", "lab", now);
        let payload = ScanPayload::new("office", "192.0.2.1");
        Task::new(id, TraceId::generate(), scan_type, "mock", PoolName::new("lab").unwrap(), payload, now)
    }

    fn codes(task: &Task, place: &Place, seconds: i64) -> Vec<String> {
        let found = of(task, place, Timestamp::from_millis(seconds * 1000));
        assert!(found.iter().all(|one| one.advice.ends_with('.')), "{found:?}");
        found.into_iter().map(|one| one.code).collect()
    }

    #[test]
    fn a_task_that_waits_for_long_says_why() {
        let mut task = task(ScanType::Untrusted);
        for (place, seconds, code) in [
            (&FREE, 5, None),
            (&FREE, 90, Some("no_worker")),
            (&BEHIND, 90, None),
            (&BEHIND, 600, Some("queued_long")),
            (&HELD, 1, Some("cannot_begin")),
            (&UNSERVED, 1, Some("no_worker")),
        ] {
            assert_eq!(codes(&task, place, seconds), code.into_iter().collect::<Vec<_>>());
        }
        task.status = TaskStatus::Running;
        task.observation = Some(Observation::new("running", Some(40), Timestamp::from_millis(0)));
        assert_eq!(codes(&task, &BEHIND, 1799), [""; 0]);
        assert_eq!(codes(&task, &BEHIND, 1800), ["no_progress"]);
        task.pause = Some(Pause::new(PausedBy::Request, PauseState::Paused, Timestamp::from_millis(0)));
        assert_eq!(codes(&task, &BEHIND, 1800), ["paused"]);
        task.pause = None;
        // What goes wrong is said instead.
        task.last_error = Some(LastError::new(Step::Watch, "scanner_unreachable", "m", Timestamp::from_millis(0)));
        assert_eq!(codes(&task, &BEHIND, 1800), ["scanner_unreachable"]);
    }

    #[test]
    fn an_end_is_explained_with_what_its_results_lack() {
        let mut task = task(ScanType::Trusted);
        task.status = TaskStatus::Timeout;
        task.error_code = Some("scan_timeout".to_owned());
        let causes =
            json!([{ "cause": "bad_credentials", "hosts": 2 }, { "cause": "insufficient_privilege", "hosts": 1 }]);
        let warned = ["licence_limit", "dead_hosts", "hosts_without_findings", "authentication_failed"];
        task.validation_stats = Some(json!({ "authentication": { "causes": causes }, WARNING_CODES: warned }));
        let expected = ["scan_timeout", "bad_credentials", "insufficient_privilege", "licence_limit", "dead_hosts"];
        assert_eq!(codes(&task, &FREE, 0), expected);
        // Nobody wanted a login.
        task.scan_type = ScanType::Untrusted;
        assert_eq!(codes(&task, &FREE, 0), ["scan_timeout", "licence_limit", "dead_hosts"]);
        task.status = TaskStatus::Completed;
        (task.error_code, task.validation_stats) = (None, None);
        assert_eq!(codes(&task, &FREE, 0), [""; 0]);
    }
}
