//! When tasks that wait for a scanner are looked at again.
//!
//! Each look costs a claim and a hand-back, and however many tasks wait, a scanner has room for a few. So the looks of one
//! worker at the tasks of one scanner follow each other at a distance: ten thousand tasks cost no more than a few, and when
//! a slot is free there is always one that comes soon.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::ids::{InstanceId, PoolName};

/// The time between two looks.
const DISTANCE: Duration = Duration::from_secs(1);
/// The longest time until a look: the tasks before it may be gone, or its scanner may have more slots by then.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What tasks wait for: a scanner, or any of a pool.
type Place = (PoolName, Option<InstanceId>);

/// The last look that is due, by what is waited for.
#[derive(Debug, Default)]
pub(super) struct ClaimPacing(Mutex<HashMap<Place, Instant>>);

impl ClaimPacing {
    /// How long the next task waits for its turn, `at_least` so long.
    pub(super) fn next_delay(&self, place: Place, at_least: Duration) -> Duration {
        let now = Instant::now();
        let earliest = now + at_least;
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = due.get(&place);
        let next = last.map_or(earliest, |last| earliest.max(*last + DISTANCE).min(now + LONGEST.max(at_least)));
        due.insert(place, next);
        next - now
    }

    /// There was room for one: those that come now need not stand behind all that have come before.
    pub(super) fn slot_found(&self, place: &Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(instance: &str) -> Place {
        (PoolName::new("lab").unwrap(), InstanceId::new(instance).ok())
    }

    #[tokio::test(start_paused = true)]
    async fn looks_follow_each_other_and_none_is_too_far_away() {
        let pacing = ClaimPacing::default();
        let pauses = |count: usize, at_least: u64| -> Vec<u64> {
            let next = || pacing.next_delay(place("one"), Duration::from_secs(at_least)).as_secs();
            std::iter::repeat_with(next).take(count).collect()
        };
        assert_eq!(pauses(3, 30), [30, 31, 32]);
        assert_eq!(pacing.next_delay(place("two"), DISTANCE), DISTANCE, "another scanner");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pauses(2, 30), [31, 32]);
        assert_eq!(pauses(1000, 30).last(), Some(&LONGEST.as_secs()));
        pacing.slot_found(&place("one"));
        assert_eq!(pauses(2, 1), [1, 2]);
    }
}
