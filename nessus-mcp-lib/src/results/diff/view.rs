//! The comparison as it is shown: counts first, then lists as long as there is room.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{
    compare::{Change, Changes, CheckChange, Incomparable, MOST_LISTED, NotComparable, Outcome},
    differences::{Difference, differences},
    keep::{About, CheckStatus, Key},
    scan_diff::ScanDiff,
};
use crate::results::{
    judge::{AuthenticationStatus, Judgement, SeverityCounts, is_zero},
    record::Severity,
    texts::{NAME_CHARS, clean},
    write::{Section, fit},
};

/// One of the two scans.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// How many findings by severity; host, port, protocol and plugin make one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ChangeCounts {
    /// Only in the second scan.
    pub new: SeverityCounts,
    /// Only in the first scan, on hosts that the second scanned as closely.
    pub fixed: SeverityCounts,
    /// In both with the same severity.
    pub still_there: SeverityCounts,
    /// In both with another severity, by the new one.
    pub severity_changed: SeverityCounts,
    /// Only in the first scan, on hosts that the second did not scan as closely.
    pub not_comparable: SeverityCounts,
    /// Of the new: on hosts that were not in the first scan, or down.
    #[serde(skip_serializing_if = "is_zero")]
    pub new_on_unseen_hosts: u64,
    /// Of the new: on hosts where the login worked better in the second scan, so they may have been there before.
    #[serde(skip_serializing_if = "is_zero")]
    pub new_by_better_login: u64,
    /// Findings that were not compared, because there are too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_compared: u64,
}

/// Hosts by the scans they are in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HostsCompared {
    /// Alive in both.
    pub in_both: u64,
    /// Only in the first, or down in the second.
    pub only_before: u64,
    /// Only in the second, or down in the first.
    pub only_after: u64,
}

/// A finding that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FindingRow {
    /// The host's name in the export.
    pub host: String,
    /// The port; 0 for the host itself.
    pub port: u16,
    /// tcp, udp, icmp or other.
    pub protocol: &'static str,
    /// The plugin.
    pub plugin_id: u32,
    /// Its name.
    pub plugin_name: String,
    /// The severity: of the second scan where it is there, else of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The severity in the first scan, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_severity: Option<Severity>,
}

/// A host about whose missing findings nothing can be said.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HostNotComparable {
    /// The host's name in the export.
    pub host: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Incomparable>,
    /// Its missing findings.
    pub severity_counts: SeverityCounts,
    /// Its missing outcomes of compliance checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub compliance_items: u64,
    /// Filters that show its findings in the first scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Json>,
}

/// A compliance check that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ComplianceRow {
    /// The host's name in the export.
    pub host: String,
    /// The check.
    pub check: String,
    /// PASSED, FAILED, WARNING, ERROR or OTHER; absent where the first scan did not check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<&'static str>,
    /// The same, in the second scan.
    pub after: &'static str,
}

/// What became of compliance checks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ComplianceChanges {
    /// The same in both.
    pub unchanged: u64,
    /// Changed to a status other than passed or failed, or new and not failed.
    pub changed_otherwise: u64,
    /// No longer checked, on hosts that were scanned as closely as before.
    pub gone: u64,
    /// No longer checked, on hosts that were not scanned as closely as before.
    pub not_comparable: u64,
    /// Failed now, but not in the first scan.
    pub newly_failed: Section<ComplianceRow>,
    /// Passed now, but not in the first scan.
    pub newly_passed: Section<ComplianceRow>,
}

/// Two scans compared, within a number of characters.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// The new findings, worst first.
    pub new: Section<FindingRow>,
    /// The fixed ones.
    pub fixed: Section<FindingRow>,
    /// Those whose severity changed.
    pub severity_changed: Section<FindingRow>,
    /// Hosts whose missing findings cannot be judged.
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
        let mut hosts: Vec<(u32, NotComparable)> =
            outcome.not_comparable.iter().map(|(host, found)| (*host, *found)).collect();
        hosts.sort_by(|left, right| {
            let counts = |found: &NotComparable| {
                let SeverityCounts { critical, high, medium, low, .. } = found.counts;
                (critical, high, medium, low)
            };
            counts(&right.1).cmp(&counts(&left.1)).then_with(|| outcome.name(left.0).cmp(outcome.name(right.0)))
        });
        let counts = outcome.counts();
        fit(MOST_LISTED, max_chars, |most| outcome.view(&hosts, &counts, most))
    }
}

