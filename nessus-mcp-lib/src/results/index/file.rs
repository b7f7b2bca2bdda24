//! The bytes of an index: a head, the rows, a description as JSON, and a tail that holds all together.
//!
//! ```text
//! head  32  magic "nmcp-idx", version, hash of the table of fields
//! rows      64 bytes each
//! about     JSON, filled up with spaces to a multiple of 32
//! tail  48  bytes of rows, bytes of about, checksum over all before it
//! ```
//! The rows are written as the items are read, so nothing is held for the end but hosts and combinations of fields.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
};

use sha2::{Digest, Sha256};

use super::{
    IndexError,
    checksum::{BLOCK, Checksum},
    row::ROW_BYTES,
};
use crate::results::fields::FIELDS;

/// Grows with every change of the layout or of what the columns mean.
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 32;
const TAIL_BYTES: usize = 48;

fn head() -> [u8; HEAD_BYTES] {
    let mut fields = Sha256::new();
    for field in FIELDS {
        fields.update(format!("{} {} {:?} {:?};", field.name, field.xml, field.kind, field.origin));
    }
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(b"nmcp-idx");
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[16..].copy_from_slice(&fields.finalize()[..16]);
    head
}

/// An index being written.
pub(super) struct Output<W: Write> {
    inner: BufWriter<W>,
    checksum: Checksum,
    rows: u64,
}

impl<W: Write> Output<W> {
    pub(super) fn begin(output: W) -> io::Result<Self> {
        let mut this = Self { inner: BufWriter::with_capacity(64 << 10, output), checksum: Checksum::new(), rows: 0 };
        this.append(&head())?;
        Ok(this)
    }

    /// Writes a row.
    pub(super) fn write(&mut self, row: &[u8; ROW_BYTES]) -> io::Result<()> {
        self.rows += row.len() as u64;
        self.append(row)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.inner.write_all(bytes)
    }

    pub(super) fn finish(mut self, about: &[u8]) -> io::Result<()> {
        let mut about = about.to_vec();
        about.resize(about.len().next_multiple_of(BLOCK), b' ');
        self.append(&about)?;
        let mut tail = [0; TAIL_BYTES];
        tail[..8].copy_from_slice(&self.rows.to_le_bytes());
        tail[8..16].copy_from_slice(&(about.len() as u64).to_le_bytes());
        self.checksum.update(&tail[..16]);
        tail[16..].copy_from_slice(&self.checksum.finish());
        self.inner.write_all(&tail)?;
        self.inner.flush()
    }
}

/// Reads an index; gives the description and the rows.
pub(super) fn read(mut index: &File) -> Result<(Vec<u8>, Vec<u8>), IndexError> {
    let size = index.metadata().map_err(IndexError::Read)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(size).map_err(|_| IndexError::Damaged)?);
    index.read_to_end(&mut bytes).map_err(IndexError::Read)?;
    let body = bytes.len().checked_sub(TAIL_BYTES).ok_or(IndexError::Damaged)?;
    let (body, tail) = bytes.split_at(body);
    let mut checksum = Checksum::new();
    checksum.update(body);
    checksum.update(&tail[..16]);
    if tail[16..] != checksum.finish() {
        return Err(IndexError::Damaged);
    }
    if body.get(..HEAD_BYTES) != Some(&head()) {
        return Err(IndexError::Version);
    }
    let length = |at: usize| {
        let bytes = tail.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.and_then(|bytes| usize::try_from(u64::from_le_bytes(bytes)).ok()).ok_or(IndexError::Damaged)
    };
    let (rows, about) = (length(0)?, length(8)?);
    let end = HEAD_BYTES.checked_add(rows).filter(|end| end.checked_add(about) == Some(body.len()));
    let end = end.filter(|_| rows % ROW_BYTES == 0).ok_or(IndexError::Damaged)?;
    let about = body[end..].to_vec();
    bytes.truncate(end);
    bytes.drain(..HEAD_BYTES);
    Ok((about, bytes))
}
