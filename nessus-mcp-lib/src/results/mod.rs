//! The results engine: what a .nessus export holds, as lines of JSON.
//!
//! An export of one scan can be a gigabyte, comes from machines that may be hostile, and is read by a language model
//! that takes in a few pages of text. So the engine streams, refuses what is out of bounds, filters and sorts before
//! it shows, and says in the data what was irregular instead of guessing. It knows nothing of tasks, queues and
//! scanners.
//!
//! # How it works
//! [`Query`] says what is wanted. [`JsonNlConverter`] reads the export in two passes. The first checks the whole file,
//! counts, applies the filters and remembers where matching items are. The second reads the items of the page again, from
//! their byte ranges, and writes them. [`Converter`] does the same for other formats. [`Validation`] judges a whole export:
//! counts, what is missing, and whether the login worked on each host. [`ScanSummary`] groups an export, [`ScanDiff`]
//! compares two.
//!
//! The modules, from the ground up; each knows only those before it:
//!
//! | module | what it does |
//! |---|---|
//! | `texts` | cleans and escapes texts |
//! | `record` | says what a finding is: item, host, fields, typed values |
//! | `error` | says what can be wrong with an export or a query |
//! | `xml` | reads bytes as items; the only one that knows quick-xml |
//! | `judge` | counts, and says whether an export can be relied on |
//! | `query` | holds what is asked: filters, order, page, fields |
//! | `convert` | takes the two passes from an export to a sink |
//! | `index` | stands for the first pass, when the export was read before |
//! | `write` | writes lines of JSON, and views that fit a budget |
//! | `read` | reads these lines back, typed |
//! | `export` | writes CSV, SARIF and HTML |
//! | `summary`, `diff` | group one export, compare two |
//!
//! # How it fails
//! [`ResultsError`] is either about the query, and lists what would be valid, or about the file, and says where. A
//! broken file is converted in part only where that was asked for, and then the output says so; a filter that cannot be
//! applied is never an empty result.

mod convert;
mod diff;
mod error;
mod export;
mod index;
mod judge;
mod query;
mod read;
mod record;
mod summary;
mod texts;
mod write;
mod xml;

pub use convert::ConversionSummary;
pub use diff::{
    AuditChanges, ChangeCounts, CheckChanges, CheckCounts, ComplianceChanges, ComplianceRow, DiffView, Difference,
    FindingRow, HostNotComparable, HostsCompared, Incomparable, ScanDiff, ScanSide,
};
pub use error::{Location, ParseFailure, ResultsError};
pub use export::{Converter, Format, REPORT_STYLE, host_chart, severity_chart, severity_class};
pub(crate) use index::Extent;
pub use index::{ExportIndex, IndexError, IndexSummary};
pub use judge::{
    AuthenticationReport, AuthenticationStatus, Cause, CauseCount, ComplianceCounts, Evidence, ExportStats,
    HostAuthentication, LoginExpected, SeverityCounts, Validation, ValidationReport, ValidationWarning, Verdict,
    VerdictCounts, validate,
};
pub use query::{
    Caller, DeclaredField, FilterSet, GroupBy, GroupSort, Page, Profile, Query, QueryBuilder, SortField, SortOrder,
    declared_fields,
};
pub use read::{
    CutField, DataWarning, Finding, FindingGroup, Pagination, ResultLine, ResultSink, ResultsPage, ResultsSchema,
    ScanMetadata, UnreadableResults,
};
pub use record::{NoSeverity, RecordKind, Severity};
pub use summary::{
    AuditRow, AuthenticationRow, AuthenticationView, CheckRow, ComplianceView, HostRow, PluginRow, RiskView,
    ScanSummary, SeverityRow, SolutionRow, SolutionsView, SummaryCounts, SummarySection, SummaryView,
};
pub use texts::untrusted::clean as visible_text;
pub(crate) use texts::untrusted::is_hidden;
#[cfg(feature = "schema")]
pub use write::line_schemas;
pub use write::{DEFAULT_CHARS, JsonNlConverter, MIN_CHARS, Section};
