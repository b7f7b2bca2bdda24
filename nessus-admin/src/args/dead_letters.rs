//! The commands on dead letters.

use clap::Args;
use nessus_mcp_lib::{config::cli::CommonArgs, ids::PoolName, time::Timestamp};

use super::age::{ago, moment};

/// Options of `list-dlq`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin list-dlq --pool lab --limit 20
  nessus-admin list-dlq --json | jq -r 'select(.error_code == \"scan_timeout\") | .task_id'")]
pub(crate) struct ListDlqArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only this pool; may be repeated [default: all pools]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Vec<PoolName>,

    /// The most dead letters to list
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,

    /// Write JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `inspect-dlq`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin inspect-dlq ne_lab_20261129_011910_a1b2c3d4
  nessus-admin inspect-dlq ne_lab_20261129 --json | jq .dead_letter.error")]
pub(crate) struct InspectDlqArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The task, by task id or the beginning of one
    #[arg(value_name = "TASK")]
    pub(crate) task: String,

    /// Only this pool; may be repeated [default: all pools]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Vec<PoolName>,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `retry-dlq`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin retry-dlq ne_lab_20261129_011910_a1b2c3d4
  nessus-admin tasks retry --all-matching --pool lab --error-code scanner_unavailable")]
pub(crate) struct RetryDlqArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The tasks, by task id or the beginning of one
    #[arg(value_name = "TASK", required = true)]
    pub(crate) tasks: Vec<String>,

    /// Only tasks of this pool; may be repeated [default: all pools]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Vec<PoolName>,

    /// For scripts that say so everywhere: tasks that are named are retried without a question
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Write JSON, one object for each task
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `purge-dlq`.
#[derive(Debug, Args)]
#[command(after_help = "\
What is removed stands in the data directory, below `archive`. The tasks themselves stay.

Examples:
  nessus-admin purge-dlq --older-than 30d
  nessus-admin purge-dlq --pool lab --before 2026-11-01 --yes")]
pub(crate) struct PurgeDlqArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only this pool; may be repeated [default: all pools]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Vec<PoolName>,

    /// Only those that failed longer ago than this, such as 90m, 12h or 30d
    #[arg(long, value_name = "AGE", value_parser = ago)]
    pub(crate) older_than: Option<Timestamp>,

    /// Only those that failed before this time, such as 2026-11-01 or 2026-11-28T14:00:00Z
    #[arg(long, value_name = "DATE", value_parser = moment, conflicts_with = "older_than")]
    pub(crate) before: Option<Timestamp>,

    /// Do not ask
    #[arg(short, long, visible_alias = "confirm")]
    pub(crate) yes: bool,

    /// Write JSON, one object for each pool
    #[arg(long)]
    pub(crate) json: bool,
}
