//! What an export holds, counted while it is read.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use super::scan_information::{self, ScanInformation};
use crate::results::{
    record::{ComplianceResult, Record, RecordKind, Severity},
    xml::{ExportReader, Step, Visit},
};

/// How many names of hosts without findings are kept.
const NAMES: usize = 20;

/// The number of items of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
#[non_exhaustive]
pub struct SeverityCounts {
    /// Severity 4.
    pub critical: u64,
    /// Severity 3.
    pub high: u64,
    /// Severity 2.
    pub medium: u64,
    /// Severity 1.
    pub low: u64,
    /// Severity 0.
    pub info: u64,
    /// Items whose severity is missing or no number from 0 to 4.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl SeverityCounts {
    pub(crate) fn add(&mut self, severity: Option<Severity>) {
        *self.of_mut(severity) += 1;
    }

    pub(crate) fn add_all(&mut self, others: &Self) {
        for severity in Severity::ALL.into_iter().map(Some).chain([None]) {
            *self.of_mut(severity) += others.of(severity);
        }
    }

    /// Items of this severity; `None` is [`SeverityCounts::unknown`].
    pub const fn of(&self, severity: Option<Severity>) -> u64 {
        match severity {
            Some(Severity::Critical) => self.critical,
            Some(Severity::High) => self.high,
            Some(Severity::Medium) => self.medium,
            Some(Severity::Low) => self.low,
            Some(Severity::Info) => self.info,
            None => self.unknown,
        }
    }

    /// All items.
    pub const fn total(&self) -> u64 {
        self.critical + self.high + self.medium + self.low + self.info + self.unknown
    }

    /// Items of severity `Low` and worse.
    pub const fn above_info(&self) -> u64 {
        self.critical + self.high + self.medium + self.low
    }

    fn of_mut(&mut self, severity: Option<Severity>) -> &mut u64 {
        match severity {
            Some(Severity::Critical) => &mut self.critical,
            Some(Severity::High) => &mut self.high,
            Some(Severity::Medium) => &mut self.medium,
            Some(Severity::Low) => &mut self.low,
            Some(Severity::Info) => &mut self.info,
            None => &mut self.unknown,
        }
    }
}

/// Outcomes of compliance checks, by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE", default)]
#[non_exhaustive]
pub struct ComplianceCounts {
    /// The setting is as the audit requires.
    pub passed: u64,
    /// The setting is not as the audit requires.
    pub failed: u64,
    /// Needs a person's judgement.
    pub warning: u64,
    /// The check could not be done.
    pub error: u64,
    /// Any other word, or none.
    #[serde(skip_serializing_if = "is_zero")]
    pub other: u64,
}

impl ComplianceCounts {
    pub(crate) fn add(&mut self, result: ComplianceResult) {
        *match result {
            ComplianceResult::Passed => &mut self.passed,
            ComplianceResult::Failed => &mut self.failed,
            ComplianceResult::Warning => &mut self.warning,
            ComplianceResult::Error => &mut self.error,
            ComplianceResult::Other => &mut self.other,
        } += 1;
    }
}

/// What a whole export holds, whatever a query asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[non_exhaustive]
pub struct ExportStats {
    /// The scanner's version, as the first host's plugin 19506 says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_version: Option<String>,
    /// The version of its plugins, YYYYMMDDhhmm, from the same place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_feed_version: Option<String>,
    /// The policy, from the same place; the policy's own element is left out of many exports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_used: Option<String>,
    /// `ReportHost` elements.
    pub hosts: u64,
    /// Hosts without any item: they did not answer, or nothing was learned about them.
    pub hosts_without_findings: u64,
    /// The names of the first 20 of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts_without_findings_names: Vec<String>,
    /// `ReportItem` elements.
    pub items: u64,
    /// Those that are outcomes of compliance checks.
    pub compliance_items: u64,
    /// Outcomes of compliance checks by status.
    #[serde(skip_serializing_if = "ComplianceCounts::is_empty")]
    pub compliance_counts: ComplianceCounts,
    /// Items by severity. Outcomes of compliance checks are left out: the severity they bear is only their status.
    pub severity_counts: SeverityCounts,
}

impl ComplianceCounts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Counts while an export is read.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    stats: ExportStats,
    items_at_host: u64,
}

impl Tally {
    /// Counts one step of `reader`.
    pub(crate) fn count<R: BufRead>(&mut self, step: Step, reader: &ExportReader<R>) {
        self.visit(Visit::of(step, reader));
    }

    /// Counts one step.
    pub(crate) fn visit(&mut self, visit: Visit<'_>) {
        match visit {
            Visit::HostStart => {
                self.stats.hosts += 1;
                self.items_at_host = self.stats.items;
            }
            Visit::Item(record) => {
                self.stats.items += 1;
                match record.kind() {
                    RecordKind::Compliance => {
                        self.stats.compliance_items += 1;
                        self.stats.compliance_counts.add(record.compliance_result());
                    }
                    RecordKind::Vulnerability => self.stats.severity_counts.add(record.severity()),
                }
                if self.stats.scanner_version.is_none() {
                    self.look_for_scanner(&record);
                }
            }
            Visit::HostEnd(host) if self.stats.items == self.items_at_host => {
                self.stats.hosts_without_findings += 1;
                if self.stats.hosts_without_findings_names.len() < NAMES {
                    let name = crate::error::excerpt(&host.name);
                    self.stats.hosts_without_findings_names.push(name.to_string());
                }
            }
            Visit::HostEnd(_) | Visit::End(_) => {}
        }
    }

    /// Hosts seen so far.
    pub(crate) const fn hosts(&self) -> u64 {
        self.stats.hosts
    }

    /// The first that says its version counts, else the last that says anything.
    fn look_for_scanner(&mut self, record: &Record<'_>) {
        if record.plugin() == Some(scan_information::PLUGIN) {
            let found = ScanInformation::read(record.output());
            if found.scanner_version.is_some() || found.plugin_feed_version.is_some() || found.policy.is_some() {
                self.stats.scanner_version = found.scanner_version;
                self.stats.plugin_feed_version = found.plugin_feed_version;
                self.stats.policy_used = found.policy;
            }
        }
    }

    pub(crate) fn finish(self) -> ExportStats {
        self.stats
    }
}
