//! `list-dlq`, `retry-dlq` and `purge-dlq`: the tasks that failed for good.

use nessus_mcp_lib::{
    ScanService,
    error::{Failure, counted, excerpt},
    ids::PoolName,
    queue::DeadLetter,
    targets::shortened,
};
use serde_json::{Value, json};

use super::{queue, recorded::Recorder};
use crate::{
    args::{ListDlqArgs, PurgeDlqArgs, RetryDlqArgs},
    output,
};

pub(crate) async fn list(args: &ListDlqArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let queue = queue::open(&settings).await?;
    let mut letters = Vec::new();
    for pool in queue::pools(&settings, &args.pool)? {
        let found = queue.dead_letters(&pool, 0, args.limit).await?;
        letters.extend(found.into_iter().map(|letter| (pool.clone(), letter)));
    }
    letters.sort_by_key(|(_, letter)| std::cmp::Reverse(letter.failed_at));
    letters.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    if args.json {
        output::lines(letters.iter().map(|(_, letter)| document(letter).to_string()));
    } else if letters.is_empty() {
        output::lines(["no dead letters"]);
    } else {
        output::lines(letters.iter().map(|(pool, letter)| line(pool, letter)));
    }
    Ok(())
}

/// Retries each task. Tasks that cannot be retried are reported at the end and do not hold back the others.
pub(crate) async fn retry(args: &RetryDlqArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let service = queue::open_service(&settings).await?;
    let recorder = Recorder::open(&settings).await?;
    let mut refused: Vec<Failure> = Vec::new();
    for text in &args.tasks {
        let retry = async { Ok(service.retry(&ScanService::parse_task_id(text)?).await?) };
        match recorder.run("retry-dlq", json!({ "task": text }), Some(text), retry).await {
            Ok(view) => output::lines([format!("{}  attempt={}  {}", view.task_id, view.attempt, view.message)]),
            Err(error) => refused.push(error),
        }
    }
    // The process ends with the last failure; the others are printed before it.
    let Some(last) = refused.pop() else { return Ok(()) };
    refused.iter().for_each(output::failure);
    Err(last)
}

pub(crate) async fn purge(args: &PurgeDlqArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let pools = queue::pools(&settings, &args.pool)?;
    let service = queue::open_service(&settings).await?;
    let recorder = Recorder::open(&settings).await?;
    let before = service.clock().now().minus(args.older_than);
    for pool in pools {
        let purge = async { Ok(service.purge_dead(&pool, before).await?) };
        let arguments = json!({ "pool": pool, "before": before });
        let purged = recorder.run("purge-dlq", arguments, None, purge).await?;
        let archived = counted(purged.archived, "dead letter", "dead letters");
        output::lines([format!("pool {pool}: {archived} archived, {} removed", purged.removed)]);
    }
    Ok(())
}

/// The documented form, with the first targets only. `task.json` and the archive have all of them.
fn document(letter: &DeadLetter) -> Value {
    let mut json = letter.to_json();
    if let Some(Value::String(targets)) = json.pointer_mut("/payload/targets") {
        *targets = shortened(targets);
    }
    json
}

fn line(pool: &PoolName, letter: &DeadLetter) -> String {
    let task = letter.task_id.as_ref().map_or("(no task id)", |id| id.as_str());
    let reason = &letter.reason;
    format!(
        "{}  {task}  pool={pool}  attempt={}  {}: {}",
        letter.failed_at,
        reason.attempt,
        reason.error_code,
        excerpt(&reason.error)
    )
}
