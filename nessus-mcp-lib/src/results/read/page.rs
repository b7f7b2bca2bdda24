//! A page of results, typed.

use std::str::FromStr;

use super::{
    finding::Finding,
    line::{FindingGroup, Pagination, ResultLine, ResultsSchema, ScanMetadata},
};

/// A text that is no page of results.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the results cannot be read")]
#[non_exhaustive]
pub struct UnreadableResults {
    /// The line, from 1.
    pub line: usize,
    /// Why.
    pub source: serde_json::Error,
}

/// A page of results: what [`ScanService::results`](crate::ScanService::results) and the tool `get_scan_results` answer.
///
/// ```
/// # let text = r#"{"type":"schema","kind":"vulnerability","matched":1,"total":1}
/// # {"type":"vulnerability","host":"10.0.0.7","severity":"High"}
/// # {"type":"pagination","page":1,"page_size":40,"has_next":false,"next_page":null}"#;
/// let page: nessus_mcp_lib::results::ResultsPage = text.parse()?;
/// for finding in &page.findings {
///     println!("{:?} {:?}", finding.host, finding.severity);
/// }
/// assert_eq!(page.next_cursor(), None);
/// # Ok::<(), nessus_mcp_lib::results::UnreadableResults>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ResultsPage {
    /// What was asked for, and how much there is.
    pub schema: ResultsSchema,
    /// What is known of the scan; absent where only a count was asked for and there is nothing to warn of.
    pub metadata: Option<ScanMetadata>,
    /// The findings of the page.
    pub findings: Vec<Finding>,
    /// Or the groups, where these were asked for.
    pub groups: Vec<FindingGroup>,
    /// Where the next page begins; absent when everything was asked for and is there.
    pub pagination: Option<Pagination>,
}

impl ResultsPage {
    /// The cursor of the next page; `None` after the last one.
    pub fn next_cursor(&self) -> Option<&str> {
        self.pagination.as_ref().filter(|pagination| pagination.has_next)?.next_cursor.as_deref()
    }
}

impl FromStr for ResultsPage {
    type Err = UnreadableResults;

    /// Reads lines of JSON; a line of a type that is not known is passed over.
    fn from_str(text: &str) -> Result<Self, UnreadableResults> {
        let mut page = Self::default();
        let mut has_schema = false;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line: ResultLine =
                serde_json::from_str(line).map_err(|source| UnreadableResults { line: at + 1, source })?;
            match line {
                ResultLine::Schema(schema) => {
                    page.schema = schema;
                    has_schema = true;
                }
                ResultLine::Metadata(metadata) => page.metadata = Some(metadata),
                ResultLine::Finding(finding) => page.findings.push(*finding),
                ResultLine::Group(group) => page.groups.push(group),
                ResultLine::Pagination(pagination) => page.pagination = Some(pagination),
                ResultLine::Other(_) => {}
            }
        }
        if has_schema {
            return Ok(page);
        }
        Err(UnreadableResults { line: 1, source: serde::de::Error::custom("there is no line of the type `schema`") })
    }
}
