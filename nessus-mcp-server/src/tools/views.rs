//! Summarises one scan, compares two.

use nessus_mcp_lib::{ScanService, results::DEFAULT_CHARS, service::ServiceError};
use rmcp::{
    handler::server::wrapper::Parameters,
    model::{CallToolResult, ContentBlock},
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::{Deserialize, Serialize};

use super::{ScanTools, answer::refuse};

/// Arguments of `get_scan_summary`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SummaryArguments {
    /// The task_id from the submit
    task_id: String,
    /// Only these, beside the counts: by_severity, known_exploited, exploitable, highest_epss, highest_vpr, solutions, plugins,
    /// hosts, compliance, authentication
    #[serde(default)]
    sections: Option<Vec<String>>,
    /// Most characters; default 40000. Lists are cut to fit, counts never
    #[serde(default)]
    #[schemars(range(min = 4000, max = 400_000))]
    max_chars: Option<i64>,
}

/// Arguments of `compare_scans`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareArguments {
    /// The task_id of the earlier scan
    before_task_id: String,
    /// The task_id of the later scan
    after_task_id: String,
    /// Most characters; default 40000. Lists are cut to fit, counts never
    #[serde(default)]
    #[schemars(range(min = 4000, max = 400_000))]
    max_chars: Option<i64>,
}

const MOST_CHARS: usize = 400_000;

#[tool_router(router = views_router, vis = "pub(super)")]
impl ScanTools {
    /// Summary of a completed scan: counts by severity, plugin, host and solution, known exploits, logins, compliance checks.
    ///
    /// Read this before get_scan_results. `plugins` describes each plugin once; other lists name them by id. To get the findings
    /// of a group, pass its `filters` (and `kind`) to get_scan_results, of plugins {"plugin_id": [..]}. Each list has its `total`
    /// and how many are left_out. `authentication` says where the login worked, or why not.
    #[tool]
    async fn get_scan_summary(
        &self,
        Parameters(arguments): Parameters<SummaryArguments>,
    ) -> Result<CallToolResult, CallToolResult> {
        let view = async {
            let task_id = ScanService::parse_task_id(&arguments.task_id)?;
            let sections = arguments.sections.as_deref().unwrap_or_default();
            self.service.summary_of(&task_id, sections, chars(arguments.max_chars)?).await
        };
        answer(&view.await)
    }

    /// What changed between two scans of the same targets: new, fixed, still there, rated differently.
    ///
    /// Read `differences` first: other plugins, policies, ports or targets alone change results. What the later scan did not
    /// look at is not_comparable, with the reason: never call it fixed. Keep the `finding_key` in a ticket.
    #[tool]
    async fn compare_scans(
        &self,
        Parameters(arguments): Parameters<CompareArguments>,
    ) -> Result<CallToolResult, CallToolResult> {
        let view = async {
            let before = ScanService::parse_task_id(&arguments.before_task_id)?;
            let after = ScanService::parse_task_id(&arguments.after_task_id)?;
            self.service.compare(&before, &after, chars(arguments.max_chars)?).await
        };
        answer(&view.await)
    }
}

fn chars(asked: Option<i64>) -> Result<usize, ServiceError> {
    let Some(asked) = asked else { return Ok(DEFAULT_CHARS) };
    usize::try_from(asked)
        .ok()
        .filter(|chars| (nessus_mcp_lib::results::MIN_CHARS..=MOST_CHARS).contains(chars))
        .ok_or_else(|| ServiceError::invalid("max_chars", "must be from 4000 to 400000", None))
}

/// Text only, like the findings: some clients drop the text when there is structured content as well.
fn answer<T: Serialize>(view: &Result<T, ServiceError>) -> Result<CallToolResult, CallToolResult> {
    let view = view.as_ref().map_err(refuse)?;
    let text = serde_json::to_string(view)
        .map_err(|error| refuse(&ServiceError::invalid("view", format!("cannot be written: {error}"), None)))?;
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
}
