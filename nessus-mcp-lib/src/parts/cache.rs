//! Parts that were fetched, kept on a disk: one is fetched once for all who ask for it at the same moment.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    disk::Disk,
    part::{Part, check_size, verify_bytes},
};

/// What a cache has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PartFigures {
    /// Parts that nothing was fetched for, because they were here or somebody else was fetching them.
    pub(crate) hits: u64,
    /// Parts that were to be fetched.
    pub(crate) misses: u64,
    /// Bytes that were fetched.
    pub(crate) fetched_bytes: u64,
    /// Parts in its directory that were not what they should be, or could not be read.
    pub(crate) damaged: u64,
    /// Parts that were removed because there was no room for others.
    pub(crate) evicted: u64,
}

/// A cache of parts in a directory. Cheap to clone; all clones are the same. It blocks: it belongs on threads that may.
#[derive(Debug, Clone)]
pub(crate) struct PartCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    disk: Disk,
    /// The parts that somebody is getting at the moment.
    flights: Mutex<HashMap<[u8; 32], Flight>>,
    fetched_bytes: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What somebody is getting; `None` when that has failed.
type Flight = Arc<OnceLock<Option<Part>>>;

impl PartCache {
    /// A cache of at most so many bytes, with what is in its directory already. Nothing is made or looked at before a part is asked for. Where
    /// the directory cannot be used, parts are fetched each time.
    pub(crate) fn new(directory: &Path, most_bytes: u64) -> Self {
        Self(Arc::new(Shared {
            disk: Disk::new(directory, most_bytes),
            flights: Mutex::default(),
            fetched_bytes: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// The part of this hash and size; `fetch` gets it when it is not here. Whoever asks for a part that is being fetched waits for that,
    /// and tries it himself if it fails.
    ///
    /// # Errors
    /// Those of `fetch`; [`io::ErrorKind::InvalidData`] when it gives something else.
    pub(crate) fn part(
        &self,
        sha256: &[u8; 32],
        size: usize,
        fetch: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<Part> {
        let mut landing = loop {
            let flight = match self.0.flights.lock().unwrap_or_else(PoisonError::into_inner).entry(*sha256) {
                Entry::Occupied(taken) => Arc::clone(taken.get()),
                Entry::Vacant(free) => {
                    let flight = Arc::clone(free.insert(Flight::default()));
                    break Landing { cache: self, sha256, flight, part: None };
                }
            };
            if let Some(part) = flight.wait() {
                self.0.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(part.clone());
            }
        };
        let part = match self.0.disk.part(sha256, size) {
            Some(part) => {
                self.0.hits.fetch_add(1, Ordering::Relaxed);
                part
            }
            None => self.0.disk.keep(sha256, self.fetched(sha256, size, fetch)?),
        };
        landing.part = Some(part.clone());
        Ok(part)
    }

    /// Whether the directory seems to have a part.
    pub(super) fn has(&self, sha256: &[u8; 32]) -> bool {
        self.0.disk.has(sha256)
    }

    /// Fetches a part and compares it, without the directory.
    pub(super) fn fetched(
        &self,
        sha256: &[u8; 32],
        size: usize,
        fetch: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<Vec<u8>> {
        self.0.misses.fetch_add(1, Ordering::Relaxed);
        let bytes = fetch().map_err(|error| match error.kind() {
            // To readers these say that the file ends here, or that nothing has happened.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted => io::Error::other(error),
            _ => error,
        })?;
        self.0.fetched_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let compared = check_size(bytes.len() as u64, size).and_then(|()| verify_bytes(&bytes, sha256));
        let damaged =
            |error: io::Error| io::Error::new(error.kind(), format!("a part of the file came damaged: {error}"));
        compared.map(|()| bytes).map_err(damaged)
    }

    /// Removes a part that could not be read.
    pub(super) fn discard(&self, sha256: &[u8; 32], error: &io::Error) {
        self.0.disk.discard(sha256, error);
    }

    /// What it has done since it was made.
    pub(crate) fn figures(&self) -> PartFigures {
        let Shared { disk, hits, misses, fetched_bytes, .. } = &*self.0;
        let [hits, misses, fetched_bytes] = [hits, misses, fetched_bytes].map(|figure| figure.load(Ordering::Relaxed));
        let (damaged, evicted) = disk.removed();
        PartFigures { hits, misses, fetched_bytes, damaged, evicted }
    }

    /// How many wait for a part.
    #[cfg(test)]
    pub(super) fn waiting_for(&self, sha256: &[u8; 32]) -> usize {
        let flights = self.0.flights.lock().unwrap();
        // One is in the map, and one is with whoever fetches.
        flights.get(sha256).map_or(0, |flight| Arc::strong_count(flight) - 2)
    }
}

/// Ends a flight however it goes, so that nobody waits for one whose thread has panicked.
struct Landing<'c> {
    cache: &'c PartCache,
    sha256: &'c [u8; 32],
    flight: Flight,
    part: Option<Part>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.cache.0.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(self.sha256);
        // Nobody else sets it.
        let _ = self.flight.set(self.part.take());
    }
}
