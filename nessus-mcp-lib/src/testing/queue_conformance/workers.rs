//! What workers tell of themselves.

use std::time::Duration;

use super::{LONG, QueueHarness, SHORT, pool, task, worker};
use crate::{
    ids::InstanceId,
    queue::{SeenWorker, ServedPool, WorkerRecord},
    time::Timestamp,
};

/// A worker that serves a pool.
fn record(name: &str) -> WorkerRecord {
    let mut record = WorkerRecord::new(worker(name), Timestamp::from_millis(1_764_599_422_123));
    "a \"machine\" ☃".clone_into(&mut record.host);
    let scanners = ["a", "b"].map(|id| InstanceId::new(id).unwrap());
    record.pools = vec![ServedPool::new(pool(), scanners.to_vec(), 7)];
    record
}

async fn seen(harness: &dyn QueueHarness) -> Vec<SeenWorker> {
    harness.queue().workers().await.unwrap()
}

/// What the workers tell, in the order of their ids.
async fn records(harness: &dyn QueueHarness) -> Vec<WorkerRecord> {
    seen(harness).await.into_iter().map(|seen| seen.record).collect()
}

/// Each worker has one record, what it has told last; they come in the order of the workers' ids.
pub async fn a_worker_replaces_what_it_told(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    assert_eq!(seen(harness).await, []);
    let (one, two) = (record("one"), record("two"));
    queue.announce_worker(&two, LONG).await.unwrap();
    queue.announce_worker(&one, LONG).await.unwrap();
    assert_eq!(records(harness).await, [one.clone(), two.clone()]);
    let mut stops = one;
    (stops.stopping, stops.clock_offset_ms, stops.pid) = (true, -61_000, u32::MAX);
    stops.holds = (0..500).map(task).collect();
    queue.announce_worker(&stops, LONG).await.unwrap();
    queue.announce_worker(&stops, LONG).await.unwrap();
    assert_eq!(records(harness).await, [stops, two]);
}

/// The age of a record is measured by the backend's clock, from when it was announced last.
pub async fn a_worker_that_is_silent_grows_old(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    for name in ["silent", "talks"] {
        queue.announce_worker(&record(name), LONG).await.unwrap();
    }
    harness.let_pass(SHORT).await;
    queue.announce_worker(&record("talks"), LONG).await.unwrap();
    let both = seen(harness).await;
    let [silent, talks] = &both[..] else { panic!("{both:?}") };
    assert!(silent.age >= SHORT && silent.age < LONG, "{silent:?}");
    assert!(talks.age < silent.age, "{both:?}");
}

/// A worker that has taken its record back is gone; the others stay.
pub async fn a_withdrawn_worker_is_gone(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    for name in ["ends", "stays"] {
        queue.announce_worker(&record(name), LONG).await.unwrap();
    }
    for _ in 0..2 {
        queue.withdraw_worker(&worker("ends")).await.unwrap();
        assert_eq!(records(harness).await, [record("stays")]);
    }
    queue.withdraw_worker(&worker("never-seen")).await.unwrap();
}

/// The record of a worker that died without a word vanishes when its time is over.
pub async fn a_lost_worker_is_forgotten_after_its_time(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    queue.announce_worker(&record("lost"), SHORT).await.unwrap();
    queue.announce_worker(&record("missed"), LONG).await.unwrap();
    harness.let_pass(SHORT + Duration::from_millis(1)).await;
    assert_eq!(records(harness).await, [record("missed")]);
    queue.announce_worker(&record("new"), SHORT).await.unwrap();
    assert_eq!(records(harness).await, [record("missed"), record("new")]);
}

/// Workers that start and die again and again leave no more than a bounded number of records, and those that live are among them.
pub async fn records_of_workers_are_bounded(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    for number in 0..1100 {
        queue.announce_worker(&record(&format!("died.{number:04}")), LONG).await.unwrap();
    }
    harness.let_pass(Duration::from_millis(1)).await;
    queue.announce_worker(&record("lives"), LONG).await.unwrap();
    let kept = records(harness).await;
    assert_eq!((kept.len(), kept.last()), (1000, Some(&record("lives"))));
}
