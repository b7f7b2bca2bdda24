//! The road of one task, from its claim to its end.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{Span, error, info, warn};

use super::{
    engine::Shared,
    heartbeat::{Heartbeat, HeldSlot},
    outcome::{Outcome, StepError},
    poll, results,
};
use crate::{
    error::{Classified, chain},
    ids::ScanId,
    queue::{Claim, DeadReason, Finish, FinishOutcome, Lease, SlotOutcome},
    scanner::{DEFAULT_TEMPLATE, ScanRequest, ScanState, ScanStatus, ScannerInstance},
    task::{Artifact, Task, TaskError, TaskStatus, Writer},
};

/// How often a task that fails for now is handed out before it fails for good.
const MAX_DELIVERIES: u32 = 5;
/// The pause before the second try; it doubles with each further one.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause before a further try.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(300);
/// How long a task waits when no scanner has a free slot for it.
const NO_SLOT_PAUSE: Duration = Duration::from_secs(1);
/// How often the end of a task is told to a queue that does not answer.
const FINISH_TRIES: u32 = 5;

/// A claimed task and the worker it belongs to.
#[derive(Debug)]
pub(super) struct TaskRun {
    shared: Arc<Shared>,
    claim: Claim,
}

impl TaskRun {
    pub(super) fn new(shared: Arc<Shared>, claim: Claim) -> Self {
        Self { shared, claim }
    }

    pub(super) async fn run(mut self) {
        let task = match self.load().await {
            Ok(Loaded::ToDo(task)) => task,
            Ok(Loaded::Over(outcome)) => return self.finish(outcome).await,
            Err(error) => {
                // Without a readable file nothing can be written down; what is wrong for good goes to the dead letters.
                let outcome = self.outcome_without_file(&error);
                return self.finish(outcome).await;
            }
        };
        Span::current().record("trace_id", task.trace_id.as_str());
        let heartbeat =
            Heartbeat::start(Arc::clone(&self.shared.queue), self.claim.lease.clone(), self.shared.settings.lease);
        let lost = heartbeat.lost();
        let outcome = tokio::select! {
            biased;
            () = lost.cancelled() => Outcome::Lost,
            outcome = self.work(*task, &heartbeat) => outcome,
        };
        self.finish(outcome).await;
    }

    /// Reads the task and makes sure that our fence is the largest it has seen.
    async fn load(&mut self) -> Result<Loaded, StepError> {
        let task = self.shared.tasks.get(&self.claim.lease.task_id).await?;
        match task.status {
            TaskStatus::Queued | TaskStatus::Running => {}
            // The worker before us died between the file and the queue: its letter is written now.
            TaskStatus::Failed | TaskStatus::Timeout => return Ok(Loaded::Over(dead_letter(&task))),
            TaskStatus::Completed | TaskStatus::Cancelled => return Ok(Loaded::Over(Outcome::Ended(task.status))),
        }
        if let Some(written) = task.fence.filter(|written| *written >= self.claim.lease.fence) {
            match self.shared.queue.raise_fence(&self.claim.lease, written).await? {
                Some(lease) => self.claim.lease = lease,
                None => return Ok(Loaded::Over(Outcome::Lost)),
            }
        }
        Ok(Loaded::ToDo(Box::new(task)))
    }

    fn outcome_without_file(&self, error: &StepError) -> Outcome {
        if error.is_retryable() {
            return Outcome::Retry(retry_pause(self.claim.deliveries));
        }
        error!(error = error.message(), "the task cannot be read");
        Outcome::Dead { code: error.code().to_owned(), message: error.message(), attempt: 0 }
    }

    async fn work(&self, task: Task, heartbeat: &Heartbeat) -> Outcome {
        let Some(instance) = (match self.choose_instance(&task).await {
            Ok(instance) => instance,
            Err(error) => return self.after(error, None).await,
        }) else {
            return Outcome::HandBack(NO_SLOT_PAUSE);
        };
        heartbeat
            .hold_slot(HeldSlot { instance: instance.instance_id.clone(), capacity: instance.max_concurrent_scans });
        let held = Held {
            shared: &self.shared,
            lease: &self.claim.lease,
            instance,
            lost: heartbeat.lost(),
            started_at: task.started_at.unwrap_or_else(|| self.shared.clock.now()),
        };
        match drive(&held).await {
            Ok(()) => Outcome::Ended(TaskStatus::Completed),
            Err(error) => self.after(error, Some(&held)).await,
        }
    }

    /// Gives the task a slot on a scanner: the one it is bound to, else the best of its pool. `None` when all are full.
    async fn choose_instance(&self, task: &Task) -> Result<Option<&ScannerInstance>, StepError> {
        let pool = self.shared.scanners.pool(&task.scanner_pool).ok_or_else(|| {
            StepError::failed("unknown_pool", format!("the pool `{}` is not configured any more", task.scanner_pool))
        })?;
        let candidates = match &task.scanner_instance_id {
            Some(id) => vec![pool.instance(id).ok_or_else(|| {
                StepError::failed("unknown_instance", format!("the scanner `{id}` is not configured any more"))
            })?],
            None => self.shared.free_instances(pool).await?,
        };
        for instance in candidates {
            let slot = self.shared.queue.acquire_slot(
                &pool.name,
                &instance.instance_id,
                &task.task_id,
                instance.max_concurrent_scans,
                self.shared.settings.lease,
            );
            if slot.await? == SlotOutcome::Acquired {
                self.shared.selection.used(&instance.instance_id);
                return Ok(Some(instance));
            }
        }
        Ok(None)
    }

