//! Chains that are attacked, shared and broken.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    chain::ChainKey,
    file::{ChainFile, Draft},
    *,
};
use crate::{
    config::SecretKey,
    durable,
    time::{ManualClock, Timestamp},
};

const CHAIN: &str = "server@test";
const HOUR: Duration = Duration::from_secs(3600);

fn key(digit: &str) -> ChainKey {
    ChainKey::new(&SecretKey::new(&digit.repeat(64)).unwrap())
}

fn draft(what: impl Into<String>) -> Draft {
    Draft { kind: Kind::Event, asked: None, event: Event::new(what, Who::new("desk@example", Entry::Token)) }
}

/// A log of one chain, and the clock that its writers go by.
struct Rig {
    directory: TempDir,
    clock: ManualClock,
    key: Option<ChainKey>,
}

impl Rig {
    fn new(key: Option<ChainKey>) -> Self {
        let clock = ManualClock::new("2026-11-28T20:00:00Z".parse::<Timestamp>().unwrap());
        Self { directory: tempfile::tempdir().unwrap(), clock, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(CHAIN).join(name)
    }

    fn open(&self) -> ChainFile {
        self.open_with(self.key.clone()).unwrap()
    }

    fn open_with(&self, key: Option<ChainKey>) -> Result<ChainFile, AuditError> {
        ChainFile::open(&self.directory.path().join(CHAIN), key, Arc::new(self.clock.clone()))
    }

    /// Appends lines, syncs them and moves the head.
    fn append(&self, chain: &mut ChainFile, names: &[&str]) {
        let drafts = names.iter().map(|name| draft(*name)).collect();
        let (position, _) = chain.append(drafts).unwrap();
        ChainFile::sync(&position).unwrap();
        ChainFile::head(&position, self.key.as_ref()).write(&self.directory.path().join(CHAIN)).unwrap();
    }

    fn verify_with(&self, keys: &[ChainKey]) -> ChainReport {
        verify(self.directory.path(), keys, None).unwrap().remove(0)
    }

    fn verify(&self) -> ChainReport {
        self.verify_with(&self.key.iter().cloned().collect::<Vec<_>>())
    }

    /// Where it is broken, and how.
    #[track_caller]
    fn broken(&self) -> (u64, Flaw) {
        let report = self.verify();
        let (place, flaw) = report.broken.clone().unwrap_or_else(|| panic!("not found: {report:?}"));
        (place.seq, flaw)
    }

    /// Eight lines on three days.
    fn filled(key: Option<ChainKey>) -> Self {
        let rig = Self::new(key);
        let mut chain = rig.open();
        rig.append(&mut chain, &["a", "b", "c"]);
        rig.clock.advance(5 * HOUR);
        rig.append(&mut chain, &["d", "e", "f"]);
        rig.clock.advance(24 * HOUR);
        rig.append(&mut chain, &["g", "h"]);
        let report = rig.verify();
        assert_eq!((report.lines, report.days, &report.broken), (8, 3, &None), "{report:?}");
        assert_eq!(report.notes, Vec::<String>::new());
        rig
    }
}

const DAYS: [&str; 3] = ["2026-11-28.jsonl", "2026-11-29.jsonl", "2026-11-30.jsonl"];

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn write_lines(path: &Path, lines: &[String]) {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    durable::replace(path, text.as_bytes()).unwrap();
}

/// Files that hold lines, with the numbers of their first lines.
const FIRST: [usize; 3] = [1, 4, 7];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_byte_counts(is_signed: bool, file in 0..4_usize, at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let rig = Rig::filled(is_signed.then(|| key("a")));
        let path = rig.path(DAYS.get(file).unwrap_or(&"head.json"));
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        let line = bytes[..at].split(|byte| *byte == b'\n').count() - 1;
        bytes[at] ^= flip;
        durable::replace(&path, &bytes).unwrap();
        let (seq, flaw) = rig.broken();
        if file < 3 {
            // A line feed that becomes another byte joins two lines; the last one takes its line with it.
            let expected = (FIRST[file] + line) as u64;
            prop_assert!(seq == expected || flaw == Flaw::CutOff { head: 8 }, "{seq} {expected} {flaw:?}");
        }
    }

