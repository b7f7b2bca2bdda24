//! `queue audit`: compares all task files with the catalogue and the queue.

use nessus_mcp_lib::{
    error::{Failure, counted},
    task::CatalogueAudit,
};
use serde_json::json;

use super::{queue, recorded::Recorder};
use crate::{args::QueueAuditArgs, output};

pub(crate) async fn run(args: &QueueAuditArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let index = queue::open_index(&settings).await?;
    let (found, forgotten) = if args.repair {
        let repair = async { Ok(index.repair().await?) };
        Recorder::open(&settings).await?.run("queue audit", json!({ "repair": true }), None, repair).await?
    } else {
        index.audit().await?
    };
    if args.json {
        output::lines([json(&found, forgotten, args.repair)]);
    } else {
        output::lines(text(&found, forgotten, args.repair));
    }
    if !found.unreadable.is_empty() {
        let files = counted(found.unreadable.len(), "task file cannot be read", "task files cannot be read");
        return Err(Failure::new(format!("{files}: what stands there is in no list until the file is repaired")));
    }
    if !args.repair && !is_right(&found, forgotten) {
        let message = "the queue does not say what the files say; `nessus-admin queue audit --repair` makes it right";
        return Err(Failure::new(message));
    }
    Ok(())
}

fn is_right(found: &CatalogueAudit, forgotten: usize) -> bool {
    !found.was_lost && found.missing + found.wrong + found.gone + forgotten == 0
}

fn text(found: &CatalogueAudit, forgotten: usize, repaired: bool) -> Vec<String> {
    let mut lines = vec![format!("{} read", counted(found.tasks, "task was", "tasks were"))];
    match (found.was_lost, repaired) {
        (true, true) => lines.push("the catalogue was not whole and was made again from the files".to_owned()),
        (true, false) => lines.push("the catalogue is not whole, so nothing was compared with it".to_owned()),
        (false, _) => {}
    }
    let of_queue = if repaired {
        ("task was enqueued that the queue had forgotten", "tasks were enqueued that the queue had forgotten")
    } else {
        ("task has not ended and is not in the queue", "tasks have not ended and are not in the queue")
    };
    for (count, one, many) in [
        (found.missing, "task was missing in the catalogue", "tasks were missing in the catalogue"),
        (found.wrong, "record said other than its file", "records said other than their files"),
        (found.gone, "record was of a task that is gone", "records were of tasks that are gone"),
        (forgotten, of_queue.0, of_queue.1),
    ] {
        if count > 0 {
            lines.push(counted(count, one, many));
        }
    }
    lines.extend(found.unreadable.iter().map(|(task_id, reason)| format!("{task_id} cannot be read: {reason}")));
    if lines.len() == 1 {
        lines.push("catalogue and queue say what the files say".to_owned());
    }
    lines
}

fn json(found: &CatalogueAudit, forgotten: usize, repaired: bool) -> String {
    let unreadable = found.unreadable.iter().map(|(task_id, reason)| json!({ "task_id": task_id, "reason": reason }));
    json!({
        "tasks": found.tasks, "missing": found.missing, "wrong": found.wrong, "gone": found.gone,
        "catalogue_lost": found.was_lost, "forgotten": forgotten, "repaired": repaired,
        "unreadable": unreadable.collect::<Vec<_>>(),
    })
    .to_string()
}
