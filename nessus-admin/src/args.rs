//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use nessus_mcp_lib::{
    config::cli::CommonArgs,
    ids::{InstanceId, PoolName},
    results::{DEFAULT_CHARS, Format},
    task::ScanType,
};

/// Operator command line of nessus-mcp.
#[derive(Debug, Parser)]
#[command(name = "nessus-admin", version, about, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 69 scanner or queue unavailable, 78 bad configuration.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Ends the process, as for any wrong usage, where options do not go together in a way that the table of options
    /// cannot say.
    pub(crate) fn check(&self) {
        if let Command::Convert(args) = &self.command
            && args.format != Format::JsonNl
            && args.max_chars.is_some()
        {
            let message = "--max-chars is for --format jsonl only: other formats cannot say that a page was cut";
            Self::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert a .nessus export to newline-delimited JSON, CSV, SARIF or HTML
    Convert(ConvertArgs),
    /// Say as JSON what a .nessus export holds, what is missing, and on which hosts the login worked
    Validate(ValidateArgs),
    /// Group a .nessus export by severity, plugin, host and solution
    Summary(SummaryArgs),
    /// Compare two .nessus exports: what is new, fixed, rated differently, and what cannot be told
    Diff(DiffArgs),
    /// Show how many scans wait, run and have failed
    Stats(StatsArgs),
    /// List the dead letters: tasks that failed for good, newest first
    ListDlq(ListDlqArgs),
    /// Put tasks that failed or took too long back into the queue
    RetryDlq(RetryDlqArgs),
    /// Remove old dead letters, after each was written to the archive of the data directory
    PurgeDlq(PurgeDlqArgs),
    /// What data directory the queue belongs to
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Cancel a task: at once while it waits; while it runs, its scan is stopped and what it has found is kept
    Cancel(CancelArgs),
    /// Let workers begin no more scans in a pool; those that run are watched to their end, whichever worker began them
    PausePool(PausePoolArgs),
    /// Let workers take tasks of a pool again
    ResumePool(ResumePoolArgs),
    /// List the circuits of the scanners: to which calls are made, to which not, and why
    #[command(visible_alias = "circuits")]
    ListCircuits(ListCircuitsArgs),
    /// Let no process call a scanner until close-circuit or reset-circuit; scans that run there go on unwatched
    IsolateScanner(IsolateScannerArgs),
    /// Let calls to a scanner be made again, also before its time is over
    CloseCircuit(CircuitArgs),
    /// Let calls to a scanner be made again, and forget everything, also that it refused the login
    ResetCircuit(CircuitArgs),
}

/// What to do with the queue as a whole.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Let the queue belong to this data directory from now on, whatever it belonged to before
    ///
    /// Processes on another data directory stop taking tasks from it.
    Rebind(RebindArgs),
}

/// Options of `queue rebind`.
#[derive(Debug, Args)]
pub(crate) struct RebindArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `list-circuits`.
#[derive(Debug, Args)]
pub(crate) struct ListCircuitsArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only this pool
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<PoolName>,

    /// Write one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `isolate-scanner`.
#[derive(Debug, Args)]
pub(crate) struct IsolateScannerArgs {
    #[command(flatten)]
    pub(crate) scanner: CircuitArgs,

    /// Why, shown wherever the scanner is shown
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// The scanner a command is about.
#[derive(Debug, Args)]
pub(crate) struct CircuitArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The pool
    #[arg(value_name = "POOL")]
    pub(crate) pool: PoolName,

    /// The scanner within the pool
    #[arg(value_name = "INSTANCE")]
    pub(crate) instance: InstanceId,
}

/// Options of `retry-dlq`.
#[derive(Debug, Args)]
pub(crate) struct RetryDlqArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The tasks
    #[arg(value_name = "TASK", required = true)]
    pub(crate) tasks: Vec<String>,
}

/// Options of `purge-dlq`.
#[derive(Debug, Args)]
pub(crate) struct PurgeDlqArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only this pool; may be repeated [default: the pools of the scanner configuration]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Vec<PoolName>,

    /// Those that failed longer ago than this, such as 90m, 12h or 30d
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Duration,
}

