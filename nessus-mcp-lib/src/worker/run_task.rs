//! One claimed task: from the claim to its settlement.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    heartbeat::{Heartbeat, HeldSlot},
    held_task::HeldTask,
    hold::Hold,
    hosts, lifecycle,
    outcome::{Outcome, StepError},
    placement::Placement,
    poll::{self, STOP_LIMIT},
    retry_pauses::{LOCAL_PAUSE, NEXT_SCANNER_PAUSE, WATCH_AGAIN_PAUSE, doubled, retry_after, retry_pause},
    shared::Shared,
};
use crate::{
    error::{chain, counted},
    housekeeping,
    ids::{InstanceId, ScanId},
    queue::{Claim, DeadReason, LOSSES_ALLOWED, SettleOutcome, Settlement},
    scanner::{ScannerError, ScannerInstance},
    task::{CANCELLED, POISON_TASK, PauseState, PausedBy, Step, Task, TaskError, TaskStatus, Writer},
    telemetry::Adoption,
    time::{BootInstant, Clock as _, Timestamp, with_jitter},
};

/// How often a task that fails for now is handed out before it fails for good: about 20 minutes.
pub(super) const MAX_DELIVERIES: u32 = 10;
/// How long the results of a scan are asked for that its scanner has and does not give.
const RESULTS_LIMIT: Duration = Duration::from_secs(3600);
/// How often a claim is settled with a queue that does not answer.
const SETTLE_TRIES: u32 = 5;

/// A claimed task and the worker it belongs to.
#[derive(Debug)]
pub(super) struct TaskRun {
    pub(super) shared: Arc<Shared>,
    pub(super) claim: Claim,
    /// When the claim was asked for: from then on the lease counts.
    claimed_at: BootInstant,
}

enum Loaded {
    ToDo(Box<Task>),
    Over(Outcome),
}

/// What the queue must know of a task that is not over.
struct Unfinished {
    /// Whether it is to be claimed also where no new scan may start, because its time runs.
    started: bool,
    /// Whether its scan goes on.
    has_scan: bool,
}

impl TaskRun {
    pub(super) fn new(shared: Arc<Shared>, claim: Claim, claimed_at: BootInstant) -> Self {
        Self { shared, claim, claimed_at }
    }

    pub(super) async fn run(mut self) {
        crate::fail_points::fail_point!("worker_claimed");
        let task = match self.load().await {
            Ok(Loaded::ToDo(task)) => task,
            Ok(Loaded::Over(outcome)) => return self.settle(outcome, None).await,
            Err(error) => {
                let outcome = self.outcome_without_file(&error);
                return self.settle(outcome, None).await;
            }
        };
        if let Some(end) = self.end_of_poison_task(&task) {
            let outcome = self.fail(&end).await;
            return self.settle(outcome, None).await;
        }
        let heartbeat = Heartbeat::start(
            Arc::clone(&self.shared.queue),
            self.claim.lease.clone(),
            self.shared.settings.lease,
            self.claimed_at,
        );
        let lost = heartbeat.lost();
        let (outcome, instance) = tokio::select! {
            biased;
            () = lost.cancelled() => (Outcome::Lost, None),
            done = self.work(*task, &heartbeat) => done,
        };
        // Before the slot is given back: a beat under way would take it again.
        heartbeat.end().await;
        if matches!(outcome, Outcome::Ended | Outcome::Dead(_)) {
            self.count_end().await;
        }
        self.settle(outcome, instance.as_ref()).await;
    }

