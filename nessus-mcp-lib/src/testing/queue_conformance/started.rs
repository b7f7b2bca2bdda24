//! Tasks that have started: they are handed out before all others, and where no new scan may begin.

use std::time::Duration;

use super::{
    LONG, QueueHarness, SHORT, assert_nothing_to_claim, body, claim, enqueue, pool, shared::PATIENCE, task, worker,
};
use crate::queue::{Claim, EnqueueOutcome, EntryState, Queue, RemoveOutcome, SettleOutcome, Settlement};

async fn claim_started(queue: &dyn Queue) -> Option<Claim> {
    queue.claim_started(&pool(), &worker("w"), LONG).await.unwrap()
}

async fn hand_back(queue: &dyn Queue, claim: &Claim, how: Settlement) {
    assert_eq!(queue.settle(&claim.lease, how).await.unwrap(), SettleOutcome::Settled);
}

/// Waits for work, which must come.
async fn hears(queue: &dyn Queue) {
    tokio::time::timeout(PATIENCE, queue.wait_for_work(&[pool()], LONG))
        .await
        .expect("waiting goes on although work came");
}

const RELEASED: Settlement = Settlement::Release { delay: Duration::ZERO, started: false };
const STARTED: Settlement = Settlement::Release { delay: Duration::ZERO, started: true };

/// However they came back, those that have started stand before those that were handed back, and these before the others.
pub async fn started_tasks_come_first(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=5).await;
    let mut claims = Vec::new();
    for _ in 1..=3 {
        claims.push(claim(&*queue, "w", LONG).await);
    }
    hand_back(&*queue, &claims[0], STARTED).await;
    hand_back(&*queue, &claims[2], STARTED).await;
    hand_back(&*queue, &claims[1], RELEASED).await;
    assert_eq!(queue.enqueue_started(&pool(), &body(6)).await.unwrap(), EnqueueOutcome::Added);
    assert_eq!(queue.enqueue_started(&pool(), &body(4)).await.unwrap(), EnqueueOutcome::AlreadyKnown);

    let order = [6, 3, 1, 2, 4, 5];
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 6);
    assert_eq!(queue.peek(&pool(), 10).await.unwrap(), order.map(|number| body(number).into_string()));
    for (place, number) in (1..).zip(order) {
        assert_eq!(queue.position(&pool(), &task(number)).await.unwrap(), Some(place), "{number}");
        assert_eq!(queue.state_of(&pool(), &task(number)).await.unwrap(), Some(EntryState::Ready));
    }
    assert_eq!(queue.remove(&pool(), &task(3)).await.unwrap(), RemoveOutcome::Removed);
    for number in [6, 1, 2, 4, 5] {
        assert_eq!(claim(&*queue, "w", LONG).await.body, body(number));
    }
    assert_nothing_to_claim(&*queue).await;
}

/// A worker without a free slot finds only started tasks; their delays hold for it too.
pub async fn only_started_tasks_are_claimed_as_such(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=4).await;
    assert_eq!(claim_started(&*queue).await, None);
    let mut claims = Vec::new();
    for _ in 1..=3 {
        claims.push(claim(&*queue, "w", LONG).await);
    }
    hand_back(&*queue, &claims[0], Settlement::Nack { delay: LONG, started: true }).await;
    hand_back(&*queue, &claims[1], Settlement::Nack { delay: SHORT, started: true }).await;
    hand_back(&*queue, &claims[2], RELEASED).await;
    harness.let_pass(SHORT).await;
    let again = claim_started(&*queue).await.expect("it is due");
    assert_eq!((&again.body, again.deliveries), (&body(2), 2));
    assert_eq!(claim_started(&*queue).await, None);

    // Released as not started, it waits like the others.
    hand_back(&*queue, &again, Settlement::Release { delay: SHORT, started: false }).await;
    harness.let_pass(SHORT).await;
    assert_eq!(claim_started(&*queue).await, None);
    for number in [2, 3, 4] {
        assert_eq!(claim(&*queue, "w", LONG).await.body, body(number));
    }
    assert_eq!(queue.state_of(&pool(), &task(1)).await.unwrap(), Some(EntryState::Delayed));
}

/// A pause holds back what has not started; a worker that waits hears of the rest.
pub async fn a_pause_does_not_hold_back_started_tasks(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=4).await;
    let mut claims = Vec::new();
    for _ in 1..=3 {
        claims.push(claim(&*queue, "w", LONG).await);
    }
    queue.pause_pool(&pool(), "maintenance").await.unwrap();
    hand_back(&*queue, &claims[0], RELEASED).await;
    assert_nothing_to_claim(&*queue).await;
    hand_back(&*queue, &claims[1], STARTED).await;
    hand_back(&*queue, &claims[2], Settlement::Release { delay: SHORT, started: true }).await;
    hears(&*queue).await;
    assert_eq!(claim(&*queue, "w", LONG).await.body, body(2));
    harness.let_pass(SHORT).await;
    hears(&*queue).await;
    assert_eq!(claim_started(&*queue).await.expect("it is due").body, body(3));
    queue.enqueue_started(&pool(), &body(5)).await.unwrap();
    assert_eq!(claim(&*queue, "w", LONG).await.body, body(5));
    assert_nothing_to_claim(&*queue).await;

    queue.resume_pool(&pool()).await.unwrap();
    for number in [1, 4] {
        assert_eq!(claim(&*queue, "w", LONG).await.body, body(number));
    }
}

/// A worker that died may have started: somebody has to look.
pub async fn an_expired_lease_counts_as_started(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=3).await;
    // Both are claimed before any may end: a claim would take an ended one back.
    let leases = [claim(&*queue, "dead", LONG).await.lease, claim(&*queue, "dead", LONG).await.lease];
    queue.renew(&leases, SHORT).await.unwrap();
    queue.pause_pool(&pool(), "maintenance").await.unwrap();
    harness.let_pass(SHORT).await;
    let mut found = [claim_started(&*queue).await, queue.claim(&pool(), &worker("w"), LONG, &[]).await.unwrap()]
        .map(|claim| claim.expect("its lease is over"));
    found.sort_by_key(|claim| claim.lease.task_id.clone());
    assert_eq!(found.each_ref().map(|claim| (claim.body.clone(), claim.losses)), [(body(1), 1), (body(2), 1)]);
    assert_nothing_to_claim(&*queue).await;
    hand_back(&*queue, &found[0], RELEASED).await;
    assert_nothing_to_claim(&*queue).await;
}
