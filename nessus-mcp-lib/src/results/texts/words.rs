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

/// Whether two names are the same; most have 8 to 16 bytes, which are two pairs of words that may overlap, or half of that.
#[inline]
pub(crate) fn is_same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    if left.len() > 16 {
        return left == right;
    }
    ends::<8>(left, right).or_else(|| ends::<4>(left, right)).unwrap_or_else(|| left.iter().eq(right))
}

/// Whether two names are the same in their first and their last bytes, where they have so many.
#[inline]
fn ends<const N: usize>(left: &[u8], right: &[u8]) -> Option<bool> {
    let first = left.first_chunk::<N>()? == right.first_chunk::<N>()?;
    Some(first && left.last_chunk::<N>()? == right.last_chunk::<N>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_in_any_byte() {
        for length in 0..40 {
            let name: Vec<u8> = (b'a'..).take(length).collect();
            assert!(is_same(&name, &name.clone()) && !is_same(&name, &[&name[..], b"x"].concat()));
            for at in 0..length {
                let mut other = name.clone();
                other[at] = b'_';
                assert!(!is_same(&name, &other), "{length} {at}");
            }
        }
    }

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
