//! The commands on pools and their queues.

use std::time::Duration;

use clap::Args;
use nessus_mcp_lib::{config::cli::CommonArgs, ids::PoolName, service::reason_of_an_order};

use super::age::short_time;

/// Options of `stats`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin stats
  nessus-admin stats --pool lab --json | jq '.pools[0].queued'")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only this pool; may be repeated [default: the configured pools, and others with something in their queue]
    #[arg(long, value_name = "POOL", conflicts_with = "all_pools")]
    pub(crate) pool: Vec<PoolName>,

    /// All pools that a task belongs to or belonged to
    #[arg(long)]
    pub(crate) all_pools: bool,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `pause`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin pause lab --reason 'change freeze until Monday'")]
pub(crate) struct PausePoolArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The pool
    #[arg(value_name = "POOL")]
    pub(crate) pool: PoolName,

    /// The reason; it is shown wherever the queue is shown
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `resume`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin resume lab")]
pub(crate) struct ResumePoolArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The pool
    #[arg(value_name = "POOL")]
    pub(crate) pool: PoolName,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `stop-all`.
#[derive(Debug, Args)]
#[command(after_help = "\
The pools stay paused until `nessus-admin resume POOL`. What was stopped stays cancelled.

Examples:
  nessus-admin stop-all --reason 'incident 4711'
  nessus-admin stop-all --pool lab --reason 'firewall change' --yes --timeout 5m")]
pub(crate) struct StopAllArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The reason; pools and tasks show it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,

    /// Only this pool; may be repeated [default: all pools]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Vec<PoolName>,

    /// How long to wait until nothing runs (seconds, or with a unit)
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = short_time)]
    pub(crate) timeout: Duration,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn reason(text: &str) -> Result<String, String> {
    let text = reason_of_an_order(text)?;
    if text.is_empty() { Err("say why: pools and tasks show it".to_owned()) } else { Ok(text) }
}
