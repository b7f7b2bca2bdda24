use super::{
    tests::{WHOLE, export, launched, request, seen},
    *,
};
use crate::{
    scanner::{SshCredential, SshLogin},
    secret::Secret,
    time::Timestamp,
};

fn kept_in(directory: &std::path::Path) -> MockScanner {
    MockScanner::new(MockConfig::new().scan_duration(WHOLE).keep_in(directory.join("lab/play")))
}

/// What a worker does that takes over from one that was killed.
#[tokio::test]
async fn another_process_goes_on_with_a_scan() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (kept_in(directory.path()), kept_in(directory.path()));
    let scan = launched(&one, "m").await;
    assert_eq!(other.find_by_marker("m").await.unwrap().as_ref(), Some(&scan));
    assert_eq!(other.find_by_marker("other").await.unwrap(), None);
    assert_eq!(seen(&other, &scan).await.0, ScanState::Pending);
    other.pause(&scan).await.unwrap();
    assert_eq!(seen(&one, &scan).await.0, ScanState::Paused);
    assert_eq!(one.status(&scan).await.unwrap().run_uuid, other.status(&scan).await.unwrap().run_uuid);
    one.stop(&scan).await.unwrap();
    assert_eq!(seen(&other, &scan).await.0, ScanState::Cancelled);
    assert!(export(&other, &scan).await.unwrap().contains("nightly [m]"));
    other.delete(&scan).await.unwrap();
    assert!(matches!(one.status(&scan).await, Err(ScannerError::NotFound(_))));
    assert_eq!(kept_in(directory.path()).find_by_marker("m").await.unwrap(), None);
}

/// A scan runs on while no process is there to look at it.
#[tokio::test]
async fn time_passes_for_a_scan_that_nobody_looks_at() {
    let at = Timestamp::from_millis(1_000_000);
    let run = Run::new("run".to_owned(), Instant::now());
    let later = |seconds: u64| Run::of_saved(run.saved(at), at.plus(Duration::from_secs(seconds)));
    assert_eq!(later(50).state(Instant::now(), WHOLE), ScanState::Running);
    assert_eq!(later(101).state(Instant::now(), WHOLE), ScanState::Completed);
    let mut held = run.clone();
    held.hold(Instant::now());
    assert_eq!(Run::of_saved(held.saved(at), at.plus(WHOLE * 2)).state(Instant::now(), WHOLE), ScanState::Paused);
}

#[tokio::test]
async fn two_processes_never_give_two_scans_one_id() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (kept_in(directory.path()), kept_in(directory.path()));
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(one.create(&request(&format!("one-{number}"))).await.unwrap());
        ids.push(other.create(&request(&format!("other-{number}"))).await.unwrap());
    }
    ids.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    ids.dedup();
    assert_eq!(ids.len(), 40);
    assert!(other.find_by_marker("one-7").await.unwrap().is_some());
}

#[tokio::test]
async fn a_login_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let scanner = kept_in(directory.path());
    let mut with_login = request("m");
    with_login.credential =
        Some(ScanCredential::Ssh(SshCredential::new("root", SshLogin::Password(Secret::new("hunter2")))));
    let scan = scanner.create(&with_login).await.unwrap();
    scanner.launch(&scan).await.unwrap();
    assert!(scanner.credential_of(&scan).is_some());
    let file = directory.path().join("lab/play").join(format!("{scan}.json"));
    assert!(!std::fs::read_to_string(file).unwrap().contains("hunter2"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error_and_no_missing_scan() {
    let directory = tempfile::tempdir().unwrap();
    let scanner = kept_in(directory.path());
    let scan = launched(&scanner, "m").await;
    let file = directory.path().join("lab/play").join(format!("{scan}.json"));
    crate::durable::replace(&file, b"{broken").unwrap();
    assert!(matches!(kept_in(directory.path()).status(&scan).await, Err(ScannerError::Storage(_))));
    assert!(matches!(kept_in(directory.path()).find_by_marker("m").await, Err(ScannerError::Storage(_))));
}
