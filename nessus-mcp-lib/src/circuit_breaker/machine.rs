//! The circuit as a pure machine: what happened goes in, what follows comes out. It never looks at a clock, waits or
//! locks, so that every sequence of events can be tried out without any time passing.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{
    state::{CircuitOrder, CircuitState, Verdict},
    window::Window,
};
use crate::config::CircuitSettings;

/// What a rejected caller is told to wait while others try whether the scanner is back.
const SOON: Duration = Duration::from_secs(1);

/// Gives numbers from 0 up to, but not including, 1.
pub type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// The right to make one call, as long as the circuit stays in the state that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    generation: u64,
}

/// Something that happens to a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants to make a call.
    Asked,
    /// One of several tries of a call has failed, and the call goes on.
    Tried {
        /// What the call was allowed by.
        ticket: Ticket,
        /// How the try ended.
        verdict: Verdict,
    },
    /// A call has ended.
    Ended {
        /// What it was allowed by.
        ticket: Ticket,
        /// How it ended.
        verdict: Verdict,
    },
    /// A call was given up by its caller: it says nothing.
    Dropped {
        /// What it was allowed by.
        ticket: Ticket,
    },
    /// Nothing happened, but time has passed.
    Ticked,
    /// An operator has ordered something.
    Ordered {
        /// What.
        order: CircuitOrder,
        /// Why.
        reason: String,
    },
    /// The scanner's configuration has changed: what was learnt about it holds no more.
    Reconfigured,
    /// Another process says how the circuit stands.
    Heard(News),
}

/// What another process says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct News {
    /// The state.
    pub state: CircuitState,
    /// What is left of its time, where it has any.
    pub left: Duration,
    /// Why.
    pub reason: String,
    /// The order, when it was an operator's.
    pub order: Option<CircuitOrder>,
    /// Whether it was told while this process ran already.
    pub since_start: bool,
}

impl News {
    /// A state that a process has found by itself, before this one started.
    pub fn new(state: CircuitState, left: Duration, reason: impl Into<String>) -> Self {
        Self { state, left, reason: reason.into(), order: None, since_start: false }
    }

    /// The same with whether it was told while this process ran already.
    pub fn told_since_start(mut self, since_start: bool) -> Self {
        self.since_start = since_start;
        self
    }

    /// The same by an operator's order.
    pub fn with_order(mut self, order: Option<CircuitOrder>) -> Self {
        self.order = order;
        self
    }
}

/// Why a call is not made, and when it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The state of the circuit.
    pub state: CircuitState,
    /// Why it is in this state.
    pub reason: String,
    /// When to ask again; `None` when somebody has to do something first.
    pub retry_after: Option<Duration>,
}

/// What follows from an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Effects {
    /// The answer to [`Event::Asked`].
    pub answer: Option<Result<Ticket, Rejection>>,
    /// Whether the state has changed, or began anew.
    pub changed: bool,
}

#[derive(Debug, Clone)]
enum State {
    Closed {
        failures: u32,
        window: Window,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        under_way: u32,
        successes: u32,
        until: Instant,
    },
    /// Another process tries whether the scanner is back.
    TriedElsewhere {
        until: Instant,
    },
    Isolated,
    Unusable {
        /// Whether it was another process that was refused.
        elsewhere: bool,
    },
}