/// Options of `cancel`.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The task
    #[arg(value_name = "TASK")]
    pub(crate) task: String,

    /// Why, for those who look at the task later
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Options of `pause-pool`.
#[derive(Debug, Args)]
pub(crate) struct PausePoolArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The pool
    #[arg(value_name = "POOL")]
    pub(crate) pool: PoolName,

    /// Why, shown wherever the queue is shown
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// Options of `resume-pool`.
#[derive(Debug, Args)]
pub(crate) struct ResumePoolArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The pool
    #[arg(value_name = "POOL")]
    pub(crate) pool: PoolName,
}

/// Options of `stats`.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only this pool; may be repeated [default: the pools of the scanner configuration]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Vec<PoolName>,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `list-dlq`.
#[derive(Debug, Args)]
pub(crate) struct ListDlqArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only this pool; may be repeated [default: the pools of the scanner configuration]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Vec<PoolName>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,

    /// Write one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `convert`; they mean what those of the tool `get_scan_results` mean.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The export, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,

    /// What to write: jsonl (lines of JSON), csv, sarif (2.1.0) or html (a report for people)
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = format)]
    pub(crate) format: Format,

    /// Of a broken export, convert what stands before the place where it is broken; the exit code is 1 all the same, and
    /// all formats but csv say so
    #[arg(long)]
    pub(crate) lenient: bool,

    /// The fields to show: minimal, summary, brief, triage or full [default: brief]
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,

    /// The fields to show instead of a profile, separated by commas
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) fields: Option<Vec<String>>,

    /// The fields to show after those of the profile, separated by commas
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) extra_fields: Vec<String>,

    /// Keep only findings that match all of these, as in '{"severity": ">=High", "host": "10.0.0.0/24"}'
    #[arg(long, value_name = "JSON")]
    pub(crate) filters: Option<String>,

    /// worst_first, file, a field, or -FIELD for descending order
    #[arg(long, value_name = "ORDER", default_value = "worst_first", allow_hyphen_values = true)]
    pub(crate) sort: String,

    /// The page, counted from 1; 0 for everything
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) page: i64,

    /// Findings on a page, 10 to 100 [default: 40]
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub(crate) page_size: Option<i64>,

    /// Go on where a page has ended: its next_cursor, with the same filters and sort
    #[arg(long, value_name = "CURSOR", conflicts_with = "page")]
    pub(crate) cursor: Option<String>,

    /// The most characters of lines of JSON; 0 for no limit [default: 40000 for a page, no limit for everything]
    #[arg(long, value_name = "N")]
    pub(crate) max_chars: Option<u64>,

    /// Threads that parse and write findings as lines of JSON [default: 2, with one processor 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) threads: Option<u8>,

    /// Write to this file, which is replaced only when everything went well, or as well as --lenient allows
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The export, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,

    /// What the scan was to do: untrusted, trusted or privileged; the last two were to log in
    #[arg(long, value_name = "TYPE")]
    pub(crate) scan_type: Option<ScanType>,

    /// What the scan was to reach, to be told what is missing
    #[arg(long, value_name = "TARGETS")]
    pub(crate) targets: Option<String>,

    /// The part of the live hosts, 0 to 1, that must be authenticated for a success [default: 1]
    #[arg(long, value_name = "PART", value_parser = part)]
    pub(crate) min_authenticated: Option<f64>,

    /// List the verdicts of at most so many hosts, those that need attention first
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) hosts: usize,
}

/// Options of `summary`.
#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    /// The export, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,

    /// What the scan was to do: untrusted, trusted or privileged; the last two were to log in
    #[arg(long, value_name = "TYPE")]
    pub(crate) scan_type: Option<ScanType>,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The export of the earlier scan, or `-` for standard input
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,

    /// The export of the later scan, or `-` for standard input
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// How a view is shown.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Cut lists so that the view has at most so many characters as compact JSON
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CHARS)]
    pub(crate) max_chars: usize,
}

fn format(text: &str) -> Result<Format, String> {
    text.parse().map_err(|_| format!("known formats: {}", Format::names().join(", ")))
}

/// An age in minutes, hours or days: a bare number is refused, because 0 would mean everything.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit: m for minutes, h for hours, d for days".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

fn part(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "write a number from 0 to 1".to_owned())
}