    /// Reads the task. Our fencing token is written with the first change: a claim that changes nothing, because there is no
    /// slot, costs no write.
    async fn load(&mut self) -> Result<Loaded, StepError> {
        let task_id = self.claim.lease.task_id.clone();
        let task = self.shared.tasks.get(&task_id).await?;
        if task.status.is_terminal() {
            // Whoever ended it may have died before the webhooks could be told.
            self.shared.tasks.announce(&task).await;
        }
        match task.status {
            // The worker before us died between the file and the queue: its letter is written now.
            TaskStatus::Failed | TaskStatus::Timeout => return Ok(Loaded::Over(dead_letter(&task))),
            TaskStatus::Completed | TaskStatus::Cancelled => return Ok(Loaded::Over(Outcome::Ended)),
            TaskStatus::Queued | TaskStatus::Running => {}
        }
        if let Some(written) = task.fence.filter(|written| *written >= self.claim.lease.fence) {
            match self.shared.queue.raise_fencing_token(&self.claim.lease, written).await? {
                Some(lease) => self.claim.lease = lease,
                None => return Ok(Loaded::Over(Outcome::Lost)),
            }
        }
        Ok(Loaded::ToDo(Box::new(task)))
    }

    /// What becomes of a task whose file cannot be read or written. Nothing is known of its scan then, which goes on. A file
    /// that is missing may be on a disk that is not mounted, so it is waited for before the task is dead-lettered.
    fn outcome_without_file(&self, error: &StepError) -> Outcome {
        if error.is_local() {
            return wait_for_this_machine(error);
        }
        error!(
            error = error.message(),
            hint = error.hint(),
            deliveries = self.claim.deliveries,
            "the task cannot be read"
        );
        if matches!(error, StepError::Task(TaskError::NotFound(_))) && self.claim.deliveries < MAX_DELIVERIES {
            return Outcome::Retry(retry_pause(self.claim.deliveries));
        }
        Outcome::Dead(DeadReason::new(error.message(), error.code(), 0).with_hint(error.hint()))
    }

    /// The end of a poison task: worker after worker was lost with it until its time was over. The queue has delayed it
    /// between them, so before that it is run like any other. Its scan is not stopped: it may be complete.
    fn end_of_poison_task(&self, task: &Task) -> Option<StepError> {
        let lost = self.claim.losses;
        if lost <= LOSSES_ALLOWED {
            return None;
        }
        if !self.shared.has_passed(self.shared.counts_from(task), self.shared.settings.scan_timeout) {
            warn!(lost, "worker after worker was lost with this task");
            return None;
        }
        let scan = match (&task.nessus_scan_id, &task.scanner_instance_id) {
            (Some(scan), Some(instance)) => {
                format!("; its scan {scan} on `{instance}` was not stopped, and a retry goes on with it")
            }
            _ => String::new(),
        };
        let lost = counted(lost, "worker was", "workers in a row were");
        let message = format!("{lost} lost with this task before getting anywhere with it{scan}");
        Some(StepError::failed(POISON_TASK, message))
    }

    /// Gives the task a slot and drives it; says on which scanner.
    ///
    /// The task keeps this scanner to its end, whatever becomes of the configuration meanwhile.
    async fn work(&self, task: Task, heartbeat: &Heartbeat) -> (Outcome, Option<ScannerInstance>) {
        let instance = match self.shared.place(&task, &self.claim).await {
            Ok(Placement::On(instance)) => instance,
            // Its time runs, which must be noticed.
            Ok(Placement::Wait(pause)) if task.status == TaskStatus::Running => {
                return (Outcome::HandBack(pause), None);
            }
            Ok(Placement::Wait(pause)) => {
                let place = (task.scanner_pool.clone(), task.scanner_instance_id.clone());
                return (Outcome::HandBack(self.shared.pacing.next_delay(place, pause)), None);
            }
            Err(error) => return (self.after(error, None).await, None),
        };
        crate::fail_points::fail_point!("worker_slot_acquired");
        self.count_claim(&task);
        if !task.scan_is_over() {
            heartbeat.hold_slot(HeldSlot {
                instance: instance.instance_id.clone(),
                capacity: instance.max_concurrent_scans,
            });
        }
        let started_at = task.started_at.unwrap_or_else(|| self.shared.clock.now());
        let held =
            HeldTask::new(&self.shared, &self.claim.lease, &instance, heartbeat.lost(), (started_at, task.attempt));
        let outcome = Box::pin(self.drive(&held, heartbeat)).await;
        (outcome, Some(instance))
    }

