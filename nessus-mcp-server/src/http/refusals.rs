//! Counts and tells what the transport refuses, in a log that no client can flood.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    audit::{Audit, Decision, Event, Who},
    telemetry::Metrics,
};
use tracing::warn;

/// How long after a line about a kind of refusals the next may come.
const PAUSE: Duration = Duration::from_secs(10);

/// What was refused. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Refusals {
    metrics: Arc<Metrics>,
    audit: Audit,
    told: Arc<Mutex<BTreeMap<&'static str, Told>>>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How many were not told since.
    left_out: u64,
}

impl Refusals {
    pub(super) fn new(metrics: &Arc<Metrics>, audit: &Audit) -> Self {
        Self { metrics: Arc::clone(metrics), audit: audit.clone(), told: Arc::default() }
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Counts a refusal. `what` is one of a few words of this program. The first is told at once, then one line at most in
    /// ten seconds says how many came since the last.
    pub(super) fn count(&self, what: &'static str, client: Option<IpAddr>) {
        self.metrics.process().http_refused(what);
        let event = Event::new("connection", Who::default().with_address(client));
        self.audit.refused(event.decided(Decision::Refused, "no room or time").with_outcome(what));
        let Some(left_out) = self.line(what, Instant::now()) else { return };
        let client = client.map(tracing::field::display);
        warn!(what, client, left_out, "a client was refused for want of room or time; this line is limited");
    }

    /// How many were left out before this line, if it may be written.
    fn line(&self, what: &'static str, now: Instant) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told.get_mut(what) {
            Some(told) if now < told.at + PAUSE => {
                told.left_out += 1;
                None
            }
            _ => Some(told.insert(what, Told { at: now, left_out: 0 }).map_or(0, |told| told.left_out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_few_lines() {
        let refusals = Refusals::new(&Arc::new(Metrics::new().unwrap()), &Audit::off());
        let began = Instant::now();
        let lines: Vec<_> = (0..2000).filter_map(|n| refusals.line("a", began + PAUSE * n / 1000)).collect();
        assert_eq!(lines, [0, 999]);
        assert_eq!(refusals.line("b", began), Some(0), "each kind has lines of its own");
        assert_eq!(refusals.line("a", began + 3 * PAUSE), Some(999));
    }
}
