//! *Tasks*: the list, by what `list_tasks` can ask for, a page at a time.

use maud::{Markup, html};
use nessus_mcp_lib::{
    error::counted,
    service::{TaskListView, TaskSummary},
    task::TaskStatus,
};
use serde_json::{Map, Value};

use super::{
    frame::{Page, link, short, text},
    reader::{Failure, Reader},
    words::{progress, status, task, when},
};
use crate::tools::{ListTasks, task_query};

/// The tasks of a page.
const PAGE: u64 = 50;
/// The characters of a list of targets.
const CHARS: usize = 160;
/// The fields of the form beside the state, with their labels and what may stand there.
const FIELDS: [(&str, &str, &str); 5] = [
    ("name", "Name", "text in the name"),
    ("scanner_pool", "Pool", "name of a pool"),
    ("targets", "Targets", "192.0.2.0/24, db.example"),
    ("created_from", "Accepted from", "2026-11-28"),
    ("created_before", "before", "2026-11-29"),
];

/// The page.
pub(super) async fn page(reader: &Reader) -> Result<Page, Failure> {
    let list = reader.service().list_tasks(task_query(&arguments(reader)?)?).await?;
    let body = html! {
        (form(reader))
        p.note { (list.total) " match." }
        @if !list.unreadable.is_empty() {
            p.alarm {
                (counted(list.unreadable.len() + list.unreadable_left_out, "file cannot", "files cannot")) " be read, so an operator must repair them: "
                @for task_id in &list.unreadable { code { (task_id) } " " }
            }
        }
        (table(reader, &list))
        p.pages {
            @if reader.params.get("cursor").is_some() { a href=(link("/ui/tasks", reader.params.without("cursor"))) { "Newest" } " " }
            @if let Some(cursor) = &list.next_cursor {
                a href=(link("/ui/tasks", reader.params.without("cursor").chain([("cursor", cursor.as_str())]))) rel="next" { "Older" }
            }
        }
    };
    Ok(Page::new("Tasks", body))
}

/// What was asked for, as the tool would be asked.
fn arguments(reader: &Reader) -> Result<ListTasks, Failure> {
    let names = FIELDS.iter().map(|(name, ..)| *name).chain(["status", "cursor"]);
    let given = names.filter_map(|name| Some((name.to_owned(), Value::from(reader.params.get(name)?))));
    let given: Map<_, _> = given.chain([("limit".to_owned(), PAGE.into())]).collect();
    serde_json::from_value(Value::Object(given)).map_err(Failure::bad_request)
}

fn form(reader: &Reader) -> Markup {
    let chosen = reader.params.get("status");
    html! {
        form.filters method="get" action="/ui/tasks" {
            label { "State"
                select name="status" {
                    option value="" { "any" }
                    @for status in TaskStatus::ALL {
                        option value=(status.as_str()) selected[chosen == Some(status.as_str())] { (status.as_str()) }
                    }
                }
            }
            @for (name, label, placeholder) in FIELDS {
                label { (label)
                    input type="text" name=(name) placeholder=(placeholder) value=[reader.params.get(name)];
                }
            }
            button type="submit" { "Show" }
            a href="/ui/tasks" { "All" }
        }
    }
}

fn table(reader: &Reader, list: &TaskListView) -> Markup {
    html! {
        @if list.tasks.is_empty() { p.note { "There is none." } }
        @else {
            div.scroll { table {
                thead { tr {
                    th { "Scan" } th.text { "State" } th.text { "Targets" } th.text { "Scanner" } th { "Accepted" } th { "Ended" } th.text { "" }
                } }
                tbody { @for one in &list.tasks { (row(reader, one)) } }
            } }
        }
    }
}

fn row(reader: &Reader, one: &TaskSummary) -> Markup {
    html! {
        tr {
            td { (task(&one.task_id, &one.name)) }
            td.text {
                (status(one.status)) " "
                @if !one.status.is_terminal() { (progress(one.progress)) }
                @if let Some(code) = one.error_code.as_deref().filter(|code| *code != one.status.as_str()) { code { (text(code)) } }
                @if let Some(waits) = &one.waiting_for { small { (short(waits, CHARS)) } }
            }
            td.text { (short(&one.targets, CHARS)) }
            td.text.place { (one.scanner_pool) @if let Some(instance) = &one.scanner_instance { ":" (instance) } }
            td { (when(one.created_at, reader.now)) }
            td { @if let Some(at) = one.completed_at { (when(at, reader.now)) } }
            td.text {
                @if one.status == TaskStatus::Completed && reader.may("get_scan_summary") {
                    a href={ "/ui/scans/" (one.task_id) } { "Report" }
                }
            }
        }
    }
}
