//! Files in parts, as their readers see them.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{HOUR, PLENTY, PartCache, SIZE, content, hash, path_in, set_used, wait_until};
use crate::{
    parts::{PART_BYTES, PartFile},
    source::{ReadAt, Source},
};

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
        let mut source = Source::from(Arc::new(file) as Arc<dyn ReadAt>);
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
    let mut source = Source::from(Arc::new(file) as Arc<dyn ReadAt>);
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

/// Each of four waits until all four are being fetched.
#[test]
fn the_next_parts_of_who_reads_in_sequence_are_fetched_at_once() {
    const TOGETHER: std::ops::RangeInclusive<usize> = 3..=6;
    // Also where the disk takes nothing.
    for most_bytes in [PLENTY, 0] {
        let directory = tempfile::tempdir().unwrap();
        let cache = PartCache::new(directory.path(), most_bytes);
        let content = long(9 * PART_BYTES);
        let begun: Arc<Vec<AtomicUsize>> = Arc::new((0..9).map(|_| AtomicUsize::new(0)).collect());
        let (counted, bytes) = (Arc::clone(&begun), content.clone());
        let fetch = move |number: usize| {
            counted[number].fetch_add(1, Ordering::SeqCst);
            if TOGETHER.contains(&number) {
                wait_until(|| counts(&counted)[TOGETHER].iter().all(|count| *count > 0));
            }
            Ok(bytes[number * PART_BYTES..][..PART_BYTES].to_vec())
        };
        let hashes = content.chunks(PART_BYTES).map(hash).collect();
        let file = PartFile::new(cache.clone(), hashes, content.len() as u64, Arc::new(fetch)).unwrap();
        let mut source = Source::from(Arc::new(file) as Arc<dyn ReadAt>);
        let mut found = vec![0; 2 * PART_BYTES];
        source.read_exact(&mut found).unwrap();
        wait_until(|| counts(&begun)[2] == 1);
        assert_eq!(counts(&begun), [1, 1, 1, 0, 0, 0, 0, 0, 0], "as many as were read before this one");
        source.read_to_end(&mut found).unwrap();
        assert!(found == content);
        assert_eq!(counts(&begun), [1; 9]);
        assert_eq!((cache.figures().misses, cache.figures().hits), (9, 0));
    }
}

#[test]
fn what_cannot_be_fetched_ahead_is_told_to_who_reads_on_and_asked_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let content = long(4 * PART_BYTES);
    let (tries, bytes) = (AtomicUsize::new(0), content.clone());
    let fetch = move |number: usize| match tries.fetch_add(usize::from(number == 3), Ordering::SeqCst) {
        0 if number == 3 => Err(io::Error::other("the store is away")),
        _ => Ok(bytes[number * PART_BYTES..][..PART_BYTES].to_vec()),
    };
    let hashes = content.chunks(PART_BYTES).map(hash).collect();
    let cache = PartCache::new(directory.path(), PLENTY);
    let file = PartFile::new(cache, hashes, content.len() as u64, Arc::new(fetch)).unwrap();
    let mut source = Source::from(Arc::new(file) as Arc<dyn ReadAt>);
    let mut found = Vec::new();
    assert_eq!(source.read_to_end(&mut found).unwrap_err().to_string(), "the store is away");
    assert_eq!(found.len(), 3 * PART_BYTES, "and what was before it is read");
    source.read_to_end(&mut found).unwrap();
    assert!(found == content);
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
    let mut source = Source::from(Arc::new(file) as Arc<dyn ReadAt>);
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
