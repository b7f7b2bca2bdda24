//! Files that are whole or absent, whatever is killed.
//!
//! Every file this library leaves behind is written under a temporary name in the same directory, synced, renamed,
//! and the directory is synced. Nothing else in the workspace calls `rename`.
//! Files are created with mode 0600, directories with 0700.

mod folder;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::{fs::StatVfsMountFlags, io::Errno};
use tempfile::NamedTempFile;

pub(crate) use self::folder::{EntryKind, Folder, FolderEntry};

/// The prefix of temporary names; what a killed process leaves behind begins with it.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

/// A file that takes its final name only with [`DurableFile::commit`], and vanishes when it is dropped before.
#[derive(Debug)]
pub struct DurableFile {
    file: NamedTempFile,
    destination: PathBuf,
}

impl DurableFile {
    /// Opens a temporary file beside `destination`.
    ///
    /// # Errors
    /// When the directory does not exist or cannot be written to.
    pub fn create(destination: &Path) -> io::Result<Self> {
        Self::create_with_prefix(destination, TEMPORARY_PREFIX)
    }

    /// As [`DurableFile::create`], with a temporary name that begins with `prefix`, so that what a killed process
    /// leaves behind can be told from other temporary files and removed by [`remove_leftovers`].
    pub(crate) fn create_with_prefix(destination: &Path, prefix: &str) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(prefix).tempfile_in(parent(destination))?;
        Ok(Self { file, destination: destination.to_owned() })
    }

    /// Another handle on the same open file.
    pub(crate) fn try_clone(&self) -> io::Result<File> {
        self.file.as_file().try_clone()
    }

    /// The temporary path, readable until [`DurableFile::commit`].
    pub(crate) fn temporary_path(&self) -> &Path {
        self.file.path()
    }

    /// Syncs the content without giving it its name yet.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.as_file().sync_all()
    }

    /// Syncs the content, gives it the final name (replacing what is there) and syncs the directory.
    pub fn commit(self) -> io::Result<()> {
        self.sync()?;
        // Opened first: what cannot be made durable for want of a descriptor shall not have happened.
        let directory = File::open(parent(&self.destination))?;
        self.file.persist(&self.destination).map_err(|failed| failed.error)?;
        directory.sync_all()
    }

    /// Gives it the final name without a sync, and gives the open file. After a crash of the machine the file may be gone or hold anything:
    /// whoever reads it has to be able to tell.
    pub(crate) fn commit_unsynced(self) -> io::Result<File> {
        self.file.persist(&self.destination).map_err(|failed| failed.error)
    }

    /// As [`DurableFile::commit`], but never over a file that is there.
    ///
    /// # Errors
    /// With [`io::ErrorKind::AlreadyExists`] when one is; it stays as it is.
    pub fn commit_new(self) -> io::Result<()> {
        self.sync()?;
        let directory = File::open(parent(&self.destination))?;
        self.file.persist_noclobber(&self.destination).map_err(|failed| failed.error)?;
        directory.sync_all()
    }
}

impl Write for DurableFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Replaces the file at `destination` with `content`, atomically and durably.
pub fn replace(destination: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = DurableFile::create(destination)?;
    file.write_all(content)?;
    file.commit()
}

/// As [`replace`], for a file of somebody else's: it keeps its mode and its owner.
pub fn replace_like_before(destination: &Path, content: &[u8]) -> io::Result<()> {
    let before = fs::metadata(destination)?;
    let mut file = DurableFile::create(destination)?;
    file.write_all(content)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let made = file.file.as_file().metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
            fchown(file.file.as_file(), Some(before.uid()), Some(before.gid()))?;
        }
    }
    file.file.as_file().set_permissions(before.permissions())?;
    file.commit()
}

/// Whether this process, or this machine, had nothing left to open a file or a connection with: that says nothing about the
/// file or the peer.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let no_descriptor = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error().is_some_and(|code| no_descriptor.contains(&code))
}

/// Whether the whole disk refuses, rather than the one file: it is full, or mounted read-only.
pub(crate) fn is_disk_refusal(error: &io::Error) -> bool {
    hint(error).is_some()
}

/// What to do about a disk that refuses for a reason that an operator can change.
pub(crate) fn hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free space on the disk of the data directory")
        }
        io::ErrorKind::ReadOnlyFilesystem => Some(
            "the disk of the data directory is mounted read-only: mount it for writing, or name another data directory",
        ),
        _ => None,
    }
}

/// Whether the file system of a file, which need not exist, is mounted read-only.
pub(crate) fn is_read_only(path: &Path) -> bool {
    let there = path.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    rustix::fs::statvfs(there).is_ok_and(|figures| figures.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Removes the files of a directory whose names begin with `prefix`; returns how many.
///
/// Only the one who may write such files in this directory calls it: a file in use would be removed as well.
pub(crate) fn remove_leftovers(directory: &Path, prefix: &str) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Moves a file out of the way of a new one: it becomes `path.1`, what was that becomes `path.2`, and so on, and of these only so many
/// are kept. Nothing is synced: what is moved so are logs.
pub(crate) fn shift(path: &Path, kept: usize) -> io::Result<()> {
    let numbered = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if kept == 0 {
        return fs::remove_file(path);
    }
    for number in (1..kept).rev() {
        rename_if_there(&numbered(number), &numbered(number + 1))?;
    }
    rename_if_there(path, &numbered(1))
}

#[expect(clippy::disallowed_methods, reason = "what is renamed here need not survive a crash of the machine")]
fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// Creates the directory and its parents with mode 0700 and syncs the parent; fine when it is there already.
pub fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    sync_directory(parent(path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("task.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        let write = |text: &[u8]| {
            let mut file = DurableFile::create(&path).unwrap();
            file.write_all(text).unwrap();
            file.commit_new()
        };
        write(b"one").unwrap();
        assert_eq!(write(b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = DurableFile::create(&directory.path().join("x")).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
