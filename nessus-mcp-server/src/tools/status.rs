//! Returns the status of scans.

use nessus_mcp_lib::{
    ScanService,
    ids::PoolName,
    service::ServiceError,
    task::{TaskQuery, TaskStatus},
};
use rmcp::{
    handler::server::wrapper::Parameters,
    model::CallToolResult,
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::Deserialize;

use super::{ScanTools, answer::structured};

/// Arguments of `get_scan_status`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskArgument {
    /// The task_id from the submit
    task_id: String,
}

/// Arguments of `list_tasks`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTasks {
    /// Only tasks in this state
    #[serde(default)]
    #[schemars(extend("enum" = ["queued", "running", "completed", "failed", "timeout", "cancelled"]))]
    status: Option<String>,
    /// Only tasks of this pool
    #[serde(default)]
    scanner_pool: Option<String>,
    /// Most tasks to return; default 20
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    limit: Option<i64>,
}

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

#[tool_router(router = status_router, vis = "pub(super)")]
impl ScanTools {
    /// State of a scan: status, progress, queue position, times, errors and warnings.
    ///
    /// Wait next_poll_seconds before asking again. If results_available, read get_scan_results.
    #[tool(
        name = "get_scan_status",
        title = "Scan status",
        annotations(read_only_hint = true, destructive_hint = false, idempotent_hint = true, open_world_hint = false)
    )]
    async fn get_scan_status(&self, Parameters(arguments): Parameters<TaskArgument>) -> CallToolResult {
        let status = async { self.service.status(&ScanService::parse_task_id(&arguments.task_id)?).await };
        structured(status.await)
    }

    /// List scan tasks, newest first, by state or pool.
    #[tool(
        name = "list_tasks",
        title = "List scan tasks",
        annotations(read_only_hint = true, destructive_hint = false, idempotent_hint = true, open_world_hint = false)
    )]
    async fn list_tasks(&self, Parameters(arguments): Parameters<ListTasks>) -> CallToolResult {
        let list = async { self.service.list_tasks(task_query(&arguments)?).await };
        structured(list.await)
    }
}

fn task_query(arguments: &ListTasks) -> Result<TaskQuery, ServiceError> {
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
    Ok(query)
}
