//! The command line.

mod age;
mod audit;
mod checks;
mod circuits;
mod dead_letters;
mod files;
mod health;
mod housekeeping;
mod pools;
mod report;
mod shell;
mod tasks;
mod top;
mod webhooks;
mod workers;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, error::ErrorKind};
use nessus_mcp_lib::{
    config::{
        ConfigError, Settings,
        cli::{self, CommonArgs, ScopeArgs},
    },
    policy::{Role, client_name},
    results::Format,
};

use self::age::age;
pub(crate) use self::{
    audit::{AuditCommand, AuditSearchArgs, AuditTailArgs, AuditVerifyArgs},
    checks::{ConfigCheckArgs, ConfigCommand, DoctorArgs, ScannersCheckArgs, ScannersCommand, Selected},
    circuits::{CircuitArgs, IsolateScannerArgs, ListCircuitsArgs},
    dead_letters::{InspectDlqArgs, ListDlqArgs, PurgeDlqArgs, RetryDlqArgs},
    files::{ConvertArgs, DiffArgs, SummaryArgs, ValidateArgs, ViewArgs},
    health::HealthArgs,
    housekeeping::{HousekeepingCommand, HousekeepingRunArgs},
    pools::{PausePoolArgs, ResumePoolArgs, StatsArgs, StopAllArgs},
    report::ReportArgs,
    shell::{CompletionsArgs, ManArgs, Shell},
    tasks::{CancelArgs, ChosenTasksArgs, ListTasksArgs, RetryTasksArgs, ShowTaskArgs, TasksCommand},
    top::TopArgs,
    webhooks::{ListWebhooksArgs, RetryWebhooksArgs, TestWebhookArgs, WebhooksCommand},
    workers::WorkersArgs,
};

