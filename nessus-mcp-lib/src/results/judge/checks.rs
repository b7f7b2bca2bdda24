//! Compliance checks gathered by audit file and by check while they pass by.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use super::{counts::ComplianceCounts, host_list::HostList};
use crate::results::{
    record::{ComplianceResult, FieldId, Machines, Record, Value},
    texts::{NAME_CHARS, clean},
};

/// The most audit files and checks; outcomes beyond are only counted. No audit has a tenth of it.
const MOST: usize = 50_000;
/// The most bytes of a name; the checks of a longer one are not told from those that begin alike.
const NAME_BYTES: usize = 1000;

/// The outcomes of one check, or of all checks of one audit file.
#[derive(Debug)]
pub(crate) struct CheckGroup {
    /// The name; `None` for a check without one, and for an audit file.
    pub name: Option<Arc<str>>,
    /// The audit file; `None` when the export does not say it.
    pub audit: Option<Arc<str>>,
    /// The references, as one text; of an audit file none.
    pub reference: Option<Box<str>>,
    pub counts: ComplianceCounts,
    /// How many hosts there are, once they are counted.
    pub hosts: u64,
    /// The blocks it was found in.
    blocks: HostList,
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct CheckGroups {
    audits: Grouped,
    checks: Grouped,
    /// All outcomes.
    pub counts: ComplianceCounts,
    /// Outcomes that found no group because there were too many.
    pub not_grouped: u64,
}

/// The name of a check and its audit file.
type Names = (Option<Arc<str>>, Option<Arc<str>>);

/// Groups of one sort, found by their names.
#[derive(Debug, Default)]
struct Grouped {
    groups: Vec<CheckGroup>,
    index: HashMap<Names, usize>,
}

impl CheckGroups {
    /// Takes in the outcome of a check in the block of this number, which is not less than those before.
    pub(crate) fn add(&mut self, record: &Record<'_>, block: u32) {
        let result = record.compliance_result();
        self.counts.add(result);
        let text = |id| match record.first(id) {
            Some(Value::Text(text)) => Some(Arc::from(cut(text))),
            _ => None,
        };
        let audit: Option<Arc<str>> = text(FieldId::ComplianceAuditFile);
        let name: Option<Arc<str>> = text(FieldId::ComplianceCheckName);
        let by_audit = self.audits.group((None, audit.clone()));
        let is_grouped = by_audit.map(|group| group.add(result, block)).is_some();
        let by_check = self.checks.group((name, audit));
        let is_grouped = by_check.map(|group| group.add_check(record, result, block)).is_some() && is_grouped;
        self.not_grouped += u64::from(!is_grouped);
    }

    /// Counts the hosts of each group, of which some may have several blocks.
    pub(crate) fn count_hosts(&mut self, machines: &Machines) {
        for group in self.audits.groups.iter_mut().chain(&mut self.checks.groups) {
            let blocks = mem::take(&mut group.blocks);
            let hosts: HashSet<usize> = blocks.iter().map(|block| machines.of(block as usize)).collect();
            group.hosts = hosts.len() as u64;
        }
    }

    /// The groups by audit file, and those by check; what has failed most is in front, equals are in the order of their names.
    pub(crate) fn sorted(self) -> (Vec<CheckGroup>, Vec<CheckGroup>) {
        (self.audits.sorted(), self.checks.sorted())
    }
}

impl Grouped {
    /// The group of these names, where there is room for it.
    fn group(&mut self, names: Names) -> Option<&mut CheckGroup> {
        let next = self.groups.len();
        let at = match self.index.get(&names) {
            Some(at) => *at,
            None if next < MOST => {
                let (name, audit) = names.clone();
                let (counts, blocks) = (ComplianceCounts::default(), HostList::default());
                self.groups.push(CheckGroup { name, audit, reference: None, counts, hosts: 0, blocks });
                self.index.insert(names, next);
                next
            }
            None => return None,
        };
        self.groups.get_mut(at)
    }

    fn sorted(self) -> Vec<CheckGroup> {
        let mut groups = self.groups;
        groups.sort_by(|left, right| {
            let key = |group: &CheckGroup| {
                let ComplianceCounts { failed, error, warning, other, .. } = group.counts;
                Reverse((failed, error, warning, other))
            };
            let names = |group: &CheckGroup| (group.name.clone(), group.audit.clone());
            key(left).cmp(&key(right)).then_with(|| names(left).cmp(&names(right)))
        });
        groups
    }
}

impl CheckGroup {
    fn add(&mut self, result: ComplianceResult, block: u32) {
        self.counts.add(result);
        self.blocks.push(block);
    }

    /// Where outcomes of a check have different references, the least counts, in whatever order they come.
    fn add_check(&mut self, record: &Record<'_>, result: ComplianceResult, block: u32) {
        self.add(result, block);
        if !is_reference(self.reference.as_deref().unwrap_or_default(), record)
            && let Some(found) = reference(record)
            && self.reference.as_ref().is_none_or(|least| found < *least)
        {
            self.reference = Some(found);
        }
    }
}

/// Whether a text is the references of a check, which it mostly is.
fn is_reference(text: &str, record: &Record<'_>) -> bool {
    let mut rest = Some(text);
    record.any(FieldId::ComplianceReference, |value| {
        let Value::Text(value) = value else { return true };
        rest = rest.and_then(|rest| rest.strip_prefix(", ").unwrap_or(rest).strip_prefix(value));
        rest.is_none()
    });
    rest == Some("")
}

/// The references of a check, as one text.
fn reference(record: &Record<'_>) -> Option<Box<str>> {
    let mut all = String::new();
    record.any(FieldId::ComplianceReference, |value| {
        if let Value::Text(text) = value {
            all.push_str(if all.is_empty() { "" } else { ", " });
            all.push_str(text);
        }
        // What is beyond is not shown.
        all.len() > NAME_BYTES
    });
    (!all.is_empty()).then(|| clean(&all, NAME_CHARS).into_boxed_str())
}

/// The beginning of a text that is too long.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(NAME_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
