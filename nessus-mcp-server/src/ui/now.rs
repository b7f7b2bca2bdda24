//! *Now*: what waits, what runs, who works, and what is wrong.

use std::{cmp::Reverse, time::Duration};

use maud::{Markup, html};
use nessus_mcp_lib::{
    circuit_breaker::CircuitState,
    error::counted,
    service::{KnownApprovals, PoolStatusView, ServiceError, TaskListView, TaskSummary, WorkerState, WorkersView},
    task::{TaskQuery, TaskStatus},
    telemetry::{CheckStatus, HealthCheck, HealthReport},
    time::Timestamp,
};
use serde_json::Value;

use super::{
    frame::{Page, link, short, text},
    reader::{Missing, Reader, shown},
    words::{lasting, progress, status, tag, task, when},
};

/// The most running scans and waiting approvals that are shown.
const MOST: usize = 50;
/// The most workers that are shown.
const MOST_WORKERS: usize = 100;
/// The most failures that are shown.
const MOST_FAILURES: usize = 10;
/// The characters of a list of targets, or of a reason.
const CHARS: usize = 160;

/// A pool, and how long its next task has waited.
struct PoolNow {
    status: PoolStatusView,
    oldest: Option<Duration>,
}

/// The page.
pub(super) async fn page(reader: &Reader) -> Page {
    let (health, pools, workers, running, failures, approvals) = tokio::join!(
        reader.section("health_check", async { Ok(reader.service().health().await) }),
        reader.section("get_pool_status", pools(reader)),
        reader.section("get_queue_status", reader.service().workers()),
        reader.section("list_tasks", list(reader, TaskStatus::Running, MOST)),
        reader.section("list_tasks", failures(reader)),
        reader.section("list_tasks", reader.service().known_approvals(MOST)),
    );
    let body = html! {
        (shown(&health, checks))
        section {
            h2 { "Queues" }
            (shown(&pools, |pools| queues(pools)))
        }
        section {
            h2 { "Running scans" }
            (shown(&running, |list| running_scans(reader, list)))
        }
        (waiting(reader.now, reader.is_operator(), &approvals))
        section {
            h2 { "Workers" }
            (shown(&workers, |workers| workers_of(reader, workers)))
        }
        @if let Ok(pools) = &pools { (circuits(reader, pools)) }
        section {
            h2 { "Failed scans" }
            (shown(&failures, |failed| failures_of(reader, failed)))
        }
    };
    Page::live("Now", body)
}

async fn pools(reader: &Reader) -> Result<Vec<PoolNow>, ServiceError> {
    let service = reader.service();
    let mut pools = Vec::new();
    for pool in service.list_pools().await?.pools {
        let name = pool.scanner_pool.as_str();
        let (status, oldest) = tokio::join!(service.pool_status(Some(name)), service.oldest_waiting(name));
        pools.push(PoolNow { status: status?, oldest: oldest? });
    }
    Ok(pools)
}

async fn list(reader: &Reader, status: TaskStatus, most: usize) -> Result<TaskListView, ServiceError> {
    reader.service().list_tasks(TaskQuery::default().with_status(status).with_limit(most)).await
}

/// Of those that ended in error, the ones that were accepted last, the last first: the list has no other order.
async fn failures(reader: &Reader) -> Result<Vec<TaskSummary>, ServiceError> {
    let (failed, late) =
        tokio::join!(list(reader, TaskStatus::Failed, MOST_FAILURES), list(reader, TaskStatus::Timeout, MOST_FAILURES));
    let mut ended = failed?.tasks;
    ended.extend(late?.tasks);
    ended.sort_by_key(|task| Reverse(task.created_at));
    ended.truncate(MOST_FAILURES);
    Ok(ended)
}

/// How well the system is, in figures and in words.
fn checks(report: &HealthReport) -> Markup {
    let of = |name: &str| report.checks.get(name);
    let figure = |check: &str, name: &str| of(check).and_then(|check| check.details.get(name)).map(plain);
    let figures = [
        ("queue answers in ms", figure("queue", "latency_ms")),
        ("scanners available", figure("scanners", "available")),
        ("workers alive", figure("workers", "alive")),
        ("% of the disk in use", figure("disk", "used_pct")),
    ];
    let ill = report.checks.iter().filter(|(_, check)| check.status != CheckStatus::Healthy);
    html! {
        ul.cards {
            li { strong { (how_well(report.status)) } "system" }
            @for (what, value) in figures {
                li { strong { (value.as_deref().unwrap_or("–")) } (what) }
            }
        }
        ul.notes {
            @for (name, check) in ill {
                li.warn[check.status == CheckStatus::Degraded].alarm[check.status == CheckStatus::Unhealthy] {
                    strong { (name) ": " (how_well(check.status)) ". " }
                    (details(check))
                }
            }
        }
    }
}