    #[test]
    fn every_line_counts(is_signed: bool, file in 0..3_usize, at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let rig = Rig::filled(is_signed.then(|| key("a")));
        let path = rig.path(DAYS[file]);
        let whole = lines(&path);
        let (at, to) = (at.index(whole.len()), to.index(whole.len()));
        let mut cut = whole.clone();
        cut.remove(at);
        write_lines(&path, &cut);
        let (_, flaw) = rig.broken();
        let is_last = FIRST[file] + at == 8;
        let expected = match (is_last, at) {
            (true, _) => vec![Flaw::CutOff { head: 8 }],
            (false, 0) if file == 0 => vec![Flaw::MissingBeginning],
            (false, 0) => vec![Flaw::MissingDay { day: String::new() }, Flaw::MissingBeginning, Flaw::CutOut { lines: 1 }],
            _ => vec![Flaw::CutOut { lines: 1 }],
        };
        prop_assert!(expected.contains(&flaw), "{flaw:?}");
        let mut twice = whole.clone();
        twice.insert(to, whole[at].clone());
        write_lines(&path, &twice);
        rig.broken();
        if at != to {
            let mut swapped = whole.clone();
            swapped.swap(at, to);
            write_lines(&path, &swapped);
            rig.broken();
        }
        write_lines(&path, &whole);
        prop_assert_eq!(rig.verify().broken, None);
    }

    #[test]
    fn an_end_that_is_cut_off_is_found(is_signed: bool, at in any::<prop::sample::Index>()) {
        let rig = Rig::filled(is_signed.then(|| key("a")));
        let path = rig.path(DAYS[2]);
        let bytes = fs::read(&path).unwrap();
        durable::replace(&path, &bytes[..at.index(bytes.len() - 1)]).unwrap();
        prop_assert_eq!(rig.broken().1, Flaw::CutOff { head: 8 });
        // Also when the next process goes on before anybody looks.
        rig.append(&mut rig.open(), &["i"]);
        let (seq, flaw) = rig.broken();
        prop_assert!(matches!(&flaw, Flaw::Noticed { what } if what.contains("the head was at line 8")), "{seq} {flaw:?}");
    }
}

#[test]
fn lines_that_change_places_are_named_as_such() {
    let rig = Rig::filled(None);
    let path = rig.path(DAYS[1]);
    let mut swapped = lines(&path);
    swapped.swap(1, 2);
    write_lines(&path, &swapped);
    let report = rig.verify();
    let (place, flaw) = report.broken.unwrap();
    assert_eq!((place.to_string().as_str(), flaw), ("2026-11-29.jsonl line 2 (sequence 6)", Flaw::Reordered));
}

#[test]
fn a_day_or_a_head_that_is_missing_is_found() {
    for is_signed in [false, true] {
        let rig = || Rig::filled(is_signed.then(|| key("a")));
        for (day, expected) in [
            (0, Flaw::MissingDay { day: "2026-11-28".to_owned() }),
            (1, Flaw::MissingDay { day: "2026-11-29".to_owned() }),
            (2, Flaw::CutOff { head: 8 }),
        ] {
            let rig = rig();
            fs::remove_file(rig.path(DAYS[day])).unwrap();
            assert_eq!(rig.broken().1, expected);
        }
        let headless = rig();
        fs::remove_file(headless.path("head.json")).unwrap();
        assert_eq!(headless.broken().1, Flaw::HeadMissing);
        headless.append(&mut headless.open(), &["i"]);
        assert!(matches!(headless.broken().1, Flaw::Noticed { .. }));
        let all = rig();
        for day in DAYS {
            fs::remove_file(all.path(day)).unwrap();
        }
        assert_eq!(all.broken().1, Flaw::CutOff { head: 8 });
        // Those that were archived on purpose are told.
        let archived = rig();
        fs::remove_file(archived.path(DAYS[0])).unwrap();
        let keys: Vec<_> = archived.key.iter().cloned().collect();
        let report = verify(archived.directory.path(), &keys, Some("2026-11-29")).unwrap().remove(0);
        assert_eq!((report.broken, report.lines), (None, 5));
    }
}

