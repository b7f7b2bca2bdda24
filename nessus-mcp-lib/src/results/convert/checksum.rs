//! A checksum for hundreds of megabytes in the time it takes to read them.
//!
//! Four lanes of 64 bits take turns over the words. Each step is one-to-one in the word and in the lane, so a change
//! of a single word always changes the result; of several, but for one in 2^64. It is no help against intent.

const FACTORS: [u64; 4] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x27D4_EB2F_1656_67C5];

/// Bytes that are taken at once.
pub(crate) const BLOCK: usize = 32;

/// The lanes on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum {
    lanes: [u64; 4],
}

impl Checksum {
    pub(crate) fn new() -> Self {
        Self { lanes: FACTORS }
    }

    /// Takes bytes; what is not a whole [`BLOCK`] at the end counts as filled up with zeros.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut blocks = bytes.chunks_exact(BLOCK);
        for block in &mut blocks {
            self.block(block);
        }
        let rest = blocks.remainder();
        if !rest.is_empty() {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            self.block(&block);
        }
    }

    fn block(&mut self, block: &[u8]) {
        for (lane, (word, factor)) in self.lanes.iter_mut().zip(block.chunks_exact(8).zip(FACTORS)) {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            *lane = (*lane ^ word).wrapping_mul(factor).rotate_left(29);
        }
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, lane) in bytes.chunks_exact_mut(8).zip(self.lanes) {
            bytes.copy_from_slice(&lane.to_le_bytes());
        }
        bytes
    }
}

/// A short hash of an item's bytes; never 0.
pub(crate) fn short(bytes: &[u8]) -> u32 {
    let mut checksum = Checksum::new();
    checksum.update(bytes);
    let all = checksum
        .lanes
        .iter()
        .fold(bytes.len() as u64, |all, lane| (all ^ lane).wrapping_mul(FACTORS[0]).rotate_left(31));
    u32::try_from(all >> 32).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_changed_byte_is_found(bytes in prop::collection::vec(any::<u8>(), 1..300), at in any::<usize>(), flip in 1..=255_u8) {
            let sum = |bytes: &[u8]| {
                let mut checksum = Checksum::new();
                checksum.update(bytes);
                checksum.finish()
            };
            let mut changed = bytes.clone();
            changed[at % bytes.len()] ^= flip;
            prop_assert_ne!(sum(&bytes), sum(&changed));
            prop_assert_ne!(short(&bytes), 0);
        }
    }
}
