//! The commands on the audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nessus_mcp_lib::{audit::Decision, config::cli::CommonArgs, time::Timestamp};

use super::age::moment;

/// Commands on the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no line was altered, moved or taken away, and name the first place where one was
    ///
    /// Ends with 1 when the log is not as it was written. Servers may run meanwhile.
    Verify(AuditVerifyArgs),
    /// Show the last lines
    Tail(AuditTailArgs),
    /// Show the lines that match
    Search(AuditSearchArgs),
}

/// Options of `audit verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin audit verify --since 2026-11-01")]
pub(crate) struct AuditVerifyArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// A file with a secret key that lines were signed with, beside that of the environment; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Vec<PathBuf>,

    /// Begin with the lines of this day; earlier ones were moved away
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) since: Option<String>,

    /// Write JSON, one object for each chain
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `audit tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin audit tail -n 50 --follow")]
pub(crate) struct AuditTailArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// How many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,

    /// Go on with lines that are written meanwhile
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Write the lines as they stand in the log
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `audit search`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin audit search --who desk --decision refused --since 7d --json | jq -r .what")]
pub(crate) struct AuditSearchArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Who did it: a client's name, local, user:NAME or oauth:SUBJECT
    #[arg(long, value_name = "NAME")]
    pub(crate) who: Option<String>,

    /// The task
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,

    /// The tool, command or event
    #[arg(long, value_name = "TOOL")]
    pub(crate) tool: Option<String>,

    /// allowed or refused
    #[arg(long, value_name = "DECISION")]
    pub(crate) decision: Option<Decision>,

    /// The request
    #[arg(long, value_name = "TRACE_ID")]
    pub(crate) trace_id: Option<String>,

    /// Not before this time, such as 2026-11-28T14:00:00Z, or within this age, such as 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,

    /// Before this time or age
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,

    /// Write the lines as they stand in the log
    #[arg(long)]
    pub(crate) json: bool,
}

fn day(text: &str) -> Result<String, String> {
    let read = Timestamp::begin_of_utc_day(text).map_err(|_| "write a day such as 2026-11-28".to_owned());
    read.map(Timestamp::utc_day)
}
