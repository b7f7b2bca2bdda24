//! `list-dlq`, `inspect-dlq`, `retry-dlq` and `purge-dlq`: the tasks that failed for good.

use std::collections::BTreeSet;

use nessus_mcp_lib::{
    Queue,
    error::{Classified, ErrorKind, Failure, counted, excerpt},
    ids::PoolName,
    queue::DeadLetter,
    service::Advice,
    targets::shortened,
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{
    acts::{self, Act, Operator, Order},
    pools, queue, webhooks,
};
use crate::{
    args::{InspectDlqArgs, ListDlqArgs, PurgeDlqArgs, RetryDlqArgs},
    output::{self, Cell, Colour, Column, Table, own_words},
};

/// Dead letters that are looked at together.
const PAGE: u32 = 500;
/// How many tasks are named where the beginning of an id means several.
const CANDIDATES: usize = 10;

pub(crate) async fn list(args: &ListDlqArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let queue = queue::open(&settings).await?;
    let (mut letters, mut total) = (Vec::new(), 0);
    let mut pools = pools::named(&settings, queue.as_ref(), &args.pool).await?;
    if args.pool.is_empty() {
        pools.push(PoolName::deliveries());
    }
    for pool in pools {
        total += queue.stats(&pool).await?.dead;
        let found = queue.dead_letters(&pool, 0, args.limit).await?;
        letters.extend(found.into_iter().map(|letter| (pool.clone(), letter)));
    }
    letters.sort_by_key(|(_, letter)| std::cmp::Reverse(letter.failed_at));
    letters.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    if args.json {
        letters.iter().try_for_each(|(pool, letter)| output::json(&document(pool, letter)))?;
    } else if letters.is_empty() {
        output::say("no dead letters");
    } else {
        output::table(&table(&letters));
    }
    if (letters.len() as u64) < total {
        let all = counted(total, "dead letter", "dead letters");
        output::note(&format!("{} of {all}; `--limit` lists more", letters.len()));
    }
    Ok(())
}

fn table(letters: &[(PoolName, DeadLetter)]) -> Table {
    let names = ["failed at", "task", "pool"].map(Column::new);
    let texts = [Column::right("attempt"), Column::new("code"), Column::wide("error")];
    let mut table = Table::new(names.into_iter().chain(texts));
    for (pool, letter) in letters {
        let reason = &letter.reason;
        table.row([
            Cell::new(letter.failed_at),
            Cell::new(letter.task_id.as_ref().map_or("(no task id)", |id| id.as_str())),
            Cell::new(pool),
            Cell::new(reason.attempt),
            Cell::new(excerpt(&reason.error_code)).coloured(Colour::Bad),
            Cell::new(excerpt(&reason.error)),
        ]);
    }
    table
}

/// The documented form, with the first targets only. `task.json` and the archive have all of them.
fn document(pool: &PoolName, letter: &DeadLetter) -> Value {
    let mut json = letter.to_json();
    if let Some(Value::String(targets)) = json.pointer_mut("/payload/targets") {
        *targets = shortened(targets);
    }
    if json.get("scanner_pool").is_none() {
        json["scanner_pool"] = json!(pool);
    }
    json
}

/// What cannot be inspected.
#[derive(Debug, thiserror::Error)]
enum NoLetter {
    #[error("there is no dead letter of a task `{0}`")]
    None(String),
    #[error("`{begin}` is the beginning of the ids of {}", counted(*total, "dead letter's task", "dead letters' tasks"))]
    Several { begin: String, candidates: Vec<String>, total: usize },
}

impl Classified for NoLetter {
    fn code(&self) -> &'static str {
        match self {
            Self::None(_) => "no_dead_letter",
            Self::Several { .. } => "ambiguous_task",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::NotFound
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::None(_) => "`nessus-admin list-dlq` shows those there are".to_owned(),
            Self::Several { candidates, total, .. } => {
                let left = total.saturating_sub(candidates.len());
                let more = if left > 0 { format!(" and {left} more") } else { String::new() };
                format!("give more of it; there are: {}{more}", candidates.join(", "))
            }
        })
    }
}

