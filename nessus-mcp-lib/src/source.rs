//! What results are read from, wherever it lies: a file of this machine, or parts that are fetched when they are asked for.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::Arc,
    time::SystemTime,
};

/// Bytes that can be read at any place by several at once.
pub trait ReadAt: fmt::Debug + Send + Sync {
    /// How many bytes there are.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn size(&self) -> io::Result<u64>;

    /// Reads bytes that stand from `at` on into `bytes`; how many. There may be fewer than asked for, and none only at the end.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize>;

    /// When the content was last changed; `None` where that is not known, or where the bytes are proven in another way.
    fn modified(&self) -> Option<SystemTime> {
        None
    }
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, bytes, at)
    }

    fn modified(&self) -> Option<SystemTime> {
        self.metadata().and_then(|metadata| metadata.modified()).ok()
    }
}

/// Bytes to be read, and a position in them. Cheap to clone; each clone has a position of its own.
///
/// ```
/// use std::{fs::File, io::{Read, Seek}};
/// use nessus_mcp_lib::source::Source;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("export");
/// # std::fs::write(&path, "export")?;
/// let mut source = Source::from(File::open(path)?);
/// let (mut other, mut text) = (source.clone(), String::new());
/// source.read_to_string(&mut text)?;
/// assert_eq!((source.stream_position()?, other.stream_position()?), (source.size()?, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Source {
    bytes: Arc<dyn ReadAt>,
    at: u64,
}

impl Source {
    /// How many bytes there are.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }

    /// When the content was last changed, where that is known.
    pub fn modified(&self) -> Option<SystemTime> {
        self.bytes.modified()
    }
}

impl From<File> for Source {
    fn from(file: File) -> Self {
        Self::from(Arc::new(file) as Arc<dyn ReadAt>)
    }
}

impl From<Arc<dyn ReadAt>> for Source {
    fn from(bytes: Arc<dyn ReadAt>) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Read for Source {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read_at(self.at, bytes)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(from) => self.size()?.checked_add_signed(from),
            SeekFrom::Current(from) => self.at.checked_add_signed(from),
        };
        self.at = at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a place before the first byte"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn it_is_read_as_its_file() {
        let content: Vec<u8> = (0..=u8::MAX).cycle().take(1000).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let mut source = Source::from(file.try_clone().unwrap());
        assert_eq!(source.size().unwrap(), 1000);
        assert_eq!(source.modified(), file.metadata().unwrap().modified().ok());
        for to in [
            SeekFrom::Start(0),
            SeekFrom::End(-10),
            SeekFrom::Current(-500),
            SeekFrom::Start(999),
            SeekFrom::End(5),
            SeekFrom::Start(2000),
            SeekFrom::End(-1001),
            SeekFrom::Current(i64::MIN),
        ] {
            let kind = |sought: io::Result<u64>| sought.map_err(|error| error.kind());
            assert_eq!(kind(source.seek(to)), kind(file.seek(to)), "{to:?}");
            let (mut read, mut expected) = (Vec::new(), Vec::new());
            source.read_to_end(&mut read).unwrap();
            file.read_to_end(&mut expected).unwrap();
            assert_eq!(read, expected, "{to:?}");
        }
    }

    #[test]
    fn clones_have_positions_of_their_own() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abcdef").unwrap();
        let mut one = Source::from(file);
        let mut bytes = [0; 3];
        one.read_exact(&mut bytes).unwrap();
        let mut other = one.clone();
        other.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"def");
        one.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"def", "and not the end, where the other is");
    }
}
