//! Which scanner of a pool takes the next scan: the least utilised healthy one, then the one that was used least recently.
//!
//! A broken scanner is always the least utilised, and would get every task. One that does not answer is not called while
//! its circuit is open ([`Circuits`](super::Circuits)). One that answers and refuses gets no scan for a while. If no
//! scanner is healthy, the unhealthy ones are tried: they may have recovered since their last check.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::pool::ScannerInstance;
use crate::ids::{InstanceId, PoolName};

/// How long a scanner rests after a refusal.
const REST: Duration = Duration::from_secs(30);

/// Remembers when this process last gave each scanner a scan, and when it last refused one.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    turns: Mutex<Turns>,
}

#[derive(Debug, Default)]
struct Turns {
    next: u64,
    scanners: HashMap<(PoolName, InstanceId), Turn>,
}

#[derive(Debug, Default)]
struct Turn {
    last_used: u64,
    rests_until: Option<Instant>,
}

impl Selection {
    /// The scanners of a pool with a free slot that do not rest and are not unhealthy, the best first; each comes with the
    /// number of scans it runs now. A scanner that is full is still a reason not to try an unhealthy one.
    pub(crate) fn rank<'a>(
        &self,
        pool: &PoolName,
        candidates: impl IntoIterator<Item = (&'a ScannerInstance, usize)>,
    ) -> Vec<&'a ScannerInstance> {
        let mut candidates: Vec<_> = candidates.into_iter().collect();
        candidates.retain(|(instance, _)| !self.is_resting(pool, &instance.instance_id));
        if candidates.iter().any(|(instance, _)| !instance.is_unhealthy()) {
            candidates.retain(|(instance, _)| !instance.is_unhealthy());
        }
        let mut ranked: Vec<_> = candidates
            .into_iter()
            .filter(|(instance, active)| (*active as u64) < u64::from(instance.max_concurrent_scans))
            .map(|(instance, active)| {
                // Utilisation as parts of 10,000, so that it can be ordered.
                let utilisation = active as u64 * 10_000 / u64::from(instance.max_concurrent_scans.max(1));
                (utilisation, self.last_used(pool, &instance.instance_id), instance)
            })
            .collect();
        ranked.sort_by_key(|(utilisation, last_used, _)| (*utilisation, *last_used));
        ranked.into_iter().map(|(_, _, instance)| instance).collect()
    }

    /// Notes that a scanner was given a scan.
    pub(crate) fn used(&self, pool: &PoolName, instance: &InstanceId) {
        self.with(|turns| {
            turns.next += 1;
            let turn = turns.next;
            turns.scanners.entry((pool.clone(), instance.clone())).or_default().last_used = turn;
        });
    }

    /// Lets a scanner that has refused a scan rest for 30 seconds.
    pub(crate) fn refused(&self, pool: &PoolName, instance: &InstanceId) {
        let until = Instant::now() + REST;
        self.with(|turns| {
            turns.scanners.entry((pool.clone(), instance.clone())).or_default().rests_until = Some(until);
        });
    }

    /// Whether a scanner rests after a refusal.
    pub(crate) fn is_resting(&self, pool: &PoolName, instance: &InstanceId) -> bool {
        let now = Instant::now();
        self.with(|turns| {
            let turn = turns.scanners.get(&(pool.clone(), instance.clone()));
            turn.and_then(|turn| turn.rests_until).is_some_and(|until| now < until)
        })
    }

    fn last_used(&self, pool: &PoolName, instance: &InstanceId) -> u64 {
        self.with(|turns| turns.scanners.get(&(pool.clone(), instance.clone())).map_or(0, |turn| turn.last_used))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Turns) -> T) -> T {
        look(&mut self.turns.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scanner::{MockConfig, MockScanner};

    fn instance(name: &str, capacity: u32) -> ScannerInstance {
        let scanner = Arc::new(MockScanner::new(MockConfig::new()));
        ScannerInstance::new(InstanceId::new(name).unwrap(), capacity, scanner)
    }

    fn names(ranked: &[&ScannerInstance]) -> Vec<String> {
        ranked.iter().map(|instance| instance.instance_id.to_string()).collect()
    }

    #[test]
    fn an_unhealthy_scanner_is_used_only_where_there_is_no_other() {
        use crate::{
            scanner::{HealthFailure, ScannerHealth},
            time::Timestamp,
        };
        let (a, b) = (instance("a", 4), instance("b", 1));
        let pool = PoolName::new("p").unwrap();
        let selection = Selection::default();
        let check = |instance: &ScannerInstance, failure: Option<HealthFailure>| {
            let checked_at = Timestamp::from_millis(0);
            let health = ScannerHealth { checked_at, latency: Duration::ZERO, properties: None, failure };
            *instance.connection().health() = Some(health);
        };
        let failure = || Some(HealthFailure { code: "scanner_not_ready", message: "loading".to_owned() });
        check(&a, failure());
        assert_eq!(names(&selection.rank(&pool, [(&a, 0), (&b, 0)])), ["b"], "not checked yet is no reason against it");
        assert!(selection.rank(&pool, [(&a, 0), (&b, 1)]).is_empty(), "the healthy one is full: the task waits for it");
        check(&b, failure());
        assert_eq!(names(&selection.rank(&pool, [(&a, 1), (&b, 0)])), ["b", "a"], "one of them may be back");
        check(&a, None);
        assert_eq!(names(&selection.rank(&pool, [(&a, 1), (&b, 0)])), ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_utilised_comes_first_then_the_least_recently_used() {
        let (a, b, c) = (instance("a", 4), instance("b", 2), instance("c", 2));
        let pool = PoolName::new("p").unwrap();
        let selection = Selection::default();
        assert_eq!(names(&selection.rank(&pool, [(&a, 2), (&b, 0), (&c, 2)])), ["b", "a"], "c is full");
        selection.used(&pool, &a.instance_id);
        assert_eq!(names(&selection.rank(&pool, [(&a, 0), (&b, 0)])), ["b", "a"]);
        selection.used(&pool, &b.instance_id);
        assert_eq!(names(&selection.rank(&pool, [(&a, 0), (&b, 0)])), ["a", "b"]);
        let elsewhere = PoolName::new("q").unwrap();
        selection.refused(&pool, &a.instance_id);
        assert_eq!(names(&selection.rank(&pool, [(&a, 0), (&b, 0)])), ["b"]);
        assert_eq!(names(&selection.rank(&elsewhere, [(&a, 0)])), ["a"], "another pool's scanner of that name");
        tokio::time::advance(REST).await;
        assert_eq!(selection.rank(&pool, [(&a, 0), (&b, 0)]).len(), 2);
    }
}
