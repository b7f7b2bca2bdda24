//! Dead letters: what failed for good, and the way back.

use serde_json::Value;

use super::{LONG, QueueHarness, SHORT, assert_nothing_to_claim, body, claim, enqueue, pool, task};
use crate::ids::PoolName;
use crate::queue::{
    DeadLetter, DeadReason, EnqueueOutcome, EntryState, Queue, QueueStats, RetryDeadOutcome, SettleOutcome, Settlement,
    TaskBody,
};

async fn fail(queue: &dyn Queue, reason: DeadReason) {
    let lease = claim(queue, "w", LONG).await.lease;
    assert_eq!(queue.settle(&lease, Settlement::DeadLetter(reason)).await.unwrap(), SettleOutcome::Settled);
}

async fn only_letter(queue: &dyn Queue) -> DeadLetter {
    let mut letters = queue.dead_letters(&pool(), 0, 10).await.unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    letters.remove(0)
}

/// A dead letter holds the body and the reason; finishing twice makes one of them.
pub async fn dead_letters_say_why(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let reason = DeadReason::new("the login was \"refused\"\n", "scanner_login_refused", 3)
        .with_scanner(Some("lab:one".to_owned()))
        .with_hint(Some("check \"user\"\n".to_owned()));
    let lease = claim(&*queue, "w", LONG).await.lease;
    assert_eq!(queue.settle(&lease, Settlement::DeadLetter(reason.clone())).await.unwrap(), SettleOutcome::Settled);
    assert_eq!(queue.settle(&lease, Settlement::DeadLetter(reason.clone())).await.unwrap(), SettleOutcome::LeaseLost);

    let letter = only_letter(&*queue).await;
    assert_eq!((letter.task_id.as_ref(), &letter.reason), (Some(&task(1)), &reason));
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(json(&letter.body), json(body(1).as_str()));
    assert!(letter.failed_at.as_millis() > 0);
    assert_nothing_to_claim(&*queue).await;
}

/// The newest stands first, and a part is what its offset and limit say.
pub async fn dead_letters_come_newest_first_in_parts(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    for number in 1..=4 {
        enqueue(&*queue, [number]).await;
        fail(&*queue, DeadReason::new("no", "bad", 1)).await;
        harness.let_pass(SHORT).await;
    }
    for (offset, limit, expected) in [
        (0, 10, &[4, 3, 2, 1][..]),
        (0, 2, &[4, 3]),
        (1, 2, &[3, 2]),
        (3, 5, &[1]),
        (4, 5, &[]),
        (u64::MAX, u32::MAX, &[]),
        (0, 0, &[]),
    ] {
        let letters = queue.dead_letters(&pool(), offset, limit).await.unwrap();
        let tasks: Vec<_> = letters.into_iter().filter_map(|letter| letter.task_id).collect();
        assert_eq!(tasks, expected.iter().map(|number| task(*number)).collect::<Vec<_>>(), "{offset} {limit}");
    }
}

/// A retry moves the letter into the queue with the new body; of many at once one does.
pub async fn a_dead_letter_is_retried_once(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, 1..=2).await;
    fail(&*queue, DeadReason::new("no", "bad", 1)).await;
    let second = TaskBody::parse(format!(r#"{{"task_id":"{}","attempt":2}}"#, task(1))).unwrap();

    let calls: Vec<_> = (0..6)
        .map(|_| {
            let (queue, second) = (harness.queue(), second.clone());
            tokio::spawn(async move { queue.retry_dead(&pool(), &second).await.unwrap() })
        })
        .collect();
    let mut requeued = 0;
    for call in calls {
        match call.await.unwrap() {
            RetryDeadOutcome::Requeued => requeued += 1,
            outcome => assert_eq!(outcome, RetryDeadOutcome::AlreadyQueued),
        }
    }
    assert_eq!(requeued, 1);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(2, 0, 0, 0));
    assert_eq!(claim(&*queue, "w", LONG).await.body, body(2));
    let again = claim(&*queue, "w", LONG).await;
    assert_eq!((&again.body, again.deliveries), (&second, 1));
    queue.settle(&again.lease, Settlement::Ack).await.unwrap();
    assert_eq!(queue.retry_dead(&pool(), &second).await.unwrap(), RetryDeadOutcome::NotFound);
}

