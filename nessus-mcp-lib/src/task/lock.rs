//! The lock of one task, held across processes while its file is read, changed and written.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// Held until dropped; the kernel releases it when the process dies.
#[derive(Debug)]
pub(super) struct TaskLock {
    _file: File,
}

impl TaskLock {
    /// Waits for the lock. It is never held for longer than one read and one write of a small file.
    pub(super) fn acquire(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        file.lock()?;
        Ok(Self { _file: file })
    }
}
