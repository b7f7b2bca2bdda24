//! Reads chains: whole, as they stand at one moment, while others write.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Take},
    path::{Path, PathBuf},
};

use super::{
    chain,
    error::AuditError,
    head::{Found, Head},
    line::{Decision, Line},
    places::{Held, days, file_of},
};
use crate::time::Timestamp;

/// A longer line is none of ours.
const LONGEST_LINE: u64 = 1 << 20;

/// A chain at one moment: whatever is written after that is not in it.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) name: String,
    pub(super) directory: PathBuf,
    pub(super) head: Found,
    /// The days, and how long their files are.
    pub(super) files: Vec<(String, u64)>,
}

/// A line as it stands in its file.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) day: String,
    /// Counted from 1.
    pub(super) number: u64,
    /// Without the line feed.
    pub(super) text: Vec<u8>,
    /// Whether a line feed follows.
    pub(super) is_whole: bool,
}

/// The names of the chains in a directory, sorted.
pub(super) fn chains(directory: &Path) -> Result<Vec<String>, AuditError> {
    let failed = |error: io::Error| AuditError::file(directory, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // What a file system keeps in its root is none.
        let name = entry.file_name().into_string().ok().filter(|name| name.contains('@'));
        names.extend(name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())));
    }
    names.sort();
    Ok(names)
}

impl Snapshot {
    /// Takes one of a chain.
    pub(super) fn take(directory: &Path, name: &str) -> Result<Self, AuditError> {
        let directory = directory.join(name);
        let taken = || {
            // A copy of a log may have no lock, and needs none.
            let lock = File::open(directory.join("lock")).ok();
            let _held = lock.as_ref().map(Held::acquire).transpose()?;
            let head = Head::read(&directory)?;
            let length = |day: String| Ok((fs::metadata(file_of(&directory, &day))?.len(), day));
            let files: io::Result<Vec<_>> = days(&directory)?.into_iter().map(length).collect();
            Ok((head, files?.into_iter().map(|(length, day)| (day, length)).collect()))
        };
        let (head, files) = taken().map_err(|error| AuditError::file(&directory, &error))?;
        Ok(Self { name: name.to_owned(), directory, head, files })
    }

    /// Its lines, from the first day on.
    pub(super) fn lines(&self) -> RawLines<'_> {
        RawLines { directory: &self.directory, left: self.files.iter().collect(), open: None }
    }
}

/// The lines of some files, one after the other.
#[derive(Debug)]
pub(super) struct RawLines<'s> {
    directory: &'s Path,
    left: VecDeque<&'s (String, u64)>,
    open: Option<(String, u64, BufReader<Take<File>>)>,
}

impl RawLines<'_> {
    fn read(&mut self) -> Result<Option<Raw>, AuditError> {
        loop {
            if let Some((day, number, reader)) = &mut self.open {
                let mut text = Vec::new();
                let failed = |error: io::Error| AuditError::file(&file_of(self.directory, day), &error);
                reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text).map_err(failed)?;
                if !text.is_empty() {
                    *number += 1;
                    let is_whole = text.pop_if(|last| *last == b'\n').is_some();
                    return Ok(Some(Raw { day: day.clone(), number: *number, text, is_whole }));
                }
            }
            let Some((day, length)) = self.left.pop_front() else { return Ok(None) };
            let path = file_of(self.directory, day);
            let file = File::open(&path).map_err(|error| AuditError::file(&path, &error))?;
            self.open = Some((day.clone(), 0, BufReader::new(file.take(*length))));
        }
    }
}

impl Iterator for RawLines<'_> {
    type Item = Result<Raw, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// What is looked for. What is `None` may be anything.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Search {
    /// The name of who did it.
    pub who: Option<String>,
    /// The tool, command or event.
    pub what: Option<String>,
    /// The task.
    pub task_id: Option<String>,
    /// The request.
    pub trace_id: Option<String>,
    /// Whether it was let happen.
    pub decision: Option<Decision>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// A line that was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FoundLine {
    /// Its chain.
    pub chain: String,
    /// As it stands in the file.
    pub text: String,
    /// What it says.
    pub line: Line,
}

impl Search {
    fn matches(&self, line: &Line) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| found == Some(wanted.as_str()))
        };
        let event = &line.event;
        same(&self.who, event.who.name.as_deref())
            && same(&self.what, Some(&event.what))
            && same(&self.task_id, event.task_id.as_deref())
            && same(&self.trace_id, event.trace_id.as_deref())
            && self.decision.is_none_or(|decision| decision == event.decision)
            && self.since.is_none_or(|since| line.time >= since)
            && self.until.is_none_or(|until| line.time < until)
    }
}

/// How far a log was read.
#[derive(Debug, Clone, Default)]
pub struct Progress(Vec<(String, u64)>);

/// Finds lines in all chains below a directory, in the order of their times, and hands them to `take`. Nothing is verified;
/// returns how many lines cannot be read. With what an earlier call has left in `progress`, only later lines are read.
///
/// # Errors
/// [`AuditError`] when the directory or a file cannot be read.
pub fn search(
    directory: &Path,
    search: &Search,
    progress: &mut Progress,
    mut take: impl FnMut(FoundLine),
) -> Result<u64, AuditError> {
    let snapshots: Result<Vec<_>, _> = chains(directory)?.iter().map(|name| Snapshot::take(directory, name)).collect();
    let snapshots = snapshots?;
    let mut unreadable = 0;
    let mut sources = Vec::new();
    for snapshot in &snapshots {
        let read = progress.0.iter().position(|(chain, _)| *chain == snapshot.name);
        let after = read.map_or(0, |at| progress.0.swap_remove(at).1);
        let mut source = Source { snapshot, lines: snapshot.lines(), after, last: after };
        let next = source.next(search, &mut unreadable)?;
        sources.push((source, next));
    }
    loop {
        let time = |next: &Option<FoundLine>| next.as_ref().map(|found| found.line.time);
        let waiting = sources.iter_mut().filter(|(_, next)| next.is_some());
        let Some((source, next)) = waiting.min_by_key(|(_, next)| time(next)) else { break };
        let following = source.next(search, &mut unreadable)?;
        if let Some(found) = std::mem::replace(next, following) {
            take(found);
        }
    }
    progress.0 = sources.into_iter().map(|(source, _)| (source.snapshot.name.clone(), source.last)).collect();
    Ok(unreadable)
}

/// The lines of one chain that match.
struct Source<'s> {
    snapshot: &'s Snapshot,
    lines: RawLines<'s>,
    /// Later lines only.
    after: u64,
    last: u64,
}

impl Source<'_> {
    fn next(&mut self, search: &Search, unreadable: &mut u64) -> Result<Option<FoundLine>, AuditError> {
        for raw in self.lines.by_ref() {
            let raw = raw?;
            let Some(sealed) = chain::open(&raw.text) else {
                *unreadable += u64::from(raw.is_whole);
                continue;
            };
            if sealed.line.seq <= self.after {
                continue;
            }
            self.last = self.last.max(sealed.line.seq);
            if search.matches(&sealed.line) {
                let text = String::from_utf8_lossy(&raw.text).into_owned();
                return Ok(Some(FoundLine { chain: self.snapshot.name.clone(), text, line: sealed.line }));
            }
        }
        Ok(None)
    }
}
