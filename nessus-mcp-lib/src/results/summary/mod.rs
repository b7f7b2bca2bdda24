//! What a scan found, grouped: by severity, plugin, host and solution, with what is exploited first.
//!
//! A scan of a network has thousands of findings, most of them the same on many hosts. The groups say "this on 40
//! hosts" and "these three updates clear 71 findings" in one answer of bounded size, counts first, each group with the
//! filters that show its findings.
//!
//! Takes an export, which is read once; memory grows with the number of plugins, hosts and solutions, within limits, not
//! with the findings. Gives a [`ScanSummary`], and of it a [`SummaryView`] that fits a number of characters.

mod compliance;
mod groups;
mod rows;
mod scan_summary;
mod section;
mod text;
mod view;

pub use self::{
    compliance::{AuditRow, CheckRow, ComplianceView},
    rows::{HostRow, PluginRow, SeverityRow, SolutionRow},
    scan_summary::ScanSummary,
    section::SummarySection,
    view::{AuthenticationRow, AuthenticationView, RiskView, SolutionsView, SummaryCounts, SummaryView},
};
#[cfg(test)]
mod tests;
