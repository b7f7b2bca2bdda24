//! What a change of a task has been: its events, as they follow from the task before and after it.
//!
//! They are written together with the change. So none costs a write of its own, nothing that changes a task can forget its event, and a
//! scan that is looked at a thousand times has no event for each look.

use super::{
    events::{self, EventKind, TaskEvent},
    model::Task,
    pause::{PauseState, PausedBy},
    records::LastError,
    state::TaskStatus,
};
use crate::{error::counted, ids::scanner_name, policy::Verdict, time::Timestamp};

impl Task {
    /// Writes an event down.
    pub(crate) fn note(&mut self, event: TaskEvent) {
        self.events_left_out += events::append(&mut self.events, event);
    }

    /// Who has done this last, in the present attempt.
    pub(crate) fn last_by(&self, kind: &EventKind) -> Option<&str> {
        let mut found = self.events.iter().rev().filter(|event| event.attempt == self.attempt && event.event == *kind);
        found.next()?.by.as_deref()
    }

    /// Writes down how it was submitted.
    pub(super) fn note_submit(&mut self, by: Option<&str>) {
        let by = by.map(str::to_owned).or_else(|| self.submitted_by.clone());
        self.note(TaskEvent::new(EventKind::Submitted, self.attempt, self.created_at).by(by.as_deref()));
        self.note_queued(self.created_at);
        if let Some(asked) = asked(self, self.created_at) {
            self.note(asked);
        }
    }

    /// Writes down that it is to be run once more, in the attempt that begins.
    pub(super) fn note_retry(&mut self, by: Option<&str>, now: Timestamp) {
        self.note(TaskEvent::new(EventKind::RetryRequested, self.attempt, now).by(by));
        self.note_queued(now);
    }

    fn note_queued(&mut self, now: Timestamp) {
        let pinned = self.pinned_instance_id.as_ref();
        let place = match pinned {
            Some(instance) => format!("for the scanner {}", scanner_name(&self.scanner_pool, instance)),
            None => format!("for the pool {}", self.scanner_pool),
        };
        self.note(TaskEvent::new(EventKind::Queued, self.attempt, now).saying(Some(place)));
    }

    /// Writes down what has happened since `before`, and returns it. `by` has done it, at this moment; what the change itself has
    /// written down already is not written again.
    pub(super) fn note_changes(&mut self, before: &Self, by: Option<&str>, now: Timestamp) -> Vec<TaskEvent> {
        let told: Vec<_> =
            self.events.iter().rev().take_while(|event| !before.events.contains(event)).cloned().collect();
        let is_told = |kind: &EventKind| told.iter().any(|event| event.event == *kind);
        let mut found = changes(before, self, by, now);
        found.retain(|event| {
            !(is_told(&event.event) || event.event == EventKind::Created && is_told(&EventKind::Found))
        });
        for event in &found {
            self.note(event.clone());
        }
        told.into_iter().rev().chain(found).collect()
    }
}

