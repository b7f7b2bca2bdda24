//! `stats`: queue depths by pool, and warnings.

use nessus_mcp_lib::{
    error::{Failure, counted},
    ids::PoolName,
    queue::QueueStats,
    service::OrphanedTasks,
};

use super::queue;
use crate::{args::StatsArgs, output};

pub(crate) async fn run(args: &StatsArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let queue = queue::open(&settings).await?;
    let mut rows = Vec::new();
    for pool in queue::pools(&settings, &args.pool)? {
        let stats = queue.stats(&pool).await?;
        rows.push((pool, stats));
    }
    let mut warnings = queue.warnings().await?;
    // Only where the data directory is: an operator's own machine may reach only the queue.
    if args.pool.is_empty() && settings.data_dir.join("tasks").is_dir() {
        let orphaned = queue::open_service(&settings).await?.orphaned_tasks().await?;
        warnings.extend(orphaned.iter().map(warning));
    }
    if args.json {
        output::lines([json(&rows, &warnings)]);
        return Ok(());
    }
    output::lines(table(&rows));
    for warning in &warnings {
        output::warning(warning);
    }
    Ok(())
}

fn warning(orphaned: &OrphanedTasks) -> String {
    let (tasks, pool) = (orphaned.tasks, &orphaned.scanner_pool);
    match &orphaned.scanner_instance {
        Some(id) => format!(
            "{} bound to the scanner `{id}` of pool `{pool}`, which is not configured",
            counted(tasks, "unfinished task is", "unfinished tasks are")
        ),
        None => format!(
            "{} in the pool `{pool}`, which is not configured",
            counted(tasks, "unfinished task waits", "unfinished tasks wait")
        ),
    }
}

fn json(rows: &[(PoolName, QueueStats)], warnings: &[String]) -> String {
    let pools = rows.iter().map(|(pool, stats)| {
        serde_json::json!({
            "pool": pool, "queued": stats.ready, "delayed": stats.delayed, "leased": stats.leased, "dead": stats.dead,
            "paused": stats.paused,
        })
    });
    serde_json::json!({ "pools": pools.collect::<Vec<_>>(), "warnings": warnings }).to_string()
}

fn table(rows: &[(PoolName, QueueStats)]) -> Vec<String> {
    let width = rows.iter().map(|(pool, _)| pool.as_str().len()).max().unwrap_or(0).max("total".len());
    let line = |name: &str, [ready, delayed, leased, dead]: [u64; 4], note: &str| {
        format!("{name:<width$}  {ready:>8}  {delayed:>8}  {leased:>8}  {dead:>8}{note}")
    };
    let mut lines =
        vec![format!("{:<width$}  {:>8}  {:>8}  {:>8}  {:>8}", "pool", "queued", "delayed", "leased", "dead")];
    let mut total = [0; 4];
    for (pool, stats) in rows {
        let counts = [stats.ready, stats.delayed, stats.leased, stats.dead];
        for (sum, count) in total.iter_mut().zip(counts) {
            *sum += count;
        }
        let note = stats.paused.as_ref().map(|reason| format!("  paused: {reason}")).unwrap_or_default();
        lines.push(line(pool.as_str(), counts, &note));
    }
    lines.push(line("total", total, ""));
    lines
}
