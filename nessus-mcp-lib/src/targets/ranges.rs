//! Sorted ranges of integers that neither overlap nor touch.

/// Closed ranges in ascending order, with a gap of at least one between any two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// Merges ranges in any order, each with its first value not after its last.
    pub(super) fn merge(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, u128)> {
        self.0.iter().copied()
    }

    /// How many values, at most [`u128::MAX`].
    pub(super) fn count(&self) -> u128 {
        self.iter().fold(0, |sum: u128, (first, last)| sum.saturating_add(last - first).saturating_add(1))
    }

    pub(super) fn contains_all(&self, other: &Self) -> bool {
        // Ranges that touch are one, so a range is contained as a whole in one range or not at all.
        other.iter().all(|(first, last)| {
            let at = self.0.partition_point(|range| range.1 < first);
            self.0.get(at).is_some_and(|range| range.0 <= first && last <= range.1)
        })
    }

    pub(super) fn contains(&self, value: u128) -> bool {
        let at = self.0.partition_point(|range| range.1 < value);
        self.0.get(at).is_some_and(|range| range.0 <= value)
    }

    /// What is left without some values, which are in any order.
    pub(super) fn without(&self, mut values: Vec<u128>) -> Self {
        values.sort_unstable();
        let mut values = values.into_iter().peekable();
        let mut left = Vec::new();
        for (mut first, last) in self.iter() {
            while values.next_if(|value| *value < first).is_some() {}
            let mut is_done = false;
            while let Some(value) = values.next_if(|value| *value <= last) {
                if value > first {
                    left.push((first, value - 1));
                }
                // Values may come twice.
                is_done = value == last;
                first = first.max(value.saturating_add(1));
            }
            if !is_done {
                left.push((first, last));
            }
        }
        Self(left)
    }

    pub(super) fn intersects(&self, other: &Self) -> bool {
        other.iter().any(|(first, last)| {
            let at = self.0.partition_point(|range| range.1 < first);
            self.0.get(at).is_some_and(|range| range.0 <= last)
        })
    }
}

/// The prefix length of the network that is exactly this range of `bits`-bit addresses, if there is one.
pub(super) fn prefix_length(first: u128, last: u128, bits: u32) -> Option<u32> {
    let host_bits = (first ^ last).count_ones();
    let mask = low_bits(host_bits);
    (first & mask == 0 && last == first | mask).then(|| bits - host_bits)
}

/// The lowest `count` bits set.
pub(super) const fn low_bits(count: u32) -> u128 {
    if count == 0 { 0 } else { u128::MAX >> (128 - count) }
}
