//! Scanner slots, idempotency keys, pauses, waiting.

use std::time::Duration;

use super::{LONG, QueueHarness, SHORT, assert_nothing_to_claim, body, claim, enqueue, pool, task};
use crate::{
    ids::InstanceId,
    queue::{
        Binding, DeadReason, EntryState, IdempotencyEntry, IdempotencyOutcome, QueueStats, Settlement, SlotOutcome,
    },
    time::Timestamp,
};

/// Only so that a check of a broken queue fails instead of hanging.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

fn scanner(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

/// What is asked together is what each question says by itself, of tasks in every state.
pub async fn the_outlook_is_what_the_single_answers_say(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let scanners = [scanner("a"), scanner("b")];
    enqueue(&*queue, 1..=4).await;
    let dead = claim(&*queue, "w", LONG).await;
    queue.settle(&dead.lease, Settlement::DeadLetter(DeadReason::new("why", "code", 1))).await.unwrap();
    let delayed = claim(&*queue, "w", LONG).await;
    queue.settle(&delayed.lease, Settlement::Nack { delay: LONG, started: false }).await.unwrap();
    claim(&*queue, "w", LONG).await;
    for (number, instance) in [(10, "a"), (11, "a"), (12, "b"), (13, "c")] {
        queue.acquire_slot(&pool(), &scanner(instance), &task(number), 5, LONG).await.unwrap();
    }
    let states = [None, Some(EntryState::Delayed), Some(EntryState::Leased), Some(EntryState::Ready), None];
    for paused in [None, Some("maintenance")] {
        if let Some(reason) = paused {
            queue.pause_pool(&pool(), reason).await.unwrap();
        }
        for (number, state) in (1..=5).zip(states) {
            let id = task(number);
            let outlook = queue.outlook(&pool(), Some(&id), &scanners).await.unwrap();
            let position = queue.position(&pool(), &id).await.unwrap();
            assert_eq!((outlook.position, outlook.state), (position, state), "task {number}");
            assert_eq!((outlook.paused.as_deref(), outlook.slots_in_use, outlook.losses), (paused, 3, None));
        }
        let of_none = queue.outlook(&pool(), None, &scanners[1..]).await.unwrap();
        assert_eq!((of_none.position, of_none.state, of_none.slots_in_use), (None, None, 1));
    }
}

/// However many tasks ask at once, no more than the capacity get a slot; asking again keeps it.
pub async fn slots_are_never_more_than_the_capacity(harness: &dyn QueueHarness) {
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let queue = harness.queue();
            tokio::spawn(async move {
                let outcome = queue.acquire_slot(&pool(), &scanner("a"), &task(number), 3, LONG).await.unwrap();
                (task(number), outcome)
            })
        })
        .collect();
    let mut holders = Vec::new();
    for call in calls {
        let (task, outcome) = call.await.unwrap();
        if outcome == SlotOutcome::Acquired {
            holders.push(task);
        }
    }
    holders.sort();
    let queue = harness.queue();
    assert_eq!(holders.len(), 3);
    assert_eq!(queue.slots_in_use(&pool(), &scanner("a")).await.unwrap(), holders);
    // Also when the capacity has shrunk since.
    let again = queue.acquire_slot(&pool(), &scanner("a"), &holders[0], 1, LONG).await.unwrap();
    assert_eq!(again, SlotOutcome::Acquired);

    queue.release_slot(&pool(), &scanner("a"), &holders[0]).await.unwrap();
    queue.release_slot(&pool(), &scanner("a"), &holders[0]).await.unwrap();
    let next = queue.acquire_slot(&pool(), &scanner("a"), &task(100), 3, LONG).await.unwrap();
    assert_eq!(next, SlotOutcome::Acquired);
    let full = queue.acquire_slot(&pool(), &scanner("a"), &task(101), 3, LONG).await.unwrap();
    assert_eq!(full, SlotOutcome::Full);
}

/// A slot that is not renewed is free after its lease; a renewed one is not.
pub async fn slots_expire_unless_renewed(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let acquire = async |number: u32, lease: Duration| {
        queue.acquire_slot(&pool(), &scanner("a"), &task(number), 2, lease).await.unwrap()
    };
    assert_eq!(acquire(1, SHORT).await, SlotOutcome::Acquired);
    assert_eq!(acquire(1, LONG).await, SlotOutcome::Acquired);
    assert_eq!(acquire(2, SHORT).await, SlotOutcome::Acquired);
    harness.let_pass(SHORT).await;
    assert_eq!(queue.slots_in_use(&pool(), &scanner("a")).await.unwrap(), [task(1)]);
    assert_eq!(acquire(3, LONG).await, SlotOutcome::Acquired);
    assert_eq!(acquire(4, LONG).await, SlotOutcome::Full);
    assert_eq!(queue.slots_in_use(&pool(), &scanner("a")).await.unwrap(), [task(1), task(3)]);
}

