//! What a cache of parts promises: fetched once, never wrong, never larger than it may be, and no disk that stops it.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{cache::PartFigures, part::Part, *};
use crate::{
    durable, hex,
    source::{ReadAt as _, Source},
};

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

#[test]
fn a_part_is_fetched_once_for_all_who_ask() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    let (bytes, fetched) = (content(1), AtomicUsize::new(0));
    let sha256 = hash(&bytes);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let fetch = || {
                    fetched.fetch_add(1, Ordering::SeqCst);
                    wait_until(|| cache.waiting_for(&sha256) == 9);
                    Ok(bytes.clone())
                };
                let part = cache.part(&sha256, SIZE, fetch).unwrap();
                assert_eq!(bytes_of(&part), bytes);
            });
        }
    });
    assert_eq!(fetched.into_inner(), 1);
    assert_eq!(cache.figures(), PartFigures { fetched_bytes: SIZE as u64, hits: 9, misses: 1 });
}

/// Also where the disk takes nothing.
#[test]
fn a_part_without_a_disk_is_fetched_once_for_all_who_ask() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), 0);
    let (bytes, fetched) = (content(1), AtomicUsize::new(0));
    let sha256 = hash(&bytes);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let fetch = || {
                    fetched.fetch_add(1, Ordering::SeqCst);
                    wait_until(|| cache.waiting_for(&sha256) == 3);
                    Ok(bytes.clone())
                };
                assert_eq!(bytes_of(&cache.part(&sha256, SIZE, fetch).unwrap()), bytes);
            });
        }
    });
    assert_eq!(fetched.into_inner(), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// The first who fetches fails, the second panics, and the third is answered with all others.
#[test]
fn where_a_fetch_fails_the_next_one_tries() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    let (bytes, fetches) = (content(1), AtomicUsize::new(0));
    let sha256 = hash(&bytes);
    let ask = || {
        let fetch = || {
            let number = fetches.fetch_add(1, Ordering::SeqCst);
            wait_until(|| cache.waiting_for(&sha256) == 5 - number);
            match number {
                0 => Err(io::Error::other("the store is away")),
                1 => panic!("as a test wants it"),
                _ => Ok(bytes.clone()),
            }
        };
        catch_unwind(AssertUnwindSafe(|| cache.part(&sha256, SIZE, fetch)))
    };
    let ended: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(fetches.into_inner(), 3);
    assert_eq!(ended.iter().filter(|ended| ended.is_err()).count(), 1);
    let failed: Vec<_> = ended.iter().flatten().filter_map(|ended| ended.as_ref().err()).collect();
    assert_eq!(failed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["the store is away"]);
    assert_eq!(ended.iter().flatten().flatten().filter(|part| bytes_of(part) == bytes).count(), 4);
    get_kept(&cache, &bytes);
}

#[test]
fn damaged_bytes_are_shown_to_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    let bytes = content(1);
    let longer = [&bytes[..], b"x"].concat();
    for wrong in [&b""[..], &content(2), &bytes[1..], &longer] {
        let error = cache.part(&hash(&bytes), SIZE, || Ok(wrong.to_vec())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let message = error.to_string();
        assert!(message.starts_with("a part of the file came damaged: "), "{message}");
    }
    assert!(cache.part(&hash(&bytes), SIZE + 1, || Ok(bytes.clone())).is_err(), "the hash alone does not do");
    assert!(!path_in(directory.path(), &bytes).exists());
    get(&cache, &bytes);
}