    /// Decides what follows from an error and writes it down if it is final.
    async fn after(&self, error: StepError, held: Option<&Held<'_>>) -> Outcome {
        match &error {
            StepError::Stopped => return Outcome::HandBack(Duration::ZERO),
            StepError::LeaseLost | StepError::Task(TaskError::StaleFence { .. }) => return Outcome::Lost,
            StepError::Task(TaskError::Transition(refused)) => {
                // Somebody ended the task while we worked on it.
                info!(status = %refused.from, "the task was ended by somebody else");
                if let Some(held) = held {
                    held.stop_scan().await;
                }
                return Outcome::Ended(refused.from);
            }
            _ => {}
        }
        if error.is_retryable() && self.claim.deliveries < MAX_DELIVERIES {
            let pause = retry_pause(self.claim.deliveries);
            warn!(error = error.message(), deliveries = self.claim.deliveries, ?pause, "the task will be tried again");
            return Outcome::Retry(pause);
        }
        let status = match &error {
            StepError::Scan { status, .. } => *status,
            _ => TaskStatus::Failed,
        };
        let (code, message) = (error.code(), error.message());
        error!(%status, code, error = message, "the task has failed");
        let written = message.clone();
        let update = self.shared.tasks.update(&self.claim.lease.task_id, self.writer(), move |task| {
            task.status = status;
            task.error_code = Some(code.to_owned());
            task.error_message = Some(written);
        });
        match update.await {
            Ok(task) if status == TaskStatus::Cancelled => Outcome::Ended(task.status),
            Ok(task) => dead_letter(&task),
            Err(TaskError::StaleFence { .. }) => Outcome::Lost,
            Err(TaskError::Transition(refused)) => Outcome::Ended(refused.from),
            Err(error) => {
                warn!(error = chain(&error), "the failure could not be written down yet");
                Outcome::Retry(retry_pause(self.claim.deliveries))
            }
        }
    }

    fn writer(&self) -> Writer {
        Writer::Worker(self.claim.lease.fence)
    }

