//! A scan is created once and found again.

use super::{ScannerHarness, assert_counted, created, marker, request};
use crate::scanner::{ScanRequest, ScanState, ScannerError};

/// A create makes one scan, finds none for another marker, and launches nothing.
pub async fn a_scan_is_created_once_and_not_launched(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    assert_eq!(scanner.find_by_marker(&marker(1)).await.unwrap(), None, "it is empty at first");
    let scan = created(harness, 1).await;
    assert_eq!(scanner.find_by_marker(&marker(1)).await.unwrap(), Some(scan.clone()));
    assert_eq!(scanner.status(&scan).await.unwrap().state, ScanState::Created);
    let other = created(harness, 2).await;
    assert_ne!(scan, other);
    assert_counted(harness, 1, 1, 0).await;
}

/// A part of a marker, a longer one, and a marker that stands in a name are not the marker of a scan.
pub async fn a_scan_is_found_by_its_whole_marker(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let mut misleading = request(harness, 1);
    misleading.name = format!("again like [{}]", marker(7));
    let scan = scanner.create(&misleading).await.unwrap();
    let whole = marker(1);
    assert_eq!(scanner.find_by_marker(&whole).await.unwrap(), Some(scan));
    for other in [marker(7), whole[..whole.len() - 1].to_owned(), whole[1..].to_owned(), format!("{whole}.2")] {
        assert_eq!(scanner.find_by_marker(&other).await.unwrap(), None, "{other}");
    }
}

/// Names are cut, markers are not.
pub async fn a_long_name_does_not_hide_the_marker(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    for (number, name) in [(1, "x".repeat(255)), (2, "ü".repeat(400)), (3, String::new())] {
        let mut long = request(harness, number);
        long.name = name;
        let scan = scanner.create(&long).await.unwrap();
        assert_eq!(scanner.find_by_marker(&marker(number)).await.unwrap(), Some(scan), "{}", long.name);
    }
}

/// Adopting either could leave the other running unseen.
pub async fn of_two_scans_with_one_marker_neither_is_taken(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let mut both = [created(harness, 1).await, created(harness, 1).await];
    match scanner.find_by_marker(&marker(1)).await {
        Err(ScannerError::AmbiguousMarker { marker: named, mut scans }) => {
            both.sort_by_key(ToString::to_string);
            scans.sort_by_key(ToString::to_string);
            assert_eq!((named, scans.as_slice()), (marker(1), both.as_slice()));
        }
        other => panic!("two scans carry the marker: {other:?}"),
    }
    scanner.delete(&both[0]).await.unwrap();
    assert_eq!(
        scanner.find_by_marker(&marker(1)).await.unwrap(),
        Some(both[1].clone()),
        "a deleted one does not count"
    );
}

/// All scans with a marker are listed, whoever has made them, and no others.
pub async fn scans_with_a_marker_are_listed(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let (first, second) = (created(harness, 1).await, created(harness, 2).await);
    let nameless = ScanRequest::new("no task", "conformance", harness.targets());
    scanner.create(&nameless).await.unwrap();
    let listed = match scanner.marked_scans().await {
        Err(ScannerError::Unsupported(_)) => return,
        listed => listed.unwrap(),
    };
    let mut found: Vec<_> = listed.iter().map(|scan| (scan.task_id.to_string(), scan.scan_id.clone())).collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(found, [(marker(1), first.clone()), (marker(2), second)]);
    scanner.delete(&first).await.unwrap();
    assert_eq!(scanner.marked_scans().await.unwrap().len(), 1, "a deleted one does not count");
}