/// Who has no key can write lines that fit together, and not ones that are signed.
#[test]
fn lines_that_are_made_anew_are_forged_where_there_is_a_key() {
    let rig = Rig::filled(Some(key("a")));
    for forger in [None, Some(key("b"))] {
        let forged = Rig::filled(forger.clone());
        let (path, ours) = (rig.path(DAYS[2]), fs::read(rig.path(DAYS[2])).unwrap());
        write_lines(&path, &lines(&forged.path(DAYS[2])));
        let (seq, flaw) = rig.broken();
        assert!(seq == 7 && matches!(flaw, Flaw::Unsigned | Flaw::Detached), "{seq} {flaw:?}");
        durable::replace(&path, ours.as_ref()).unwrap();
        // The whole of it: with another key, and without, it is not that of ours.
        let report = forged.verify_with(&[key("a")]);
        if let Some(other) = forger {
            assert_eq!(report.broken.unwrap().1, Flaw::UnknownKey { key: other.id().to_owned() });
        } else {
            assert_eq!(report.broken.unwrap().1, Flaw::NotSigned);
            assert_eq!((forged.verify().broken, report.keys), (None, vec!["none".to_owned()]));
        }
    }
    // The key of another in the place of ours.
    let text = lines(&rig.path(DAYS[2]))[1].clone();
    let mac = text.rfind("\"mac\":\"").unwrap() + 7;
    let other = if &text[mac..=mac] == "0" { "1" } else { "0" };
    let mut all = lines(&rig.path(DAYS[2]));
    all[1].replace_range(mac..=mac, other);
    write_lines(&rig.path(DAYS[2]), &all);
    assert_eq!(rig.broken(), (8, Flaw::Forged));
}

#[test]
fn a_change_of_the_key_is_told() {
    let mut rig = Rig::filled(None);
    rig.key = Some(key("a"));
    rig.append(&mut rig.open(), &["i"]);
    rig.key = Some(key("b"));
    rig.append(&mut rig.open(), &["j"]);
    let report = rig.verify_with(&[key("a"), key("b")]);
    assert_eq!((report.broken, report.keys.len(), report.notes.len()), (None, 3, 2));
    for (given, missing) in [("a", "b"), ("b", "a")] {
        let missing = Flaw::UnknownKey { key: key(missing).id().to_owned() };
        assert_eq!(rig.verify_with(&[key(given)]).broken.unwrap().1, missing);
    }
    assert!(matches!(rig.verify_with(&[]).broken.unwrap().1, Flaw::UnknownKey { .. }));
    let refused = rig.open_with(None).unwrap_err();
    assert!(matches!(refused, AuditError::KeyMissing { .. }), "{refused}");
}

#[test]
fn a_piece_of_a_line_is_ended_by_the_next_writer() {
    for piece in [&b"{\"seq\":9,\"ti"[..], b"\0\0\0\0", b"{", "\u{e9}".as_bytes()] {
        let rig = Rig::filled(Some(key("a")));
        let mut other = rig.open();
        let path = rig.path(DAYS[2]);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(piece).unwrap();
        let report = rig.verify();
        assert!(report.broken.is_none() && report.notes[0].contains("a process was killed"), "{report:?}");
        rig.append(&mut other, &["i"]);
        let report = rig.verify();
        assert!(report.broken.is_none() && report.notes[0].contains("the next one has said so"), "{report:?}");
        assert_eq!(report.lines, 10);
        // It cannot be exchanged afterwards.
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(piece.len() + 1).position(|part| part == [piece, b"\n"].concat()).unwrap();
        bytes[at] ^= 1;
        durable::replace(&path, bytes.as_ref()).unwrap();
        assert_eq!(rig.broken().1, Flaw::Altered);
    }
}

/// A line whose line feed a killed process could not write is whole.
#[test]
fn a_missing_line_feed_is_written_by_the_next_writer() {
    let rig = Rig::filled(Some(key("a")));
    let path = rig.path(DAYS[2]);
    let bytes = fs::read(&path).unwrap();
    durable::replace(&path, &bytes[..bytes.len() - 1]).unwrap();
    rig.append(&mut rig.open(), &["i"]);
    let report = rig.verify();
    assert_eq!((report.broken, report.lines, report.notes), (None, 9, vec![]));
}