/// One circuit.
pub struct Machine {
    settings: CircuitSettings,
    jitter: Jitter,
    state: State,
    /// Grows with each change of state, so that what was allowed by an earlier one is recognised.
    generation: u64,
    since: Instant,
    reason: String,
    /// How often it opened lately: the open time doubles with each.
    openings: u32,
    /// Until when the scanner has asked to be left alone.
    not_before: Option<Instant>,
    /// How often it opened at all.
    opens: u64,
    /// Failures that counted.
    failures: u64,
    /// The order that led to this state, if one did.
    order: Option<CircuitOrder>,
    /// Whether a call has succeeded in this state, since it was heard of another process that it was refused.
    worked: bool,
    /// Whether a call has ever succeeded: not before the last reset, configuration or refusal.
    let_in: bool,
    /// How often an operator has reset it.
    resets: u64,
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
    pub fn new(settings: CircuitSettings, now: Instant, jitter: Jitter) -> Self {
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
            order: None,
            worked: false,
            let_in: false,
            resets: 0,
        }
    }

    /// Takes note of an event at `now`, which never goes back.
    pub fn on_event(&mut self, now: Instant, event: Event) -> Effects {
        let before = self.generation;
        self.expire(now);
        let answer = match event {
            Event::Asked => Some(self.asked(now)),
            Event::Tried { ticket, verdict } => {
                self.judge(now, ticket, verdict);
                None
            }
            Event::Ended { ticket, verdict } => {
                self.give_back(ticket);
                self.judge(now, ticket, verdict);
                None
            }
            Event::Dropped { ticket } => {
                self.give_back(ticket);
                None
            }
            Event::Ticked => None,
            Event::Ordered { order, reason } => {
                self.ordered(now, order, reason);
                None
            }
            Event::Reconfigured => {
                if !matches!(self.state, State::Isolated) {
                    self.forget();
                    self.close(now, "the configuration has changed".to_owned());
                }
                None
            }
            Event::Heard(news) => {
                self.heard(now, news);
                None
            }
        };
        Effects { answer, changed: self.generation != before }
    }

    /// The state.
    pub fn state(&self) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen { .. } | State::TriedElsewhere { .. } => CircuitState::HalfOpen,
            State::Isolated => CircuitState::Isolated,
            State::Unusable { .. } => CircuitState::Unusable,
        }
    }

    /// Why it is in this state; empty for a circuit that has always been closed.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Since when it is in this state.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// What is left of the state's time: zero for one that has none, or whose time is over.
    pub fn left(&self, now: Instant) -> Duration {
        match self.state {
            State::Open { until } | State::HalfOpen { until, .. } | State::TriedElsewhere { until } => {
                until.saturating_duration_since(now)
            }
            State::Closed { .. } | State::Isolated | State::Unusable { .. } => Duration::ZERO,
        }
    }

    /// How often it opened by itself, since this value was made.
    pub fn opens(&self) -> u64 {
        self.opens
    }

    /// Failures that counted, since this value was made.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// The order that led to this state; `None` when the machine has found it by itself or was told by another.
    pub fn order(&self) -> Option<CircuitOrder> {
        self.order
    }

    /// Whether a call has succeeded in this state, since it was last heard of another process that its login was refused.
    pub fn has_worked(&self) -> bool {
        self.worked
    }

    /// How often an operator has reset it.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// How often the state has changed or begun anew.
    pub fn changes(&self) -> u64 {
        self.generation
    }

    /// Why a call would be rejected now; `None` when one would be allowed.
    pub fn rejection(&self, now: Instant) -> Option<Rejection> {
        let retry_after = match &self.state {
            State::Closed { .. } => return None,
            State::Open { until } | State::TriedElsewhere { until } if now >= *until => return None,
            State::HalfOpen { under_way, until, .. } => {
                if now >= *until || *under_way < self.settings.half_open_permits {
                    return None;
                }
                Some(SOON)
            }
            State::Open { until } => Some(until.duration_since(now)),
            State::TriedElsewhere { until } => Some(until.duration_since(now).min(SOON)),
            State::Isolated | State::Unusable { .. } => None,
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
        if matches!(self.state, State::Open { .. } | State::TriedElsewhere { .. }) {
            let until = now + self.settings.half_open_longest;
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

    fn judge(&mut self, now: Instant, ticket: Ticket, verdict: Verdict) {
        if ticket.generation != self.generation {
            return;
        }
        match verdict {
            Verdict::Success => self.succeeded(now),
            Verdict::Failure { reason, retry_after } => self.failed(now, &reason, retry_after),
            Verdict::Excluded => {}
            Verdict::Fault { reason } => {
                self.reason = reason;
                self.let_in = false;
                self.become_state(now, State::Unusable { elsewhere: false });
            }
        }
    }

    fn succeeded(&mut self, now: Instant) {
        (self.worked, self.let_in) = (true, true);
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
            let asked = now + wait.min(self.settings.retry_after_longest);
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
                    self.open(now, format!("{in_a_row} calls in a row failed, the last: {reason}"));
                } else if calls >= u64::from(self.settings.minimum_calls) && failed * 100 >= share * calls {
                    self.open(now, format!("{failed} of the last {calls} calls failed, the last: {reason}"));
                }
            }
            State::HalfOpen { .. } => self.open(now, format!("the scanner is not back: {reason}")),
            _ => {}
        }
    }

    fn ordered(&mut self, now: Instant, order: CircuitOrder, reason: String) {
        match order {
            CircuitOrder::Isolate => {
                self.reason = reason;
                self.become_state(now, State::Isolated);
            }
            // What the scanner refused it will refuse again: only a reset may try.
            CircuitOrder::Close if matches!(self.state, State::Unusable { .. }) => return,
            CircuitOrder::Close => self.close(now, reason),
            CircuitOrder::Reset => {
                self.resets += 1;
                self.forget();
                self.close(now, reason);
            }
        }
        self.order = Some(order);
    }

    fn heard(&mut self, now: Instant, news: News) {
        if let Some(order) = news.order {
            return self.ordered(now, order, news.reason);
        }
        match (&self.state, news.state) {
            // Another try by each process would lock the account. But whoever was let in knows better, and whoever was
            // started since may have been given another login.
            (State::Unusable { .. } | State::Isolated, CircuitState::Unusable) => return,
            (_, CircuitState::Unusable) => {
                self.worked = false;
                if news.since_start && !self.let_in {
                    self.reason = news.reason;
                    self.become_state(now, State::Unusable { elsewhere: true });
                }
                return;
            }
            // Somebody was let in: worth a try of our own, if there was none yet.
            (State::Unusable { elsewhere: true }, CircuitState::Closed) => {}
            (State::Unusable { .. }, _) => return,
            _ => {}
        }
        let until = now + news.left;
        let state = match news.state {
            CircuitState::Closed => {
                if !matches!(self.state, State::Closed { .. }) {
                    self.close(now, news.reason);
                }
                return;
            }
            CircuitState::Open => {
                self.openings = self.openings.saturating_add(1);
                State::Open { until }
            }
            CircuitState::HalfOpen => State::TriedElsewhere { until },
            CircuitState::Isolated => State::Isolated,
            CircuitState::Unusable => return,
        };
        self.reason = news.reason;
        self.become_state(now, state);
    }

    fn open(&mut self, now: Instant, reason: String) {
        let was_closed = matches!(self.state, State::Closed { .. });
        if was_closed && now.saturating_duration_since(self.since) >= self.settings.open_longest {
            self.openings = 0;
        }
        let longest =
            self.settings.open.saturating_mul(2_u32.saturating_pow(self.openings)).min(self.settings.open_longest);
        let drawn = longest.mul_f64((self.jitter)().clamp(0.0, 1.0)).max(longest / 10);
        let until = (now + drawn).max(self.not_before.unwrap_or(now));
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
        self.order = None;
        self.worked = false;
        self.generation += 1;
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