const fn how_well(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Healthy => "healthy",
        CheckStatus::Degraded => "degraded",
        CheckStatus::Unhealthy => "unhealthy",
    }
}

fn details(check: &HealthCheck) -> String {
    // What has parts of its own, the circuits of each process, stands in a table below, as far as the reader may know it.
    let plain_ones = check.details.iter().filter(|(_, value)| !value.is_object());
    let said = plain_ones.map(|(name, value)| format!("{}: {}", name.replace('_', " "), plain(value)));
    short(&said.collect::<Vec<_>>().join("; "), 4 * CHARS).into_owned()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn queues(pools: &[PoolNow]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { "Pool" } th { "Waiting" } th { "Oldest waits" } th { "A new scan waits" } th { "Running" } th { "Delayed" }
                th { "Held by workers" } th { "Dead letters" } th { "Workers" } th.text { "State" }
            } }
            tbody {
                @for PoolNow { status, oldest } in pools {
                    @let (pool, queue) = (&status.pool, &status.queue);
                    tr {
                        td { a href=(link("/ui/tasks", [("scanner_pool", pool.scanner_pool.as_str())])) { (pool.scanner_pool) } }
                        td { (queue.queued) }
                        td { (oldest.map(lasting).unwrap_or_default()) }
                        td { (status.estimated_wait_seconds.map(|wait| lasting(Duration::from_secs(wait))).unwrap_or_default()) }
                        td { (pool.active_scans) " of " (pool.capacity) }
                        td { (queue.delayed) }
                        td { (queue.leased) }
                        td { @if queue.dead > 0 { (tag("warn", &queue.dead.to_string())) } @else { "0" } }
                        td { @if let Some(workers) = pool.workers { (workers) } }
                        td.text {
                            @if let Some(reason) = &queue.paused { (tag("warn", "paused")) " " (short(reason, CHARS)) " " }
                            @if let Some(nobody) = &queue.no_worker { (tag("bad", "no worker")) " " (short(nobody, CHARS)) }
                        }
                    }
                }
            }
        } }
        @if pools.is_empty() { p.note { "You may use no pool." } }
    }
}

fn running_scans(reader: &Reader, list: &TaskListView) -> Markup {
    html! {
        @if list.tasks.is_empty() { p.note { "No scan is running." } }
        @else {
            div.scroll { table {
                thead { tr {
                    th { "Scan" } th.text { "Progress" } th.text { "Scanner" } th.text { "Targets" } th { "Accepted" }
                } }
                tbody {
                    @for one in &list.tasks {
                        tr {
                            td { (task(&one.task_id, &one.name)) }
                            td.text { (progress(one.progress)) }
                            td.text.place { (scanner(one)) }
                            td.text { (short(&one.targets, CHARS)) }
                            td { (when(one.created_at, reader.now)) }
                        }
                    }
                }
            } }
            @if list.truncated {
                p.note { a href=(link("/ui/tasks", [("status", "running")])) { "All " (list.total) " running scans" } }
            }
        }
    }
}

fn scanner(one: &TaskSummary) -> Markup {
    html! { (one.scanner_pool) @if let Some(instance) = &one.scanner_instance { ":" (instance) } }
}

/// What waits for a person. Nothing where nothing does, and for whom tasks are not told.
fn waiting(now: Timestamp, is_operator: bool, approvals: &Result<KnownApprovals, Missing>) -> Markup {
    let is_empty = match approvals {
        Ok(known) => known.waiting.is_empty() && known.unreadable == 0,
        Err(missing) => matches!(missing, Missing::NotPermitted(_)),
    };
    html! {
        @if !is_empty {
            section {
                h2 { "Waiting for approval" }
                (shown(approvals, |known| approvals_of(now, is_operator, known)))
            }
        }
    }
}

fn approvals_of(now: Timestamp, is_operator: bool, known: &KnownApprovals) -> Markup {
    html! {
        p.note { "A person decides with " code { "nessus-admin approvals" } "." }
        @if known.unreadable > 0 {
            p.alarm { (counted(known.unreadable, "file of a scan that waits", "files of scans that wait")) " cannot be read: an operator must repair that." }
        }
        @if !known.waiting.is_empty() {
            div.scroll { table {
                thead { tr {
                    th { "Scan" } @if is_operator { th.text { "Asked by" } th.text { "Login" } } th.text { "Targets" } th.text { "Rules" }
                    th { "Since" } th { "Ends" }
                } }
                tbody {
                    @for one in &known.waiting {
                        tr {
                            td { (task(&one.task_id, &one.name)) }
                            @if is_operator {
                                td.text { (short(&one.asked_by.join(", "), CHARS)) }
                                td.text { (short(one.login.as_deref().unwrap_or("none"), CHARS)) }
                            }
                            td.text { (short(&one.targets, CHARS)) " (" (one.target_hosts) ")" }
                            td.text { (short(&one.rules.join(", "), CHARS)) }
                            td { (when(one.asked_at, now)) }
                            td { (when(one.expires_at, now)) }
                        }
                    }
                }
            } }
        }
        @if known.has_more { p.note { "More wait." } }
    }
}