/// What has happened between two states of a task.
fn changes(before: &Task, after: &Task, by: Option<&str>, now: Timestamp) -> Vec<TaskEvent> {
    let event = |kind| TaskEvent::new(kind, after.attempt, now).by(by);
    let mut found = Vec::new();
    if after.fence != before.fence {
        found.extend(claim(before, after, by, now));
    }
    if let Some(asked) = asked(after, now).filter(|_| request_of(after) != request_of(before)) {
        found.push(asked);
    }
    found.extend(decision(before, after, now));
    if let (None, Some(scan)) = (&before.nessus_scan_id, &after.nessus_scan_id) {
        found.push(event(EventKind::Created).saying(Some(format!("scan {scan}{}", on(after)))));
    }
    if let (None, Some(_), Some(scan)) = (&before.scan_uuid, &after.scan_uuid, &after.nessus_scan_id) {
        found.push(event(EventKind::Launched).saying(Some(format!("scan {scan}{}", on(after)))));
    }
    found.extend(pause(before, after, by, now));
    found.extend(phase(before, after).map(|(kind, detail)| event(kind).saying(detail)));
    if before.cancel_requested_at.is_none() && after.cancel_requested_at.is_some() && !after.status.is_terminal() {
        found.push(event(EventKind::CancelRequested).saying(after.cancel_reason.as_ref()));
    }
    let failed = |last: &Option<LastError>| last.as_ref().map(|last| (last.at, last.count, last.code.clone()));
    if let Some(last) = after.last_error.as_ref().filter(|_| failed(&before.last_error) != failed(&after.last_error)) {
        let LastError { step, code, message, hint, .. } = last;
        let retrying = event(EventKind::Retrying).because(Some(code), hint.as_deref());
        found.push(retrying.saying(Some(format!("{step}: {message}"))));
    }
    if before.validation_stats.is_none() && after.validation_stats.is_some() {
        found.push(event(EventKind::Checked).saying(Some(verdict(after))));
    }
    if after.status != before.status {
        found.extend(end(after.status).map(|kind| {
            let because = event(kind).because(after.error_code.as_deref(), after.error_hint.as_deref());
            because.saying(after.error_message.as_ref())
        }));
    }
    let is_delivered = |event: &TaskEvent| event.attempt == after.attempt && event.event == EventKind::Delivered;
    if before.last_accessed_at != after.last_accessed_at && !before.events.iter().any(is_delivered) {
        found.push(event(EventKind::Delivered).saying(Some("its results were read for the first time")));
    }
    found
}

const fn end(status: TaskStatus) -> Option<EventKind> {
    match status {
        TaskStatus::Completed => Some(EventKind::Completed),
        TaskStatus::Failed => Some(EventKind::Failed),
        TaskStatus::Timeout => Some(EventKind::Timeout),
        TaskStatus::Cancelled => Some(EventKind::Cancelled),
        TaskStatus::Queued | TaskStatus::Running => None,
    }
}

fn on(task: &Task) -> String {
    let instance = task.scanner_instance_id.as_ref();
    instance.map(|instance| format!(" on {}", scanner_name(&task.scanner_pool, instance))).unwrap_or_default()
}

/// The first write of a claim. A worker that comes back to its own task is no news.
fn claim(before: &Task, after: &Task, by: Option<&str>, now: Timestamp) -> Option<TaskEvent> {
    if after.status != TaskStatus::Running {
        return None;
    }
    let event = |kind| TaskEvent::new(kind, after.attempt, now).by(by);
    if before.status == TaskStatus::Queued {
        return Some(event(EventKind::Claimed));
    }
    let is_claim = |event: &&TaskEvent| matches!(event.event, EventKind::Claimed | EventKind::Adopted);
    let of_attempt = before.events.iter().filter(|event| event.attempt == after.attempt);
    // What was repeated stands where it happened first.
    let last = of_attempt.filter(is_claim).max_by_key(|event| event.last_at.unwrap_or(event.at));
    let holder = last.and_then(|event| event.by.as_deref());
    let since = last.map_or(before.created_at, |event| event.last_at.unwrap_or(event.at));
    let left = before.events.iter().rev().filter(|event| event.by.as_deref() == holder && holder.is_some());
    let left = left.take_while(|event| event.last_at.unwrap_or(event.at) >= since);
    let left = left.map(|event| &event.event).find(|kind| matches!(kind, EventKind::HandedOver | EventKind::Retrying));
    if holder == by && left != Some(&EventKind::HandedOver) {
        return None;
    }
    let how = match left {
        Some(EventKind::HandedOver) => "which had handed it over",
        Some(_) => "which had put it off",
        None => "whose lease had ended",
    };
    let kind = if before.has_scan() { EventKind::Adopted } else { EventKind::Claimed };
    Some(event(kind).saying(holder.map(|holder| format!("from {holder}, {how}"))))
}

fn request_of(task: &Task) -> Option<&str> {
    task.approval.as_ref().map(|approval| approval.request.asked.as_str())
}

fn asked(task: &Task, now: Timestamp) -> Option<TaskEvent> {
    let request = &task.approval.as_ref()?.request;
    let rules: Vec<_> = request.rules.keys().map(String::as_str).collect();
    let anew = request.asked_anew.as_ref().map(|why| format!(", once more, because {why}")).unwrap_or_default();
    let said = format!("{}{anew}, until {}", rules.join(", "), request.expires_at);
    Some(TaskEvent::new(EventKind::ApprovalAsked, task.attempt, now).saying(Some(said)))
}

