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
