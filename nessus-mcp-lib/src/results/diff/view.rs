//! The comparison as it is shown: counts first, then lists as long as there is room.

use serde::{Deserialize, Serialize};

use super::{
    changes::{Change, Changes, CheckChange, MOST_LISTED},
    compare::{NotComparable, Outcome},
    compliance::{AuditChanges, CheckChanges},
    differences::{Difference, differences},
    hosts::Seen,
    read::About,
    rows::{ComplianceRow, FindingRow, HostNotComparable},
    scan_diff::ScanDiff,
    unseen::Incomparable,
};
use crate::results::{
    judge::{AuthenticationStatus, SeverityCounts, is_zero},
    texts::{NAME_CHARS, clean},
    write::{Section, fit},
};

/// One of the two scans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ScanSide {
    /// `Report/@name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_name: Option<String>,
    /// When the first host's scan started; absent if the export gives no time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// Hosts in the export.
    pub hosts: u64,
    /// Those that did not answer or were not scanned.
    pub dead_hosts: u64,
    /// Whether the login worked.
    pub authentication_status: AuthenticationStatus,
    /// Findings by severity, as the export lists them: duplicates count twice.
    pub severity_counts: SeverityCounts,
}

/// How many findings by severity. Host, port, protocol, plugin and, where a plugin reports several things at one port, what
/// tells them apart make one; those that nothing tells apart are compared by their number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ChangeCounts {
    /// Only in the second scan.
    pub new: SeverityCounts,
    /// Only in the first scan, and the second has looked there.
    pub fixed: SeverityCounts,
    /// In both with the same severity.
    pub still_there: SeverityCounts,
    /// In both with another severity, by the new one.
    pub severity_changed: SeverityCounts,
    /// Of those in both: with another output, beside white space.
    pub changed_output: SeverityCounts,
    /// Only in the first scan, where the second did not look.
    pub not_comparable: SeverityCounts,
    /// Of the new: on hosts that were not in the first scan, or down.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub new_on_unseen_hosts: u64,
    /// Of the new: on hosts where the login worked better in the second scan, so they may have been there before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub new_by_better_login: u64,
    /// Of the new: where the first scan did not look for another reason, so they may have been there before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub new_by_wider_scan: u64,
    /// Findings that were not compared, because there are too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_compared: u64,
}

/// Hosts by the scans they are in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HostsCompared {
    /// Alive in both.
    pub in_both: u64,
    /// Only in the first, or down in the second.
    pub only_before: u64,
    /// Only in the second, or down in the first.
    pub only_after: u64,
    /// Of those in both: scanned under another name now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub renamed: u64,
}

/// What became of compliance checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ComplianceChanges {
    /// The same in both.
    pub unchanged: u64,
    /// Changed to a status other than passed or failed, or new and not failed.
    pub changed_otherwise: u64,
    /// No longer checked, although the second scan looked there.
    pub gone: u64,
    /// No longer checked, where the second scan did not look.
    pub not_comparable: u64,
    /// By audit file.
    pub by_audit: Section<AuditChanges>,
    /// The checks that changed on any host.
    pub by_check: Section<CheckChanges>,
    /// Failed now, but not in the first scan.
    pub newly_failed: Section<ComplianceRow>,
    /// Passed now, but not in the first scan.
    pub newly_passed: Section<ComplianceRow>,
}

/// Two scans compared, within a number of characters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DiffView {
    /// The first scan.
    pub before: ScanSide,
    /// The second.
    pub after: ScanSide,
    /// How the scans differ besides their findings: read this before the counts.
    pub differences: Vec<Difference>,
    /// How many findings.
    pub counts: ChangeCounts,
    /// How many hosts.
    pub hosts: HostsCompared,
    /// Whether lists are cut; each says by how much.
    pub truncated: bool,
    /// The new findings, worst first; findings that share a key and changed alike are one row.
    pub new: Section<FindingRow>,
    /// The fixed ones.
    pub fixed: Section<FindingRow>,
    /// Those whose severity changed.
    pub severity_changed: Section<FindingRow>,
    /// Those whose output changed.
    pub changed_output: Section<FindingRow>,
    /// Missing findings that cannot be judged, by host and reason.
    pub hosts_not_comparable: Section<HostNotComparable>,
    /// Compliance checks, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compliance: Option<ComplianceChanges>,
}

