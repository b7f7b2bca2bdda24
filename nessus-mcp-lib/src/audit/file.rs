//! The writer of a chain, beside others of the same machine: each holds the lock while it appends.
//!
//! A line is appended by one write. Then the file is synced, and then the head is replaced: the head is never ahead of what is on
//! the disk. Whoever is killed leaves at most a piece of a line at the end. The next writer ends it, and says so in a line that
//! has the piece's length and hash; what else it finds wrong it says in a line, too, before it goes on.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::error;
use uuid::Uuid;

use super::{
    chain::{self, ChainKey, Hash, NO_KEY, Proof},
    error::AuditError,
    head::{Found, Head},
    line::{Decision, Event, HalfLine, Kind, Line, Who},
    places::{Held, days, ending, file_of, open_private},
};
use crate::{durable, time::Clock};

const LOCK: &str = "lock";

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) asked: Option<u64>,
    pub(super) event: Event,
}

/// A line that was written, and its file.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) file: Arc<File>,
    day: String,
    pub(super) seq: u64,
    hash: Hash,
}

/// The end of the chain as this writer knows it.
#[derive(Debug)]
struct End {
    seq: u64,
    hash: Hash,
    key: Option<String>,
    /// The day of the last line.
    day: Option<String>,
    open: Option<OpenDay>,
}

/// The file that is written to.
#[derive(Debug)]
struct OpenDay {
    day: String,
    file: Arc<File>,
    length: u64,
}

/// A writer of a chain.
#[derive(Debug)]
pub(super) struct ChainFile {
    directory: PathBuf,
    key: Option<ChainKey>,
    clock: Arc<dyn Clock>,
    lock: Arc<File>,
    /// Stands in the lock's file while nobody else has appended.
    name: [u8; 16],
    end: Option<End>,
}

impl ChainFile {
    /// The chain in a directory, which is made if it is not there.
    pub(super) fn open(directory: &Path, key: Option<ChainKey>, clock: Arc<dyn Clock>) -> Result<Self, AuditError> {
        let failed = |error: &io::Error| AuditError::file(directory, error);
        durable::create_directory(directory).map_err(|error| failed(&error))?;
        let lock = open_private(&directory.join(LOCK), false).map_err(|error| failed(&error))?;
        let name = *Uuid::new_v4().as_bytes();
        let mut chain = Self { directory: directory.to_owned(), key, clock, lock: Arc::new(lock), name, end: None };
        let lock = Arc::clone(&chain.lock);
        let _held = Held::acquire(&lock).map_err(|error| failed(&error))?;
        if days(directory).map_err(|error| failed(&error))?.is_empty()
            && Head::read(directory).map_err(|error| failed(&error))? == Found::Missing
        {
            // From the first line on, a head that is missing was removed.
            let head = Head::new(0, &chain.clock.now().utc_day(), Hash::default(), chain.key.as_ref());
            head.write(directory).map_err(|error| failed(&error))?;
        }
        chain.find_end()?;
        Ok(chain)
    }

    /// Appends lines; returns where the last one stands, and the number of the first one.
    ///
    /// # Errors
    /// Then none of them is in the file.
    pub(super) fn append(&mut self, drafts: Vec<Draft>) -> Result<(Position, u64), AuditError> {
        let lock = Arc::clone(&self.lock);
        let _held = Held::acquire(&lock).map_err(|error| self.failed(&error))?;
        if !self.is_alone().map_err(|error| self.failed(&error))? {
            self.find_end()?;
        }
        let day = self.day();
        self.write_on(&day, drafts, None)
    }

    /// Syncs what was appended up to there.
    pub(super) fn sync(position: &Position) -> io::Result<()> {
        position.file.sync_data()
    }

    /// The head of the chain at a line.
    pub(super) fn head(position: &Position, key: Option<&ChainKey>) -> Head {
        Head::new(position.seq, &position.day, position.hash, key)
    }

