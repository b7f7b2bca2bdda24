//! Answers that are kept for a short time, because finding them reads many tasks.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ids::{InstanceId, PoolName},
    time::Timestamp,
};

/// How many tasks wait for a pool, or for one scanner of it, that is not configured.
pub(super) type OrphanCounts = BTreeMap<(PoolName, Option<InstanceId>), u64>;

/// An answer, and when it was found.
#[derive(Debug, Clone)]
pub(super) struct Cached<T> {
    found_at: Timestamp,
    answer: T,
}

impl<T> Cached<T> {
    pub(super) const fn new(answer: T, found_at: Timestamp) -> Self {
        Self { found_at, answer }
    }

    /// The answer, unless it is older than `limit`.
    pub(super) fn younger_than(self, limit: Duration, now: Timestamp) -> Option<T> {
        (now.since(self.found_at) < limit).then_some(self.answer)
    }
}
