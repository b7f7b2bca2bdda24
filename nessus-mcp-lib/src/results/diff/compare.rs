//! The decision about each finding.

use std::{collections::HashMap, io::Read};

use serde::Serialize;

use super::keep::{About, CheckStatus, Kept, Key, Names, State, keep, read_scan};
use crate::results::{
    authentication::{Judgement, LoginExpected},
    counts::SeverityCounts,
    error::ResultsError,
    record::Severity,
};

/// Why findings of a host cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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

/// Everything a view shows.
#[derive(Debug)]
pub(super) struct Outcome {
    pub names: Names,
    pub before: About,
    pub after: About,
    pub new: Vec<Change>,
    pub fixed: Vec<Change>,
    pub changed: Vec<Change>,
    pub still_there: SeverityCounts,
    /// New findings on hosts that the first scan did not see alive.
    pub new_on_unseen_hosts: u64,
    /// New findings on hosts that the second scan could look at more closely.
    pub new_by_better_login: u64,
    pub not_comparable: HashMap<u32, NotComparable>,
    pub newly_failed: Vec<CheckChange>,
    pub newly_passed: Vec<CheckChange>,
    pub checks_changed_otherwise: u64,
    pub checks_unchanged: u64,
    pub checks_gone: u64,
}

/// Reads the later scan and decides.
pub(super) fn compare<R: Read>(kept: Kept, after: R, login: LoginExpected) -> Result<Outcome, ResultsError> {
    let Kept { mut names, about: before, findings } = kept;
    let mut seen: HashMap<Key, State> = HashMap::new();
    let after = read_scan(after, login, &mut names, |key, state| keep(&mut seen, key, state))?;
    let mut outcome = Outcome {
        names,
        before,
        after,
        new: Vec::new(),
        fixed: Vec::new(),
        changed: Vec::new(),
        still_there: SeverityCounts::default(),
        new_on_unseen_hosts: 0,
        new_by_better_login: 0,
        not_comparable: HashMap::new(),
        newly_failed: Vec::new(),
        newly_passed: Vec::new(),
        checks_changed_otherwise: 0,
        checks_unchanged: 0,
        checks_gone: 0,
    };
    for (key, was) in findings {
        match seen.remove(&key) {
            Some(is) => outcome.in_both(key, was, is),
            None => outcome.only_before(key, was),
        }
    }
    for (key, is) in seen {
        outcome.only_after(key, is);
    }
    outcome.sort();
    Ok(outcome)
}

impl Outcome {
    fn in_both(&mut self, key: Key, was: State, is: State) {
        match (was, is) {
            (State::Finding(before), State::Finding(after)) if before == after => self.still_there.add(after),
            (State::Finding(before), State::Finding(after)) => self.changed.push(Change { key, before, after }),
            (State::Check(before), State::Check(after)) if before == after => self.checks_unchanged += 1,
            (State::Check(before), State::Check(after)) => {
                let change = CheckChange { key, before: Some(before), after };
                match after {
                    CheckStatus::Failed => self.newly_failed.push(change),
                    CheckStatus::Passed => self.newly_passed.push(change),
                    _ => self.checks_changed_otherwise += 1,
                }
            }
            // A key is of a finding or of a check, never of both.
            _ => {}
        }
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
            State::Finding(before) => self.fixed.push(Change { key, before, after: None }),
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
                self.new.push(Change { key, before: None, after });
            }
            State::Check(CheckStatus::Failed) => {
                self.newly_failed.push(CheckChange { key, before: None, after: CheckStatus::Failed });
            }
            State::Check(_) => self.checks_changed_otherwise += 1,
        }
    }

    /// Worst first, then by host, plugin and port, so that two readings give the same.
    fn sort(&mut self) {
        let hosts = &self.names.hosts;
        let host = |key: &Key| hosts.get(key.host as usize);
        for changes in [&mut self.new, &mut self.fixed, &mut self.changed] {
            changes.sort_unstable_by(|left, right| {
                let severity = |change: &Change| change.after.max(change.before);
                let by_severity = severity(right).cmp(&severity(left));
                by_severity.then_with(|| host(&left.key).cmp(&host(&right.key))).then(left.key.cmp(&right.key))
            });
        }
        for changes in [&mut self.newly_failed, &mut self.newly_passed] {
            changes
                .sort_unstable_by(|left, right| host(&left.key).cmp(&host(&right.key)).then(left.key.cmp(&right.key)));
        }
    }
}
