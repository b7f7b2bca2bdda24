//! From the verdicts on hosts to one on the scan.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    signs::Signs,
    verdict::{Cause, HostAuthentication, Verdict, decide},
};
use crate::results::{
    judge::counts::is_zero,
    record::Host,
    texts::{NAME_CHARS, clean},
    xml::Visit,
};

/// Whether the scan was to log in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginExpected {
    /// It was not: an untrusted scan.
    No,
    /// It was: a trusted or privileged scan.
    Yes,
    /// Nobody said; the export alone decides.
    #[default]
    NotSaid,
}

/// Whether the login of a scan worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthenticationStatus {
    /// On every live host, or as many as were asked for.
    Success,
    /// On some, or not for everything.
    Partial,
    /// On none. For a scan that was to log in this includes that it did not try.
    Failed,
    /// The scan was not to log in, or there was nobody to log in to.
    NotApplicable,
    /// No login was tried; only where nobody said whether one was expected.
    NotAttempted,
    /// The export says nothing about any host.
    Unknown,
}

impl AuthenticationStatus {
    /// The word in JSON and `task.json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::NotApplicable => "not_applicable",
            Self::NotAttempted => "not_attempted",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for AuthenticationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Live hosts by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct VerdictCounts {
    /// The login worked on them: [`Verdict::Authenticated`].
    pub authenticated: u64,
    /// It worked in part: [`Verdict::Partial`].
    pub partial: u64,
    /// It failed: [`Verdict::Failed`].
    pub failed: u64,
    /// None was tried: [`Verdict::NotAttempted`].
    pub not_attempted: u64,
    /// Nothing is known: [`Verdict::Unknown`].
    pub unknown: u64,
}

impl VerdictCounts {
    fn add(&mut self, verdict: Verdict) {
        let count = match verdict {
            Verdict::Authenticated => &mut self.authenticated,
            Verdict::Partial => &mut self.partial,
            Verdict::Failed => &mut self.failed,
            Verdict::NotAttempted => &mut self.not_attempted,
            Verdict::Unknown => &mut self.unknown,
        };
        *count += 1;
    }

    /// All live hosts.
    pub const fn live(&self) -> u64 {
        self.authenticated + self.partial + self.failed + self.not_attempted + self.unknown
    }
}

/// How many hosts are not authenticated for one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CauseCount {
    /// The cause.
    pub cause: Cause,
    /// How many hosts.
    pub hosts: u64,
}

/// Whether the login worked, over all hosts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AuthenticationReport {
    /// The verdict on the scan.
    pub status: AuthenticationStatus,
    /// Hosts that answered, by verdict.
    #[serde(flatten)]
    pub counts: VerdictCounts,
    /// Hosts that did not answer or were not scanned: no item, or none but a ping. They are not in the counts.
    pub dead_hosts: u64,
    /// Why hosts are not authenticated, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<CauseCount>,
    /// The verdicts with their evidence: failed, partial, not attempted, unknown and authenticated hosts, in this
    /// order, as many as were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostAuthentication>,
    /// How many live hosts are not in the list.
    #[serde(skip_serializing_if = "is_zero")]
    pub hosts_left_out: u64,
}

/// Hosts whose tag and plugin 19506 disagree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contradictions {
    pub hosts: u64,
    pub first: Option<String>,
}

/// What was decided about the host that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// No item at all.
    NotScanned,
    /// Nothing but a ping.
    Dead,
    /// The verdict.
    Live(Verdict, Option<Cause>),
}

impl Judgement {
    /// Whether the host answered.
    pub(crate) const fn is_live(self) -> bool {
        matches!(self, Self::Live(..))
    }
}

/// Judges host after host while an export is read, and keeps at most so many verdicts of each kind.
#[derive(Debug)]
pub(crate) struct Judge {
    signs: Signs,
    counts: VerdictCounts,
    dead: u64,
    causes: BTreeMap<Cause, u64>,
    kept: BTreeMap<Verdict, Vec<HostAuthentication>>,
    most: usize,
    contradictions: Contradictions,
}

impl Judge {
    /// Keeps at most `most` hosts of each verdict.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            signs: Signs::default(),
            counts: VerdictCounts::default(),
            dead: 0,
            causes: BTreeMap::new(),
            kept: BTreeMap::new(),
            most,
            contradictions: Contradictions::default(),
        }
    }

    /// Looks at one step; at the end of a host says what was decided.
    pub(crate) fn visit(&mut self, visit: Visit<'_>) -> Option<Judgement> {
        match visit {
            Visit::HostStart => self.signs = Signs::default(),
            Visit::Item(record) => self.signs.see(&record),
            Visit::HostEnd(host) => return Some(self.judge(host)),
            Visit::End(_) => {}
        }
        None
    }

    fn judge(&mut self, host: &Host) -> Judgement {
        let mut signs = std::mem::take(&mut self.signs);
        signs.end(host);
        if signs.is_dead() {
            self.dead += 1;
            return if signs.has_items() { Judgement::Dead } else { Judgement::NotScanned };
        }
        if signs.contradict() {
            self.contradictions.hosts += 1;
            self.contradictions.first.get_or_insert_with(|| clean(&host.name, NAME_CHARS));
        }
        let (verdict, cause) = decide(&signs);
        self.counts.add(verdict);
        if let Some(cause) = cause {
            *self.causes.entry(cause).or_default() += 1;
        }
        let kept = self.kept.entry(verdict).or_default();
        if kept.len() < self.most {
            let host = clean(&host.name, NAME_CHARS);
            kept.push(HostAuthentication { host, verdict, cause, evidence: signs.take_evidence() });
        }
        Judgement::Live(verdict, cause)
    }

    /// The verdict on the scan. `share` is the part of the live hosts that must be authenticated for a success.
    pub(crate) fn finish(self, expected: LoginExpected, share: f64) -> (AuthenticationReport, Contradictions) {
        let counts = self.counts;
        let mut causes: Vec<CauseCount> =
            self.causes.into_iter().map(|(cause, hosts)| CauseCount { cause, hosts }).collect();
        causes.sort_by_key(|count| std::cmp::Reverse(count.hosts));
        let mut hosts: Vec<HostAuthentication> = self.kept.into_values().flatten().collect();
        hosts.truncate(self.most);
        let report = AuthenticationReport {
            status: status(&counts, expected, share),
            counts,
            dead_hosts: self.dead,
            causes,
            hosts_left_out: counts.live().saturating_sub(hosts.len() as u64),
            hosts,
        };
        (report, self.contradictions)
    }
}

fn status(counts: &VerdictCounts, expected: LoginExpected, share: f64) -> AuthenticationStatus {
    let live = counts.live();
    if expected == LoginExpected::No || live == 0 {
        return AuthenticationStatus::NotApplicable;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of hosts are far below 2^52")]
    let reached = counts.authenticated as f64 >= share * live as f64;
    if counts.authenticated > 0 && reached {
        AuthenticationStatus::Success
    } else if counts.authenticated + counts.partial > 0 {
        AuthenticationStatus::Partial
    } else if counts.failed > 0 || (counts.not_attempted > 0 && expected == LoginExpected::Yes) {
        AuthenticationStatus::Failed
    } else if counts.not_attempted > 0 {
        AuthenticationStatus::NotAttempted
    } else {
        AuthenticationStatus::Unknown
    }
}
