//! One part: verified, and right for as long as it is read.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::{error::counted, hex, known::Stamp};

/// How often a part is looked at anew when its file changes while it is read.
const LOOKS: usize = 3;

/// A part of a file. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// On the disk.
    File(Arc<PartOnDisk>),
    /// Where the disk does not take it.
    Memory(Bytes),
}

impl Part {
    /// Reads bytes that stand from `at` on in the part; how many. None are read only at its end.
    ///
    /// # Errors
    /// When its file cannot be read, or is not what it was any more.
    pub(super) fn read_at(&self, at: usize, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_at(at as u64, bytes),
            Self::Memory(content) => {
                let found = content.get(at..).unwrap_or_default();
                let read = found.len().min(bytes.len());
                bytes[..read].copy_from_slice(&found[..read]);
                Ok(read)
            }
        }
    }
}

/// An open file with a part.
#[derive(Debug)]
pub(crate) struct PartOnDisk {
    file: File,
    sha256: [u8; 32],
    /// With which it was found to be right.
    stamp: Mutex<Option<Stamp>>,
}

impl PartOnDisk {
    /// A file whose content is right as long as it has this stamp.
    pub(super) const fn new(file: File, sha256: [u8; 32], stamp: Option<Stamp>) -> Self {
        Self { file, sha256, stamp: Mutex::new(stamp) }
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        for _ in 0..LOOKS {
            let read = self.file.read_at(bytes, at)?;
            let stamp = Stamp::of(&self.file.metadata()?);
            let mut verified = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
            if stamp.is_some() && stamp == *verified {
                return Ok(read);
            }
            // It may only have been touched or removed.
            verify(&self.file, &self.sha256)?;
            *verified = stamp;
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "it changes while it is read"))
    }
}

/// Compares a file from its first byte to its last.
pub(super) fn verify(file: &File, sha256: &[u8; 32]) -> io::Result<()> {
    let (mut hash, mut at, mut bytes) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        match file.read_at(&mut bytes, at)? {
            0 => break,
            read => {
                hash.update(&bytes[..read]);
                at += read as u64;
            }
        }
    }
    check(hash, at, sha256)
}

/// Compares bytes.
pub(super) fn verify_bytes(bytes: &[u8], sha256: &[u8; 32]) -> io::Result<()> {
    check(Sha256::new_with_prefix(bytes), bytes.len() as u64, sha256)
}

fn check(hash: Sha256, size: u64, sha256: &[u8; 32]) -> io::Result<()> {
    let found: [u8; 32] = hash.finalize().into();
    if found == *sha256 {
        return Ok(());
    }
    let (found, expected) = (hex::encode(&found), hex::encode(sha256));
    Err(damaged(format!("the SHA-256 of its {} is {found}, and should be {expected}", counted(size, "byte", "bytes"))))
}

/// Compares a size with what it is to be.
pub(super) fn check_size(found: u64, size: usize) -> io::Result<()> {
    if found == size as u64 { Ok(()) } else { Err(damaged(format!("its size is {found}, and should be {size}"))) }
}

fn damaged(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
