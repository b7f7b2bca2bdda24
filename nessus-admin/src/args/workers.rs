//! `workers`.

use clap::Args;
use nessus_mcp_lib::config::cli::CommonArgs;

/// Options of `workers`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin workers
  nessus-admin workers --json | jq -r '.workers[] | select(.state == \"lost\") | .host'
  nessus-admin workers --json | jq -e '.unserved_pools == []'")]
pub(crate) struct WorkersArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