#[test]
fn what_is_kept_outlives_the_process_and_is_shared_with_others() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("cache");
    let one = PartCache::new(&place, PLENTY);
    let other = PartCache::new(&place, PLENTY);
    get(&one, &content(1));
    get_kept(&one, &content(1));
    get_kept(&other, &content(1));
    get(&other, &content(2));
    drop((one, other));
    let later = PartCache::new(&place, PLENTY);
    get_kept(&later, &content(1));
    get_kept(&later, &content(2));
    assert_eq!(later.figures(), PartFigures { fetched_bytes: 0, hits: 2, misses: 0 });
    let names: Vec<_> = fs::read_dir(path_in(&place, &content(1)).parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(names, [path_in(&place, &content(1))], "under its hash, and no temporary file is left");
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), 3 * SIZE as u64);
    for number in 1..=3 {
        get(&cache, &content(number));
        set_used(&path_in(directory.path(), &content(number)), HOUR * (10 - u32::from(number)));
    }
    // The oldest one is used, and what is used often is not dated each time.
    get_kept(&cache, &content(1));
    let dated = fs::metadata(path_in(directory.path(), &content(1))).unwrap().modified().unwrap();
    assert!(dated.elapsed().unwrap() < HOUR);
    get_kept(&cache, &content(1));
    assert_eq!(fs::metadata(path_in(directory.path(), &content(1))).unwrap().modified().unwrap(), dated);
    let here = || (1..=5).filter(|number| path_in(directory.path(), &content(*number)).exists()).collect::<Vec<_>>();
    get(&cache, &content(4));
    assert_eq!(here(), [1, 3, 4]);
    set_used(&path_in(directory.path(), &content(4)), HOUR);
    get(&cache, &content(5));
    assert_eq!(here(), [1, 4, 5]);
    // What another process has used and added counts as well.
    let other = PartCache::new(directory.path(), 3 * SIZE as u64);
    assert_eq!(here(), [1, 4, 5], "it is not too much");
    set_used(&path_in(directory.path(), &content(1)), HOUR * 2);
    get(&other, &content(2));
    assert_eq!(here(), [2, 4, 5]);
    get(&cache, &content(1));
    assert_eq!(here(), [1, 2, 5], "this one did not see the last one come");
    get(&PartCache::new(directory.path(), SIZE as u64 * 11 / 10), &content(3));
    assert_eq!(here(), [3], "it may be smaller after a restart");
}

/// A cache of many parts is not looked through for each of them.
#[test]
fn it_holds_no_more_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let most = 100 * SIZE as u64;
    let cache = PartCache::new(directory.path(), most);
    let others = PartCache::new(directory.path(), most);
    for number in 0..=u8::MAX {
        get(if number % 3 == 0 { &others } else { &cache }, &content(number));
        let files =
            fs::read_dir(directory.path()).unwrap().flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        let total: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= most + most / 16, "{total}");
        assert!(number < 100 || total > most * 3 / 4, "{total}");
    }
    // One that is larger than the cache does no harm.
    let large = vec![0; 101 * SIZE];
    assert!(!is_on_disk(&cache, &large));
    assert!(is_on_disk(&cache, &content(0)));
}

#[test]
fn what_is_left_by_the_killed_goes_and_what_is_not_ours_stays() {
    let directory = tempfile::tempdir().unwrap();
    let kept = path_in(directory.path(), &content(1));
    let folder = kept.parent().unwrap();
    durable::create_directory(folder).unwrap();
    let file = |path: PathBuf, ago: Duration| {
        durable::replace(&path, &content(9)).unwrap();
        set_used(&path, ago);
        path
    };
    let left = file(folder.join(".tmp-left"), HOUR * 2);
    let written = file(folder.join(".tmp-written"), HOUR / 2);
    let foreign = file(folder.join("README"), HOUR * 9);
    let beside = file(directory.path().join("README"), HOUR * 9);
    let elsewhere = folder.with_file_name("00");
    durable::create_directory(&elsewhere).unwrap();
    let elsewhere = file(elsewhere.join(kept.file_name().unwrap()), HOUR * 9);
    let other = folder.with_file_name("lost+found");
    durable::create_directory(&other).unwrap();
    let other = file(other.join(".tmp-other"), HOUR * 9);
    let cache = PartCache::new(directory.path(), 2 * SIZE as u64);
    get(&cache, &content(1));
    get(&cache, &content(2));
    assert!(!left.exists());
    assert!(!written.exists(), "it counts, and was the oldest");
    assert!(foreign.exists() && beside.exists() && elsewhere.exists() && other.exists());
}

