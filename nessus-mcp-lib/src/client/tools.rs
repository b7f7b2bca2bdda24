//! The tools of the server, one method each.

use super::{
    arguments::{Arguments, ListTasks, of_results, of_submit, tool_of},
    connection::NessusMcpClient,
    error::ClientError,
};
use crate::{
    ids::TaskId,
    results::{ResultsPage, SeverityCounts, SummarySection},
    service::{
        ControlView, DryRunView, PoliciesView, PoolStatusView, PoolsView, QueueView, ResultsRequest, ScannersView,
        Submission, SubmitRequest, TaskComparison, TaskListView, TaskSummaryView, TaskView,
    },
    telemetry::HealthReport,
};

/// The most seconds that the server waits in one call of `get_scan_status`.
pub(super) const MOST_WAIT_SECONDS: u64 = 45;

impl NessusMcpClient {
    /// Submits a scan: of the three tools the one for its [type](crate::task::ScanType). The task is stored durably when this
    /// returns.
    ///
    /// Who submits it and in which trace is decided by the server: `submitted_by` and `trace_id` of the request are not sent.
    /// A call that failed with [`ClientError::Transport`] or [`ClientError::Timeout`] may have been accepted: with an
    /// `idempotency_key` it can be repeated, and becomes the same task.
    ///
    /// # Errors
    /// [`ClientError::Tool`] when the server refuses it, for example with the code `out_of_scope` or `invalid_targets`.
    pub async fn submit_scan(&self, request: &SubmitRequest) -> Result<Submission, ClientError> {
        self.view(tool_of(request.scan_type), &of_submit(request)).await
    }

    /// What would become of a scan: its hosts, whether it is in scope, how long it would wait. Nothing is submitted.
    ///
    /// # Errors
    /// Those of [`submit_scan`](Self::submit_scan).
    pub async fn check_scan(&self, request: &SubmitRequest) -> Result<DryRunView, ClientError> {
        self.view(tool_of(request.scan_type), &of_submit(request).with("dry_run", true)).await
    }

    /// Where a task stands.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `task_not_found` when there is none.
    pub async fn get_status(&self, task_id: &TaskId) -> Result<TaskView, ClientError> {
        self.view("get_scan_status", &Arguments::of_task(task_id)).await
    }

    /// Where a task stands, as soon as that is something else than at the call, or after so many seconds: at most 45.
    ///
    /// # Errors
    /// Those of [`get_status`](Self::get_status).
    pub async fn get_status_change(&self, task_id: &TaskId, wait_seconds: u64) -> Result<TaskView, ClientError> {
        let wait = wait_seconds.min(MOST_WAIT_SECONDS);
        self.view("get_scan_status", &Arguments::of_task(task_id).with("wait_seconds", wait)).await
    }

    /// One page of a task's results, typed. [`findings`](Self::findings) goes through all pages.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `results_not_ready` before the scan has ended, `no_results` when it ended without,
    /// and others for a question that cannot be answered.
    pub async fn get_results(&self, request: &ResultsRequest) -> Result<ResultsPage, ClientError> {
        Ok(self.get_results_lines(request).await?.parse()?)
    }

    /// One page of a task's results, as the lines of JSON that the server writes.
    ///
    /// # Errors
    /// Those of [`get_results`](Self::get_results).
    pub async fn get_results_lines(&self, request: &ResultsRequest) -> Result<String, ClientError> {
        self.call("get_scan_results", &of_results(request)).await
    }

    /// What a task's scan found, grouped; of the sections only those that are named, if any is. The answer has at most `max_chars`
    /// characters of JSON: 40,000 when it is `None`.
    ///
    /// # Errors
    /// Those of [`get_results`](Self::get_results).
    pub async fn get_scan_summary(
        &self,
        task_id: &TaskId,
        sections: &[SummarySection],
        max_chars: Option<u64>,
    ) -> Result<TaskSummaryView, ClientError> {
        let sections: Vec<&str> = sections.iter().map(|section| section.name()).collect();
        let arguments = Arguments::of_task(task_id).with("sections", sections).with("max_chars", max_chars);
        self.view("get_scan_summary", &arguments).await
    }

