//! What the metrics have in common: how they are registered, and how series go that nobody sets any more.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use super::instruments::{self, Collector, IntCounter, Registry};

/// The label of what is said of each pool.
pub(super) const POOL: &[&str] = &["pool"];
/// No label.
pub(super) const NONE: &[&str] = &[];

/// Makes a metric part of what the registry writes out.
pub(super) fn register<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> instruments::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// A count as a gauge.
pub(super) fn saturate(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Brings a counter to a count that somebody else keeps.
pub(super) fn catch_up(counter: &IntCounter, count: u64) {
    if counter.get() > count {
        counter.reset();
    }
    counter.inc_by(count - counter.get());
}

/// The label values that gauges show, so that those of what is not configured any more can be taken back.
#[derive(Debug, Default)]
pub(super) struct Shown<T = String>(Mutex<BTreeSet<T>>);

impl<T: Ord + Clone> Shown<T> {
    /// Remembers the values of now; returns those that are gone.
    pub(super) fn replace(&self, now: BTreeSet<T>) -> Vec<T> {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = shown.difference(&now).cloned().collect();
        *shown = now;
        gone
    }
}