#[test]
fn an_altered_part_is_removed_and_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    let bytes = content(1);
    let path = path_in(directory.path(), &bytes);
    let alterations: [&dyn Fn(); 6] = [
        &|| File::options().write(true).open(&path).unwrap().write_all_at(b"x", 500).unwrap(),
        &|| File::options().write(true).open(&path).unwrap().set_len(SIZE as u64 - 1).unwrap(),
        &|| File::options().write(true).open(&path).unwrap().set_len(0).unwrap(),
        &|| durable::replace(&path, &content(2)).unwrap(),
        &|| fs::remove_file(&path).unwrap(),
        // With the date that it had.
        &|| {
            let dated = fs::metadata(&path).unwrap().modified().unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(b"x", 0).unwrap();
            file.set_modified(dated).unwrap();
        },
    ];
    for (number, alter) in alterations.iter().enumerate() {
        for is_known in [true, false] {
            get(&cache, &bytes);
            get_kept(&cache, &bytes);
            let asked = if is_known { cache.clone() } else { PartCache::new(directory.path(), PLENTY) };
            alter();
            let before = asked.figures();
            let said = Said::by(|| get(&asked, &bytes));
            let removed: Vec<_> = said.iter().filter(|line| line.contains("is damaged: it is removed")).collect();
            assert_eq!((said.len(), removed.len()), if number == 4 { (0, 0) } else { (1, 1) }, "{said:?}");
            assert_eq!(asked.figures().misses, before.misses + 1, "{number}");
            get_kept(&asked, &bytes);
        }
    }
    // What is no file cannot be replaced, and is no reason to fail.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    get(&cache, &bytes);
    assert!(!is_on_disk(&cache, &bytes));
    fs::remove_dir(&path).unwrap();
    assert!(is_on_disk(&cache, &bytes));
    get_kept(&cache, &bytes);
}

/// Root may write into any directory, so a file stands in the place of one that cannot be written to.
#[test]
fn a_directory_that_fails_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("cache");
    let cache = PartCache::new(&place, PLENTY);
    get(&cache, &content(1));
    fs::remove_dir_all(&place).unwrap();
    get(&cache, &content(1));
    get_kept(&cache, &content(1));
    fs::remove_dir_all(&place).unwrap();
    durable::replace(&place, b"").unwrap();
    let said = Said::by(|| {
        for _ in 0..2 {
            get(&cache, &content(1));
            assert!(!is_on_disk(&cache, &content(2)));
        }
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("cannot be written to") && said[0].contains("hint="), "{said:?}");
    fs::remove_file(&place).unwrap();
    let said = Said::by(|| get(&cache, &content(1)));
    assert!(said.len() == 1 && said[0].contains("can be written to again"), "{said:?}");
    get_kept(&cache, &content(1));
}

/// On a disk of 16 pages, in a mount namespace of another process.
#[test]
fn a_disk_that_is_full_or_read_only_stops_nothing() {
    const DISK: &str = "NESSUS_MCP_TEST_DISK";
    if let Some(disk) = std::env::var_os(DISK) {
        return on_a_small_disk(Path::new(&disk));
    }
    if !Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|ended| ended.status.success()) {
        eprintln!("SKIPPED: this system makes no mount namespace (`unshare -rm true`), so no small disk is tried");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=64k tmpfs "$0" && exec "$1" --exact --nocapture "$2""#;
    let name = "parts::tests::a_disk_that_is_full_or_read_only_stops_nothing";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]).arg(directory.path()).arg(std::env::current_exe().unwrap()).arg(name);
    let ended = command.env(DISK, directory.path()).output().unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && shown.contains("1 passed"), "{shown}");
}

