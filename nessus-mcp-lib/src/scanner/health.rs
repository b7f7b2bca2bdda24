//! Health checks: each scanner is asked regularly whether it could scan now and what it is.
//!
//! The result is kept in memory with the connection. It decides which scanner of a pool gets the next scan, and every
//! list of scanners shows it. A check is one call of [`ScannerInterface::properties`](super::ScannerInterface::properties)
//! through the connection that scans use: it shares their session, starts no scan and takes no slot. Each check has a time
//! limit, and all end with the future of [`watch_health`].
//!
//! The first check logs in. Processes that start together with a wrong password must not lock the account together, so
//! each waits for a random time first. Meanwhile it may learn that another was refused.
//!
//! Each process finds out by itself that a scanner is back: a check tries a circuit whose open time is over, where
//! no task does.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tracing::{error, info, warn};

use super::{
    connection::Connection,
    error::ScannerError,
    facts::{HealthFailure, ScannerHealth},
    interface::ScannerInterface as _,
    pool::ScannerInstance,
    registry::ScannerRegistry,
};
use crate::{
    error::{Classified, chain},
    ids::{InstanceId, PoolName, scanner_name},
    telemetry::Metrics,
    time::{Clock, random_fraction, with_jitter},
};

/// How long a scanner may take to answer.
const CHECK_LIMIT: Duration = Duration::from_secs(45);
/// How many scanners are asked at once.
const PARALLEL_CHECKS: usize = 8;
/// The longest time before the first check of a process.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How long a circuit waits for somebody who tries whether its scanner is back, before a check does.
const TRIAL_WAIT: Duration = Duration::from_secs(10);
/// How soon a scanner that was configured meanwhile, or that is to be tried, is noticed.
const NOTICE: Duration = Duration::from_secs(2);

/// When a scanner is checked.
struct Turn {
    /// The next time; `None` while it is.
    next: Option<Instant>,
    /// When its circuit is tried, if it waits for that.
    trial: Option<Instant>,
    /// What was checked last, or is to be: a scanner that was configured otherwise is another one.
    of: Weak<Connection>,
}

/// Checks the scanners of these pools (all when `None`) about every `interval`, each at a moment of its own, for as long
/// as it is polled; never returns. It begins within five seconds. Disabled scanners are not checked. Scanners that are
/// configured later are checked as well; those that are removed are not checked any more.
pub(crate) async fn watch_health(
    registry: &ScannerRegistry,
    pools: Option<&[PoolName]>,
    interval: Duration,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) {
    let turns = Arc::new(Semaphore::new(PARALLEL_CHECKS));
    let mut checks = JoinSet::new();
    let first = Instant::now() + FIRST_WAIT.min(interval).mul_f64(random_fraction());
    let mut due: HashMap<(PoolName, InstanceId), Turn> = HashMap::new();
    loop {
        let now = Instant::now();
        let watched = watched(registry, pools);
        due.retain(|key, _| watched.iter().any(|(pool, instance)| (pool, &instance.instance_id) == (&key.0, &key.1)));
        for (pool, instance) in watched {
            let key = (pool.clone(), instance.instance_id.clone());
            let connection = instance.connection();
            let of = Arc::downgrade(&connection);
            let turn = due.entry(key.clone()).or_insert_with(|| Turn {
                next: Some(first.max(now)),
                trial: None,
                of: of.clone(),
            });
            turn.trial = instance.scanner.awaits_trial().then(|| turn.trial.unwrap_or(now + TRIAL_WAIT));
            let tries = turn.trial.is_some_and(|trial| trial <= now);
            if turn.next.is_some_and(|next| next <= now || tries || !turn.of.ptr_eq(&of)) {
                *turn = Turn { next: None, trial: None, of };
                let (turns, clock, metrics) = (Arc::clone(&turns), Arc::clone(clock), Arc::clone(metrics));
                checks.spawn(async move {
                    let _turn = turns.acquire_owned().await;
                    let pause =
                        check(&pool, &instance, &connection, clock.as_ref(), &metrics).await.unwrap_or_default();
                    (key, pause)
                });
            }
        }
        let soonest = due.values().filter_map(|turn| turn.next).fold(now + NOTICE, Instant::min);
        tokio::select! {
            Some(ended) = checks.join_next(), if !checks.is_empty() => match ended {
                Ok((key, pause)) => {
                    if let Some(turn) = due.get_mut(&key) {
                        turn.next = Some(Instant::now() + with_jitter(interval).max(pause));
                    }
                }
                Err(failed) => {
                    error!(error = %failed, "a health check panicked");
                    // It is not known which one: all that wait for an answer are checked again in time.
                    let stuck = due.values_mut().filter(|turn| turn.next.is_none());
                    stuck.for_each(|turn| turn.next = Some(now + interval));
                }
            },
            () = sleep_until(soonest) => {}
        }
    }
}

fn watched(registry: &ScannerRegistry, pools: Option<&[PoolName]>) -> Vec<(PoolName, ScannerInstance)> {
    let is_watched = |name: &PoolName| pools.is_none_or(|pools| pools.contains(name));
    let pools = registry.pools().into_iter().filter(|pool| is_watched(&pool.name));
    pools.flat_map(|pool| pool.enabled().map(|one| (pool.name.clone(), one.clone())).collect::<Vec<_>>()).collect()
}

/// Checks one scanner; returns how long it asks not to be called, if it does.
async fn check(
    pool: &PoolName,
    instance: &ScannerInstance,
    connection: &Connection,
    clock: &dyn Clock,
    metrics: &Metrics,
) -> Option<Duration> {
    let asked = Instant::now();
    let answer = timeout(CHECK_LIMIT, instance.scanner.properties()).await;
    let latency = asked.elapsed();
    let answer = answer.unwrap_or_else(|_| {
        Err(ScannerError::TimedOut { what: "the answer to a health check".to_owned(), waited: CHECK_LIMIT })
    });
    let before = connection.health().clone();
    let pause = answer.as_ref().err().and_then(ScannerError::retry_after);
    let scanner = scanner_name(pool, &instance.instance_id);
    let was_healthy = before.as_ref().map(ScannerHealth::is_healthy);
    let (properties, failure) = match answer {
        Ok(properties) => {
            if was_healthy != Some(true) {
                info!(
                    scanner,
                    product = properties.product,
                    version = properties.version,
                    plugin_set = properties.plugin_set,
                    "the scanner is healthy"
                );
            }
            (Some(properties), None)
        }
        // No call was made: the last result stays, and the circuit shows the reason.
        Err(ScannerError::CircuitOpen(open)) => return open.retry_after,
        // No call was made here either, for a reason on this machine.
        Err(error @ ScannerError::OutOfResources(_)) => {
            warn!(scanner, error = chain(&error), "the scanner could not be checked");
            return None;
        }
        Err(error) => {
            let failure = HealthFailure { code: error.code(), message: chain(&error) };
            if was_healthy != Some(false) {
                warn!(scanner, code = failure.code, error = failure.message, "the scanner cannot scan");
            }
            (before.and_then(|before| before.properties), Some(failure))
        }
    };
    metrics.scanner_checked(&scanner, failure.is_none());
    *connection.health() = Some(ScannerHealth { checked_at: clock.now(), latency, properties, failure });
    pause
}

#[cfg(test)]
mod tests;
