//! The commands on the circuits of scanners.

use clap::Args;
use nessus_mcp_lib::{
    config::cli::CommonArgs,
    ids::{InstanceId, PoolName},
};

/// Options of `circuits`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin circuits --pool lab
  nessus-admin circuits --json | jq -r 'select(.state != \"closed\") | .scanner_instance'")]
pub(crate) struct ListCircuitsArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only this pool
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<PoolName>,

    /// Write JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `isolate-scanner`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin isolate-scanner lab scanner1 --reason 'update of its firmware'")]
pub(crate) struct IsolateScannerArgs {
    #[command(flatten)]
    pub(crate) scanner: CircuitArgs,

    /// The reason; it is shown wherever the scanner is shown
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// The scanner that a command acts on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin close-circuit lab scanner1
  nessus-admin reset-circuit lab scanner1")]
pub(crate) struct CircuitArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The pool
    #[arg(value_name = "POOL")]
    pub(crate) pool: PoolName,

    /// The scanner, by its instance_id within the pool
    #[arg(value_name = "INSTANCE")]
    pub(crate) instance: InstanceId,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
