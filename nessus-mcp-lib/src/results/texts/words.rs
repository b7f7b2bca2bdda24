//! Looking for bytes in a word of eight at once.
//!
//! The answers have the highest bit of each byte that was looked for, the first byte of the text in the lowest place. Bits
//! above the lowest one set may be wrong.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The bytes that are this one.
#[inline]
pub(crate) const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// The bytes below this one, which is 0x80 at the most.
#[inline]
pub(crate) const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// The bytes from 0x7F on.
#[inline]
pub(crate) const fn beyond_printable(word: u64) -> u64 {
    // Of a byte below 0x80, one more than 0x7E has the highest bit.
    (word | (word & !HIGHS).wrapping_add(ONES)) & HIGHS
}

/// The place of the first byte that was found.
#[inline]
pub(crate) const fn first(found: u64) -> Option<usize> {
    if found == 0 { None } else { Some(found.trailing_zeros() as usize / 8) }
}

/// Whether two names are the same; most have 8 to 16 bytes, which are two pairs of words that may overlap.
pub(crate) fn is_same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() || left.len() > 16 {
        return left == right;
    }
    let ends = |name: &'_ [u8]| Some((*name.first_chunk::<8>()?, *name.last_chunk::<8>()?));
    match (ends(left), ends(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left.iter().eq(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_whatever_stands_around_it() {
        let found = |bytes: [u8; 8], look: fn(u64) -> u64| first(look(u64::from_le_bytes(bytes)));
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut bytes = [b'x'; 8];
                bytes[at] = byte;
                assert_eq!(found(bytes, |word| equal(word, b'<')), (byte == b'<').then_some(at), "{bytes:?}");
                assert_eq!(found(bytes, |word| below(word, 0x20)), (byte < 0x20).then_some(at), "{bytes:?}");
                assert_eq!(found(bytes, beyond_printable), (byte >= 0x7F).then_some(at), "{bytes:?}");
            }
        }
    }
}
