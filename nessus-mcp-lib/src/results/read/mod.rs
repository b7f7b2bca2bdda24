//! Results read back: what [`JsonNlConverter`](super::JsonNlConverter) writes, as typed values.
//!
//! The same types serve whoever converts an export in the library and whoever reads pages of a server. What a newer
//! program writes is taken as far as it is known: further members stay in `other`, further lines are [`ResultLine::Other`], and
//! a value of another type than expected stays in `other` under its name. So nothing is lost, and nothing is guessed.

mod finding;
mod line;
mod page;
mod sink;

pub use finding::{CutField, Finding};
pub use line::{DataWarning, FindingGroup, Pagination, ResultLine, ResultsSchema, ScanMetadata};
pub use page::{ResultsPage, UnreadableResults};
pub use sink::ResultSink;
