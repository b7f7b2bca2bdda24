//! The arguments of `top`.

use clap::Args;
use nessus_mcp_lib::config::cli::CommonArgs;

/// Options of `top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Print one picture as text and end, as without a terminal
    #[arg(long)]
    pub(crate) once: bool,

    /// The columns of that picture [default: those of the terminal, else 120]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) width: Option<u16>,

    /// Write what it shows as one JSON object and end
    #[arg(long)]
    pub(crate) json: bool,
}