/// Slots belong to one scanner of one pool, and a capacity of zero has none.
pub async fn slots_are_counted_by_scanner(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let other = crate::ids::PoolName::new("other").unwrap();
    for (pool, instance) in [(pool(), "a"), (pool(), "b"), (other.clone(), "a")] {
        let outcome = queue.acquire_slot(&pool, &scanner(instance), &task(1), 1, LONG).await.unwrap();
        assert_eq!(outcome, SlotOutcome::Acquired, "{pool} {instance}");
    }
    let none = queue.acquire_slot(&other, &scanner("c"), &task(1), 0, LONG).await.unwrap();
    assert_eq!(none, SlotOutcome::Full);
    queue.release_slot(&pool(), &scanner("a"), &task(1)).await.unwrap();
    assert_eq!(queue.slots_in_use(&pool(), &scanner("a")).await.unwrap(), []);
    assert_eq!(queue.slots_in_use(&other, &scanner("a")).await.unwrap(), [task(1)]);
}

/// Of many claims of one key at once one wins, and the others get its entry.
pub async fn an_idempotency_key_has_one_winner(harness: &dyn QueueHarness) {
    let entry = |number: u32| IdempotencyEntry::new(task(number), format!("hash {number}"), Timestamp::from_millis(5));
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let (queue, entry) = (harness.queue(), entry(number));
            tokio::spawn(async move { (number, queue.claim_idempotency_key("a key: ☃", &entry, LONG).await.unwrap()) })
        })
        .collect();
    let (mut winners, mut seen) = (Vec::new(), Vec::new());
    for call in calls {
        match call.await.unwrap() {
            (number, IdempotencyOutcome::Claimed) => winners.push(number),
            (_, IdempotencyOutcome::Existing(existing)) => seen.push(existing),
        }
    }
    assert_eq!((winners.len(), seen.len()), (1, 11));
    assert!(seen.iter().all(|existing| *existing == entry(winners[0])), "{seen:?}");

    let stands = harness.queue().idempotency_entry("a key: ☃").await.unwrap();
    assert_eq!(stands, Some(entry(winners[0])));
    assert_eq!(harness.queue().idempotency_entry("another").await.unwrap(), None);
    let other = harness.queue().claim_idempotency_key("another", &entry(99), LONG).await.unwrap();
    assert_eq!(other, IdempotencyOutcome::Claimed);
}

/// After its time a key is free again.
pub async fn an_idempotency_key_expires(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let entry = |number: u32| IdempotencyEntry::new(task(number), "hash", Timestamp::from_millis(5));
    assert_eq!(queue.claim_idempotency_key("k", &entry(1), SHORT).await.unwrap(), IdempotencyOutcome::Claimed);
    harness.let_pass(SHORT).await;
    assert_eq!(queue.idempotency_entry("k").await.unwrap(), None);
    assert_eq!(queue.claim_idempotency_key("k", &entry(2), LONG).await.unwrap(), IdempotencyOutcome::Claimed);
    let existing = queue.claim_idempotency_key("k", &entry(3), LONG).await.unwrap();
    assert_eq!(existing, IdempotencyOutcome::Existing(entry(2)));
}

/// A key that comes back from the files stands for what it stood for, whoever took it meanwhile, and for no longer than said.
pub async fn an_idempotency_key_is_restored(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let entry = |number: u32| IdempotencyEntry::new(task(number), "hash", Timestamp::from_millis(5));
    assert_eq!(queue.claim_idempotency_key("k", &entry(1), LONG).await.unwrap(), IdempotencyOutcome::Claimed);
    queue.restore_idempotency_key("k", &entry(2), LONG).await.unwrap();
    queue.restore_idempotency_key("k", &entry(2), LONG).await.unwrap();
    let existing = queue.claim_idempotency_key("k", &entry(3), LONG).await.unwrap();
    assert_eq!(existing, IdempotencyOutcome::Existing(entry(2)));
    queue.restore_idempotency_key("short", &entry(4), SHORT).await.unwrap();
    harness.let_pass(SHORT).await;
    assert_eq!(queue.claim_idempotency_key("short", &entry(5), LONG).await.unwrap(), IdempotencyOutcome::Claimed);
}

