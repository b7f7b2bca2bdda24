//! Repeating calls that may be repeated, without making an outage worse.
//!
//! Only what changes nothing is repeated: a read, or a create or launch after its effect was looked for. Each try but the
//! last is told to the [circuit breaker](crate::circuit_breaker) around the call, so that three tries are three
//! failures; when the circuit opens, nothing more is tried. A [`RetryBudget`] keeps repetitions to about a fifth of all
//! calls: a scanner that is overloaded gets little more to do, not three times as much.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    circuit_breaker::{ClassifyOutcome, try_failed},
    time::random_fraction,
};

/// What a call pays into the budget, in hundredths of a repetition: five calls pay for one.
const PAID_BY_CALL: u32 = 20;
/// The price of a repetition.
const PRICE: u32 = 100;
/// The most a budget holds, so that hours of good calls do not pay for a storm: ten repetitions.
const MOST_SAVED: u32 = 10 * PRICE;

/// How many repetitions may still be made. Starts full.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    saved: Mutex<u32>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { saved: Mutex::new(MOST_SAVED) }
    }
}

impl RetryBudget {
    fn with<T>(&self, change: impl FnOnce(&mut u32) -> T) -> T {
        change(&mut self.saved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn pay_in(&self) {
        self.with(|saved| *saved = (*saved + PAID_BY_CALL).min(MOST_SAVED));
    }

    fn take(&self) -> bool {
        self.with(|saved| {
            let left = saved.checked_sub(PRICE);
            *saved = left.unwrap_or(*saved);
            left.is_some()
        })
    }
}

/// How calls are repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct RetrySettings {
    /// How often a call is tried at most.
    pub(crate) tries: u32,
    /// The longest pause before the second try; four times as long before each further one. It is randomised between a
    /// half of that and the whole.
    pub(crate) pause: Duration,
    /// No further try begins after this.
    pub(crate) within: Duration,
}

impl RetrySettings {
    /// These settings; a call is tried at least once.
    pub(crate) const fn new(tries: u32, pause: Duration, within: Duration) -> Self {
        Self { tries, pause, within }
    }
}

/// Repeats calls to one scanner.
#[derive(Debug)]
pub(crate) struct Retries {
    settings: RetrySettings,
    budget: RetryBudget,
}

impl Retries {
    /// Repeats as these settings say, with a budget of its own.
    pub(crate) fn new(settings: RetrySettings) -> Self {
        Self { settings, budget: RetryBudget::default() }
    }

    /// Makes a call that changes nothing, again while `may_pass` says that its error may not come a second time.
    ///
    /// # Errors
    /// That of the last try.
    pub(crate) async fn run<T, E: ClassifyOutcome, F: Future<Output = Result<T, E>>>(
        &self,
        mut call: impl FnMut() -> F,
        may_pass: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        self.budget.pay_in();
        let began = Instant::now();
        let mut pause = self.settings.pause;
        let mut tried = 1;
        loop {
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let again = tried < self.settings.tries && began.elapsed() < self.settings.within && may_pass(&error);
            if !again || !self.budget.take() || try_failed(&error).is_err() {
                return Err(error);
            }
            tokio::time::sleep(pause.mul_f64(0.5 + random_fraction() / 2.0)).await;
            pause = pause.saturating_mul(4);
            tried += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{
        circuit_breaker::{CallOutcome, CircuitBreaker, CircuitOpen, CircuitState},
        config::CircuitSettings,
    };

    #[derive(Debug, PartialEq)]
    struct NoAnswer;

    impl From<CircuitOpen> for NoAnswer {
        fn from(_: CircuitOpen) -> Self {
            Self
        }
    }

    impl ClassifyOutcome for NoAnswer {
        fn outcome(&self) -> CallOutcome {
            CallOutcome::failure("no answer")
        }
    }

    fn retries() -> Retries {
        Retries::new(RetrySettings::new(3, Duration::from_millis(100), Duration::from_secs(60)))
    }

    async fn fail(retries: &Retries, tries: &Cell<u32>) {
        let call = || async {
            tries.set(tries.get() + 1);
            Err::<(), _>(NoAnswer)
        };
        assert_eq!(retries.run(call, |_| true).await, Err(NoAnswer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_tried_a_few_times_with_growing_pauses() {
        let (retries, tries, began) = (retries(), Cell::new(0), Instant::now());
        fail(&retries, &tries).await;
        assert_eq!(tries.get(), 3);
        let took = began.elapsed().as_millis();
        assert!((250..=502).contains(&took), "{took} ms");
        let once = async || Err::<(), _>(NoAnswer);
        assert_eq!(retries.run(once, |_| false).await, Err(NoAnswer));
        assert_eq!(began.elapsed().as_millis(), took, "what may not pass is not repeated");
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_a_fifth_of_all_calls_in_the_long_run() {
        let (retries, tries) = (retries(), Cell::new(0));
        for _ in 0..1000 {
            fail(&retries, &tries).await;
        }
        let repeated = tries.get() - 1000;
        assert!((200..=215).contains(&repeated), "{repeated} repetitions of 1000 calls");
    }

    #[tokio::test(start_paused = true)]
    async fn each_try_counts_for_the_breaker_and_none_follows_when_it_opens() {
        let breaker = CircuitBreaker::new("a", CircuitSettings::default().with_failures(2)).unwrap();
        let (retries, tries) = (retries(), Cell::new(0));
        let call = || async {
            tries.set(tries.get() + 1);
            Err::<(), _>(NoAnswer)
        };
        assert_eq!(breaker.call(retries.run(call, |_| true)).await, Err(NoAnswer));
        assert_eq!((tries.get(), breaker.view().state, breaker.view().failures), (2, CircuitState::Open, 2));
    }
}
