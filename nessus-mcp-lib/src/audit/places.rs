//! Where a chain lies, and the locks that its writers hold.
//!
//! ```text
//! audit/server@host/2026-11-28.jsonl   the lines of a day (UTC)
//!                   head.json          the last line that is on the disk for sure
//!                   lock, head.lock    who writes
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{config::host_name, time::Timestamp};

/// How long a lock is waited for. It is held while some lines are written, so a longer wait means that its holder was stopped.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(1);
/// What the name of the file of a day ends with.
const ENDING: &str = ".jsonl";
/// How much is read from the end of a file at first: more than a line is long.
const TAIL_BYTES: u64 = 1 << 16;

/// The name of the chain of a role on this machine, which is that of a directory.
pub(super) fn chain_name(role: &str) -> String {
    format!("{role}@{}", host_name())
}

/// The file of a day.
pub(super) fn file_of(directory: &Path, day: &str) -> PathBuf {
    directory.join(format!("{day}{ENDING}"))
}

/// The days that there are files of, the first one first.
pub(super) fn days(directory: &Path) -> io::Result<Vec<String>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let day = name.to_str().and_then(|name| name.strip_suffix(ENDING));
        days.extend(day.filter(|day| Timestamp::begin_of_utc_day(day).is_ok()).map(str::to_owned));
    }
    days.sort();
    Ok(days)
}

/// Opens a file for its owner alone; makes it if it is not there.
pub(super) fn open_private(path: &Path, append: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).create(true).append(append).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Held until dropped; the kernel releases it when the process dies.
#[derive(Debug)]
pub(super) struct Held<'f>(&'f File);

impl<'f> Held<'f> {
    /// Waits for the lock, but not for ever.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when its holder does not let go.
    pub(super) fn acquire(file: &'f File) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process does not let go of its lock"));
                }
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// The end of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ending {
    /// Its last line, without the line feed; `None` when no line has one.
    pub(super) line: Option<Vec<u8>>,
    /// What follows the last line feed.
    pub(super) half_line: Vec<u8>,
    /// How long the file is.
    pub(super) length: u64,
}

/// Reads the end of a file.
pub(super) fn ending(file: &mut File) -> io::Result<Ending> {
    let length = file.metadata()?.len();
    let mut bytes = TAIL_BYTES;
    loop {
        let from = length.saturating_sub(bytes);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.by_ref().take(length - from).read_to_end(&mut tail)?;
        let end = tail.iter().rposition(|byte| *byte == b'\n');
        let begin = end.and_then(|end| tail[..end].iter().rposition(|byte| *byte == b'\n'));
        if from > 0 && begin.is_none() {
            bytes *= 4;
            continue;
        }
        let half_line = tail[end.map_or(0, |end| end + 1)..].to_vec();
        let line = end.map(|end| tail[begin.map_or(0, |begin| begin + 1)..end].to_vec());
        return Ok(Ending { line, half_line, length });
    }
}
