//! The circuit as a pure machine: what happened goes in, what follows comes out. It never looks at a clock, waits or
//! locks, so that every sequence of events can be tried out without any time passing.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{
    state::{CallOutcome, CircuitCommand, CircuitState},
    window::Window,
};
use crate::{config::CircuitSettings, error::counted};

/// What a rejected caller is told to wait while others try whether the scanner is back.
const SOON: Duration = Duration::from_secs(1);

/// Gives numbers from 0 up to, but not including, 1.
pub(crate) type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// The right to make one call, as long as the circuit stays in the state that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    generation: u64,
}

/// Something that happens to a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody wants to make a call.
    Asked,
    /// One of several tries of a call has failed, and the call goes on.
    Tried {
        /// What the call was allowed by.
        ticket: Ticket,
        /// How the try ended.
        outcome: CallOutcome,
    },
    /// A call has ended.
    Ended {
        /// What it was allowed by.
        ticket: Ticket,
        /// How it ended.
        outcome: CallOutcome,
    },
    /// A call was given up by its caller: it says nothing.
    Dropped {
        /// What it was allowed by.
        ticket: Ticket,
    },
    /// Nothing happened, but time has passed.
    Ticked,
    /// An operator has given a command.
    Commanded {
        /// What.
        command: CircuitCommand,
        /// Why.
        reason: String,
    },
    /// The scanner's configuration has changed: what was learnt about it holds no more.
    Reconfigured,
    /// The scanner has refused the login of another process.
    RefusedElsewhere {
        /// What the scanner said; no secret.
        reason: String,
    },
}

/// Why a call is not made, and when it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The state of the circuit.
    pub(crate) state: CircuitState,
    /// Why it is in this state.
    pub(crate) reason: String,
    /// When to ask again; `None` when somebody has to do something first.
    pub(crate) retry_after: Option<Duration>,
}

/// What follows from an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Effects {
    /// The answer to [`Event::Asked`].
    pub(crate) answer: Option<Result<Ticket, Rejection>>,
    /// Whether the state has changed, or began anew.
    pub(crate) changed: bool,
}

#[derive(Debug, Clone)]
enum State {
    Closed { failures: u32, window: Window },
    Open { until: Instant },
    HalfOpen { under_way: u32, successes: u32, until: Instant },
    Isolated,
    Unusable,
}

/// One circuit.
pub(crate) struct Machine {
    settings: CircuitSettings,
    jitter: Jitter,
    state: State,
    /// Grows with each change of state, so that what was allowed by an earlier one is recognised.
    generation: u64,
    since: Instant,
    reason: String,
    /// How often it opened lately: the open time doubles with each.
    openings: u32,
    /// Until when the scanner has asked for no further calls.
    not_before: Option<Instant>,
    /// How often it opened at all.
    opens: u64,
    /// Failures that counted.
    failures: u64,
    /// Whether a call has ever succeeded: not before the last reset, configuration or refusal.
    let_in: bool,
    /// How often an operator has reset it.
    resets: u64,
    /// How often the scanner has refused the login of this process.
    refusals: u64,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("state", &self.state)
            .field("generation", &self.generation)
            .field("openings", &self.openings)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// A closed circuit.
    pub(crate) fn new(settings: CircuitSettings, now: Instant, jitter: Jitter) -> Self {
        let window = Window::new(now, settings.window);
        Self {
            settings,
            jitter,
            state: State::Closed { failures: 0, window },
            generation: 0,
            since: now,
            reason: String::new(),
            openings: 0,
            not_before: None,
            opens: 0,
            failures: 0,
            let_in: false,
            resets: 0,
            refusals: 0,
        }
    }

    /// Takes note of an event at `now`, which never goes back.
    pub(crate) fn on_event(&mut self, now: Instant, event: Event) -> Effects {
        let before = self.generation;
        self.expire(now);
        let answer = match event {
            Event::Asked => Some(self.asked(now)),
            Event::Tried { ticket, outcome } => {
                self.ended(now, ticket, outcome);
                None
            }
            Event::Ended { ticket, outcome } => {
                self.give_back(ticket);
                self.ended(now, ticket, outcome);
                None
            }
            Event::Dropped { ticket } => {
                self.give_back(ticket);
                None
            }
            Event::Ticked => None,
            Event::Commanded { command, reason } => {
                self.commanded(now, command, reason);
                None
            }
            Event::Reconfigured => {
                if !matches!(self.state, State::Isolated) {
                    self.forget();
                    self.close(now, "the configuration has changed".to_owned());
                }
                None
            }
            Event::RefusedElsewhere { reason } => {
                self.refused_elsewhere(now, reason);
                None
            }
        };
        Effects { answer, changed: self.generation != before }
    }

