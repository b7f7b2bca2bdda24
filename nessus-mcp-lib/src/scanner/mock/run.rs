//! A scan on a mock scanner, and where its last run stands.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::expand::MockHost;
use crate::{
    error::excerpt,
    scanner::interface::{ScanRequest, ScanState, ScanStatus},
    time::Timestamp,
};

/// A scan on the mock scanner.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    pub(super) request: ScanRequest,
    pub(super) hosts: Vec<MockHost>,
    /// How often it was launched.
    pub(super) runs: u64,
    /// The last run.
    pub(super) run: Option<Run>,
}

/// A run as it is written: durations and one moment of the wall clock, because monotonic clocks end with the machine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedRun {
    pub(super) uuid: String,
    pub(super) elapsed: Duration,
    pub(super) is_held: bool,
    pub(super) ended: Option<End>,
    pub(super) stops_in: Duration,
    pub(super) saved_at: Timestamp,
}

/// A scan under way, or how it ended. The time it was held does not count.
#[derive(Debug, Clone)]
pub(super) struct Run {
    uuid: String,
    /// The time it ran before `since`.
    before: Duration,
    /// Since when it runs; `None` while it is held and after its end.
    since: Option<Instant>,
    ended: Option<End>,
    /// Until when it is being stopped.
    stops_until: Instant,
}

/// An end before completion.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Cancelled,
    Aborted(String),
}

impl Run {
    pub(super) fn new(uuid: String, now: Instant) -> Self {
        Self { uuid, before: Duration::ZERO, since: Some(now), ended: None, stops_until: now }
    }

    /// What is to be written of it at this moment.
    pub(super) fn saved(&self, at: Timestamp) -> SavedRun {
        let now = Instant::now();
        SavedRun {
            uuid: self.uuid.clone(),
            elapsed: self.elapsed(now),
            is_held: self.since.is_none(),
            ended: self.ended.clone(),
            stops_in: self.stops_until.saturating_duration_since(now),
            saved_at: at,
        }
    }

    /// A run that was written earlier. It has gone on since, unless it was held or had ended.
    pub(super) fn of_saved(saved: SavedRun, at: Timestamp) -> Self {
        let (now, passed) = (Instant::now(), at.since(saved.saved_at));
        Self {
            uuid: saved.uuid,
            before: if saved.is_held { saved.elapsed } else { saved.elapsed + passed },
            since: (!saved.is_held).then_some(now),
            ended: saved.ended,
            stops_until: now + saved.stops_in.saturating_sub(passed),
        }
    }

    fn elapsed(&self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Where it stands when the whole takes `whole`; the first twentieth of it is spent waiting.
    pub(super) fn state(&self, now: Instant, whole: Duration) -> ScanState {
        let elapsed = self.elapsed(now);
        match (&self.ended, self.since) {
            (Some(End::Cancelled), _) if now < self.stops_until => ScanState::Stopping,
            (Some(End::Cancelled), _) => ScanState::Cancelled,
            (Some(End::Aborted(_)), _) => ScanState::Aborted,
            _ if elapsed >= whole => ScanState::Completed,
            (None, None) => ScanState::Paused,
            (None, Some(_)) if elapsed < whole / 20 => ScanState::Pending,
            (None, Some(_)) => ScanState::Running,
        }
    }

    /// How many of its hosts it has got to.
    pub(super) fn hosts(&self, now: Instant, whole: Duration, hosts: usize) -> usize {
        if self.state(now, whole) == ScanState::Completed {
            hosts
        } else {
            hosts * usize::from(self.percent(now, whole)) / 100
        }
    }

    /// The part of the time that has passed, 99 at most.
    fn percent(&self, now: Instant, whole: Duration) -> u8 {
        let percent = (self.elapsed(now).as_millis() * 100).checked_div(whole.as_millis()).unwrap_or(99);
        u8::try_from(percent.min(99)).unwrap_or(99)
    }

    pub(super) fn status(&self, now: Instant, whole: Duration, hosts: usize) -> ScanStatus {
        let state = self.state(now, whole);
        let mut status = ScanStatus::new(state);
        status.run_uuid = Some(self.uuid.clone());
        status.progress = match state {
            ScanState::Pending => None,
            ScanState::Completed => Some(100),
            _ => Some(self.percent(now, whole)),
        };
        status.hosts = status.progress.map(|_| self.hosts(now, whole, hosts) as u64);
        // It scans one host after the other.
        let under_way = u64::from(!state.is_terminal());
        status.hosts_done = status.hosts.map(|hosts| hosts.saturating_sub(under_way));
        status.detail = match &self.ended {
            Some(End::Aborted(reason)) => Some(excerpt(&format!("aborted: {reason}")).to_string()),
            _ => None,
        };
        status
    }

    /// Ends it unless it has ended.
    pub(super) fn end(&mut self, now: Instant, whole: Duration, end: End) {
        if !self.state(now, whole).is_terminal() {
            self.hold(now);
            self.ended = Some(end);
        }
    }

    /// Stops it unless it has ended or is being stopped; it takes this long.
    pub(super) fn stop(&mut self, now: Instant, whole: Duration, takes: Duration) {
        if self.ended.is_none() {
            self.end(now, whole, End::Cancelled);
            self.stops_until = now + takes;
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self, now: Instant, whole: Duration) {
        self.end(now, whole, End::Cancelled);
        self.stops_until = now;
    }

    pub(super) fn hold(&mut self, now: Instant) {
        self.before = self.elapsed(now);
        self.since = None;
    }

    pub(super) fn go_on(&mut self, now: Instant) {
        self.since = Some(now);
    }
}
