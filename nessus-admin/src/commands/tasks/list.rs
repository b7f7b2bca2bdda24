//! `tasks list`: the tasks that match, newest first.

use nessus_mcp_lib::{
    error::{Failure, counted},
    service::TaskSummary,
    task::{TaskCursor, TaskStatus},
    time::Timestamp,
};

use super::super::{acts::warn_of_unreadable, pools, queue};
use crate::{
    args::ListTasksArgs,
    output::{self, Cell, Colour, Column, Table, own_words, short_age},
};

/// How many tasks are read at once.
const PAGE: usize = 500;

pub(crate) async fn run(args: &ListTasksArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let service = queue::open_service(&settings).await?;
    if let Some(pool) = &args.filter.pool {
        pools::named(&settings, service.queue().as_ref(), std::slice::from_ref(pool)).await?;
    }
    let now = service.clock().now();
    let query = args.filter.query(now);
    let most = if args.all { usize::MAX } else { usize::try_from(args.limit).unwrap_or(usize::MAX) };
    let (mut table, mut shown) = (empty(), 0);
    let mut next = Some(query.clone());
    let mut total = 0;
    while let Some(query) = next.take() {
        let page = service.list_tasks(query.clone().with_limit(PAGE.min(most - shown))).await?;
        if shown == 0 {
            total = page.total;
            warn_of_unreadable(page.unreadable.len() + page.unreadable_left_out);
        }
        shown += page.tasks.len();
        for task in page.tasks {
            if args.json {
                output::json(&task)?;
            } else {
                table.row(row(task, now));
            }
        }
        let cursor = page.next_cursor.filter(|_| shown < most).and_then(|cursor| cursor.parse::<TaskCursor>().ok());
        next = cursor.and_then(|cursor| args.filter.query(now).after(cursor));
    }
    if !args.json {
        if shown > 0 { output::table(&table) } else { output::say("no tasks") }
    }
    if shown < total {
        output::note(&format!("{shown} of {}; `--all` lists the rest too", counted(total, "task", "tasks")));
    }
    Ok(())
}

fn empty() -> Table {
    let columns = [Column::new("task"), Column::wide("state"), Column::new("scanner"), Column::right("age")];
    Table::new(columns.into_iter().chain(["name", "targets"].map(Column::wide)))
}

fn row(task: TaskSummary, now: Timestamp) -> [Cell; 6] {
    let progress = task.progress.filter(|_| task.status == TaskStatus::Running).map(|percent| format!("{percent}%"));
    let code = task.error_code.filter(|code| code != task.status.as_str());
    let more = progress.or(code).or_else(|| task.waiting_for.as_deref().map(own_words));
    let more = more.map(|more| format!(" {more}")).unwrap_or_default();
    let colour = match task.status {
        TaskStatus::Completed => Colour::Good,
        TaskStatus::Failed | TaskStatus::Timeout => Colour::Bad,
        TaskStatus::Cancelled => Colour::Quiet,
        _ => Colour::Plain,
    };
    let instance = task.scanner_instance.map(|instance| format!(":{instance}")).unwrap_or_default();
    [
        Cell::new(task.task_id),
        Cell::new(format!("{}{more}", task.status)).coloured(colour),
        Cell::new(format!("{}{instance}", task.scanner_pool)),
        Cell::new(short_age(task.created_at, now)),
        Cell::new(task.name),
        Cell::new(task.targets),
    ]
}