/// Operator command line of nessus-mcp.
#[derive(Debug, Parser)]
#[command(name = "nessus-admin", version = env!("NESSUS_MCP_VERSION"), about, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 69 scanner or queue unavailable, 78 bad configuration.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Ends the process with a usage error if options conflict in a way that clap's attributes cannot express.
    pub(crate) fn check(&self) {
        if let Command::Convert(args) = &self.command
            && args.format != Format::JsonNl
            && args.max_chars.is_some()
        {
            let message = "--max-chars is for --format jsonl only: other formats cannot show that a page was cut";
            cli::refuse::<Self>(ErrorKind::ArgumentConflict, message);
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert a .nessus export to newline-delimited JSON, CSV, SARIF or HTML
    Convert(ConvertArgs),
    /// Check a .nessus export: print as JSON what it holds, what is missing, and on which hosts the login worked
    Validate(ValidateArgs),
    /// Group a .nessus export by severity, plugin, host and solution
    Summary(SummaryArgs),
    /// Compare two .nessus exports: what is new, fixed or rated differently, and what cannot be compared
    Diff(DiffArgs),
    /// Show how many scans are queued, delayed, held by workers and failed, by pool
    Stats(StatsArgs),
    /// List, cancel, hold and retry tasks
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// Stop everything: pause the pools, cancel what waits and what runs, and wait until nothing runs
    StopAll(StopAllArgs),
    /// List the dead letters (tasks that failed for good), newest first
    ListDlq(ListDlqArgs),
    /// Show a dead letter: why the task failed, what to do about it, and what was asked for
    InspectDlq(InspectDlqArgs),
    /// Put failed or timed-out tasks back into the queue
    RetryDlq(RetryDlqArgs),
    /// Archive old dead letters in the data directory, then remove them from the queue
    PurgeDlq(PurgeDlqArgs),
    /// Change which data directory the queue belongs to, and compare the two
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Remove what nobody needs any more
    #[command(subcommand)]
    Housekeeping(HousekeepingCommand),
    /// Look at the scope policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Make tokens for the clients of the server, list who has one, and revoke them
    #[command(subcommand)]
    Token(TokenCommand),
    /// List the scans that wait until a person agrees, and decide about them
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// List and test who is told what happens to tasks, and try again what was given up
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Verify and read the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Check everything that a deployment needs, and say what mends what is wrong
    ///
    /// Ends with 0 when all is well, with 78 when the configuration or the binding of the queue is wrong, with 69 when the queue
    /// or a scanner cannot be used, and with 1 for any other finding.
    #[command(
        after_help = "Examples:\n  nessus-admin doctor\n  nessus-admin doctor --no-scanners --json | jq '.findings[] | select(.severity != \"ok\")'"
    )]
    Doctor(DoctorArgs),
    /// Ask a server or worker over HTTP whether it lives, as the health check of a container does
    ///
    /// On loopback any certificate will do. Ends with 0 when it does, and with 69 when it does not answer or answers that it is
    /// not ready.
    Health(HealthArgs),
    /// Show queues, workers, running scans, circuits and failures, live; q quits
    #[command(
        after_help = "Examples:\n  nessus-admin top\n  nessus-admin top --once --width 80\n  nessus-admin top --json | jq .pools"
    )]
    Top(TopArgs),
    /// Write the findings of a task into a file: HTML, CSV, SARIF or lines of JSON
    #[command(
        after_help = "Examples:\n  nessus-admin report ne_lab_20261129_011910_a1b2c3d4 -o report.html\n  nessus-admin report ne_lab_20261129 -o - --format csv | head"
    )]
    Report(ReportArgs),
    /// Write a script that completes commands and options in a shell
    #[command(
        after_help = "Examples:\n  source <(nessus-admin completions bash)\n  nessus-admin completions fish > ~/.config/fish/completions/nessus-admin.fish"
    )]
    Completions(CompletionsArgs),
    /// Write the pages of the manual
    #[command(after_help = "Examples:\n  nessus-admin man | man -l -\n  nessus-admin man -o /usr/local/share/man/man8")]
    Man(ManArgs),
    /// Check scanners
    #[command(subcommand)]
    Scanners(ScannersCommand),
    /// Check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Cancel tasks, as `tasks cancel` does
    Cancel(CancelArgs),
    /// Stop workers from starting scans in a pool; running scans are watched until they end
    #[command(visible_alias = "pause-pool")]
    Pause(PausePoolArgs),
    /// Let workers start scans in a paused pool again
    #[command(visible_alias = "resume-pool")]
    Resume(ResumePoolArgs),
    /// List the scanners' circuits: which scanners are called, which are not, and why
    #[command(visible_alias = "list-circuits")]
    Circuits(ListCircuitsArgs),
    /// List the workers: who lives, what each serves and holds, and which pools nobody serves
    Workers(WorkersArgs),
    /// Stop all calls to a scanner until close-circuit or reset-circuit; its running scans go on unwatched
    IsolateScanner(IsolateScannerArgs),
    /// Allow calls to a scanner again, without waiting until its circuit is due to be tried
    CloseCircuit(CircuitArgs),
    /// Allow calls to a scanner again and clear its history, including a refused login
    ResetCircuit(CircuitArgs),
}

/// Commands on the queue as a whole.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Bind the queue to this data directory, whichever directory it belonged to before
    ///
    /// Processes on another data directory then stop taking tasks from this queue.
    Rebind(RebindArgs),
    /// Compare all task files with what the queue knows of them; with --repair, make right what it has wrong
    ///
    /// Ends with 1 when something is wrong and not repaired, and when the file of a task cannot be read.
    Audit(QueueAuditArgs),
}

/// Commands on the scope policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check the policy file, and say what it decides about targets and why
    ///
    /// Ends with 78 for a file that cannot be used, and with 1 for targets that are refused.
    Check(PolicyCheckArgs),
}

/// Commands on the tokens of clients.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token: it is written to standard output, once, and the lines for policy.yaml to standard error
    ///
    /// Nothing is stored. Whoever has the token is the client; policy.yaml has only its SHA-256. `token revoke` revokes it.
    New(NewTokenArgs),
    /// List the clients of policy.yaml with their roles, and when their tokens end
    List(ListTokensArgs),
    /// Write into policy.yaml that the token of a client is revoked; the server goes by it with SIGHUP
    Revoke(RevokeTokenArgs),
}

