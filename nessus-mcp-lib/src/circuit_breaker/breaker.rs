//! The guard around calls: the [`Machine`] behind a lock, with a clock, jitter and log lines.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    machine::{Event, Jitter, Machine, Rejection, Ticket},
    state::{CallOutcome, CircuitCommand, CircuitState},
};
use crate::{
    config::{CircuitSettings, ConfigError},
    time::random_fraction,
};

/// A call that was not made, because the circuit of its scanner is open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no calls are made to `{scanner}` now, its circuit is {state}: {reason}{}", after(*retry_after))]
#[non_exhaustive]
pub struct CircuitOpen {
    /// The name of the breaker, `pool:instance`.
    pub scanner: String,
    /// The state of the circuit.
    pub state: CircuitState,
    /// Why it is in this state.
    pub reason: String,
    /// When to try again; `None` when an operator has to do something first.
    pub retry_after: Option<Duration>,
}

fn after(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!("; try again in {} s", wait.as_secs_f64().ceil()))
}

/// Errors that say what they mean for a circuit.
pub trait ClassifyOutcome: From<CircuitOpen> {
    /// What this end of a call says about the scanner.
    fn outcome(&self) -> CallOutcome;

    /// The same where the call concerned one scan of the scanner, or one file: what is wrong with that says nothing about
    /// the scanner.
    fn outcome_on_one(&self) -> CallOutcome {
        self.outcome()
    }
}

/// What a call concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    /// The scanner.
    Scanner,
    /// One of its scans, or a file.
    One,
}

impl Concern {
    fn outcome_of(self, error: &impl ClassifyOutcome) -> CallOutcome {
        match self {
            Self::Scanner => error.outcome(),
            Self::One => error.outcome_on_one(),
        }
    }
}

/// What an operator sees of a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitView {
    /// The state.
    pub state: CircuitState,
    /// Why; empty for a circuit that has always been closed.
    pub reason: String,
    /// How long it has been in this state.
    pub lasted: Duration,
    /// What is left of the state's time; zero for one that has none.
    pub left: Duration,
    /// How often it opened, in this process.
    pub opens: u64,
    /// Failures that counted, in this process.
    pub failures: u64,
}

/// Decides before each call to a scanner whether it is made. Cheap to clone; all clones are one circuit.
///
/// # Example
/// ```
/// use nessus_mcp_lib::{CircuitBreaker, circuit_breaker::{CallOutcome, CircuitOpen, CircuitState, ClassifyOutcome}, config::CircuitSettings};
///
/// #[derive(Debug)]
/// enum CallError { NoAnswer, NotFound, Rejected(CircuitOpen) }
/// impl From<CircuitOpen> for CallError {
///     fn from(open: CircuitOpen) -> Self { Self::Rejected(open) }
/// }
/// impl ClassifyOutcome for CallError {
///     fn outcome(&self) -> CallOutcome {
///         match self {
///             Self::NoAnswer => CallOutcome::failure("no answer"),
///             Self::NotFound | Self::Rejected(_) => CallOutcome::Ignored,
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), nessus_mcp_lib::config::ConfigError> {
/// let breaker = CircuitBreaker::new("nessus:scanner1", CircuitSettings::default().with_failures(2))?;
/// for _ in 0..2 {
///     let call = async { Err::<(), _>(CallError::NoAnswer) };
///     assert!(matches!(breaker.call(call).await, Err(CallError::NoAnswer)));
/// }
/// // From now on nothing is sent.
/// assert_eq!(breaker.view().state, CircuitState::Open);
/// let Err(CallError::Rejected(open)) = breaker.call(async { Ok::<_, CallError>(1) }).await else { panic!() };
/// assert_eq!(open.scanner, "nessus:scanner1");
/// assert!(open.retry_after.is_some());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    on_change: Box<dyn Fn() + Send + Sync>,
    machine: Mutex<Machine>,
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("name", &self.inner.name).field("state", &self.view().state).finish()
    }
}

