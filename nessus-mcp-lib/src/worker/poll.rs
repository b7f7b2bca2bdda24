//! Watching a scan until it ends.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    held_task::HeldTask,
    outcome::{StepError, StopReason},
    pause::Pauses,
    stall::StallDetector,
};
use crate::{
    error::{Classified, chain, excerpt},
    ids::ScanId,
    scanner::{ScanState, ScanStatus, ScannerError, ScannerInterface as _},
    task::{EventKind, Step, Task, TaskStatus},
    time::{Clock as _, random_fraction},
};

/// The first time between two looks; it grows up to the configured interval.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);
/// How long a scanner may be out of reach before the worker gives the task back.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long a scan that shall stop may take for it, and its scanner may be out of reach, before its task ends without.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(30 * 60);
/// When a scan that still runs is told to stop again: the first time may not have arrived.
const STOP_AGAIN: Duration = Duration::from_secs(30);
/// When a scan that is being stopped and still does not end is killed: some plugins take minutes to stop by themselves.
const KILL_AFTER: Duration = Duration::from_secs(5 * 60);
/// How soon a cancel request is noticed.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// A scan that does not change any more.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its last status.
    pub status: ScanStatus,
    /// Why we told it to stop, if we did.
    pub stopped: Option<StopReason>,
}

/// A scan that is being stopped.
struct Stopping {
    reason: StopReason,
    since: Instant,
    /// When the scanner last accepted to stop it.
    asked: Option<Instant>,
}

impl Stopping {
    fn new(reason: StopReason) -> Self {
        Self { reason, since: Instant::now(), asked: None }
    }
}

/// Looks at the scan until it has ended and records its progress.
///
/// A scanner that does not answer for a while is waited for. A scan that takes longer than it may, or that somebody
/// wants to be cancelled, is stopped; it may end by itself first all the same. `reason` is why it shall stop already.
///
/// # Errors
/// Also when a scan that is to be stopped does not end, or is gone: the task ends as its [`StopReason`] says. While it
/// is being stopped, an error of the scanner is no reason to give up before [`STOP_LIMIT`] is over.
pub(super) async fn until_ended(
    held: &HeldTask<'_>,
    scan: &ScanId,
    reason: Option<StopReason>,
) -> Result<Ended, StepError> {
    let mut interval = Interval::new(held.shared.settings.poll_interval);
    let mut last_answer = Instant::now();
    let mut last_state = None;
    let mut stopping = reason.map(Stopping::new);
    let mut stall = StallDetector::new(&held.shared.settings);
    let mut pauses = Pauses::default();
    loop {
        let (task, stalled, failure) = match held.unless_stopped(held.instance.scanner.status(scan)).await? {
            Ok(status) => {
                last_answer = Instant::now();
                if last_state != Some(status.state) {
                    let state = status.state.as_str();
                    info!(%scan, state, progress = status.progress, "the scanner reports another state of the scan");
                    last_state = Some(status.state);
                }
                if status.state.is_terminal() {
                    held.record(&status).await?;
                    return Ok(Ended { status, stopped: stopping.map(|stopping| stopping.reason) });
                }
                let task = held.record(&status).await?;
                crate::fail_points::fail_point!("worker_polled");
                let clock = &held.shared.clock;
                let stalled = stall.check(&task, status.state, clock.now()).filter(|_| clock.is_trusted());
                if stopping.is_some() || stalled.is_some() || held.reason_to_stop(&task).is_some() {
                    (task, stalled, None)
                } else {
                    let before = task.pause.clone();
                    let (task, refused) = pauses.follow(held, scan, task, status.state).await?;
                    if task.pause != before {
                        // What comes of it is seen soon.
                        interval = Interval::new(held.shared.settings.poll_interval);
                    }
                    (task, None, refused)
                }
            }
            Err(ScannerError::NotFound(what)) => {
                held.close_scan(scan).await?;
                return Err(stopping.map_or(ScannerError::NotFound(what).into(), |stopping| stopping.reason.error()));
            }
            Err(error) if stopping.is_some() || (error.is_retryable() && last_answer.elapsed() < UNREACHABLE_LIMIT) => {
                warn!(%scan, error = chain(&error), "the scanner does not answer; the scan goes on");
                (held.task().await?, None, Some(error))
            }
            Err(error) => return Err(error.into()),
        };
        if stopping.is_none()
            && let Some(reason) = held.reason_to_stop(&task).or(stalled)
        {
            let by = task.last_by(&EventKind::CancelRequested);
            info!(%scan, by, why = reason.error().message(), "the scan is stopped");
            stopping = Some(Stopping::new(reason));
            interval = Interval::new(held.shared.settings.poll_interval);
        }
        if let Some(stopping) = &mut stopping {
            stop(held, scan, stopping).await?;
            if stopping.since.elapsed() >= STOP_LIMIT {
                return Err(unstopped(held, scan, &stopping.reason).await?);
            }
        }
        let mut wait = spread(interval.next());
        if let Some(failure) = failure {
            wait = wait.max(failure.retry_after().unwrap_or_default());
            held.step_failed(Step::Watch, &failure.into(), wait).await;
        }
        let is_stopping = stopping.is_some();
        let is_due = |task: &Task| {
            let is_wished = || last_state.is_some_and(|seen| Pauses::is_due(held, task, seen));
            !is_stopping && (held.reason_to_stop(task).is_some() || is_wished())
        };
        pause(held, wait, is_due).await?;
    }
}

