//! A finding in as little memory as a comparison needs.

use std::cmp::Ordering;

use crate::results::record::{ComplianceResult, FindingPart, Protocol, Record, RecordKind, Severity};

/// The most findings of one scan that are compared; more are counted and said.
pub(super) const MOST_FINDINGS: usize = if cfg!(test) { 3_000 } else { 4_000_000 };

/// What makes two findings the same, in the order of host, port, protocol and plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The number of the host: of its block while a scan is read, then of the machine, then of the pair of machines.
    pub host: u32,
    pub part: FindingPart,
}

impl Key {
    /// Where the finding is.
    pub(super) fn place(&self) -> (u32, u16, Protocol) {
        (self.host, self.part.port, self.part.protocol)
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place()).then_with(|| self.part.cmp(&other.part))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a finding is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// A finding of this severity.
    Finding(Option<Severity>),
    /// The outcome of a compliance check.
    Check(ComplianceResult),
}

/// A hash of an output without its white space; of checks none is made.
pub(super) type Output = [u8; 8];

/// A finding. 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finding {
    pub key: Key,
    pub state: State,
    pub output: Output,
}

impl Finding {
    /// Of an item in the block `host`.
    pub(super) fn of(record: &Record<'_>, host: u32) -> Self {
        let key = Key { host, part: FindingPart::of(record.item, record.host) };
        match record.kind() {
            RecordKind::Compliance => {
                Self { key, state: State::Check(record.compliance_result()), output: Output::default() }
            }
            RecordKind::Vulnerability => {
                Self { key, state: State::Finding(record.severity()), output: output(record.output()) }
            }
        }
    }

    /// By key; of one key the worst comes first.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| self.worst_first(other))
    }

    /// By state and output.
    pub(super) fn worst_first(&self, other: &Self) -> Ordering {
        let state = match (self.state, other.state) {
            // Of results the worst is the least.
            (State::Check(one), State::Check(another)) => one.cmp(&another),
            (one, another) => another.cmp(&one),
        };
        state.then_with(|| self.output.cmp(&other.output))
    }
}

/// FNV-1a over the words, with one space between them: outputs that differ only in white space are the same.
pub(super) fn output(text: &str) -> Output {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut is_gap = false;
    for byte in text.trim_ascii().bytes() {
        if byte.is_ascii_whitespace() {
            is_gap = true;
            continue;
        }
        if std::mem::take(&mut is_gap) {
            take(b' ');
        }
        take(byte);
    }
    hash.to_be_bytes()
}

/// The findings of a scan.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// In order when both scans were read.
    pub kept: Vec<Finding>,
    /// Only findings before this are kept: which are left aside must be the same in both scans, whatever their hosts are
    /// called, or what was left aside of one would be missing.
    limit: Option<(u16, FindingPart)>,
    /// How many were left aside.
    pub left_out: u64,
}

fn rank(finding: &Finding) -> (u16, FindingPart) {
    (finding.key.part.port, finding.key.part)
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        if self.limit.is_some_and(|limit| rank(&finding) >= limit) {
            self.left_out += 1;
            return;
        }
        self.kept.push(finding);
        if self.kept.len() >= MOST_FINDINGS + MOST_FINDINGS / 8 {
            let (_, first_out, _) = self.kept.select_nth_unstable_by_key(MOST_FINDINGS, rank);
            let limit = rank(first_out);
            self.keep_before(Some(limit));
        }
    }

    /// Leaves aside what either of two scans does.
    pub(super) fn agree(&mut self, other: &mut Self) {
        let limit = [self.limit, other.limit].into_iter().flatten().min();
        self.keep_before(limit);
        other.keep_before(limit);
    }

    fn keep_before(&mut self, limit: Option<(u16, FindingPart)>) {
        let Some(limit) = limit else { return };
        self.limit = Some(limit);
        let before = self.kept.len();
        self.kept.retain(|finding| rank(finding) < limit);
        self.left_out += (before - self.kept.len()) as u64;
    }

    /// Gives the findings the numbers of their machines, `numbers` being those of each block.
    pub(super) fn of_machines(&mut self, numbers: &[u32]) {
        self.renumber(|block| numbers.get(block as usize).copied().unwrap_or(block));
    }

    /// Puts the findings in order under the numbers of the pairs.
    pub(super) fn put_in_order(&mut self, numbers: &[u32]) {
        self.renumber(|machine| numbers.get(machine as usize).copied().unwrap_or(machine));
        self.kept.sort_unstable_by(Finding::order);
    }

    fn renumber(&mut self, number: impl Fn(u32) -> u32) {
        for finding in &mut self.kept {
            finding.key.host = number(finding.key.host);
        }
    }
}

/// How many of the first findings have the same key.
pub(super) fn run<K: PartialEq>(findings: &[Finding], key: impl Fn(&Finding) -> K) -> usize {
    let first = findings.first().map(&key);
    findings.iter().take_while(|finding| Some(key(finding)) == first).count()
}