    async fn drive(&self, held: &HeldTask<'_>, heartbeat: &Heartbeat) -> Outcome {
        let mut over_since = None;
        loop {
            let (is_over, error) = match lifecycle::drive(held).await {
                Ok((scan, ended)) => {
                    // It does not run any more, and its results may take their time.
                    heartbeat.leave_slot();
                    self.release_slot(held.instance).await;
                    match lifecycle::complete(held, &scan, &ended).await {
                        Ok(()) => return Outcome::Ended,
                        Err(error) => (true, error),
                    }
                }
                Err(error @ StepError::Held(_)) => {
                    // Nothing runs, so it waits without a slot.
                    heartbeat.leave_slot();
                    self.release_slot(held.instance).await;
                    return self.after(error, Some(held)).await;
                }
                Err(error) => (false, error),
            };
            let task = match self.task_whose_scan_goes_on(&error).await {
                Ok(Some(task)) => Some(task),
                Ok(None) => return self.after(error, Some(held)).await,
                // It may have one: in our hands it keeps its slot.
                Err(TaskError::Storage { .. } | TaskError::Newer { .. }) => None,
                Err(unread) => return self.outcome_without_file(&unread.into()),
            };
            // The scan shall end, but its results cannot be fetched. A failing queue or task file says nothing about that.
            if matches!(error, StepError::Scanner(_) | StepError::Results(_))
                && let Some(reason) = task.as_ref().and_then(|task| held.reason_to_stop(task))
                && over_since.get_or_insert_with(Instant::now).elapsed() >= STOP_LIMIT
            {
                return self.after(reason.error_with(&error.shown()), Some(held)).await;
            }
            let mut pause = WATCH_AGAIN_PAUSE.max(retry_after(&error));
            if let Some(task) = &task {
                let step = if is_over { Step::Results } else { step_of(task) };
                if is_over && error.is_about_results() {
                    let (failures, since) = task.failures(step).unwrap_or((0, self.shared.clock.now()));
                    if self.shared.has_passed(since, RESULTS_LIMIT) {
                        return self.fail(&kept_on_the_scanner(task, &error, failures + 1)).await;
                    }
                    pause = pause.max(doubled(WATCH_AGAIN_PAUSE, failures));
                }
                held.step_failed(step, &error, pause).await;
            }
            warn!(error = error.message(), hint = error.hint(), ?pause, "the scan goes on and will be checked again");
            let paused = match &task {
                Some(task) => {
                    let watches = held.reason_to_stop(task).is_none();
                    poll::pause(held, pause, |task| watches && held.reason_to_stop(task).is_some()).await
                }
                None => held.pause(pause).await,
            };
            // A file that cannot be read meanwhile is seen as such in the next round.
            if let Err(stopped @ StepError::Stopped) = paused {
                return self.after(stopped, Some(held)).await;
            }
        }
    }

    /// The task, if the error says nothing about its scan and there is one. Such a task keeps its lease and its slot,
    /// however long the error lasts; only the scan's time limit ends it. A login that is refused now was accepted when
    /// the scan began, and so was a certificate.
    async fn task_whose_scan_goes_on(&self, error: &StepError) -> Result<Option<Task>, TaskError> {
        let may_be_fixed = |failure: &ScannerError| {
            matches!(
                failure,
                ScannerError::AuthenticationRefused(_)
                    | ScannerError::SessionRefused(_)
                    | ScannerError::Configuration(_)
            ) || failure.needs_operator()
        };
        let passes = error.is_retryable() || matches!(error, StepError::Scanner(failure) if may_be_fixed(failure));
        if !passes {
            return Ok(None);
        }
        let task = self.shared.tasks.get(&self.claim.lease.task_id).await?;
        Ok(task.nessus_scan_id.is_some().then_some(task))
    }

