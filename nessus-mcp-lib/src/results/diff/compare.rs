//! The decision about each finding.

use std::{cmp::Ordering, collections::HashMap, io::Read};

use serde::Serialize;

use super::keep::{About, CheckStatus, Findings, Key, Names, State, read_scan};
use crate::results::{
    error::ResultsError,
    judge::{Judgement, LoginExpected, SeverityCounts},
    record::Severity,
};

/// The longest list that is shown, whatever room there is.
pub(super) const MOST_LISTED: usize = 1000;

/// Why findings of a host cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Incomparable {
    /// The host is not in the second scan.
    HostNotScanned,
    /// It is, but did not answer.
    HostDown,
    /// The login worked in the first scan and not in the second.
    CredentialsLost,
    /// It worked fully in the first scan and only partly in the second.
    CredentialsWeaker,
}

impl Incomparable {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostNotScanned => "host_not_scanned",
            Self::HostDown => "host_down",
            Self::CredentialsLost => "credentials_lost",
            Self::CredentialsWeaker => "credentials_weaker",
        }
    }

    /// Why what is missing on the host says nothing; `None` when it does.
    fn of(before: Option<Judgement>, after: Option<Judgement>) -> Option<Self> {
        match after {
            None => Some(Self::HostNotScanned),
            Some(Judgement::Dead | Judgement::NotScanned) => Some(Self::HostDown),
            Some(Judgement::Live(after, _)) => {
                let lost = reach(before) > after.reach();
                lost.then_some(if after.reach() == 0 { Self::CredentialsLost } else { Self::CredentialsWeaker })
            }
        }
    }
}

fn reach(judgement: Option<Judgement>) -> u8 {
    match judgement {
        Some(Judgement::Live(verdict, _)) => verdict.reach(),
        _ => 0,
    }
}

/// A finding that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub key: Key,
    pub before: Option<Severity>,
    pub after: Option<Severity>,
}

/// A compliance check that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CheckChange {
    pub key: Key,
    /// `None` where the first scan did not check.
    pub before: Option<CheckStatus>,
    pub after: CheckStatus,
}

/// Findings of a host about which nothing can be said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NotComparable {
    pub reason: Option<Incomparable>,
    pub counts: SeverityCounts,
    pub checks: u64,
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
    fn push(&mut self, change: T, order: impl Fn(&T, &T) -> Ordering) {
        self.total += 1;
        self.first.push(change);
        if self.first.len() >= 4 * MOST_LISTED {
            self.sort(order);
        }
    }

    fn sort(&mut self, order: impl Fn(&T, &T) -> Ordering) {
        self.first.sort_unstable_by(order);
        self.first.truncate(MOST_LISTED);
    }
}

/// Everything a view shows.
#[derive(Debug)]
pub(super) struct Outcome {
    pub names: Names,
    pub before: About,
    pub after: About,
    pub new: Changes<Change>,
    pub fixed: Changes<Change>,
    pub changed: Changes<Change>,
    /// By the later severity, where there is one.
    pub counts_new: SeverityCounts,
    pub counts_fixed: SeverityCounts,
    pub counts_changed: SeverityCounts,
    pub still_there: SeverityCounts,
    /// Findings that were too many.
    pub not_compared: u64,
    /// New findings on hosts that the first scan did not see alive.
    pub new_on_unseen_hosts: u64,
    /// New findings on hosts that the second scan could look at more closely.
    pub new_by_better_login: u64,
    pub not_comparable: HashMap<u32, NotComparable>,
    pub newly_failed: Changes<CheckChange>,
    pub newly_passed: Changes<CheckChange>,
    pub checks_changed_otherwise: u64,
    pub checks_unchanged: u64,
    pub checks_gone: u64,
}

/// Reads both scans and decides.
pub(super) fn compare<B: Read, A: Read>(
    before: (B, LoginExpected),
    after: (A, LoginExpected),
) -> Result<Outcome, ResultsError> {
    let mut names = Names::default();
    let (before, had) = read_scan(before.0, before.1, &mut names)?;
    let (after, has) = read_scan(after.0, after.1, &mut names)?;
    let mut outcome = Outcome {
        names,
        before,
        after,
        new: Changes::default(),
        fixed: Changes::default(),
        changed: Changes::default(),
        counts_new: SeverityCounts::default(),
        counts_fixed: SeverityCounts::default(),
        counts_changed: SeverityCounts::default(),
        still_there: SeverityCounts::default(),
        not_compared: had.left_out + has.left_out,
        new_on_unseen_hosts: 0,
        new_by_better_login: 0,
        not_comparable: HashMap::new(),
        newly_failed: Changes::default(),
        newly_passed: Changes::default(),
        checks_changed_otherwise: 0,
        checks_unchanged: 0,
        checks_gone: 0,
    };
    outcome.decide(&had, &has);
    outcome.sort();
    Ok(outcome)
}

