//! What a cache of parts promises: fetched once, never wrong, never larger than it may be, and no disk that stops it.

mod disk;
mod fetching;
mod files;

use std::{
    fmt::Write as _,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{PartCache, part::Part};
use crate::hex;

const HOUR: Duration = Duration::from_secs(3600);
const SIZE: usize = 1000;
/// More than any test keeps.
const PLENTY: u64 = 1 << 30;

/// Parts that differ.
fn content(number: u8) -> Vec<u8> {
    vec![number; SIZE]
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn path_in(directory: &Path, bytes: &[u8]) -> PathBuf {
    let name = hex::encode(&hash(bytes));
    directory.join(&name[..2]).join(&name)
}

fn bytes_of(part: &Part) -> Vec<u8> {
    let mut bytes = vec![0; SIZE + 1];
    let read = part.read_at(0, &mut bytes).unwrap();
    bytes.truncate(read);
    bytes
}

/// Asks for a part that is as it should be, which may be fetched.
fn get(cache: &PartCache, bytes: &[u8]) {
    let part = cache.part(&hash(bytes), bytes.len(), || Ok(bytes.to_vec())).unwrap();
    assert_eq!(bytes_of(&part), bytes);
}

/// Asks for a part that must not be fetched.
fn get_kept(cache: &PartCache, bytes: &[u8]) {
    let part = cache.part(&hash(bytes), bytes.len(), || panic!("it was to be here")).unwrap();
    assert_eq!(bytes_of(&part), bytes);
}

/// Whether a part is a file.
fn is_on_disk(cache: &PartCache, bytes: &[u8]) -> bool {
    let part = cache.part(&hash(bytes), bytes.len(), || Ok(bytes.to_vec())).unwrap();
    matches!(part, Part::File(_))
}

fn set_used(path: &Path, ago: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - ago).unwrap();
}

/// What was said in the log.
#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    /// What is said while something is done.
    fn by(work: impl FnOnce()) -> Vec<String> {
        let said = Self::default();
        tracing::subscriber::with_default(said.clone(), work);
        let lines = said.0.lock().unwrap();
        lines.clone()
    }
}

impl Subscriber for Said {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("nessus_mcp_lib::parts")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, "{field}={value:?} ");
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000_000 {
        if holds() {
            return;
        }
        thread::yield_now();
    }
    panic!("it did not come to that");
}
