//! What a webhook is sent: JSON of version 1, which `docs/webhooks.md` describes field by field.
//!
//! It says how things stand, in words that programs understand. It holds no text of a finding, no login, and no message of an error,
//! because a message may quote what a scanned host has written.

use serde::Serialize;
use serde_json::Value;

use crate::{
    error::excerpt,
    policy::Approval,
    results::SeverityCounts,
    service::advice_on,
    targets::shortened,
    task::{Delivery, Task, TaskStatus},
    time::Timestamp,
};

/// The version of the document. What is added does not change it.
const VERSION: u32 = 1;
/// The event that an operator sends to see whether a webhook takes it.
pub(super) const PING: &str = "ping";
/// The most rules that are named.
const MOST_RULES: usize = 20;

#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    id: &'a str,
    event: &'a str,
    time: Timestamp,
    webhook: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<ResultsPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalPart>,
}

#[derive(Serialize)]
struct TaskPart {
    id: String,
    name: String,
    status: String,
    attempt: u32,
    scan_type: &'static str,
    pool: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scanner: Option<String>,
    targets: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    submitted_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct ErrorPart {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

#[derive(Serialize)]
struct ResultsPart {
    hosts: u64,
    severity_counts: SeverityCounts,
    warnings: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<String>,
}

#[derive(Serialize)]
struct ApprovalPart {
    rules: Vec<String>,
    asked_at: Timestamp,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What a webhook is told about a delivery of a task, as the task stands now.
pub(super) fn of(task: &Task, delivery: &Delivery, id: &str) -> serde_json::Result<String> {
    let status = if is_end(&delivery.event) { delivery.event.as_str() } else { task.status.as_str() };
    // Of an earlier attempt the file has less: a retry begins anew.
    let is_current = delivery.attempt == task.attempt;
    let part = TaskPart {
        id: task.task_id.to_string(),
        name: short(&task.payload.name),
        status: status.to_owned(),
        attempt: delivery.attempt,
        scan_type: task.scan_type.as_str(),
        pool: task.scanner_pool.to_string(),
        scanner: task.scanner_instance_id.as_ref().filter(|_| is_current).map(ToString::to_string),
        targets: shortened(&task.payload.targets),
        submitted_by: task.submitted_by.as_deref().map(short),
        team: task.team.as_deref().map(short),
        created_at: task.created_at,
        started_at: task.started_at.filter(|_| is_current),
        completed_at: is_end(&delivery.event).then_some(delivery.at),
    };
    let approval = task.approval.as_ref().filter(|_| is_current && !is_end(&delivery.event));
    let body = Body {
        version: VERSION,
        id,
        event: &delivery.event,
        time: delivery.at,
        webhook: delivery.webhook.as_deref().unwrap_or_default(),
        error: error_of(task, delivery),
        results: is_current.then(|| results_of(task)).flatten().filter(|_| is_end(&delivery.event)),
        approval: approval.map(approval_of),
        task: Some(part),
    };
    serde_json::to_string(&body)
}

/// What a webhook is sent to see whether it takes it.
pub(super) fn ping(webhook: &str, id: &str, time: Timestamp) -> serde_json::Result<String> {
    let (task, error, results, approval) = (None, None, None, None);
    serde_json::to_string(&Body { version: VERSION, id, event: PING, time, webhook, task, error, results, approval })
}

/// Whether an event is the end of an attempt: then its word is that of the status.
fn is_end(event: &str) -> bool {
    TaskStatus::ALL.iter().any(|status| status.is_terminal() && status.as_str() == event)
}

/// The code of an attempt that did not end well, as its history has it.
fn error_of(task: &Task, delivery: &Delivery) -> Option<ErrorPart> {
    let is_it = |step: &&crate::task::HistoryEntry| step.at == delivery.at && step.to.as_str() == delivery.event;
    let code = task.history.iter().rev().find(is_it)?.error_code.as_deref()?;
    Some(ErrorPart { code: short(code), hint: advice_on(code) })
}

fn results_of(task: &Task) -> Option<ResultsPart> {
    let stats = task.validation_stats.as_ref()?;
    Some(ResultsPart {
        hosts: stats.get("hosts").and_then(Value::as_u64)?,
        severity_counts: serde_json::from_value(stats.get("severity_counts")?.clone()).ok()?,
        warnings: task.validation_warnings.len(),
        authentication: task.authentication_status.as_deref().map(short),
    })
}

fn approval_of(approval: &Approval) -> ApprovalPart {
    let Approval { request, decision } = approval;
    ApprovalPart {
        rules: request.rules.keys().take(MOST_RULES).map(|rule| short(rule)).collect(),
        asked_at: request.asked_at,
        expires_at: request.expires_at,
        verdict: decision.as_ref().map(|decision| decision.verdict.as_str()),
        by: decision.as_ref().map(|decision| short(&decision.by)),
        reason: decision.as_ref().and_then(|decision| decision.reason.as_deref()).map(short),
    }
}

/// The beginning of a text that people have chosen.
fn short(text: &str) -> String {
    excerpt(text).to_string()
}
