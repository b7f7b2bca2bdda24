//! Leases: who holds what, for how long, and how they part with it.

use std::{collections::BTreeSet, time::Duration};

use super::{LONG, QueueHarness, SHORT, assert_nothing_to_claim, body, claim, enqueue, pool, task, worker};
use crate::{
    ids::FencingToken,
    queue::{
        EntryState, LOSSES_ALLOWED, Lease, QueueStats, RenewOutcome, SettleOutcome, Settlement, pause_after_losses,
    },
};

/// Many workers at once share out the tasks, each task once and each fence once.
pub async fn concurrent_claims_never_share_a_task(harness: &dyn QueueHarness) {
    const TASKS: u32 = 60;
    enqueue(&*harness.queue(), 0..TASKS).await;
    let workers: Vec<_> = (0..6)
        .map(|number| {
            let queue = harness.queue();
            let name = worker(&format!("w{number}"));
            tokio::spawn(async move {
                let mut claims = Vec::new();
                while let Some(claim) = queue.claim(&pool(), &name, LONG, &[]).await.unwrap() {
                    claims.push(claim);
                }
                claims
            })
        })
        .collect();
    let mut claims = Vec::new();
    for worker in workers {
        claims.extend(worker.await.unwrap());
    }
    let tasks: BTreeSet<_> = claims.iter().map(|claim| claim.lease.task_id.clone()).collect();
    let fences: BTreeSet<_> = claims.iter().map(|claim| claim.lease.fence).collect();
    assert_eq!((claims.len(), tasks.len(), fences.len()), (60, 60, 60));
    assert!(claims.iter().all(|claim| claim.deliveries == 1));
}

/// Every claim's fence is larger than the last one's.
pub async fn fencing_tokens_grow(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=20).await;
    let mut last = FencingToken(0);
    for _ in 1..=20 {
        let fence = claim(&*queue, "w", LONG).await.lease.fence;
        assert!(fence > last, "{fence} after {last}");
        last = fence;
    }
}

/// Fences are larger than before also when the store was emptied in between.
pub async fn fencing_tokens_grow_after_a_loss_of_data(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let before = claim(&*queue, "w", LONG).await.lease;
    harness.let_pass(SHORT).await;
    harness.wipe().await;
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::default());
    assert_eq!(queue.settle(&before, Settlement::Ack).await.unwrap(), SettleOutcome::LeaseLost);
    enqueue(&*queue, [1]).await;
    let after = claim(&*queue, "w", LONG).await.lease;
    assert!(after.fence > before.fence, "{} after {}", after.fence, before.fence);
}

/// A raised fence is above what was asked, voids the old lease, and later claims are above it too.
pub async fn a_fencing_token_can_be_raised(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=2).await;
    let old = claim(&*queue, "w", LONG).await.lease;
    let above = FencingToken(old.fence.0 + 1_000_000_000_000);
    let raised = queue.raise_fencing_token(&old, above).await.unwrap().expect("the lease stands");
    assert!(raised.fence > above);
    assert_eq!(Lease::new(old.pool.clone(), old.task_id.clone(), old.worker.clone(), raised.fence), raised);

    assert_eq!(queue.raise_fencing_token(&old, above).await.unwrap(), None);
    assert_eq!(queue.settle(&old, Settlement::Ack).await.unwrap(), SettleOutcome::LeaseLost);
    assert!(claim(&*queue, "w", LONG).await.lease.fence > raised.fence);
    assert_eq!(queue.settle(&raised, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
    queue.raise_fencing_token(&raised, FencingToken(u64::MAX)).await.unwrap_err();
}

/// The answers stand in the order of the leases; a lease of another worker or fence is lost.
pub async fn renew_says_held_or_lost(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=2).await;
    let first = claim(&*queue, "w", LONG).await.lease;
    let second = claim(&*queue, "w", LONG).await.lease;
    queue.settle(&first, Settlement::Ack).await.unwrap();
    let stranger = Lease { worker: worker("other"), ..second.clone() };
    let older = Lease { fence: FencingToken(second.fence.0 - 1), ..second.clone() };
    let answers = queue.renew(&[first, second.clone(), stranger, older, second], LONG).await.unwrap();
    let states = answers.iter().map(|answer| *answer == RenewOutcome::Held);
    assert_eq!(states.collect::<Vec<_>>(), [false, true, false, false, true]);
    assert_eq!(queue.renew(&[], LONG).await.unwrap(), []);
}

