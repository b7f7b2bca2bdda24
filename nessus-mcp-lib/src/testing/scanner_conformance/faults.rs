//! What goes wrong around a scanner: it is out of reach, its caller comes too late, goes away, or is one of many.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use super::{ScannerHarness, assert_counted, completed, created, launched, marker, reached, request};
use crate::{
    error::{Classified, ErrorKind},
    ids::ScanId,
    scanner::{ScanState, ScannerError, act_until},
    time::BootInstant,
};

/// Every call says that it may be repeated, and a create that it did nothing.
pub async fn a_scanner_out_of_reach_is_retryable_and_has_not_acted(harness: &dyn ScannerHarness) {
    let Some(scanner) = harness.unreachable().await else { return };
    let scan = ScanId::from(1);
    let create = scanner.create(&request(harness, 1)).await.unwrap_err();
    assert!(!create.may_have_acted(), "{create:?}");
    let mut nowhere = Vec::new();
    let failures: [ScannerError; 6] = [
        create,
        scanner.find_by_marker(&marker(1)).await.map(drop).unwrap_err(),
        scanner.status(&scan).await.map(drop).unwrap_err(),
        scanner.export(&scan, &mut nowhere).await.map(drop).unwrap_err(),
        scanner.stop(&scan).await.unwrap_err(),
        scanner.properties().await.map(drop).unwrap_err(),
    ];
    for error in failures {
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error:?}");
    }
    // Nothing to log out of, and nothing to wait for.
    scanner.close().await;
}

/// A worker that stood still must not create or launch when it goes on: see [`crate::scanner::permit_is_valid`].
pub async fn nothing_is_created_or_launched_too_late(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let error = act_until(BootInstant::now(), scanner.create(&request(harness, 1))).await.0.unwrap_err();
    assert!(!error.may_have_acted(), "{error:?}");
    assert_eq!(scanner.find_by_marker(&marker(1)).await.unwrap(), None);
    let scan = created(harness, 1).await;
    let error = act_until(BootInstant::now(), scanner.launch(&scan)).await.0.unwrap_err();
    assert!(!error.may_have_acted(), "{error:?}");
    assert_eq!(scanner.status(&scan).await.unwrap().state, ScanState::Created);
    assert_counted(harness, 1, 1, 0).await;
    let in_time = BootInstant::now() + Duration::from_secs(3600);
    act_until(in_time, scanner.launch(&scan)).await.0.unwrap();
    assert_counted(harness, 1, 1, 1).await;
}

/// One value serves all tasks of a worker at once.
pub async fn many_tasks_share_a_scanner(harness: &dyn ScannerHarness) {
    const TASKS: u32 = 8;
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let (scanner, request) = (harness.scanner(), request(harness, number));
        tasks.spawn(async move {
            let scan = scanner.create(&request).await.unwrap();
            assert_eq!(scanner.find_by_marker(&request.marker).await.unwrap(), Some(scan.clone()));
            scanner.launch(&scan).await.unwrap();
            scan
        });
    }
    let scans = tasks.join_all().await;
    let different: BTreeSet<_> = scans.iter().map(ScanId::to_string).collect();
    assert_eq!(different.len(), scans.len());
    for scan in &scans {
        reached(harness, scan, |state| state == ScanState::Completed).await;
    }
    for number in 0..TASKS {
        assert_counted(harness, number, 1, 1).await;
    }
}

/// A caller may go away at any moment: a call that is dropped takes nothing with it, and does nothing twice.
pub async fn a_dropped_call_breaks_nothing(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let ended = completed(harness, 1).await;
    let running = launched(harness, 2).await;
    for micros in [0, 50, 200, 800, 3_000, 12_000] {
        let patience = Duration::from_micros(micros);
        let mut part = Vec::new();
        let _ = timeout(patience, scanner.properties()).await;
        let _ = timeout(patience, scanner.find_by_marker(&marker(1))).await;
        let _ = timeout(patience, scanner.status(&running)).await;
        let _ = timeout(patience, scanner.export(&ended, &mut part)).await;
    }
    for (number, micros) in (10..).zip([0, 50, 200, 800, 3_000, 12_000]) {
        let (_, request) = (timeout(Duration::from_micros(micros), scanner.close()).await, request(harness, number));
        let _ = timeout(Duration::from_micros(micros), scanner.create(&request)).await;
        // What was sent may still arrive.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let found = scanner.find_by_marker(&request.marker).await.unwrap();
        if let Some(counted) = harness.counted(&request.marker).await {
            assert_eq!(counted.creates, u64::from(found.is_some()), "at most one, and it is found");
        }
    }
    let status = reached(harness, &running, |state| state == ScanState::Completed).await;
    assert_ne!(status.state, ScanState::Cancelled);
    assert_counted(harness, 2, 1, 1).await;
    let scanner = Arc::clone(&scanner);
    let mut whole = Vec::new();
    assert_eq!(scanner.export(&ended, &mut whole).await.unwrap().bytes, whole.len() as u64);
}

/// Closing ends a session, not the scanner.
pub async fn a_closed_scanner_can_be_used_again(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    scanner.close().await;
    let scan = launched(harness, 1).await;
    scanner.close().await;
    scanner.close().await;
    reached(harness, &scan, |state| state == ScanState::Completed).await;
    assert_counted(harness, 1, 1, 1).await;
}

/// Health checks ask for it; a product is what a person wants to know first.
pub async fn a_scanner_says_what_it_is(harness: &dyn ScannerHarness) {
    let properties = harness.scanner().properties().await.unwrap();
    assert!(properties.product.is_some_and(|product| !product.trim().is_empty()), "`properties` names no product");
}