    /// The state.
    pub(crate) fn state(&self) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen { .. } => CircuitState::HalfOpen,
            State::Isolated => CircuitState::Isolated,
            State::Unusable => CircuitState::Unusable,
        }
    }

    /// Why it is in this state; empty for a circuit that has always been closed.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// Since when it is in this state.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// What is left of the state's time: zero for one that has none, or whose time is over.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        match self.state {
            State::Open { until } | State::HalfOpen { until, .. } => until.saturating_duration_since(now),
            State::Closed { .. } | State::Isolated | State::Unusable => Duration::ZERO,
        }
    }

    /// How often it opened by itself, since this value was made.
    pub(crate) fn opens(&self) -> u64 {
        self.opens
    }

    /// Failures that counted, since this value was made.
    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// How often an operator has reset it.
    pub(crate) fn resets(&self) -> u64 {
        self.resets
    }

    /// How often the scanner has refused the login of this process.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Why a call would be rejected now; `None` when one would be allowed.
    pub(crate) fn rejection(&self, now: Instant) -> Option<Rejection> {
        let retry_after = match &self.state {
            State::Closed { .. } => return None,
            State::Open { until } if now >= *until => return None,
            State::HalfOpen { under_way, until, .. } => {
                if now >= *until || *under_way < self.settings.half_open_permits {
                    return None;
                }
                Some(SOON)
            }
            State::Open { until } => Some(until.duration_since(now)),
            State::Isolated | State::Unusable => None,
        };
        Some(Rejection { state: self.state(), reason: self.reason.clone(), retry_after })
    }

    /// Ends a trial that has taken too long: calls that hang are a failure as well.
    fn expire(&mut self, now: Instant) {
        if let State::HalfOpen { until, .. } = self.state
            && now >= until
        {
            self.openings = self.openings.saturating_sub(1);
            self.open(now, "it could not be told in time whether the scanner is back".to_owned());
        }
    }

    fn asked(&mut self, now: Instant) -> Result<Ticket, Rejection> {
        if let Some(rejection) = self.rejection(now) {
            return Err(rejection);
        }
        if matches!(self.state, State::Open { .. }) {
            let until = now + self.settings.max_half_open;
            self.become_state(now, State::HalfOpen { under_way: 0, successes: 0, until });
        }
        if let State::HalfOpen { under_way, .. } = &mut self.state {
            *under_way += 1;
        }
        Ok(Ticket { generation: self.generation })
    }

    fn give_back(&mut self, ticket: Ticket) {
        if let State::HalfOpen { under_way, .. } = &mut self.state
            && ticket.generation == self.generation
        {
            *under_way = under_way.saturating_sub(1);
        }
    }

    fn ended(&mut self, now: Instant, ticket: Ticket, outcome: CallOutcome) {
        if ticket.generation != self.generation {
            return;
        }
        match outcome {
            CallOutcome::Success => self.succeeded(now),
            CallOutcome::Failure { reason, retry_after } => self.failed(now, &reason, retry_after),
            CallOutcome::Ignored => {}
            CallOutcome::LoginRefused { reason } => {
                self.reason = reason;
                self.let_in = false;
                self.refusals += 1;
                self.become_state(now, State::Unusable);
            }
        }
    }

    fn succeeded(&mut self, now: Instant) {
        self.let_in = true;
        match &mut self.state {
            State::Closed { failures, window } => {
                *failures = 0;
                window.add(now, false);
            }
            State::HalfOpen { successes, .. } => {
                *successes += 1;
                if *successes >= self.settings.half_open_successes {
                    self.close(now, "the scanner is back".to_owned());
                }
            }
            _ => {}
        }
    }

    fn failed(&mut self, now: Instant, reason: &str, retry_after: Option<Duration>) {
        self.failures += 1;
        if let Some(wait) = retry_after {
            let asked = now + wait.min(self.settings.max_retry_after);
            self.not_before = Some(self.not_before.map_or(asked, |known| known.max(asked)));
        }
        match &mut self.state {
            State::Closed { failures, window } => {
                *failures += 1;
                window.add(now, true);
                let in_a_row = *failures;
                let (calls, failed) = window.counts(now);
                let share = u64::from(self.settings.failure_rate_percent);
                if in_a_row >= self.settings.failures {
                    self.open(
                        now,
                        format!("{} failed, the last: {reason}", counted(in_a_row, "call", "calls in a row")),
                    );
                } else if calls >= u64::from(self.settings.minimum_calls) && failed * 100 >= share * calls {
                    self.open(
                        now,
                        format!("{failed} of the last {} failed, the last: {reason}", counted(calls, "call", "calls")),
                    );
                }
            }
            State::HalfOpen { .. } => self.open(now, format!("the scanner is not back: {reason}")),
            _ => {}
        }
    }

    fn commanded(&mut self, now: Instant, command: CircuitCommand, reason: String) {
        match command {
            CircuitCommand::Isolate => {
                self.reason = reason;
                self.become_state(now, State::Isolated);
            }
            // What the scanner refused it will refuse again: only a reset may try.
            CircuitCommand::Close if matches!(self.state, State::Unusable) => {}
            CircuitCommand::Close => self.close(now, reason),
            CircuitCommand::Reset => {
                self.resets += 1;
                self.forget();
                self.close(now, reason);
            }
        }
    }

    /// Another try by each process would lock the account. One that was let in knows that its login is right.
    fn refused_elsewhere(&mut self, now: Instant, reason: String) {
        if !self.let_in && !matches!(self.state, State::Isolated | State::Unusable) {
            self.reason = reason;
            self.become_state(now, State::Unusable);
        }
    }

    fn open(&mut self, now: Instant, reason: String) {
        let was_closed = matches!(self.state, State::Closed { .. });
        if was_closed && now.saturating_duration_since(self.since) >= self.settings.max_open {
            self.openings = 0;
        }
        let longest =
            self.settings.open.saturating_mul(2_u32.saturating_pow(self.openings)).min(self.settings.max_open);
        let randomised = longest.mul_f64((self.jitter)().clamp(0.0, 1.0)).max(longest / 10);
        let until = (now + randomised).max(self.not_before.unwrap_or(now));
        self.openings = self.openings.saturating_add(1);
        self.opens += 1;
        self.reason = reason;
        self.become_state(now, State::Open { until });
    }

    fn close(&mut self, now: Instant, reason: String) {
        self.reason = reason;
        let window = Window::new(now, self.settings.window);
        self.become_state(now, State::Closed { failures: 0, window });
    }

    fn forget(&mut self) {
        self.openings = 0;
        self.not_before = None;
        self.let_in = false;
    }

    fn become_state(&mut self, now: Instant, state: State) {
        self.state = state;
        self.since = now;
        self.generation += 1;
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