/// A paused pool accepts tasks and lets workers finish, but hands out nothing until it is resumed.
pub async fn a_paused_pool_gives_nothing(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let held = claim(&*queue, "w", LONG).await.lease;
    queue.pause_pool(&pool(), "first").await.unwrap();
    queue.pause_pool(&pool(), "scanner maintenance").await.unwrap();
    enqueue(&*queue, [2]).await;
    assert_nothing_to_claim(&*queue).await;
    let paused = QueueStats::new(1, 0, 1, 0).with_paused(Some("scanner maintenance".to_owned()));
    assert_eq!(queue.stats(&pool()).await.unwrap(), paused);
    assert_eq!(queue.settle(&held, Settlement::Ack).await.unwrap(), crate::queue::SettleOutcome::Settled);

    queue.resume_pool(&pool()).await.unwrap();
    queue.resume_pool(&pool()).await.unwrap();
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(1, 0, 0, 0));
    let resumed = claim(&*queue, "w", LONG).await;
    assert_eq!(resumed.body, body(2));
    assert!(resumed.lease.fence > held.fence);
}

/// Of many who bind a new queue at once one succeeds, and the others get its binding; only who knows what stands replaces it.
pub async fn a_queue_is_bound_to_one_directory(harness: &dyn QueueHarness) {
    assert_eq!(harness.queue().binding().await.unwrap(), None);
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let queue = harness.queue();
            let ours = Binding::new(format!("directory {number}: \"☃\""));
            tokio::spawn(async move { (ours.clone(), queue.bind(None, &ours).await.unwrap().unwrap()) })
        })
        .collect();
    let mut all = Vec::new();
    for call in calls {
        all.push(call.await.unwrap());
    }
    let standing = harness.queue().binding().await.unwrap().unwrap();
    assert!(all.iter().all(|(_, answer)| *answer == standing), "{all:?}");
    assert_eq!(all.iter().filter(|(ours, _)| *ours == standing).count(), 1);

    let other = Binding::new("another");
    let wrong = Binding::new(standing.directory.clone());
    assert_ne!(wrong, standing, "each binding has an epoch of its own");
    assert_eq!(harness.queue().bind(Some(wrong), &other).await.unwrap(), Some(standing.clone()));
    assert_eq!(harness.queue().bind(Some(standing), &other).await.unwrap(), Some(other.clone()));
    assert_eq!(harness.queue().binding().await.unwrap(), Some(other));
}

/// Whoever finds no binding knows that the queue has lost what it knew.
pub async fn a_queue_that_lost_its_data_is_not_bound(harness: &dyn QueueHarness) {
    let bound = Binding::new("one");
    harness.queue().bind(None, &bound).await.unwrap();
    harness.wipe().await;
    assert_eq!(harness.queue().binding().await.unwrap(), None);
    assert_eq!(harness.queue().bind(Some(bound), &Binding::new("two")).await.unwrap(), None);
}

/// Waiting ends for work that is there or comes, and when the time is over.
pub async fn waiting_ends_when_there_is_work(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let ends = async |timeout: Duration| {
        let (queue, pools) = (harness.queue(), [crate::ids::PoolName::new("other").unwrap(), pool()]);
        tokio::time::timeout(PATIENCE, async move { queue.wait_for_work(&pools, timeout).await }).await.is_ok()
    };
    assert!(ends(SHORT).await, "waiting goes on after its time");
    let comes = async {
        tokio::task::yield_now().await;
        enqueue(&*queue, [1]).await;
        true
    };
    let (ended, _) = tokio::join!(ends(LONG), comes);
    assert!(ended, "waiting goes on although work came");
    assert!(ends(LONG).await, "waiting goes on although work is there");
}

/// A backend that tells the time tells that of the clock by which its leases end.
pub async fn the_time_is_that_of_the_leases(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let Some(before) = queue.now().await.unwrap() else { return };
    claim(&*queue, "w", LONG).await;
    let after = queue.now().await.unwrap().expect("it told the time before");
    let ends = queue.leases(&pool()).await.unwrap()[0].expires_at;
    assert!((before.plus(LONG)..=after.plus(LONG)).contains(&ends), "{before} {ends} {after}");
}

/// A ping is answered.
pub async fn the_queue_answers_a_ping(harness: &dyn QueueHarness) {
    harness.queue().ping().await.unwrap();
}
