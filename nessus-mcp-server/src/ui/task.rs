//! One task: where it stands, and its life.

use maud::{Markup, html};
use nessus_mcp_lib::{
    error::counted,
    ids::InstanceId,
    service::{MarkKind, TaskView, TimelineMark, TimelineView},
    task::{EventKind, TaskEvent},
};

use super::{
    frame::{Page, link, short, text},
    reader::{Failure, Reader},
    words::{lasting, moment, progress, status, tag, when},
};

/// The most events that are shown; a task has no more than some hundred.
const MOST_EVENTS: usize = 500;
/// The characters of a text.
const CHARS: usize = 1_000;

/// The page.
pub(super) async fn page(reader: &Reader) -> Result<Page, Failure> {
    let task_id = reader.task_id()?;
    let view = reader.service().status(&task_id).await?;
    let timeline = reader.service().timeline(&task_id).await?;
    let body = html! {
        p { (status(view.status)) " "
            @if let Some(phase) = view.phase { (phase) " " }
            @if !view.status.is_terminal() { (progress(view.progress)) }
        }
        (links(reader, &view))
        (mark(reader, &timeline))
        (facts(reader, &view, timeline.mark.as_ref()))
        (notes(&view, timeline.mark.as_ref()))
        section {
            h2 { "What has happened" }
            (events(&timeline, reader.is_operator()))
        }
    };
    let title = short(&view.name, 200).into_owned();
    Ok(if view.status.is_terminal() { Page::new(title, body) } else { Page::live(title, body) })
}

fn links(reader: &Reader, view: &TaskView) -> Markup {
    let task_id = view.task_id.as_str();
    html! {
        @if view.results_available {
            p.pages {
                @if reader.may("get_scan_summary") { a href={ "/ui/scans/" (task_id) } { "Report" } " " }
                @if reader.may("get_scan_results") { a href={ "/ui/scans/" (task_id) "/findings" } { "Findings" } " " }
                @if reader.may("compare_scans") { a href=(link("/ui/compare", [("after", task_id)])) { "Compare with an earlier scan" } }
            }
        }
    }
}

/// Why it does not move.
fn mark(reader: &Reader, timeline: &TimelineView) -> Markup {
    let Some(mark) = &timeline.mark else { return html! {} };
    html! {
        p.alarm[mark.kind == MarkKind::Stuck].hint[mark.kind != MarkKind::Stuck] {
            strong { (mark.kind.as_str()) ": " } (short(&mark.reason, CHARS))
            @if let Some(since) = mark.since { ", since " (when(since, reader.now)) }
            @if let Some(next) = mark.next_try_at { ", tried again " (when(next, reader.now)) }
            @if let Some(code) = &mark.code { " (" code { (text(code)) } ")" }
            @if let Some(hint) = &mark.hint { br; (short(hint, CHARS)) }
        }
    }
}

fn facts(reader: &Reader, view: &TaskView, mark: Option<&TimelineMark>) -> Markup {
    // What the mark has said already is not said again.
    let is_said = |waits: &&str| mark.is_some_and(|mark| mark.reason.contains(waits));
    let now = reader.now;
    let hosts = view.hosts_known.map(|known| format!("{} of {known} done", view.hosts_done.unwrap_or_default()));
    let wait = view.estimated_wait_seconds.map(|seconds| lasting(std::time::Duration::from_secs(seconds)));
    let made_of = view.policy.as_deref().or(view.template.as_deref());
    let attempts = format!("{} of {}", view.attempt, view.max_attempts);
    let rows = [
        ("Task", Some(view.task_id.as_str())),
        ("Targets", Some(view.targets.as_str())),
        ("Addresses checked", view.checked_targets.as_deref()),
        ("Kind", Some(view.scan_type.as_str())),
        ("Made of", made_of),
        ("Pool", Some(view.scanner_pool.as_str())),
        ("Scanner", view.scanner_instance.as_ref().map(InstanceId::as_str)),
        ("Hosts", hosts.as_deref()),
        ("On the scanner", view.scan_state.as_deref()),
        ("Likely to begin in", wait.as_deref()),
        ("Waits for", view.waiting_for.as_deref().filter(|waits| !is_said(waits))),
        ("Attempt", Some(attempts.as_str())),
        ("Login", view.authentication_status.as_deref()),
        ("Error", view.error_code.as_deref()),
        ("What went wrong", view.error_message.as_deref()),
    ];
    html! {
        dl.facts {
            @for (name, value) in rows {
                @if let Some(value) = value { div { dt { (name) } dd { (short(value, CHARS)) } } }
            }
            @if let Some(place) = view.queue_position { div { dt { "Place in the queue" } dd { (place) } } }
            div { dt { "Accepted" } dd { (when(view.created_at, now)) } }
            @if let Some(at) = view.started_at { div { dt { "Started" } dd { (when(at, now)) } } }
            @if let Some(at) = view.completed_at { div { dt { "Ended" } dd { (when(at, now)) } } }
            @if let Some(seconds) = view.execution_time { div { dt { "Took" } dd { (format!("{seconds:.0} s")) } } }
        }
    }
}

/// What a reader must know, and what to look at next.
fn notes(view: &TaskView, mark: Option<&TimelineMark>) -> Markup {
    let marked = mark.filter(|mark| mark.hint.is_some()).and_then(|mark| mark.code.as_deref());
    let earlier = view.ended_attempts.iter().filter(|ended| ended.attempt < view.attempt).count();
    let said = view.scope_warning.iter().chain(&view.outside_of_window).chain(&view.validation_warnings);
    html! {
        ul.notes {
            @for warning in said { li.warn { (short(warning, CHARS)) } }
            @for advice in view.troubleshooting.iter().filter(|advice| marked != Some(&*advice.code)) {
                li { strong { (text(&advice.code)) ". " } (short(&advice.advice, CHARS)) }
            }
        }
        @if earlier > 0 { p.note { (counted(earlier, "earlier attempt has ended", "earlier attempts have ended")) ", as stands below." } }
    }
}

/// Whether it says from which worker another has taken the task.
const fn names_a_worker(event: &TaskEvent) -> bool {
    matches!(event.event, EventKind::Claimed | EventKind::Adopted)
}

/// What has happened; an operator is told by whom.
fn events(timeline: &TimelineView, is_operator: bool) -> Markup {
    html! {
        @if timeline.left_out > 0 { p.note { (counted(timeline.left_out, "event is", "events are")) " left out of the middle." } }
        div.scroll { table.timeline {
            thead { tr { th { "When" } th { "Attempt" } th.text { "What" } @if is_operator { th.text { "By" } } th.text { "More" } } }
            tbody {
                @for event in timeline.entries.iter().take(MOST_EVENTS) {
                    tr {
                        td { (moment(event.at)) }
                        td { (event.attempt) }
                        td.text {
                            (text(&event.event.as_str().replace('_', " ")))
                            @if let Some(count) = event.count { " × " (count) }
                        }
                        @if is_operator { td.text { @if let Some(by) = &event.by { (short(by, 120)) } } }
                        td.text {
                            @if let Some(code) = &event.code { (tag("warn", code)) " " }
                            @if let Some(detail) = event.detail.as_ref().filter(|_| is_operator || !names_a_worker(event)) { (short(detail, CHARS)) }
                            @if let Some(hint) = &event.hint { br; small { (short(hint, CHARS)) } }
                        }
                    }
                }
            }
        } }
    }
}
