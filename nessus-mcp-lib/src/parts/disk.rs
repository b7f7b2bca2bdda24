//! The directory of a cache: files that are named by the SHA-256 of their content, `ab/abcdef...`.
//!
//! It is what is known of it: how long a part was not used, its time of change says, so several processes and restarts agree. Nothing is
//! synced: what a crash of the machine leaves is compared with its name before it is used.

use std::{
    fs::{File, Metadata},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tracing::{info, warn};

use super::part::{self, Part, PartOnDisk};
use crate::{
    durable::{self, DurableFile, EntryKind, Folder, TEMPORARY_PREFIX},
    error::chain,
    hex,
    known::{Known, Stamp},
};

/// A part that is used is dated anew when its date is older than this.
const DATED_FOR: Duration = Duration::from_secs(600);
/// Temporary files that are older were left by a killed process.
const LEFT_AFTER: Duration = Duration::from_secs(3600);
/// The directory is looked through when this fraction of what it may hold was written.
const LOOKS: u64 = 16;
/// How many parts are known to be verified. Each takes some 150 bytes of memory.
const KNOWN_PARTS: usize = 1 << 16;

/// The directory of a cache, with at most so many bytes. Each further process that writes to it may add a sixteenth, until it looks.
#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    most_bytes: u64,
    /// Bytes that may be written before the directory is looked through again.
    room: Mutex<u64>,
    /// The parts that were verified, for as long as their files are as they were.
    verified: Known<[u8; 32], ()>,
    /// Whether it was said that the directory cannot be written to.
    is_refusing: AtomicBool,
    /// Parts that were removed: damaged ones, and those that made room.
    damaged: AtomicU64,
    evicted: AtomicU64,
}

/// A file in the directory.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    used: SystemTime,
    path: PathBuf,
    bytes: u64,
}