impl CircuitBreaker {
    /// A closed circuit under this name, with tokio's clock.
    ///
    /// # Errors
    /// As [`CircuitSettings::check`]: such a circuit would never open, or never close.
    pub fn new(name: impl Into<String>, settings: CircuitSettings) -> Result<Self, ConfigError> {
        settings.check().map(|settings| Self::with_checked(name, settings))
    }

    /// The same with settings that were checked.
    pub(crate) fn with_checked(name: impl Into<String>, settings: CircuitSettings) -> Self {
        Self::with_jitter(name, settings, Box::new(random_fraction))
    }

    /// The same with the caller's jitter.
    pub(super) fn with_jitter(name: impl Into<String>, settings: CircuitSettings, jitter: Jitter) -> Self {
        let machine = Mutex::new(Machine::new(settings, Instant::now(), jitter));
        Self { inner: Arc::new(Inner { name: name.into(), on_change: Box::new(|| {}), machine }) }
    }

    /// Calls `on_change` after each change of state. Only before the first clone.
    pub(crate) fn with_listener(self, on_change: impl Fn() + Send + Sync + 'static) -> Self {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) => Self { inner: Arc::new(Inner { on_change: Box::new(on_change), ..inner }) },
            Err(inner) => Self { inner },
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Whether both are the same circuit.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Makes a call, unless the circuit forbids it, and takes note of how it ends.
    ///
    /// A future that is dropped halfway counts as nothing.
    ///
    /// # Errors
    /// That of the call, or [`CircuitOpen`].
    pub async fn call<T, E: ClassifyOutcome>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.try_acquire()?.call(work).await
    }

    /// The right to make one call now.
    ///
    /// # Errors
    /// [`CircuitOpen`] when none is to be made.
    pub(crate) fn try_acquire(&self) -> Result<Permit, CircuitOpen> {
        let ticket = self.tell(Event::Asked).transpose().map_err(|rejection| self.open_error(rejection))?;
        Ok(Permit { breaker: self.clone(), ticket, concern: Concern::Scanner })
    }

    /// Whether a call would be made now; else why not. Nothing is taken.
    ///
    /// # Errors
    /// [`CircuitOpen`] when none would be.
    pub fn check(&self) -> Result<(), CircuitOpen> {
        match self.look(Machine::rejection) {
            None => Ok(()),
            Some(rejection) => Err(self.open_error(rejection)),
        }
    }

    /// How it stands.
    pub fn view(&self) -> CircuitView {
        self.look(|machine, now| CircuitView {
            state: machine.state(),
            reason: machine.reason().to_owned(),
            lasted: now.saturating_duration_since(machine.since()),
            left: machine.left(now),
            opens: machine.opens(),
            failures: machine.failures(),
        })
    }

    /// How often it was reset by an operator.
    pub(crate) fn resets(&self) -> u64 {
        self.look(|machine, _| machine.resets())
    }

    /// How often the scanner has refused the login of this process.
    pub(crate) fn refusals(&self) -> u64 {
        self.look(|machine, _| machine.refusals())
    }

    /// Lets no calls through until it is closed or reset.
    pub fn isolate(&self, reason: impl Into<String>) {
        self.command(CircuitCommand::Isolate, reason);
    }

    /// Lets calls through again.
    pub fn close(&self, reason: impl Into<String>) {
        self.command(CircuitCommand::Close, reason);
    }

    /// Lets calls through again and forgets everything.
    pub fn reset(&self, reason: impl Into<String>) {
        self.command(CircuitCommand::Reset, reason);
    }

    pub(crate) fn command(&self, command: CircuitCommand, reason: impl Into<String>) {
        self.tell(Event::Commanded { command, reason: reason.into() });
    }

    /// Forgets what was learnt: the scanner has another configuration now. An isolated circuit stays so.
    pub(crate) fn reconfigured(&self) {
        self.tell(Event::Reconfigured);
    }

