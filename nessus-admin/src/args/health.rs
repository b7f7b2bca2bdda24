//! `health`.

use clap::Args;

/// Options of `health`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin health
  nessus-admin health --ready https://127.0.0.1:8836
  nessus-admin health http://127.0.0.1:9836")]
pub(crate) struct HealthArgs {
    /// Where the server listens, or the METRICS_BIND of a worker
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8835")]
    pub(crate) url: String,

    /// Ask whether scans can be submitted or claimed, instead of whether the process lives
    #[arg(long)]
    pub(crate) ready: bool,
}
