//! What tasks count against limits.

use super::{LONG, QueueHarness, assert_nothing_to_claim, body, claim, pool, task};
use crate::{
    queue::{Binding, Charge, ChargeOutcome, EnqueueOutcome, EntryState, IdempotencyEntry, Queue, Settlement},
    time::Timestamp,
};

const DAY: &str = "2026-11-20";

/// The hosts of a task, on a day that may have 100.
fn charge(number: u32, hosts: u64) -> Charge {
    Charge::new(Charge::ALL, task(number).as_str(), hosts).on(DAY).of_at_most(Some(100))
}

async fn enqueue(queue: &dyn Queue, number: u32, hosts: u64) -> ChargeOutcome {
    queue.enqueue_charged(&pool(), &body(number), &[charge(number, hosts)], false).await.unwrap()
}

async fn used(queue: &dyn Queue) -> u64 {
    queue.charged(Charge::ALL, Some(DAY)).await.unwrap()
}

const ADDED: ChargeOutcome = ChargeOutcome::Enqueued(EnqueueOutcome::Added);
const KNOWN: ChargeOutcome = ChargeOutcome::Enqueued(EnqueueOutcome::AlreadyKnown);

async fn bind(queue: &dyn Queue) {
    queue.bind(None, &Binding::new("directory")).await.unwrap();
}

/// What is charged already needs no room, and what has no room is neither charged nor enqueued.
pub async fn a_task_is_charged_once_and_a_full_day_refuses(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    bind(&*queue).await;
    assert_eq!(used(&*queue).await, 0);
    assert_eq!(enqueue(&*queue, 1, 60).await, ADDED);
    assert_eq!(enqueue(&*queue, 2, 41).await, ChargeOutcome::Full { at: 0, used: 60 });
    assert_eq!(queue.state_of(&pool(), &task(2)).await.unwrap(), None);
    assert_eq!(enqueue(&*queue, 2, 40).await, ADDED);
    assert_eq!(enqueue(&*queue, 1, 60).await, KNOWN, "the day is full, and the task is in it");
    assert_eq!(used(&*queue).await, 100);

    // A task that has left the queue comes back without being charged again.
    let held = claim(&*queue, "w", LONG).await.lease;
    queue.settle(&held, Settlement::Ack).await.unwrap();
    assert_eq!(enqueue(&*queue, 1, 60).await, ADDED);
    assert_eq!(used(&*queue).await, 100);
}

/// Days, scopes and attempts are charged apart.
pub async fn days_and_scopes_are_separate(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    bind(&*queue).await;
    assert_eq!(enqueue(&*queue, 1, 100).await, ADDED);
    let mut others = vec![charge(1, 100).on("2026-11-21")];
    others.push(Charge { scope: "another: \"☃\"".to_owned(), ..charge(1, 100) });
    for other in &others {
        assert_eq!(queue.enqueue_charged(&pool(), &body(1), std::slice::from_ref(other), false).await.unwrap(), KNOWN);
        assert_eq!(queue.charged(&other.scope, other.day.as_deref()).await.unwrap(), 100);
    }
    let attempt = Charge { id: format!("{}.2", task(1)), ..charge(1, 100) };
    let refused = queue.enqueue_charged(&pool(), &body(1), &[attempt], false).await.unwrap();
    assert_eq!(refused, ChargeOutcome::Full { at: 0, used: 100 });
    queue.give_back(&others[0]).await.unwrap();
    assert_eq!((queue.charged(Charge::ALL, Some("2026-11-21")).await.unwrap(), used(&*queue).await), (0, 100));
}

/// However many ask at once, no more are charged than the day has room for, and each task once.
pub async fn concurrent_charges_never_pass_the_limit(harness: &dyn QueueHarness) {
    bind(&*harness.queue()).await;
    let calls: Vec<_> = (0..24)
        .map(|call| {
            let queue = harness.queue();
            // Each task is brought twice.
            tokio::spawn(async move { (call / 2, enqueue(&*queue, call / 2, 15).await) })
        })
        .collect();
    let (mut added, mut refused) = (Vec::new(), Vec::new());
    for call in calls {
        match call.await.unwrap() {
            (number, ADDED) => added.push(number),
            (number, ChargeOutcome::Full { .. }) => refused.push(number),
            _ => {}
        }
    }
    let queue = harness.queue();
    assert_eq!((added.len(), used(&*queue).await), (6, 90), "{added:?}");
    assert!(refused.iter().all(|number| !added.contains(number)), "{added:?} {refused:?}");
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 6);
}

/// Given back once, and only what is charged.
pub async fn hosts_are_given_back_once(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    bind(&*queue).await;
    queue.give_back(&charge(1, 60)).await.unwrap();
    assert_eq!(enqueue(&*queue, 1, 60).await, ADDED);
    assert_eq!(enqueue(&*queue, 2, 30).await, ADDED);
    for _ in 0..2 {
        queue.give_back(&charge(1, 60)).await.unwrap();
        assert_eq!(used(&*queue).await, 30);
    }
    assert_eq!(enqueue(&*queue, 3, 70).await, ADDED);
    // What was given back is charged again when the task comes again.
    assert_eq!(enqueue(&*queue, 1, 60).await, ChargeOutcome::Full { at: 0, used: 100 });
}

/// A number of hosts without a limit, which a dry run charges.
pub async fn without_a_limit_everything_is_charged(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    bind(&*queue).await;
    let unlimited = |number| charge(number, 5_000_000_000).of_at_most(None);
    for number in 1..=3 {
        let outcome = queue.enqueue_charged(&pool(), &body(number), &[unlimited(number)], false).await.unwrap();
        assert_eq!(outcome, ADDED);
    }
    assert_eq!(used(&*queue).await, 15_000_000_000);
    assert_eq!(enqueue(&*queue, 4, 1).await, ChargeOutcome::Full { at: 0, used: 15_000_000_000 });
}

