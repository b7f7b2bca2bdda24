//! `list-dlq`: the tasks that failed for good.

use nessus_mcp_lib::{
    error::{Failure, excerpt},
    ids::PoolName,
    queue::DeadLetter,
};

use super::queue;
use crate::{args::ListDlqArgs, output};

pub(crate) async fn run(args: &ListDlqArgs) -> Result<(), Failure> {
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
        return output::lines(letters.iter().map(|(_, letter)| letter.to_json().to_string()));
    }
    if letters.is_empty() {
        return output::lines(["no dead letters"]);
    }
    output::lines(letters.iter().map(|(pool, letter)| line(pool, letter)))
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
