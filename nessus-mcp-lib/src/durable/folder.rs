//! A directory that is held open, for those who remove: nothing that they do in it follows a symbolic link or gets out of it.

use std::{
    ffi::{CString, OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags};

/// What an entry of a directory is, without following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// A symbolic link, wherever it leads.
    Link,
    /// A socket, a device or the like.
    Other,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderEntry {
    pub(crate) name: OsString,
    pub(crate) kind: EntryKind,
    /// When its content was last written.
    pub(crate) modified: SystemTime,
    /// The size of a file.
    pub(crate) bytes: u64,
}

impl FolderEntry {
    /// Its name, for people.
    pub(crate) fn shown(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a directory by its path, which an operator has named: links on the way to it are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let handle = fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    /// Also when it is no directory but a link to one.
    pub(crate) fn enter(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = fs::openat(&self.handle, plain(name)?, flags, Mode::empty())?;
        Ok(Self { handle, path: self.path.join(name) })
    }

    /// Where it was when it was opened, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What lies in it, in the order of the names. What vanishes meanwhile is left out.
    pub(crate) fn entries(&self) -> io::Result<Vec<FolderEntry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(rustix::io::Errno::NOENT) => continue,
                stat => stat?,
            };
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Folder,
                FileType::Symlink => EntryKind::Link,
                _ => EntryKind::Other,
            };
            let (modified, bytes) = (since_1970(stat.st_mtime), u64::try_from(stat.st_size).unwrap_or(0));
            entries.push(FolderEntry { name: OsStr::from_bytes(name.to_bytes()).to_owned(), kind, modified, bytes });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Reads a regular file of at most so many bytes.
    pub(crate) fn read(&self, name: impl AsRef<OsStr>, most: u64) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(fs::openat(&self.handle, plain(name.as_ref())?, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut bytes = Vec::new();
        if file.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
        }
        Ok(bytes)
    }

    /// Removes a file, or a link itself; whether it was there.
    pub(crate) fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        self.unlink(name.as_ref(), AtFlags::empty())
    }

    /// Removes an empty directory; whether it was there.
    pub(crate) fn remove_folder(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        self.unlink(name.as_ref(), AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &OsStr, flags: AtFlags) -> io::Result<bool> {
        match fs::unlinkat(&self.handle, plain(name)?, flags) {
            Err(rustix::io::Errno::NOENT) => Ok(false),
            removed => Ok(removed.map(|()| true)?),
        }
    }

    /// Gives an entry another name in this directory, durably; never over something that is there, but for an empty directory.
    pub(crate) fn rename_folder(&self, name: impl AsRef<OsStr>, new: impl AsRef<OsStr>) -> io::Result<()> {
        fs::renameat(&self.handle, plain(name.as_ref())?, &self.handle, plain(new.as_ref())?)?;
        self.sync()
    }

    /// When something was last put into it or taken out of it.
    pub(crate) fn modified(&self) -> io::Result<SystemTime> {
        Ok(since_1970(fs::fstat(&self.handle)?.st_mtime))
    }

    /// Makes the names in it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.handle)?)
    }
}

fn since_1970(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A name that stays in its directory.
fn plain(name: &OsStr) -> io::Result<CString> {
    let is_plain = !name.is_empty() && name != "." && name != ".." && !name.as_bytes().contains(&b'/');
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "this is no plain name");
    if is_plain { CString::new(name.as_bytes()).map_err(|_| refused()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_follows_a_link_or_gets_out() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("inside"), directory.path().join("outside"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::create_dir(&outside).unwrap();
        File::create(outside.join("precious")).unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        symlink(outside.join("precious"), inside.join("file")).unwrap();
        File::create(inside.join("own")).unwrap();

        let folder = Folder::open(&inside).unwrap();
        let kinds: Vec<_> = folder.entries().unwrap().into_iter().map(|entry| (entry.shown(), entry.kind)).collect();
        let expected = [("file", EntryKind::Link), ("link", EntryKind::Link), ("own", EntryKind::File)];
        assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
        folder.enter("link").unwrap_err();
        folder.read("file", 10).unwrap_err();
        for name in ["..", ".", "", "../outside/precious", "link/precious"] {
            for refused in
                [folder.enter(name).map(drop), folder.remove_file(name).map(drop), folder.rename_folder("own", name)]
            {
                assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
            }
        }
        assert!(folder.remove_file("file").unwrap() && folder.remove_file("link").unwrap());
        assert!(!folder.remove_file("file").unwrap());
        assert!(outside.join("precious").exists());
    }
}
