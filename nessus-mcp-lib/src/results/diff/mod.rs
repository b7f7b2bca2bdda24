//! What changed between two scans, and what cannot be told.
//!
//! Two findings are the same when host, port, protocol and plugin are. A finding that is missing from the second scan was
//! fixed only if the second scan looked as closely as the first. When the host was down, was not scanned, or the login
//! no longer worked, the finding is not comparable. Different plugins, policies or ways to derive severities are
//! reported, because they change results without any change of the hosts.
//!
//! Takes two exports, each read once; in memory are the keys of both, 24 bytes each and no more than
//! [`MOST_FINDINGS`](keep::MOST_FINDINGS), the changes that can be shown, and texts for plugins and hosts. Gives a
//! [`ScanDiff`], and of it a [`DiffView`].

mod compare;
mod differences;
mod keep;
mod scan_diff;
mod text;
mod view;

pub use self::{
    compare::Incomparable,
    differences::Difference,
    scan_diff::ScanDiff,
    view::{
        ChangeCounts, ComplianceChanges, ComplianceRow, DiffView, FindingRow, HostNotComparable, HostsCompared,
        ScanSide,
    },
};
#[cfg(test)]
mod tests;
