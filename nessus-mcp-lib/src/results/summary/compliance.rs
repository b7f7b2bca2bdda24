//! The part of a summary that is about compliance checks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::results::{
    judge::{CheckGroup, CheckGroups, ComplianceCounts, is_zero},
    record::RecordKind,
    texts::{NAME_CHARS, clean},
    write::Section,
};

/// The outcomes of compliance checks, which are counted nowhere else in a summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ComplianceView {
    /// The `kind` to ask with, beside the filters of a row.
    pub kind: RecordKind,
    /// Outcomes that are in the counts and in no list, because there are too many checks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_grouped: u64,
    /// By audit file, what has failed most first.
    pub by_audit: Section<AuditRow>,
    /// By check, what has failed most first.
    pub by_check: Section<CheckRow>,
}

/// All outcomes of the checks of one audit file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AuditRow {
    /// The audit file; absent where the export does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_file: Option<String>,
    /// On how many hosts.
    pub hosts: u64,
    /// Outcomes by result.
    pub compliance_counts: ComplianceCounts,
    /// Filters that show them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Json>,
}

/// All outcomes of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CheckRow {
    /// Its name; absent where the export does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_name: Option<String>,
    /// The audit file it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_file: Option<String>,
    /// What it is based on, as `STANDARD|control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// On how many hosts.
    pub hosts: u64,
    /// Outcomes by result.
    pub compliance_counts: ComplianceCounts,
    /// Filters that show them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Json>,
}

/// The groups in the order they are shown in.
#[derive(Debug)]
pub(super) struct Checks {
    by_audit: Vec<CheckGroup>,
    by_check: Vec<CheckGroup>,
    not_grouped: u64,
}

impl Checks {
    pub(super) fn of(groups: CheckGroups) -> Self {
        let not_grouped = groups.not_grouped;
        let (by_audit, by_check) = groups.sorted();
        Self { by_audit, by_check, not_grouped }
    }

    /// The view with lists of at most so many rows; `None` when there are no checks.
    pub(super) fn view(&self, most: usize) -> Option<ComplianceView> {
        let has_one_audit = self.by_audit.len() == 1;
        (!self.by_audit.is_empty()).then(|| ComplianceView {
            kind: RecordKind::Compliance,
            not_grouped: self.not_grouped,
            by_audit: Section::of(self.by_audit.iter().map(AuditRow::new), most),
            by_check: Section::of(self.by_check.iter().map(|group| CheckRow::new(group, has_one_audit)), most),
        })
    }
}

impl AuditRow {
    fn new(group: &CheckGroup) -> Self {
        let (audit_file, filter) = shown(group.audit.as_deref());
        Self {
            audit_file,
            hosts: group.hosts,
            compliance_counts: group.counts,
            filters: filter.map(|exact| json!({ "cm:compliance-audit-file": exact })),
        }
    }
}

impl CheckRow {
    /// Where there is one audit file only, the name alone finds the check.
    fn new(group: &CheckGroup, has_one_audit: bool) -> Self {
        let (check_name, name) = shown(group.name.as_deref());
        let (audit_file, audit) = shown(group.audit.as_deref());
        let is_found = name.is_some() && (audit.is_some() || has_one_audit);
        let members = [("cm:compliance-check-name", name), ("cm:compliance-audit-file", audit)];
        let members = members.into_iter().filter_map(|(field, exact)| Some((field.to_owned(), json!(exact?))));
        Self {
            check_name,
            audit_file,
            reference: group.reference.as_deref().map(str::to_owned),
            hosts: group.hosts,
            compliance_counts: group.counts,
            filters: is_found.then(|| Json::Object(members.collect::<Map<_, _>>())),
        }
    }
}

/// A name as it is shown, and what finds it, which there is not for one that had to be changed.
fn shown(name: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(name) = name else { return (None, None) };
    let shown = clean(name, NAME_CHARS);
    let filter = (shown == name).then(|| format!("={name}"));
    (Some(shown), filter)
}