    /// How many findings of each severity a task's scan has.
    ///
    /// # Errors
    /// Those of [`get_results`](Self::get_results).
    pub async fn get_vulnerability_summary(&self, task_id: &TaskId) -> Result<SeverityCounts, ClientError> {
        let view = self.get_scan_summary(task_id, &[SummarySection::BySeverity], None).await?;
        Ok(view.summary.counts.severity_counts)
    }

    /// What changed from the scan of one task to that of a later one.
    ///
    /// # Errors
    /// Those of [`get_results`](Self::get_results), for either task.
    pub async fn compare_scans(
        &self,
        before: &TaskId,
        after: &TaskId,
        max_chars: Option<u64>,
    ) -> Result<TaskComparison, ClientError> {
        let arguments = Arguments::default().with("before_task_id", before).with("after_task_id", after);
        self.view("compare_scans", &arguments.with("max_chars", max_chars)).await
    }

    /// One page of the tasks, newest first; `next_cursor` of the answer goes on.
    ///
    /// # Errors
    /// [`ClientError::Tool`] for a condition that cannot be read.
    pub async fn list_tasks(&self, which: &ListTasks) -> Result<TaskListView, ClientError> {
        self.view("list_tasks", which).await
    }

    /// Cancels a scan. One that runs is stopped on the scanner, and its findings so far are kept.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `already_ended` for a task that has ended in another way.
    pub async fn cancel_scan(&self, task_id: &TaskId, reason: Option<&str>) -> Result<ControlView, ClientError> {
        self.view("cancel_scan", &Arguments::of_task(task_id).with("reason", reason)).await
    }

    /// Pauses a scan until [`resume_scan`](Self::resume_scan).
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `not_pausable` for a task that cannot be paused.
    pub async fn pause_scan(&self, task_id: &TaskId, reason: Option<&str>) -> Result<ControlView, ClientError> {
        self.view("pause_scan", &Arguments::of_task(task_id).with("reason", reason)).await
    }

    /// Lets a scan go on that [`pause_scan`](Self::pause_scan) has paused.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `not_resumable` for one that is not paused so.
    pub async fn resume_scan(&self, task_id: &TaskId) -> Result<ControlView, ClientError> {
        self.view("resume_scan", &Arguments::of_task(task_id)).await
    }

    /// Runs a scan once more that has failed or took too long, under the same task id. Its earlier results are removed.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `not_retryable` for any other.
    pub async fn retry_scan(&self, task_id: &TaskId) -> Result<ControlView, ClientError> {
        self.view("retry_scan", &Arguments::of_task(task_id)).await
    }

    /// The scanners of a pool, or of all.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `unknown_pool`.
    pub async fn list_scanners(&self, pool: Option<&str>) -> Result<ScannersView, ClientError> {
        self.of_pool("list_scanners", pool).await
    }

    /// The pools.
    pub async fn list_pools(&self) -> Result<PoolsView, ClientError> {
        self.view("list_pools", &Arguments::default()).await
    }

    /// What scans can be made of, in a pool or in all.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `unknown_pool`.
    pub async fn list_policies(&self, pool: Option<&str>) -> Result<PoliciesView, ClientError> {
        self.of_pool("list_policies", pool).await
    }

    /// One pool: the default pool when it is `None`.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `unknown_pool`.
    pub async fn get_pool_status(&self, pool: Option<&str>) -> Result<PoolStatusView, ClientError> {
        self.of_pool("get_pool_status", pool).await
    }

    /// The queue of a pool, or of all.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `unknown_pool`.
    pub async fn get_queue_status(&self, pool: Option<&str>) -> Result<QueueView, ClientError> {
        self.of_pool("get_queue_status", pool).await
    }

    /// Whether the server and what it depends on work.
    pub async fn health_check(&self) -> Result<HealthReport, ClientError> {
        self.view("health_check", &Arguments::default()).await
    }

    async fn of_pool<T: serde::de::DeserializeOwned>(&self, tool: &str, pool: Option<&str>) -> Result<T, ClientError> {
        self.view(tool, &Arguments::default().with("scanner_pool", pool)).await
    }
}
