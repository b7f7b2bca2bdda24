//! The life of one launch.
//!
//! ```text
//! pending ──> running ──> completed
//!                │ ▲
//!        pausing │ │ resuming
//!                ▼ │
//!               paused          every state before completed ──> stopping ──> canceled
//! ```
//! A [`RunFaults`] changes that: a run that never begins, never ends, or is aborted.
//!
//! Nothing moves by itself: [`Run::advance`] walks the states up to the moment it is called, with the instants at
//! which they would have changed, so that a run looks the same however often it is polled.

use std::{sync::Arc, time::Duration};

use crate::time::Timestamp;

use super::{authentication::Authentication, config::SimConfig, findings::hash, targets::Expansion};

/// How long the states last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pending: Duration,
    work: Duration,
    transition: Duration,
}

impl Pace {
    pub(super) fn of(config: &SimConfig) -> Self {
        let pending = (config.scan_duration / 10).min(Duration::from_secs(1));
        let transition = (config.scan_duration / 20).min(Duration::from_millis(500));
        Self {
            pending,
            work: config.scan_duration.saturating_sub(pending),
            transition: config.transition.unwrap_or(transition),
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Running,
    Pausing,
    Paused,
    Resuming,
    Stopping,
    Completed,
    Canceled,
    Aborted,
}

impl Phase {
    /// The scanner's word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Resuming => "resuming",
            Self::Stopping => "stopping",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
            Self::Aborted => "aborted",
        }
    }

    /// Whether the run has not ended.
    pub(super) fn is_active(self) -> bool {
        !matches!(self, Self::Completed | Self::Canceled | Self::Aborted)
    }
}

/// What is wrong with a run; nothing unless a fault says so.
#[derive(Debug, Default)]
pub(super) struct RunFaults {
    /// Where it stays for ever, if nobody stops it.
    pub(super) stuck: Option<Stuck>,
    /// Why it is aborted when it should begin.
    pub(super) aborted_at_start: Option<String>,
    /// How long stopping takes.
    pub(super) stop_takes: Option<Duration>,
    /// How the logins on its hosts end.
    pub(super) authentication: Option<Authentication>,
}

/// Where a run stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    Pending,
    AlmostDone,
}

/// One launch of a scan.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) history_id: u64,
    pub(super) uuid: String,
    pub(super) launched: Timestamp,
    pub(super) ended: Option<Timestamp>,
    /// The target list of this run, and its hosts.
    pub(super) targets: String,
    pub(super) expansion: Arc<Expansion>,
    pub(super) alt_targets: bool,
    /// Whether the scan had credentials when it was launched.
    pub(super) has_credentials: bool,
    /// How its logins end on every host, where accounts decide that.
    pub(super) login: Option<Authentication>,
    pub(super) phase: Phase,
    /// When the phase was entered.
    pub(super) since: Timestamp,
    /// Time spent running in earlier phases.
    worked: Duration,
    pace: Pace,
    pub(super) faults: RunFaults,
    /// What the scanner remarks about it.
    pub(super) note: Option<String>,
}

/// What one host shows of its scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostProgress {
    pub(super) index: usize,
    pub(super) done: u64,
    pub(super) total: u64,
}

/// Progress is computed in millionths.
const WHOLE: u64 = 1_000_000;
/// How much of the work is done when it seems that only the last hundredth is left, rounding included.
const ALMOST: u64 = 996_000;
/// Hosts start one after another within this part of the run.
const STAGGER: u64 = 600_000;

impl Run {
    pub(super) fn new(
        history_id: u64,
        uuid: String,
        now: Timestamp,
        targets: (String, Arc<Expansion>),
        pace: Pace,
    ) -> Self {
        Self {
            history_id,
            uuid,
            launched: now,
            ended: None,
            targets: targets.0,
            expansion: targets.1,
            alt_targets: false,
            has_credentials: false,
            login: None,
            phase: Phase::Pending,
            since: now,
            worked: Duration::ZERO,
            pace,
            faults: RunFaults::default(),
            note: None,
        }
    }

