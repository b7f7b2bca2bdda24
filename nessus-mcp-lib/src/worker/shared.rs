//! What all runs of a worker share.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    announce::HeldTasks,
    hold::Hold,
    outcome::{StepError, StopReason},
    pacing::ClaimPacing,
    queue_clock::QueueClock,
};
use crate::{
    audit::{Audit, Decision, Event, Who},
    config::WorkerSettings,
    credentials::Credentials,
    error::chain,
    housekeeping::QueueIndex,
    ids::{InstanceId, WorkerId},
    policy::{ApprovalState, Closed, PolicyMode, Scope},
    queue::{Lease, Queue, QueueError},
    scanner::{Circuits, ScannerError, ScannerInstance, ScannerPool, ScannerRegistry, Selection},
    task::{EventKind, LastError, Step, Task, TaskEvent, TaskManager, TaskStatus, Writer},
    telemetry::Metrics,
    time::{Clock as _, Timestamp},
};

/// What all runs of a worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: WorkerId,
    /// How events and log lines name this worker.
    pub(super) name: Arc<str>,
    pub(super) tasks: TaskManager,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) index: QueueIndex,
    pub(super) scanners: ScannerRegistry,
    pub(super) scope: Scope,
    pub(super) circuits: Circuits,
    pub(super) credentials: Credentials,
    pub(super) selection: Selection,
    pub(super) pacing: ClaimPacing,
    pub(super) settings: WorkerSettings,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Audit,
    /// The queue's clock, which dates everything here.
    pub(super) clock: Arc<QueueClock>,
    /// The tasks whose runs go on.
    pub(super) holds: HeldTasks,
    /// Cancelled when the worker shall stop.
    pub(super) stop: CancellationToken,
}