    /// Decides what follows from an error and writes it down if it is final.
    async fn after(&self, error: StepError, held: Option<&HeldTask<'_>>) -> Outcome {
        match &error {
            StepError::Stopped => {
                if self.shared.stop.is_cancelled() {
                    self.shared.note_hand_over(&self.claim.lease).await;
                }
                return Outcome::HandBack(Duration::ZERO);
            }
            StepError::Held(reason) => return self.hold_back(reason).await,
            StepError::LeaseLost | StepError::Task(TaskError::StaleFencingToken { .. }) => return Outcome::Lost,
            StepError::Task(TaskError::Transition(refused)) => {
                info!(status = %refused.from, "the task was ended by somebody else");
                return match held {
                    Some(held) => self.stop_of_ended(held).await,
                    None => Outcome::EndedElsewhere,
                };
            }
            local if local.is_local() => return wait_for_this_machine(local),
            _ => {}
        }
        let task = match self.shared.tasks.get(&self.claim.lease.task_id).await {
            Ok(task) => task,
            Err(unread) => return self.outcome_without_file(&unread.into()),
        };
        if let StepError::Scanner(failure) = &error
            && let Some(end) = self.end_without_scanner(&task, failure)
        {
            return self.fail(&end).await;
        }
        if let (StepError::Scanner(failure), Some(held)) = (&error, held)
            && failure.is_about_basis()
            && task.next_instance().is_none()
            // It was thought to have it: what it has now decides which scanner is tried.
            && held.instance.offer(Duration::ZERO).await.is_ok()
            && self.shared.scanners.pool(&task.scanner_pool).is_some_and(|scanners| scanners.enabled().count() > 1)
        {
            warn!(instance = %held.instance.instance_id, error = chain(failure), "the scan cannot be made on this scanner");
            return Outcome::HandBack(NEXT_SCANNER_PAUSE);
        }
        if let Some(outcome) = self.another_try(&task, &error, held) {
            if let Outcome::Retry(pause) | Outcome::HandBack(pause) = outcome {
                self.shared.step_failed(&self.claim.lease, step_of(&task), &error, pause).await;
            }
            return outcome;
        }
        // The scan of a task that has failed must not run on unwatched.
        if let (Some(held), false) = (held, matches!(error, StepError::Scan { .. })) {
            held.stop_scan(&task).await;
        }
        self.fail(&error).await
    }

    /// Puts a task off that may not begin its scan now. The time of one that has started does not count meanwhile.
    async fn hold_back(&self, hold: &Hold) -> Outcome {
        let now = self.shared.clock.now();
        let pause = hold.next_look(now);
        info!(by = ?hold.by, until = hold.until.map(tracing::field::display), ?pause, "the task is held back");
        let asked = if hold.by == PausedBy::Approval { self.shared.ask(&self.claim.lease).await } else { Ok(()) };
        let noted = match asked {
            Ok(()) => self.note_hold(hold.clone(), now).await,
            Err(error) => Err(error),
        };
        match noted {
            Ok(()) => Outcome::HandBack(pause),
            Err(TaskError::StaleFencingToken { .. }) => Outcome::Lost,
            Err(TaskError::Transition(_)) => Outcome::EndedElsewhere,
            Err(unwritten) => self.outcome_without_file(&unwritten.into()),
        }
    }

    /// Writes down that a task that has started is held. One that has not needs no write.
    async fn note_hold(&self, hold: Hold, now: Timestamp) -> Result<(), TaskError> {
        let (tasks, task_id) = (&self.shared.tasks, &self.claim.lease.task_id);
        if tasks.get(task_id).await?.status != TaskStatus::Running {
            return Ok(());
        }
        let update = tasks.update(task_id, self.writer(), move |task| {
            let since = task.pause.as_ref().map_or(now, |before| before.since);
            task.pause = Some(hold.pause(PauseState::Paused, since));
        });
        update.await.map(drop)
    }

