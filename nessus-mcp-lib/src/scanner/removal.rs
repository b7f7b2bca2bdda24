//! Deleting a scan whatever it does, within bounds.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    error::ScannerError,
    interface::{ScanState, ScannerInterface},
};
use crate::ids::ScanId;

/// The first pause between two looks at a scan that is to end; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest of these pauses.
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Deletes a scan whatever it does: stops it, waits until it has ended, kills it after half of `limit`, then moves it to
/// the trash, if there is one, and deletes it. Fine when it is gone already.
///
/// # Errors
/// [`ScannerError::TimedOut`] when it has not ended within `limit`, or why the scanner could not be asked.
pub async fn remove_scan(scanner: &dyn ScannerInterface, scan: &ScanId, limit: Duration) -> Result<(), ScannerError> {
    let since = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut is_killed = false;
    match ended(scanner, scan).await? {
        Some(true) => {}
        Some(false) => scanner.stop(scan).await.or_else(gone)?,
        None => return Ok(()),
    }
    loop {
        match ended(scanner, scan).await? {
            // A scan that has just ended may be busy for a moment still.
            Some(true) => match delete(scanner, scan).await {
                Err(conflict @ ScannerError::Conflict(_)) if since.elapsed() >= limit => return Err(conflict),
                Err(ScannerError::Conflict(_)) => {}
                outcome => return outcome,
            },
            Some(false) if since.elapsed() >= limit => {
                return Err(ScannerError::TimedOut {
                    what: format!("the end of scan {scan}"),
                    waited: since.elapsed(),
                });
            }
            Some(false) if !is_killed && since.elapsed() >= limit / 2 => {
                is_killed = true;
                scanner.kill(scan).await.or_else(gone)?;
            }
            Some(false) => {}
            None => return Ok(()),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Whether a scan can be deleted; `None` when it is gone.
async fn ended(scanner: &dyn ScannerInterface, scan: &ScanId) -> Result<Option<bool>, ScannerError> {
    match scanner.status(scan).await {
        Ok(status) => Ok(Some(status.state.is_terminal() || status.state == ScanState::Created)),
        Err(ScannerError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Through the trash: a scan that cannot be deleted after all is then not found by its marker any more.
async fn delete(scanner: &dyn ScannerInterface, scan: &ScanId) -> Result<(), ScannerError> {
    match scanner.trash(scan).await {
        Ok(()) | Err(ScannerError::Unsupported(_) | ScannerError::NotFound(_)) => {}
        // What counts is that it is deleted.
        Err(error) => tracing::debug!(%scan, %error, "a scan could not be moved to the trash"),
    }
    scanner.delete(scan).await
}

fn gone(error: ScannerError) -> Result<(), ScannerError> {
    if matches!(error, ScannerError::NotFound(_)) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::{MockConfig, MockOperation, MockScanner, ScanRequest};

    const LIMIT: Duration = Duration::from_secs(60);

    async fn launched(stop: Duration) -> (MockScanner, ScanId) {
        let config = MockConfig::new().scan_duration(Duration::from_secs(36_000)).stop_duration(stop);
        let scanner = MockScanner::new(config);
        let scan = scanner.create(&ScanRequest::new("m", "n", "192.0.2.1")).await.unwrap();
        scanner.launch(&scan).await.unwrap();
        (scanner, scan)
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_scan_is_stopped_and_deleted() {
        let (scanner, scan) = launched(Duration::from_secs(20)).await;
        remove_scan(&scanner, &scan, LIMIT).await.unwrap();
        assert!(matches!(scanner.status(&scan).await, Err(ScannerError::NotFound(_))));
        assert_eq!((scanner.calls(MockOperation::Stop), scanner.calls(MockOperation::Kill)), (1, 0));
        remove_scan(&scanner, &scan, LIMIT).await.unwrap();
        let idle = scanner.create(&ScanRequest::new("m", "n", "192.0.2.1")).await.unwrap();
        remove_scan(&scanner, &idle, LIMIT).await.unwrap();
        assert_eq!(scanner.calls(MockOperation::Stop), 1, "what does not run is not stopped");
    }

    #[tokio::test(start_paused = true)]
    async fn a_scan_that_does_not_stop_is_killed_and_then_given_up() {
        let (scanner, scan) = launched(Duration::from_secs(3600)).await;
        remove_scan(&scanner, &scan, LIMIT).await.unwrap();
        assert_eq!(scanner.calls(MockOperation::Kill), 1);

        let (scanner, scan) = launched(Duration::from_secs(3600)).await;
        let outcome = remove_scan(&scanner, &scan, Duration::ZERO).await;
        assert!(matches!(outcome, Err(ScannerError::TimedOut { .. })), "{outcome:?}");
        assert_eq!(scanner.status(&scan).await.unwrap().state, crate::scanner::ScanState::Stopping);
    }
}