impl Disk {
    /// The directory as it is, if it is there: it is made with the first part that is kept, and looked through before that.
    pub(super) fn new(directory: &Path, most_bytes: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            most_bytes,
            room: Mutex::new(0),
            verified: Known::new(KNOWN_PARTS),
            is_refusing: AtomicBool::new(false),
            damaged: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    /// How many damaged parts were found, and how many have made room for others.
    pub(super) fn removed(&self) -> (u64, u64) {
        (self.damaged.load(Ordering::Relaxed), self.evicted.load(Ordering::Relaxed))
    }

    /// Whether there is a file of a part, whatever is in it.
    pub(super) fn has(&self, sha256: &[u8; 32]) -> bool {
        self.path(sha256).exists()
    }

    /// A part, if the directory has it. A file that is not what it should be is removed.
    pub(super) fn part(&self, sha256: &[u8; 32], size: usize) -> Option<Part> {
        match self.verified(sha256, size) {
            Ok(part) => Some(part),
            Err(error) => {
                let is_absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
                if !is_absent && !durable::is_shortage(&error) {
                    self.discard(sha256, &error);
                }
                None
            }
        }
    }

    fn verified(&self, sha256: &[u8; 32], size: usize) -> io::Result<Part> {
        let file = File::open(self.path(sha256))?;
        date(&file, &file.metadata()?);
        let metadata = file.metadata()?;
        part::check_size(metadata.len(), size)?;
        let stamp = Stamp::of(&metadata);
        if stamp.is_none_or(|stamp| self.verified.get(sha256, &[stamp]).is_none()) {
            part::verify(&file, sha256)?;
            if let Some(stamp) = stamp {
                self.verified.keep(*sha256, [stamp], 1, &());
            }
        }
        Ok(Part::File(Arc::new(PartOnDisk::new(file, *sha256, stamp))))
    }

    /// Removes the file of a part that cannot be used.
    pub(super) fn discard(&self, sha256: &[u8; 32], error: &io::Error) {
        let path = self.path(sha256);
        warn!(path = %path.display(), error = chain(error), "a part in the cache is damaged: it is removed and fetched again");
        self.damaged.fetch_add(1, Ordering::Relaxed);
        // Where that fails, it is found to be damaged the next time too.
        let _ = std::fs::remove_file(path);
    }

    /// Keeps a part that was verified, on the disk if that takes it.
    pub(super) fn keep(&self, sha256: &[u8; 32], bytes: Vec<u8>) -> Part {
        if bytes.len() as u64 > self.most_bytes {
            return Part::Memory(Bytes::from(bytes));
        }
        match self.write(sha256, &bytes) {
            Ok(part) => {
                if self.is_refusing.swap(false, Ordering::Relaxed) {
                    info!(directory = %self.directory.display(), "the cache can be written to again");
                }
                part
            }
            Err(error) => {
                if !durable::is_shortage(&error) {
                    self.refused(&error);
                }
                Part::Memory(Bytes::from(bytes))
            }
        }
    }

    fn write(&self, sha256: &[u8; 32], bytes: &[u8]) -> io::Result<Part> {
        self.make_room(bytes.len() as u64)?;
        let path = self.path(sha256);
        let mut file = match DurableFile::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                durable::create_directory(path.parent().unwrap_or(&self.directory))?;
                DurableFile::create(&path)?
            }
            created => created?,
        };
        file.write_all(bytes)?;
        let file = file.commit_unsynced()?;
        let stamp = Stamp::of(&file.metadata()?);
        Ok(Part::File(Arc::new(PartOnDisk::new(file, *sha256, stamp))))
    }

    /// Says that the directory cannot be written to, once until it can be again.
    fn refused(&self, error: &io::Error) {
        if self.is_refusing.swap(true, Ordering::Relaxed) {
            return;
        }
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free space on its disk, or let the cache hold less"
            }
            io::ErrorKind::ReadOnlyFilesystem => "mount its disk for writing, or name another directory",
            _ => "give this user write access to the directory, or name another one",
        };
        warn!(
            directory = %self.directory.display(), error = chain(error), hint,
            "the cache cannot be written to: what it lacks is fetched each time it is read"
        );
    }

    fn path(&self, sha256: &[u8; 32]) -> PathBuf {
        let name = hex::encode(sha256);
        self.directory.join(&name[..2]).join(name)
    }

    /// Makes room for so many bytes.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if *room < bytes {
            *room = self.look_through(bytes)?;
        }
        let left = room.checked_sub(bytes);
        *room = left.ok_or_else(|| io::Error::other("what was not used for longest cannot be removed"))?;
        Ok(())
    }

    /// Looks through the directory. If so many bytes do not fit into it, removes what was not used for longest. Gives how many may be
    /// written until the next time.
    fn look_through(&self, bytes: u64) -> io::Result<u64> {
        let mut kept = self.kept()?;
        let mut total: u64 = kept.iter().map(|kept| kept.bytes).sum();
        let wanted = bytes.max(self.most_bytes / LOOKS);
        if total.saturating_add(bytes) > self.most_bytes {
            kept.sort_unstable();
            for kept in kept {
                if total.saturating_add(wanted) <= self.most_bytes {
                    break;
                }
                match std::fs::remove_file(&kept.path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => continue,
                    Err(_) => {}
                    Ok(()) => _ = self.evicted.fetch_add(1, Ordering::Relaxed),
                }
                total -= kept.bytes;
            }
        }
        Ok(self.most_bytes.saturating_sub(total).min(wanted))
    }

    /// The parts in the directory, and what is being written. What a killed process has left is removed; what is not ours stays and does not
    /// count.
    fn kept(&self) -> io::Result<Vec<Kept>> {
        let Some(directory) = if_there(Folder::open(&self.directory))? else { return Ok(Vec::new()) };
        let mut kept = Vec::new();
        for folder in directory.entries()? {
            let (EntryKind::Folder, Some(prefix)) = (folder.kind, folder.name.to_str()) else { continue };
            if hex::decode::<1>(prefix).is_none() {
                continue;
            }
            let Some(entered) = if_there(directory.enter(&folder.name))? else { continue };
            for file in entered.entries()? {
                let (EntryKind::File, Some(name)) = (file.kind, file.name.to_str()) else { continue };
                if name.starts_with(TEMPORARY_PREFIX) {
                    if file.modified.elapsed().is_ok_and(|age| age > LEFT_AFTER) {
                        // Where it stays, it counts no more.
                        let _ = entered.remove_file(name);
                        continue;
                    }
                } else if !name.starts_with(prefix) || hex::decode::<32>(name).is_none() {
                    continue;
                }
                kept.push(Kept { used: file.modified, path: entered.path().join(name), bytes: file.bytes });
            }
        }
        Ok(kept)
    }
}

/// Notes that a part was used, unless that was noted not long ago. Whoever sees the new stamp compares it once more.
fn date(file: &File, metadata: &Metadata) {
    let now = SystemTime::now();
    let is_dated = |used: SystemTime| now.duration_since(used).is_ok_and(|age| age < DATED_FOR);
    if !metadata.modified().is_ok_and(is_dated) {
        // On a disk that is read-only it is removed as if it had not been used.
        let _ = file.set_modified(now);
    }
}

/// `None` for what is not there.
fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