impl Shared {
    /// The scanners of a pool that have a free slot and whose circuit lets calls through, the best first.
    pub(super) async fn free_instances<'a>(
        &self,
        pool: &'a ScannerPool,
    ) -> Result<Vec<&'a ScannerInstance>, QueueError> {
        Ok(self.selection.rank(&pool.name, self.callable(pool).await?))
    }

    /// The scanners of a pool whose pinned tasks a claim passes over, because none of them could begin: they are disabled, may
    /// not be called or have no free slot. `None` when no scanner takes a new scan at all.
    pub(super) async fn passed_over(&self, pool: &ScannerPool) -> Result<Option<Vec<InstanceId>>, QueueError> {
        let callable = self.callable(pool).await?;
        let has_slot = |id: &InstanceId| {
            let mut found = callable.iter().filter(|(instance, _)| instance.instance_id == *id);
            found.any(|(instance, active)| (*active as u64) < u64::from(instance.max_concurrent_scans))
        };
        let passed_over = pool.instance_ids().into_iter().filter(|id| !has_slot(id)).collect();
        let takes_scans = !self.selection.rank(&pool.name, callable).is_empty();
        Ok(takes_scans.then_some(passed_over))
    }

    /// The scanners of a pool that may be called, with the number of scans that each runs now.
    async fn callable<'a>(&self, pool: &'a ScannerPool) -> Result<Vec<(&'a ScannerInstance, usize)>, QueueError> {
        let mut loads = Vec::new();
        for instance in pool.enabled() {
            if self.circuits.check(&pool.name, &instance.instance_id).is_err() {
                continue;
            }
            let active = self.queue.slots_in_use(&pool.name, &instance.instance_id).await?.len();
            loads.push((instance, active));
        }
        Ok(loads)
    }

    /// Writes down that a step of a task has failed and is retried after `pause`. A call that an open circuit has refused does
    /// not hide the failure that opened it.
    pub(super) async fn step_failed(&self, lease: &Lease, step: Step, error: &StepError, pause: Duration) {
        self.metrics.tasks().step_retried(&lease.pool, step.as_str());
        let now = self.clock.now();
        let (seen, next_try_at) = (LastError::new(step, error.code(), error.shown(), now), now.plus(pause));
        let seen = seen.with_hint(error.hint());
        let not_made = matches!(error, StepError::Scanner(ScannerError::CircuitOpen(_)));
        let change = move |task: &mut Task| match &mut task.last_error {
            Some(last) if not_made => last.next_try_at = next_try_at,
            _ => task.step_failed(step, seen, next_try_at),
        };
        if let Err(error) = self.tasks.update(&lease.task_id, Writer::Worker(lease.fence), change).await {
            debug!(task_id = %lease.task_id, error = chain(&error), "a failure was not written down");
        }
    }

    /// Writes down that this worker ends, and hands over a task that has begun. The next one goes on also where that fails.
    pub(super) async fn note_hand_over(&self, lease: &Lease) {
        let (now, name) = (self.clock.now(), Arc::clone(&self.name));
        let change = move |task: &mut Task| {
            if task.status == TaskStatus::Running {
                task.note(TaskEvent::new(EventKind::HandedOver, task.attempt, now).by(Some(&name)));
            }
        };
        if let Err(error) = self.tasks.update(&lease.task_id, Writer::Worker(lease.fence), change).await {
            debug!(error = chain(&error), "it was not written down that the task is handed over");
        }
    }

    /// Writes into the audit log that a scan was not let begin, or go on, if that was decided rather than failed.
    pub(super) async fn note_decision(&self, task: &Task, code: &str, message: &str) {
        if Decision::of_outcome(code) == Decision::Refused {
            let event = Event::new("begin_scan", Who::process()).decided(Decision::Refused, message).with_outcome(code);
            let (task_id, trace_id) = (task.task_id.to_string(), task.trace_id.to_string());
            self.audit.note(event.with_task(Some(task_id)).with_trace(Some(trace_id))).await;
        }
    }

    /// Why this task shall not go on, and since when, if so: somebody has cancelled it, or its time is over.
    pub(super) fn over(&self, task: &Task) -> Option<(StopReason, Timestamp)> {
        if let Some(since) = task.cancel_requested_at {
            return Some((StopReason::Requested(task.cancel_message()), since));
        }
        let limit = self.settings.scan_timeout;
        let counts_from = task.time_counts_from(self.clock.now())?;
        self.has_passed(counts_from, limit).then(|| (StopReason::OutOfTime(limit), counts_from.plus(limit)))
    }

    /// Why the scan of this task may not begin now, if so.
    pub(super) fn held_back(&self, task: &Task) -> Option<Hold> {
        // First, so that what is asked is written down while something else holds the task as well.
        if let ApprovalState::Waiting(request) = self.approval(task) {
            return Some(Hold::until_agreed(&request));
        }
        let requested = task.pause_request.as_ref().map(Hold::of);
        requested.or_else(|| self.closed_window(task, PolicyMode::Enforce).map(Hold::until_open))
    }

    /// Why the scan of this task shall be paused while it runs, if so.
    pub(super) fn hold(&self, task: &Task) -> Option<Hold> {
        let requested = task.pause_request.as_ref().map(Hold::of);
        let closed = || self.closed_window(task, PolicyMode::Enforce).filter(|closed| closed.pauses);
        requested.or_else(|| closed().map(Hold::until_open))
    }

    /// The window that is closed for the scan of this task, if the policy has this mode.
    pub(super) fn closed_window(&self, task: &Task, wanted: PolicyMode) -> Option<Closed> {
        let targets = || task.checked_targets().ok();
        let (mode, closed) = self.scope.closed(&task.scanner_pool, targets, self.clock.now())?;
        (mode == wanted).then_some(closed)
    }

    /// When the time of a task's scan began to count; for one that has not started, when it was accepted.
    pub(super) fn counts_from(&self, task: &Task) -> Timestamp {
        task.time_counts_from(self.clock.now()).unwrap_or(task.created_at)
    }

    /// Whether as much time has passed, as far as we may judge.
    pub(super) fn has_passed(&self, since: Timestamp, time: Duration) -> bool {
        self.clock.is_trusted() && self.clock.now().since(since) >= time
    }
}
