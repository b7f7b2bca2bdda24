//! Watching a scan until it ends.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{outcome::StepError, road::Held};
use crate::{
    error::{Classified, chain},
    ids::ScanId,
    scanner::{ScanState, ScanStatus, ScannerError},
    task::TaskStatus,
};

/// The first time between two looks; it grows up to the configured interval.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);
/// How long a scanner may be out of reach before the worker gives the task back.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Looks at the scan until it has ended and records its progress; returns its last status.
///
/// A scanner that does not answer for a while is waited for. A scan that takes longer than it may is stopped.
pub(super) async fn until_ended(held: &Held<'_>, scan: &ScanId) -> Result<ScanStatus, StepError> {
    let mut interval = Interval::new(held.shared.settings.poll_interval);
    let mut last_answer = Instant::now();
    let mut last_state = None;
    loop {
        match held.unless_stopped(held.instance.scanner.status(scan)).await? {
            Ok(status) => {
                last_answer = Instant::now();
                if last_state != Some(status.state) {
                    info!(%scan, state = ?status.state, progress = status.progress, "scan");
                    last_state = Some(status.state);
                }
                if status.state.is_terminal() {
                    return Ok(status);
                }
                held.record_progress(&status).await?;
            }
            Err(error) if error.is_retryable() && last_answer.elapsed() < UNREACHABLE_LIMIT => {
                warn!(%scan, error = chain(&error), "the scanner does not answer; the scan goes on");
            }
            Err(error) => return Err(error.into()),
        }
        held.check_time(scan).await?;
        held.pause(interval.next()).await?;
    }
}

/// What a scan that has ended means for its task: nothing when its results are whole.
pub(super) fn check_end(status: &ScanStatus) -> Result<(), StepError> {
    let detail = status.detail.as_deref().unwrap_or("no reason given");
    match status.state {
        ScanState::Completed => Ok(()),
        ScanState::Cancelled => Err(StepError::Scan {
            status: TaskStatus::Cancelled,
            code: "scan_cancelled",
            message: "the scan was stopped on the scanner".to_owned(),
        }),
        ScanState::Aborted => Err(StepError::failed(
            "scan_aborted",
            format!("the scanner gave the scan up: {}", crate::error::excerpt(detail)),
        )),
        other => Err(StepError::failed("scan_not_ended", format!("the scan is {other:?} and has no results"))),
    }
}

/// Stops a scan that has used up its time. The task ends as timed out whether the scanner answers or not.
pub(super) async fn stop_overdue(held: &Held<'_>, scan: &ScanId) -> StepError {
    let limit = held.shared.settings.scan_timeout;
    if let Err(error) = held.instance.scanner.stop(scan).await {
        let gone = matches!(error, ScannerError::NotFound(_));
        if !gone {
            warn!(%scan, error = chain(&error), "the overdue scan could not be stopped");
        }
    }
    StepError::Scan {
        status: TaskStatus::Timeout,
        code: "scan_timeout",
        message: format!("the scan took longer than {} seconds and was stopped", limit.as_secs()),
    }
}

/// Intervals that grow by half from [`FIRST_INTERVAL`] to a limit: short scans are noticed soon, long ones cost little.
struct Interval {
    next: Duration,
    limit: Duration,
}

impl Interval {
    fn new(limit: Duration) -> Self {
        Self { next: FIRST_INTERVAL.min(limit), limit }
    }

    fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 3 / 2).min(self.limit);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_up_to_the_limit() {
        let mut interval = Interval::new(Duration::from_secs(1));
        let first: Vec<_> = std::iter::repeat_with(|| interval.next().as_millis()).take(4).collect();
        assert_eq!(first, [500, 750, 1000, 1000]);
        let mut short = Interval::new(Duration::from_millis(20));
        assert_eq!((short.next().as_millis(), short.next().as_millis()), (20, 20));
    }
}
