//! What a task waits for, apart from the tasks before it.

use super::{ScanService, approvals::approval_of, error::ServiceError, shorten, troubleshooting::LONG_WITHOUT_CHANGE};
use crate::{
    circuit_breaker::CircuitState,
    error::counted,
    housekeeping,
    policy::{ApprovalState, Checked, Closed, Policy, PolicyMode, ScopeError},
    queue::{Outlook, QueueError},
    targets::TargetSet,
    task::{PauseRequest, Step, Task, TaskQuery, TaskStatus},
};

/// What the queue has answered when it was asked for all at once; if it has not, it is not asked again.
pub(super) type Asked = Result<Outlook, QueueError>;

/// Whose word on the circuits of scanners counts.
#[derive(Debug, Clone, Copy)]
enum Circuits {
    /// That of all processes, for which the queue is asked.
    OfAll,
    /// That of this process.
    Own,
}

impl ScanService {
    /// Why no scan of this task can start now. A person must agree first, or somebody has paused it, or its window is closed; or something it needs is missing, paused, disabled or has an open circuit; or a
    /// scan of an earlier attempt has to be stopped first; or its last try has failed, and the next is later; or several
    /// workers in a row were lost with it. Of a scan that runs: why nothing is heard of it. `None` for a task whose scan goes on or that
    /// has ended, and when the queue does not answer. `outlook` is what the queue has said of it, if it was asked; `nobody`, why no
    /// worker takes it.
    pub(super) async fn waiting_for(
        &self,
        task: &Task,
        outlook: Option<&Asked>,
        nobody: Option<String>,
    ) -> Option<String> {
        let reason = self.reason_to_wait(task, outlook, nobody, Circuits::OfAll).await;
        reason.map(|reason| shorten::text(&reason))
    }

    /// As [`waiting_for`](Self::waiting_for), without asking the queue once more: of circuits, as far as this process knows.
    pub(super) async fn waiting_at_once(&self, task: &Task, outlook: &Asked, nobody: Option<String>) -> Option<String> {
        let reason = self.reason_to_wait(task, Some(outlook), nobody, Circuits::Own).await;
        reason.map(|reason| shorten::text(&reason))
    }

    /// What a person or the policy decides comes first, then what is missing.
    async fn reason_to_wait(
        &self,
        task: &Task,
        outlook: Option<&Asked>,
        nobody: Option<String>,
        circuits: Circuits,
    ) -> Option<String> {
        if task.status.is_terminal() {
            return None;
        }
        if let Some(lost) = self.workers_lost_with(task, outlook).await {
            return Some(format!(
                "{} lost with it before getting anywhere: it is handed out again after pauses of up to 15 minutes, and its \
                 scan, if it has one, goes on",
                counted(lost, "worker was", "workers in a row were")
            ));
        }
        let failed = task.last_error.as_ref().filter(|last| !last.is_in(Step::Watch));
        let next_try = failed.map(|last| format!("it is tried again at {}: {}", last.next_try_at, last.message));
        let approval = self.waits_for_approval(task);
        if task.nessus_scan_id.is_some() {
            return approval.or(nobody).or(next_try).or_else(|| self.why_it_stands_still(task));
        }
        let earlier = task.open_scans.first().map(|open| {
            let (scan, attempt, id) = (&open.scan_id, open.attempt, &open.instance_id);
            format!("the scan {scan} of attempt {attempt} may still run on the scanner `{id}` and is stopped first")
        });
        let held = self.held_by(task);
        let kept = match held {
            Some(_) => None,
            None => self.kept_from_beginning(task, outlook, circuits).await,
        };
        let reasons = [approval, held, earlier, nobody, kept];
        let reasons: Vec<_> = reasons.into_iter().flatten().collect();
        if reasons.is_empty() { next_try } else { Some(reasons.join("; ")) }
    }

    /// Why nothing new is heard of a scan that exists: its scanner cannot be asked, or says nothing new for long.
    fn why_it_stands_still(&self, task: &Task) -> Option<String> {
        if let Some(last) = task.last_error.as_ref().filter(|last| last.is_in(Step::Watch)) {
            let (since, message) = (last.since, &last.message);
            return Some(format!(
                "the scanner cannot be asked for its scan since {since}, which may go on there: {message}"
            ));
        }
        let seen = task.observation.as_ref().filter(|_| task.shown_pause().is_none() && !task.scan_is_over())?;
        let is_long = self.clock.now().since(seen.unchanged_since) >= LONG_WITHOUT_CHANGE;
        is_long.then(|| format!("its scan has not changed on the scanner since {}", seen.unchanged_since))
    }

    /// The window or the pause that holds a task without a scan.
    fn held_by(&self, task: &Task) -> Option<String> {
        if let Some(closed) = self.closed_window(task).filter(|_| task.pause_request.is_none()) {
            return Some(format!("window: {closed}"));
        }
        if let Some(PauseRequest { requested_at, reason, .. }) = &task.pause_request {
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            return Some(format!("it is paused since {requested_at}, until the task is resumed{reason}"));
        }
        None
    }

