//! The arguments of `report`.

use std::path::PathBuf;

use clap::Args;
use nessus_mcp_lib::{
    config::cli::CommonArgs,
    results::{Format, Profile},
};

/// Options of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The task, by its task id or the beginning of it
    #[arg(value_name = "TASK")]
    pub(crate) task: String,

    /// The file to write, or `-` for standard output
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) output: PathBuf,

    /// What to write: html, csv, sarif or jsonl [default: by the ending of the file]
    #[arg(long, value_name = "FORMAT", value_parser = super::files::format)]
    pub(crate) format: Option<Format>,

    /// The fields to show: minimal, summary, brief, triage or full
    #[arg(long, value_name = "PROFILE", default_value = "brief")]
    pub(crate) profile: Profile,

    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}
