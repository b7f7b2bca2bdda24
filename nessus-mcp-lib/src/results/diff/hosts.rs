//! Which machine of the second scan is which of the first.

use std::{cmp::Ordering, collections::HashMap};

use super::read::{Machine, Scan};
use crate::results::record::{HostEvidence, HostPart, match_hosts};

/// A machine as one scan saw it.
#[derive(Debug)]
pub(super) struct Seen {
    pub machine: Machine,
    /// What keys of its findings say of it.
    pub part: HostPart,
}

/// A machine in both scans, or in one of them.
#[derive(Debug)]
pub(super) struct Pair {
    pub before: Option<Seen>,
    pub after: Option<Seen>,
}

impl Pair {
    /// As the later scan saw it, or else the earlier.
    fn latest(&self) -> Option<&Seen> {
        self.after.as_ref().or(self.before.as_ref())
    }

    /// What it is called: by the later scan if that has it.
    pub(super) fn name(&self) -> &str {
        self.latest().map_or("", |seen| &seen.machine.name)
    }

    /// What the first scan called it, where the second has another name for it.
    pub(super) fn previous_name(&self) -> Option<&str> {
        let (before, after) = self.before.as_ref().zip(self.after.as_ref())?;
        let plain = |name: &str| name.trim().trim_end_matches('.').to_lowercase();
        let is_other = plain(&before.machine.name) != plain(&after.machine.name);
        is_other.then_some(&*before.machine.name)
    }

    /// The host's part of the keys of its findings, and that of the first scan where it was another.
    pub(super) fn parts(&self) -> Option<(HostPart, Option<HostPart>)> {
        let part = self.latest()?.part;
        Some((part, self.before.as_ref().map(|before| before.part).filter(|before| *before != part)))
    }

    /// How hosts are listed: by name in any case, and those of one name always in the same order.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let (one, another) = (self.name().chars(), other.name().chars());
        let by_name = one.flat_map(char::to_lowercase).cmp(another.flat_map(char::to_lowercase));
        by_name.then_with(|| self.parts().cmp(&other.parts()))
    }
}

/// Pairs the machines of two scans and puts the findings in the order of the pairs.
///
/// Also returns the numbers of the pairs by block, of the first and of the second scan.
pub(super) fn pair(before: &mut Scan, after: &mut Scan) -> (Vec<Pair>, Vec<u32>, Vec<u32>) {
    let (was, is) = (std::mem::take(&mut before.machines), std::mem::take(&mut after.machines));
    let (was_evidence, was): (Vec<HostEvidence>, Vec<Machine>) = was.into_iter().unzip();
    let (is_evidence, is): (Vec<HostEvidence>, Vec<Machine>) = is.into_iter().unzip();
    let matched: HashMap<usize, usize> =
        match_hosts(&was_evidence, &is_evidence).into_iter().map(|(was, is, _)| (is, was)).collect();
    let seen = |(machine, evidence): (Machine, &HostEvidence)| Seen { machine, part: HostPart::of(evidence) };
    let mut pairs: Vec<Pair> =
        was.into_iter().zip(&was_evidence).map(|one| Pair { before: Some(seen(one)), after: None }).collect();
    let of_before: Vec<u32> = (0_u32..).take(pairs.len()).collect();
    let mut of_after = Vec::with_capacity(is.len());
    for (at, one) in is.into_iter().zip(&is_evidence).enumerate() {
        let number = matched.get(&at).copied().unwrap_or(pairs.len());
        if number == pairs.len() {
            pairs.push(Pair { before: None, after: None });
        }
        pairs[number].after = Some(seen(one));
        of_after.push(u32::try_from(number).unwrap_or(u32::MAX));
    }
    before.findings.agree(&mut after.findings);
    before.findings.put_in_order(&of_before);
    after.findings.put_in_order(&of_after);
    let of_blocks = |scan: &mut Scan, of_machines: &[u32]| -> Vec<u32> {
        std::mem::take(&mut scan.numbers).into_iter().map(|machine| of_machines[machine as usize]).collect()
    };
    let of_blocks = (of_blocks(before, &of_before), of_blocks(after, &of_after));
    (pairs, of_blocks.0, of_blocks.1)
}
