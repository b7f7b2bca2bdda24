//! Replacing the pools while scanners are in use.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::*;
use crate::scanner::{MockScannerInterface, ScannerDecorator};

const FILE: &str = "nessus:
  - {instance_id: a, url: 'https://a.example:8834', username: scan, password: hunter2, max_concurrent_scans: 2}
  - {instance_id: b, url: 'https://b.example:8834', username: scan, password: hunter2}
lab:
  - {instance_id: m, type: mock}
";

fn config(text: &str) -> ScannersConfig {
    ScannersConfig::parse(text, Path::new("scanners.yaml"), &|_| None).unwrap()
}

fn names(pool: &str, id: &str) -> (PoolName, InstanceId) {
    (PoolName::new(pool).unwrap(), InstanceId::new(id).unwrap())
}

fn bound(registry: &ScannerRegistry, pool: &str, id: &str) -> Option<ScannerInstance> {
    let (pool, id) = names(pool, id);
    registry.bound_instance(&pool, &id)
}

#[test]
fn what_changed_is_told_by_names_and_what_did_not_stays_the_same_value() {
    let registry = ScannerRegistry::from_config(&config(FILE)).unwrap();
    let clone = registry.clone();
    let before = ["a", "b"].map(|id| bound(&registry, "nessus", id).unwrap().connection());
    let text = FILE
        .replace("max_concurrent_scans: 2", "max_concurrent_scans: 7, enabled: false, name: Old")
        .replace(
            "b.example:8834', username: scan, password: hunter2",
            "b.example:8834', username: scan, password: other",
        )
        .replace("lab:\n  - {instance_id: m, type: mock}", "dmz:\n  - {instance_id: n, type: mock}");
    let changes = registry.reload(&config(&text)).unwrap();
    assert_eq!(changes.added, ["dmz:n"]);
    assert_eq!(changes.removed, ["lab:m"]);
    assert_eq!(changes.removed_pools, [PoolName::new("lab").unwrap()]);
    let keys: Vec<_> = changes.changed.iter().map(|change| (change.scanner.as_str(), change.keys.clone())).collect();
    assert_eq!(keys, [("nessus:a", vec!["name", "enabled", "max_concurrent_scans"]), ("nessus:b", vec!["password"])]);
    assert!(!format!("{changes:?}").contains("hunter2"), "{changes:?}");

    // Every clone sees the new pools.
    let after = ["a", "b"].map(|id| bound(&clone, "nessus", id).unwrap());
    assert!(Arc::ptr_eq(&before[0], &after[0].connection()), "its session lives on");
    assert_eq!((after[0].max_concurrent_scans, after[0].enabled), (7, false));
    assert!(!Arc::ptr_eq(&before[1], &after[1].connection()), "it logs in with another password");
    assert!(clone.pool(&PoolName::new("lab").unwrap()).is_none());
    assert!(bound(&clone, "lab", "m").is_some(), "a task with a scan on it can still reach it");
    assert!(bound(&clone, "lab", "x").is_none());
    assert!(registry.reload(&config(&text)).unwrap().is_empty());
}

#[test]
fn pools_that_cannot_be_changed_nothing() {
    let registry = ScannerRegistry::from_config(&config(FILE)).unwrap();
    let pool = || ScannerPool::new(PoolName::new("twice").unwrap(), "mock", Vec::new());
    assert!(registry.replace(vec![pool(), pool()]).is_err());
    assert!(registry.replace(Vec::new()).is_err());
    assert_eq!(registry.pools().len(), 2);
    assert_eq!(registry.default_pool().unwrap().name.as_str(), "nessus");
}

