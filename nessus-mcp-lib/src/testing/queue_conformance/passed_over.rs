//! Claims that pass over tasks whose scanner cannot take them.

use std::time::Duration;

use super::{LONG, QueueHarness, SHORT, enqueue, pool, shared::PATIENCE, task, worker};
use crate::{
    ids::InstanceId,
    queue::{
        Claim, DeadReason, EnqueueOutcome, EntryState, Queue, RemoveOutcome, RetryDeadOutcome, SettleOutcome,
        Settlement, TaskBody,
    },
};

/// A body that names a scanner.
fn pinned(number: u32, scanner: &str) -> TaskBody {
    let text = format!(r#"{{"scanner_instance_id":"{scanner}","task_id":"{}"}}"#, task(number));
    TaskBody::parse(text).unwrap()
}

async fn enqueue_pinned(queue: &dyn Queue, number: u32, scanner: &str) {
    assert_eq!(queue.enqueue(&pool(), &pinned(number, scanner)).await.unwrap(), EnqueueOutcome::Added);
}

async fn claim_but(queue: &dyn Queue, scanners: &[&str]) -> Option<Claim> {
    let passed_over: Vec<_> = scanners.iter().map(|scanner| InstanceId::new(*scanner).unwrap()).collect();
    queue.claim(&pool(), &worker("w"), LONG, &passed_over).await.unwrap()
}

/// Claims while `scanners` are passed over, and asserts which task that gives.
async fn assert_claims(queue: &dyn Queue, scanners: &[&str], expected: Option<u32>) {
    let claimed = claim_but(queue, scanners).await.map(|claim| claim.lease.task_id);
    assert_eq!(claimed, expected.map(task), "without {scanners:?}");
}

async fn hand_back(queue: &dyn Queue, claim: &Claim, how: Settlement) {
    assert_eq!(queue.settle(&claim.lease, how).await.unwrap(), SettleOutcome::Settled);
}

/// All others are taken in their order, and what was passed over is counted and taken in its order later.
pub async fn what_is_passed_over_keeps_its_place(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    for (number, scanner) in [(1, "a"), (2, "a"), (3, ""), (4, "b"), (5, "a"), (6, "b"), (7, "")] {
        match scanner {
            "" => enqueue(&*queue, [number]).await,
            scanner => enqueue_pinned(&*queue, number, scanner).await,
        }
    }
    assert_claims(&*queue, &["a"], Some(3)).await;
    assert_claims(&*queue, &["b", "a"], Some(7)).await;
    assert_claims(&*queue, &["b", "a", "c"], None).await;
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 5);
    for (place, number) in (1..).zip([1, 2, 4, 5, 6]) {
        assert_eq!(queue.position(&pool(), &task(number)).await.unwrap(), Some(place), "{number}");
        assert_eq!(queue.state_of(&pool(), &task(number)).await.unwrap(), Some(EntryState::Ready));
    }
    assert_claims(&*queue, &["a"], Some(4)).await;
    assert_claims(&*queue, &["b", "c"], Some(1)).await;
    assert_eq!(queue.remove(&pool(), &task(2)).await.unwrap(), RemoveOutcome::Removed);
    assert_claims(&*queue, &["b"], Some(5)).await;
    assert_claims(&*queue, &["b"], None).await;
    enqueue_pinned(&*queue, 8, "a").await;
    assert_claims(&*queue, &["c"], Some(6)).await;
    queue.pause_pool(&pool(), "maintenance").await.unwrap();
    assert_claims(&*queue, &["b"], None).await;
    queue.resume_pool(&pool()).await.unwrap();
    assert_claims(&*queue, &[], Some(8)).await;
    assert_claims(&*queue, &[], None).await;
}

/// Their scans run: somebody has to watch them, however full the scanner is.
pub async fn started_tasks_are_not_passed_over(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    for number in 1..=3 {
        enqueue_pinned(&*queue, number, "a").await;
    }
    queue.enqueue_started(&pool(), &pinned(4, "a")).await.unwrap();
    assert_claims(&*queue, &["a"], Some(4)).await;
    assert_claims(&*queue, &["a"], None).await;
    let claims = [claim_but(&*queue, &[]).await.expect("1"), claim_but(&*queue, &[]).await.expect("2")];
    hand_back(&*queue, &claims[0], Settlement::Release { delay: Duration::ZERO, started: true }).await;
    queue.renew(std::slice::from_ref(&claims[1].lease), SHORT).await.unwrap();
    harness.let_pass(SHORT).await;
    let mut found = [claim_but(&*queue, &["a"]).await, claim_but(&*queue, &["a"]).await]
        .map(|claim| claim.expect("one was handed back, the lease of the other is over").lease.task_id);
    found.sort();
    assert_eq!(found, [task(1), task(2)]);
    assert_claims(&*queue, &["a"], None).await;
}