    /// What keeps a task without a scan from beginning one that nobody holds: its pool, or all scanners that may run it.
    async fn kept_from_beginning(&self, task: &Task, outlook: Option<&Asked>, circuits: Circuits) -> Option<String> {
        let name = &task.scanner_pool;
        let pools = self.scanners.pools();
        let pool = pools.iter().find(|pool| pool.name == *name);
        // A program without scanners does not know what is configured.
        if pool.is_none() && !pools.is_empty() {
            return Some(format!("the pool `{name}` is not configured"));
        }
        let paused = match outlook {
            Some(asked) => asked.as_ref().ok()?.paused.clone(),
            None => self.queue.stats(name).await.ok()?.paused,
        };
        if let Some(reason) = paused {
            return Some(format!("the pool `{name}` is paused: {reason}"));
        }
        let pool = pool?;
        let candidates: Vec<_> = match task.next_instance() {
            Some(id) => match pool.instance(id) {
                Some(bound) => vec![bound],
                None => return Some(format!("the scanner `{id}` is not configured")),
            },
            None => pool.instances.iter().collect(),
        };
        let ids: Vec<_> = candidates.iter().map(|scanner| scanner.instance_id.clone()).collect();
        let circuits = match circuits {
            Circuits::OfAll => self.circuit_statuses(name, &ids, &self.process_circuits().await.ok()?).await.ok()?,
            Circuits::Own => self.own_circuit_statuses(name, &ids),
        };
        let mut reasons = Vec::new();
        for (scanner, circuit) in candidates.into_iter().zip(circuits) {
            let id = &scanner.instance_id;
            reasons.push(match (scanner.enabled, circuit.state) {
                (false, _) => format!("the scanner `{id}` is disabled"),
                (true, CircuitState::Closed) => return None,
                (true, state) => format!("the circuit of the scanner `{id}` is {state}: {}", circuit.reason),
            });
        }
        Some(reasons.join("; "))
    }

    /// The window that keeps the scan of a task from beginning now, if one does.
    pub(super) fn closed_window(&self, task: &Task) -> Option<Closed> {
        self.closed_by(&self.scope.policy(), task)
    }

    fn closed_by(&self, policy: &Policy, task: &Task) -> Option<Closed> {
        let targets = || task.checked_targets().ok();
        let (mode, closed) = policy.closed(&task.scanner_pool, targets, self.clock.now())?;
        (mode == PolicyMode::Enforce).then_some(closed)
    }

    /// Brings the tasks back into their queues that the windows or the approvals of `before` have kept back, and those of
    /// today do not.
    ///
    /// # Errors
    /// Of the tasks or the queue. Workers look again by themselves at what they have put off, some minutes later.
    pub(super) async fn let_go(&self, before: &Policy) -> Result<(), ServiceError> {
        let unfinished = self.tasks.list(TaskQuery::default().unfinished()).await?;
        for task in unfinished.tasks.iter().filter(|task| !task.has_scan() && task.pause_request.is_none()) {
            let waited = || matches!(approval_of(before, task, self.clock.now()), ApprovalState::Waiting(_));
            let was_held = self.closed_by(before, task).is_some() || waited();
            let is_let_go = was_held && self.closed_window(task).is_none() && self.approval_request(task).is_none();
            if is_let_go && housekeeping::take_if_put_off(self.queue.as_ref(), task).await? {
                self.enqueue_again(task).await?;
            }
        }
        Ok(())
    }

    /// Refuses a scan that no window will ever let begin; in a dry run, says so.
    pub(super) fn check_windows(
        &self,
        task: &Task,
        targets: &TargetSet,
        checked: &mut Checked,
    ) -> Result<(), ScopeError> {
        let aimed = || Some((targets.clone(), checked.addresses.clone()));
        let closed = self.scope.closed(&task.scanner_pool, aimed, task.created_at);
        match closed.filter(|(_, closed)| closed.opens_at.is_none()) {
            Some((PolicyMode::Enforce, closed)) => Err(ScopeError::NeverOpen { reason: closed.reason }),
            Some((_, closed)) => {
                checked.would_refuse.push(closed.to_string());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What is said of a scan that runs while its window is closed.
    pub(super) fn outside_of_window(&self, task: &Task) -> Option<String> {
        let closed = self.closed_window(task).filter(|_| task.status == TaskStatus::Running && task.has_scan())?;
        let how = if closed.pauses { "it is paused until then" } else { "the scan that runs goes on" };
        Some(format!("{closed}; {how} (`at_end` of the policy)"))
    }

    /// How many workers in a row were lost with a task, if that is why it waits.
    async fn workers_lost_with(&self, task: &Task, outlook: Option<&Asked>) -> Option<u32> {
        if let Some(asked) = outlook {
            return asked.as_ref().ok()?.losses;
        }
        if self.has_changed_lately(task) {
            return None;
        }
        let suspects = self.queue.suspects(&task.scanner_pool).await.ok()?;
        suspects.into_iter().find_map(|(suspect, lost)| (suspect == task.task_id).then_some(lost))
    }
}