pub(crate) async fn inspect(args: &InspectDlqArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let queue = queue::open(&settings).await?;
    let (pool, letter) =
        find(queue.as_ref(), pools::named(&settings, queue.as_ref(), &args.pool).await?, &args.task).await?;
    // What the task's file says, where the tasks are.
    let status = match &letter.task_id {
        Some(task_id) => match queue::open_service_if_any(&settings).await? {
            Some(service) => service.status(task_id).await.ok(),
            None => None,
        },
        None => None,
    };
    let scanner = status.as_ref().and_then(|status| status.scanner_instance.clone());
    let advice: Vec<&Advice> = status.iter().flat_map(|status| &status.troubleshooting).collect();
    let advice = advice.into_iter().map(|advice| own_words(&advice.advice)).collect::<Vec<_>>();
    if args.json {
        return output::json(&json!({
            "dead_letter": document(&pool, &letter), "scanner_instance": scanner, "status": status.map(|view| view.status),
            "advice": advice,
        }));
    }
    let (reason, document) = (&letter.reason, document(&pool, &letter));
    let of_payload = |name: &str| Cell::optional(document["payload"][name].as_str());
    output::details([
        ("task", Cell::new(letter.task_id.as_ref().map_or("(no task id)", |id| id.as_str()))),
        ("pool", Cell::new(&pool)),
        ("scanner", Cell::optional(scanner)),
        ("failed at", Cell::new(letter.failed_at)),
        ("attempt", Cell::new(reason.attempt)),
        ("code", Cell::new(&reason.error_code).coloured(Colour::Bad)),
        ("error", Cell::new(&reason.error)),
        ("advice", Cell::new(advice.join(" "))),
        ("name", of_payload("name")),
        ("targets", of_payload("targets")),
        ("body", Cell::optional(document["raw_data"].as_str())),
        ("status now", Cell::optional(status.map(|view| view.status))),
    ]);
    Ok(())
}

/// The newest dead letter of a task, which may be named by the beginning of its id.
async fn find(queue: &dyn Queue, pools: Vec<PoolName>, text: &str) -> Result<(PoolName, DeadLetter), Failure> {
    let (mut found, mut names) = (None, BTreeSet::new());
    for pool in pools {
        each(queue, &pool, |letter| {
            let id =
                letter.task_id.as_ref().filter(|id| !text.trim().is_empty() && id.as_str().starts_with(text.trim()));
            if let Some(id) = id {
                names.insert(id.to_string());
                found.get_or_insert_with(|| (pool.clone(), letter));
            }
        })
        .await?;
    }
    let begin = excerpt(text).to_string();
    match (found, names.len()) {
        (Some(found), 1) => Ok(found),
        (None, _) => Err(NoLetter::None(begin).into()),
        (Some(_), total) => {
            Err(NoLetter::Several { begin, candidates: names.into_iter().take(CANDIDATES).collect(), total }.into())
        }
    }
}

/// Shows each dead letter of a pool, newest first.
async fn each(queue: &dyn Queue, pool: &PoolName, mut see: impl FnMut(DeadLetter)) -> Result<(), Failure> {
    let mut offset = 0;
    loop {
        let letters = queue.dead_letters(pool, offset, PAGE).await?;
        offset += letters.len() as u64;
        let is_last = letters.len() < PAGE as usize;
        letters.into_iter().for_each(&mut see);
        if is_last {
            return Ok(());
        }
    }
}

/// Retries each task. Tasks that cannot be retried are reported and do not hold back the others.
pub(crate) async fn retry(args: &RetryDlqArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    if args.pool == [PoolName::deliveries()] {
        return webhooks::retry_of(&settings, &args.tasks, args.json).await;
    }
    let operator = Operator::open(&settings).await?;
    if !args.pool.is_empty() {
        pools::named(&settings, operator.service.queue().as_ref(), &args.pool).await?;
    }
    let order = Order { command: "retry-dlq", act: Act::Retry, reason: None };
    acts::on_named(&operator, order, (&args.tasks, &args.pool), args.json).await
}

pub(crate) async fn purge(args: &PurgeDlqArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let Some(before) = args.older_than.or(args.before) else {
        let hint = "say how old: `--older-than 30d`, or `--before 2026-11-01`";
        return Err(Failure::usage("a purge needs an age: without one every dead letter would go", hint));
    };
    let Operator { service, recorder } = Operator::open(&settings).await?;
    let pools = pools::named(&settings, service.queue().as_ref(), &args.pool).await?;
    if !args.yes
        && let Some(question) = question(service.queue().as_ref(), &pools, before).await?
    {
        output::confirmed(&question, false)?;
    }
    for pool in pools {
        let purge = async { Ok(service.purge_dead(&pool, before).await?) };
        let arguments = json!({ "pool": pool, "before": before });
        let purged = recorder.run("purge-dlq", arguments, None, purge).await?;
        if args.json {
            output::json(&json!({ "pool": pool, "archived": purged.archived, "removed": purged.removed }))?;
            continue;
        }
        let archived = counted(purged.archived, "dead letter", "dead letters");
        output::say(format!("pool {pool}: {archived} archived, {} removed", purged.removed));
    }
    Ok(())
}

/// What is asked before a purge; nothing where nothing is purged.
async fn question(queue: &dyn Queue, pools: &[PoolName], before: Timestamp) -> Result<Option<String>, Failure> {
    let mut count = 0_u64;
    for pool in pools {
        each(queue, pool, |letter| count += u64::from(letter.failed_at < before)).await?;
    }
    let letters = counted(count, "dead letter that is", "dead letters that are");
    let pools = pools.iter().map(PoolName::as_str).collect::<Vec<_>>().join(", ");
    Ok((count > 0).then(|| format!("archive and remove {letters} older than {before}, of {pools}?")))
}
