//! Paces the claims of tasks that wait for a scanner although no claim passes over them.
//!
//! Only the file of such a task says that it waits: the free scanners lack its template or policy, its own scanner is not configured,
//! or another task was faster. Each check costs a claim and a release, however many wait. So one worker spaces its checks of
//! the tasks of one scanner. Ten thousand waiting tasks then cost no more than a few, and a free slot is still found soon.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::ids::{InstanceId, PoolName};

/// The time between two checks.
const SPACING: Duration = Duration::from_secs(1);
/// The longest time until a check: the tasks before it may be gone, or its scanner may have more slots by then.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What tasks wait for: one scanner, or any scanner of a pool.
type Place = (PoolName, Option<InstanceId>);

/// The latest check that is scheduled, by what is waited for.
#[derive(Debug, Default)]
pub(super) struct ClaimPacing(Mutex<HashMap<Place, Instant>>);

impl ClaimPacing {
    /// How long the next task waits for its check: `at_least` this long.
    pub(super) fn next_delay(&self, place: Place, at_least: Duration) -> Duration {
        let now = Instant::now();
        let earliest = now + at_least;
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = due.get(&place);
        let next = last.map_or(earliest, |last| earliest.max(*last + SPACING).min(now + LONGEST.max(at_least)));
        due.insert(place, next);
        next - now
    }

    /// A slot was free: the tasks that come now need not wait for all those before them.
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
        assert_eq!(pacing.next_delay(place("two"), SPACING), SPACING, "another scanner");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pauses(2, 30), [31, 32]);
        assert_eq!(pauses(1000, 30).last(), Some(&LONGEST.as_secs()));
        pacing.slot_found(&place("one"));
        assert_eq!(pauses(2, 1), [1, 2]);
    }
}