/// A renewal counts from now: the first lease's end passes without effect.
pub async fn a_renewed_lease_lasts(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let lease = claim(&*queue, "w", SHORT).await.lease;
    assert_eq!(queue.renew(std::slice::from_ref(&lease), LONG).await.unwrap(), [RenewOutcome::Held]);
    harness.let_pass(SHORT).await;
    assert_nothing_to_claim(&*queue).await;
    assert_eq!(queue.settle(&lease, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
}

/// A worker that is silent loses its task to the next, before any that waits, with a larger fence and count.
pub async fn an_expired_lease_is_delivered_again(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=2).await;
    let first = claim(&*queue, "dead", SHORT).await;
    harness.let_pass(SHORT).await;
    let second = claim(&*queue, "alive", LONG).await;
    assert_eq!(second.body, body(1));
    assert!(second.lease.fence > first.lease.fence);
    assert_eq!((first.losses, second.losses), (0, 1));
    assert_eq!((first.deliveries, second.deliveries), (1, 1), "a worker that is lost is no try");
}

/// A task whose workers are lost one after the other waits in the end, for none of them to be claimed meanwhile; others do
/// not. It is one that has started. Whoever gets somewhere with it clears it.
pub async fn a_task_with_which_workers_are_lost_waits(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let suspects = async || queue.suspects(&pool()).await.unwrap();
    for lost in 0..=LOSSES_ALLOWED {
        assert_eq!(suspects().await, []);
        assert_eq!(claim(&*queue, "dead", SHORT).await.losses, lost);
        harness.let_pass(SHORT).await;
    }
    let lost = LOSSES_ALLOWED + 1;
    enqueue(&*queue, [2]).await;
    assert_eq!(claim(&*queue, "alive", LONG).await.body, body(2));
    assert_eq!(queue.state_of(&pool(), &task(1)).await.unwrap(), Some(EntryState::Delayed));
    assert_eq!(suspects().await, [(task(1), lost)]);
    let outlook = async |number| queue.outlook(&pool(), Some(&task(number)), &[]).await.unwrap();
    assert_eq!((outlook(1).await.losses, outlook(2).await.losses), (Some(lost), None));
    harness.let_pass(pause_after_losses(lost).unwrap()).await;
    let again = queue.claim_started(&pool(), &worker("alive"), LONG).await.unwrap().expect("it is due");
    assert_eq!((again.losses, again.deliveries), (lost, 1));
    // A release is no loss, and clears nothing.
    let at_once = Settlement::Release { delay: Duration::ZERO, started: true };
    assert_eq!(queue.settle(&again.lease, at_once).await.unwrap(), SettleOutcome::Settled);
    let held = claim(&*queue, "alive", SHORT).await;
    assert_eq!(held.losses, lost);
    queue.note_progress(&again.lease).await.unwrap();
    assert_eq!(suspects().await, [(task(1), lost + 1)], "its lease is lost");
    queue.note_progress(&held.lease).await.unwrap();
    assert_eq!(suspects().await, []);
    harness.let_pass(SHORT).await;
    assert_eq!(claim(&*queue, "alive", LONG).await.losses, 0);
}

/// A try that has failed says that its worker lives.
pub async fn a_nack_forgets_lost_workers(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    claim(&*queue, "dead", SHORT).await;
    harness.let_pass(SHORT).await;
    let held = claim(&*queue, "alive", LONG).await;
    assert_eq!((held.losses, held.deliveries), (1, 1));
    queue.settle(&held.lease, Settlement::Nack { delay: SHORT, started: true }).await.unwrap();
    harness.let_pass(SHORT).await;
    let again = claim(&*queue, "alive", LONG).await;
    assert_eq!((again.losses, again.deliveries), (0, 2));
}

/// A worker that wakes up after its lease was taken cannot finish, renew or raise, even under the same name.
pub async fn the_former_holder_cannot_settle(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let old = claim(&*queue, "w", SHORT).await.lease;
    harness.let_pass(SHORT).await;
    let new = claim(&*queue, "w", LONG).await.lease;
    for how in [
        Settlement::Ack,
        Settlement::Nack { delay: Duration::ZERO, started: false },
        Settlement::Release { delay: Duration::ZERO, started: false },
        Settlement::DeadLetter(crate::queue::DeadReason::new("no", "bad", 1)),
    ] {
        assert_eq!(queue.settle(&old, how).await.unwrap(), SettleOutcome::LeaseLost);
    }
    assert_eq!(queue.raise_fencing_token(&old, FencingToken(0)).await.unwrap(), None);
    assert_eq!(queue.renew(&[old, new.clone()], LONG).await.unwrap(), [RenewOutcome::Lost, RenewOutcome::Held]);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(0, 0, 1, 0));
    assert_eq!(queue.settle(&new, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
}

/// A claim takes back all leases that have expired, and no others.
pub async fn a_claim_takes_back_expired_leases_only(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=4).await;
    // All are claimed before any may end: a claim would take an ended one back.
    let mut leases = Vec::new();
    for _ in 1..=3 {
        leases.push(claim(&*queue, "w", LONG).await.lease);
    }
    let kept = claim(&*queue, "w", LONG).await.lease;
    queue.renew(&leases, SHORT).await.unwrap();
    harness.let_pass(SHORT).await;
    let mut taken = vec![claim(&*queue, "v", LONG).await.lease.task_id];
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(2, 0, 2, 0));
    for _ in 2..=3 {
        taken.push(claim(&*queue, "v", LONG).await.lease.task_id);
    }
    taken.sort();
    assert_eq!(taken, [task(1), task(2), task(3)]);
    super::assert_nothing_to_claim(&*queue).await;
    assert_eq!(queue.settle(&kept, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
}

/// An operator sees who holds what, the lease that ends first first.
pub async fn leases_are_listed(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=3).await;
    let first = claim(&*queue, "a", LONG * 2).await.lease;
    let second = claim(&*queue, "b", LONG).await.lease;
    let listed = queue.leases(&pool()).await.unwrap();
    assert_eq!(listed.iter().map(|info| &info.lease).collect::<Vec<_>>(), [&second, &first]);
    assert!(listed[0].expires_at < listed[1].expires_at);
    assert_eq!(listed[0].deliveries, 1);
}

/// A lease that is listed can be ended by whoever reads it: its holder has lost it, and the task can be enqueued again.
pub async fn a_listed_lease_can_be_ended(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let held = claim(&*queue, "w", LONG).await.lease;
    let listed = queue.leases(&pool()).await.unwrap();
    assert_eq!(queue.settle(&listed[0].lease, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
    enqueue(&*queue, [1]).await;
    let dead = Settlement::DeadLetter(crate::queue::DeadReason::new("no", "bad", 1));
    assert_eq!(queue.settle(&held, dead).await.unwrap(), SettleOutcome::LeaseLost);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(1, 0, 0, 0));
}

/// After an acknowledge the queue knows nothing of the task; repeating it says so.
pub async fn an_acknowledged_task_is_gone(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let lease = claim(&*queue, "w", LONG).await.lease;
    assert_eq!(queue.settle(&lease, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
    assert_eq!(queue.settle(&lease, Settlement::Ack).await.unwrap(), SettleOutcome::LeaseLost);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::default());
    assert_eq!(queue.state_of(&pool(), &task(1)).await.unwrap(), None);
    // The count of deliveries went with it.
    enqueue(&*queue, [1]).await;
    assert_eq!(claim(&*queue, "w", LONG).await.deliveries, 1);
}

/// A retry is not ready before its time, then stands at the end, with the deliveries counted on.
pub async fn a_nack_waits_and_is_counted(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let lease = claim(&*queue, "w", LONG).await.lease;
    assert_eq!(
        queue.settle(&lease, Settlement::Nack { delay: LONG, started: false }).await.unwrap(),
        SettleOutcome::Settled
    );
    assert_eq!(queue.state_of(&pool(), &task(1)).await.unwrap(), Some(EntryState::Delayed));
    assert_nothing_to_claim(&*queue).await;

    enqueue(&*queue, 2..=3).await;
    let lease = claim(&*queue, "w", LONG).await.lease;
    queue.settle(&lease, Settlement::Nack { delay: SHORT, started: false }).await.unwrap();
    harness.let_pass(SHORT).await;
    assert_eq!(claim(&*queue, "w", LONG).await.body, body(3));
    let again = claim(&*queue, "w", LONG).await;
    assert_eq!((again.body, again.deliveries), (body(2), 2));
    assert!(again.lease.fence > lease.fence);
    assert_nothing_to_claim(&*queue).await;
}

/// A lease handed back leaves no trace: the task is next, and the delivery is not counted.
pub async fn a_release_goes_to_the_front_uncounted(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=3).await;
    let first = claim(&*queue, "w", LONG).await.lease;
    let second = claim(&*queue, "w", LONG).await.lease;
    for lease in [&second, &first] {
        assert_eq!(
            queue.settle(lease, Settlement::Release { delay: Duration::ZERO, started: false }).await.unwrap(),
            SettleOutcome::Settled
        );
    }
    for number in 1..=3 {
        let claimed = claim(&*queue, "w", LONG).await;
        assert_eq!((claimed.body, claimed.deliveries), (body(number), 1));
    }
}

/// A lease handed back for a while is next as soon as it is due.
pub async fn a_delayed_release_goes_to_the_front(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=3).await;
    let first = claim(&*queue, "w", LONG).await.lease;
    queue.settle(&first, Settlement::Release { delay: LONG, started: false }).await.unwrap();
    let second = claim(&*queue, "w", LONG).await;
    assert_eq!(second.body, body(2));
    queue.settle(&second.lease, Settlement::Release { delay: SHORT, started: false }).await.unwrap();
    harness.let_pass(SHORT).await;
    let again = claim(&*queue, "w", LONG).await;
    assert_eq!((again.body, again.deliveries), (body(2), 1));
    assert_eq!(claim(&*queue, "w", LONG).await.body, body(3));
    assert_nothing_to_claim(&*queue).await;
}