    fn failed(&self, error: &io::Error) -> AuditError {
        AuditError::file(&self.directory, error)
    }

    /// Whether nobody else has appended since.
    fn is_alone(&self) -> io::Result<bool> {
        let Some(End { open: Some(open), .. }) = &self.end else { return Ok(false) };
        let mut last = [0; 16];
        let read = self.lock.read_at(&mut last, 0)?;
        Ok(read == last.len() && last == self.name && open.file.metadata()?.len() == open.length)
    }

    /// Finds the end of the chain, and leaves it fit for further lines.
    fn find_end(&mut self) -> Result<(), AuditError> {
        self.end = None;
        self.lock.write_all_at(&self.name, 0).map_err(|error| self.failed(&error))?;
        let found = self.look().map_err(|error| self.failed(&error))?;
        if let (Some(key), None) = (found.end.key.as_ref().filter(|key| *key != NO_KEY), &self.key) {
            let chain = self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(AuditError::KeyMissing { chain, key: key.clone() });
        }
        let is_new = found.end.seq == 0;
        let own = self.key.as_ref().map_or(NO_KEY, ChainKey::id).to_owned();
        let before = found.end.key.clone().unwrap_or_else(|| own.clone());
        let last = found.end.open.as_ref().map(|open| open.day.clone());
        self.end = Some(found.end);
        let mut said: Vec<_> = found.wrong.into_iter().map(|(what, words)| of_chain(what, words)).collect();
        for draft in &said {
            error!(chain = %self.directory.display(), what = draft.event.outcome, "the audit log was changed by somebody else");
        }
        if found.half_line.is_some() && said.is_empty() {
            said.push(of_chain("half_line", "a process was killed while it wrote the line before".to_owned()));
        }
        if !is_new && before != own {
            said.push(of_chain("key_changed", format!("the key before was {before}")));
        }
        if said.is_empty() {
            return Ok(());
        }
        let half_line =
            found.half_line.map(|piece| HalfLine { bytes: piece.len() as u64, sha256: Hash::of(&piece).to_string() });
        let day = last.filter(|_| half_line.is_some()).unwrap_or_else(|| self.day());
        let (position, _) = self.write_on(&day, said, half_line)?;
        // Whose key the head has is told by the last line.
        let headed =
            Self::sync(&position).and_then(|()| Self::head(&position, self.key.as_ref()).write(&self.directory));
        headed.map_err(|error| self.failed(&error))
    }

    fn look(&self) -> io::Result<Look> {
        let keys: Vec<_> = self.key.iter().cloned().collect();
        let mut end = End { seq: 0, hash: Hash::default(), key: None, day: None, open: None };
        let (mut half_line, mut wrong) = (None, Vec::new());
        let mut changes_key = false;
        for (at, day) in days(&self.directory)?.into_iter().rev().enumerate() {
            let mut file = open_private(&file_of(&self.directory, &day), true)?;
            let mut found = ending(&mut file)?;
            if at == 0 && chain::open(&found.half_line).is_some() {
                // Only its line feed is missing.
                (&file).write_all(b"\n")?;
                found = ending(&mut file)?;
            }
            if at == 0 {
                half_line = Some(found.half_line).filter(|piece| !piece.is_empty());
                end.open = Some(OpenDay { day: day.clone(), file: Arc::new(file), length: found.length });
            }
            let Some(text) = found.line else { continue };
            end.day = Some(day);
            match chain::open(&text) {
                Some(last) => {
                    changes_key = last.line.kind == Kind::Chain;
                    (end.seq, end.hash, end.key) = (last.line.seq, last.hash, Some(last.line.key));
                }
                None => wrong.push(("altered", "the line before is not one that was written here".to_owned())),
            }
            break;
        }
        match Head::read(&self.directory)? {
            Found::Missing => wrong.push(("head_missing", "the head was removed".to_owned())),
            Found::Damaged => wrong.push(("head_forged", "the head was damaged".to_owned())),
            Found::Head(head)
                if head.proof(&keys) == Proof::Forged
                    || head.seq > 0 && end.key.as_ref().is_some_and(|key| *key != head.key) && !changes_key =>
            {
                wrong.push(("head_forged", format!("the head at line {} was forged", head.seq)));
            }
            Found::Head(head) => {
                if head.seq > end.seq {
                    let words =
                        format!("the head was at line {} of {}, and the last line is {}", head.seq, head.day, end.seq);
                    wrong.push(("cut_off", words));
                    (end.seq, end.hash) = (head.seq, head.hash().unwrap_or_default());
                }
                end.key.get_or_insert(head.key);
            }
        }
        Ok(Look { end, half_line, wrong })
    }