fn on_a_small_disk(disk: &Path) {
    let remount = |how: &str| assert!(Command::new("mount").args(["-o", how]).arg(disk).status().unwrap().success());
    let place = disk.join("cache");
    let cache = PartCache::new(&place, PLENTY);
    let said = Said::by(|| (0..40).for_each(|number| get(&cache, &content(number))));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("cannot be written to") && said[0].contains("free space on its disk"), "{said:?}");
    get_kept(&cache, &content(0));
    assert!(!is_on_disk(&cache, &content(39)));
    let files =
        || fs::read_dir(&place).unwrap().flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()).count();
    let full = files();
    assert!(full > 5 && full <= 16, "{full}: whole parts, and nothing of those that did not fit");
    let after = PartCache::new(&place, PLENTY);
    get_kept(&after, &content(0));
    assert!(!is_on_disk(&after, &content(39)));
    fs::remove_file(path_in(&place, &content(0))).unwrap();
    let said = Said::by(|| assert!(is_on_disk(&cache, &content(39))));
    assert!(said.len() == 1 && said[0].contains("can be written to again"), "{said:?}");
    set_used(&path_in(&place, &content(1)), HOUR);
    set_used(&path_in(&place, &content(2)), HOUR * 2);
    remount("remount,ro");
    let smaller = PartCache::new(&place, 2 * SIZE as u64);
    let said = Said::by(|| {
        for _ in 0..2 {
            for cache in [&cache, &smaller] {
                get_kept(cache, &content(1));
                get(cache, &content(0));
            }
        }
    });
    assert_eq!(said.len(), 2, "each once: {said:?}");
    assert!(said[0].contains("mount its disk for writing"), "{said:?}");
    assert_eq!(files(), full);
    remount("remount,rw");
    get(&smaller, &content(0));
    assert!(!path_in(&place, &content(2)).exists());
    get_kept(&smaller, &content(0));
}

/// A file in parts, and how often each was fetched.
fn file_in_parts(cache: &PartCache, content: &[u8]) -> (PartFile, Arc<Vec<AtomicUsize>>) {
    let chunks: Vec<Vec<u8>> = content.chunks(PART_BYTES).map(<[u8]>::to_vec).collect();
    let hashes = chunks.iter().map(|chunk| hash(chunk)).collect();
    let fetched: Arc<Vec<AtomicUsize>> = Arc::new(chunks.iter().map(|_| AtomicUsize::new(0)).collect());
    let counts = Arc::clone(&fetched);
    let fetch = move |number: usize| {
        counts[number].fetch_add(1, Ordering::SeqCst);
        Ok(chunks[number].clone())
    };
    (PartFile::new(cache.clone(), hashes, content.len() as u64, Arc::new(fetch)).unwrap(), fetched)
}

fn counts(fetched: &[AtomicUsize]) -> Vec<usize> {
    fetched.iter().map(|count| count.load(Ordering::SeqCst)).collect()
}

/// Bytes whose parts differ.
fn long(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at * 31 + at / PART_BYTES) % 251).unwrap()).collect()
}

#[test]
fn a_file_in_parts_is_read_as_a_whole_one() {
    for (size, parts) in [
        (0, 0),
        (1, 1),
        (PART_BYTES - 1, 1),
        (PART_BYTES, 1),
        (PART_BYTES + 1, 2),
        (2 * PART_BYTES, 2),
        (2 * PART_BYTES + 5000, 3),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let cache = PartCache::new(directory.path(), PLENTY);
        let content = long(size);
        let (file, fetched) = file_in_parts(&cache, &content);
        assert_eq!((file.size().unwrap(), fetched.len()), (size as u64, parts));
        assert_eq!(file.modified(), None);
        assert_eq!(counts(&fetched), vec![0; parts], "nothing before it is read");
        let mut source = Source::from(Arc::new(file) as Arc<dyn crate::source::ReadAt>);
        let mut found = Vec::new();
        source.read_to_end(&mut found).unwrap();
        assert!(found == content, "{size}");
        assert_eq!(source.read(&mut [0; 10]).unwrap(), 0);
        source.seek(SeekFrom::Start(size as u64 + PART_BYTES as u64)).unwrap();
        assert_eq!(source.read(&mut [0; 10]).unwrap(), 0);
        assert_eq!(counts(&fetched), vec![1; parts]);
    }
}