impl ScanDiff {
    /// The view that fits `max_chars` characters as compact JSON; see [`DEFAULT_CHARS`](crate::results::DEFAULT_CHARS)
    /// and [`MIN_CHARS`](crate::results::MIN_CHARS).
    pub fn view(&self, max_chars: usize) -> DiffView {
        let outcome = &self.outcome;
        let mut hosts: Vec<(u32, Incomparable, NotComparable)> =
            outcome.not_comparable.iter().map(|((host, reason), found)| (*host, *reason, *found)).collect();
        hosts.sort_by(|left, right| {
            let counts = |found: &NotComparable| {
                let SeverityCounts { critical, high, medium, low, .. } = found.counts;
                (critical, high, medium, low)
            };
            let by_counts = counts(&right.2).cmp(&counts(&left.2));
            let pair = |host: u32| outcome.pairs.get(host as usize);
            let by_name = || match (pair(left.0), pair(right.0)) {
                (Some(one), Some(another)) => one.order(another),
                _ => std::cmp::Ordering::Equal,
            };
            by_counts.then_with(by_name).then(left.1.cmp(&right.1))
        });
        let differences = differences(&outcome.before, &outcome.after, &outcome.pairs);
        let counts = outcome.counts();
        fit(MOST_LISTED, max_chars, |most| outcome.view(&hosts, &counts, &differences, most))
    }
}

impl Outcome {
    fn view(
        &self,
        hosts: &[(u32, Incomparable, NotComparable)],
        counts: &ChangeCounts,
        differences: &[Difference],
        most: usize,
    ) -> DiffView {
        let findings = |changes: &Changes<Change>| {
            Section::of_first(changes.total, changes.first.iter().map(|change| self.finding_row(change)), most)
        };
        let outputs = (0..self.changed_output.first.len()).map(|at| self.output_row(at));
        let mut view = DiffView {
            before: side(&self.before),
            after: side(&self.after),
            differences: differences.to_vec(),
            counts: counts.clone(),
            hosts: self.hosts(),
            truncated: false,
            new: findings(&self.new),
            fixed: findings(&self.fixed),
            severity_changed: findings(&self.changed),
            changed_output: Section::of_first(self.changed_output.total, outputs, most),
            hosts_not_comparable: Section::of(
                hosts.iter().map(|(host, reason, found)| self.host_row(*host, *reason, found)),
                most,
            ),
            compliance: self.compliance(most),
        };
        let mut left_out = vec![
            view.new.left_out,
            view.fixed.left_out,
            view.severity_changed.left_out,
            view.changed_output.left_out,
            view.hosts_not_comparable.left_out,
        ];
        if let Some(compliance) = &view.compliance {
            left_out.extend([compliance.newly_failed.left_out, compliance.newly_passed.left_out]);
            left_out.extend([compliance.by_audit.left_out, compliance.by_check.left_out]);
        }
        view.truncated = left_out.iter().any(|count| *count > 0);
        view
    }

    fn counts(&self) -> ChangeCounts {
        let mut not_comparable = SeverityCounts::default();
        for host in self.not_comparable.values() {
            not_comparable.add_all(&host.counts);
        }
        ChangeCounts {
            new: self.counts_new,
            fixed: self.counts_fixed,
            still_there: self.still_there,
            severity_changed: self.counts_changed,
            changed_output: self.counts_changed_output,
            not_comparable,
            new_on_unseen_hosts: self.new_on_unseen_hosts,
            new_by_better_login: self.new_by_better_login,
            new_by_wider_scan: self.new_by_wider_scan,
            not_compared: self.not_compared,
        }
    }

    fn hosts(&self) -> HostsCompared {
        let mut hosts = HostsCompared { in_both: 0, only_before: 0, only_after: 0, renamed: 0 };
        let alive = |seen: Option<&Seen>| seen.is_some_and(|seen| seen.machine.judgement.is_live());
        for pair in &self.pairs {
            match (alive(pair.before.as_ref()), alive(pair.after.as_ref())) {
                (true, true) => {
                    hosts.in_both += 1;
                    hosts.renamed += u64::from(pair.previous_name().is_some());
                }
                (true, false) => hosts.only_before += 1,
                (false, true) => hosts.only_after += 1,
                (false, false) => {}
            }
        }
        hosts
    }

    fn compliance(&self, most: usize) -> Option<ComplianceChanges> {
        let any = self.before.stats.compliance_items + self.after.stats.compliance_items > 0;
        let section = |changes: &Changes<CheckChange>| {
            Section::of_first(changes.total, changes.first.iter().map(|change| self.check_row(change)), most)
        };
        let total = self.checks.total();
        any.then(|| ComplianceChanges {
            unchanged: total.unchanged,
            changed_otherwise: total.changed_otherwise,
            gone: total.gone,
            not_comparable: total.not_comparable,
            by_audit: Section::of(self.checks.by_audit(&self.names).into_iter(), most),
            by_check: Section::of(self.checks.by_check(&self.names).into_iter(), most),
            newly_failed: section(&self.newly_failed),
            newly_passed: section(&self.newly_passed),
        })
    }
}

fn side(about: &About) -> ScanSide {
    ScanSide {
        report_name: about.header.report_name.as_deref().map(|name| clean(name, NAME_CHARS)),
        started: about.start.clone(),
        hosts: about.stats.hosts,
        dead_hosts: about.authentication.dead_hosts,
        authentication_status: about.authentication.status,
        severity_counts: about.stats.severity_counts,
    }
}
