//! Cancels scans, pauses and resumes them, and retries them.

use nessus_mcp_lib::ScanService;
use rmcp::{
    handler::server::wrapper::Parameters,
    model::CallToolResult,
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::Deserialize;

use super::{ScanTools, answer::structured};

/// Arguments of `cancel_scan`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelArguments {
    /// The task_id from the submit
    task_id: String,
    /// For people who read the task later
    #[serde(default)]
    reason: Option<String>,
}

/// Arguments of `pause_scan`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseArguments {
    /// The task_id from the submit
    task_id: String,
    /// For people who read the task later
    #[serde(default)]
    reason: Option<String>,
}

/// Arguments of `resume_scan`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeArguments {
    /// The task_id of a paused scan
    task_id: String,
}

/// Arguments of `retry_scan`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryArguments {
    /// The task_id of a failed or timeout scan
    task_id: String,
}

#[tool_router(router = control_router, vis = "pub(super)")]
impl ScanTools {
    /// Cancel a scan. A running one is stopped on the scanner, which can take some minutes; its findings so far are kept.
    #[tool]
    async fn cancel_scan(&self, Parameters(arguments): Parameters<CancelArguments>) -> CallToolResult {
        let cancelled = async {
            let task_id = ScanService::parse_task_id(&arguments.task_id)?;
            self.service.cancel(&task_id, arguments.reason.as_deref()).await
        };
        structured(cancelled.await)
    }

    /// Pause a scan until resume_scan. A queued one waits; a running one is paused on the scanner, and its status stays running.
    #[tool]
    async fn pause_scan(&self, Parameters(arguments): Parameters<PauseArguments>) -> CallToolResult {
        let paused = async {
            let task_id = ScanService::parse_task_id(&arguments.task_id)?;
            self.service.pause(&task_id, arguments.reason.as_deref()).await
        };
        structured(paused.await)
    }

    /// Let a scan go on that pause_scan has paused, not one that is paused on the scanner itself or by a window of the policy.
    #[tool]
    async fn resume_scan(&self, Parameters(arguments): Parameters<ResumeArguments>) -> CallToolResult {
        let resumed = async { self.service.resume(&ScanService::parse_task_id(&arguments.task_id)?).await };
        structured(resumed.await)
    }

    /// Retry a scan whose status is failed or timeout, under the same task_id. Its earlier results are removed.
    ///
    /// First read its error_code and error_message: a permanent error fails again.
    #[tool]
    async fn retry_scan(&self, Parameters(arguments): Parameters<RetryArguments>) -> CallToolResult {
        let retried = async { self.service.retry(&ScanService::parse_task_id(&arguments.task_id)?).await };
        structured(retried.await)
    }
}
