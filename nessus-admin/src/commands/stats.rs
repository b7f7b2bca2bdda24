//! `stats`: queue depths by pool, and warnings.

use nessus_mcp_lib::{
    error::{Failure, counted},
    ids::PoolName,
    queue::QueueStats,
    service::OrphanedTasks,
};

use super::{pools, queue};
use crate::{
    args::StatsArgs,
    output::{self, Cell, Colour, Column, Table},
};

pub(crate) async fn run(args: &StatsArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let queue = queue::open(&settings).await?;
    let mut rows = Vec::new();
    let mut warnings = Vec::new();
    if args.pool.is_empty() {
        let names = pools::configured(&settings);
        let pools = pools::all(&settings, &names, queue.as_ref()).await?;
        for (at, pool) in pools.all.into_iter().enumerate() {
            let stats = queue.stats(&pool).await?;
            if at < pools.configured || args.all_pools || !stats.is_empty() {
                rows.push((pool, stats));
            }
        }
        // A configuration that cannot be read does not say what is missing in it.
        if !names.pools.is_empty()
            && let Some(service) = queue::open_service_if_any(&settings).await?
        {
            let orphaned = service.orphaned_without(names.pools).await?;
            warnings.extend(orphaned.iter().map(warning));
        }
    } else {
        for pool in pools::named(&settings, queue.as_ref(), &args.pool).await? {
            let stats = queue.stats(&pool).await?;
            rows.push((pool, stats));
        }
    }
    warnings.extend(queue.warnings().await?);
    if args.json {
        return output::json(&document(&rows, &warnings));
    }
    output::table(&table(&rows));
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

fn document(rows: &[(PoolName, QueueStats)], warnings: &[String]) -> serde_json::Value {
    let pools = rows.iter().map(|(pool, stats)| {
        serde_json::json!({
            "pool": pool, "queued": stats.ready, "delayed": stats.delayed, "leased": stats.leased, "dead": stats.dead,
            "paused": stats.paused,
        })
    });
    serde_json::json!({ "pools": pools.collect::<Vec<_>>(), "warnings": warnings })
}

fn table(rows: &[(PoolName, QueueStats)]) -> Table {
    let numbers = ["queued", "delayed", "leased", "dead"].map(Column::right);
    let is_paused = rows.iter().any(|(_, stats)| stats.paused.is_some());
    let pause = is_paused.then(|| Column::wide("paused"));
    let mut table = Table::new([Column::new("pool")].into_iter().chain(numbers).chain(pause));
    let mut total = [0; 4];
    let row = |name: &str, counts: [u64; 4], paused: Option<&str>| {
        let counts = counts.map(Cell::new);
        let paused = is_paused.then(|| Cell::optional(paused).coloured(Colour::Warning));
        [Cell::new(name)].into_iter().chain(counts).chain(paused).collect::<Vec<_>>()
    };
    for (pool, stats) in rows {
        let counts = [stats.ready, stats.delayed, stats.leased, stats.dead];
        for (sum, count) in total.iter_mut().zip(counts) {
            *sum += count;
        }
        table.row(row(pool.as_str(), counts, stats.paused.as_deref()));
    }
    table.row(row("total", total, None));
    table
}
