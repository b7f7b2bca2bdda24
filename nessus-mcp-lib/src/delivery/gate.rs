//! Webhooks that fail: each rests a while, so that many deliveries to one that hangs do not keep others waiting.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::{debug, info, warn};

use crate::time::Timestamp;

/// A webhook that has failed, and not taken anything since.
#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Timestamp,
    rests_until: Timestamp,
}

/// The webhooks that fail, by name, as far as this process has seen.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<String, Failing>>);

impl Gates {
    /// Lets a delivery to a webhook be tried, or says how long the webhook rests. Of one that fails, one delivery is tried after each
    /// rest, and `rest` is how long the others wait for what comes of it.
    pub(super) fn enter(&self, webhook: &str, now: Timestamp, rest: Duration) -> Result<(), Duration> {
        let mut failing = self.failing();
        let Some(known) = failing.get_mut(webhook) else { return Ok(()) };
        let left = known.rests_until.since(now);
        if left.is_zero() {
            known.rests_until = now.plus(rest);
            return Ok(());
        }
        Err(left)
    }

    /// Says once that a webhook takes deliveries again.
    pub(super) fn succeeded(&self, webhook: &str, now: Timestamp) {
        if let Some(failed) = self.failing().remove(webhook) {
            info!(webhook, failed_for = ?now.since(failed.since), "the webhook takes deliveries again");
        }
    }

    /// Says once that a webhook fails, and lets it rest.
    pub(super) fn failed(&self, webhook: &str, error: &str, now: Timestamp, rest: Duration) {
        let mut failing = self.failing();
        let since = failing.get(webhook).map(|known| known.since);
        failing.insert(webhook.to_owned(), Failing { since: since.unwrap_or(now), rests_until: now.plus(rest) });
        drop(failing);
        if since.is_none() {
            warn!(webhook, error, "the webhook fails; deliveries to it are kept and tried again");
        } else {
            debug!(webhook, error, "the webhook still fails");
        }
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<String, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
