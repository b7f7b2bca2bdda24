//! What is kept of changes, and which findings of one key are which.

use std::cmp::Ordering;

use super::{
    finding::{Finding, Key, Output, State},
    unseen::Incomparable,
};
use crate::results::record::{ComplianceResult, Severity};

/// The longest list that is shown, whatever room there is.
pub(super) const MOST_LISTED: usize = 1000;

/// Findings of one key that changed in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub key: Key,
    pub before: Option<Severity>,
    pub after: Option<Severity>,
    /// How many findings.
    pub count: u64,
    /// How many share the key: in the second scan if the finding is there, else in the first.
    pub of: u64,
    /// Why the first scan may not have seen what is new.
    pub unseen: Option<Incomparable>,
    /// The first finding's outputs in both scans.
    pub outputs: (Output, Output),
}

/// The first line that differs, as each scan has it; `None` where the scan has no line in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangedPart {
    pub before: Option<String>,
    pub after: Option<String>,
}

/// A compliance check that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CheckChange {
    pub key: Key,
    /// `None` where the first scan did not check.
    pub before: Option<ComplianceResult>,
    pub after: ComplianceResult,
}

/// Changes of one kind: how many there are, and the first of them.
#[derive(Debug)]
pub(super) struct Changes<T> {
    pub total: u64,
    /// In order, when the comparison is over.
    pub first: Vec<T>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { total: 0, first: Vec::new() }
    }
}

impl<T> Changes<T> {
    /// Takes one in; `order` is that of the changes.
    pub(super) fn push(&mut self, change: T, order: impl Fn(&T, &T) -> Ordering) {
        self.total += 1;
        self.first.push(change);
        if self.first.len() >= 4 * MOST_LISTED {
            self.sort(order);
        }
    }

    pub(super) fn sort(&mut self, order: impl Fn(&T, &T) -> Ordering) {
        self.first.sort_unstable_by(order);
        self.first.truncate(MOST_LISTED);
    }
}

/// Which findings of a key in one scan are which in the other.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// In both.
    pub both: Vec<(Finding, Finding)>,
    /// What the first scan has more of.
    pub before: Vec<Finding>,
    /// What the second scan has more of.
    pub after: Vec<Finding>,
}

/// Matches the findings of one key, both sides worst first: those that are the same, then those of the same severity, then
/// the worst with the worst.
pub(super) fn match_findings(before: &[Finding], after: &[Finding]) -> Matched {
    if let ([one], [another]) = (before, after) {
        return Matched { both: vec![(*one, *another)], ..Matched::default() };
    }
    let mut matched = Matched { both: Vec::new(), before: before.to_vec(), after: after.to_vec() };
    matched.take_same(Finding::worst_first);
    matched.take_same(|one, another| {
        let by_state = |finding: &Finding| Finding { output: Output::default(), ..*finding };
        by_state(one).worst_first(&by_state(another))
    });
    let common = matched.before.len().min(matched.after.len());
    matched.both.extend(matched.before.drain(..common).zip(matched.after.drain(..common)));
    matched
}

impl Matched {
    fn take_same(&mut self, order: impl Fn(&Finding, &Finding) -> Ordering) {
        let (was, is) = (std::mem::take(&mut self.before), std::mem::take(&mut self.after));
        let (mut was, mut is) = (was.into_iter().peekable(), is.into_iter().peekable());
        while let (Some(one), Some(another)) = (was.peek(), is.peek()) {
            match order(one, another) {
                Ordering::Less => self.before.extend(was.next()),
                Ordering::Greater => self.after.extend(is.next()),
                Ordering::Equal => self.both.extend(was.next().zip(is.next())),
            }
        }
        self.before.extend(was);
        self.after.extend(is);
    }
}

/// The severity of a finding.
pub(super) fn severity(finding: &Finding) -> Option<Severity> {
    match finding.state {
        State::Finding(severity) => severity,
        State::Check(_) => None,
    }
}
