//! All findings of a task, over however many pages.

use std::vec;

use serde_json::json;

use super::{connection::NessusMcpClient, error::ClientError};
use crate::{
    ids::TaskId,
    results::{FilterSet, Finding, ResultsSchema, ScanMetadata, Severity},
    service::ResultsRequest,
};

/// Findings a page, where the request does not say.
const PAGE_SIZE: i64 = 100;
/// As many characters a page as the server allows, so that no finding has to be cut.
const ALL_CHARS: u64 = 0;

/// The findings that match a request, one after the other: see [`NessusMcpClient::findings`].
#[derive(Debug)]
pub struct Findings<'c> {
    client: &'c NessusMcpClient,
    request: ResultsRequest,
    page: vec::IntoIter<Finding>,
    schema: Option<ResultsSchema>,
    metadata: Option<ScanMetadata>,
    is_from_beginning: bool,
    read: u64,
    is_over: bool,
}

impl NessusMcpClient {
    /// All findings that match a request, to the very end: pages are asked for as they are needed, and a page that ends early
    /// loses nothing. The request's `page` is not used; its `cursor` is where to begin. A page has 100 findings and as many
    /// characters as the server allows, unless the request says otherwise.
    ///
    /// ```no_run
    /// # use nessus_mcp_lib::{client::{ClientError, NessusMcpClient}, ids::TaskId, service::ResultsRequest};
    /// # async fn run(client: &NessusMcpClient, task: TaskId) -> Result<(), ClientError> {
    /// let mut findings = client.findings(ResultsRequest::new(task));
    /// while let Some(finding) = findings.next().await {
    ///     let finding = finding?;
    ///     println!("{:?} {:?}", finding.host, finding.plugin_name);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn findings(&self, mut request: ResultsRequest) -> Findings<'_> {
        request.page = None;
        request.page_size = request.page_size.or(Some(PAGE_SIZE));
        request.max_chars = request.max_chars.or(Some(ALL_CHARS));
        let is_from_beginning = request.cursor.is_none();
        Findings {
            client: self,
            request,
            page: Vec::new().into_iter(),
            schema: None,
            metadata: None,
            is_from_beginning,
            read: 0,
            is_over: false,
        }
    }

    /// All critical findings of a task, in the profile `brief`.
    ///
    /// # Errors
    /// Those of [`Findings::next`].
    pub async fn get_critical_vulnerabilities(&self, task_id: &TaskId) -> Result<Vec<Finding>, ClientError> {
        let mut request = ResultsRequest::new(task_id.clone());
        let is_critical = FilterSet::from_json(&json!({ "severity": Severity::Critical.name() }));
        request.filters = is_critical.map_err(|error| ClientError::Arguments {
            tool: "get_scan_results".to_owned(),
            reason: error.to_string(),
        })?;
        self.findings(request).collect().await
    }
}

impl Findings<'_> {
    /// The next finding; `None` after the last one, and after an error.
    ///
    /// # Errors
    /// [`ClientError::ResultsChanged`] when the results became others between two pages, [`ClientError::Incomplete`] when the
    /// pages ended before all was there, and those of [`NessusMcpClient::get_results`].
    pub async fn next(&mut self) -> Option<Result<Finding, ClientError>> {
        loop {
            if let Some(finding) = self.page.next() {
                self.read += 1;
                return Some(Ok(finding));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.turn().await {
                self.is_over = true;
                return Some(Err(error));
            }
        }
    }

    /// All that are left.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<Finding>, ClientError> {
        let mut all = Vec::new();
        while let Some(finding) = self.next().await {
            all.push(finding?);
        }
        Ok(all)
    }

    /// What was asked for and how much there is; `None` before the first finding.
    pub fn schema(&self) -> Option<&ResultsSchema> {
        self.schema.as_ref()
    }

    /// What is known of the scan, and what a reader must not miss; `None` before the first finding.
    pub fn metadata(&self) -> Option<&ScanMetadata> {
        self.metadata.as_ref()
    }

    /// Asks for the next page.
    async fn turn(&mut self) -> Result<(), ClientError> {
        if self.request.count_only || self.request.group_by.is_some() {
            return Err(ClientError::arguments("get_scan_results", "counts and groups are no findings"));
        }
        let task_id = || self.request.task_id.clone();
        let is_first = self.schema.is_none();
        let page = self.client.get_results(&self.request).await.map_err(|error| {
            // The cursor is one that the server has given a moment ago.
            if !is_first && matches!(error.tool_code(), Some("invalid_cursor" | "results_not_ready" | "no_results")) {
                ClientError::ResultsChanged { task_id: task_id() }
            } else {
                error
            }
        })?;
        let cursor = page.next_cursor().map(str::to_owned);
        let matched = page.schema.matched;
        if self.schema.as_ref().is_some_and(|first| first.matched != matched) {
            return Err(ClientError::ResultsChanged { task_id: task_id() });
        }
        let read = self.read + page.findings.len() as u64;
        let is_stuck = page.findings.is_empty() || cursor == self.request.cursor;
        let is_short = if cursor.is_some() { is_stuck } else { self.is_from_beginning && read != matched };
        if is_short {
            return Err(ClientError::Incomplete { task_id: task_id(), read, matched });
        }
        if is_first {
            self.metadata.clone_from(&page.metadata);
            self.schema = Some(page.schema);
        }
        self.is_over = cursor.is_none();
        self.request.cursor = cursor;
        self.page = page.findings.into_iter();
        Ok(())
    }
}
