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
        let file = options.open(path)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process does not let go of it"));
                }
            }
        }
    }
}
