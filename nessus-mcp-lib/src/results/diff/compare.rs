//! The decision about each finding.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    io::{Read, Seek},
};

use super::{
    changes::{Change, ChangedPart, Changes, CheckChange, match_findings, severity},
    compliance::Checks,
    finding::{Finding, Findings, Key, State, run},
    hosts::{Pair, pair},
    names::Names,
    read::{About, read_scan},
    unseen::{Incomparable, Look, why_unseen},
};
use crate::results::{
    error::ResultsError,
    judge::{LoginExpected, SeverityCounts},
    record::ComplianceResult,
};

/// Findings of a host about which nothing can be said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NotComparable {
    pub counts: SeverityCounts,
    pub checks: u64,
}

/// Everything a view shows.
#[derive(Debug)]
pub(super) struct Outcome {
    pub names: Names,
    pub pairs: Vec<Pair>,
    /// The numbers of the pairs by block, of the first and of the second scan.
    pub blocks: (Vec<u32>, Vec<u32>),
    pub before: About,
    pub after: About,
    pub new: Changes<Change>,
    pub fixed: Changes<Change>,
    pub changed: Changes<Change>,
    pub changed_output: Changes<Change>,
    /// What changed in the first of these outputs, when they were read again.
    pub parts: Vec<Option<ChangedPart>>,
    /// By the later severity, where there is one.
    pub counts_new: SeverityCounts,
    pub counts_fixed: SeverityCounts,
    pub counts_changed: SeverityCounts,
    pub counts_changed_output: SeverityCounts,
    pub still_there: SeverityCounts,
    /// Findings that were too many.
    pub not_compared: u64,
    /// New findings on hosts that the first scan did not see alive.
    pub new_on_unseen_hosts: u64,
    /// New findings on hosts that the second scan could look at more closely.
    pub new_by_better_login: u64,
    /// New findings where the first scan did not look for another reason.
    pub new_by_wider_scan: u64,
    /// By host and reason.
    pub not_comparable: BTreeMap<(u32, Incomparable), NotComparable>,
    pub newly_failed: Changes<CheckChange>,
    pub newly_passed: Changes<CheckChange>,
    pub checks: Checks,
}

/// Reads both scans and decides.
pub(super) fn compare<B: Read + Seek, A: Read + Seek>(
    before: (B, LoginExpected),
    after: (A, LoginExpected),
) -> Result<Outcome, ResultsError> {
    let mut names = Names::default();
    let mut before = read_scan(before.0, before.1, &mut names)?;
    let mut after = read_scan(after.0, after.1, &mut names)?;
    let (pairs, of_before, of_after) = pair(&mut before, &mut after);
    let mut outcome = Outcome {
        names,
        pairs,
        blocks: (of_before, of_after),
        before: before.about,
        after: after.about,
        new: Changes::default(),
        fixed: Changes::default(),
        changed: Changes::default(),
        changed_output: Changes::default(),
        parts: Vec::new(),
        counts_new: SeverityCounts::default(),
        counts_fixed: SeverityCounts::default(),
        counts_changed: SeverityCounts::default(),
        counts_changed_output: SeverityCounts::default(),
        still_there: SeverityCounts::default(),
        not_compared: before.findings.left_out + after.findings.left_out,
        new_on_unseen_hosts: 0,
        new_by_better_login: 0,
        new_by_wider_scan: 0,
        not_comparable: BTreeMap::new(),
        newly_failed: Changes::default(),
        newly_passed: Changes::default(),
        checks: Checks::default(),
    };
    outcome.decide(&before.findings, &after.findings);
    outcome.sort();
    Ok(outcome)
}

impl Outcome {
    /// Walks through both at once, from key to key.
    fn decide(&mut self, had: &Findings, has: &Findings) {
        let (mut before, mut after) = (&had.kept[..], &has.kept[..]);
        loop {
            let order = match (before.first(), after.first()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.key.cmp(&after.key),
            };
            let (was, rest) = before.split_at(if order.is_le() { run(before, |found| found.key) } else { 0 });
            before = rest;
            let (is, rest) = after.split_at(if order.is_ge() { run(after, |found| found.key) } else { 0 });
            after = rest;
            match (was.first(), is.first()) {
                // The first is the worst, and a check has one outcome.
                (Some(Finding { key, state: State::Check(was), .. }), is) => {
                    self.check(*key, Some(*was), is.map(|is| is.state), (had, has));
                }
                (None, Some(Finding { key, state: is @ State::Check(_), .. })) => {
                    self.check(*key, None, Some(*is), (had, has));
                }
                _ => self.findings(was, is, (had, has)),
            }
        }
    }

    /// Why the second scan, or where `of_first` the first, may not have seen a finding of the other.
    fn why_unseen(
        &self,
        of_first: bool,
        key: &Key,
        state: State,
        (had, has): (&Findings, &Findings),
    ) -> Option<Incomparable> {
        let pair = self.pairs.get(key.host as usize)?;
        let first = Look { about: &self.before, seen: pair.before.as_ref(), findings: &had.kept };
        let second = Look { about: &self.after, seen: pair.after.as_ref(), findings: &has.kept };
        let (lacking, having) = if of_first { (first, second) } else { (second, first) };
        why_unseen(lacking, having, &self.names, key, state)
    }