/// Stops a scan of an earlier attempt, if it runs, and waits until it has ended.
pub(super) async fn until_stopped(held: &HeldTask<'_>, scan: &ScanId) -> Result<(), StepError> {
    let mut interval = Interval::new(held.shared.settings.poll_interval);
    let mut stopping = Stopping::new(StopReason::Requested(String::new()));
    loop {
        match held.unless_stopped(held.instance.scanner.status(scan)).await? {
            Err(ScannerError::NotFound(_)) => return Ok(()),
            Ok(status) if status.state.is_terminal() || status.state == ScanState::Created => return Ok(()),
            Ok(_) => stop(held, scan, &mut stopping).await?,
            Err(error) => return Err(error.into()),
        }
        if stopping.since.elapsed() >= STOP_LIMIT {
            let instance = &held.instance.instance_id;
            let message =
                format!("the scan {scan} of an earlier attempt does not stop: it may still run on `{instance}`");
            return Err(StepError::failed("earlier_scan_runs", message));
        }
        held.pause(spread(interval.next())).await?;
    }
}

/// The end of a task whose scan may still run, which it says.
async fn unstopped(held: &HeldTask<'_>, scan: &ScanId, reason: &StopReason) -> Result<StepError, StepError> {
    let instance = &held.instance.instance_id;
    let warning =
        format!("the scan {scan} on `{instance}` did not confirm that it has stopped: it may still run there");
    warn!(%scan, %instance, "the scan does not stop; the task ends without it");
    let said = warning.clone();
    held.update(move |task| task.validation_warnings.push(said)).await?;
    Ok(reason.error_with(&warning))
}

/// Tells the scanner to stop the scan, and again after a while; in the end, to kill it.
async fn stop(held: &HeldTask<'_>, scan: &ScanId, stopping: &mut Stopping) -> Result<(), StepError> {
    if stopping.asked.is_some_and(|asked| asked.elapsed() < STOP_AGAIN) {
        return Ok(());
    }
    held.confirm().await?;
    held.give_up_scan(scan).await?;
    let scanner = &held.instance.scanner;
    let told = if stopping.since.elapsed() < KILL_AFTER {
        scanner.stop(scan).await
    } else {
        info!(%scan, "the scan does not stop and is killed");
        scanner.kill(scan).await
    };
    match told {
        Ok(()) => {
            crate::fail_points::fail_point!("worker_scan_stopped");
            stopping.asked = Some(Instant::now());
        }
        // Seen as such, and decided upon, when it is looked at the next time.
        Err(ScannerError::NotFound(_)) => {}
        Err(error) => warn!(%scan, error = chain(&error), "the scan could not be stopped yet"),
    }
    Ok(())
}

/// Waits for the next look, or less when the task becomes one that something has to be done about.
pub(super) async fn pause(
    held: &HeldTask<'_>,
    duration: Duration,
    is_due: impl Fn(&Task) -> bool,
) -> Result<(), StepError> {
    let until = Instant::now() + duration;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        held.pause(left.min(WATCH_INTERVAL)).await?;
        if left <= WATCH_INTERVAL || is_due(&held.task().await?) {
            return Ok(());
        }
    }
}

/// What a scan that has ended means for its task: nothing when its results are whole.
pub(super) fn check_end(ended: &Ended) -> Result<(), StepError> {
    let detail = ended.status.detail.as_deref().unwrap_or("no reason given");
    match (ended.status.state, &ended.stopped) {
        // It was faster than the wish to stop it.
        (ScanState::Completed, _) => Ok(()),
        (_, Some(reason)) => Err(reason.error()),
        (ScanState::Cancelled, None) => Err(StepError::Scan {
            status: TaskStatus::Cancelled,
            code: "scan_cancelled",
            message: "the scan was stopped on the scanner".to_owned(),
        }),
        (ScanState::Aborted, None) => {
            Err(StepError::failed("scan_aborted", format!("the scanner gave the scan up: {}", excerpt(detail))))
        }
        (other, None) => Err(StepError::failed("scan_not_ended", format!("the scan is {other:?} and has no results"))),
    }
}

/// The interval, randomly up to a fifth shorter: scans that were launched together shall not be polled together for ever.
fn spread(interval: Duration) -> Duration {
    interval.mul_f64(1.0 - random_fraction() / 5.0)
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
