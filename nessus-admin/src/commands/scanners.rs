//! `scanners check`: each scanner, step by step.

use std::{collections::HashMap, time::Duration};

use nessus_mcp_lib::{
    config::{ExaminedScanners, InstanceConfig, ScannersConfig, Settings},
    error::{Classified, ErrorKind, Failure, counted, nearest},
    ids::{InstanceId, PoolName},
    queue::CircuitNoticeKind,
    scanner::{CheckOutcome, CheckStep, LoginTry, ScannerCheck, check_scanner},
};
use serde::Serialize;
use tokio::{task::JoinSet, time::timeout};

use super::queue;
use crate::{
    args::{ScannersCheckArgs, Selected},
    output::{self, Cell, Colour, Column, Table, own_words},
};

/// How long the queue is asked which logins were refused.
const QUEUE_LIMIT: Duration = Duration::from_secs(5);

/// Scanners that cannot scan.
#[derive(Debug, thiserror::Error)]
#[error("{}", counted(*.count, "scanner cannot scan", "scanners cannot scan"))]
struct CannotScan {
    count: usize,
    is_configuration: bool,
}

impl Classified for CannotScan {
    fn code(&self) -> &'static str {
        "scanner_check_failed"
    }

    fn kind(&self) -> ErrorKind {
        if self.is_configuration { ErrorKind::Configuration } else { ErrorKind::Unavailable }
    }
}

/// A scanner and what its check has found.
#[derive(Debug, Serialize)]
pub(super) struct CheckedScanner {
    pub(super) scanner_pool: PoolName,
    /// Its `instance_id`, or its place in the pool where the entry has none that can be used.
    pub(super) scanner_instance: String,
    #[serde(flatten)]
    pub(super) check: ScannerCheck,
}

impl CheckedScanner {
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.scanner_pool, self.scanner_instance)
    }
}

