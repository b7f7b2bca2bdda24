//! Keeping a claim alive, and noticing when it is not.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, warn};

use crate::{
    error::chain,
    ids::{InstanceId, TaskId},
    queue::{Lease, Queue, RenewOutcome, SlotOutcome},
    time::BootInstant,
};

/// The part of a lease after which a worker that could not renew it stops acting, in tenths.
pub(super) const TRUSTED_TENTHS: u32 = 8;

/// How often a lease is renewed in its length.
const BEATS: u32 = 3;

/// A slot on a scanner that is renewed together with the claim.
#[derive(Debug, Clone)]
pub(super) struct HeldSlot {
    pub(super) instance: InstanceId,
    pub(super) capacity: u32,
}

/// Renews a claim and its slot in the background until it is dropped. The first renewal proves that the worker survives the
/// task.
#[derive(Debug)]
pub(super) struct Heartbeat {
    lost: CancellationToken,
    stop: CancellationToken,
    slot: watch::Sender<Option<HeldSlot>>,
    beats: JoinHandle<()>,
}

impl Heartbeat {
    /// Starts to renew `lease`, which was asked for at `claimed_at`.
    pub(super) fn start(queue: Arc<dyn Queue>, lease: Lease, length: Duration, claimed_at: BootInstant) -> Self {
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let (slot, held) = watch::channel(None);
        let beats = Beats { queue, lease, length, held, claimed_at, stop: stop.clone() };
        // However the beats end, by a panic too, the claim is not to be acted on any more.
        let lost_at_the_end = lost.clone().drop_guard();
        let beats = async move {
            let _lost_at_the_end = lost_at_the_end;
            beats.run().await;
        };
        let beats = tokio::spawn(beats.in_current_span());
        Self { lost, stop, slot, beats }
    }

    /// Ends when the last beat has: from then on nothing of the claim or its slot is renewed.
    pub(super) async fn end(mut self) {
        self.stop.cancel();
        if let Err(failed) = (&mut self.beats).await {
            error!(error = %failed, "the heartbeat panicked");
        }
    }

    /// Renews this slot as well from now on.
    pub(super) fn hold_slot(&self, slot: HeldSlot) {
        self.slot.send_replace(Some(slot));
    }

    /// Renews no slot any more.
    pub(super) fn leave_slot(&self) {
        self.slot.send_replace(None);
    }

    /// Ready when the claim is lost or could not be renewed for too long.
    pub(super) fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Beats {
    queue: Arc<dyn Queue>,
    lease: Lease,
    length: Duration,
    held: watch::Receiver<Option<HeldSlot>>,
    claimed_at: BootInstant,
    stop: CancellationToken,
}

impl Beats {
    /// Returns when the claim must not be acted on any more, or need not be renewed. A beat is never left halfway: the queue
    /// might carry it out later.
    async fn run(self) {
        // Measured from before the call that confirmed the lease, so that a slow answer counts against us.
        let mut confirmed = self.claimed_at;
        let mut pause = self.length / BEATS;
        let mut is_noted = false;
        loop {
            let deadline = confirmed + self.length * TRUSTED_TENTHS / 10;
            tokio::select! {
                () = tokio::time::sleep(deadline.left().min(pause)) => {}
                () = self.stop.cancelled() => return,
            }
            let began = BootInstant::now();
            match tokio::time::timeout(deadline.left(), self.beat()).await {
                Ok(Ok(RenewOutcome::Held)) => {
                    confirmed = began;
                    pause = self.length / BEATS;
                    if !is_noted {
                        is_noted = tokio::time::timeout(deadline.left(), self.queue.note_progress(&self.lease))
                            .await
                            .is_ok_and(|noted| noted.is_ok());
                    }
                }
                Ok(Ok(RenewOutcome::Lost)) => {
                    warn!(task_id = %self.lease.task_id, fence = %self.lease.fence, "another worker holds the task");
                    return;
                }
                Ok(Err(error)) if began < deadline => {
                    debug!(task_id = %self.lease.task_id, error, "the lease could not be renewed yet");
                    pause = self.length / (BEATS * BEATS);
                }
                Ok(Err(_)) | Err(_) => {
                    warn!(task_id = %self.lease.task_id, "the lease could not be renewed in time");
                    return;
                }
            }
        }
    }

    async fn beat(&self) -> Result<RenewOutcome, String> {
        let outcome = self.queue.renew(std::slice::from_ref(&self.lease), self.length).await;
        let outcome = outcome.map_err(|error| chain(&error))?.first().copied().unwrap_or(RenewOutcome::Lost);
        let held = self.held.borrow().clone();
        if let (RenewOutcome::Held, Some(slot)) = (outcome, held) {
            self.renew_slot(&self.lease.task_id, &slot).await;
        }
        Ok(outcome)
    }

    /// A slot that cannot be renewed does not stop the scan, which runs already; it is said in the log.
    async fn renew_slot(&self, task_id: &TaskId, slot: &HeldSlot) {
        let renewed =
            self.queue.acquire_slot(&self.lease.pool, &slot.instance, task_id, slot.capacity, self.length).await;
        match renewed {
            Ok(SlotOutcome::Acquired) => {}
            Ok(SlotOutcome::Full) => warn!(%task_id, instance = %slot.instance, "the scanner's slot was given away"),
            Err(error) => debug!(%task_id, error = chain(&error), "the scanner's slot could not be renewed yet"),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "heartbeat_tests.rs"]
mod tests;
