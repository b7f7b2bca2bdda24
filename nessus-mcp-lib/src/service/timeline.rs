//! The life of a task, from what stands in its file: what happened, who did it, and why it does not move.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ScanService, advice, error::ServiceError, phase::Phase, shorten, task_view::TaskView};
use crate::{
    error::counted,
    ids::{InstanceId, PoolName, TaskId, TraceId},
    task::{EventKind, HistoryEntry, LastError, Task, TaskEvent, TaskStatus},
    time::Timestamp,
};

/// A scan that takes so many times as long as those of its pool usually do is slow.
const SLOW_TIMES: u32 = 3;
/// Scans that take less than this are not slow, whatever others take.
const NEVER_SLOW: Duration = Duration::from_secs(600);

/// The answer of [`ScanService::timeline`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TimelineView {
    /// The task.
    pub task_id: TaskId,
    /// The request it came with.
    pub trace_id: TraceId,
    /// The name of the scan.
    pub name: String,
    /// Its status now.
    pub status: TaskStatus,
    /// What is being done with it; absent when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The number of the attempt: 1, and 1 more for each retry.
    pub attempt: u32,
    /// Its pool.
    pub scanner_pool: PoolName,
    /// The scanner it is bound to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanner_instance: Option<InstanceId>,
    /// The worker that has written last that it has the task; it may have died since. Absent while none has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// Why it does not move, or moves slowly; absent where there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<TimelineMark>,
    /// What has happened, oldest first, in the order in which it was written down.
    pub entries: Vec<TaskEvent>,
    /// How many events are left out of the middle.
    pub left_out: u64,
}

/// How a task stands that does not move as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MarkKind {
    /// A person or the policy holds it.
    Held,
    /// Something is in its way.
    Stuck,
    /// It goes on, but takes long.
    Slow,
}

impl MarkKind {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Stuck => "stuck",
            Self::Slow => "slow",
        }
    }
}

/// Why a task does not move as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[non_exhaustive]
pub struct TimelineMark {
    /// held, stuck or slow.
    pub kind: MarkKind,
    /// Why, in words.
    pub reason: String,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The code of what is retried, or of what keeps it waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
}

impl ScanService {
    /// The life of a task. Of one that older versions of the program have written it is what their files tell.
    ///
    /// # Errors
    /// [`ServiceError::Task`] with the code `task_not_found` when there is none.
    pub async fn timeline(&self, task_id: &TaskId) -> Result<TimelineView, ServiceError> {
        let view = self.status(task_id).await?;
        let task = self.task(task_id).await?;
        let mark = self.mark(&task, &view).await;
        let mut entries = entries(&task);
        for entry in &mut entries {
            let advice = entry.code.as_deref().filter(|_| entry.hint.is_none()).and_then(advice::known);
            entry.hint = entry.hint.take().or_else(|| advice.map(str::to_owned));
        }
        Ok(TimelineView {
            worker: holder(&task).map(str::to_owned),
            mark,
            entries,
            left_out: task.events_left_out,
            task_id: view.task_id,
            trace_id: view.trace_id,
            name: view.name,
            status: view.status,
            phase: view.phase,
            attempt: view.attempt,
            scanner_pool: view.scanner_pool,
            scanner_instance: view.scanner_instance,
            progress: view.progress,
        })
    }

    async fn mark(&self, task: &Task, view: &TaskView) -> Option<TimelineMark> {
        if task.status.is_terminal() {
            return None;
        }
        let is_held = view.pause.is_some()
            || self.approval_request(task).is_some()
            || (!task.has_scan() && self.closed_window(task).is_some());
        let advice = view.troubleshooting.first();
        let mark = |kind, reason: String, since| TimelineMark {
            kind,
            reason,
            since,
            code: advice.map(|advice| advice.code.clone()),
            hint: advice.map(|advice| advice.advice.clone()),
            next_try_at: None,
        };
        if is_held {
            let pause = view.pause.as_ref();
            let by_pause = || pause.map(|pause| pause.reason.clone().unwrap_or_else(|| "it is paused".to_owned()));
            let reason = view.waiting_for.clone().or_else(by_pause).unwrap_or_else(|| "it is held".to_owned());
            return Some(mark(MarkKind::Held, reason, pause.map(|pause| pause.since)));
        }
        if let Some(LastError { step, code, message, hint, count, since, next_try_at, .. }) = &task.last_error {
            let tries = counted(*count, "time", "times in a row");
            let failed = format!("the step `{step}` has failed {tries}: {message}");
            let reason = view.waiting_for.as_ref().filter(|waits| !waits.contains(message.as_str()));
            let reason = reason.map_or_else(|| failed.clone(), |waits| format!("{waits}; {failed}"));
            let hint = hint.clone().or_else(|| advice::known(code).map(str::to_owned));
            let (code, next_try_at) = (Some(code.clone()), Some(*next_try_at));
            let stuck = mark(MarkKind::Stuck, shorten::text(&reason), Some(*since));
            return Some(TimelineMark { code, hint, next_try_at, ..stuck });
        }
        if let Some(waiting_for) = &view.waiting_for {
            return Some(mark(MarkKind::Stuck, waiting_for.clone(), None));
        }
        match advice.map(|advice| advice.code.as_str()) {
            Some("no_progress") => {
                let state = view.scan_state.as_deref().unwrap_or("running");
                let reason = format!("the scanner shows no change: the scan is {state}");
                Some(mark(MarkKind::Stuck, reason, view.scan_unchanged_since))
            }
            Some("no_worker") => {
                let reason = "a scanner has a free slot, and no worker takes the task".to_owned();
                Some(mark(MarkKind::Stuck, reason, Some(task.created_at)))
            }
            Some("queued_long") => {
                Some(mark(MarkKind::Slow, "it waits for a free slot".to_owned(), Some(task.created_at)))
            }
            _ => self.slow(task).await,
        }
    }

