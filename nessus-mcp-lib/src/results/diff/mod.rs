//! What changed between two scans, and what cannot be told.
//!
//! A name is not an identity and absence is not repair. So hosts are matched first, by the weighed rule of
//! [`match_hosts`](crate::results::record::match_hosts), then findings by what tells them apart on their host. A finding
//! that is missing from the second scan was fixed only if the second scan looked there; [`unseen`] says why it may not
//! have. Findings that nothing tells apart are compared by their number. Different plugins, policies or ways to derive
//! severities are reported, because they change results without any change of the hosts.
//!
//! Takes two exports, each read once ([`read`]), and once more for the outputs that changed ([`outputs`]). In memory are
//! the findings of both, 32 bytes each and no more than [`MOST_FINDINGS`](finding::MOST_FINDINGS), the changes that can
//! be shown, and texts for plugins, checks and hosts. Gives a [`ScanDiff`], and of it a [`DiffView`].

mod changes;
mod compare;
mod compliance;
mod differences;
mod finding;
mod hosts;
mod names;
mod outputs;
mod read;
mod rows;
mod scan_diff;
mod text;
mod unseen;
mod view;

pub use self::{
    compliance::{AuditChanges, CheckChanges, CheckCounts},
    differences::Difference,
    rows::{ComplianceRow, FindingRow, HostNotComparable},
    scan_diff::ScanDiff,
    unseen::Incomparable,
    view::{ChangeCounts, ComplianceChanges, DiffView, HostsCompared, ScanSide},
};
#[cfg(test)]
mod tests;
