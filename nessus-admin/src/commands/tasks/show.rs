//! `tasks show`: the life of a task.

use nessus_mcp_lib::{
    error::{Failure, counted},
    service::{MarkKind, TimelineMark, TimelineView},
    task::{EventKind, TaskEvent, TaskStatus},
};

use super::super::queue;
use crate::{
    args::ShowTaskArgs,
    output::{self, Cell, Colour, Column, Table, own_words},
};

pub(crate) async fn run(args: &ShowTaskArgs) -> Result<(), Failure> {
    let service = queue::open_service(&args.common.settings()?).await?;
    let view = service.timeline(&service.find_task(&args.task).await?).await?;
    if args.json {
        return output::json(&view);
    }
    output::details(summary(&view));
    output::say("");
    output::table(&timeline(&view));
    if view.left_out > 0 {
        let left_out = counted(view.left_out, "event is", "events are");
        output::note(&format!("{left_out} left out of the middle; `task.json` does not have more"));
    }
    Ok(())
}

fn summary(view: &TimelineView) -> Vec<(&'static str, Cell)> {
    let status = match view.status {
        TaskStatus::Completed => Colour::Good,
        TaskStatus::Failed | TaskStatus::Timeout => Colour::Bad,
        _ => Colour::Plain,
    };
    let progress = view.progress.map(|progress| format!("{progress} %"));
    let mut rows = vec![
        ("task", Cell::new(&view.task_id)),
        ("name", Cell::new(&view.name)),
        ("status", Cell::new(view.status).coloured(status)),
        ("phase", Cell::optional(view.phase)),
        ("progress", Cell::optional(progress)),
        ("attempt", Cell::new(view.attempt)),
        ("pool", Cell::new(&view.scanner_pool)),
        ("scanner", Cell::optional(view.scanner_instance.as_ref())),
        ("worker", Cell::optional(view.worker.as_ref())),
        ("trace", Cell::new(&view.trace_id)),
    ];
    if let Some(TimelineMark { kind, reason, since, code, hint, next_try_at, .. }) = &view.mark {
        let colour = if *kind == MarkKind::Stuck { Colour::Bad } else { Colour::Warning };
        rows.extend([
            (kind.as_str(), Cell::new(own_words(reason)).coloured(colour)),
            ("since", Cell::optional(*since)),
            ("code", Cell::optional(code.as_ref())),
            ("next try", Cell::optional(*next_try_at)),
            ("hint", Cell::optional(hint.as_deref().map(own_words))),
        ]);
    }
    rows
}

fn timeline(view: &TimelineView) -> Table {
    let has_retries = view.entries.iter().any(|entry| entry.attempt > 1);
    let attempt = has_retries.then(|| Column::right("attempt"));
    let columns = [Column::new("time")].into_iter().chain(attempt).chain([Column::new("event")]);
    let mut table = Table::new(columns.chain(["by", "detail"].map(Column::wide)));
    for entry in &view.entries {
        let attempt = has_retries.then(|| Cell::new(entry.attempt));
        let row = [Cell::new(entry.at)].into_iter().chain(attempt);
        let event = Cell::new(entry.event.as_str()).coloured(colour(&entry.event));
        table.row(row.chain([event, Cell::optional(entry.by.as_ref()), Cell::new(detail(entry))]));
    }
    table
}

fn colour(event: &EventKind) -> Colour {
    match event {
        EventKind::Completed => Colour::Good,
        EventKind::Failed | EventKind::Timeout => Colour::Bad,
        EventKind::Retrying | EventKind::Adopted | EventKind::Denied | EventKind::Cancelled => Colour::Warning,
        _ => Colour::Plain,
    }
}

/// All else that is known of an event, in one text.
fn detail(entry: &TaskEvent) -> String {
    let code = entry.code.as_ref().map(|code| format!("[{code}]"));
    let times = entry.count.zip(entry.last_at);
    let times = times.map(|(count, last_at)| format!("({}, last at {last_at})", counted(count, "time", "times")));
    let hint = entry.hint.as_deref().map(|hint| format!("- {}", own_words(hint)));
    [code, entry.detail.clone(), times, hint].into_iter().flatten().collect::<Vec<_>>().join(" ")
}
