//! From the verdicts on hosts to one on the scan.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{
    signs::{Contradiction, Evidence, Signs},
    verdict::{Cause, HostAuthentication, Verdict, decide},
};
use crate::results::{
    judge::counts::is_zero,
    query::NameKey,
    record::{Blocks, Host, HostEvidence, Machines},
    texts::{NAME_CHARS, clean},
    xml::Visit,
};

/// How many hosts of each verdict are remembered beside those that are listed: a machine that has a better verdict in
/// another block leaves the list.
const SPARE: usize = 1_000;

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

/// Whether the login of a scan worked: what happened, whatever was asked for.
///
/// | hosts | the scan was to log in | it was not | nobody said |
/// |---|---|---|---|
/// | all live ones authenticated, or as many as were asked for | `success` | `success` | `success` |
/// | else one authenticated or partial | `partial` | `partial` | `partial` |
/// | else one failed | `failed` | `failed` | `failed` |
/// | else one not attempted | `not_attempted` | `not_applicable` | `not_attempted` |
/// | else, all unknown | `unknown` | `not_applicable` | `unknown` |
/// | no live one | `not_applicable` | `not_applicable` | `not_applicable` |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthenticationStatus {
    /// It worked on every live host, or as many as were asked for.
    Success,
    /// It worked on some, or not for everything.
    Partial,
    /// It worked on none, and on some it was tried.
    Failed,
    /// The scan was not to log in and did not, or there was nobody to log in to.
    NotApplicable,
    /// No login was tried.
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Each verdict in a word for people, and its hosts.
    pub const fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("authenticated", self.authenticated),
            ("partly", self.partial),
            ("failed", self.failed),
            ("not tried", self.not_attempted),
            ("unknown", self.unknown),
        ]
    }

    /// All live hosts.
    pub const fn live(&self) -> u64 {
        self.authenticated + self.partial + self.failed + self.not_attempted + self.unknown
    }
}

/// How many hosts are not authenticated for one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CauseCount {
    /// The cause.
    pub cause: Cause,
    /// How many hosts.
    pub hosts: u64,
}

/// Whether the login worked, over all hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<CauseCount>,
    /// The verdicts with their evidence: failed, partial, not attempted, unknown and authenticated hosts, in this
    /// order, as many as were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostAuthentication>,
    /// How many live hosts are not in the list.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hosts_left_out: u64,
}

/// Hosts with signs that contradict each other, by what these are.
pub(crate) type Contradictions = BTreeMap<Contradiction, ContradictedHosts>;

/// Hosts with signs of one kind that contradict each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContradictedHosts {
    pub hosts: u64,
    /// The first in the order of names.
    pub first: String,
}

/// What was decided about the host that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

    /// What is known of a host that was judged twice, in either order: the better verdict.
    pub(crate) fn best(self, other: Self) -> Self {
        let rank = |judgement: Self| match judgement {
            Self::NotScanned => (0, 0),
            Self::Dead => (1, 0),
            Self::Live(verdict, _) => (2, verdict.rank()),
        };
        match rank(self).cmp(&rank(other)) {
            Ordering::Greater => self,
            Ordering::Less => other,
            // Only the causes may differ.
            Ordering::Equal => self.min(other),
        }
    }
}

/// A block that was judged, in the order of names, with its name and number. Letter case comes last.
type Kept = (NameKey, Option<Cause>, Vec<Evidence>, String, usize);

/// Judges host after host while an export is read, and keeps so many verdicts of each kind that those with the first names
/// can be listed.
#[derive(Debug)]
pub(crate) struct Judge {
    signs: Signs,
    blocks: Blocks,
    /// Of each block.
    judgements: Vec<Judgement>,
    kept: BTreeMap<Verdict, BTreeSet<Kept>>,
    most: usize,
    /// The blocks with each, and the first name.
    contradictions: BTreeMap<Contradiction, (Vec<u32>, (NameKey, String))>,
}