    /// The day of the next line. A clock that was set back does not reopen one.
    fn day(&self) -> String {
        let today = self.clock.now().utc_day();
        let last = self.end.as_ref().and_then(|end| Some(end.open.as_ref()?.day.clone()));
        last.map_or(today.clone(), |last| last.max(today))
    }

    fn write_on(
        &mut self,
        day: &str,
        drafts: Vec<Draft>,
        mut half_line: Option<HalfLine>,
    ) -> Result<(Position, u64), AuditError> {
        // Unless all goes well, the end is looked for again.
        let Some(mut end) = self.end.take() else { return Err(self.failed(&io::Error::other("the end is not known"))) };
        let mut open = self.file_of_day(day, end.open.take()).map_err(|error| self.failed(&error))?;
        let first = end.seq + 1;
        let mut text = String::from(if half_line.is_some() { "\n" } else { "" });
        let key = self.key.as_ref().map_or(NO_KEY, ChainKey::id).to_owned();
        for Draft { kind, asked, event } in drafts {
            let line = Line {
                seq: end.seq + 1,
                time: self.clock.now(),
                kind,
                event: event.bounded(),
                asked,
                follows: end.day.take().filter(|before| before != day),
                half_line: half_line.take(),
                key: key.clone(),
                previous: end.hash.to_string(),
            };
            let sealed = chain::seal(&line, self.key.as_ref()).map_err(|error| self.failed(&error.into()))?;
            text.push_str(&sealed.0);
            (end.seq, end.hash, end.day) = (line.seq, sealed.1, Some(day.to_owned()));
        }
        if let Err(error) = (&*open.file).write_all(text.as_bytes()) {
            // On a full disk a part may have been written. What cannot be taken back is ended by the next writer.
            let _ = open.file.set_len(open.length);
            return Err(self.failed(&error));
        }
        open.length += text.len() as u64;
        let position = Position { file: Arc::clone(&open.file), day: day.to_owned(), seq: end.seq, hash: end.hash };
        end.key = Some(key);
        end.open = Some(open);
        self.end = Some(end);
        Ok((position, first))
    }

    /// The file of a day; what stands in that of the day before is synced first.
    fn file_of_day(&self, day: &str, open: Option<OpenDay>) -> io::Result<OpenDay> {
        match open {
            Some(open) if open.day == day => Ok(open),
            before => {
                before.map_or(Ok(()), |before| before.file.sync_data())?;
                let file = open_private(&file_of(&self.directory, day), true)?;
                durable::sync_directory(&self.directory)?;
                Ok(OpenDay { day: day.to_owned(), length: file.metadata()?.len(), file: Arc::new(file) })
            }
        }
    }
}

/// What a writer finds.
#[derive(Debug)]
struct Look {
    end: End,
    half_line: Option<Vec<u8>>,
    /// Codes and words.
    wrong: Vec<(&'static str, String)>,
}

fn of_chain(what: &'static str, words: String) -> Draft {
    let decision = if matches!(what, "half_line" | "key_changed") { Decision::Allowed } else { Decision::Refused };
    let event = Event::new("chain", Who::process()).decided(decision, words).with_outcome(what);
    Draft { kind: Kind::Chain, asked: None, event }
}
