//! What changed between two scans, and what cannot be told.
//!
//! A finding is the same when host, port, protocol and plugin are. That it is missing from the second scan means that
//! it was mended only if the second scan looked as closely as the first: when the host was down, was not scanned, or
//! could not be logged in to any more, the finding is not comparable. Different plugins, policies or ways to derive
//! severities are said, because they change results without any change of the hosts.
//!
//! Both exports are read once. In memory are the keys of both, 24 bytes each and no more than
//! [`MOST_FINDINGS`](keep::MOST_FINDINGS), the changes that can be shown, and texts for plugins and hosts.

mod compare;
mod differences;
mod keep;
mod text;
mod view;

use std::io::Read;

use self::compare::Outcome;
pub use self::{
    compare::Incomparable,
    differences::Difference,
    view::{
        ChangeCounts, ComplianceChanges, ComplianceRow, DiffView, FindingRow, HostNotComparable, HostsCompared,
        ScanSide,
    },
};
use super::{authentication::LoginExpected, error::ResultsError};

/// Two scans compared.
///
/// ```
/// use nessus_mcp_lib::results::{DEFAULT_CHARS, ScanDiff};
///
/// let scan = |items: &str| format!("<NessusClientData_v2><Report><ReportHost name='h'>
///     <ReportItem severity='0' pluginID='1' port='0'/>{items}</ReportHost></Report></NessusClientData_v2>");
/// let before = scan("<ReportItem severity='3' pluginID='900001' port='443' protocol='tcp'/>");
/// let after = scan("");
/// let view = ScanDiff::read(before.as_bytes(), after.as_bytes())?.view(DEFAULT_CHARS);
/// assert_eq!((view.counts.fixed.high, view.counts.new.total()), (1, 0));
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
#[derive(Debug)]
pub struct ScanDiff {
    outcome: Outcome,
}

impl ScanDiff {
    /// Reads two whole exports: of the earlier and of the later scan.
    ///
    /// # Errors
    /// When one of them is not a complete .nessus export of version 2.
    pub fn read<B: Read, A: Read>(before: B, after: A) -> Result<Self, ResultsError> {
        Self::read_as(before, LoginExpected::NotSaid, after, LoginExpected::NotSaid)
    }

    /// As [`ScanDiff::read`], knowing whether the scans were to log in.
    pub fn read_as<B: Read, A: Read>(
        before: B,
        before_login: LoginExpected,
        after: A,
        after_login: LoginExpected,
    ) -> Result<Self, ResultsError> {
        Ok(Self { outcome: compare::compare((before, before_login), (after, after_login))? })
    }
}

#[cfg(test)]
mod tests;
