//! Verifies chains: names the first place where one is not as it was written.

use std::{collections::BTreeMap, fmt, path::Path};

use super::{
    chain::{ChainKey, Hash, NO_KEY, Proof, Sealed, open},
    error::AuditError,
    head::{Found, Head},
    line::{Event, Kind},
    read::{Raw, Snapshot, chains},
};
use crate::error::counted;

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// The line is not as it was written.
    Altered,
    /// Lines were taken out before it.
    CutOut {
        /// How many.
        lines: u64,
    },
    /// It stands before lines that were written before it, or a second time.
    Reordered,
    /// It does not continue the line before it.
    Detached,
    /// Lines at the end were taken away.
    CutOff {
        /// The last line that was there.
        head: u64,
    },
    /// Its signature is not that of the key it names.
    Forged,
    /// Nobody can tell whether it was forged: its key is not given.
    UnknownKey {
        /// The id of the key.
        key: String,
    },
    /// It is not signed, and lines before it are.
    Unsigned,
    /// A key is given, and no line is signed.
    NotSigned,
    /// The file of a day is not there.
    MissingDay {
        /// The day.
        day: String,
    },
    /// The chain does not begin with its first line.
    MissingBeginning,
    /// The head is not there, so lines may be missing at the end.
    HeadMissing,
    /// The head is not the one that was written, so lines may be missing at the end.
    HeadForged,
    /// A process has found the log changed, and said so in this line.
    Noticed {
        /// What it has found.
        what: String,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("altered: the line is not as it was written"),
            Self::CutOut { lines } => {
                write!(f, "cut out: {} before it", counted(*lines, "line is missing", "lines are missing"))
            }
            Self::Reordered => f.write_str("reordered: the line stands in another place, or twice"),
            Self::Detached => f.write_str("altered: the line does not continue the one before it"),
            Self::CutOff { head } => write!(f, "cut off at the end: the last line was number {head}"),
            Self::Forged => f.write_str("forged: the signature is not that of the key"),
            Self::UnknownKey { key } => {
                write!(f, "not proved: the key `{key}` is not given, so nobody can tell whether the lines were forged")
            }
            Self::Unsigned => f.write_str("forged: the line is not signed, and lines before it are"),
            Self::NotSigned => {
                f.write_str("not proved: a key is given, and no line is signed, so anybody may have written them")
            }
            Self::MissingDay { day } => write!(f, "missing day: the file of {day} is not there"),
            Self::MissingBeginning => f.write_str("missing: the chain does not begin with its first line"),
            Self::HeadMissing => f.write_str("the head was removed: lines at the end may be missing"),
            Self::HeadForged => f.write_str("the head is forged: lines at the end may be missing"),
            Self::Noticed { what } => write!(f, "changed before this line, as the next writer has found: {what}"),
        }
    }
}

/// A place in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, within the directory of the chain.
    pub file: String,
    /// The line in the file, from 1 on; 0 where no line is meant.
    pub line: u64,
    /// The sequence number that stands or should stand there.
    pub seq: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {} (sequence {})", self.file, self.line, self.seq)
    }
}

/// Something that was asked for, and of which no outcome was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unanswered {
    /// The line.
    pub place: Place,
    /// What was asked for.
    pub event: Event,
}

/// What is known of a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainReport {
    /// Its name.
    pub name: String,
    /// How many lines were read.
    pub lines: u64,
    /// On how many days.
    pub days: u64,
    /// The sequence number and the hash of the last line: to be kept elsewhere, they prove later what was there.
    pub last: Option<(u64, String)>,
    /// The ids of the keys, in their order.
    pub keys: Vec<String>,
    /// The first thing that is wrong.
    pub broken: Option<(Place, Flaw)>,
    /// What is worth knowing and is not wrong, one sentence each.
    pub notes: Vec<String>,
    /// What was asked for and has no outcome.
    pub unanswered: Vec<Unanswered>,
}

/// Verifies all chains below a directory with these keys. With `since`, the lines of earlier days may be missing or stand there
/// unread: what the first line of that day says of them is taken as it is.
///
/// # Errors
/// [`AuditError`] when the directory or a file cannot be read.
pub fn verify(directory: &Path, keys: &[ChainKey], since: Option<&str>) -> Result<Vec<ChainReport>, AuditError> {
    let verified = |name: &String| {
        let mut snapshot = Snapshot::take(directory, name)?;
        if let Some(since) = since {
            snapshot.files.retain(|(day, _)| day.as_str() >= since);
        }
        Walk { keys, since, ..Walk::new(&snapshot) }.run()
    };
    chains(directory)?.iter().map(verified).collect()
}

