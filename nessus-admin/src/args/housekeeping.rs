//! The commands on housekeeping.

use clap::{Args, Subcommand};
use nessus_mcp_lib::config::cli::{CommonArgs, HousekeepingArgs};

/// Commands on housekeeping.
#[derive(Debug, Subcommand)]
pub(crate) enum HousekeepingCommand {
    /// Remove old tasks, their scans on scanners and what killed processes left, as workers do by themselves
    ///
    /// Asks first, with counts. The first run of a deployment removes nothing unless somebody has answered the question.
    Run(HousekeepingRunArgs),
}

/// Options of `housekeeping run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin housekeeping run --dry-run
  nessus-admin housekeeping run --dry-run --json | jq '.tasks | length'
  nessus-admin housekeeping run --completed-ttl-days 14 --yes")]
pub(crate) struct HousekeepingRunArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    #[command(flatten)]
    pub(crate) housekeeping: HousekeepingArgs,

    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(short = 'y', long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,

    /// Write the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
