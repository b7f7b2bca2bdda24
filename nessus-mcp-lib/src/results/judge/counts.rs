//! What an export holds, counted while it is read.

use std::{collections::BTreeSet, io::BufRead};

use serde::{Deserialize, Serialize};

use super::scan_information::{self, ScanInformation};
use crate::{
    error::counted,
    results::{
        query::NameKey,
        record::{Blocks, ComplianceResult, Host, HostEvidence, Machines, Record, RecordKind, Severity},
        xml::{ExportReader, Step, Visit},
    },
};

/// How many names of hosts without findings are kept.
const NAMES: usize = 20;
/// How many are remembered until it is known which of them have findings in another place of the file.
const REMEMBERED: usize = 1_000;

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
    /// The scanner's version, as plugin 19506 says; where the hosts were scanned with several, that with the newest plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_version: Option<String>,
    /// The version of its plugins, YYYYMMDDhhmm, from the same place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_feed_version: Option<String>,
    /// The policy, from the same place; the policy's own element is left out of many exports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_used: Option<String>,
    /// Machines: one that has several `ReportHost` elements, as in a merged file, counts once.
    pub hosts: u64,
    /// Hosts without any item: they did not answer, or nothing was learned about them.
    pub hosts_without_findings: u64,
    /// The names of the first 20 of these, addresses before names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts_without_findings_names: Vec<String>,
    /// `ReportItem` elements, but for those that are repeated.
    pub items: u64,
    /// `ReportItem` elements that are left out and counted nowhere else, because another block of the machine has the finding.
    #[serde(skip_serializing_if = "is_zero")]
    pub repeated_items: u64,
    /// Those that are outcomes of compliance checks.
    pub compliance_items: u64,
    /// Outcomes of compliance checks by status.
    #[serde(skip_serializing_if = "ComplianceCounts::is_empty")]
    pub compliance_counts: ComplianceCounts,
    /// Items by severity. Outcomes of compliance checks are left out: the severity they bear is only their status.
    pub severity_counts: SeverityCounts,
}

impl ExportStats {
    /// Items of a kind.
    pub(crate) const fn of_kind(&self, kind: RecordKind) -> u64 {
        match kind {
            RecordKind::Vulnerability => self.items.saturating_sub(self.compliance_items),
            RecordKind::Compliance => self.compliance_items,
        }
    }

    /// What is left out of an answer that is about `kind`, in words, when that is something.
    pub(crate) fn left_out(&self, kind: RecordKind) -> Option<String> {
        let other = kind.other();
        let count = self.of_kind(other);
        let (items, place) = match other {
            RecordKind::Vulnerability => (counted(count, "finding", "findings"), "severity_counts"),
            RecordKind::Compliance => (counted(count, "compliance check", "compliance checks"), "compliance_counts"),
        };
        (count > 0).then(|| format!("{items}, counted in {place}; kind `{other}` shows them"))
    }
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
    /// Whether the present block has any.
    has_item: bool,
    blocks: Blocks,
    /// Of each block.
    has_items: Vec<bool>,
    /// The names and numbers of the first blocks without items, in the order of names.
    empty: BTreeSet<(NameKey, String, usize)>,
    /// The plugins' version, the scanner's and the policy, of the newest plugins.
    scanner: (Option<String>, Option<String>, Option<String>),
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
                // Until it is known which are one machine.
                self.stats.hosts += 1;
                self.has_item = false;
            }
            Visit::Item(record) => {
                self.has_item = true;
                self.stats.items += 1;
                match record.kind() {
                    RecordKind::Compliance => {
                        self.stats.compliance_items += 1;
                        self.stats.compliance_counts.add(record.compliance_result());
                    }
                    RecordKind::Vulnerability => self.stats.severity_counts.add(record.severity()),
                }
                if record.plugin() == Some(scan_information::PLUGIN) {
                    self.look_for_scanner(&record);
                }
            }
            Visit::Repeated(record) => {
                self.has_item = true;
                self.stats.repeated_items += 1;
                if record.plugin() == Some(scan_information::PLUGIN) {
                    self.look_for_scanner(&record);
                }
            }
            Visit::HostEnd(host) => self.end_host(host),
            Visit::End(_) => {}
        }
    }

    /// `ReportHost` elements seen so far.
    pub(crate) const fn hosts(&self) -> u64 {
        self.stats.hosts
    }

    fn end_host(&mut self, host: &Host) {
        if !self.has_item {
            let name = crate::error::excerpt(&host.name).to_string();
            self.empty.insert((NameKey::of(&name), name, self.has_items.len()));
            if self.empty.len() > REMEMBERED {
                self.empty.pop_last();
            }
        }
        self.blocks.add(&HostEvidence::of(host));
        self.has_items.push(self.has_item);
    }

    /// Hosts may have been scanned with several versions, when the file was merged.
    fn look_for_scanner(&mut self, record: &Record<'_>) {
        let found = ScanInformation::read(record.output());
        let found = (found.plugin_feed_version, found.scanner_version, found.policy);
        if found > self.scanner {
            self.scanner = found;
        }
    }

    /// Which blocks are one machine.
    pub(crate) fn machines(&self) -> Machines {
        self.blocks.machines()
    }

    pub(crate) fn finish(self) -> ExportStats {
        self.finish_with_machines().0
    }

    /// The counts, and which machine each `ReportHost` is of.
    pub(crate) fn finish_with_machines(self) -> (ExportStats, Machines) {
        let Self { mut stats, blocks, has_items, empty, scanner, .. } = self;
        (stats.plugin_feed_version, stats.scanner_version, stats.policy_used) = scanner;
        let machines = blocks.machines();
        let mut is_found = vec![false; machines.count as usize];
        for (block, has_items) in has_items.iter().enumerate() {
            if let Some(machine) = is_found.get_mut(machines.of(block)) {
                *machine |= has_items;
            }
        }
        // The host in which a broken export ends is not known as any other.
        let unfinished = stats.hosts - has_items.len() as u64;
        stats.hosts = is_found.len() as u64 + unfinished;
        stats.hosts_without_findings = is_found.iter().filter(|is_found| !**is_found).count() as u64;
        let mut named = Vec::new();
        for (_, name, block) in empty {
            let machine = machines.of(block);
            if named.len() < NAMES && is_found.get(machine) == Some(&false) && !named.contains(&machine) {
                named.push(machine);
                stats.hosts_without_findings_names.push(name);
            }
        }
        (stats, machines)
    }
}