/// A day begins when the clock says so, and does not begin again when the clock is set back.
#[test]
fn the_clock_may_be_set_back() {
    let rig = Rig::new(Some(key("a")));
    let (mut first, mut second) = (rig.open(), rig.open());
    rig.append(&mut first, &["a"]);
    rig.clock.advance(4 * HOUR);
    rig.append(&mut second, &["b"]);
    rig.clock.step_back(3 * HOUR);
    rig.append(&mut first, &["c"]);
    rig.append(&mut rig.open(), &["d"]);
    rig.clock.advance(48 * HOUR);
    rig.append(&mut second, &["e"]);
    let report = rig.verify();
    assert_eq!((report.broken, report.lines, report.days), (None, 5, 3));
    assert_eq!(lines(&rig.path(DAYS[1])).len(), 3);
}

#[test]
fn many_writers_share_a_chain_while_it_is_verified() {
    const WRITERS: usize = 6;
    const LINES: usize = 60;
    let rig = Rig::new(Some(key("a")));
    rig.append(&mut rig.open(), &["first"]);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let rig = &rig;
                scope.spawn(move || {
                    let mut chain = rig.open();
                    for line in 0..LINES {
                        rig.append(&mut chain, &[&format!("{writer}-{line}")]);
                        if line % 20 == 7 {
                            rig.clock.advance(HOUR);
                        }
                    }
                })
            })
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            assert_eq!(rig.verify().broken, None);
        }
    });
    let report = rig.verify();
    assert_eq!((report.broken, report.lines), (None, (WRITERS * LINES + 1) as u64));
}

/// What is asked for survives the death of the process, and what has no outcome is told.
#[tokio::test]
async fn what_was_asked_and_has_no_outcome_is_told() {
    let rig = Rig::new(Some(key("a")));
    let directory = rig.directory.path().join(CHAIN);
    let audit = Audit::open_chain(&directory, rig.key.clone(), Arc::new(rig.clock.clone()), None).unwrap();
    let event =
        |what: &str| Event::new(what, Who::new("desk@example", Entry::Token)).with_trace(Some("t-1".to_owned()));
    let asked = audit.asked(event("cancel_scan")).await.unwrap();
    audit.done(asked, event("cancel_scan").with_outcome("ok")).await;
    let lost = audit.asked(event("run_untrusted_scan")).await.unwrap();
    for _ in 0..50 {
        audit.refused(event("login").decided(Decision::Refused, "no token"));
    }
    audit.note(event("list_tasks")).await;
    audit.flush().await;
    let report = rig.verify();
    assert_eq!((report.broken, &report.notes), (None, &Vec::new()));
    let unanswered: Vec<_> = report.unanswered.iter().map(|unanswered| &*unanswered.event.what).collect();
    assert_eq!(unanswered, ["run_untrusted_scan"]);
    let mut counts = Vec::new();
    let wanted = Search { what: Some("login".to_owned()), decision: Some(Decision::Refused), ..Search::default() };
    let mut progress = Progress::default();
    search(rig.directory.path(), &wanted, &mut progress, |found| counts.push(found.line.event.count)).unwrap();
    assert_eq!(counts, [None, Some(49)]);
    audit.note(event("later")).await;
    audit.flush().await;
    let mut later = Vec::new();
    search(rig.directory.path(), &Search::default(), &mut progress, |found| later.push(found.line.event.what)).unwrap();
    assert_eq!(later, ["later"]);
    drop(lost);
}

/// A disk that takes nothing: what is asked for is refused, and goes on when there is room.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_refuses_what_is_asked_for() {
    let rig = Rig::new(None);
    let directory = rig.directory.path().join(CHAIN);
    crate::durable::create_directory(&directory).unwrap();
    // A later day, so that it is the one that is written to.
    let full = directory.join("2999-01-01.jsonl");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    chain_head(&rig);
    let audit = Audit::open_chain(&directory, None, Arc::new(rig.clock.clone()), None).unwrap();
    let event = || Event::new("cancel_scan", Who::default());
    let refused = audit.asked(event()).await.unwrap_err();
    assert!(refused.to_string().contains("No space left"), "{refused}");
    fs::remove_file(&full).unwrap();
    let asked = audit.asked(event()).await.unwrap();
    audit.done(asked, event().with_outcome("ok")).await;
    audit.flush().await;
    let report = rig.verify();
    assert_eq!((report.broken, report.lines, report.unanswered.len()), (None, 2, 0));
}

fn chain_head(rig: &Rig) {
    let head = super::head::Head::new(0, "2026-11-28", super::chain::Hash::default(), None);
    head.write(&rig.directory.path().join(CHAIN)).unwrap();
}