    /// Whether a scan takes much longer than others of its pool.
    async fn slow(&self, task: &Task) -> Option<TimelineMark> {
        let (now, began) = (self.clock.now(), task.started_at?);
        let lasted = now.since(task.time_counts_from(now)?);
        let usual = self.typical_duration(&task.scanner_pool).await?;
        let is_slow = lasted > NEVER_SLOW.max(usual.saturating_mul(SLOW_TIMES));
        is_slow.then(|| {
            let minutes = |time: Duration| counted(time.as_secs().div_ceil(60), "minute", "minutes");
            let reason = format!("it runs for {}; scans of this pool usually take {}", minutes(lasted), minutes(usual));
            let kind = MarkKind::Slow;
            TimelineMark { kind, reason, since: Some(began), code: None, hint: None, next_try_at: None }
        })
    }
}

/// The worker that has the task, as far as its file tells.
fn holder(task: &Task) -> Option<&str> {
    if task.status != TaskStatus::Running {
        return None;
    }
    let last =
        |event: &&TaskEvent| matches!(event.event, EventKind::Claimed | EventKind::Adopted | EventKind::HandedOver);
    let last = task.events.iter().filter(last).max_by_key(|event| event.last_at.unwrap_or(event.at))?;
    last.by.as_deref().filter(|_| last.event != EventKind::HandedOver)
}

/// The events of a task, and those that older versions of the program have written down in another way only.
fn entries(task: &Task) -> Vec<TaskEvent> {
    let mut entries = task.events.clone();
    let mut told = Vec::new();
    let attempt = task.attempt;
    if !task.events.iter().any(|event| event.event == EventKind::Submitted) {
        told.push(TaskEvent::new(EventKind::Submitted, 1, task.created_at).by(task.submitted_by.as_deref()));
    }
    told.extend(task.history.iter().filter(|step| !is_told(task, step)).map(|step| of_step(task, step)));
    let has = |kind: &EventKind| task.events.iter().any(|event| event.attempt == attempt && event.event == *kind);
    let mut date = |kind: EventKind, at: Option<Timestamp>, by: Option<&str>, detail: Option<&str>| {
        if let Some(at) = at.filter(|_| !has(&kind)) {
            told.push(TaskEvent::new(kind, attempt, at).by(by).saying(detail));
        }
    };
    if let Some(approval) = &task.approval {
        date(EventKind::ApprovalAsked, Some(approval.request.asked_at), None, None);
        if let Some(decision) = &approval.decision {
            let kind = if decision.verdict.as_str() == "denied" { EventKind::Denied } else { EventKind::Approved };
            date(kind, Some(decision.decided_at), Some(&decision.by), decision.reason.as_deref());
        }
    }
    let wish = task.pause_request.as_ref();
    let why = wish.and_then(|wish| wish.reason.as_deref());
    date(EventKind::PauseRequested, wish.map(|wish| wish.requested_at), None, why);
    // One that was cancelled before it began has no event of the wish.
    if !has(&EventKind::Cancelled) {
        date(EventKind::CancelRequested, task.cancel_requested_at, None, task.cancel_reason.as_deref());
    }
    date(EventKind::Exported, task.export_fetched_at, None, None);
    for delivery in &task.deliveries {
        let (kind, at, failed) = match (delivery.delivered_at, delivery.given_up_at) {
            (Some(at), _) => (EventKind::WebhookTold, at, None),
            (None, Some(at)) => (EventKind::WebhookGivenUp, at, delivery.last_error.as_deref()),
            (None, None) => continue,
        };
        let of = format!("of `{}`{}", delivery.event, failed.map(|error| format!(": {error}")).unwrap_or_default());
        told.push(TaskEvent::new(kind, delivery.attempt, at).by(delivery.webhook.as_deref()).saying(Some(of)));
    }
    told.sort_by_key(|event| event.at);
    for event in told {
        // Of one millisecond, the end of an attempt comes last.
        let is_end = |later: &TaskEvent| later.attempt == event.attempt && ends(later) && !ends(&event);
        let is_after = |later: &TaskEvent| later.at > event.at || later.at == event.at && is_end(later);
        let place = entries.iter().position(is_after).unwrap_or(entries.len());
        entries.insert(place, event);
    }
    entries
}

