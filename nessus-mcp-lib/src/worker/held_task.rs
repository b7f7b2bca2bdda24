//! A task that a worker holds: changing it in the worker's name, and making sure that it is still the worker's.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    heartbeat::TRUSTED_TENTHS,
    outcome::{StepError, StopReason},
    shared::Shared,
};
use crate::{
    error::{Classified as _, chain},
    ids::{ScanId, scanner_name},
    queue::{Lease, RenewOutcome},
    scanner::{ScanStatus, ScannerError, ScannerInstance, ScannerInterface as _},
    task::{Artifact, EventKind, Observation, ScanType, Step, Task, TaskEvent, Writer},
    time::{BootInstant, Clock as _, Timestamp},
};

/// The pauses before the tries to remove the login from a scan that has ended.
const FORGET_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];

/// A task we hold, with a slot on a scanner.
pub(super) struct HeldTask<'a> {
    pub(super) shared: &'a Shared,
    pub(super) instance: &'a ScannerInstance,
    lease: &'a Lease,
    lost: CancellationToken,
    /// When a worker began with it.
    pub(super) started_at: Timestamp,
    /// Its attempt.
    attempt: u32,
    /// Whether the queue knows that the task makes progress.
    is_noted: AtomicBool,
}

impl<'a> HeldTask<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        lease: &'a Lease,
        instance: &'a ScannerInstance,
        lost: CancellationToken,
        (started_at, attempt): (Timestamp, u32),
    ) -> Self {
        Self { shared, instance, lease, lost, started_at, attempt, is_noted: AtomicBool::new(false) }
    }

    /// The task as it stands now.
    pub(super) async fn task(&self) -> Result<Task, StepError> {
        Ok(self.shared.tasks.get(&self.lease.task_id).await?)
    }

    /// Changes the task in our name.
    pub(super) async fn update(
        &self,
        change: impl FnOnce(&mut Task) + Clone + Send + 'static,
    ) -> Result<Task, StepError> {
        let writer = Writer::Worker(self.lease.fence);
        Ok(self.shared.tasks.update(&self.lease.task_id, writer, change).await?)
    }

    /// Publishes a file of the task in our name.
    pub(super) async fn publish(&self, artifact: Artifact) -> Result<(), StepError> {
        Ok(self.shared.tasks.publish(artifact, Writer::Worker(self.lease.fence)).await?)
    }

    /// Binds the task to our scanner, and to its scan there when it is known, which may run from then on.
    pub(super) async fn bind(&self, scan: Option<ScanId>) -> Result<(), StepError> {
        self.bind_noting(scan, None).await
    }

    /// The same to a scan that was found there.
    pub(super) async fn bind_found(&self, scan: &ScanId) -> Result<(), StepError> {
        let place = scanner_name(&self.lease.pool, &self.instance.instance_id);
        let found = self.event(EventKind::Found).saying(Some(format!("scan {scan} on {place}")));
        self.bind_noting(Some(scan.clone()), Some(found)).await
    }

    /// Something that this worker has done.
    pub(super) fn event(&self, kind: EventKind) -> TaskEvent {
        TaskEvent::new(kind, self.attempt, self.shared.clock.now()).by(Some(&self.shared.name))
    }

    async fn bind_noting(&self, scan: Option<ScanId>, event: Option<TaskEvent>) -> Result<(), StepError> {
        let ours = self.instance.instance_id.clone();
        let task = self
            .update(move |task| {
                let bound = task.scanner_instance_id.get_or_insert_with(|| ours.clone());
                if *bound == ours
                    && let Some(scan) = scan
                {
                    let is_new = task.nessus_scan_id.as_ref() != Some(&scan);
                    task.open_scan(&ours, &scan);
                    event.into_iter().filter(|_| is_new).for_each(|event| task.note(event));
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
    pub(super) async fn unbind(&self) -> Result<(), StepError> {
        self.update(|task| task.scanner_instance_id.clone_from(&task.pinned_instance_id)).await?;
        Ok(())
    }

    /// Writes down that its scan is about to be launched, or that it was not after all: what was not launched does not count
    /// against a day.
    pub(super) async fn note_launch(&self, launched: bool) -> Result<(), StepError> {
        self.update(move |task| task.note_launch(launched)).await?;
        Ok(())
    }

    /// Removes what a worker before us left unfinished: half an export may be a gigabyte.
    pub(super) async fn remove_leftovers(&self) -> Result<(), StepError> {
        let writer = Writer::Worker(self.lease.fence);
        let removed = self.shared.tasks.remove_leftovers(&self.lease.task_id, writer).await?;
        if removed > 0 {
            info!(removed, "unfinished files of an earlier worker were removed");
        }
        Ok(())
    }

    /// Makes sure that we hold the task at this moment. Called right before the scanner is told to create or launch.
    ///
    /// The heartbeat is not enough: after a pause of the machine it may notice the loss later than our next step. Returns
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

    /// Refuses to begin the scan of a task that is held, or to which a person has not agreed. Called before it is created, and right before it is launched.
    pub(super) async fn may_begin(&self) -> Result<(), StepError> {
        let task = self.task().await?;
        match (self.shared.refused(&task), self.shared.held_back(&task)) {
            (Some(refused), _) => Err(refused),
            (None, Some(hold)) => Err(StepError::Held(hold)),
            (None, None) => Ok(()),
        }
    }

    /// Waits, unless the worker stops.
    pub(super) async fn pause(&self, duration: Duration) -> Result<(), StepError> {
        self.unless_stopped(tokio::time::sleep(duration)).await
    }

    /// Runs something that may be dropped halfway when the worker stops: a read, never a create or launch.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, StepError> {
        tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Err(StepError::Stopped),
            result = work => Ok(result),
        }
    }

    /// Writes down the scan's state, and its progress when that has grown; returns the task. Without a change nothing is
    /// written, but it is noticed when somebody has ended the task or taken it over.
    pub(super) async fn record(&self, status: &ScanStatus) -> Result<Task, StepError> {
        let progress = status.progress.map(|progress| progress.min(99));
        let now = self.shared.clock.now();
        let mut seen = Observation::new(status.state.as_str(), status.progress, now);
        (seen.hosts, seen.hosts_done) = (status.hosts, status.hosts_done);
        let (instance, is_over) = (self.instance.instance_id.clone(), status.state.is_terminal());
        let task = self
            .update(move |task| {
                task.progress = task.progress.max(progress);
                task.observation = Some(seen.after(task.observation.take()));
                // That the scan has ended says nothing about its results.
                task.last_error = task.last_error.take().filter(|last| is_over && last.is_in(Step::Results));
                if let Some(scan) = task.nessus_scan_id.clone().filter(|_| is_over) {
                    task.close_scan(&instance, &scan);
                    task.end_pause(now);
                }
            })
            .await?;
        if task.observation.as_ref().is_some_and(|seen| seen.unchanged_since == now) {
            self.note_progress().await;
        }
        Ok(task)
    }

    /// Tells the queue once that the task makes progress. If that fails, the heartbeat tells it.
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

    /// Removes the login from a scan that has ended: its secrets have no business on the scanner any more. The results are
    /// worth having also when that fails.
    pub(super) async fn forget_login(&self, task: &Task, scan: &ScanId) -> Result<(), StepError> {
        // What a policy has is not the scan's to delete.
        if task.scan_type == ScanType::Untrusted || task.logs_in_by_policy() {
            return Ok(());
        }
        for pause in FORGET_PAUSES {
            self.pause(pause).await?;
            match self.instance.scanner.forget_credentials(scan).await {
                Ok(()) | Err(ScannerError::NotFound(_)) => return Ok(()),
                Err(error) => {
                    let instance = &self.instance.instance_id;
                    error!(%scan, %instance, error = chain(&error), "the login could not be removed from the scan");
                    if !error.is_retryable() && !matches!(error, ScannerError::Conflict(_)) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Stops the scan of a task that goes on without us, and removes its login.
    pub(super) async fn stop_scan(&self, task: &Task) {
        let Some(scan) = &task.nessus_scan_id else { return };
        // Refused for a task that has ended, whose scan is to be stopped all the same.
        if let Err(error) = self.give_up_scan(scan).await {
            debug!(%scan, error = error.message(), "it was not written down that the scan shall stop");
        }
        if let Err(error) = self.instance.scanner.stop(scan).await {
            warn!(%scan, error = chain(&error), "the scan could not be stopped");
        }
        if let Err(error) = self.forget_login(task, scan).await {
            warn!(%scan, error = error.message(), hint = error.hint(), "the login stays in the scan");
        }
    }
}