    fn check(
        &mut self,
        key: Key,
        before: Option<ComplianceResult>,
        after: Option<State>,
        scans: (&Findings, &Findings),
    ) {
        let Some(State::Check(after)) = after else {
            let reason = self.why_unseen(false, &key, State::Check(ComplianceResult::Other), scans);
            if let Some(reason) = reason {
                self.not_comparable.entry((key.host, reason)).or_default().checks += 1;
            }
            self.checks.add_missing(key.part, reason.is_none());
            return;
        };
        self.checks.add(key.part, before, after);
        let changes = match after {
            _ if before == Some(after) => return,
            ComplianceResult::Failed => &mut self.newly_failed,
            ComplianceResult::Passed if before.is_some() => &mut self.newly_passed,
            _ => return,
        };
        changes.push(CheckChange { key, before, after }, by_host(&self.pairs));
    }

    /// Findings of one key.
    fn findings(&mut self, was: &[Finding], is: &[Finding], scans: (&Findings, &Findings)) {
        let matched = match_findings(was, is);
        let (of_was, of_is) = (was.len() as u64, is.len() as u64);
        let change = |was: Option<&Finding>, is: Option<&Finding>| {
            let key = is.or(was)?.key;
            let outputs = (was.map(|was| was.output), is.map(|is| is.output));
            Some(Change {
                key,
                before: was.and_then(severity),
                after: is.and_then(severity),
                count: 1,
                of: if is.is_some() { of_is } else { of_was },
                unseen: None,
                outputs: (outputs.0.unwrap_or_default(), outputs.1.unwrap_or_default()),
            })
        };
        let (mut severities, mut outputs, mut fixed, mut new) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (was, is) in &matched.both {
            if was.state == is.state {
                self.still_there.add(severity(is));
            } else {
                self.counts_changed.add(severity(is));
                severities.extend(change(Some(was), Some(is)));
            }
            if was.output != is.output {
                self.counts_changed_output.add(severity(is));
                outputs.extend(change(Some(was), Some(is)));
            }
        }
        if let Some(first) = matched.before.first() {
            let reason = self.why_unseen(false, &first.key, first.state, scans);
            for was in &matched.before {
                if let Some(reason) = reason {
                    let host = self.not_comparable.entry((was.key.host, reason)).or_default();
                    host.counts.add(severity(was));
                } else {
                    self.counts_fixed.add(severity(was));
                    fixed.extend(change(Some(was), None));
                }
            }
        }
        if let Some(first) = matched.after.first() {
            let reason = self.why_unseen(true, &first.key, first.state, scans);
            let count = matched.after.len() as u64;
            match reason {
                None => {}
                Some(Incomparable::HostNotScanned | Incomparable::HostDown) => self.new_on_unseen_hosts += count,
                Some(Incomparable::CredentialsLost | Incomparable::CredentialsWeaker) => {
                    self.new_by_better_login += count;
                }
                Some(_) => self.new_by_wider_scan += count,
            }
            for is in &matched.after {
                self.counts_new.add(severity(is));
                new.extend(change(None, Some(is)).map(|change| Change { unseen: reason, ..change }));
            }
        }
        for (changes, found) in [
            (&mut self.changed, severities),
            (&mut self.changed_output, outputs),
            (&mut self.fixed, fixed),
            (&mut self.new, new),
        ] {
            for change in joined(found) {
                changes.push(change, worst_first(&self.pairs));
            }
        }
    }

    fn sort(&mut self) {
        for changes in [&mut self.new, &mut self.fixed, &mut self.changed, &mut self.changed_output] {
            changes.sort(worst_first(&self.pairs));
        }
        for changes in [&mut self.newly_failed, &mut self.newly_passed] {
            changes.sort(by_host(&self.pairs));
        }
    }
}

/// Those of the same severities together, the worst first.
fn joined(mut changes: Vec<Change>) -> Vec<Change> {
    let by = |change: &Change| (change.after.max(change.before), change.after, change.before);
    changes.sort_unstable_by(|one, another| by(another).cmp(&by(one)).then_with(|| one.outputs.cmp(&another.outputs)));
    let mut joined: Vec<Change> = Vec::new();
    for change in changes {
        match joined.last_mut() {
            Some(last) if by(last) == by(&change) => last.count += 1,
            _ => joined.push(change),
        }
    }
    joined
}

/// Worst first, then by host, port and plugin, so that two readings give the same.
fn worst_first(pairs: &[Pair]) -> impl Fn(&Change, &Change) -> Ordering {
    move |left, right| {
        let severity = |change: &Change| change.after.max(change.before);
        severity(right).cmp(&severity(left)).then_with(|| by_name(pairs, &left.key, &right.key))
    }
}

fn by_host(pairs: &[Pair]) -> impl Fn(&CheckChange, &CheckChange) -> Ordering {
    move |left, right| by_name(pairs, &left.key, &right.key)
}

/// By the name of the host, then by what is found there.
fn by_name(pairs: &[Pair], left: &Key, right: &Key) -> Ordering {
    let host = |key: &Key| pairs.get(key.host as usize);
    let by_host = match (host(left), host(right)) {
        (Some(left), Some(right)) => left.order(right),
        _ => Ordering::Equal,
    };
    let part = |key: &Key| (key.part.port, key.part);
    by_host.then_with(|| part(left).cmp(&part(right)))
}