/// Goes through the lines of a chain.
struct Walk<'w> {
    snapshot: &'w Snapshot,
    keys: &'w [ChainKey],
    since: Option<&'w str>,
    report: ChainReport,
    seq: u64,
    hash: Hash,
    /// The day and the place of the last line.
    last: Option<Place>,
    last_day: Option<String>,
    /// What was no line: perhaps a piece that a killed process has left.
    piece: Option<(Place, Vec<u8>)>,
    /// The first line that is not proved yet.
    unproved: Option<(Place, String)>,
    is_signed: bool,
    asked: BTreeMap<u64, Unanswered>,
}

type Step = Result<(), (Place, Flaw)>;

impl<'w> Walk<'w> {
    fn new(snapshot: &'w Snapshot) -> Self {
        Self {
            snapshot,
            keys: &[],
            since: None,
            report: ChainReport { name: snapshot.name.clone(), ..ChainReport::default() },
            seq: 0,
            hash: Hash::default(),
            last: None,
            last_day: None,
            piece: None,
            unproved: None,
            is_signed: false,
            asked: BTreeMap::new(),
        }
    }

    fn run(mut self) -> Result<ChainReport, AuditError> {
        for raw in self.snapshot.lines() {
            if let Err((place, flaw)) = self.step(&raw?) {
                let flaw = self.explained(flaw)?;
                self.report.broken = Some((place, flaw));
                break;
            }
        }
        if self.report.broken.is_none() {
            self.report.broken = self.end().err();
        }
        self.report.last = (self.seq > 0).then(|| (self.seq, self.hash.to_string()));
        self.report.unanswered = self.asked.into_values().collect();
        Ok(self.report)
    }

    fn step(&mut self, raw: &Raw) -> Step {
        let mut place = Place { file: format!("{}.jsonl", raw.day), line: raw.number, seq: self.seq + 1 };
        let opened = if raw.is_whole { open(&raw.text) } else { None };
        let Some(sealed) = opened else {
            return match self.piece.replace((place, raw.text.clone())) {
                Some((place, _)) => Err((place, Flaw::Altered)),
                None => Ok(()),
            };
        };
        self.check_piece(&sealed)?;
        self.check_proof(&place, &sealed)?;
        let line = &sealed.line;
        let is_first = self.last.is_none();
        if is_first && self.since.is_some() {
            (self.seq, self.hash) = (line.seq - 1, Hash::parse(&line.previous).unwrap_or_default());
            self.last_day.clone_from(&line.follows);
        }
        place.seq = line.seq;
        if line.kind == Kind::Chain {
            self.chain_line(&place, &line.event)?;
        }
        let is_new_day = self.last_day.as_ref() != Some(&raw.day);
        if is_new_day && line.follows != self.last_day {
            let day = line.follows.clone().unwrap_or_default();
            return Err((place, if day.is_empty() { Flaw::MissingBeginning } else { Flaw::MissingDay { day } }));
        }
        if line.seq != self.seq + 1 || line.previous != self.hash.to_string() {
            let flaw = match line.seq {
                _ if is_first => Flaw::MissingBeginning,
                seq if seq > self.seq + 1 => Flaw::CutOut { lines: seq - self.seq - 1 },
                seq if seq <= self.seq => Flaw::Reordered,
                _ => Flaw::Detached,
            };
            return Err((place, flaw));
        }
        match (line.kind, line.asked) {
            (Kind::Asked, _) => {
                self.asked.insert(line.seq, Unanswered { place: place.clone(), event: line.event.clone() });
            }
            (Kind::Done, Some(asked)) => drop(self.asked.remove(&asked)),
            _ => {}
        }
        if let Found::Head(head) = &self.snapshot.head
            && head.seq == line.seq
            && (head.hash() != Some(sealed.hash) || head.day != raw.day || head.key != line.key)
        {
            return Err((place, Flaw::HeadForged));
        }
        (self.seq, self.hash) = (line.seq, sealed.hash);
        self.report.lines += 1;
        self.report.days += u64::from(is_new_day || is_first);
        if self.report.keys.last() != Some(&line.key) {
            self.report.keys.push(line.key.clone());
        }
        (self.last, self.last_day) = (Some(place), Some(raw.day.clone()));
        Ok(())
    }

