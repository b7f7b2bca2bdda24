//! The commands on tasks.

use std::time::Duration;

use clap::{Args, Subcommand};
use nessus_mcp_lib::{
    config::cli::CommonArgs,
    ids::PoolName,
    service::reason_of_an_order,
    targets::TargetSet,
    task::{TaskQuery, TaskStatus},
    time::Timestamp,
};

use super::age::age;

/// Commands on tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// List the tasks that match, newest first
    #[command(after_help = "\
Examples:
  nessus-admin tasks list --state running
  nessus-admin tasks list --error-code scan_timeout --newer-than 7d --all
  nessus-admin tasks list --target 10.0.0.0/24 --json | jq -r .task_id")]
    List(ListTasksArgs),
    /// Tell the life of a task: what happened, who did it, and why it does not move
    #[command(after_help = "\
Examples:
  nessus-admin tasks show ne_lab_20261129_0119
  nessus-admin tasks show ne_lab_20261129_011910_a1b2c3d4 --json | jq -r '.entries[] | [.at, .event, .by] | @tsv'")]
    Show(ShowTaskArgs),
    /// Cancel tasks: one that waits ends at once; of one that runs the scan is stopped, and what it has found is kept
    #[command(after_help = "\
Examples:
  nessus-admin tasks cancel ne_lab_20261129 --reason 'wrong network'
  nessus-admin tasks cancel --all-matching --owner agent-7 --state queued --reason 'out of control' --yes")]
    Cancel(CancelArgs),
    /// Put failed or timed-out tasks back into the queue
    #[command(after_help = "\
Examples:
  nessus-admin tasks retry ne_lab_20261129_011910_a1b2c3d4
  nessus-admin tasks retry --all-matching --error-code scanner_unavailable --newer-than 1d")]
    Retry(RetryTasksArgs),
    /// Hold tasks: one that waits does not begin, and a scan that runs is paused on its scanner
    Pause(CancelArgs),
    /// Let tasks go on that were held
    Resume(RetryTasksArgs),
}

/// Which tasks.
#[derive(Debug, Args)]
pub(crate) struct TaskFilterArgs {
    /// Only tasks in this state: queued, running, completed, failed, timeout or cancelled
    #[arg(long, value_name = "STATE", visible_alias = "status")]
    pub(crate) state: Option<TaskStatus>,

    /// Only tasks of this pool
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<PoolName>,

    /// Only tasks that this client submitted
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,

    /// Only tasks whose targets share an address or a name with these
    #[arg(long, value_name = "TARGETS", value_parser = targets)]
    pub(crate) target: Option<TargetSet>,

    /// Only tasks with this in their name, in any case
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,

    /// Only tasks that ended with this error code
    #[arg(long, value_name = "CODE")]
    pub(crate) error_code: Option<String>,

    /// Only tasks that were accepted longer ago than this, such as 90m, 12h or 30d
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Option<Duration>,

    /// Only tasks that were accepted within this time
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) newer_than: Option<Duration>,
}

impl TaskFilterArgs {
    /// The query that they stand for.
    pub(crate) fn query(&self, now: Timestamp) -> TaskQuery {
        let mut query = TaskQuery::default();
        (query.status, query.pool) = (self.state, self.pool.clone());
        (query.owner, query.targets) = (self.owner.clone(), self.target.clone());
        (query.name, query.error_code) = (self.name.clone(), self.error_code.clone());
        query.created_before = self.older_than.map(|age| now.minus(age));
        query.created_from = self.newer_than.map(|age| now.minus(age));
        query
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.query(Timestamp::from_millis(0)) == TaskQuery::default()
    }
}

/// Options of `tasks list`.
#[derive(Debug, Args)]
pub(crate) struct ListTasksArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    #[command(flatten)]
    pub(crate) filter: TaskFilterArgs,

    /// The most tasks to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,

    /// List all that match
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,

    /// Write JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `tasks show`.
#[derive(Debug, Args)]
pub(crate) struct ShowTaskArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The task, by its id or the beginning of it
    #[arg(value_name = "TASK")]
    pub(crate) task: String,

    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The tasks that a command acts on.
#[derive(Debug, Args)]
pub(crate) struct ChosenTasksArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The tasks, by task id or the beginning of one
    #[arg(value_name = "TASK", required_unless_present = "all_matching", conflicts_with = "all_matching")]
    pub(crate) tasks: Vec<String>,

    /// Act on all tasks that match, after a question with their number
    #[arg(long)]
    pub(crate) all_matching: bool,

    #[command(flatten)]
    pub(crate) filter: TaskFilterArgs,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Write JSON, one object for each task
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `tasks cancel`, `cancel` and `tasks pause`.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    pub(crate) chosen: ChosenTasksArgs,

    /// The reason, for people who look at the task later
    #[arg(long, value_name = "TEXT", value_parser = reason_of_an_order)]
    pub(crate) reason: Option<String>,
}

/// Options of `tasks retry` and `tasks resume`.
#[derive(Debug, Args)]
pub(crate) struct RetryTasksArgs {
    #[command(flatten)]
    pub(crate) chosen: ChosenTasksArgs,
}

fn targets(text: &str) -> Result<TargetSet, String> {
    text.parse().map_err(|error: nessus_mcp_lib::targets::TargetError| error.to_string())
}