/// However a task that has not started came back into the queue, it is passed over, and stands where it would stand anyway.
pub async fn what_comes_back_is_passed_over(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    for number in 1..=5 {
        enqueue_pinned(&*queue, number, "a").await;
    }
    let mut claims = Vec::new();
    for _ in 1..=4 {
        claims.push(claim_but(&*queue, &["b"]).await.expect("nothing of it is passed over"));
    }
    hand_back(&*queue, &claims[0], Settlement::DeadLetter(DeadReason::new("it failed", "failed", 1))).await;
    let again = pinned(1, "a");
    assert_eq!(queue.retry_dead(&pool(), &again).await.unwrap(), RetryDeadOutcome::Requeued);
    hand_back(&*queue, &claims[3], Settlement::Release { delay: SHORT, started: false }).await;
    hand_back(&*queue, &claims[1], Settlement::Nack { delay: SHORT, started: false }).await;
    harness.let_pass(SHORT).await;
    assert_claims(&*queue, &["a"], None).await;
    hand_back(&*queue, &claims[2], Settlement::Release { delay: Duration::ZERO, started: false }).await;
    assert_claims(&*queue, &["a"], None).await;
    for (place, number) in (1..).zip([3, 4, 5, 1, 2]) {
        assert_eq!(queue.position(&pool(), &task(number)).await.unwrap(), Some(place), "{number}");
    }
    for number in [3, 4, 5, 1, 2] {
        assert_claims(&*queue, &["b"], Some(number)).await;
    }
}

/// Nor is a body that nobody can read: it goes to the dead letters. One of an older producer that names a scanner is passed over.
pub async fn bodies_that_name_no_scanner_are_not_passed_over(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    harness.push_raw(&pool(), pinned(1, "a").as_str()).await;
    harness.push_raw(&pool(), r#"{"scanner_instance_id":"a""#).await;
    for (number, named) in (2..).zip(["null", "[\"a\"]", "7", "\"\"", "\"../a\"", "{\"a\":\"a\"}"]) {
        let text = format!(r#"{{"task_id":"{}","scanner_instance_id":{named}}}"#, task(number));
        harness.push_raw(&pool(), &text).await;
    }
    for number in 2..=7 {
        assert_claims(&*queue, &["a"], Some(number)).await;
    }
    assert_claims(&*queue, &["a"], None).await;
    let stats = queue.stats(&pool()).await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.dead), (1, 6, 1));
    assert_claims(&*queue, &[], Some(1)).await;
}

/// Far more than any part in which entries are read.
pub async fn many_tasks_are_passed_over(harness: &dyn QueueHarness) {
    const MANY: u32 = 700;
    let queue = harness.queue();
    for number in 1..=MANY {
        enqueue_pinned(&*queue, number, if number % 3 == 0 { "b" } else { "a" }).await;
    }
    enqueue(&*queue, [MANY + 1]).await;
    enqueue_pinned(&*queue, MANY + 2, "c").await;
    assert_claims(&*queue, &["a", "b"], Some(MANY + 1)).await;
    assert_claims(&*queue, &["a", "b"], Some(MANY + 2)).await;
    assert_claims(&*queue, &["a", "b"], None).await;
    assert_claims(&*queue, &["a"], Some(3)).await;
    assert_eq!(queue.position(&pool(), &task(MANY)).await.unwrap(), Some(u64::from(MANY) - 1));
}

/// Waiting ends while something is ready, so that nobody sleeps when its scanner is free again; also for what comes meanwhile.
pub async fn a_worker_hears_of_what_it_passed_over(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let hears = async || {
        let waiting = async { queue.wait_for_work(&[pool()], LONG).await };
        tokio::time::timeout(PATIENCE, waiting).await.expect("waiting goes on although work is there");
    };
    enqueue_pinned(&*queue, 1, "a").await;
    assert_claims(&*queue, &["a"], None).await;
    hears().await;
    enqueue(&*queue, [2]).await;
    hears().await;
    assert_claims(&*queue, &["a"], Some(2)).await;
    hears().await;
    assert_claims(&*queue, &[], Some(1)).await;
}
