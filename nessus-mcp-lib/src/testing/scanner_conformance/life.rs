//! The life of a scan, from its launch to its deletion.

use std::time::Duration;

use super::{ScannerHarness, assert_counted, completed, created, launched, marker, reached};
use crate::{
    ids::ScanId,
    scanner::{ScanState, ScannerError},
};

/// Progress is 100 only at the end; the name of the run stays the same. Progress may fall, as when more hosts are found:
/// the worker does not show that.
pub async fn a_scan_runs_to_its_end(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let scan = created(harness, 1).await;
    let run = scanner.launch(&scan).await.unwrap();
    let mut ended = false;
    for _ in 0..1200 {
        let status = scanner.status(&scan).await.unwrap();
        assert_ne!(status.state, ScanState::Created, "it was launched");
        if let (Some(run), Some(shown)) = (&run, &status.run_uuid) {
            assert_eq!(run, shown);
        }
        if let Some(progress) = status.progress {
            assert!(progress < 100 || (progress == 100 && status.state == ScanState::Completed), "{status:?}");
        }
        ended = status.state.is_terminal();
        if ended {
            assert_eq!(status.state, ScanState::Completed, "{status:?}");
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ended, "it takes longer than a minute");
    let status = scanner.status(&scan).await.unwrap();
    assert_eq!(status.state, ScanState::Completed, "what has ended does not change");
    assert_counted(harness, 1, 1, 1).await;
}

/// A launch whose answer was lost shows when it is repeated; it must not become a second run.
pub async fn a_running_scan_is_not_launched_again(harness: &dyn ScannerHarness) {
    let scan = launched(harness, 1).await;
    let error = harness.scanner().launch(&scan).await.unwrap_err();
    assert!(matches!(error, ScannerError::Conflict(_)), "{error:?}");
    reached(harness, &scan, |state| state == ScanState::Completed).await;
    assert_counted(harness, 1, 1, 1).await;
}

/// A stop may take its time; repeated, and where there is nothing to stop, it is fine.
pub async fn a_scan_is_stopped(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let scan = launched(harness, 1).await;
    reached(harness, &scan, |state| state == ScanState::Running).await;
    scanner.stop(&scan).await.unwrap();
    scanner.stop(&scan).await.unwrap();
    let status = reached(harness, &scan, ScanState::is_terminal).await;
    assert_eq!(status.state, ScanState::Cancelled, "{status:?}");
    assert_ne!(status.progress, Some(100));
    scanner.stop(&scan).await.unwrap();
    scanner.stop(&created(harness, 2).await).await.unwrap();
    let ended = completed(harness, 3).await;
    scanner.stop(&ended).await.unwrap();
    assert_eq!(scanner.status(&ended).await.unwrap().state, ScanState::Completed, "it was faster");
}

/// A scan that is held is not running, and goes on where it stood.
pub async fn a_scan_is_held_and_goes_on(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let scan = launched(harness, 1).await;
    reached(harness, &scan, |state| state == ScanState::Running).await;
    match scanner.pause(&scan).await {
        Err(ScannerError::Unsupported(_)) => {
            assert!(matches!(scanner.resume(&scan).await, Err(ScannerError::Unsupported(_))), "both or none");
        }
        paused => {
            paused.unwrap();
            reached(harness, &scan, |state| state == ScanState::Paused).await;
            scanner.resume(&scan).await.unwrap();
        }
    }
    reached(harness, &scan, |state| state == ScanState::Completed).await;
    assert_counted(harness, 1, 1, 1).await;
}

/// A scan that somebody has deleted must end its task, so it has to be told from a scanner that fails.
pub async fn what_does_not_exist_is_not_found(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let scan: ScanId = created(harness, 1).await;
    scanner.delete(&scan).await.unwrap();
    let mut nowhere = Vec::new();
    let failures = [
        scanner.status(&scan).await.map(drop).unwrap_err(),
        scanner.launch(&scan).await.map(drop).unwrap_err(),
        scanner.export(&scan, &mut nowhere).await.map(drop).unwrap_err(),
    ];
    for error in failures {
        assert!(matches!(error, ScannerError::NotFound(_)), "{error:?}");
    }
    assert!(nowhere.is_empty());
}

/// Deleting is repeated after a lost answer.
pub async fn a_deleted_scan_is_gone(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    for scan in [created(harness, 1).await, completed(harness, 2).await] {
        scanner.delete(&scan).await.unwrap();
        scanner.delete(&scan).await.unwrap();
    }
    for number in [1, 2] {
        assert_eq!(scanner.find_by_marker(&marker(number)).await.unwrap(), None);
    }
}

/// Its results would be lost while somebody waits for them.
pub async fn a_running_scan_is_not_deleted(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let scan = launched(harness, 1).await;
    let error = scanner.delete(&scan).await.unwrap_err();
    assert!(matches!(error, ScannerError::Conflict(_)), "{error:?}");
    reached(harness, &scan, |state| state == ScanState::Completed).await;
}
