//! How long a task is likely to wait.

use std::time::Duration;

use super::ScanService;
use crate::{
    error::chain,
    ids::{InstanceId, PoolName, TaskId},
    queue::{Outlook, QueueError},
    scanner::ScannerInstance,
};

/// How many of a pool's last completed scans are looked at.
const SCANS: usize = 20;
/// How old a pool's typical duration may become before it is looked up again.
const KEPT: Duration = Duration::from_secs(60);

impl ScanService {
    /// What decides when a task begins: that of this id if there is one, else one that would be pinned to this scanner or to none.
    pub(super) async fn outlook(
        &self,
        pool: &PoolName,
        task: Option<&TaskId>,
        pinned: Option<&InstanceId>,
    ) -> Result<Outlook, QueueError> {
        let scanners: Vec<_> = self.rivals(pool, pinned).into_iter().map(|(id, _)| id).collect();
        self.queue.outlook(pool, task, &scanners).await
    }

    /// Seconds until what stands at this place of a pool's queue is likely to begin, from the slots of the pool, or of the one
    /// scanner that it is pinned to, and what the pool's last scans took; those before it are taken to be its rivals. `None`
    /// when that is not known yet, or nothing is taken from the queue: it is paused, no worker serves it, or none of the
    /// scanners is called because of its circuit.
    pub(super) async fn estimated_wait(
        &self,
        pool: &PoolName,
        pinned: Option<&InstanceId>,
        outlook: &Outlook,
        position: u64,
    ) -> Option<u64> {
        let capacity = self.rivals(pool, pinned).into_iter().map(|(_, slots)| u64::from(slots)).sum::<u64>();
        if capacity == 0 || outlook.paused.is_some() || self.nobody_serves(pool, pinned).await.is_some() {
            return None;
        }
        if position <= capacity.saturating_sub(outlook.slots_in_use) {
            return Some(0);
        }
        let typical = self.typical_duration(pool).await?;
        Some(wait(position, capacity, outlook.slots_in_use, typical).as_secs())
    }

    /// As [`estimated_wait`](Self::estimated_wait), for what is submitted now, behind so many.
    pub(super) async fn wait_behind(&self, pool: &PoolName, ready: u64) -> Option<u64> {
        let outlook = self.outlook(pool, None, None).await.ok()?;
        self.estimated_wait(pool, None, &outlook, ready.saturating_add(1)).await
    }

    /// The scanners that may run what is pinned to this one or to none, and the slots of each: those that are enabled and whose
    /// circuit lets calls through, as this process knows it.
    fn rivals(&self, pool: &PoolName, pinned: Option<&InstanceId>) -> Vec<(InstanceId, u32)> {
        let Some(pool) = self.scanners.pool(pool) else { return Vec::new() };
        let may_run = |one: &&ScannerInstance| {
            pinned.is_none_or(|pinned| *pinned == one.instance_id)
                && self.circuits.check(&pool.name, &one.instance_id).is_ok()
        };
        let rivals = pool.enabled().filter(may_run);
        rivals.map(|one| (one.instance_id.clone(), one.max_concurrent_scans)).collect()
    }

    pub(super) async fn typical_duration(&self, pool: &PoolName) -> Option<Duration> {
        let now = self.clock.now();
        let known = self.typical.lock().ok().and_then(|typical| typical.get(pool).copied());
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
