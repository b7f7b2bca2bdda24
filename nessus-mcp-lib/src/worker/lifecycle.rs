//! The road of a task on its scanner: find or create, launch, watch, fetch, complete.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    engine::Shared,
    heartbeat::TRUSTED_TENTHS,
    outcome::StepError,
    poll::{self, Ended, StopReason},
    results,
};
use crate::{
    error::{Classified as _, chain},
    ids::ScanId,
    queue::{Lease, RenewOutcome},
    scanner::{self, DEFAULT_TEMPLATE, RequestSent, ScanRequest, ScanState, ScanStatus, ScannerError, ScannerInstance},
    task::{Artifact, LastError, Observation, ScanType, Step, Task, TaskStatus, Writer},
    time::{BootInstant, Clock as _, Timestamp},
};

/// The pauses before the tries to remove the login from a scan that has ended.
const FORGET_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];

/// A task we hold, with a slot on a scanner.
pub(super) struct Held<'a> {
    pub(super) shared: &'a Shared,
    pub(super) instance: &'a ScannerInstance,
    lease: &'a Lease,
    lost: CancellationToken,
    started_at: Timestamp,
    /// Whether the queue knows that we get somewhere with the task.
    is_noted: AtomicBool,
}

/// Drives the task from where it stands to the end of its scan.
pub(super) async fn drive(held: &Held<'_>) -> Result<(ScanId, Ended), StepError> {
    let started_at = held.started_at;
    let task = held
        .update(move |task| {
            task.status = TaskStatus::Running;
            task.started_at = Some(started_at);
        })
        .await?;
    // From here on no earlier claim can write. One that has until now may have gone on elsewhere.
    crate::fail_points::fail_point!("worker_fence_written");
    if task.next_instance().is_some_and(|bound| *bound != held.instance.instance_id) {
        return Err(StepError::Stopped);
    }
    held.remove_leftovers().await?;
    let task = if task.nessus_scan_id.is_none() { end_earlier(held, task).await? } else { task };
    let reason = held.reason_to_stop(&task);
    let scan = match &reason {
        None => {
            let scan = find_or_create(held, &task).await?;
            launch_once(held, &scan).await?;
            scan
        }
        Some(reason) => match launched(held, &task).await? {
            Some(scan) => scan,
            None => return Err(reason.error()),
        },
    };
    let ended = poll::until_ended(held, &scan, reason).await?;
    Ok((scan, ended))
}

/// Brings the task of a scan that has ended to its completion.
pub(super) async fn complete(held: &Held<'_>, scan: &ScanId, ended: &Ended) -> Result<(), StepError> {
    let task = held.task().await?;
    if task.scan_type != ScanType::Untrusted {
        forget_credentials(held, scan).await?;
    }
    if let Err(error) = poll::check_end(ended) {
        if let StepError::Scan { status, .. } = &error {
            results::keep_partial(held, &task, scan, &ended.status, *status).await?;
        }
        return Err(error);
    }
    results::complete(held, &task, scan, &ended.status).await
}

