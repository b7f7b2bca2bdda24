//! Returns the status of scans.

use std::{fmt::Write as _, time::Duration};

use nessus_mcp_lib::{
    ScanService,
    error::counted,
    ids::PoolName,
    service::{ServiceError, TaskView},
    targets::TargetSet,
    task::{TaskQuery, TaskStatus},
    time::Timestamp,
};
use rmcp::{
    RoleServer,
    handler::server::wrapper::Parameters,
    model::CallToolResult,
    schemars::{self, JsonSchema},
    service::RequestContext,
    tool, tool_router,
};
use serde::Deserialize;

use super::{ScanTools, answer::structured};
use crate::progress::Progress;

/// Arguments of `get_scan_status`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusArguments {
    /// The task_id from the submit
    task_id: String,
    /// Wait up to so many seconds for a change, 0 (default) to 45
    #[serde(default)]
    #[schemars(range(min = 0, max = 45))]
    wait_seconds: Option<i64>,
}

/// Arguments of `list_tasks`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTasks {
    /// In this state
    #[serde(default)]
    #[schemars(extend("enum" = ["queued", "running", "completed", "failed", "timeout", "cancelled"]))]
    status: Option<String>,
    /// Of this pool
    #[serde(default)]
    scanner_pool: Option<String>,
    /// That share an address or a name with these targets
    #[serde(default)]
    targets: Option<String>,
    /// With this text in their name
    #[serde(default)]
    name: Option<String>,
    /// Accepted then or later: 2026-11-28 or 2026-11-28T14:30:00Z
    #[serde(default)]
    created_from: Option<String>,
    /// Accepted before
    #[serde(default)]
    created_before: Option<String>,
    /// Most tasks to return, 1 to 100; default 20
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    limit: Option<i64>,
    /// next_cursor of the list before, with the same filters
    #[serde(default)]
    cursor: Option<String>,
}

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;
/// Below the minute after which clients give up on a call.
const MAX_WAIT_SECONDS: u64 = 45;

#[tool_router(router = status_router, vis = "pub(super)")]
impl ScanTools {
    /// State of a scan: status, phase, progress, hosts done, queue position, attempts, login, errors, warnings, troubleshooting.
    ///
    /// Ask with wait_seconds, or wait next_poll_seconds before asking again. If results_available, read get_scan_results.
    #[tool]
    async fn get_scan_status(
        &self,
        Parameters(arguments): Parameters<StatusArguments>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let status = async {
            let task_id = ScanService::parse_task_id(&arguments.task_id)?;
            let wait = wait_of(arguments.wait_seconds)?;
            if wait.is_zero() {
                return self.service.status(&task_id).await;
            }
            if let Some(progress) = Progress::in_call(&context) {
                // Any change of it ends the call.
                progress.waits(wait, described(&self.service.status(&task_id).await?)).await;
            }
            // A server that stops answers with what it knows, and keeps nobody waiting.
            let change = Box::pin(self.service.status_change(&task_id, wait));
            match self.shared.stop.run_until_cancelled(change).await {
                Some(changed) => changed,
                None => self.service.status(&task_id).await,
            }
        };
        structured(status.await)
    }

    /// List scan tasks, newest first, by state, pool, targets, name and time.
    #[tool]
    async fn list_tasks(&self, Parameters(arguments): Parameters<ListTasks>) -> CallToolResult {
        let list = async { self.service.list_tasks(task_query(&arguments)?).await };
        structured(list.await)
    }
}

/// Where a scan stands, in a few words.
fn described(view: &TaskView) -> String {
    let mut text = view.phase.map_or_else(|| view.status.to_string(), |phase| phase.to_string());
    if let Some(progress) = view.progress {
        let _ = write!(text, ", {progress} %");
    }
    if let (Some(done), Some(known)) = (view.hosts_done, view.hosts_known) {
        let _ = write!(text, ", {done} of {} done", counted(known, "host", "hosts"));
    }
    if let Some(position) = view.queue_position {
        let _ = write!(text, ", place {position} in the queue");
    }
    text
}

fn wait_of(seconds: Option<i64>) -> Result<Duration, ServiceError> {
    let seconds = u64::try_from(seconds.unwrap_or(0)).ok().filter(|seconds| *seconds <= MAX_WAIT_SECONDS);
    let refused = || ServiceError::invalid("wait_seconds", format!("must be from 0 to {MAX_WAIT_SECONDS}"), None);
    seconds.map(Duration::from_secs).ok_or_else(refused)
}

pub(crate) fn task_query(arguments: &ListTasks) -> Result<TaskQuery, ServiceError> {
    let limit = match arguments.limit {
        None => DEFAULT_LIMIT,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| ServiceError::invalid("limit", "must be from 1 to 100", None))?,
    };
    let mut query = TaskQuery::default().with_limit(limit);
    if let Some(status) = &arguments.status {
        let status: TaskStatus =
            status.parse().map_err(|message: String| ServiceError::invalid("status", message, None))?;
        query = query.with_status(status);
    }
    if let Some(pool) = &arguments.scanner_pool {
        let pool = PoolName::new(pool.as_str()).map_err(|error| ServiceError::invalid_id("scanner_pool", &error))?;
        query = query.with_pool(pool);
    }
    query.targets = arguments.targets.as_deref().map(TargetSet::policy).transpose()?;
    query.name.clone_from(&arguments.name);
    query.created_from = arguments.created_from.as_deref().map(|text| moment("created_from", text)).transpose()?;
    query.created_before =
        arguments.created_before.as_deref().map(|text| moment("created_before", text)).transpose()?;
    let Some(cursor) = &arguments.cursor else { return Ok(query) };
    let refused = |message| {
        let hint = "give `next_cursor` of the list before, whole, with the same filters; or begin again without it";
        ServiceError::invalid("cursor", message, hint.to_owned())
    };
    let cursor = cursor.parse().map_err(refused)?;
    query.after(cursor).ok_or_else(|| refused("is that of a list with other filters"))
}

/// A moment, or the beginning of a day in UTC.
fn moment(argument: &'static str, text: &str) -> Result<Timestamp, ServiceError> {
    let text = text.trim();
    let moment = text.parse().or_else(|_| Timestamp::begin_of_utc_day(text));
    moment.map_err(|_| {
        let hint = "write 2026-11-28 or 2026-11-28T14:30:00Z".to_owned();
        ServiceError::invalid(argument, "is no date and no time", hint)
    })
}