    /// Brings the run to where it stands at `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        loop {
            let (lasts, next) = match self.phase {
                Phase::Pending if self.faults.stuck == Some(Stuck::Pending) => return,
                Phase::Running if self.faults.stuck == Some(Stuck::AlmostDone) => return,
                Phase::Pending if self.faults.aborted_at_start.is_some() => (self.pace.pending, Phase::Aborted),
                Phase::Pending => (self.pace.pending, Phase::Running),
                Phase::Running => (self.pace.work.saturating_sub(self.worked), Phase::Completed),
                Phase::Pausing => (self.pace.transition, Phase::Paused),
                Phase::Resuming => (self.pace.transition, Phase::Running),
                Phase::Stopping => (self.faults.stop_takes.unwrap_or(self.pace.transition), Phase::Canceled),
                Phase::Paused | Phase::Completed | Phase::Canceled | Phase::Aborted => return,
            };
            let at = self.since.plus(lasts);
            if now < at {
                return;
            }
            if next == Phase::Aborted {
                self.note = self.faults.aborted_at_start.take();
            }
            self.enter(next, at);
        }
    }

    /// Pauses; false when it is not running.
    pub(super) fn pause(&mut self, now: Timestamp) -> bool {
        let allowed = matches!(self.phase, Phase::Running | Phase::Resuming);
        self.enter_if(allowed, Phase::Pausing, now)
    }

    /// Resumes; false when it is not paused.
    pub(super) fn resume(&mut self, now: Timestamp) -> bool {
        let allowed = matches!(self.phase, Phase::Paused | Phase::Pausing);
        self.enter_if(allowed, Phase::Resuming, now)
    }

    /// Stops; false when it has ended. A second request changes nothing.
    pub(super) fn stop(&mut self, now: Timestamp) -> bool {
        self.phase == Phase::Stopping || self.enter_if(self.phase.is_active(), Phase::Stopping, now)
    }

    /// Ends at once; false when it has ended already.
    pub(super) fn kill(&mut self, now: Timestamp) -> bool {
        self.enter_if(self.phase.is_active(), Phase::Canceled, now)
    }

    /// How the logins on a host end.
    pub(super) fn authentication(&self, config: &SimConfig, host: &str) -> Authentication {
        match self.faults.authentication {
            Some(faults) => faults,
            None if self.has_credentials => match self.login {
                None | Some(Authentication::Succeeds) => config.authentication_on(host),
                Some(other) => other,
            },
            None => Authentication::NotTried,
        }
    }

    /// Whether it scans.
    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Completes before its time; false when it has ended already.
    pub(super) fn complete(&mut self, now: Timestamp) -> bool {
        self.enter_if(self.phase.is_active(), Phase::Completed, now)
    }

    /// Aborts, for this reason; false when it has ended already.
    pub(super) fn abort(&mut self, reason: &str, now: Timestamp) -> bool {
        let allowed = self.phase.is_active();
        if allowed {
            self.note = Some(reason.to_owned());
        }
        self.enter_if(allowed, Phase::Aborted, now)
    }

    fn enter_if(&mut self, allowed: bool, next: Phase, now: Timestamp) -> bool {
        if allowed {
            self.enter(next, now);
        }
        allowed
    }

    fn enter(&mut self, next: Phase, at: Timestamp) {
        self.worked = self.worked_until(at);
        self.phase = next;
        self.since = at;
        if !next.is_active() {
            self.ended = Some(at);
        }
    }

    fn worked_until(&self, now: Timestamp) -> Duration {
        let running = if self.phase == Phase::Running { now.since(self.since) } else { Duration::ZERO };
        (self.worked + running).min(self.pace.work)
    }

    /// The hosts whose scan has begun, in the order of the targets. As on a real scanner, a host that begins late
    /// makes the sum over all of them fall back.
    pub(super) fn progress(&self, now: Timestamp) -> Vec<HostProgress> {
        let hosts = &self.expansion.hosts;
        let count = u64::try_from(hosts.len()).unwrap_or(u64::MAX).max(1);
        let part = self.part(now);
        let begun = self.phase == Phase::Running || self.phase == Phase::Completed || part > 0;
        // The last host begins at `last_start` and ends with the run; all take equally long.
        let last_start = STAGGER * (count - 1) / count;
        let takes = WHOLE - last_start;
        let of_host = |(index, host): (usize, &String)| {
            let start = STAGGER * u64::try_from(index).unwrap_or(0) / count;
            let total = 1_000 + hash(0, host) % 1_000;
            let done = total * part.saturating_sub(start).min(takes) / takes;
            (part >= start).then_some(HostProgress { index, done, total })
        };
        if begun { hosts.iter().enumerate().map_while(of_host).collect() } else { Vec::new() }
    }

    /// How much of the work is done, in millionths.
    fn part(&self, now: Timestamp) -> u64 {
        if self.phase == Phase::Completed {
            return WHOLE;
        }
        let work = self.pace.work.as_micros().max(1);
        let most = if self.faults.stuck == Some(Stuck::AlmostDone) { ALMOST } else { WHOLE };
        u64::try_from(self.worked_until(now).as_micros() * u128::from(WHOLE) / work).unwrap_or(most).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::expand;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn run(hosts: &str) -> Run {
        let config = SimConfig::new().scan_duration(Duration::from_secs(1)).transition(Duration::from_millis(50));
        let targets = (hosts.to_owned(), Arc::new(expand(hosts, 100).unwrap()));
        Run::new(1, "uuid".to_owned(), at(0), targets, Pace::of(&config))
    }

    fn phase_at(run: &mut Run, millis: i64) -> Phase {
        run.advance(at(millis));
        run.phase
    }

    #[test]
    fn a_run_left_alone_completes_when_it_would_have() {
        let mut run = run("192.0.2.1");
        assert_eq!(phase_at(&mut run, 99), Phase::Pending);
        assert_eq!(phase_at(&mut run, 100), Phase::Running);
        assert_eq!(phase_at(&mut run, 999), Phase::Running);
        assert_eq!(phase_at(&mut run, 50_000), Phase::Completed);
        assert_eq!(run.ended, Some(at(1_000)));
    }

    #[test]
    fn a_pause_costs_time_and_no_progress() {
        let mut run = run("192.0.2.1");
        assert_eq!(phase_at(&mut run, 500), Phase::Running);
        assert!(run.pause(at(500)));
        assert_eq!(phase_at(&mut run, 60_000), Phase::Paused);
        let before = run.progress(at(60_000))[0].done;
        assert_eq!(run.progress(at(90_000))[0].done, before);
        assert!(!run.pause(at(90_000)), "already paused");
        assert!(run.resume(at(90_000)));
        assert_eq!(phase_at(&mut run, 100_000), Phase::Completed);
        assert_eq!(run.ended, Some(at(90_000 + 50 + 500)));
    }

    #[test]
    fn a_stopped_run_keeps_what_it_had() {
        let mut run = run("192.0.2.1-10");
        assert_eq!(phase_at(&mut run, 400), Phase::Running);
        assert!(run.stop(at(400)) && run.stop(at(410)));
        assert_eq!(phase_at(&mut run, 430), Phase::Stopping);
        assert_eq!(phase_at(&mut run, 500), Phase::Canceled);
        let hosts = run.progress(at(9_999));
        assert!((1..10).contains(&hosts.len()), "{hosts:?}");
        assert!(hosts.iter().all(|host| host.done < host.total), "{hosts:?}");
        assert!(!run.stop(at(600)) && !run.kill(at(600)));
    }

    #[test]
    fn a_run_stopped_before_it_began_shows_no_host() {
        let mut run = run("192.0.2.1");
        assert!(run.kill(at(50)));
        assert!(run.progress(at(60)).is_empty());
    }

    #[test]
    fn a_completed_run_has_done_everything() {
        let mut run = run("192.0.2.0/24");
        run.advance(at(1_000));
        let hosts = run.progress(at(1_000));
        assert_eq!(hosts.len(), 100);
        assert!(hosts.iter().all(|host| host.done == host.total));
    }
}
