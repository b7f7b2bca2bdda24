//! What became of compliance checks, by check and by audit.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::names::{MOST_NAMES, Names};
use crate::results::{
    judge::is_zero,
    record::{ComplianceResult, FindingPart},
};

/// Outcomes of compliance checks on hosts, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CheckCounts {
    /// Failed now, but not in the first scan.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub newly_failed: u64,
    /// Passed now, but not in the first scan, which checked it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub newly_passed: u64,
    /// The same in both.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unchanged: u64,
    /// Changed to a status other than passed or failed, or new and not failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed_otherwise: u64,
    /// No longer checked, although the second scan looked there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gone: u64,
    /// No longer checked, where the second scan did not look.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_comparable: u64,
}

impl CheckCounts {
    /// The count that a result in both, or new in the second scan, belongs to.
    fn of_mut(&mut self, before: Option<ComplianceResult>, after: ComplianceResult) -> &mut u64 {
        match after {
            _ if before == Some(after) => &mut self.unchanged,
            ComplianceResult::Failed => &mut self.newly_failed,
            ComplianceResult::Passed if before.is_some() => &mut self.newly_passed,
            _ => &mut self.changed_otherwise,
        }
    }

    fn add_all(&mut self, other: &Self) {
        for (count, other) in [
            (&mut self.newly_failed, other.newly_failed),
            (&mut self.newly_passed, other.newly_passed),
            (&mut self.unchanged, other.unchanged),
            (&mut self.changed_otherwise, other.changed_otherwise),
            (&mut self.gone, other.gone),
            (&mut self.not_comparable, other.not_comparable),
        ] {
            *count += other;
        }
    }

    /// What is listed first: by what needs attention.
    fn rank(&self) -> [u64; 4] {
        [self.newly_failed, self.not_comparable + self.gone, self.changed_otherwise, self.newly_passed]
    }
}

/// The checks of one audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AuditChanges {
    /// The audit file; empty where the export does not say.
    pub audit: String,
    /// How many.
    #[serde(flatten)]
    pub counts: CheckCounts,
}

/// A check over all hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CheckChanges {
    /// The check.
    pub check: String,
    /// The audit file; empty where the export does not say.
    pub audit: String,
    /// On how many hosts.
    #[serde(flatten)]
    pub counts: CheckCounts,
}

/// Counts by check.
#[derive(Debug, Default)]
pub(super) struct Checks {
    by_check: HashMap<FindingPart, CheckCounts>,
    /// Of those that are too many to be told apart.
    others: CheckCounts,
}

impl Checks {
    fn of_mut(&mut self, part: FindingPart) -> &mut CheckCounts {
        if self.by_check.len() >= MOST_NAMES && !self.by_check.contains_key(&part) {
            return &mut self.others;
        }
        self.by_check.entry(part).or_default()
    }

    /// Counts a result that the second scan has.
    pub(super) fn add(&mut self, part: FindingPart, before: Option<ComplianceResult>, after: ComplianceResult) {
        *self.of_mut(part).of_mut(before, after) += 1;
    }

    /// Counts a result that only the first scan has.
    pub(super) fn add_missing(&mut self, part: FindingPart, is_comparable: bool) {
        let counts = self.of_mut(part);
        *(if is_comparable { &mut counts.gone } else { &mut counts.not_comparable }) += 1;
    }

    /// All together.
    pub(super) fn total(&self) -> CheckCounts {
        let mut total = self.others;
        self.by_check.values().for_each(|counts| total.add_all(counts));
        total
    }

    /// By audit, what needs attention first.
    pub(super) fn by_audit(&self, names: &Names) -> Vec<AuditChanges> {
        let mut audits: BTreeMap<&str, CheckCounts> = BTreeMap::new();
        for (part, counts) in &self.by_check {
            audits.entry(names.check(part).map_or("", |check| &check.audit)).or_default().add_all(counts);
        }
        if self.others != CheckCounts::default() {
            audits.entry("").or_default().add_all(&self.others);
        }
        let row = |(audit, counts): (&str, CheckCounts)| AuditChanges { audit: audit.to_owned(), counts };
        let mut rows: Vec<AuditChanges> = audits.into_iter().map(row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.counts.rank()));
        rows
    }

    /// The checks that changed anywhere, what needs attention first.
    pub(super) fn by_check(&self, names: &Names) -> Vec<CheckChanges> {
        let changed = self.by_check.iter().filter(|(_, counts)| counts.rank() != [0; 4]);
        let mut rows: Vec<CheckChanges> = changed
            .map(|(part, counts)| {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                let check = names.check(part);
                CheckChanges {
                    check: text(check.map(|check| &*check.name)),
                    audit: text(check.map(|check| &*check.audit)),
                    counts: *counts,
                }
            })
            .collect();
        rows.sort_by(|one, another| {
            let by_rank = another.counts.rank().cmp(&one.counts.rank());
            by_rank.then_with(|| (&one.audit, &one.check).cmp(&(&another.audit, &another.check)))
        });
        rows
    }
}