    /// Stops the scan of a task that somebody has ended. Nobody else will, so a file that cannot be read now is read later.
    async fn stop_of_ended(&self, held: &HeldTask<'_>) -> Outcome {
        loop {
            match held.task().await {
                Ok(task) => {
                    held.stop_scan(&task).await;
                    return Outcome::EndedElsewhere;
                }
                Err(error) if error.is_local() => {
                    warn!(
                        error = error.message(),
                        hint = error.hint(),
                        "the scan of a task that has ended is not known yet"
                    );
                    if held.pause(LOCAL_PAUSE).await.is_err() {
                        return Outcome::HandBack(Duration::ZERO);
                    }
                }
                Err(error) => return self.outcome_without_file(&error),
            }
        }
    }

    /// Writes the failure down.
    async fn fail(&self, error: &StepError) -> Outcome {
        let status = match error {
            StepError::Scan { status, .. } => *status,
            _ => TaskStatus::Failed,
        };
        let (code, message, hint) = (error.code(), error.shown(), error.hint());
        let is_gone = matches!(error, StepError::Scanner(ScannerError::NotFound(_)));
        let update = self.shared.tasks.update(&self.claim.lease.task_id, self.writer(), move |task| {
            // A cancelled task is not reported as failed; the message says what could not be done.
            let (status, code, message) = match status {
                TaskStatus::Failed if task.cancel_requested_at.is_some() => {
                    (TaskStatus::Cancelled, "cancelled", format!("{CANCELLED}; {message}"))
                }
                status => (status, code, message),
            };
            if let Some(instance) = task.scanner_instance_id.clone().filter(|_| is_gone)
                && let Some(scan) = task.nessus_scan_id.clone()
            {
                task.close_scan(&instance, &scan);
            }
            task.status = status;
            task.error_code = Some(code.to_owned());
            task.error_message = Some(message);
            task.error_hint = hint.filter(|_| status != TaskStatus::Cancelled);
        });
        match update.await {
            Ok(task) if task.status == TaskStatus::Cancelled => Outcome::Ended,
            Ok(task) => {
                if matches!(error, StepError::Scope(_)) {
                    self.shared.metrics.scope_refused(code);
                }
                error!(status = %task.status, code, error = error.message(), hint = error.hint(), "the task has failed");
                self.shared.note_decision(&task, code, &error.message()).await;
                dead_letter(&task)
            }
            Err(TaskError::StaleFencingToken { .. }) => Outcome::Lost,
            Err(TaskError::Transition(_)) => Outcome::EndedElsewhere,
            Err(unwritten) => {
                error!(
                    code,
                    error = error.message(),
                    hint = error.hint(),
                    "the task has failed, which cannot be written down yet"
                );
                self.outcome_without_file(&unwritten.into())
            }
        }
    }

    /// What the queue must know of a task that is not over. A file that cannot be read does not say that nothing has started.
    async fn unfinished(&self) -> Unfinished {
        let task = self.shared.tasks.get(&self.claim.lease.task_id).await;
        task.map_or(Unfinished { started: true, has_scan: true }, |task| Unfinished {
            started: task.has_started(),
            has_scan: task.nessus_scan_id.is_some(),
        })
    }

    fn writer(&self) -> Writer {
        Writer::Worker(self.claim.lease.fence)
    }