    /// What was no line is fine if this line says that it is a piece of one, and which.
    fn check_piece(&mut self, sealed: &Sealed) -> Step {
        match (self.piece.take(), &sealed.line.half_line) {
            (None, None) => Ok(()),
            (Some((place, piece)), Some(half_line))
                if half_line.bytes == piece.len() as u64 && half_line.sha256 == Hash::of(&piece).to_string() =>
            {
                let what = "a piece of a line that a killed process has left; the next one has said so";
                self.report.notes.push(format!("{} line {}: {what}", place.file, place.line));
                Ok(())
            }
            (Some((place, _)), _) => Err((place, Flaw::Altered)),
            (None, Some(_)) => {
                let place = Place { file: String::new(), line: 0, seq: sealed.line.seq };
                Err((self.last.clone().unwrap_or(place), Flaw::CutOut { lines: 1 }))
            }
        }
    }

    fn check_proof(&mut self, place: &Place, sealed: &Sealed) -> Step {
        match sealed.proof(self.keys) {
            Proof::Signed => self.is_signed = true,
            Proof::Forged => return Err((place.clone(), Flaw::Forged)),
            Proof::Unsigned if self.report.keys.iter().any(|key| key != NO_KEY) => {
                return Err((place.clone(), Flaw::Unsigned));
            }
            Proof::Unsigned => {}
            Proof::UnknownKey => {
                self.unproved.get_or_insert_with(|| (place.clone(), sealed.line.key.clone()));
            }
        }
        Ok(())
    }

    fn chain_line(&mut self, place: &Place, event: &Event) -> Step {
        match event.outcome.as_deref() {
            Some("half_line") => Ok(()),
            Some("key_changed") => {
                self.report.notes.push(format!("{place}: {}", event.rule.as_deref().unwrap_or_default()));
                Ok(())
            }
            _ => Err((place.clone(), Flaw::Noticed { what: event.rule.clone().unwrap_or_default() })),
        }
    }

    /// Lines that stand later in the chain were not cut out.
    fn explained(&self, flaw: Flaw) -> Result<Flaw, AuditError> {
        if !matches!(flaw, Flaw::CutOut { .. }) {
            return Ok(flaw);
        }
        let wanted = self.seq + 1;
        for raw in self.snapshot.lines() {
            if open(&raw?.text).is_some_and(|sealed| sealed.line.seq == wanted) {
                return Ok(Flaw::Reordered);
            }
        }
        Ok(flaw)
    }

    fn end(&mut self) -> Step {
        let end = Place {
            file: self.last.as_ref().map_or_else(String::new, |last| last.file.clone()),
            line: self.last.as_ref().map_or(0, |last| last.line),
            seq: self.seq,
        };
        if let Some((place, text)) = self.piece.take() {
            let whole = self.snapshot.files.last().is_some_and(|(day, _)| place.file == format!("{day}.jsonl"));
            if !whole || text.contains(&b'\n') {
                return Err((place, Flaw::Altered));
            }
            let what = "a piece of a line: a process was killed while it wrote, or the machine stopped; the next one will say so";
            self.report.notes.push(format!("{} line {}: {what}", place.file, place.line));
        }
        let head = match &self.snapshot.head {
            Found::Missing => return Err((end, Flaw::HeadMissing)),
            Found::Damaged => return Err((end, Flaw::HeadForged)),
            Found::Head(head) => head,
        };
        self.check_head(head, &end)?;
        match self.unproved.take() {
            Some((place, key)) => Err((place, Flaw::UnknownKey { key })),
            None if self.seq > 0 && !self.keys.is_empty() && !self.is_signed => Err((end, Flaw::NotSigned)),
            None => Ok(()),
        }
    }

    fn check_head(&mut self, head: &Head, end: &Place) -> Step {
        match head.proof(self.keys) {
            Proof::Forged => return Err((end.clone(), Flaw::HeadForged)),
            Proof::Unsigned if self.is_signed => return Err((end.clone(), Flaw::HeadForged)),
            _ => {}
        }
        if head.seq > self.seq {
            return Err((end.clone(), Flaw::CutOff { head: head.seq }));
        }
        if head.seq < self.seq {
            let behind = counted(self.seq - head.seq, "line", "lines");
            self.report.notes.push(format!("the head is {behind} behind: a process writes, or was killed"));
        }
        Ok(())
    }
}
