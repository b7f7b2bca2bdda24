//! What is kept, what goes, and no disk that stops it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{HOUR, PLENTY, PartCache, SIZE, Said, content, get, get_kept, is_on_disk, path_in, set_used};
use crate::{durable, parts::PartFigures};

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
    assert_eq!(later.figures(), PartFigures { hits: 2, ..PartFigures::default() });
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
    assert_eq!((cache.figures().evicted, other.figures().evicted), (3, 1));
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
            let after = asked.figures();
            assert_eq!(after.misses, before.misses + 1, "{number}");
            assert_eq!(after.damaged, before.damaged + u64::from(number != 4), "{number}");
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
    let name = "parts::tests::disk::a_disk_that_is_full_or_read_only_stops_nothing";
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
