//! Export files that wait to be fetched.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use crate::time::Timestamp;

use super::{
    reply::{Body, Reply},
    report::{ReportInput, write_csv, write_nessus},
    tokens::random_hex,
    wire::{ApiError, Outcome},
};

/// The files that were requested.
pub(super) struct Exports {
    by_number: HashMap<u64, File>,
    /// How long each can be fetched.
    lifetime: Duration,
}

/// A requested file.
pub(super) struct File {
    scan_id: u64,
    token: String,
    format: Format,
    ready: Timestamp,
    expires: Timestamp,
    fate: Fate,
    /// What it holds; written when it is fetched, so that a waiting file costs little.
    input: Arc<ReportInput>,
}

/// What becomes of a requested file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is ready in its time.
    Ready,
    /// It never is.
    Held,
    /// It cannot be made.
    Spoiled,
}

/// What a file is written as.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Nessus,
    Csv,
}

impl Format {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "nessus" => Some(Self::Nessus),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Nessus => "nessus",
            Self::Csv => "csv",
        }
    }

    fn write(self, out: &mut dyn Write, input: &ReportInput) -> io::Result<()> {
        match self {
            Self::Nessus => write_nessus(out, input),
            Self::Csv => write_csv(out, input),
        }
    }
}

impl Exports {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { by_number: HashMap::new(), lifetime }
    }

    /// Keeps a file that can be fetched from `ready` on; returns its token. Forgets what has expired.
    pub(super) fn add(
        &mut self,
        number: u64,
        scan_id: u64,
        format: Format,
        ready: Timestamp,
        input: ReportInput,
    ) -> String {
        let lifetime = self.lifetime;
        self.by_number.retain(|_, file| !file.is_expired(ready));
        let token = random_hex(64);
        self.by_number.insert(
            number,
            File {
                scan_id,
                token: token.clone(),
                format,
                ready,
                expires: ready.plus(lifetime),
                fate: Fate::Ready,
                input: Arc::new(input),
            },
        );
        token
    }

    /// The scan's latest file is never ready; `false` when there is none.
    pub(super) fn hold_latest(&mut self, scan_id: u64) -> bool {
        self.doom_latest(scan_id, Fate::Held)
    }

    /// The scan's latest file cannot be made; `false` when there is none.
    pub(super) fn spoil_latest(&mut self, scan_id: u64) -> bool {
        self.doom_latest(scan_id, Fate::Spoiled)
    }

    fn doom_latest(&mut self, scan_id: u64, fate: Fate) -> bool {
        let files = self.by_number.iter_mut().filter(|(_, file)| file.scan_id == scan_id);
        files.max_by_key(|(number, _)| **number).map(|(_, file)| file.fate = fate).is_some()
    }

    /// Forgets all files; `false` when there was none.
    pub(super) fn clear(&mut self) -> bool {
        let any = !self.by_number.is_empty();
        self.by_number.clear();
        any
    }

    /// Forgets the spoiled file when it is asked for: the first who asks learns why, the next that it is not there.
    pub(super) fn take_spoiled(&mut self, is_it: impl Fn(u64, &str) -> bool) -> bool {
        let files = self.by_number.iter();
        let number = files
            .filter(|(_, file)| file.fate == Fate::Spoiled)
            .find_map(|(number, file)| is_it(*number, &file.token).then_some(*number));
        number.is_some_and(|number| self.by_number.remove(&number).is_some())
    }

    pub(super) fn by_number(&self, scan_id: u64, number: u64, now: Timestamp) -> Result<&File, ApiError> {
        let file = self.by_number.get(&number).filter(|file| file.scan_id == scan_id && !file.is_expired(now));
        file.ok_or_else(ApiError::not_found)
    }

    pub(super) fn by_token(&self, token: &str, now: Timestamp) -> Result<&File, ApiError> {
        let file = self.by_number.values().find(|file| file.token == token && !file.is_expired(now));
        file.ok_or_else(ApiError::not_found)
    }
}

impl File {
    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        self.fate == Fate::Ready && now >= self.ready
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        now > self.expires
    }

    /// The report, written while it is sent.
    fn written(&self) -> io::Result<Body> {
        let (format, input) = (self.format, Arc::clone(&self.input));
        let mut counted = Counter(0);
        format.write(&mut counted, &input)?;
        Ok(Body::Written { length: counted.0, write: Box::new(move |out| format.write(out, &input)) })
    }

    /// The file as an answer; `instead` is a file that stands for every export as XML.
    pub(super) fn download(&self, mime: &str, instead: Option<&Path>) -> Outcome {
        let body = match instead.filter(|_| matches!(self.format, Format::Nessus)) {
            Some(path) => copied(path),
            None => self.written(),
        };
        let body = body.map_err(|error| ApiError::new(500, error.to_string()))?;
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
        let name: String = self.input.scan_name.chars().map(safe).take(100).collect();
        let disposition = format!("attachment; filename=\"{name}_{}.{}\"", &self.token[..6], self.format.extension());
        Ok(Reply::of(mime, body).with_header("Content-Disposition", disposition))
    }
}

/// A file, read while it is sent.
fn copied(path: &Path) -> io::Result<Body> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    Ok(Body::Written { length, write: Box::new(move |out| io::copy(&mut file, out).map(drop)) })
}

/// Counts bytes.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
