//! Reproducible chance; xorshift is random enough for moments to kill at.

use std::{ops::Range, time::Duration};

/// A sequence of random moments that is the same for the same seed.
#[derive(Debug, Clone)]
pub struct Moments(u64);

impl Moments {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero for ever.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A duration below `limit`.
    pub fn next_below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        limit * u32::try_from(self.0 >> 48).unwrap_or(0) / 0x1_0000
    }

    /// A duration in `range`.
    pub fn next_in(&mut self, range: &Range<Duration>) -> Duration {
        range.start + self.next_below(range.end.saturating_sub(range.start))
    }

    /// One of `choices`, if there are any.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let count = u64::try_from(choices.len()).unwrap_or(0);
        let at = self.next_below(Duration::from_nanos(count)).as_nanos();
        choices.get(usize::try_from(at).unwrap_or(0)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_reproducible_and_spread_over_the_range() {
        let sequence = |seed| {
            let mut moments = Moments::new(seed);
            std::iter::repeat_with(move || moments.next_below(Duration::from_secs(1))).take(1000).collect::<Vec<_>>()
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
        let late = sequence(7).iter().filter(|moment| **moment > Duration::from_millis(500)).count();
        assert!((400..600).contains(&late), "{late}");
        let mut moments = Moments::new(1);
        let picked: std::collections::BTreeSet<_> = (0..100).filter_map(|_| moments.pick(&["a", "b", "c"])).collect();
        assert_eq!(picked.len(), 3);
    }
}
