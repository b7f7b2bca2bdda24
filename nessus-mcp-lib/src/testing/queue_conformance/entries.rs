//! Entries: order, identity, counts.

use super::{LONG, QueueHarness, body, claim, enqueue, pool, task};
use crate::{
    ids::PoolName,
    queue::{EnqueueOutcome, EntryState, QueueStats, RemoveOutcome, Settlement, TaskBody},
};

/// Tasks are claimed in the order they were enqueued.
pub async fn tasks_come_first_in_first_out(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    for number in 1..=5 {
        assert_eq!(queue.enqueue(&pool(), &body(number)).await.unwrap(), EnqueueOutcome::Added);
        assert_eq!(queue.stats(&pool()).await.unwrap().ready, u64::from(number));
    }
    for number in 1..=5 {
        assert_eq!(claim(&*queue, "w", LONG).await.body, body(number));
    }
    super::assert_nothing_to_claim(&*queue).await;
}

/// A task that is ready, leased or delayed is not added again, and its body is not replaced.
pub async fn enqueue_is_idempotent(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let again = TaskBody::parse(format!(r#"{{"task_id":"{}","second":true}}"#, task(1))).unwrap();
    let assert_known = async || {
        assert_eq!(queue.enqueue(&pool(), &again).await.unwrap(), EnqueueOutcome::AlreadyKnown);
    };
    enqueue(&*queue, [1]).await;
    assert_known().await;
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 1);

    let claimed = claim(&*queue, "w", LONG).await;
    assert_eq!(claimed.body, body(1));
    assert_known().await;
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 0);

    queue.settle(&claimed.lease, Settlement::Nack { delay: LONG, started: false }).await.unwrap();
    assert_known().await;
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 0);
}

/// Of many enqueues of one task at once exactly one adds it.
pub async fn concurrent_enqueues_add_a_task_once(harness: &dyn QueueHarness) {
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let queue = harness.queue();
            tokio::spawn(async move { queue.enqueue(&pool(), &body(1)).await.unwrap() })
        })
        .collect();
    let mut added = 0;
    for call in calls {
        added += u32::from(call.await.unwrap() == EnqueueOutcome::Added);
    }
    assert_eq!((added, harness.queue().stats(&pool()).await.unwrap().ready), (1, 1));
}

/// Empty lists, large integers, escapes and white space come out as they went in.
pub async fn bodies_keep_every_byte(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let text = format!(
        " {{ \"list\":[],\"object\":{{}}, \"big\":12345678901234567890123, \"e\":1e400,\"text\":\"\\u00e9\\n☃\",\n\"task_id\":\"{}\"}}",
        task(1)
    );
    queue.enqueue(&pool(), &TaskBody::parse(text.as_str()).unwrap()).await.unwrap();
    assert_eq!(queue.peek(&pool(), 1).await.unwrap(), [text.as_str()]);
    let claimed = claim(&*queue, "w", LONG).await;
    queue
        .settle(&claimed.lease, Settlement::Release { delay: std::time::Duration::ZERO, started: false })
        .await
        .unwrap();
    assert_eq!(claim(&*queue, "w", LONG).await.body.as_str(), text);
}

/// What happens in one pool is not seen in another, also when their names begin alike.
pub async fn pools_are_separate(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let other = PoolName::new("nessus-eu").unwrap();
    enqueue(&*queue, [1]).await;
    queue.pause_pool(&pool(), "maintenance").await.unwrap();
    assert_eq!(queue.stats(&other).await.unwrap(), QueueStats::default());
    let enqueued = queue.enqueue(&other, &body(1)).await.unwrap();
    assert_eq!(enqueued, EnqueueOutcome::Added);
    assert_eq!(queue.stats(&other).await.unwrap().ready, 1);
    let claimed = queue.claim(&other, &super::worker("w"), LONG, &[]).await.unwrap();
    assert_eq!(claimed.expect("the other pool is not paused").lease.pool, other);
    assert_eq!(queue.state_of(&pool(), &task(1)).await.unwrap(), Some(EntryState::Ready));
}

/// The position is the place in the peek, and only ready tasks have one.
pub async fn position_and_peek_agree(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=4).await;
    claim(&*queue, "w", LONG).await;
    let texts: Vec<_> = (2..=4).map(|number| body(number).into_string()).collect();
    assert_eq!(queue.peek(&pool(), 10).await.unwrap(), texts);
    assert_eq!(queue.peek(&pool(), 2).await.unwrap(), texts[..2]);
    for (number, position) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(3)), (5, None)] {
        assert_eq!(queue.position(&pool(), &task(number)).await.unwrap(), position, "task {number}");
    }
}

/// Ready and delayed tasks can be removed, a leased one cannot.
pub async fn only_what_nobody_holds_can_be_removed(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=3).await;
    let delayed = claim(&*queue, "w", LONG).await;
    queue.settle(&delayed.lease, Settlement::Nack { delay: LONG, started: false }).await.unwrap();
    let leased = claim(&*queue, "w", LONG).await;
    for (number, outcome) in [
        (1, RemoveOutcome::Removed),
        (2, RemoveOutcome::Leased),
        (3, RemoveOutcome::Removed),
        (3, RemoveOutcome::NotFound),
        (4, RemoveOutcome::NotFound),
    ] {
        assert_eq!(queue.remove(&pool(), &task(number)).await.unwrap(), outcome, "task {number}");
    }
    super::assert_nothing_to_claim(&*queue).await;
    assert_eq!(queue.settle(&leased.lease, Settlement::Ack).await.unwrap(), crate::queue::SettleOutcome::Settled);
    // A removed task may come again.
    enqueue(&*queue, [1, 3]).await;
}

/// The counts and the states say the same.
pub async fn states_and_counts_agree(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=5).await;
    let dead = claim(&*queue, "w", LONG).await;
    let reason = crate::queue::DeadReason::new("no", "bad", 1);
    queue.settle(&dead.lease, Settlement::DeadLetter(reason)).await.unwrap();
    let delayed = claim(&*queue, "w", LONG).await;
    queue.settle(&delayed.lease, Settlement::Nack { delay: LONG, started: false }).await.unwrap();
    claim(&*queue, "w", LONG).await;

    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(2, 1, 1, 1));
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 2);
    let states = [
        (1, Some(EntryState::Dead)),
        (2, Some(EntryState::Delayed)),
        (3, Some(EntryState::Leased)),
        (4, Some(EntryState::Ready)),
        (6, None),
    ];
    for (number, state) in states {
        assert_eq!(queue.state_of(&pool(), &task(number)).await.unwrap(), state, "task {number}");
    }
}
