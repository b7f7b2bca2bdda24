//! What was read from files, for as long as they are as they were read.
//!
//! A file has a [`Stamp`]; so has what lies elsewhere, by its hash. Our files are replaced as a whole, so a file with the stamp of what was
//! read holds what was read. A file that has changed a moment ago could be replaced once more without another stamp; what is read of it is
//! not kept.

use std::{
    collections::HashMap,
    fs::Metadata,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// File systems date changes by a clock that ticks every ten milliseconds or more often, and some to the second only.
const SETTLED_AFTER: Duration = Duration::from_millis(100);
const SETTLED_AFTER_SECONDS: Duration = Duration::from_secs(2);

/// Which content it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// That of a file, in the state in which it was.
    File(FileStamp),
    /// That with this SHA-256, wherever it lies.
    Content([u8; 32]),
}

/// Which file, and which state of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    /// Device and inode.
    file: (u64, u64),
    size: u64,
    /// When the content changed and when the file did, in seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file; `None` on a system that has none.
    #[cfg(unix)]
    #[expect(clippy::unnecessary_wraps, reason = "other systems have no stamps")]
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        Some(Self::File(FileStamp {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }))
    }

    #[cfg(not(unix))]
    pub(crate) fn of(_metadata: &Metadata) -> Option<Self> {
        None
    }

    /// Whether a later change would show.
    fn is_settled(&self, now: SystemTime) -> bool {
        match self {
            Self::File(file) => file.is_settled(now),
            Self::Content(_) => true,
        }
    }
}

impl FileStamp {
    fn is_settled(&self, now: SystemTime) -> bool {
        let settled_after = if self.changed.1 == 0 { SETTLED_AFTER_SECONDS } else { SETTLED_AFTER };
        self.changed_at().is_some_and(|changed| now.duration_since(changed).is_ok_and(|age| age > settled_after))
    }

    fn changed_at(&self) -> Option<SystemTime> {
        let (seconds, nanos) = (u64::try_from(self.changed.0).ok()?, u32::try_from(self.changed.1).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
    }
}

/// Values by key, each with the stamps of the files it was read from. They weigh at most so much together.
#[derive(Debug)]
pub(crate) struct Known<K, V, const FILES: usize = 1> {
    most: usize,
    entries: Mutex<Entries<K, V, FILES>>,
}

#[derive(Debug)]
struct Entries<K, V, const FILES: usize> {
    weight: usize,
    values: HashMap<K, ([Stamp; FILES], usize, V)>,
}

impl<K: Eq + Hash, V: Clone, const FILES: usize> Known<K, V, FILES> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, entries: Mutex::new(Entries { weight: 0, values: HashMap::new() }) }
    }

    /// The value of a key, if it was read from files with these stamps.
    pub(crate) fn get(&self, key: &K, stamps: &[Stamp; FILES]) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.values.get(key).filter(|(read, ..)| read == stamps).map(|(.., value)| value.clone())
    }

    /// Keeps what was read now from files with these stamps. Where there is no room, everything else is forgotten.
    pub(crate) fn keep(&self, key: K, stamps: [Stamp; FILES], weight: usize, value: &V) {
        let now = SystemTime::now();
        if weight > self.most || !stamps.iter().all(|stamp| stamp.is_settled(now)) {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, before, _)) = entries.values.remove(&key) {
            entries.weight -= before;
        }
        if entries.weight + weight > self.most {
            entries.values = HashMap::new();
            entries.weight = 0;
        }
        entries.weight += weight;
        entries.values.insert(key, (stamps, weight, value.clone()));
    }
    /// Forgets what was kept of a key.
    #[cfg(feature = "objects")]
    pub(crate) fn forget(&self, key: &K) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, weight, _)) = entries.values.remove(key) {
            entries.weight -= weight;
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{fs::File, path::Path};

    use super::*;
    use crate::durable;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn stamp(path: &Path) -> FileStamp {
        match Stamp::of(&std::fs::metadata(path).unwrap()) {
            Some(Stamp::File(stamp)) => stamp,
            other => panic!("{other:?}"),
        }
    }

    fn settled(path: &Path) -> Stamp {
        let mut stamp = stamp(path);
        stamp.changed.0 -= 3;
        Stamp::File(stamp)
    }

    #[test]
    fn every_replacement_and_every_change_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        durable::replace(&path, b"1").unwrap();
        let first = stamp(&path);
        durable::replace(&path, b"2").unwrap();
        let second = stamp(&path);
        assert_ne!(first, second, "of the same size, within the same tick of the clock");
        File::open(&path).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
        assert_ne!(stamp(&path), second);
        assert_eq!(stamp(&path), stamp(&path));
    }

    #[test]
    fn what_has_just_changed_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        durable::replace(&path, b"1").unwrap();
        let known = Known::new(10);
        let young = stamp(&path);
        assert!(!young.is_settled(SystemTime::UNIX_EPOCH), "a clock that went back");
        for (nanos, settled_after) in [(1, SETTLED_AFTER), (0, SETTLED_AFTER_SECONDS)] {
            let young = FileStamp { changed: (young.changed.0, nanos), ..young };
            let settled = young.changed_at().unwrap() + settled_after;
            assert!(!young.is_settled(settled));
            assert!(young.is_settled(settled + Duration::from_nanos(1)));
        }
        let in_future = Stamp::File(FileStamp { changed: (young.changed.0 + 3600, 0), ..young });
        known.keep("key", [in_future], 1, &"value");
        assert_eq!(known.get(&"key", &[in_future]), None);
        let old = settled(&path);
        known.keep("key", [old], 1, &"value");
        assert_eq!(known.get(&"key", &[old]), Some("value"));
        assert_eq!(known.get(&"key", &[Stamp::File(young)]), None, "another state of the file");
        assert_eq!(known.get(&"other", &[old]), None);
        known.keep("content", [Stamp::Content([1; 32])], 1, &"value");
        assert_eq!(known.get(&"content", &[Stamp::Content([1; 32])]), Some("value"), "it never changes");
        assert_eq!(known.get(&"content", &[Stamp::Content([2; 32])]), None);
    }

    #[test]
    fn they_never_weigh_more_than_they_may() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        durable::replace(&path, b"1").unwrap();
        let (known, stamps) = (Known::new(10), [settled(&path)]);
        known.keep(0, stamps, 11, &0);
        assert_eq!(known.get(&0, &stamps), None);
        for key in 1..=100 {
            known.keep(key, stamps, 3, &key);
            known.keep(key, stamps, 4, &key);
            let entries = known.entries.lock().unwrap();
            assert!(entries.weight <= 10);
            assert_eq!(entries.weight, entries.values.values().map(|(_, weight, _)| weight).sum::<usize>());
            drop(entries);
            assert_eq!(known.get(&key, &stamps), Some(key));
        }
    }
}