impl Outcome {
    /// Walks through both at once.
    fn decide(&mut self, had: &Findings, has: &Findings) {
        let (mut before, mut after) = (had.kept.iter().peekable(), has.kept.iter().peekable());
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((before, _)), Some((after, _))) => before.cmp(after),
            };
            let was = if order.is_le() { before.next() } else { None };
            let is = if order.is_ge() { after.next() } else { None };
            match (was, is) {
                (Some((key, was)), Some((_, is))) => self.in_both(*key, *was, *is),
                (Some((key, was)), None) => self.only_before(*key, *was),
                (None, Some((key, is))) => self.only_after(*key, *is),
                (None, None) => {}
            }
        }
    }

    fn in_both(&mut self, key: Key, was: State, is: State) {
        match (was, is) {
            (State::Finding(before), State::Finding(after)) if before == after => self.still_there.add(after),
            (State::Finding(before), State::Finding(after)) => {
                self.counts_changed.add(after);
                self.changed.push(Change { key, before, after }, worst_first(&self.names));
            }
            (State::Check(before), State::Check(after)) if before == after => self.checks_unchanged += 1,
            (State::Check(before), State::Check(after)) => self.check(key, Some(before), after),
            // A key is of a finding or of a check, never of both.
            _ => {}
        }
    }

    fn check(&mut self, key: Key, before: Option<CheckStatus>, after: CheckStatus) {
        let changes = match after {
            CheckStatus::Failed => &mut self.newly_failed,
            CheckStatus::Passed if before.is_some() => &mut self.newly_passed,
            _ => {
                self.checks_changed_otherwise += 1;
                return;
            }
        };
        changes.push(CheckChange { key, before, after }, by_host(&self.names));
    }

    fn only_before(&mut self, key: Key, was: State) {
        let reason = Incomparable::of(self.before.judgement(key.host), self.after.judgement(key.host));
        if reason.is_some() {
            let host = self.not_comparable.entry(key.host).or_default();
            host.reason = reason;
            match was {
                State::Finding(severity) => host.counts.add(severity),
                State::Check(_) => host.checks += 1,
            }
            return;
        }
        match was {
            State::Finding(before) => {
                self.counts_fixed.add(before);
                self.fixed.push(Change { key, before, after: None }, worst_first(&self.names));
            }
            State::Check(_) => self.checks_gone += 1,
        }
    }

    fn only_after(&mut self, key: Key, is: State) {
        match is {
            State::Finding(after) => {
                let before = self.before.judgement(key.host);
                if !matches!(before, Some(Judgement::Live(..))) {
                    self.new_on_unseen_hosts += 1;
                } else if reach(before) < reach(self.after.judgement(key.host)) {
                    self.new_by_better_login += 1;
                }
                self.counts_new.add(after);
                self.new.push(Change { key, before: None, after }, worst_first(&self.names));
            }
            State::Check(after) => self.check(key, None, after),
        }
    }

    fn sort(&mut self) {
        for changes in [&mut self.new, &mut self.fixed, &mut self.changed] {
            changes.sort(worst_first(&self.names));
        }
        for changes in [&mut self.newly_failed, &mut self.newly_passed] {
            changes.sort(by_host(&self.names));
        }
    }
}

/// Worst first, then by host, plugin and port, so that two readings give the same.
fn worst_first(names: &Names) -> impl Fn(&Change, &Change) -> Ordering {
    move |left, right| {
        let severity = |change: &Change| change.after.max(change.before);
        severity(right).cmp(&severity(left)).then_with(|| names.order(&left.key, &right.key))
    }
}

fn by_host(names: &Names) -> impl Fn(&CheckChange, &CheckChange) -> Ordering {
    move |left, right| names.order(&left.key, &right.key)
}