impl Judge {
    /// Lists at most `most` hosts.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            signs: Signs::default(),
            blocks: Blocks::default(),
            judgements: Vec::new(),
            kept: BTreeMap::new(),
            most,
            contradictions: BTreeMap::new(),
        }
    }

    /// Looks at one step; at the end of a host says what was decided.
    pub(crate) fn visit(&mut self, visit: Visit<'_>) -> Option<Judgement> {
        match visit {
            Visit::HostStart => self.signs = Signs::default(),
            Visit::Item(record) | Visit::Repeated(record) => self.signs.see(&record),
            Visit::HostEnd(host) => return Some(self.judge(host)),
            Visit::End(_) => {}
        }
        None
    }

    /// Which blocks are one machine.
    pub(crate) fn machines(&self) -> Machines {
        self.blocks.machines()
    }

    fn judge(&mut self, host: &Host) -> Judgement {
        let mut signs = std::mem::take(&mut self.signs);
        signs.end(host);
        let judgement = if !signs.is_dead() {
            self.judge_live(host, signs)
        } else if signs.has_items() {
            Judgement::Dead
        } else {
            Judgement::NotScanned
        };
        self.blocks.add(&HostEvidence::of(host));
        self.judgements.push(judgement);
        judgement
    }

    fn judge_live(&mut self, host: &Host, mut signs: Signs) -> Judgement {
        let block = self.judgements.len();
        let (verdict, cause) = decide(&signs);
        let name = || clean(&host.name, NAME_CHARS);
        if let Some(kind) = signs.contradiction() {
            let key = (NameKey::of(&name()), name());
            let (blocks, first) = self.contradictions.entry(kind).or_insert_with(|| (Vec::new(), key.clone()));
            blocks.push(u32::try_from(block).unwrap_or(u32::MAX));
            if key < *first {
                *first = key;
            }
        }
        if self.most > 0 {
            let kept = self.kept.entry(verdict).or_default();
            let host = name();
            let key = NameKey::of(&host);
            let is_full = kept.len() >= self.most.saturating_add(SPARE);
            if !is_full || kept.last().is_some_and(|last| key <= last.0) {
                kept.insert((key, cause, signs.take_evidence(), host, block));
                if is_full {
                    kept.pop_last();
                }
            }
        }
        Judgement::Live(verdict, cause)
    }

    /// The verdict on the scan, in which each machine counts once. `share` is the part of the live hosts that must be
    /// authenticated for a success.
    pub(crate) fn finish(self, expected: LoginExpected, share: f64) -> (AuthenticationReport, Contradictions) {
        let machines = self.machines();
        let mut judgements = vec![Judgement::NotScanned; machines.count as usize];
        for (block, judgement) in self.judgements.iter().enumerate() {
            if let Some(best) = judgements.get_mut(machines.of(block)) {
                *best = best.best(*judgement);
            }
        }
        let mut counts = VerdictCounts::default();
        let mut dead_hosts = 0;
        let mut causes: BTreeMap<Cause, u64> = BTreeMap::new();
        for judgement in &judgements {
            let Judgement::Live(verdict, cause) = judgement else {
                dead_hosts += 1;
                continue;
            };
            counts.add(*verdict);
            if let Some(cause) = cause {
                *causes.entry(*cause).or_default() += 1;
            }
        }
        let mut causes: Vec<CauseCount> =
            causes.into_iter().map(|(cause, hosts)| CauseCount { cause, hosts }).collect();
        causes.sort_by_key(|count| std::cmp::Reverse(count.hosts));
        let hosts = listed(self.kept, &judgements, &machines, self.most);
        let report = AuthenticationReport {
            status: status(&counts, expected, share),
            counts,
            dead_hosts,
            causes,
            hosts_left_out: counts.live().saturating_sub(hosts.len() as u64),
            hosts,
        };
        let contradicted = |(kind, (blocks, (_, first))): (_, (Vec<u32>, (_, String)))| {
            let machines: HashSet<usize> = blocks.into_iter().map(|block| machines.of(block as usize)).collect();
            (kind, ContradictedHosts { hosts: machines.len() as u64, first })
        };
        (report, self.contradictions.into_iter().map(contradicted).collect())
    }
}

/// The first hosts by verdict and name, each machine once and with its best verdict.
fn listed(
    kept: BTreeMap<Verdict, BTreeSet<Kept>>,
    judgements: &[Judgement],
    machines: &Machines,
    most: usize,
) -> Vec<HostAuthentication> {
    let mut shown: HashMap<usize, (Verdict, Kept)> = HashMap::new();
    let kept = kept.into_iter().flat_map(|(verdict, kept)| kept.into_iter().map(move |kept| (verdict, kept)));
    for (verdict, kept) in kept {
        let machine = machines.of(kept.4);
        if judgements.get(machine) != Some(&Judgement::Live(verdict, kept.1)) {
            continue;
        }
        // A name says more than an address.
        let rank = |(key, cause, evidence, host, _): &Kept| {
            (matches!(key, NameKey::Address(_)), key.clone(), *cause, evidence.clone(), host.clone())
        };
        match shown.get_mut(&machine) {
            None => drop(shown.insert(machine, (verdict, kept))),
            Some(known) if rank(&kept) < rank(&known.1) => *known = (verdict, kept),
            Some(_) => {}
        }
    }
    let mut shown: Vec<(Verdict, Kept)> = shown.into_values().collect();
    shown.sort_unstable();
    let listed = |(verdict, (_, cause, evidence, host, _)): (Verdict, Kept)| HostAuthentication {
        host,
        verdict,
        cause,
        evidence,
    };
    shown.into_iter().take(most).map(listed).collect()
}

fn status(counts: &VerdictCounts, expected: LoginExpected, share: f64) -> AuthenticationStatus {
    let live = counts.live();
    if live == 0 {
        return AuthenticationStatus::NotApplicable;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of hosts are far below 2^52")]
    let reached = counts.authenticated as f64 >= share * live as f64;
    if counts.authenticated > 0 && reached {
        AuthenticationStatus::Success
    } else if counts.authenticated + counts.partial > 0 {
        AuthenticationStatus::Partial
    } else if counts.failed > 0 {
        AuthenticationStatus::Failed
    } else if expected == LoginExpected::No {
        AuthenticationStatus::NotApplicable
    } else if counts.not_attempted > 0 {
        AuthenticationStatus::NotAttempted
    } else {
        AuthenticationStatus::Unknown
    }
}