    /// Lets time pass: a trial that takes too long ends.
    pub(crate) fn tick(&self) {
        self.tell(Event::Ticked);
    }

    /// Says that the scanner has refused the login of another process.
    pub(crate) fn refused_elsewhere(&self, reason: impl Into<String>) {
        self.tell(Event::RefusedElsewhere { reason: reason.into() });
    }

    /// Returns the answer to [`Event::Asked`].
    fn tell(&self, event: Event) -> Option<Result<Ticket, Rejection>> {
        let effects = self.machine().on_event(Instant::now(), event);
        if effects.changed {
            self.log();
            (self.inner.on_change)();
        }
        effects.answer
    }

    fn look<T>(&self, look: impl FnOnce(&Machine, Instant) -> T) -> T {
        look(&self.machine(), Instant::now())
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.inner.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_error(&self, rejection: Rejection) -> CircuitOpen {
        let Rejection { state, reason, retry_after } = rejection;
        CircuitOpen { scanner: self.inner.name.clone(), state, reason, retry_after }
    }

    fn log(&self) {
        let (scanner, CircuitView { state, reason, left, .. }) = (self.name(), self.view());
        match state {
            CircuitState::Closed => info!(scanner, reason, "the circuit is closed: calls are made"),
            CircuitState::Open => warn!(scanner, reason, ?left, "the circuit is open: no calls are made"),
            CircuitState::HalfOpen => info!(scanner, "the circuit is half-open: a few calls are made"),
            CircuitState::Isolated => warn!(scanner, reason, "the circuit is isolated: no calls are made"),
            CircuitState::Unusable => {
                error!(
                    scanner,
                    reason, "the scanner is unusable until its configuration changes or its circuit is reset"
                );
            }
        }
    }
}

/// The right to make one call. Dropped without a report it gives itself back and counts as nothing.
#[derive(Debug)]
#[must_use = "a permit that is dropped says that no call was made"]
pub(crate) struct Permit {
    breaker: CircuitBreaker,
    /// Taken by the report.
    ticket: Option<Ticket>,
    concern: Concern,
}

impl Permit {
    /// For a call that concerns one scan of the scanner, or one file: see [`ClassifyOutcome::outcome_on_one`].
    pub(crate) fn on_one(mut self) -> Self {
        self.concern = Concern::One;
        self
    }

    /// Makes the call and takes note of how it ends. A future that is dropped halfway counts as nothing.
    ///
    /// # Errors
    /// That of the call.
    pub(crate) async fn call<T, E: ClassifyOutcome>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let concern = self.concern;
        let attempt = Attempt { breaker: self.breaker.clone(), ticket: self.ticket, concern };
        let result = ATTEMPT.scope(attempt, work).await;
        self.report(result.as_ref().err().map_or(CallOutcome::Success, |error| concern.outcome_of(error)));
        result
    }

    /// Says how the call ended.
    pub(crate) fn report(mut self, outcome: CallOutcome) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.tell(Event::Ended { ticket, outcome });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.tell(Event::Dropped { ticket });
        }
    }
}

/// The guarded call that is being made.
struct Attempt {
    breaker: CircuitBreaker,
    ticket: Option<Ticket>,
    concern: Concern,
}

tokio::task_local! {
    static ATTEMPT: Attempt;
}

/// Tells the breaker around this call, if there is one, how a try has failed and that another will be made.
///
/// # Errors
/// [`CircuitOpen`] when the circuit has opened meanwhile: no further try is to be made.
pub(crate) fn try_failed(error: &impl ClassifyOutcome) -> Result<(), CircuitOpen> {
    let told = ATTEMPT.try_with(|attempt| {
        if let Some(ticket) = attempt.ticket {
            attempt.breaker.tell(Event::Tried { ticket, outcome: attempt.concern.outcome_of(error) });
        }
        attempt.breaker.check()
    });
    told.unwrap_or(Ok(()))
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