/// An instance, and how often its scanner was closed.
fn closing(id: &str) -> (ScannerInstance, Arc<AtomicUsize>) {
    let closed = Arc::new(AtomicUsize::new(0));
    let (counted, mut scanner) = (Arc::clone(&closed), MockScannerInterface::new());
    scanner.expect_close().returning(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (ScannerInstance::new(InstanceId::new(id).unwrap(), 1, Arc::new(scanner)), closed)
}

fn pool(instances: Vec<ScannerInstance>) -> Vec<ScannerPool> {
    vec![ScannerPool::new(PoolName::new("p").unwrap(), "mock", instances)]
}

/// Lets what was spawned run.
async fn settled(counter: &AtomicUsize) -> usize {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    counter.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_removed_scanner_is_closed_when_its_last_user_is_done() {
    let ((used, used_closed), (idle, idle_closed), (kept, kept_closed)) =
        (closing("used"), closing("idle"), closing("kept"));
    let registry = ScannerRegistry::new(pool(vec![used, idle, kept.clone()])).unwrap();
    let run = bound(&registry, "p", "used").unwrap();
    let changes = registry.replace(pool(vec![kept])).unwrap();
    assert_eq!((changes.removed, changes.unchanged), (vec!["p:used".to_owned(), "p:idle".to_owned()], 1));
    assert_eq!((settled(&idle_closed).await, settled(&used_closed).await), (1, 0), "a run holds one of them");
    let another = bound(&registry, "p", "used").unwrap();
    drop(run);
    assert_eq!(settled(&used_closed).await, 0, "another run has taken it over");
    drop(another);
    assert_eq!(settled(&used_closed).await, 1);
    assert_eq!(settled(&kept_closed).await, 0);
}

#[tokio::test]
async fn a_closed_scanner_may_be_used_again_and_is_closed_again() {
    let ((gone, gone_closed), (kept, kept_closed)) = (closing("gone"), closing("kept"));
    let registry = ScannerRegistry::new(pool(vec![gone, kept.clone()])).unwrap();
    registry.replace(pool(vec![kept])).unwrap();
    assert_eq!(settled(&gone_closed).await, 1);
    registry.close().await;
    assert_eq!((settled(&gone_closed).await, settled(&kept_closed).await), (1, 1), "nobody uses it");
    let run = bound(&registry, "p", "gone").unwrap();
    registry.close().await;
    assert_eq!((settled(&gone_closed).await, settled(&kept_closed).await), (2, 2), "the process ends under a run");
    drop(run);
    assert_eq!(settled(&gone_closed).await, 3);
}

/// What those who use a scanner go on with, after each change of its entry.
#[tokio::test]
async fn who_uses_a_scanner_follows_it_as_long_as_it_is_the_same() {
    let registry = ScannerRegistry::from_config(&config(FILE)).unwrap();
    let circuits = Circuits::default();
    registry.guard(&circuits).unwrap();
    let (pool, id) = names("nessus", "a");
    let breaker = circuits.breaker(&pool, &id);
    let mut text = FILE.to_owned();
    let mut reloaded = |from: &str, to: &str| {
        let before = bound(&registry, "nessus", "a").unwrap();
        let value = before.connection();
        breaker.close("before");
        text = text.replacen(from, to, 1);
        registry.reload(&config(&text)).unwrap();
        let after = bound(&registry, "nessus", "a").unwrap();
        let is_same_value = Arc::ptr_eq(&value, &after.connection());
        let is_forgotten = breaker.view().reason == "the configuration has changed";
        (is_same_value, Arc::ptr_eq(&before.scanner, &after.scanner), is_forgotten)
    };
    assert_eq!(reloaded("max_concurrent_scans: 2", "max_concurrent_scans: 3"), (true, true, false), "as it was");
    assert_eq!(reloaded("password: hunter2", "password: repaired"), (false, true, true), "with the new password");
    assert_eq!(reloaded("password: repaired", "password: repaired, verify_tls: false"), (false, true, true));
    assert_eq!(reloaded("username: scan", "username: other"), (false, false, true), "may not see the scans");
    assert_eq!(reloaded("a.example", "c.example"), (false, false, true), "may be another scanner");

    let used = bound(&registry, "nessus", "a").unwrap();
    let value = used.connection();
    registry.reload(&config(FILE.replace("instance_id: a", "instance_id: z").as_str())).unwrap();
    registry.reload(&config(&text)).unwrap();
    let back = bound(&registry, "nessus", "a").unwrap();
    assert!(Arc::ptr_eq(&used.scanner, &back.scanner), "configured again, it is the same scanner");
    assert!(!Arc::ptr_eq(&value, &back.connection()));
}

#[tokio::test]
async fn pools_that_cannot_be_change_no_circuit() {
    let registry = ScannerRegistry::from_config(&config(FILE)).unwrap();
    let circuits = Circuits::default();
    registry.guard(&circuits).unwrap();
    let (pool, id) = names("nessus", "a");
    circuits.breaker(&pool, &id).close("before");
    let [mut one, two] = [(); 2].map(|()| closing("a").0);
    one.name = "One".to_owned();
    let twice = [one, two].map(|instance| ScannerPool::new(pool.clone(), "nessus", vec![instance]));
    assert!(registry.replace(twice.to_vec()).is_err());
    assert_eq!(circuits.breaker(&pool, &id).view().reason, "before");
}

/// A scanner whose logout takes a while, and how many logouts have ended.
fn closing_slowly(id: &str) -> (ScannerInstance, Arc<AtomicUsize>) {
    #[derive(Debug)]
    struct Slow(MockScanner, Arc<AtomicUsize>, AtomicUsize);
    #[async_trait::async_trait]
    impl ScannerDecorator for Slow {
        fn inner(&self) -> &dyn ScannerInterface {
            &self.0
        }
        async fn close(&self) {
            // As with a session: who comes later finds nothing to do.
            if self.2.fetch_add(1, Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.1.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    let closed = Arc::new(AtomicUsize::new(0));
    let scanner = Slow(MockScanner::new(MockConfig::new()), Arc::clone(&closed), AtomicUsize::new(0));
    (ScannerInstance::new(InstanceId::new(id).unwrap(), 1, Arc::new(scanner)), closed)
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_waits_for_a_logout_that_has_begun() {
    let ((gone, gone_closed), (kept, _)) = (closing_slowly("gone"), closing("kept"));
    let registry = ScannerRegistry::new(pool(vec![gone, kept.clone()])).unwrap();
    registry.replace(pool(vec![kept])).unwrap();
    assert_eq!(settled(&gone_closed).await, 0, "it has begun");
    registry.close().await;
    assert_eq!(gone_closed.load(Ordering::Relaxed), 1);
}
