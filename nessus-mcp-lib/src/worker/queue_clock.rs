//! Time by the queue's clock: the one that all workers share.
//!
//! Any worker may measure from a moment that another has written down, and clocks of machines differ. So a worker dates what
//! it writes by the queue's clock, which it asks now and then and follows in between, and a step of its own clock moves
//! nothing. One whose own clock is far off says so and ends no scan for the time it has taken: nobody knows which of the
//! two clocks is wrong.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::{info, warn};

use crate::{
    queue::{Queue, QueueError},
    telemetry::Metrics,
    time::{BootInstant, Clock, Timestamp},
};

/// How far a clock may be off.
const TOLERATED: Duration = Duration::from_secs(60);
/// How often the queue is asked.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The queue's clock, as far as this process knows it; its own until the queue has told.
#[derive(Debug)]
pub(super) struct QueueClock {
    own: Arc<dyn Clock>,
    seen: Mutex<Option<Seen>>,
}

/// What time it was by the queue's clock at a moment of ours.
#[derive(Debug, Clone, Copy)]
struct Seen {
    at: BootInstant,
    time: Timestamp,
    is_far_off: bool,
}

impl QueueClock {
    pub(super) const fn new(own: Arc<dyn Clock>) -> Self {
        Self { own, seen: Mutex::new(None) }
    }

    /// Whether our own clock agrees with the queue's, so that we may judge how long something has taken.
    pub(super) fn is_trusted(&self) -> bool {
        distance(self.own.now(), self.now()) <= TOLERATED
    }

    /// By how many ms our own clock is ahead of the queue's.
    pub(super) fn ahead_ms(&self) -> i64 {
        self.own.now().as_millis().saturating_sub(self.now().as_millis())
    }

    /// Asks the queue once.
    pub(super) async fn look(&self, queue: &dyn Queue, metrics: &Metrics) -> Result<(), QueueError> {
        let (asked, before) = (BootInstant::now(), self.own.now());
        let told = queue.now().await?;
        // The answer is from some moment in between.
        let halfway = asked.elapsed() / 2;
        let (at, own) = (asked + halfway, before.plus(halfway));
        let time = told.unwrap_or(own);
        let is_far_off = distance(own, time) > TOLERATED;
        let ahead = own.since(time).as_secs_f64() - time.since(own).as_secs_f64();
        metrics.set_clock_offset(ahead);
        let last = self.seen.lock().unwrap_or_else(PoisonError::into_inner).replace(Seen { at, time, is_far_off });
        match (last.is_some_and(|last| last.is_far_off), is_far_off) {
            (false, true) => warn!(
                seconds_ahead = ahead,
                "the clock of this machine and that of the queue differ: scans are not ended for the time they take"
            ),
            (true, false) => info!("the clock of this machine and that of the queue agree again"),
            _ => {}
        }
        Ok(())
    }

    /// Asks the queue again and again. Never returns.
    pub(super) async fn follow(&self, queue: &dyn Queue, metrics: &Metrics) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // What was seen before counts on, and whoever claims hears of the failure.
            let _ = self.look(queue, metrics).await;
        }
    }
}

impl Clock for QueueClock {
    fn now(&self) -> Timestamp {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.map_or_else(|| self.own.now(), |seen| seen.time.plus(seen.at.elapsed()))
    }
}

fn distance(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}