pub(crate) async fn check(args: &ScannersCheckArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let examined = ScannersConfig::examine(&settings.scanner_config);
    if let (true, Some(fault)) = (examined.pools.is_empty(), examined.faults.first()) {
        return Err(fault.clone().into());
    }
    let refused = if args.try_login {
        HashMap::new()
    } else {
        refused_logins(&settings, &examined).await.unwrap_or_else(|failure| {
            output::warning(&format!("it is not known whether logins were refused before: {failure}"));
            HashMap::new()
        })
    };
    let checked = check_all(select(examined, &args.scanners)?, &refused).await?;
    if args.json {
        checked.iter().try_for_each(output::json)?;
    } else {
        checked.iter().for_each(show);
    }
    let failed: Vec<_> = checked.iter().filter_map(|one| one.check.failure()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let is_configuration = failed.iter().any(|step| step.step == CheckStep::Configuration);
    Err(CannotScan { count: failed.len(), is_configuration }.into())
}

type Entries = Vec<(PoolName, Vec<Result<InstanceConfig, nessus_mcp_lib::config::ConfigError>>)>;

/// The entries that are asked for.
///
/// # Errors
/// When a name is that of no pool or scanner.
fn select(examined: ExaminedScanners, selected: &[Selected]) -> Result<Entries, Failure> {
    for one in selected {
        let pools = examined.pools.iter().map(|(pool, _)| pool.as_str());
        let Some((_, entries)) = examined.pools.iter().find(|(pool, _)| *pool == one.pool) else {
            let known = nearest(one.pool.as_str(), pools).join(", ");
            return Err(Failure::new(format!("there is no pool `{}`; the pools are: {known}", one.pool)));
        };
        let Some(instance) = &one.instance else { continue };
        let known = entries.iter().flatten().map(|entry| entry.instance_id.as_str());
        if !known.clone().any(|known| known == instance.as_str()) {
            let known = nearest(instance.as_str(), known).join(", ");
            let message =
                format!("there is no scanner `{instance}` in the pool `{}`; its scanners are: {known}", one.pool);
            return Err(Failure::new(message));
        }
    }
    let is_selected = |pool: &PoolName, entry: &Result<InstanceConfig, _>| {
        let id = entry.as_ref().ok().map(|entry| &entry.instance_id);
        let mut named = selected.iter().filter(|one| one.pool == *pool);
        selected.is_empty() || named.any(|one| one.instance.is_none() || one.instance.as_ref() == id)
    };
    let pools = examined.pools.into_iter().map(|(pool, mut entries)| {
        entries.retain(|entry| is_selected(&pool, entry));
        (pool, entries)
    });
    Ok(pools.collect())
}

/// The scanners whose login was refused, by what the queue has been told, with the reason.
///
/// # Errors
/// When the queue cannot be asked.
pub(super) async fn refused_logins(
    settings: &Settings,
    examined: &ExaminedScanners,
) -> Result<HashMap<(PoolName, InstanceId), String>, Failure> {
    let ask = async {
        let queue = queue::open(settings).await?;
        let mut refused = HashMap::new();
        for (pool, entries) in &examined.pools {
            let ids: Vec<InstanceId> = entries.iter().flatten().map(|entry| entry.instance_id.clone()).collect();
            for (id, notice) in ids.iter().zip(queue.circuit_notices(pool, &ids).await?) {
                if let Some(posted) = notice.filter(|posted| posted.notice.kind == CircuitNoticeKind::LoginRefused) {
                    refused.insert((pool.clone(), id.clone()), posted.notice.reason);
                }
            }
        }
        Ok(refused)
    };
    let late = |_| Err(Failure::new(format!("the queue did not answer within {} s", QUEUE_LIMIT.as_secs())));
    timeout(QUEUE_LIMIT, ask).await.unwrap_or_else(late)
}

/// Checks scanners side by side, and returns them in the order of the file. Those that are disabled are not asked.
pub(super) async fn check_all(
    entries: Entries,
    refused: &HashMap<(PoolName, InstanceId), String>,
) -> Result<Vec<CheckedScanner>, Failure> {
    let mut checks = JoinSet::new();
    let entries = entries.into_iter().flat_map(|(pool, entries)| {
        entries.into_iter().enumerate().map(move |(place, entry)| (pool.clone(), place, entry))
    });
    for (at, (pool, place, entry)) in entries.enumerate() {
        let reason = entry.as_ref().ok().and_then(|entry| refused.get(&(pool.clone(), entry.instance_id.clone())));
        let login = reason.map_or(LoginTry::Once, |reason| LoginTry::RefusedBefore(reason.clone()));
        checks.spawn(async move {
            let id = entry.as_ref().map_or_else(|_| format!("[{place}]"), |entry| entry.instance_id.to_string());
            let check = match entry {
                Err(fault) => ScannerCheck::not_configured(&fault),
                Ok(entry) if !entry.enabled => ScannerCheck::disabled(),
                Ok(entry) => check_scanner(&entry, login).await,
            };
            (at, CheckedScanner { scanner_pool: pool, scanner_instance: id, check })
        });
    }
    let mut checked = Vec::new();
    while let Some(ended) = checks.join_next().await {
        checked.push(ended.map_err(|failed| Failure::new(failed.to_string()))?);
    }
    checked.sort_by_key(|(at, _)| *at);
    Ok(checked.into_iter().map(|(_, checked)| checked).collect())
}

/// The colour of an outcome.
pub(super) fn colour(outcome: CheckOutcome) -> Colour {
    match outcome {
        CheckOutcome::Ok => Colour::Good,
        CheckOutcome::Warning => Colour::Warning,
        CheckOutcome::Failed => Colour::Bad,
        _ => Colour::Quiet,
    }
}

fn show(scanner: &CheckedScanner) {
    output::say(format!("{}: {}", scanner.name(), scanner.check.outcome));
    let mut table =
        Table::new([Column::new("step"), Column::new("outcome"), Column::right("ms"), Column::wide("found")]);
    for step in &scanner.check.steps {
        table.row([
            Cell::new(step.step),
            Cell::new(step.outcome).coloured(colour(step.outcome)),
            Cell::optional(step.took.map(|took| took.as_millis())),
            Cell::new(&step.detail),
        ]);
    }
    output::table(&table);
    for step in &scanner.check.steps {
        if let Some(hint) = &step.hint {
            output::say(format!("hint for {}: {}", step.step, own_words(hint)));
        }
    }
    output::lines([""]);
}