fn decision(before: &Task, after: &Task, now: Timestamp) -> Option<TaskEvent> {
    let of = |task: &Task| task.approval.as_ref().and_then(|approval| approval.decision.clone());
    let decided = of(after).filter(|decided| of(before).as_ref() != Some(decided))?;
    let kind = match decided.verdict {
        Verdict::Approved => EventKind::Approved,
        Verdict::Denied => EventKind::Denied,
    };
    Some(TaskEvent::new(kind, after.attempt, now).by(Some(&decided.by)).saying(decided.reason))
}

/// The wish to hold a task, and how its scan stands because of it.
fn pause(before: &Task, after: &Task, by: Option<&str>, now: Timestamp) -> Vec<TaskEvent> {
    let event = |kind| TaskEvent::new(kind, after.attempt, now);
    let mut found = Vec::new();
    match (&before.pause_request, &after.pause_request) {
        (None, Some(request)) => {
            found.push(event(EventKind::PauseRequested).by(by).saying(request.reason.as_ref()));
        }
        (Some(_), None) if !after.status.is_terminal() && after.attempt == before.attempt => {
            found.push(event(EventKind::ResumeRequested).by(by));
        }
        _ => {}
    }
    let is_held = |task: &Task| {
        task.pause.as_ref().is_some_and(|pause| matches!(pause.state, PauseState::Paused | PauseState::Resuming))
    };
    match (is_held(before), is_held(after), &after.pause) {
        (false, true, Some(pause)) => {
            let whose = match pause.by {
                PausedBy::Request => after.last_by(&EventKind::PauseRequested).map(str::to_owned),
                PausedBy::Window | PausedBy::Approval => Some("the policy".to_owned()),
                PausedBy::Scanner => Some("somebody on the scanner".to_owned()),
            };
            found.push(event(EventKind::Paused).by(whose.as_deref()).saying(pause.reason.as_ref()));
        }
        (true, false, _) if !after.status.is_terminal() && after.attempt == before.attempt => {
            found.push(event(EventKind::Resumed).by(by));
        }
        _ => {}
    }
    found
}

/// The phase that the scanner has begun to report.
fn phase(before: &Task, after: &Task) -> Option<(EventKind, Option<String>)> {
    let state = after.observation.as_ref()?.state.as_str();
    let known = before.observation.as_ref().map(|seen| seen.state.as_str());
    if known == Some(state) {
        return None;
    }
    let (kind, detail) = match state {
        "pending" => (EventKind::Pending, None),
        "running" => (EventKind::Scanning, None),
        "stopping" => (EventKind::Stopping, None),
        "completed" | "cancelled" | "aborted" => (EventKind::ScanEnded, Some(format!("{state}{}", on(after)))),
        _ => return None,
    };
    // One that was not to be seen for a while goes on in the same phase.
    let is_phase = |kind: &EventKind| {
        matches!(kind, EventKind::Pending | EventKind::Scanning | EventKind::Stopping | EventKind::ScanEnded)
    };
    let of_attempt = before.events.iter().rev().filter(|event| event.attempt == after.attempt);
    let last = of_attempt.map(|event| &event.event).find(|kind| is_phase(kind));
    (last != Some(&kind)).then_some((kind, detail))
}

/// What was found, and whether the login has worked.
fn verdict(task: &Task) -> String {
    let stats = task.validation_stats.as_ref();
    let number = |name: &str| stats.and_then(|stats| stats[name].as_u64());
    let hosts = number("hosts").map(|hosts| counted(hosts, "host", "hosts"));
    let items = number("items").map(|items| counted(items, "finding", "findings"));
    let login = task.authentication_status.as_ref().map(|status| format!("login {status}"));
    let warnings = match task.validation_warnings.len() {
        0 => None,
        count => Some(counted(count as u64, "warning", "warnings")),
    };
    [hosts, items, login, warnings].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