fn ends(event: &TaskEvent) -> bool {
    use EventKind::{Cancelled, Completed, Failed, Timeout};
    matches!(event.event, Cancelled | Completed | Failed | Timeout)
}

/// Whether an event tells of this change of state.
fn is_told(task: &Task, step: &HistoryEntry) -> bool {
    let is_of = |event: &TaskEvent| match (&event.event, step.to) {
        // The attempt that begins has the next number.
        (EventKind::RetryRequested, TaskStatus::Queued) => event.attempt == step.attempt + 1,
        (EventKind::Claimed, TaskStatus::Running) => event.attempt == step.attempt,
        (kind, to) => event.attempt == step.attempt && kind.as_str() == to.as_str() && to.is_terminal(),
    };
    task.events.iter().any(is_of)
}

/// The event that a change of state stands for.
fn of_step(task: &Task, step: &HistoryEntry) -> TaskEvent {
    let is_now = step.attempt == task.attempt;
    let (kind, attempt) = match step.to {
        TaskStatus::Queued => (EventKind::RetryRequested, step.attempt + 1),
        TaskStatus::Running => (EventKind::Claimed, step.attempt),
        TaskStatus::Completed => (EventKind::Completed, step.attempt),
        TaskStatus::Failed => (EventKind::Failed, step.attempt),
        TaskStatus::Timeout => (EventKind::Timeout, step.attempt),
        TaskStatus::Cancelled => (EventKind::Cancelled, step.attempt),
    };
    let message = task.error_message.as_ref().filter(|_| is_now && step.to.is_terminal());
    TaskEvent::new(kind, attempt, step.at).because(step.error_code.as_deref(), None).saying(message)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::task::Writer;

    fn words(view: &TimelineView) -> Vec<String> {
        view.entries.iter().map(|entry| entry.event.as_str().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_task_of_an_older_version_has_a_timeline_of_its_dates() {
        let f = fixture().await;
        let task_id = f.service.submit(request()).await.unwrap().task_id;
        for status in [TaskStatus::Running, TaskStatus::Failed] {
            let change = move |task: &mut Task| {
                task.status = status;
                task.error_code = (status == TaskStatus::Failed).then(|| "scan_stalled".to_owned());
            };
            f.service.tasks().update(&task_id, Writer::Api, change).await.unwrap();
        }
        let whole = f.service.timeline(&task_id).await.unwrap();
        assert_eq!(words(&whole), ["submitted", "queued", "claimed", "failed"]);
        assert!(whole.entries[3].hint.as_deref().unwrap().contains("no progress"));
        let forget = |task: &mut Task| task.events.clear();
        let path = f.service.tasks().artifact_path(&task_id, "task.json");
        let mut task: Task = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        forget(&mut task);
        crate::durable::replace(&path, &serde_json::to_vec(&task).unwrap()).unwrap();
        let older = f.service.timeline(&task_id).await.unwrap();
        assert_eq!(words(&older), ["submitted", "claimed", "failed"]);
        assert_eq!((older.entries[2].code.as_deref(), older.mark), (Some("scan_stalled"), None));
        // And the next attempt is written by this version.
        f.service.with_actor("ops@desk").retry(&task_id).await.unwrap();
        let retried = f.service.timeline(&task_id).await.unwrap();
        assert_eq!(words(&retried), ["submitted", "claimed", "failed", "retry_requested", "queued"]);
        assert_eq!(retried.entries[3].by.as_deref(), Some("ops@desk"));
    }

    #[tokio::test]
    async fn what_does_not_move_is_marked_with_its_reason() {
        let f = fixture().await;
        let task_id = f.service.submit(request()).await.unwrap().task_id;
        assert_eq!(f.service.timeline(&task_id).await.unwrap().mark, None);
        f.service.pause(&task_id, Some("change freeze")).await.unwrap();
        let held = f.service.timeline(&task_id).await.unwrap().mark.unwrap();
        assert!(held.kind == MarkKind::Held && held.reason.contains("change freeze"), "{held:?}");
        f.service.resume(&task_id).await.unwrap();
        let now = f.service.clock().now();
        let failed = move |task: &mut Task| {
            let error = LastError::new(crate::task::Step::Begin, "scanner_unreachable", "no route", now);
            task.step_failed(crate::task::Step::Begin, error.with_hint(Some("look at the cable".to_owned())), now);
        };
        f.service.tasks().update(&task_id, Writer::Api, failed).await.unwrap();
        let stuck = f.service.timeline(&task_id).await.unwrap().mark.unwrap();
        assert_eq!((stuck.kind, stuck.code.as_deref()), (MarkKind::Stuck, Some("scanner_unreachable")));
        assert_eq!(
            (stuck.hint.as_deref(), stuck.since, stuck.next_try_at),
            (Some("look at the cable"), Some(now), Some(now))
        );
        assert!(stuck.reason.contains("no route"), "{}", stuck.reason);
    }
}
