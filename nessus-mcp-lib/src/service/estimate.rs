//! How long a task is likely to wait.

use std::time::Duration;

use super::ScanService;
use crate::{
    error::chain,
    ids::{InstanceId, PoolName},
    task::Task,
};

/// How many of a pool's last completed scans are looked at.
const SCANS: usize = 20;
/// How old a pool's typical duration may become before it is looked up again.
const KEPT: Duration = Duration::from_secs(60);

impl ScanService {
    /// Seconds until the task at this place of the pool's queue is likely to begin. A task that is pinned to a scanner waits
    /// for that one; those before it are taken to be its rivals.
    pub(super) async fn estimated_wait(&self, task: &Task, position: u64) -> Option<u64> {
        self.wait_at(&task.scanner_pool, task.pinned_instance_id.as_ref(), position).await
    }

    /// Seconds until what stands at this place of a pool's queue is likely to begin, from the slots of the pool, or of the one
    /// scanner, and what the pool's last scans took; `None` when that is not known yet, or nothing is taken from the queue.
    pub(super) async fn wait_at(&self, pool: &PoolName, pinned: Option<&InstanceId>, position: u64) -> Option<u64> {
        let (mut capacity, mut used) = (0, 0);
        for instance in self.scanners.pool(pool)?.enabled() {
            if pinned.is_none_or(|pinned| *pinned == instance.instance_id) {
                capacity += u64::from(instance.max_concurrent_scans);
                used += self.queue.slots_in_use(pool, &instance.instance_id).await.ok()?.len() as u64;
            }
        }
        if capacity == 0 || self.queue.stats(pool).await.ok()?.paused.is_some() {
            return None;
        }
        if position <= capacity.saturating_sub(used) {
            return Some(0);
        }
        let typical = self.typical_duration(pool).await?;
        Some(wait(position, capacity, used, typical).as_secs())
    }

    async fn typical_duration(&self, pool: &PoolName) -> Option<Duration> {
        let now = self.clock.now();
        let known = self.typical.lock().ok().and_then(|typical| typical.get(pool).cloned());
        if let Some((_, duration)) = known.filter(|(found_at, _)| now.since(*found_at) < KEPT) {
            return duration;
        }
        let durations = match self.tasks.recent_durations(pool, SCANS).await {
            Ok(durations) => durations,
            Err(error) => {
                tracing::warn!(%pool, error = chain(&error), "how long scans take could not be looked up");
                return None;
            }
        };
        let duration = median(durations);
        if let Ok(mut typical) = self.typical.lock() {
            typical.insert(pool.clone(), (now, duration));
        }
        duration
    }
}

fn median(mut durations: Vec<Duration>) -> Option<Duration> {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied()
}

/// The slots are given back one after the other, evenly over the time of a scan: so the next is free after one part of
/// it, and the task begins when as many have been given back as stand before it, with it.
fn wait(position: u64, capacity: u64, used: u64, typical: Duration) -> Duration {
    let to_be_freed = position.saturating_sub(capacity.saturating_sub(used));
    let parts = u32::try_from(to_be_freed).unwrap_or(u32::MAX);
    typical.saturating_mul(parts) / u32::try_from(capacity.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_the_place_and_shrinks_with_the_slots() {
        let hour = Duration::from_secs(3600);
        for (position, capacity, used, minutes) in [
            (1, 1, 1, 60),
            (2, 1, 1, 120),
            (1, 2, 2, 30),
            (4, 2, 2, 120),
            (3, 2, 1, 60),
            (1, 2, 1, 0),
            (10, 10, 10, 60),
        ] {
            assert_eq!(
                wait(position, capacity, used, hour),
                Duration::from_secs(minutes * 60),
                "{position} {capacity} {used}"
            );
        }
        assert!(wait(u64::MAX, 1, 1, Duration::MAX) > hour);
    }

    #[test]
    fn one_long_scan_does_not_spoil_the_median() {
        let seconds = |values: &[u64]| values.iter().map(|value| Duration::from_secs(*value)).collect::<Vec<_>>();
        assert_eq!(median(seconds(&[60, 86_400, 50])), Some(Duration::from_secs(60)));
        assert_eq!(median(Vec::new()), None);
    }
}