    /// Settles the claim. The file was written before, so a queue that never learns of it only delivers the task once more,
    /// and whoever claims it sees that it is over.
    async fn settle(&self, outcome: Outcome, instance: Option<&ScannerInstance>) {
        let has_ended = matches!(outcome, Outcome::Ended | Outcome::EndedElsewhere | Outcome::Dead(_));
        if matches!(outcome, Outcome::EndedElsewhere) {
            // Whoever ended it may have died before it was recorded.
            self.shared.tasks.record_again(&self.claim.lease.task_id).await;
        }
        let (how, has_scan) = match outcome {
            Outcome::Lost => return self.shared.metrics.tasks().lease_lost(&self.claim.lease.pool),
            Outcome::Ended | Outcome::EndedElsewhere => (Settlement::Ack, false),
            Outcome::Dead(reason) => (Settlement::DeadLetter(reason), false),
            Outcome::Retry(delay) => {
                let Unfinished { started, has_scan } = self.unfinished().await;
                (Settlement::Nack { delay, started }, has_scan)
            }
            Outcome::HandBack(delay) => {
                let Unfinished { started, has_scan } = self.unfinished().await;
                (Settlement::Release { delay, started }, has_scan)
            }
        };
        // A scan that goes on keeps its slot: the next worker takes it over, or it ends with its lease.
        if let Some(instance) = instance.filter(|_| !has_scan) {
            self.release_slot(instance).await;
        }
        crate::fail_points::fail_point!("worker_before_acknowledge");
        for tried in 1..=SETTLE_TRIES {
            // What was charged is given back first: as long as the task is in the queue, somebody sees to it.
            let given_back =
                if has_ended { hosts::give_back(&self.shared, &self.claim.lease.task_id).await } else { Ok(()) };
            let settled = match given_back {
                Ok(()) => self.shared.queue.settle(&self.claim.lease, how.clone()).await.map_err(StepError::from),
                Err(error) => Err(error),
            };
            match settled {
                Ok(SettleOutcome::Settled) => return,
                Ok(SettleOutcome::LeaseLost) => return info!("the lease had ended before the task did"),
                Err(error) => warn!(error = error.message(), tried, "the claim could not be settled yet"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn release_slot(&self, instance: &ScannerInstance) {
        let lease = &self.claim.lease;
        let released = self.shared.queue.release_slot(&lease.pool, &instance.instance_id, &lease.task_id).await;
        if let Err(error) = released {
            warn!(error = chain(&error), "the scanner's slot was not released; it ends with its lease");
        }
    }

    /// Counts that a worker begins with a task, or goes on with its scan.
    fn count_claim(&self, task: &Task) {
        let metrics = self.shared.metrics.tasks();
        if task.has_scan() {
            metrics.adopted(&task.scanner_pool, Adoption::Task);
        } else if task.status == TaskStatus::Queued {
            metrics.waited(&task.scanner_pool, self.shared.clock.now().since(task.queued_at()));
        }
    }

    async fn count_end(&self) {
        let Ok(task) = self.shared.tasks.get(&self.claim.lease.task_id).await else {
            return;
        };
        let (scan_type, status) = (task.scan_type.as_str(), task.status.as_str());
        self.shared.metrics.task_reached(scan_type, status);
        if let Some(seconds) = task.execution_time {
            self.shared.metrics.task_took(scan_type, status, seconds);
        }
    }
}

/// How a task goes on when the error says nothing about it: whoever claims it next finds it as it stands.
fn wait_for_this_machine(error: &StepError) -> Outcome {
    let pause = with_jitter(LOCAL_PAUSE);
    warn!(
        error = error.message(),
        hint = error.hint(),
        ?pause,
        "the task cannot be judged now: it waits, and its scan goes on"
    );
    Outcome::HandBack(pause)
}

/// The step a task is at, as far as its file tells.
const fn step_of(task: &Task) -> Step {
    if task.observation.is_some() { Step::Watch } else { Step::Begin }
}

fn dead_letter(task: &Task) -> Outcome {
    Outcome::Dead(housekeeping::dead_reason(task))
}

/// The end of a task whose scan is complete, and whose scanner does not give its results.
fn kept_on_the_scanner(task: &Task, error: &StepError, tries: u32) -> StepError {
    let name = |name: Option<&str>| name.unwrap_or("?").to_owned();
    let scan = name(task.nessus_scan_id.as_ref().map(ScanId::as_str));
    let instance = name(task.scanner_instance_id.as_ref().map(InstanceId::as_str));
    let tries = counted(tries, "try", "tries");
    let message = format!(
        "{}; the results could not be fetched in {tries}; the scan {scan} is kept on the scanner `{instance}`, and a \
         retry fetches its results from there",
        error.shown()
    );
    StepError::failed(error.code(), message)
}
