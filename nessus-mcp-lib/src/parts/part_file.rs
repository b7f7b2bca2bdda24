//! A file that lies elsewhere, read part by part.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use super::{cache::PartCache, part::Part};
use crate::source::ReadAt;

/// How many bytes a part has; the last one of a file may have fewer.
pub(crate) const PART_BYTES: usize = 1 << 20;

/// How many parts a file keeps open.
const OPEN_PARTS: usize = 2;

/// Gets the part of this number.
pub(crate) type Fetch = Arc<dyn Fn(usize) -> io::Result<Vec<u8>> + Send + Sync>;

/// A file in parts. Nothing of it is fetched before it is read, and of that only the parts in which something is read.
pub(crate) struct PartFile {
    cache: PartCache,
    parts: Vec<[u8; 32]>,
    size: u64,
    fetch: Fetch,
    /// Those that were read last, the latest first.
    open: Mutex<Vec<(usize, Part)>>,
}

impl PartFile {
    /// A file of this size, by the SHA-256 of each of its parts.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when a file of this size has another number of parts.
    pub(crate) fn new(cache: PartCache, parts: Vec<[u8; 32]>, size: u64, fetch: Fetch) -> io::Result<Self> {
        let expected = size.div_ceil(PART_BYTES as u64);
        if parts.len() as u64 != expected {
            let message =
                format!("the number of its parts is {}, and should be {expected} for its size of {size}", parts.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Self { cache, parts, size, fetch, open: Mutex::default() })
    }

    /// Where a part begins or ends.
    fn border(&self, number: usize) -> u64 {
        (number as u64).saturating_mul(PART_BYTES as u64).min(self.size)
    }

    fn opened(&self, number: usize) -> Option<Part> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().find(|(found, _)| *found == number).map(|(_, part)| part.clone())
    }

    /// A part on the disk was not read. Where it is not what it was, the cache finds out by itself.
    fn distrust(&self, sha256: &[u8; 32], error: &io::Error) {
        if error.kind() != io::ErrorKind::InvalidData {
            self.cache.discard(sha256, error);
        }
    }

    /// Puts a part before those that were read earlier.
    fn keep_open(&self, number: usize, part: Part) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(found, _)| *found != number);
        open.insert(0, (number, part));
        open.truncate(OPEN_PARTS);
    }
}

impl ReadAt for PartFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let number = usize::try_from(at / PART_BYTES as u64).unwrap_or(usize::MAX);
        let Some(sha256) = self.parts.get(number).filter(|_| at < self.size) else { return Ok(0) };
        let begin = self.border(number);
        let size = usize::try_from(self.border(number + 1) - begin).unwrap_or(PART_BYTES);
        let within = usize::try_from(at - begin).unwrap_or(PART_BYTES);
        let fetch = || (self.fetch)(number);
        let kept = || self.cache.part(sha256, size, fetch);
        let mut part = self.opened(number).map_or_else(kept, Ok)?;
        let mut read = part.read_at(within, bytes);
        // Its file was altered, or the disk fails.
        if let Err(error) = &read {
            self.distrust(sha256, error);
            part = kept()?;
            read = part.read_at(within, bytes);
        }
        if let Err(error) = &read {
            self.distrust(sha256, error);
            part = Part::Memory(self.cache.fetched(sha256, size, fetch)?.into());
            read = part.read_at(within, bytes);
        }
        self.keep_open(number, part);
        read
    }
}

impl fmt::Debug for PartFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartFile").field("size", &self.size).finish_non_exhaustive()
    }
}
