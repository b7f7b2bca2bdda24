//! Where a walk through a result goes on, and whether it is still the same result.

use std::{
    fmt,
    io::{Read, Seek, SeekFrom},
};

use sha2::{Digest, Sha256};

use super::filter::FilterSet;
use crate::hex;
use crate::results::{error::ResultsError, record::RecordKind};

/// Bytes at each end of an export that tell it from others.
const END_BYTES: u64 = 64 << 10;
/// Grows when a position means something else.
const VERSION: u8 = 2;

/// What tells one export from another without reading all of it: its size, and a hash of its first and last 64 KiB.
///
/// This is against mistakes and not against forgery: who can write the export can write whatever is derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of both ends.
    pub hash: [u8; 32],
}

impl Identity {
    /// Of what begins at `base` in the input. The input stands somewhere else afterwards.
    pub(crate) fn of<R: Read + Seek>(input: &mut R, base: u64) -> Result<Self, ResultsError> {
        let end = input.seek(SeekFrom::End(0)).map_err(ResultsError::Read)?;
        let size = end.saturating_sub(base);
        let mut hash = Sha256::new();
        hash.update(size.to_le_bytes());
        let mut bytes = Vec::new();
        for begin in [base, end.saturating_sub(END_BYTES).max(base)] {
            input.seek(SeekFrom::Start(begin)).map_err(ResultsError::Read)?;
            bytes.clear();
            input.by_ref().take(END_BYTES).read_to_end(&mut bytes).map_err(ResultsError::Read)?;
            hash.update(&bytes);
        }
        Ok(Self { size, hash: hash.finalize().into() })
    }

    fn short(&self) -> [u8; 6] {
        first(&self.hash)
    }
}

/// A place in an ordered result: opaque to callers, and complete in itself.
///
/// Its text is 40 hexadecimal digits: a version, a hash of kind, filters and order, a hash of the export, the position, and
/// a checksum. So it outlives the server, and profile, page size and budget may change on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    query: [u8; 6],
    export: [u8; 6],
    /// Findings that come before, in the order of the result.
    pub position: u64,
}

impl Cursor {
    pub(crate) fn new(kind: RecordKind, filters: &FilterSet, order: &str, export: &Identity, position: u64) -> Self {
        Self { query: question(kind, filters, order), export: export.short(), position }
    }

    /// Reads a cursor for a query of this kind with these filters and this order, which says by what findings are grouped too.
    pub(crate) fn read(text: &str, kind: RecordKind, filters: &FilterSet, order: &str) -> Result<Self, ResultsError> {
        let invalid = |reason| Err(ResultsError::InvalidCursor { reason });
        let Some(bytes) = hex::decode(text.trim()) else { return invalid("it is not a cursor, or not a whole one") };
        let cursor = Self {
            query: std::array::from_fn(|at| bytes[1 + at]),
            export: std::array::from_fn(|at| bytes[7 + at]),
            position: bytes[13..18].iter().fold(0, |position, byte| position << 8 | u64::from(*byte)),
        };
        if bytes[0] != VERSION {
            return invalid("it comes from another version of this program");
        }
        if cursor.encode() != bytes {
            return invalid("it is damaged");
        }
        if cursor.query != question(kind, filters, order) {
            return invalid("it belongs to another kind, other filters, another grouping or another sort order");
        }
        Ok(cursor)
    }

    /// Whether the cursor belongs to this export.
    pub(crate) fn check(&self, export: &Identity) -> Result<(), ResultsError> {
        if self.export == export.short() {
            return Ok(());
        }
        Err(ResultsError::InvalidCursor { reason: "it belongs to other results" })
    }

    fn encode(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[0] = VERSION;
        bytes[1..7].copy_from_slice(&self.query);
        bytes[7..13].copy_from_slice(&self.export);
        bytes[13..18].copy_from_slice(&self.position.to_be_bytes()[3..]);
        let check: [u8; 2] = first(&Sha256::digest(&bytes[..18]).into());
        bytes[18..].copy_from_slice(&check);
        bytes
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.encode()))
    }
}

/// What decides which findings there are and in which order.
fn question(kind: RecordKind, filters: &FilterSet, order: &str) -> [u8; 6] {
    let mut hash = Sha256::new();
    hash.update(kind.name());
    hash.update([0]);
    hash.update(serde_json::Value::Object(filters.to_json()).to_string());
    hash.update([0]);
    hash.update(order);
    first(&hash.finalize().into())
}

fn first<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    use std::io::Cursor as Bytes;

    use super::*;

    fn filters(text: &str) -> FilterSet {
        text.parse().unwrap()
    }

    #[test]
    fn a_cursor_is_read_only_where_it_belongs() {
        let (kind, none, worst) = (RecordKind::Vulnerability, FilterSet::default(), "worst_first");
        let export = Identity::of(&mut Bytes::new(b"export"), 0).unwrap();
        let text = Cursor::new(kind, &filters(r#"{"port": 80, "cve": "x"}"#), worst, &export, 12_345).to_string();
        let cursor = Cursor::read(&text, kind, &filters(r#"{"CVE": "x", "port": "=80"}"#), worst).unwrap();
        assert_eq!(cursor.position, 12_345);
        cursor.check(&export).unwrap();
        let other = Identity::of(&mut Bytes::new(b"exporT"), 0).unwrap();
        assert!(cursor.check(&other).is_err());
        let asked = filters(r#"{"port": 80, "cve": "x"}"#);
        assert!(Cursor::read(&text, kind, &none, worst).is_err());
        assert!(Cursor::read(&text, kind, &asked, "file").is_err());
        assert!(Cursor::read(&text, RecordKind::Compliance, &asked, worst).is_err());
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(Cursor::read(&damaged, kind, &asked, worst).is_err(), "{at}");
        }
        for text in ["", "zz", &text[1..], &"é".repeat(20)] {
            assert!(matches!(Cursor::read(text, kind, &none, worst), Err(ResultsError::InvalidCursor { .. })));
        }
    }

    #[test]
    fn the_identity_is_that_of_the_text_behind_the_mark() {
        let of = |bytes: &[u8], base| Identity::of(&mut Bytes::new(bytes), base).unwrap();
        assert_eq!(of(b"\xef\xbb\xbfabc", 3), of(b"abc", 0));
        assert_ne!(of(b"abc", 0), of(b"abcabc", 0));
        let mut large = vec![b'x'; 300_000];
        let first = of(&large, 0);
        large[299_999] = b'y';
        assert_ne!(of(&large, 0), first);
        assert_eq!(of(b"", 0).size, 0);
    }
}
