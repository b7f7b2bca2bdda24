//! How a task goes on after an error: on its scanner, on another one, or not.

use tracing::warn;

use super::{
    held_task::HeldTask,
    outcome::{Outcome, StepError},
    placement::{OPEN_CIRCUIT_PAUSE, open_circuit_pause},
    poll::STOP_LIMIT,
    retry_pauses::{NEXT_SCANNER_PAUSE, UNCLEAR_PAUSE, retry_after, retry_pause},
    run_task::{MAX_DELIVERIES, TaskRun},
};
use crate::{
    circuit_breaker::{CallOutcome, ClassifyOutcome as _},
    error::{Classified as _, ErrorKind, chain},
    scanner::ScannerError,
    task::Task,
};

impl TaskRun {
    /// The end of a task that shall not go on, and whose scanner has not said for too long whether it has a scan there.
    pub(super) fn end_without_scanner(&self, task: &Task, failure: &ScannerError) -> Option<StepError> {
        let (reason, since) = self.shared.over(task)?;
        let is_enough = self.shared.has_passed(since, STOP_LIMIT);
        let instance = task.next_instance().filter(|_| task.nessus_scan_id.is_none() && is_enough)?;
        let failure = chain(failure);
        Some(reason.error_with(&format!("whether a scan of it is on `{instance}` could not be found out: {failure}")))
    }

    /// How the task goes on after an error that is not final.
    pub(super) fn another_try(&self, task: &Task, error: &StepError, held: Option<&HeldTask<'_>>) -> Option<Outcome> {
        if let (StepError::Scanner(failure), Some(held)) = (error, held)
            && is_scanner_fault(failure)
            && let Some(outcome) = self.without_this_scanner(task, failure, held)
        {
            return Some(outcome);
        }
        if !error.is_retryable() || self.claim.deliveries >= MAX_DELIVERIES {
            return None;
        }
        let mut pause = retry_pause(self.claim.deliveries);
        if let StepError::Scanner(failure) = error {
            pause = pause.max(retry_after(error));
            if failure.may_have_acted() {
                pause = pause.max(UNCLEAR_PAUSE);
            }
        }
        warn!(
            error = error.message(),
            hint = error.hint(),
            deliveries = self.claim.deliveries,
            ?pause,
            "the task will be tried again"
        );
        Some(Outcome::Retry(pause))
    }

    /// How the task goes on when its scanner is at fault: on another one, or on this one once its circuit closes. Neither
    /// counts as a delivery.
    fn without_this_scanner(&self, task: &Task, failure: &ScannerError, held: &HeldTask<'_>) -> Option<Outcome> {
        let (pool, id) = (&task.scanner_pool, &held.instance.instance_id);
        let open_circuit = self.shared.circuits.check(pool, id).err();
        let not_made = matches!(failure, ScannerError::CircuitOpen(_));
        if failure.outcome() == CallOutcome::Ignored && !not_made {
            self.shared.selection.refused(pool, id);
        }
        let others = self.shared.scanners.pool(pool).is_some_and(|scanners| {
            let mut others = scanners.enabled().filter(|other| other.instance_id != *id);
            others.any(|other| {
                !self.shared.selection.is_resting(pool, &other.instance_id)
                    && self.shared.circuits.check(pool, &other.instance_id).is_ok()
            })
        });
        if others && task.next_instance().is_none() {
            warn!(instance = %id, error = chain(failure), "another scanner will be tried");
            return Some(Outcome::HandBack(NEXT_SCANNER_PAUSE));
        }
        let comes_back = failure.is_retryable() && (open_circuit.is_some() || not_made);
        if !comes_back && !failure.needs_operator() {
            return None;
        }
        let mut pause = open_circuit.as_ref().map_or(OPEN_CIRCUIT_PAUSE.0, open_circuit_pause);
        if failure.may_have_acted() {
            pause = pause.max(UNCLEAR_PAUSE);
        }
        warn!(instance = %id, error = chain(failure), ?pause, "the task waits until its scanner is back");
        Some(Outcome::HandBack(pause))
    }
}

/// Whether another scanner may do what this one did not: it cannot be reached, is not ready, or is set up wrongly.
fn is_scanner_fault(error: &ScannerError) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Configuration)
}