/// The workers. An operator is told which they are.
fn workers_of(reader: &Reader, view: &WorkersView) -> Markup {
    let is_operator = reader.is_operator();
    html! {
        @for pool in &view.unserved_pools {
            p.alarm[pool.waiting > 0].note[pool.waiting == 0] {
                "No worker serves " strong { (pool.scanner_pool) } ": " (counted(pool.waiting, "task waits", "tasks wait")) "."
                @if let Some(at) = pool.last_heard_at { " The last was heard of " (when(at, reader.now)) "." }
            }
        }
        @if view.workers.is_empty() { p.note { "No worker is known." } }
        @else {
            div.scroll { table {
                thead { tr {
                    @if is_operator { th { "Worker" } th.text { "Version" } } th.text { "State" } th.text { "Pools" } th { "Holds" } th { "Heard" }
                    th { "Clock ahead" }
                } }
                tbody {
                    @for worker in view.workers.iter().take(MOST_WORKERS) {
                        tr {
                            @if is_operator {
                                td {
                                    @if let Some(host) = &worker.host { (text(host)) " " }
                                    @if let Some(pid) = worker.pid { "pid " (pid) " " }
                                    small.id { (worker.worker) }
                                }
                                td.text { @if let Some(version) = &worker.version { (text(version)) } }
                            }
                            td.text { (worker_state(worker.state)) }
                            td.text { @for served in &worker.pools { (served.pool) " " } }
                            td { (worker.holding) }
                            td { @if let Some(seconds) = worker.heard_seconds_ago { (lasting(Duration::from_secs(seconds))) " ago" } }
                            td { @if let Some(offset) = worker.clock_offset_ms { (offset) " ms" } }
                        }
                    }
                }
            } }
            @if view.workers.len() > MOST_WORKERS { p.note { "and " (view.workers.len() - MOST_WORKERS) " more" } }
        }
    }
}

fn worker_state(state: WorkerState) -> Markup {
    let class = match state {
        WorkerState::Alive => "good",
        WorkerState::Lost => "bad",
        _ => "warn",
    };
    tag(class, state.as_str())
}

/// The circuits that are not closed; nothing where all are.
fn circuits(reader: &Reader, pools: &[PoolNow]) -> Markup {
    let instances = pools.iter().flat_map(|pool| &pool.status.instances);
    let open: Vec<_> = instances.filter(|one| one.circuit.state != CircuitState::Closed).collect();
    html! {
        @if !open.is_empty() {
            section {
                h2 { "Circuits" }
                div.scroll { table {
                    thead { tr { th { "Scanner" } th.text { "State" } th { "Since" } th { "Tried again" } th.text { "Why" } } }
                    tbody {
                        @for one in open {
                            tr {
                                td { (one.scanner_pool) ":" (one.scanner_instance) }
                                td.text { (super::words::circuit(one.circuit.state)) }
                                td { @if let Some(since) = one.circuit.since { (when(since, reader.now)) } }
                                td { @if let Some(wait) = one.circuit.retry_after_seconds { "in " (lasting(Duration::from_secs(wait))) } }
                                td.text { (short(&one.circuit.reason, 2 * CHARS)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn failures_of(reader: &Reader, failed: &[TaskSummary]) -> Markup {
    html! {
        @if failed.is_empty() { p.note { "No scan has failed." } }
        @else {
            p.note { "Those that were accepted last, " (MOST_FAILURES) " at most." }
            div.scroll { table {
                thead { tr { th { "Scan" } th.text { "State" } th.text { "Error" } th.text { "Scanner" } th { "Accepted" } th { "Ended" } } }
                tbody {
                    @for one in failed {
                        tr {
                            td { (task(&one.task_id, &one.name)) }
                            td.text { (status(one.status)) }
                            td.text { @if let Some(code) = &one.error_code { code { (text(code)) } } }
                            td.text.place { (scanner(one)) }
                            td { (when(one.created_at, reader.now)) }
                            td { @if let Some(at) = one.completed_at { (when(at, reader.now)) } }
                        }
                    }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_approval_does_not_vanish_without_a_word() {
        let shown = |approvals| waiting(Timestamp::from_millis(0), true, &approvals).into_string();
        assert_eq!(shown(Ok(KnownApprovals::default())), "");
        assert_eq!(shown(Err(Missing::NotPermitted("list_tasks"))), "");
        let missing = shown(Err(Missing::NoAnswer));
        assert!(missing.contains("Waiting for approval") && missing.contains("No answer"), "{missing}");
    }
}
