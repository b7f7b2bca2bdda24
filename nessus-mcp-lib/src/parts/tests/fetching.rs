//! Fetched once, and never wrong.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{PLENTY, PartCache, SIZE, bytes_of, content, get, get_kept, hash, path_in, wait_until};
use crate::parts::PartFigures;

#[test]
fn a_part_is_fetched_once_for_all_who_ask() {
    let directory = tempfile::tempdir().unwrap();
    let cache = PartCache::new(directory.path(), PLENTY);
    assert_eq!(fetches_for(&cache, 10), 1);
    assert_eq!(
        cache.figures(),
        PartFigures { fetched_bytes: SIZE as u64, hits: 9, misses: 1, ..PartFigures::default() }
    );
}

/// Also where the disk takes nothing.
#[test]
fn a_part_without_a_disk_is_fetched_once_for_all_who_ask() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(fetches_for(&PartCache::new(directory.path(), 0), 4), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// How often a part is fetched that so many ask for, all of them before it has come.
fn fetches_for(cache: &PartCache, readers: usize) -> usize {
    let (bytes, fetched) = (content(1), AtomicUsize::new(0));
    let sha256 = hash(&bytes);
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                let fetch = || {
                    fetched.fetch_add(1, Ordering::SeqCst);
                    wait_until(|| cache.waiting_for(&sha256) == readers - 1);
                    Ok(bytes.clone())
                };
                assert_eq!(bytes_of(&cache.part(&sha256, SIZE, fetch).unwrap()), bytes);
            });
        }
    });
    fetched.into_inner()
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