impl Outcome {
    fn view(&self, hosts: &[(u32, NotComparable)], counts: &ChangeCounts, most: usize) -> DiffView {
        let findings = |changes: &Changes<Change>| {
            Section::of_first(changes.total, changes.first.iter().map(|change| self.finding(change)), most)
        };
        let mut view = DiffView {
            before: side(&self.before),
            after: side(&self.after),
            differences: differences(&self.before, &self.after),
            counts: counts.clone(),
            hosts: self.hosts(),
            truncated: false,
            new: findings(&self.new),
            fixed: findings(&self.fixed),
            severity_changed: findings(&self.changed),
            hosts_not_comparable: Section::of(hosts.iter().map(|(host, found)| self.host(*host, found)), most),
            compliance: self.compliance(most),
        };
        let mut left_out = vec![
            view.new.left_out,
            view.fixed.left_out,
            view.severity_changed.left_out,
            view.hosts_not_comparable.left_out,
        ];
        if let Some(compliance) = &view.compliance {
            left_out.extend([compliance.newly_failed.left_out, compliance.newly_passed.left_out]);
        }
        view.truncated = left_out.iter().any(|count| *count > 0);
        view
    }

    fn name(&self, host: u32) -> &str {
        self.names.hosts.get(host as usize).map_or("", |name| name)
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
            not_comparable,
            new_on_unseen_hosts: self.new_on_unseen_hosts,
            new_by_better_login: self.new_by_better_login,
            not_compared: self.not_compared,
        }
    }

    fn hosts(&self) -> HostsCompared {
        let mut hosts = HostsCompared { in_both: 0, only_before: 0, only_after: 0 };
        for index in 0..self.names.hosts.len() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let alive = |about: &About| about.judgement(index).is_some_and(Judgement::is_live);
            match (alive(&self.before), alive(&self.after)) {
                (true, true) => hosts.in_both += 1,
                (true, false) => hosts.only_before += 1,
                (false, true) => hosts.only_after += 1,
                (false, false) => {}
            }
        }
        hosts
    }

    fn finding(&self, change: &Change) -> FindingRow {
        let Key { host, plugin, port, protocol, .. } = change.key;
        FindingRow {
            host: clean(self.name(host), NAME_CHARS),
            port,
            protocol: protocol.name(),
            plugin_id: plugin,
            plugin_name: self.names.plugins.get(&plugin).map(ToString::to_string).unwrap_or_default(),
            severity: change.after.or(change.before),
            previous_severity: change.before.filter(|_| change.after.is_some()),
        }
    }

    fn host(&self, host: u32, found: &NotComparable) -> HostNotComparable {
        let name = self.name(host);
        let shown = clean(name, NAME_CHARS);
        HostNotComparable {
            filters: (shown == name && !name.is_empty()).then(|| json!({ "host": format!("={name}") })),
            host: shown,
            reason: found.reason,
            severity_counts: found.counts,
            compliance_items: found.checks,
        }
    }

    fn compliance(&self, most: usize) -> Option<ComplianceChanges> {
        let any = self.before.stats.compliance_items + self.after.stats.compliance_items > 0;
        let row = |change: &CheckChange| ComplianceRow {
            host: clean(self.name(change.key.host), NAME_CHARS),
            check: self.names.checks.get(&change.key.check).map(ToString::to_string).unwrap_or_default(),
            before: change.before.map(CheckStatus::name),
            after: change.after.name(),
        };
        any.then(|| ComplianceChanges {
            unchanged: self.checks_unchanged,
            changed_otherwise: self.checks_changed_otherwise,
            gone: self.checks_gone,
            not_comparable: self.not_comparable.values().map(|host| host.checks).sum(),
            newly_failed: Section::of_first(self.newly_failed.total, self.newly_failed.first.iter().map(row), most),
            newly_passed: Section::of_first(self.newly_passed.total, self.newly_passed.first.iter().map(row), most),
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
