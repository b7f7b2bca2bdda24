//! Holding a scan on its scanner, and letting it go on.
//!
//! That we hold a scan is written down before its scanner is told, so that whoever comes after us resumes it. What somebody
//! has paused on the scanner itself is shown, and resumed only there.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{held_task::HeldTask, hold::Hold, outcome::StepError};
use crate::{
    error::chain,
    ids::ScanId,
    policy::PolicyMode,
    scanner::{ScanState, ScannerError, ScannerInterface as _},
    task::{EventKind, Pause, PauseState, PausedBy, Task},
    time::{Clock as _, Timestamp},
};

/// When the scanner is told again: the first time may not have arrived.
const TELL_AGAIN: Duration = Duration::from_secs(30);
/// How long after it was told a scanner may still come to hold a scan that it shows as running. Until then a pause counts
/// as ours, also when nobody wants it any more.
const SETTLED: Duration = Duration::from_secs(60);

/// What the scanner is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Pause,
    Resume,
}

impl Order {
    /// What follows from the pause of a task whose scan was just seen in this state.
    fn of(task: &Task, is_wished: bool, seen: ScanState) -> Option<Self> {
        match (task.pause.as_ref()?.state, seen) {
            (PauseState::Pausing, ScanState::Running) => is_wished.then_some(Self::Pause),
            (PauseState::Resuming, ScanState::Paused) => Some(Self::Resume),
            _ => None,
        }
    }
}

/// The pauses of one scan, as one worker follows them.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// What the scanner has accepted last, and when.
    told: Option<(Order, Instant)>,
    /// Whether the log has said that a window would pause the scan, if the policy were enforced.
    has_warned: bool,
}

impl Pauses {
    /// Whether a scan that was last seen in this state is to be paused or resumed, because of what has changed since.
    pub(super) fn is_due(held: &HeldTask<'_>, task: &Task, seen: ScanState) -> bool {
        let after = &mut task.clone();
        advance(after, held.shared.hold(task), seen, held.shared.clock.now());
        after.pause != task.pause
    }

    /// Writes down how a scan that was just seen in this state is held, and tells the scanner what follows. Returns the task,
    /// and what the scanner has refused.
    ///
    /// # Errors
    /// Those of a task that cannot be written or is not ours.
    pub(super) async fn follow(
        &mut self,
        held: &HeldTask<'_>,
        scan: &ScanId,
        task: Task,
        seen: ScanState,
    ) -> Result<(Task, Option<ScannerError>), StepError> {
        self.warn_of_dry_run(held, &task);
        let (wish, now) = (held.shared.hold(&task), held.shared.clock.now());
        let mut after = task.clone();
        advance(&mut after, wish.clone(), seen, now);
        let is_new = after.pause != task.pause;
        let order = Order::of(&after, wish.is_some(), seen).filter(|order| is_new || !self.was_told(*order));
        if !is_new && order.is_none() {
            return Ok((task, None));
        }
        let task = held
            .update(move |task| {
                advance(task, wish, seen, now);
                if let (Some(Order::Pause), Some(pause)) = (order, &mut task.pause) {
                    pause.since = now;
                }
            })
            .await?;
        // Somebody may have thought better of it meanwhile, which the next look shows.
        let wished = Order::of(&task, held.shared.hold(&task).is_some(), seen);
        let Some(order) = order.filter(|order| wished == Some(*order)) else { return Ok((task, None)) };
        crate::fail_points::fail_point!("worker_pause_written");
        held.confirm().await?;
        let wish = if order == Order::Pause { EventKind::PauseRequested } else { EventKind::ResumeRequested };
        let (by, why) = (task.last_by(&wish), task.pause.as_ref().and_then(|pause| pause.reason.as_deref()));
        info!(%scan, ?order, by, why, "the scanner is told to pause the scan or to go on with it");
        let scanner = &held.instance.scanner;
        let told = match order {
            Order::Pause => scanner.pause(scan).await,
            Order::Resume => scanner.resume(scan).await,
        };
        match told {
            Ok(()) => {
                crate::fail_points::fail_point!("worker_pause_told");
                self.told = Some((order, Instant::now()));
                Ok((task, None))
            }
            // Seen as such, and decided upon, when it is looked at the next time.
            Err(ScannerError::NotFound(_)) => Ok((task, None)),
            Err(error) => {
                warn!(%scan, ?order, error = chain(&error), "the scan could not be paused or resumed yet");
                Ok((task, Some(error)))
            }
        }
    }

    /// Says once what a policy would do that is not enforced.
    fn warn_of_dry_run(&mut self, held: &HeldTask<'_>, task: &Task) {
        let closed = held.shared.closed_window(task, PolicyMode::DryRun).filter(|closed| closed.pauses);
        if let Some(closed) = &closed
            && !self.has_warned
        {
            warn!(window = %closed, "a scan that the policy would pause goes on: it is a dry run");
        }
        self.has_warned = closed.is_some();
    }

    /// Whether the scanner has accepted this order a short while ago.
    fn was_told(&self, order: Order) -> bool {
        self.told.is_some_and(|(told, at)| told == order && at.elapsed() < TELL_AGAIN)
    }
}

/// Brings the pause of a task up to what was seen of its scan and what is wished for it.
fn advance(task: &mut Task, hold: Option<Hold>, seen: ScanState, now: Timestamp) {
    // A wish that has changed since it was looked at counts.
    let hold = task.pause_request.as_ref().map(Hold::of).or(hold.filter(|hold| hold.by != PausedBy::Request));
    match (&mut task.pause, seen) {
        (None, ScanState::Paused) => task.pause = Some(Pause::new(PausedBy::Scanner, PauseState::Paused, now)),
        (Some(pause), ScanState::Paused) if pause.state == PauseState::Pausing => {
            (pause.state, pause.since) = (PauseState::Paused, now);
        }
        // Resumed, by us or on the scanner.
        (Some(pause), ScanState::Running | ScanState::Pending) if pause.state != PauseState::Pausing => {
            task.end_pause(now);
        }
        _ => {}
    }
    match (&mut task.pause, hold) {
        (None, Some(hold)) if seen == ScanState::Running => task.pause = Some(hold.pause(PauseState::Pausing, now)),
        (Some(pause), Some(hold)) if pause.is_ours() => {
            let state = if pause.state == PauseState::Pausing { PauseState::Pausing } else { PauseState::Paused };
            *pause = hold.pause(state, pause.since);
        }
        (Some(pause), None) if pause.is_ours() => match pause.state {
            PauseState::Pausing if now.since(pause.since) >= SETTLED => task.pause = None,
            PauseState::Pausing => {}
            PauseState::Paused | PauseState::Resuming => pause.state = PauseState::Resuming,
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests;