    /// Tells the queue how the task ended. The file was written before, so a queue that never hears it only delivers
    /// the task once more, and whoever claims it sees that it is over.
    async fn finish(&self, outcome: Outcome) {
        let how = match outcome {
            Outcome::Lost => return,
            Outcome::Ended(status) => {
                self.count_end(status).await;
                Finish::Ack
            }
            Outcome::Dead { code, message, attempt } => {
                self.count_end(TaskStatus::Failed).await;
                Finish::Dead(DeadReason::new(message, code, attempt))
            }
            Outcome::Retry(delay) => Finish::Retry { delay },
            Outcome::HandBack(delay) => Finish::Release { delay },
        };
        if matches!(how, Finish::Ack | Finish::Dead(_)) {
            self.release_slot().await;
        }
        for tried in 1..=FINISH_TRIES {
            match self.shared.queue.finish(&self.claim.lease, how.clone()).await {
                Ok(FinishOutcome::Done) => return,
                Ok(FinishOutcome::LeaseLost) => return info!("the lease had ended before the task did"),
                Err(error) => warn!(error = chain(&error), tried, "the queue was not told the end of the task"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// A slot is kept when the task is handed back: its scan may go on, and the next worker takes the slot over. It
    /// ends with its lease when nobody does.
    async fn release_slot(&self) {
        let Ok(task) = self.shared.tasks.get(&self.claim.lease.task_id).await else {
            return;
        };
        if let Some(instance) = &task.scanner_instance_id {
            let released = self.shared.queue.release_slot(&task.scanner_pool, instance, &task.task_id).await;
            if let Err(error) = released {
                warn!(error = chain(&error), "the scanner's slot was not released; it ends with its lease");
            }
        }
    }

    async fn count_end(&self, status: TaskStatus) {
        let Ok(task) = self.shared.tasks.get(&self.claim.lease.task_id).await else {
            return;
        };
        // The state in the file is the truth; `status` only says what was expected.
        let status = if task.status.is_terminal() { task.status } else { status };
        self.shared.metrics.task_reached(task.scan_type.as_str(), status.as_str());
        if let Some(seconds) = task.execution_time {
            self.shared.metrics.task_took(task.scan_type.as_str(), status.as_str(), seconds);
        }
    }
}

enum Loaded {
    ToDo(Box<Task>),
    Over(Outcome),
}

fn dead_letter(task: &Task) -> Outcome {
    Outcome::Dead {
        code: task.error_code.clone().unwrap_or_else(|| task.status.to_string()),
        message: task.error_message.clone().unwrap_or_default(),
        attempt: task.attempt,
    }
}

fn retry_pause(deliveries: u32) -> Duration {
    (RETRY_PAUSE * 2_u32.saturating_pow(deliveries.saturating_sub(1).min(16))).min(MAX_RETRY_PAUSE)
}

/// A task we hold, with a slot on a scanner.
pub(super) struct Held<'a> {
    pub(super) shared: &'a Shared,
    pub(super) lease: &'a Lease,
    pub(super) instance: &'a ScannerInstance,
    lost: CancellationToken,
    started_at: crate::time::Timestamp,
}

/// Find or create, launch, watch, fetch, complete.
async fn drive(held: &Held<'_>) -> Result<(), StepError> {
    let instance_id = held.instance.instance_id.clone();
    let started_at = held.started_at;
    let task = held
        .update(move |task| {
            task.status = TaskStatus::Running;
            task.scanner_instance_id = Some(instance_id);
            task.started_at = Some(started_at);
        })
        .await?;
    held.remove_leftovers().await?;
    let scan = find_or_create(held, &task).await?;
    launch_once(held, &scan).await?;
    let end = poll::until_ended(held, &scan).await?;
    poll::check_end(&end)?;
    let task = held.shared.tasks.get(&task.task_id).await?;
    results::complete(held, &task, &scan, &end).await
}

/// The scan of this task: the one its file names, the one that carries its marker, else a new one.
async fn find_or_create(held: &Held<'_>, task: &Task) -> Result<ScanId, StepError> {
    if let Some(scan) = &task.nessus_scan_id {
        return Ok(scan.clone());
    }
    let marker = marker(task);
    let found = held.instance.scanner.find_by_marker(&marker).await?;
    let scan = if let Some(scan) = found {
        info!(%scan, "adopted a scan that exists on the scanner");
        scan
    } else {
        held.check()?;
        let mut request = ScanRequest::new(marker, &task.payload.name, &task.payload.targets);
        request.description.clone_from(&task.payload.description);
        request.template = task.payload.template.clone().unwrap_or_else(|| DEFAULT_TEMPLATE.to_owned());
        let scan = held.instance.scanner.create(&request).await?;
        info!(%scan, instance = %held.instance.instance_id, "scan created");
        scan
    };
    let saved = scan.clone();
    held.update(move |task| task.nessus_scan_id = Some(saved)).await?;
    Ok(scan)
}

/// The text by which a task's scan is known on the scanner. A retried task must not adopt the scan that failed.
fn marker(task: &Task) -> String {
    match task.attempt {
        0 | 1 => task.task_id.to_string(),
        attempt => format!("{}.{attempt}", task.task_id),
    }
}

/// Launches the scan if nobody has.
async fn launch_once(held: &Held<'_>, scan: &ScanId) -> Result<(), StepError> {
    let status = held.instance.scanner.status(scan).await?;
    let run_uuid = if status.state == ScanState::Created {
        held.check()?;
        let run_uuid = held.instance.scanner.launch(scan).await?;
        info!(%scan, "scan launched");
        run_uuid
    } else {
        status.run_uuid
    };
    if run_uuid.is_some() {
        held.update(move |task| task.scan_uuid = run_uuid).await?;
    }
    Ok(())
}

impl Held<'_> {
    /// Changes the task in our name.
    pub(super) async fn update(&self, change: impl FnOnce(&mut Task) + Send + 'static) -> Result<Task, StepError> {
        let writer = Writer::Worker(self.lease.fence);
        Ok(self.shared.tasks.update(&self.lease.task_id, writer, change).await?)
    }

    /// Publishes a file of the task in our name.
    pub(super) async fn publish(&self, artifact: Artifact) -> Result<(), StepError> {
        Ok(self.shared.tasks.publish(artifact, Writer::Worker(self.lease.fence)).await?)
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

    /// Whether the next step may be taken: asked right before the scanner is told to do something.
    pub(super) fn check(&self) -> Result<(), StepError> {
        if self.lost.is_cancelled() {
            Err(StepError::LeaseLost)
        } else if self.shared.stop.is_cancelled() {
            Err(StepError::Stopped)
        } else {
            Ok(())
        }
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

    /// Writes progress down when it has grown.
    pub(super) async fn record_progress(&self, status: &ScanStatus) -> Result<(), StepError> {
        let Some(progress) = status.progress.map(|progress| progress.min(99)) else {
            return Ok(());
        };
        self.update(move |task| task.progress = task.progress.max(Some(progress))).await?;
        Ok(())
    }

    /// Ends a scan that has used up its time.
    pub(super) async fn check_time(&self, scan: &ScanId) -> Result<(), StepError> {
        if self.shared.clock.now().since(self.started_at) < self.shared.settings.scan_timeout {
            return Ok(());
        }
        Err(poll::stop_overdue(self, scan).await)
    }

    /// Stops the scan of a task that was ended by somebody else.
    async fn stop_scan(&self) {
        let scan = self.shared.tasks.get(&self.lease.task_id).await.ok().and_then(|task| task.nessus_scan_id);
        if let Some(scan) = scan
            && let Err(error) = self.instance.scanner.stop(&scan).await
        {
            warn!(%scan, code = error.code(), error = chain(&error), "the scan could not be stopped");
        }
    }
}
