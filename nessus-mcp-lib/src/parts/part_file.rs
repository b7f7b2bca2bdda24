//! A file that lies elsewhere, read part by part. Whoever reads one after the other has the next ones on their way.

use std::{
    fmt, io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use tracing::Span;

use super::{cache::PartCache, part::Part};
use crate::source::ReadAt;

/// How many bytes a part has; the last one of a file may have fewer.
pub(crate) const PART_BYTES: usize = 1 << 20;

/// How many parts a file keeps open.
const OPEN_PARTS: usize = 2;

/// How many of the parts that come next are fetched before they are read, and no more than were read in sequence until then. So nothing is
/// fetched ahead of who reads here and there.
const AHEAD: usize = 4;

/// Gets the part of this number.
pub(crate) type Fetch = Arc<dyn Fn(usize) -> io::Result<Vec<u8>> + Send + Sync>;

/// A file in parts. Only those parts are fetched in which something is read, and a few that follow what is read in sequence.
pub(crate) struct PartFile {
    cache: PartCache,
    parts: Vec<[u8; 32]>,
    size: u64,
    fetch: Fetch,
    reading: Mutex<Reading>,
}

/// How far a file was read.
#[derive(Default)]
struct Reading {
    /// The parts that were read last, the latest first.
    open: Vec<(usize, Part)>,
    /// What was read in sequence up to now.
    sequence: Range<u64>,
    /// The parts that come next, while they are got.
    ahead: Vec<(usize, JoinHandle<io::Result<Part>>)>,
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
        Ok(Self { cache, parts, size, fetch, reading: Mutex::default() })
    }

    /// Where a part begins or ends.
    fn border(&self, number: usize) -> u64 {
        (number as u64).saturating_mul(PART_BYTES as u64).min(self.size)
    }

    fn size_of(&self, number: usize) -> usize {
        usize::try_from(self.border(number + 1) - self.border(number)).unwrap_or(PART_BYTES)
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, number: usize) -> io::Result<Part> {
        self.cache.part(&self.parts[number], self.size_of(number), || (self.fetch)(number))
    }

    /// The part in which somebody reads on at this place.
    fn part(&self, number: usize, at: u64) -> io::Result<Part> {
        let mut reading = self.reading();
        if let Some((_, part)) = reading.open.iter().find(|(found, _)| *found == number) {
            return Ok(part.clone());
        }
        let in_sequence = if reading.sequence.end == at { at - reading.sequence.start } else { 0 };
        let ahead = usize::try_from(in_sequence / PART_BYTES as u64).unwrap_or(AHEAD).min(AHEAD);
        let next = number + 1..(number + 1 + ahead).min(self.parts.len());
        let began = reading.ahead.iter().position(|(found, _)| *found == number);
        let began = began.map(|place| reading.ahead.remove(place).1);
        reading.ahead.retain(|(found, _)| next.contains(found));
        for number in next {
            if !reading.ahead.iter().any(|(found, _)| *found == number) {
                let started = self.begin(number);
                reading.ahead.extend(started.map(|reader| (number, reader)));
            }
        }
        drop(reading);
        began.and_then(|began| began.join().ok()).unwrap_or_else(|| self.kept(number))
    }

    /// Begins to get a part that is not here. Where that cannot be begun, it is got when it is read.
    fn begin(&self, number: usize) -> Option<JoinHandle<io::Result<Part>>> {
        let (cache, fetch, sha256, size) =
            (self.cache.clone(), Arc::clone(&self.fetch), self.parts[number], self.size_of(number));
        if cache.has(&sha256) {
            return None;
        }
        // What it logs belongs to whoever reads.
        let span = Span::current();
        let get = move || span.in_scope(|| cache.part(&sha256, size, || fetch(number)));
        thread::Builder::new().name("part-ahead".to_owned()).spawn(get).ok()
    }

    /// A part on the disk was not read. Where it is not what it was, the cache finds out by itself.
    fn distrust(&self, sha256: &[u8; 32], error: &io::Error) {
        if error.kind() != io::ErrorKind::InvalidData {
            self.cache.discard(sha256, error);
        }
    }

    /// Notes that so many bytes were read here: the part stands before those that were read earlier.
    fn has_read(&self, number: usize, part: Part, at: u64, bytes: usize) {
        let mut reading = self.reading();
        reading.open.retain(|(found, _)| *found != number);
        reading.open.insert(0, (number, part));
        reading.open.truncate(OPEN_PARTS);
        let begin = if reading.sequence.end == at { reading.sequence.start } else { at };
        reading.sequence = begin..at + bytes as u64;
    }
}

impl ReadAt for PartFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let number = usize::try_from(at / PART_BYTES as u64).unwrap_or(usize::MAX);
        let Some(sha256) = self.parts.get(number).filter(|_| at < self.size) else { return Ok(0) };
        let within = usize::try_from(at - self.border(number)).unwrap_or(PART_BYTES);
        let mut part = self.part(number, at)?;
        let mut read = part.read_at(within, bytes);
        // Its file was altered, or the disk fails.
        if let Err(error) = &read {
            self.distrust(sha256, error);
            part = self.kept(number)?;
            read = part.read_at(within, bytes);
        }
        if let Err(error) = &read {
            self.distrust(sha256, error);
            let fetched = self.cache.fetched(sha256, self.size_of(number), || (self.fetch)(number));
            part = Part::Memory(fetched?.into());
            read = part.read_at(within, bytes);
        }
        if let Ok(read) = &read {
            self.has_read(number, part, at, *read);
        }
        read
    }
}

impl fmt::Debug for PartFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartFile").field("size", &self.size).finish_non_exhaustive()
    }
}
