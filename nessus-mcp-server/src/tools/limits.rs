//! How many calls a minute a client may make.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock, Reference as _},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use nessus_mcp_lib::{error::counted, policy::RateClass};
use rmcp::{ErrorData, model::CallToolResult};
use serde_json::{Value, json};
use tracing::debug;

use crate::{access::Access, answer};

/// The most clients whose calls are counted one by one; the calls of others count together.
const MOST_CLIENTS: usize = 10_000;
/// After so long without a call a limit is as if there had been none.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// The code of a call above a limit.
const RATE_LIMITED: &str = "rate_limited";

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

type Clients<C> = HashMap<(Arc<str>, RateClass), Calls<C>>;

/// The calls of a client in a class.
#[derive(Debug)]
struct Calls<C: Clock> {
    limit: NonZeroU32,
    limiter: Limiter<C>,
    last: C::Instant,
}

/// The calls of all clients. A limit is `n` calls at once, and one more each `n`th part of a minute.
///
/// What is counted outlives the policy: only a limit that has changed begins anew.
#[derive(Debug)]
pub(super) struct Limits<C: Clock = MonotonicClock> {
    clock: C,
    clients: Mutex<Clients<C>>,
    most_clients: usize,
}

/// A call above a limit.
#[derive(Debug)]
pub(super) struct Limited {
    class: RateClass,
    limit: NonZeroU32,
    /// Whole seconds, so that nobody comes too early.
    pub(super) retry_after_seconds: u64,
}

impl Limited {
    pub(super) fn message(&self) -> String {
        let calls = counted(u64::from(self.limit.get()), "call", "calls");
        format!("you may make {calls} of the class `{}` a minute", self.class)
    }

    fn hint(&self) -> String {
        let wait = counted(self.retry_after_seconds, "second", "seconds");
        format!("call again in {wait}; get_scan_status with wait_seconds takes the place of many calls")
    }

    /// The answer of a tool.
    pub(super) fn into_result(self) -> CallToolResult {
        let more = [("retry_after_seconds", Value::from(self.retry_after_seconds))];
        answer::refusal_with(RATE_LIMITED, self.message(), Some(self.hint()), more)
    }
}

/// The answer to what is no tool.
impl From<Limited> for ErrorData {
    fn from(limited: Limited) -> Self {
        let (hint, retry_after_seconds) = (limited.hint(), limited.retry_after_seconds);
        let data = json!({ "error": RATE_LIMITED, "hint": hint, "retry_after_seconds": retry_after_seconds });
        Self::internal_error(limited.message(), Some(data))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(MonotonicClock, MOST_CLIENTS)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn new(clock: C, most_clients: usize) -> Self {
        Self { clock, clients: Mutex::default(), most_clients }
    }

    /// Counts a call, whatever becomes of it.
    pub(super) fn count_call(&self, access: &Access, class: RateClass) -> Result<(), Limited> {
        let (service, client) = (&access.service, &access.principal.name);
        let limit = service.scope().policy().calls_per_minute(&access.principal, class);
        let Some(limit) = limit else { return Ok(()) };
        self.count(client, class, limit).map_err(|wait| {
            service.metrics().process().rate_limited(class.as_str());
            debug!(%client, %class, "a call was refused: there were too many in this minute");
            let retry_after_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Limited { class, limit, retry_after_seconds: retry_after_seconds.max(1) }
        })
    }

    /// Counts a call of a client.
    ///
    /// # Errors
    /// After what time the next call is taken, when this one is above the limit. It does not count.
    fn count(&self, client: &Arc<str>, class: RateClass, limit: NonZeroU32) -> Result<(), Duration> {
        let now = self.clock.now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (Arc::clone(client), class);
        if clients.len() >= self.most_clients && !clients.contains_key(&key) {
            clients.retain(|_, calls| Duration::from(now.duration_since(calls.last)) < FORGOTTEN_AFTER);
            if clients.len() >= self.most_clients {
                // No client has an empty name.
                key.0 = "".into();
            }
        }
        let begin = || Calls {
            limit,
            limiter: RateLimiter::direct_with_clock(Quota::per_minute(limit), self.clock.clone()),
            last: now,
        };
        let calls = clients.entry(key).or_insert_with(begin);
        if calls.limit != limit {
            *calls = begin();
        }
        calls.last = now;
        calls.limiter.check().map_err(|refused| refused.wait_time_from(now))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(most_clients: usize) -> (FakeRelativeClock, Limits<FakeRelativeClock>) {
        let clock = FakeRelativeClock::default();
        (clock.clone(), Limits::new(clock, most_clients))
    }

    fn of(limit: u32) -> NonZeroU32 {
        NonZeroU32::new(limit).unwrap()
    }

    /// How many of so many calls are taken.
    fn taken(limits: &Limits<FakeRelativeClock>, client: &str, class: RateClass, limit: u32, calls: usize) -> usize {
        let client = client.into();
        (0..calls).filter(|_| limits.count(&client, class, of(limit)).is_ok()).count()
    }

    #[test]
    fn whoever_calls_too_often_is_refused_and_nobody_else() {
        let (clock, limits) = limits(MOST_CLIENTS);
        assert_eq!(taken(&limits, "a", RateClass::Read, 600, 1_000), 600);
        assert_eq!(taken(&limits, "a", RateClass::Change, 30, 1_000), 30, "classes are apart");
        assert_eq!(taken(&limits, "b", RateClass::Read, 600, 500), 500, "clients are apart");
        let wait = limits.count(&"a".into(), RateClass::Read, of(600)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        clock.advance(wait);
        assert_eq!(taken(&limits, "a", RateClass::Read, 600, 1_000), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(taken(&limits, "a", RateClass::Read, 600, 1_000), 600);
    }

    #[test]
    fn only_a_limit_that_has_changed_begins_anew() {
        let (_, limits) = limits(MOST_CLIENTS);
        assert_eq!(taken(&limits, "a", RateClass::Change, 10, 20), 10);
        assert_eq!(taken(&limits, "a", RateClass::Change, 10, 20), 0);
        assert_eq!(taken(&limits, "a", RateClass::Change, 3, 20), 3);
        assert_eq!(taken(&limits, "a", RateClass::Change, 3, 20), 0);
    }

    /// Whoever has many names gets no more memory, and not more calls for it either.
    #[test]
    fn memory_is_bounded_whoever_comes() {
        let (clock, limits) = limits(3);
        for client in ["a", "b", "c"] {
            assert_eq!(taken(&limits, client, RateClass::Read, 2, 5), 2);
        }
        let others: usize = (0..100).map(|at| taken(&limits, &format!("other-{at}"), RateClass::Read, 2, 5)).sum();
        assert_eq!((others, limits.clients.lock().unwrap().len()), (2, 4));
        assert_eq!(taken(&limits, "a", RateClass::Read, 2, 5), 0, "it was not forgotten");
        clock.advance(FORGOTTEN_AFTER);
        assert_eq!(taken(&limits, "other-7", RateClass::Read, 2, 5), 2);
        assert_eq!(limits.clients.lock().unwrap().len(), 1);
    }
}