/// A dead letter does not keep its task out of the queue, and a retry then only clears the letter away.
pub async fn a_dead_letter_of_a_queued_task_is_dropped_by_a_retry(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    fail(&*queue, DeadReason::new("no", "bad", 1)).await;
    assert_eq!(queue.state_of(&pool(), &task(1)).await.unwrap(), Some(EntryState::Dead));
    assert_eq!(queue.enqueue(&pool(), &body(1)).await.unwrap(), EnqueueOutcome::Added);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(1, 0, 0, 1));
    assert_eq!(queue.state_of(&pool(), &task(1)).await.unwrap(), Some(EntryState::Ready));
    assert_eq!(queue.retry_dead(&pool(), &body(1)).await.unwrap(), RetryDeadOutcome::AlreadyQueued);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(1, 0, 0, 0));
}

/// What cannot be read is not dropped in silence, and does not stop what stands behind it.
pub async fn an_unreadable_body_becomes_a_dead_letter(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    harness.push_raw(&pool(), "{broken").await;
    assert_eq!(queue.peek(&pool(), 1).await.unwrap(), ["{broken"]);
    harness.let_pass(SHORT).await;
    enqueue(&*queue, [1]).await;
    assert_eq!(claim(&*queue, "w", LONG).await.body, body(1));
    let letter = only_letter(&*queue).await;
    assert_eq!((letter.task_id, letter.body.as_str()), (None, "{broken"));
    assert_eq!(letter.reason.error_code, DeadReason::CORRUPTED_JSON);

    // Also when nothing stands behind it.
    harness.push_raw(&pool(), r#"{"task_id":"../../etc/passwd"}"#).await;
    assert_nothing_to_claim(&*queue).await;
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(0, 0, 1, 2));
}

/// A body that was pushed past the queue is run as it is.
pub async fn a_body_of_an_older_producer_is_claimed(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    harness.push_raw(&pool(), body(1).as_str()).await;
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 1);
    let claimed = claim(&*queue, "w", LONG).await;
    assert_eq!((&claimed.body, claimed.deliveries), (&body(1), 1));
    assert_eq!(queue.enqueue(&pool(), &body(1)).await.unwrap(), EnqueueOutcome::AlreadyKnown);
    assert_eq!(queue.settle(&claimed.lease, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
}

/// A second body of a task that a worker holds is not run beside it.
pub async fn a_copy_of_a_leased_task_is_dropped(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    let held = claim(&*queue, "w", LONG).await.lease;
    harness.push_raw(&pool(), body(1).as_str()).await;
    assert_nothing_to_claim(&*queue).await;
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(0, 0, 1, 0));
    assert_eq!(queue.settle(&held, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
}

/// A purge removes what failed before its moment, unreadable bodies too, and nothing of another pool or later.
pub async fn a_purge_removes_what_is_old(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    harness.push_raw(&pool(), "{broken").await;
    assert_nothing_to_claim(&*queue).await;
    enqueue(&*queue, [1]).await;
    fail(&*queue, DeadReason::new("no", "bad", 1)).await;
    harness.let_pass(SHORT).await;
    enqueue(&*queue, [2]).await;
    fail(&*queue, DeadReason::new("no", "bad", 1)).await;
    let newest = queue.dead_letters(&pool(), 0, 1).await.unwrap().remove(0).failed_at;

    let other = PoolName::new("other").unwrap();
    assert_eq!(queue.purge_dead(&other, newest.plus(LONG)).await.unwrap(), 0);
    assert_eq!(queue.purge_dead(&pool(), newest).await.unwrap(), 2);
    assert_eq!(queue.purge_dead(&pool(), newest).await.unwrap(), 0);
    assert_eq!(only_letter(&*queue).await.task_id, Some(task(2)));
    assert_eq!(queue.purge_dead(&pool(), newest.plus(LONG)).await.unwrap(), 1);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(0, 0, 0, 0));
}

/// A letter that comes back is as it was, with its time, and once; a task that waits or runs has none.
pub async fn a_dead_letter_is_restored_as_it_was(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, [1]).await;
    fail(&*queue, DeadReason::new("the \"login\" was refused\n", "refused", 3)).await;
    let letter = only_letter(&*queue).await;
    harness.wipe().await;
    for _ in 0..2 {
        queue.restore_dead_letter(&pool(), &letter).await.unwrap();
        assert_eq!(only_letter(&*queue).await, letter);
    }
    enqueue(&*queue, [2]).await;
    let queued = DeadLetter::new(Some(task(2)), body(2).into_string(), letter.reason.clone(), letter.failed_at);
    queue.restore_dead_letter(&pool(), &queued).await.unwrap();
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(1, 0, 0, 1));
    let again = TaskBody::parse(format!(r#"{{"task_id":"{}","attempt":4}}"#, task(1))).unwrap();
    assert_eq!(queue.retry_dead(&pool(), &again).await.unwrap(), RetryDeadOutcome::Requeued);
    assert_eq!(queue.purge_dead(&pool(), letter.failed_at.plus(LONG)).await.unwrap(), 0);
}
