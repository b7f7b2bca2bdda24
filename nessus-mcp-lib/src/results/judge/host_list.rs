//! Which hosts something was found on, in about a byte for each.

/// Numbers of hosts, each once, in rising order: what each is more than the one before, in groups of seven bits.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostList {
    steps: Vec<u8>,
    /// The number that the next step is counted from.
    next: u32,
}

impl HostList {
    /// Takes a number that is not less than those before.
    pub(crate) fn push(&mut self, host: u32) {
        let Some(mut step) = host.checked_sub(self.next) else { return };
        self.next = host.saturating_add(1);
        while step >= 0x80 {
            self.steps.push(u8::try_from(step & 0x7F).unwrap_or_default() | 0x80);
            step >>= 7;
        }
        self.steps.push(u8::try_from(step).unwrap_or_default());
    }

    /// The numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let (mut next, mut step, mut shift) = (0_u32, 0_u32, 0_u32);
        self.steps.iter().filter_map(move |byte| {
            step |= u32::from(byte & 0x7F) << shift;
            shift += 7;
            (byte & 0x80 == 0).then(|| {
                let host = next + step;
                (next, step, shift) = (host.saturating_add(1), 0, 0);
                host
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_numbers_come_out_as_they_went_in(numbers in prop::collection::vec(0..u32::MAX, 0..20), small in prop::collection::btree_set(0..500_u32, 0..50)) {
            for mut numbers in [numbers, small.into_iter().collect()] {
                numbers.sort_unstable();
                let mut list = HostList::default();
                // The last comes twice.
                for number in numbers.iter().chain(numbers.last()) {
                    list.push(*number);
                }
                numbers.dedup();
                prop_assert_eq!(list.iter().collect::<Vec<_>>(), numbers);
            }
        }
    }

    #[test]
    fn neighbours_take_a_byte() {
        let mut list = HostList::default();
        for host in 0..1000 {
            list.push(host);
        }
        assert_eq!(list.steps.len(), 1000);
    }
}
