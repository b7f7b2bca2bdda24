//! `workers`: who works here, what each holds, and which pools nobody serves.

use std::cmp::Reverse;

use nessus_mcp_lib::{
    error::{Failure, counted, excerpt},
    service::{UnservedPool, WorkerState, WorkerView},
};

use super::{pools, queue};
use crate::{
    args::WorkersArgs,
    output::{self, Cell, Colour, Column, Table},
};

/// How many lost workers a table shows, those that were heard of last: one that dies again and again leaves many.
const LOST_SHOWN: usize = 10;

pub(crate) async fn run(args: &WorkersArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let service = queue::open_service(&settings).await?;
    let configured: Vec<_> = pools::configured(&settings).pools.into_iter().map(|(pool, _)| pool).collect();
    let mut view = service.workers_and(&configured).await?;
    if args.json {
        return output::json(&view);
    }
    view.workers.sort_by_key(|worker| (Reverse(rank(worker.state)), worker.heard_seconds_ago));
    let is_lost = |worker: &&WorkerView| worker.state == WorkerState::Lost;
    let lost = view.workers.iter().filter(is_lost).count();
    view.workers.truncate(view.workers.len() - lost.saturating_sub(LOST_SHOWN));
    if view.workers.is_empty() {
        output::say("no worker tells of itself");
    } else {
        output::table(&table(&view.workers));
    }
    if lost > LOST_SHOWN {
        let more = counted((lost - LOST_SHOWN) as u64, "more worker was", "more workers were");
        output::say(format!("{more} lost within a day; --json shows them"));
    }
    for pool in &view.unserved_pools {
        output::say(unserved(pool));
    }
    Ok(())
}

/// Those that work come first.
const fn rank(state: WorkerState) -> u8 {
    match state {
        WorkerState::Alive => 2,
        WorkerState::Stopping => 1,
        _ => 0,
    }
}

fn table(workers: &[WorkerView]) -> Table {
    let names = ["worker", "state", "host"].map(Column::new);
    let facts = ["user", "version", "since"].map(Column::new);
    let texts = [Column::wide("pools"), Column::wide("holds")];
    let columns = names.into_iter().chain([Column::right("pid")]).chain(facts).chain([Column::right("heard")]);
    let mut table = Table::new(columns.chain(texts));
    for worker in workers {
        let colour = match worker.state {
            WorkerState::Alive => Colour::Good,
            WorkerState::Stopping => Colour::Warning,
            _ => Colour::Bad,
        };
        let text = |text: &Option<String>| Cell::optional(text.as_deref().map(excerpt));
        let pools = worker.pools.iter().map(|served| match served.capacity {
            0 => served.pool.to_string(),
            capacity => format!("{} ({capacity})", served.pool),
        });
        let holds: Vec<_> = worker.holds.iter().map(ToString::to_string).collect();
        table.row([
            Cell::new(&worker.worker),
            Cell::new(worker.state.as_str()).coloured(colour),
            text(&worker.host),
            Cell::optional(worker.pid),
            text(&worker.user),
            text(&worker.version),
            Cell::optional(worker.started_at),
            Cell::optional(worker.heard_seconds_ago.map(|seconds| format!("{seconds}s ago"))),
            Cell::new(pools.collect::<Vec<_>>().join(", ")),
            Cell::new(holds.join(", ")),
        ]);
    }
    table
}

fn unserved(pool: &UnservedPool) -> String {
    let waiting = match pool.waiting {
        0 => "no task waits there".to_owned(),
        waiting => counted(waiting, "task waits", "tasks wait") + " there",
    };
    let last = pool.last_heard_at.map(|at| format!("; the last one was heard of at {at}")).unwrap_or_default();
    format!("no worker serves the pool `{}`: {waiting}{last}", pool.scanner_pool)
}
