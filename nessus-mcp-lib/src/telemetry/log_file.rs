//! A file of log lines that begins anew when it is large.
//!
//! It never fails, so it ends no process: what cannot be written is left out and counted, and the file is tried again some seconds later.
//! Several processes may write one file, and others may move it away: whoever finds that the name leads elsewhere opens it again.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::durable;

/// How large a file becomes, and how many earlier ones are kept beside it.
pub(super) const LIMITS: Limits = Limits { bytes: 16 << 20, kept: 4 };
/// How long a file that cannot be written is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How much log files may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The size of one.
    pub(super) bytes: u64,
    /// How many earlier ones are kept.
    pub(super) kept: usize,
}

/// The file. All clones are the same.
#[derive(Debug, Clone)]
pub(super) struct LogFile(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    path: PathBuf,
    limits: Limits,
    file: Option<File>,
    /// Whether the last write left a piece of a line.
    is_torn: bool,
    /// How many lines are missing.
    missing: u64,
    failed_at: Option<Instant>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, limits: Limits) -> Self {
        let state = State { path, limits, file: None, is_torn: false, missing: 0, failed_at: None };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Write for LogFile {
    /// Takes whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn append(&mut self, lines: &[u8]) {
        let is_too_soon = self.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER);
        let written = if is_too_soon { None } else { Some(self.try_append(lines)) };
        let count = lines.split(|byte| *byte == b'\n').count().saturating_sub(1) as u64;
        match written {
            Some(Ok(())) => {
                self.failed_at = None;
                if self.missing > 0 {
                    let (file, missing) = (self.path.display(), self.missing);
                    tracing::warn!(%file, missing, "the log file is written again; some lines are missing there");
                    self.missing = 0;
                }
            }
            Some(Err(error)) => {
                self.file = None;
                if self.failed_at.replace(Instant::now()).is_none() {
                    tracing::warn!(file = %self.path.display(), %error, "the log file cannot be written for now");
                }
                self.missing += count;
            }
            None => self.missing += count,
        }
    }

    fn try_append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let seen = file.metadata()?;
        if seen.is_file() {
            if !self.has_the_name(&seen) {
                file = self.open()?;
            } else if seen.len() > 0 && seen.len().saturating_add(lines.len() as u64) > self.limits.bytes {
                file = self.begin_anew(file)?;
            }
        }
        if self.is_torn {
            file.write_all(b"\n")?;
        }
        self.is_torn = true;
        file.write_all(lines)?;
        self.is_torn = false;
        self.file = Some(file);
        Ok(())
    }

    /// A pipe that nobody reads, or a device, must not hold this up.
    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o640).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        }
        options.open(&self.path)
    }

    /// Whether this file is the one that has the name.
    fn has_the_name(&self, seen: &Metadata) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let named = std::fs::metadata(&self.path);
            named.is_ok_and(|named| (named.dev(), named.ino()) == (seen.dev(), seen.ino()))
        }
        #[cfg(not(unix))]
        {
            let _ = seen;
            self.path.exists()
        }
    }

    /// Moves a full file out of the way, unless another process is just doing so.
    fn begin_anew(&self, file: File) -> io::Result<File> {
        if file.try_lock().is_err() || !self.has_the_name(&file.metadata()?) {
            return Ok(file);
        }
        durable::shift(&self.path, self.limits.kept)?;
        self.open()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SMALL: Limits = Limits { bytes: 1000, kept: 2 };

    fn names(directory: &std::path::Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Two processes write one file, which is as two handles.
    #[test]
    fn size_and_number_are_bounded_and_the_newest_lines_are_there_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writers = [LogFile::new(path.clone(), SMALL), LogFile::new(path.clone(), SMALL)];
        for number in 0..1000 {
            writers[number % 2].write_all(format!("line {number:04}\n").as_bytes()).unwrap();
        }
        assert_eq!(names(directory.path()), ["log", "log.1", "log.2"]);
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        let all = read("log.2") + &read("log.1") + &read("log");
        assert!(all.len() <= 3 * 1000);
        let lines: Vec<_> = all.lines().collect();
        let first: usize = lines[0].strip_prefix("line ").unwrap().parse().unwrap();
        assert!(lines.iter().zip(first..1000).all(|(line, number)| *line == format!("line {number:04}")), "{all}");
        assert_eq!(lines.len(), 1000 - first);
    }

    #[test]
    fn a_file_that_is_moved_away_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut file = LogFile::new(path.clone(), SMALL);
        file.write_all(b"one\n").unwrap();
        durable::shift(&path, 1).unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read(directory.path().join("log.1")).unwrap()),
            (b"two\n".to_vec(), b"one\n".to_vec())
        );
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_nothing_fails() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing").join("log");
        let mut file = LogFile::new(path.clone(), SMALL);
        file.write_all(b"one\ntwo\n").unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(file.0.lock().unwrap().missing, 3);
        durable::create_directory(path.parent().unwrap()).unwrap();
        file.0.lock().unwrap().failed_at = None;
        file.write_all(b"four\n").unwrap();
        assert_eq!((file.0.lock().unwrap().missing, fs::read(&path).unwrap()), (0, b"four\n".to_vec()));
        // A device takes what it takes, and is not moved.
        for device in ["/dev/full", "/dev/null"] {
            LogFile::new(device.into(), SMALL).write_all(&[b'\n'; 5000]).unwrap();
        }
    }
}