/// Removes the login from a scan that has ended: its secrets have no business on the scanner any more. The results are
/// worth having also when that fails.
async fn forget_credentials(held: &Held<'_>, scan: &ScanId) -> Result<(), StepError> {
    for pause in FORGET_PAUSES {
        held.pause(pause).await?;
        match held.instance.scanner.forget_credentials(scan).await {
            Ok(()) | Err(ScannerError::NotFound(_)) => return Ok(()),
            Err(error) => {
                let instance = &held.instance.instance_id;
                error!(%scan, %instance, error = chain(&error), "the login could not be removed from the scan");
                if !error.is_retryable() && !matches!(error, ScannerError::Conflict(_)) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The scan of a task that shall not go on, if it was launched.
async fn launched(held: &Held<'_>, task: &Task) -> Result<Option<ScanId>, StepError> {
    let known = match &task.nessus_scan_id {
        Some(scan) => Some(scan.clone()),
        None => held.unless_stopped(held.instance.scanner.find_by_marker(&marker(task))).await??,
    };
    let Some(scan) = known else { return Ok(None) };
    if is_launched(held, &scan).await? {
        held.bind(Some(scan.clone())).await?;
        return Ok(Some(scan));
    }
    held.close_scan(&scan).await?;
    Ok(None)
}

/// Whether a scan was launched. One that was not is taken off the scanner.
async fn is_launched(held: &Held<'_>, scan: &ScanId) -> Result<bool, StepError> {
    match held.unless_stopped(held.instance.scanner.status(scan)).await? {
        Ok(status) if status.state == ScanState::Created => {
            held.confirm().await?;
            match held.instance.scanner.delete(scan).await {
                Ok(()) | Err(ScannerError::NotFound(_)) => return Ok(false),
                // Refused perhaps because a launch whose answer was lost has taken effect: then it has to be stopped.
                Err(error) => warn!(%scan, error = chain(&error), "a scan that was not launched cannot be deleted"),
            }
            let status = held.unless_stopped(held.instance.scanner.status(scan)).await??;
            Ok(status.state != ScanState::Created)
        }
        Err(ScannerError::NotFound(_)) => Ok(false),
        // Whoever stops it waits for the scanner.
        Ok(_) | Err(_) => Ok(true),
    }
}

/// The scan of this task: the one its file names, the one that carries its marker, else a new one.
async fn find_or_create(held: &Held<'_>, task: &Task) -> Result<ScanId, StepError> {
    if let Some(scan) = &task.nessus_scan_id {
        return Ok(scan.clone());
    }
    let marker = marker(task);
    if let Some(scan) = held.unless_stopped(held.instance.scanner.find_by_marker(&marker)).await?? {
        info!(%scan, "adopted a scan that exists on the scanner");
        crate::fail_points::fail_point!("worker_scan_adopted");
        held.bind(Some(scan.clone())).await?;
        return Ok(scan);
    }
    // Written before the scan is created: whoever comes after us must look for it on this scanner.
    held.bind(None).await?;
    crate::fail_points::fail_point!("worker_bound");
    let mut request = ScanRequest::new(marker, &task.payload.name, &task.payload.targets);
    request.description.clone_from(&task.payload.description);
    request.template = task.payload.template.clone().unwrap_or_else(|| DEFAULT_TEMPLATE.to_owned());
    let until = held.confirm().await?;
    crate::fail_points::fail_point!("worker_create_confirmed");
    let (created, sent) = scanner::act_until(until, held.instance.scanner.create(&request)).await;
    let scan = match created {
        Ok(scan) => scan,
        Err(error) => {
            if sent == RequestSent::No || !error.may_have_acted() {
                still_in_time(until)?;
                held.unbind().await?;
            }
            return Err(error.into());
        }
    };
    crate::fail_points::fail_point!("worker_created");
    info!(%scan, instance = %held.instance.instance_id, "scan created");
    held.bind(Some(scan.clone())).await?;
    crate::fail_points::fail_point!("worker_scan_saved");
    Ok(scan)
}

/// The text by which a task's scan is known on the scanner. A retried task must not adopt the scan that failed.
fn marker(task: &Task) -> String {
    match task.attempt {
        0 | 1 => task.task_id.to_string(),
        attempt => format!("{}.{attempt}", task.task_id),
    }
}

/// Ends the scans of earlier attempts, which may run because their scanner did not answer when they should have been
/// stopped: a task never has two. Where one is on another scanner, the task is handed back to be taken there.
async fn end_earlier(held: &Held<'_>, mut task: Task) -> Result<Task, StepError> {
    let ours = &held.instance.instance_id;
    for earlier in task.open_scans.clone().into_iter().filter(|open| open.instance_id == *ours) {
        info!(scan = %earlier.scan_id, attempt = earlier.attempt, "the scan of an earlier attempt is ended first");
        poll::until_stopped(held, &earlier.scan_id).await?;
        task = held.close_scan(&earlier.scan_id).await?;
    }
    if task.open_scans.is_empty() { Ok(task) } else { Err(StepError::Stopped) }
}

/// Launches the scan if nobody has.
async fn launch_once(held: &Held<'_>, scan: &ScanId) -> Result<(), StepError> {
    let status = held.unless_stopped(held.instance.scanner.status(scan)).await??;
    let run_uuid = if status.state == ScanState::Created {
        let until = held.confirm().await?;
        crate::fail_points::fail_point!("worker_launch_confirmed");
        match scanner::act_until(until, held.instance.scanner.launch(scan)).await.0 {
            Ok(run_uuid) => {
                crate::fail_points::fail_point!("worker_launched");
                info!(%scan, "scan launched");
                run_uuid
            }
            // "Runs already": a launch of ours or of a worker before us arrived after all.
            Err(ScannerError::Conflict(reason)) => {
                let status = held.instance.scanner.status(scan).await?;
                if status.state == ScanState::Created {
                    return Err(ScannerError::NotReady(format!("the launch is refused: {reason}")).into());
                }
                status.run_uuid
            }
            Err(error) => {
                still_in_time(until)?;
                return Err(error.into());
            }
        }
    } else {
        status.run_uuid
    };
    if run_uuid.is_some() {
        held.update(move |task| task.scan_uuid = run_uuid).await?;
        crate::fail_points::fail_point!("worker_launch_saved");
    }
    Ok(())
}

/// Makes sure that an error is not the scanner's but ours, because we came too late.
fn still_in_time(until: BootInstant) -> Result<(), StepError> {
    if BootInstant::now() < until {
        return Ok(());
    }
    warn!("the worker stood still and came too late: nothing was sent to the scanner");
    Err(StepError::LeaseLost)
}

impl Shared {
    /// Writes down that a step of a task has failed and is tried again after `pause`. A call that was not made because the
    /// scanner is left alone does not hide the failure that led to this.
    pub(super) async fn step_failed(&self, lease: &Lease, step: Step, error: &StepError, pause: Duration) {
        let now = self.clock.now();
        let (seen, next_try_at) = (LastError::new(step, error.code(), error.shown(), now), now.plus(pause));
        let not_made = matches!(error, StepError::Scanner(ScannerError::CircuitOpen(_)));
        let change = move |task: &mut Task| match &mut task.last_error {
            Some(last) if not_made => last.next_try_at = next_try_at,
            _ => task.step_failed(step, seen, next_try_at),
        };
        if let Err(error) = self.tasks.update(&lease.task_id, Writer::Worker(lease.fence), change).await {
            debug!(task_id = %lease.task_id, error = chain(&error), "a failure was not written down");
        }
    }

    /// Why this task shall not go on, and since when, if so: somebody wants it cancelled, or its time is over.
    pub(super) fn over(&self, task: &Task) -> Option<(StopReason, Timestamp)> {
        if let Some(since) = task.cancel_requested_at {
            return Some((StopReason::Requested(task.cancel_message()), since));
        }
        let limit = self.settings.scan_timeout;
        let started_at = task.started_at?;
        self.has_passed(started_at, limit).then(|| (StopReason::OutOfTime(limit), started_at.plus(limit)))
    }

    /// Whether as much time has passed, as far as we may judge.
    pub(super) fn has_passed(&self, since: Timestamp, time: Duration) -> bool {
        self.clock.is_trusted() && self.clock.now().since(since) >= time
    }
}

impl<'a> Held<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        lease: &'a Lease,
        instance: &'a ScannerInstance,
        lost: CancellationToken,
        started_at: Timestamp,
    ) -> Self {
        Self { shared, instance, lease, lost, started_at, is_noted: AtomicBool::new(false) }
    }

    /// The task as it stands now.
    pub(super) async fn task(&self) -> Result<Task, StepError> {
        Ok(self.shared.tasks.get(&self.lease.task_id).await?)
    }

    /// Changes the task in our name.
    pub(super) async fn update(&self, change: impl FnOnce(&mut Task) + Send + 'static) -> Result<Task, StepError> {
        let writer = Writer::Worker(self.lease.fence);
        Ok(self.shared.tasks.update(&self.lease.task_id, writer, change).await?)
    }

    /// Publishes a file of the task in our name.
    pub(super) async fn publish(&self, artifact: Artifact) -> Result<(), StepError> {
        Ok(self.shared.tasks.publish(artifact, Writer::Worker(self.lease.fence)).await?)
    }

    /// Binds the task to our scanner, and to its scan there when it is known, which may run from then on.
    async fn bind(&self, scan: Option<ScanId>) -> Result<(), StepError> {
        let ours = self.instance.instance_id.clone();
        let task = self
            .update(move |task| {
                let bound = task.scanner_instance_id.get_or_insert_with(|| ours.clone());
                if *bound == ours
                    && let Some(scan) = scan
                {
                    task.open_scan(&ours, &scan);
                }
            })
            .await?;
        // Another worker has bound it meanwhile: its scan, if there is one, is over there.
        if task.scanner_instance_id.as_ref() == Some(&self.instance.instance_id) {
            Ok(())
        } else {
            Err(StepError::Stopped)
        }
    }

    /// Takes the binding back: the scanner has certainly done nothing, so another may be tried.
    async fn unbind(&self) -> Result<(), StepError> {
        self.update(|task| task.scanner_instance_id.clone_from(&task.pinned_instance_id)).await?;
        Ok(())
    }

    /// Removes what a worker before us left unfinished: half an export may be a gigabyte.
    async fn remove_leftovers(&self) -> Result<(), StepError> {
        let writer = Writer::Worker(self.lease.fence);
        let removed = self.shared.tasks.remove_leftovers(&self.lease.task_id, writer).await?;
        if removed > 0 {
            info!(removed, "unfinished files of an earlier worker were removed");
        }
        Ok(())
    }

    /// Makes sure that we hold the task at this moment: asked right before the scanner is told to create or launch.
    ///
    /// The heartbeat is not enough: after a pause of the machine its verdict may come later than our next step. Returns
    /// until when we may act on the answer.
    pub(super) async fn confirm(&self) -> Result<BootInstant, StepError> {
        if self.shared.stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        let asked = BootInstant::now();
        let renewed = self.shared.queue.renew(std::slice::from_ref(self.lease), self.shared.settings.lease).await?;
        if self.lost.is_cancelled() || renewed.first() != Some(&RenewOutcome::Held) {
            return Err(StepError::LeaseLost);
        }
        Ok(asked + self.shared.settings.lease * TRUSTED_TENTHS / 10)
    }

    /// Waits, unless the worker stops.
    pub(super) async fn pause(&self, duration: Duration) -> Result<(), StepError> {
        self.unless_stopped(tokio::time::sleep(duration)).await
    }

    /// Runs something that may be dropped halfway when the worker stops: reading, never creating or launching.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, StepError> {
        tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Err(StepError::Stopped),
            result = work => Ok(result),
        }
    }

    /// Writes down what was seen of the scan, and progress when it has grown; returns the task. Without a change it only
    /// notices that somebody ended the task or took it over.
    pub(super) async fn record(&self, status: &ScanStatus) -> Result<Task, StepError> {
        let progress = status.progress.map(|progress| progress.min(99));
        let now = self.shared.clock.now();
        let seen = Observation::new(status.state.as_str(), status.progress, status.hosts, now);
        let (instance, is_over) = (self.instance.instance_id.clone(), status.state.is_terminal());
        let task = self
            .update(move |task| {
                task.progress = task.progress.max(progress);
                task.observation = Some(seen.after(task.observation.take()));
                // That the scan has ended says nothing about its results.
                task.last_error = task.last_error.take().filter(|last| is_over && last.is_in(Step::Results));
                if let Some(scan) = task.nessus_scan_id.clone().filter(|_| is_over) {
                    task.close_scan(&instance, &scan);
                }
            })
            .await?;
        if task.observation.as_ref().is_some_and(|seen| seen.unchanged_since == now) {
            self.note_progress().await;
        }
        Ok(task)
    }

    /// Tells the queue once that we get somewhere with the task. When it does not hear it, the next renewal tells it.
    async fn note_progress(&self) {
        if self.is_noted.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.shared.queue.note_progress(self.lease).await {
            debug!(error = chain(&error), "the queue does not know yet that the task goes on");
            self.is_noted.store(false, Ordering::Relaxed);
        }
    }

    /// Writes down that a step has failed and is tried again after `pause`.
    pub(super) async fn step_failed(&self, step: Step, error: &StepError, pause: Duration) {
        self.shared.step_failed(self.lease, step, error, pause).await;
    }

    /// Writes down that a scan on our scanner shall stop.
    pub(super) async fn give_up_scan(&self, scan: &ScanId) -> Result<Task, StepError> {
        let (instance, scan) = (self.instance.instance_id.clone(), scan.clone());
        self.update(move |task| task.give_up_scan(&instance, &scan)).await
    }

    /// Writes down that a scan on our scanner does not run any more.
    pub(super) async fn close_scan(&self, scan: &ScanId) -> Result<Task, StepError> {
        let (instance, scan) = (self.instance.instance_id.clone(), scan.clone());
        self.update(move |task| task.close_scan(&instance, &scan)).await
    }

    /// Why the scan shall not go on, if so: somebody wants it cancelled, or its time is over.
    pub(super) fn reason_to_stop(&self, task: &Task) -> Option<StopReason> {
        self.shared.over(task).map(|(reason, _)| reason)
    }

    /// Stops the scan of a task that goes on without us.
    pub(super) async fn stop_scan(&self, task: &Task) {
        let Some(scan) = &task.nessus_scan_id else { return };
        // Refused for a task that has ended, whose scan is to be stopped all the same.
        if let Err(error) = self.give_up_scan(scan).await {
            debug!(%scan, error = error.message(), "it was not written down that the scan shall stop");
        }
        if let Err(error) = self.instance.scanner.stop(scan).await {
            warn!(%scan, error = chain(&error), "the scan could not be stopped");
        }
    }
}
