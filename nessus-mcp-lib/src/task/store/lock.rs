//! The lock of one task, held across processes while its file is read, changed and written.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long a lock is waited for. It is held for one read and one write of a small file, so a longer wait means that
/// its holder was stopped; the caller's thread and lease must not wait for that.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// Held until dropped; the kernel releases it when the process dies.
#[derive(Debug)]
pub(in crate::task) struct TaskLock {
    _file: File,
}

impl TaskLock {
    /// When somebody gives up who waits for a lock from now on.
    pub(super) fn deadline() -> Instant {
        Instant::now() + PATIENCE
    }

    /// Waits for the lock until `deadline`.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when its holder does not let go.
    pub(super) fn acquire_until(path: &Path, deadline: Instant) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        loop {
            if let Some(lock) = Self::of(options.open(path)?, deadline)? {
                return Ok(lock);
            }
        }
    }

    /// Waits for the lock of an open file; `None` when the file was removed meanwhile, so that others do not know of the lock.
    fn of(file: File, deadline: Instant) -> io::Result<Option<Self>> {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(is_linked(&file)?.then_some(Self { _file: file })),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process does not let go of it"));
                }
            }
        }
    }
}

/// Whether an open file still has a name.
fn is_linked(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    let names = std::os::unix::fs::MetadataExt::nlink(&file.metadata()?);
    #[cfg(not(unix))]
    let names = file.metadata().map(|_| 1)?;
    Ok(names > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_whose_file_was_removed_while_it_was_waited_for_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("task.lock");
        let deadline = TaskLock::deadline();
        let first = TaskLock::acquire_until(&path, deadline).unwrap();
        let waiting = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        drop(first);
        assert!(TaskLock::of(waiting, deadline).unwrap().is_none());
        let second = TaskLock::acquire_until(&path, deadline).unwrap();
        let refused = TaskLock::acquire_until(&path, Instant::now()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        drop(second);
    }
}
