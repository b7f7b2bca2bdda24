//! The results engine: what a .nessus export holds, as lines of JSON.
//!
//! An export of one scan can be a gigabyte, comes from machines that may be hostile, and is read by a language model
//! that takes in a few pages of text. So the engine streams, refuses what is out of bounds, filters and sorts before
//! it shows, and says in the data what was irregular instead of guessing. It knows nothing of tasks, queues and
//! scanners.
//!
//! # How it works
//! [`Query`] says what is wanted. [`JsonNlConverter`] reads the export twice: a survey checks the whole file, counts,
//! applies the filters and remembers where matching items stand; then the items of the page are read again from
//! their byte ranges and written. [`Converter`] does the same for other formats. [`Validation`] judges a whole export: counts, what is missing, and whether the login
//! worked on each host. [`ScanSummary`] groups an export, [`ScanDiff`] compares two.
//!
//! From the ground up, each knowing only those before it: `error`, `fields` (the declared fields and their types),
//! `encoding` (everything becomes UTF-8), `xml` (the only one that knows quick-xml), `record` (one item with types),
//! `filter`, `profile`, `sort`, `page`, `cursor`, `query`, `untrusted`, `escape`, `render`, `lines`, `walk` (one reading
//! of a whole export), `scan_information`, `counts`, `authentication`, `validate`, `budget` and `clean` (views of bounded
//! size), `summary`, `diff`, `selection` (where the wanted items stand), `survey` (the first reading), `index` (which
//! stands for it), `memory` (what readings take), `second_reading`,
//! `conversion` (two readings, a page, and a sink for what is found), `json_nl`, `export` (the sinks of other formats).
//!
//! # How it fails
//! [`ResultsError`] is either about the query, and lists what would be valid, or about the file, and says where. A
//! broken file is converted in part only where that was asked for, and then the output says so; a filter that cannot be
//! applied is never an empty result.

mod authentication;
mod budget;
mod checksum;
mod clean;
mod conversion;
mod counts;
mod cursor;
mod diff;
mod encoding;
mod error;
mod escape;
mod export;
#[cfg(feature = "schema")]
mod field_list;
mod fields;
mod filter;
mod host_time;
mod index;
mod json_nl;
mod lines;
mod memory;
mod page;
mod profile;
mod query;
mod record;
mod render;
mod scan_information;
mod second_reading;
mod selection;
mod sink;
mod sort;
mod summary;
mod survey;
mod untrusted;
mod validate;
mod validation_warnings;
mod walk;
mod window;
mod words;
mod xml;

pub use authentication::{
    AuthenticationReport, AuthenticationStatus, Cause, CauseCount, Evidence, HostAuthentication, LoginExpected,
    Verdict, VerdictCounts,
};
pub use budget::{DEFAULT_CHARS, MIN_CHARS, Section};
pub use diff::{
    ChangeCounts, ComplianceChanges, ComplianceRow, DiffView, Difference, FindingRow, HostNotComparable, HostsCompared,
    Incomparable, ScanDiff, ScanSide,
};
pub use error::{Damage, Location, ResultsError};
pub use export::{Converter, Format};
#[cfg(feature = "schema")]
pub use field_list::{DeclaredField, declared_fields};
pub use filter::FilterSet;
pub use index::{ExportIndex, IndexError, IndexSummary};
pub use json_nl::JsonNlConverter;
#[cfg(feature = "schema")]
pub use json_nl::line_schemas;
pub(crate) use memory::Extent;
pub use page::Page;
pub use profile::Profile;
pub use query::{Query, QueryBuilder};
pub use record::Severity;
pub use sink::ConversionSummary;
pub use sort::{SortField, SortOrder};
pub use summary::{
    AuthenticationRow, AuthenticationView, HostRow, PluginRow, RiskRow, RiskView, ScanSummary, SeverityRow,
    SolutionRow, SolutionsView, SummaryCounts, SummaryView,
};
pub use validate::{ComplianceCounts, ExportStats, SeverityCounts, Validation, ValidationReport, validate};
pub use validation_warnings::ValidationWarning;