/// A queue that has lost its data charges nothing until it is bound again, and gets back what files remember before that.
pub async fn a_queue_that_lost_its_data_charges_nothing(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    assert_eq!(enqueue(&*queue, 1, 60).await, ChargeOutcome::Unbound);
    bind(&*queue).await;
    assert_eq!(enqueue(&*queue, 1, 60).await, ADDED);
    harness.wipe().await;
    let queue = harness.queue();
    assert_eq!(enqueue(&*queue, 1, 60).await, ChargeOutcome::Unbound);
    assert_nothing_to_claim(&*queue).await;
    for hosts in [60, 60] {
        queue.restore_charge(&charge(1, hosts)).await.unwrap();
    }
    queue.restore_charge(&charge(2, 60)).await.unwrap();
    bind(&*queue).await;
    assert_eq!(used(&*queue).await, 120, "no room is asked for");
    assert_eq!(enqueue(&*queue, 1, 60).await, ADDED);
    assert_eq!(enqueue(&*queue, 3, 1).await, ChargeOutcome::Full { at: 0, used: 120 });
}

/// A task that has started is charged and enqueued as such.
pub async fn a_started_task_is_charged_too(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    bind(&*queue).await;
    assert_eq!(enqueue(&*queue, 1, 10).await, ADDED);
    assert_eq!(queue.enqueue_charged(&pool(), &body(2), &[charge(2, 10)], true).await.unwrap(), ADDED);
    assert_eq!(claim(&*queue, "w", LONG).await.lease.task_id, task(2));
    assert_eq!(queue.state_of(&pool(), &task(1)).await.unwrap(), Some(EntryState::Ready));
}

/// A task may count against several limits: all of them have room, or nothing is charged.
pub async fn several_charges_are_one(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    bind(&*queue).await;
    let charges = |number: u32, hosts: u64| {
        let id = task(number);
        [
            charge(number, hosts),
            Charge::new("scans:lab", id.as_str(), 1).on(DAY).of_at_most(Some(3)),
            Charge::new("at_once:lab", id.as_str(), 1).of_at_most(Some(2)),
        ]
    };
    let enqueue = async |number, hosts| {
        queue.enqueue_charged(&pool(), &body(number), &charges(number, hosts), false).await.unwrap()
    };
    let all = async || {
        let at_once = queue.charged("at_once:lab", None).await.unwrap();
        (used(&*queue).await, queue.charged("scans:lab", Some(DAY)).await.unwrap(), at_once)
    };
    assert_eq!(enqueue(1, 40).await, ADDED);
    assert_eq!(enqueue(2, 40).await, ADDED);
    assert_eq!(enqueue(3, 21).await, ChargeOutcome::Full { at: 0, used: 80 });
    assert_eq!(enqueue(3, 20).await, ChargeOutcome::Full { at: 2, used: 2 });
    assert_eq!((all().await, queue.state_of(&pool(), &task(3)).await.unwrap()), ((80, 2, 2), None));
    assert_eq!(enqueue(2, 40).await, KNOWN, "what is charged needs no room");
    assert_eq!(queue.charged_ids("at_once:lab", None).await.unwrap(), [task(1).to_string(), task(2).to_string()]);
    queue.give_back(&charges(1, 40)[2]).await.unwrap();
    assert_eq!(queue.charged_ids("at_once:lab", None).await.unwrap(), [task(2).to_string()]);
    assert_eq!(enqueue(3, 20).await, ADDED);
    queue.give_back(&charges(3, 20)[2]).await.unwrap();
    assert_eq!(enqueue(4, 0).await, ChargeOutcome::Full { at: 1, used: 3 });
    assert_eq!(all().await, (100, 3, 1));
    assert_eq!(queue.charged_ids("at_once:other", None).await.unwrap(), Vec::<String>::new());
}

/// However many ask at once, no limit is passed by any of them.
pub async fn concurrent_charges_pass_none_of_several_limits(harness: &dyn QueueHarness) {
    bind(&*harness.queue()).await;
    let calls: Vec<_> = (0..24)
        .map(|call| {
            let queue = harness.queue();
            tokio::spawn(async move {
                let of_call = |scope: &str, most| Charge::new(scope, task(call).as_str(), 1).of_at_most(Some(most));
                let charges = [of_call("at_once:lab", 7), of_call("scans:lab", 5).on(DAY)];
                queue.enqueue_charged(&pool(), &body(call), &charges, false).await.unwrap()
            })
        })
        .collect();
    let mut added = 0;
    for call in calls {
        added += u64::from(call.await.unwrap() == ADDED);
    }
    let queue = harness.queue();
    let counted = (queue.charged("at_once:lab", None).await, queue.charged("scans:lab", Some(DAY)).await);
    assert_eq!((added, counted.0.unwrap(), counted.1.unwrap()), (5, 5, 5));
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 5);
}

/// A key is freed by the task it stands for, and by no other.
pub async fn an_idempotency_key_is_forgotten(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let entry = IdempotencyEntry::new(task(1), "hash", Timestamp::from_millis(5));
    queue.claim_idempotency_key("k", &entry, LONG).await.unwrap();
    queue.forget_idempotency_key("k", &task(2)).await.unwrap();
    assert_eq!(queue.idempotency_entry("k").await.unwrap(), Some(entry));
    for _ in 0..2 {
        queue.forget_idempotency_key("k", &task(1)).await.unwrap();
        assert_eq!(queue.idempotency_entry("k").await.unwrap(), None);
    }
}
