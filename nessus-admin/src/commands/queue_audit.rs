//! `queue audit`: compares all task files with the catalogue and the queue.

use nessus_mcp_lib::{
    error::{Failure, counted},
    task::CatalogueAudit,
};
use serde_json::json;

use super::{queue, recorded::Recorder};
use crate::{args::QueueAuditArgs, output};

pub(crate) async fn run(args: &QueueAuditArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let index = queue::open_index(&settings).await?;
    let audit = async { Ok(index.audit().await?) };
    let (found, enqueued) = Recorder::open(&settings).await?.run("queue audit", json!({}), None, audit).await?;
    if args.json {
        output::lines([json(&found, enqueued)]);
    } else {
        output::lines(text(&found, enqueued));
    }
    if found.unreadable.is_empty() {
        return Ok(());
    }
    let files = counted(found.unreadable.len(), "task file cannot be read", "task files cannot be read");
    Err(Failure::new(format!("{files}: what stands there is in no list until the file is repaired")))
}

fn text(found: &CatalogueAudit, enqueued: usize) -> Vec<String> {
    let mut lines = vec![format!("{} read", counted(found.tasks, "task was", "tasks were"))];
    if found.made_again {
        lines.push("the catalogue was not whole and was made again from the files".to_owned());
    }
    for (count, one, many) in [
        (found.missing, "task was missing in the catalogue", "tasks were missing in the catalogue"),
        (found.wrong, "record said other than its file", "records said other than their files"),
        (found.gone, "record was of a task that is gone", "records were of tasks that are gone"),
        (
            enqueued,
            "task was enqueued that the queue had forgotten",
            "tasks were enqueued that the queue had forgotten",
        ),
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

fn json(found: &CatalogueAudit, enqueued: usize) -> String {
    let unreadable = found.unreadable.iter().map(|(task_id, reason)| json!({ "task_id": task_id, "reason": reason }));
    json!({
        "tasks": found.tasks, "missing": found.missing, "wrong": found.wrong, "gone": found.gone,
        "made_again": found.made_again, "enqueued": enqueued, "unreadable": unreadable.collect::<Vec<_>>(),
    })
    .to_string()
}