/// Options of commands that go by the policy.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(flatten)]
    common: CommonArgs,

    #[command(flatten)]
    scope: ScopeArgs,
}

impl PolicyArgs {
    /// The settings that they stand for.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        self.scope.apply(self.common.settings()?)
    }
}

/// Options of `token revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin token revoke desk --policy-config policy.yaml")]
pub(crate) struct RevokeTokenArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// The client
    #[arg(value_name = "CLIENT", value_parser = client_name)]
    pub(crate) client: String,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Commands on scans that wait until a person agrees.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// List the scans that wait until a person agrees, the longest first
    List(ListApprovalsArgs),
    /// Show what is asked for, by whom, and which rules hold it
    Show(ShowApprovalArgs),
    /// Agree to a scan, which then begins when its turn has come
    ///
    /// The token of an approver is asked for on the terminal. Nobody agrees to what they have asked for themselves.
    Approve(ApproveArgs),
    /// Refuse a scan, which ends
    Deny(DenyArgs),
}

/// Options of `approvals list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin approvals list --policy-config policy.yaml --json | jq -r .task_id")]
pub(crate) struct ListApprovalsArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// Write JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `approvals show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin approvals show ne_lab_20261129 --policy-config policy.yaml")]
pub(crate) struct ShowApprovalArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// The task, by its task id or the beginning of it
    #[arg(value_name = "TASK")]
    pub(crate) task: String,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `approvals approve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin approvals approve ne_lab_20261129 --digest 1a2b3c4d --policy-config policy.yaml")]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,

    /// The reason, for people who look at the task later
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Options of `approvals deny`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin approvals deny ne_lab_20261129 --reason 'not during the audit' --policy-config policy.yaml")]
pub(crate) struct DenyArgs {
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,

    /// The reason; whoever asked for the scan sees it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// What is decided about, and by whom.
#[derive(Debug, Args)]
pub(crate) struct DecisionArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// The task, by its task id or the beginning of it
    #[arg(value_name = "TASK")]
    pub(crate) task: String,

    /// The digest that `show` has printed, or its beginning: what was changed since is refused
    #[arg(long, value_name = "HEX", value_parser = digest)]
    pub(crate) digest: Option<String>,

    /// A file with the token of the approver, which nobody else may read [default: it is asked for on the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `token new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin token new desk --role scan --expires-in 90d > desk.token")]
pub(crate) struct NewTokenArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Who it is for, in the log and in the tasks
    #[arg(value_name = "CLIENT", value_parser = client_name)]
    pub(crate) client: String,

    /// What the client may do: read, scan, approve or admin
    #[arg(long, default_value = "read", value_name = "ROLE")]
    pub(crate) role: Role,

    /// How long the token lasts, such as 12h or 90d [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) expires_in: Option<Duration>,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `token list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin token list --policy-config policy.yaml --json | jq -r 'select(.revoked) | .client'")]
pub(crate) struct ListTokensArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,

    /// Write JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `policy check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin policy check --policy-config policy.yaml --targets 10.0.0.0/24 --client desk")]
pub(crate) struct PolicyCheckArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,

    /// The targets of a scan; host names are looked up as this machine does
    #[arg(long, value_name = "TARGETS")]
    pub(crate) targets: Option<String>,

    /// A client of the policy: say what it may scan, and decide about the targets for it
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Option<String>,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `queue rebind`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin queue rebind --data-dir /srv/nessus-mcp")]
pub(crate) struct RebindArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `queue audit`.
#[derive(Debug, Args)]
pub(crate) struct QueueAuditArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Make the catalogue right, and enqueue the tasks that the queue has forgotten
    #[arg(long)]
    pub(crate) repair: bool,

    /// Print the outcome as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses the beginning of a digest, long enough to mean one.
fn digest(text: &str) -> Result<String, String> {
    let is_digits = (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digits { Ok(text.to_owned()) } else { Err("write 8 to 64 hexadecimal digits".to_owned()) }
}
