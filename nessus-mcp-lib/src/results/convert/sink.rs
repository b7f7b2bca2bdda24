//! What all output formats have in common: each is a sink of findings, and ends with the same summary.

use super::first_pass::FirstPass;
use crate::results::{
    error::{ParseFailure, ResultsError},
    judge::ExportStats,
    record::Record,
    xml::Visit,
};

/// What a conversion has found and written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConversionSummary {
    /// Findings, or compliance checks where those are asked for, that match the filters.
    pub total_vulnerabilities: u64,
    /// The machines they are on.
    pub matched_hosts: u64,
    /// The plugins they are of.
    pub matched_plugins: u64,
    /// Findings, or groups of them, written: those of the page.
    pub written: u64,
    /// Pages that the matching findings, or their groups, fill; 1 when everything was asked for.
    pub total_pages: u64,
    /// Whether the page has ended early for its budget.
    pub truncated: bool,
    /// Where the next page begins, when there is more and not everything was asked for.
    pub next_cursor: Option<String>,
    /// What the whole export holds; of a broken one, what was read before that place.
    pub stats: ExportStats,
    /// Where the export is broken, when it is and the conversion was allowed to go on.
    pub failure: Option<ParseFailure>,
}

/// Where findings go: one for each format.
pub(crate) trait Sink {
    /// Sees everything in the first pass, in file order, and whether an item matches.
    fn look(&mut self, _visit: Visit<'_>, _matches: bool) {}

    /// What was seen is seen again from the beginning, and better.
    fn forget(&mut self) {}

    /// The first pass is over and the second begins.
    fn begin(&mut self, first_pass: &FirstPass<'_>) -> Result<(), ResultsError>;

    /// Takes a selected finding; false when there is no room for it.
    fn record(&mut self, record: &Record<'_>) -> Result<bool, ResultsError>;

    /// All is written.
    fn end(&mut self, summary: &ConversionSummary) -> Result<(), ResultsError>;
}
