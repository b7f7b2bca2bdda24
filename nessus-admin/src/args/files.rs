//! `convert`, `validate`, `summary`, `diff`: exports that are files.

use std::path::PathBuf;

use clap::Args;
use nessus_mcp_lib::{
    error::Classified as _,
    results::{DEFAULT_CHARS, Format, ResultsError, SummarySection},
    task::ScanType,
};

/// Options of `convert`; they have the meaning of those of the tool `get_scan_results`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin convert scan.nessus --profile triage --filters '{\"severity\": \">=High\"}'
  nessus-admin convert scan.nessus --format html -o report.html")]
pub(crate) struct ConvertArgs {
    /// The export, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,

    /// What to write: jsonl (lines of JSON), csv, sarif (2.1.0) or html (a report for people)
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = format)]
    pub(crate) format: Format,

    /// Convert a broken export as far as it is complete; the exit code is still 1, and every format but csv marks the
    /// output as truncated
    #[arg(long)]
    pub(crate) lenient: bool,

    /// What to show: vulnerability, or compliance for the outcomes of compliance checks
    #[arg(long, value_name = "KIND", default_value = "vulnerability")]
    pub(crate) kind: String,

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

    /// Write only how many findings match, on how many hosts and of how many plugins
    #[arg(long, conflicts_with = "page_size")]
    pub(crate) count_only: bool,

    /// Count the findings by this instead of writing them: host, plugin, severity, port, family or solution; result or check
    /// for compliance checks
    #[arg(long, value_name = "GROUP")]
    pub(crate) group_by: Option<String>,

    /// worst_first, file, a field, or -FIELD for descending order; of groups, the most first: worst, findings, hosts,
    /// plugins, a severity, '>=High' or a result [default: worst_first]
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,

    /// The page, counted from 1; 0 for everything [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) page: Option<i64>,

    /// Findings or groups on a page, 10 to 100 [default: 40]
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub(crate) page_size: Option<i64>,

    /// Continue after a page: its next_cursor; give the same kind, filters and sort
    #[arg(long, value_name = "CURSOR", conflicts_with = "page")]
    pub(crate) cursor: Option<String>,

    /// The most characters of JSON lines; 0 for no limit [default: 40000 for a page, no limit for page 0]
    #[arg(long, value_name = "N")]
    pub(crate) max_chars: Option<u64>,

    /// Write to this file; an existing file is replaced only if the conversion succeeds (or --lenient accepts it)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin validate scan.nessus --scan-type trusted --targets 10.0.0.0/24 | jq .login")]
pub(crate) struct ValidateArgs {
    /// The export, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,

    /// The type of the scan: untrusted (no login), trusted or privileged (with login)
    #[arg(long, value_name = "TYPE")]
    pub(crate) scan_type: Option<ScanType>,

    /// The targets of the scan, to name those without a host in the export, and hosts that are none of them
    #[arg(long, value_name = "TARGETS")]
    pub(crate) targets: Option<String>,

    /// The share of live hosts, 0 to 1, whose login must have worked for `success` [default: 1]
    #[arg(long, value_name = "PART", value_parser = part)]
    pub(crate) min_authenticated: Option<f64>,

    /// The most hosts to list with their verdict; those that need attention come first
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) hosts: usize,
}

/// Options of `summary`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin summary scan.nessus --sections solutions,hosts")]
pub(crate) struct SummaryArgs {
    /// The export, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,

    /// The type of the scan: untrusted (no login), trusted or privileged (with login)
    #[arg(long, value_name = "TYPE")]
    pub(crate) scan_type: Option<ScanType>,

    /// Only these parts, beside the counts: by_severity, known_exploited, exploitable, highest_epss, highest_vpr, solutions,
    /// plugins, hosts, compliance, authentication
    #[arg(long, value_name = "SECTION,...", value_delimiter = ',', value_parser = section)]
    pub(crate) sections: Option<Vec<SummarySection>>,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// Options of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin diff october.nessus november.nessus --json | jq .counts")]
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

/// How to print a summary or a comparison.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// The most characters, counted as compact JSON; lists are cut to fit
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CHARS)]
    pub(crate) max_chars: usize,
}

pub(super) fn format(text: &str) -> Result<Format, String> {
    text.parse().map_err(|_| format!("known formats: {}", Format::names().join(", ")))
}

fn section(text: &str) -> Result<SummarySection, String> {
    text.parse().map_err(|error: ResultsError| error.hint().unwrap_or_else(|| error.to_string()))
}

fn part(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "write a number from 0 to 1".to_owned())
}
