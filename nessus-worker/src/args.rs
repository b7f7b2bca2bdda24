//! The command line.

use clap::Parser;
use nessus_mcp_lib::config::cli::{
    CircuitArgs, CommonArgs, CredentialArgs, LogArgs, MetricsArgs, ScopeArgs, WorkerArgs,
};

/// Take tasks from the queue and run their scans, until SIGTERM
///
/// Any number of workers can share one queue. A worker that is stopped hands its tasks back. Their scans go on on the
/// scanners, and the next worker adopts them.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 69 queue unavailable, 78 bad configuration.
#[derive(Debug, Parser)]
#[command(version = env!("NESSUS_MCP_VERSION"))]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,
    #[command(flatten)]
    pub(crate) circuits: CircuitArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
}
