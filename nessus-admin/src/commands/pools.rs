//! Which pools there are: those of the scanner configuration, and those that tasks and pauses know. `pause` and `resume`.

use std::collections::BTreeSet;

use nessus_mcp_lib::{
    Queue,
    config::{ConfigError, ScannerNames, Settings},
    error::{Classified, ErrorKind, Failure, chain, nearest},
    ids::PoolName,
    task::{TaskManager, pools_in_catalogue},
};
use serde_json::json;

use super::{queue, recorded::Recorder};
use crate::{
    args::{PausePoolArgs, ResumePoolArgs},
    output,
};

/// The names in the scanner configuration. Where there is no such file, there are none; what is wrong with it is a warning.
pub(super) fn configured(settings: &Settings) -> ScannerNames {
    let names = ScannerNames::load(&settings.scanner_config);
    match &names.flaw {
        None => {}
        Some(ConfigError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Some(flaw) => {
            output::warning(&format!("{}; pools of the queue and its tasks are known all the same", chain(flaw)));
        }
    }
    names
}

/// The pools that are known.
#[derive(Debug)]
pub(super) struct Pools {
    /// Those of the configuration, in its order, and then the others.
    pub(super) all: Vec<PoolName>,
    /// How many of them are configured.
    pub(super) configured: usize,
}

/// All pools.
pub(super) async fn all(settings: &Settings, names: &ScannerNames, queue: &dyn Queue) -> Result<Pools, Failure> {
    let mut all: Vec<_> = names.pools.iter().map(|(pool, _)| pool.clone()).collect();
    let configured = all.len();
    let (mut others, is_whole) = pools_in_catalogue(queue).await?;
    if let Some(tasks) = TaskManager::to_read_for(settings).await? {
        others.extend(tasks.queue_file().await?.paused.into_keys());
    }
    // A pool may be in a worker's configuration alone, and have no task yet.
    others.extend(queue.workers().await?.into_iter().flat_map(|seen| seen.record.pools).map(|served| served.pool));
    let others: BTreeSet<_> = others.into_iter().filter(|pool| !all.contains(pool)).collect();
    all.extend(others);
    if !is_whole && names.flaw.is_some() {
        output::warning(
            "the queue does not know all tasks just now: pools that are not listed can be named with `--pool`",
        );
    }
    Ok(Pools { all, configured })
}

/// The pools named on the command line, or else all.
///
/// # Errors
/// A failure with the nearest names for a pool that nothing knows: a misspelt name would look like a pool without work.
pub(super) async fn named(
    settings: &Settings,
    queue: &dyn Queue,
    chosen: &[PoolName],
) -> Result<Vec<PoolName>, Failure> {
    let names = configured(settings);
    if chosen.is_empty() {
        return Ok(all(settings, &names, queue).await?.all);
    }
    if chosen.iter().all(|pool| names.pools.iter().any(|(known, _)| known == pool)) {
        return Ok(chosen.to_vec());
    }
    let known = all(settings, &names, queue).await?.all;
    for pool in chosen {
        // A pool that another program puts its tasks into is known to its queue only.
        if !known.contains(pool) && *pool != PoolName::deliveries() && queue.stats(pool).await?.is_empty() {
            return Err(Unknown::new(pool, &known).into());
        }
    }
    Ok(chosen.to_vec())
}

/// A pool that nothing knows.
#[derive(Debug, thiserror::Error)]
#[error("there is no pool `{pool}`: neither the scanner configuration nor a task names it")]
struct Unknown {
    pool: PoolName,
    /// Those that there are, the most like it first.
    known: Vec<String>,
}

impl Unknown {
    fn new(pool: &PoolName, known: &[PoolName]) -> Self {
        let known = nearest(pool.as_str(), known.iter().map(PoolName::as_str)).into_iter().map(str::to_owned).collect();
        Self { pool: pool.clone(), known }
    }
}

impl Classified for Unknown {
    fn code(&self) -> &'static str {
        "unknown_pool"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(match self.known.first() {
            Some(first) => format!("did you mean `{first}`? the pools are: {}", self.known.join(", ")),
            None => "no pool is known: name the scanner configuration with `--scanner-config`".to_owned(),
        })
    }
}

pub(crate) async fn pause(args: &PausePoolArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let index = queue::open_index(&settings).await?;
    let recorder = Recorder::open(&settings).await?;
    for pool in named(&settings, index.queue().as_ref(), std::slice::from_ref(&args.pool)).await? {
        let pause = async { Ok(index.pause_pool(&pool, &args.reason).await?) };
        let arguments = json!({ "pool": pool, "reason": args.reason });
        recorder.run("pause-pool", arguments, None, pause).await?;
        if args.json {
            output::json(&json!({ "pool": pool, "paused": args.reason }))?;
        } else {
            output::say(format!("pool {pool} is paused: {}", args.reason));
        }
    }
    Ok(())
}

pub(crate) async fn resume(args: &ResumePoolArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let index = queue::open_index(&settings).await?;
    let recorder = Recorder::open(&settings).await?;
    for pool in named(&settings, index.queue().as_ref(), std::slice::from_ref(&args.pool)).await? {
        let resume = async { Ok(index.resume_pool(&pool).await?) };
        recorder.run("resume-pool", json!({ "pool": pool }), None, resume).await?;
        if args.json {
            output::json(&json!({ "pool": pool, "paused": null }))?;
        } else {
            output::say(format!("pool {pool} takes tasks"));
        }
    }
    Ok(())
}
