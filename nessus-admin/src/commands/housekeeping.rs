//! `housekeeping run`: removes what nobody needs any more.

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    error::{Failure, counted},
    housekeeping::{Housekeeping, HousekeepingReport, Wanted},
    scanner::ScannerRegistry,
};
use serde_json::json;

use super::{queue, recorded::Recorder};
use crate::{
    args::HousekeepingRunArgs,
    output::{self, Cell, Colour, Column, Table},
};

/// How many names of a kind people see.
const NAMED: usize = 20;

pub(crate) async fn run(args: &HousekeepingRunArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let own = args.housekeeping.settings()?;
    let service = queue::open_service_with(&settings, scanners(&settings).await).await?;
    let keeper = service.housekeeping(own)?;
    let report =
        if args.dry_run { keeper.run(Wanted::DryRun).await? } else { remove(args, &settings, &keeper).await? };
    service.scanners().close().await;
    if args.json {
        output::json(&report)?;
    } else {
        show(&report);
    }
    match &report.stopped {
        Some(why) => Err(Failure::new(format!("housekeeping ended before it was through: {why}"))),
        None => Ok(()),
    }
}

/// Removes, after the question if there is to be one.
async fn remove(
    args: &HousekeepingRunArgs,
    settings: &Settings,
    keeper: &Housekeeping,
) -> Result<HousekeepingReport, Failure> {
    let mut wanted = Wanted::Removal;
    if !args.yes {
        let seen = keeper.run(Wanted::DryRun).await?;
        if seen.removals() == 0 {
            return Ok(seen);
        }
        if !args.json {
            show(&seen);
        }
        output::confirmed(&format!("Remove {}?", counts(&seen)), false)?;
        wanted = Wanted::AgreedRemoval;
    }
    let run = async { Ok(keeper.run(wanted).await?) };
    Recorder::open(settings).await?.run("housekeeping run", json!({ "yes": args.yes }), None, run).await
}

/// The scanners, where their configuration can be read: tasks and files do not need it.
async fn scanners(settings: &Settings) -> ScannerRegistry {
    ScanService::load_scanners(settings).await.unwrap_or_else(|error| {
        output::warning(&format!("no scanner is asked, and no scan deleted there: {error}"));
        ScannerRegistry::without_pools()
    })
}

fn counts(report: &HousekeepingReport) -> String {
    let counts = [
        (report.tasks.len(), "task", "tasks"),
        (report.scans.len(), "scan on a scanner", "scans on scanners"),
        (report.files.len(), "unfinished file", "unfinished files"),
        (report.archive_records.len(), "archive record", "archive records"),
    ];
    let shown: Vec<_> = counts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| counted(count, one, many))
        .collect();
    if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") }
}

fn show(report: &HousekeepingReport) {
    let scans =
        report.scans.iter().map(|scan| ("scan", format!("{} on {} ({})", scan.scan_id, scan.scanner, scan.task_id)));
    let kinds: [Vec<_>; 4] = [
        report.tasks.iter().map(|id| ("task", id.to_string())).collect(),
        scans.collect(),
        report.files.iter().map(|file| ("file", file.clone())).collect(),
        report.archive_records.iter().map(|name| ("archive record", name.clone())).collect(),
    ];
    let mut table = Table::new([Column::new("kind"), Column::wide("removed")]);
    for kind in &kinds {
        for (word, name) in kind.iter().take(NAMED) {
            table.row([Cell::new(word), Cell::new(name)]);
        }
        if let Some((word, _)) = kind.get(NAMED) {
            table.row([Cell::new(word), Cell::new(format!("and {} more; --json lists all", kind.len() - NAMED))]);
        }
    }
    if kinds.iter().any(|kind| !kind.is_empty()) {
        output::table(&table);
    }
    let stale =
        report.stale_tasks.iter().map(|task| (task.task_id.to_string(), format!("no worker since {}", task.since)));
    let notable = report.notable.iter().map(|item| (item.what.clone(), item.reason.clone()));
    let mut table = Table::new([Column::new("to look at"), Column::wide("why")]);
    let looks: Vec<_> = stale.chain(notable).collect();
    for (what, why) in looks.iter().take(NAMED) {
        table.row([Cell::new(what), Cell::new(why).coloured(Colour::Warning)]);
    }
    if !looks.is_empty() {
        output::table(&table);
    }
    if looks.len() > NAMED {
        output::say(format!("and {} more to look at; --json lists all", looks.len() - NAMED));
    }
    let looked_at = counted(report.looked_at, "task was", "tasks were");
    match (&report.rehearsal, report.dry_run) {
        (Some(why), _) => {
            output::say(format!("{looked_at} looked at. Nothing was removed yet, because {why}."));
            output::say(format!("The next run removes {}.", counts(report)));
        }
        (None, true) => output::say(format!("{looked_at} looked at. To be removed: {}.", counts(report))),
        (None, false) => output::say(format!("{looked_at} looked at. Removed: {}.", counts(report))),
    }
}