#[test]
fn only_what_is_read_is_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    let content = long(5 * PART_BYTES - 7);
    let (file, fetched) = file_in_parts(&cache, &content);
    let mut source = Source::from(Arc::new(file) as Arc<dyn crate::source::ReadAt>);
    // Across a border.
    let at = 3 * PART_BYTES - 10;
    let mut bytes = [0; 20];
    source.seek(SeekFrom::Start(at as u64)).unwrap();
    source.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, content[at..at + 20]);
    assert_eq!(counts(&fetched), [0, 0, 1, 1, 0]);
    source.seek(SeekFrom::End(-10)).unwrap();
    source.read_exact(&mut bytes[..10]).unwrap();
    assert_eq!(bytes[..10], content[content.len() - 10..]);
    assert_eq!(source.read_exact(&mut bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(counts(&fetched), [0, 0, 1, 1, 1]);
}

#[test]
fn a_part_that_is_altered_while_it_is_open_is_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    let content = long(PART_BYTES + 10);
    let (file, fetched) = file_in_parts(&cache, &content);
    let path = path_in(directory.path(), &content[..PART_BYTES]);
    let read = |at: usize| {
        let mut bytes = [0; 100];
        assert_eq!(file.read_at(at as u64, &mut bytes).unwrap(), 100);
        assert_eq!(bytes, content[at..at + 100]);
    };
    read(0);
    File::options().write(true).open(&path).unwrap().write_all_at(b"altered", 50).unwrap();
    read(0);
    assert_eq!(counts(&fetched), [2, 0]);
    File::options().write(true).open(&path).unwrap().set_len(50).unwrap();
    read(1000);
    assert_eq!(counts(&fetched), [3, 0]);
    // It is only dated, or removed by another process: what is open is right.
    set_used(&path, HOUR);
    read(2000);
    fs::remove_file(&path).unwrap();
    read(3000);
    assert_eq!(counts(&fetched), [3, 0]);
}

#[test]
fn a_file_has_as_many_parts_as_its_size_says() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    let open = |parts: usize, size: u64| {
        let made = PartFile::new(cache.clone(), vec![[0; 32]; parts], size, Arc::new(|_| panic!("it is not read")));
        made.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(open(0, 0), Ok(()));
    assert_eq!(open(2, 1 << 21), Ok(()));
    assert_eq!(
        open(2, (1 << 21) + 1),
        Err("the number of its parts is 2, and should be 3 for its size of 2097153".to_owned())
    );
    assert!(open(1, 0).is_err());
    assert!(open(1, u64::MAX).is_err());
}

#[test]
fn what_the_store_says_reaches_the_reader() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    let tries = AtomicUsize::new(0);
    let fetch = move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, "the store does not answer")),
        1 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the store has hung up")),
        2 => Err(io::Error::new(io::ErrorKind::Interrupted, "the store was told to stop")),
        _ => Ok(content(1)),
    };
    let file = PartFile::new(cache, vec![hash(&content(1))], SIZE as u64, Arc::new(fetch)).unwrap();
    let mut source = Source::from(Arc::new(file) as Arc<dyn crate::source::ReadAt>);
    let mut read = || source.read_exact(&mut [0; 10]).map_err(|error| (error.kind(), error.to_string()));
    assert_eq!(read(), Err((io::ErrorKind::TimedOut, "the store does not answer".to_owned())));
    assert_eq!(
        read(),
        Err((io::ErrorKind::Other, "the store has hung up".to_owned())),
        "it is not the end of the file"
    );
    assert_eq!(
        read(),
        Err((io::ErrorKind::Other, "the store was told to stop".to_owned())),
        "nobody asks again at once"
    );
    assert_eq!(read(), Ok(()));
}
