//! What processes tell each other about circuits.

use super::{LONG, QueueHarness, SHORT, pool};
use crate::{
    circuit_breaker::{CircuitOrder, CircuitState},
    ids::{InstanceId, PoolName},
    queue::{CircuitChange, CircuitRecord, PublishOutcome, Queue},
};

fn scanner(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

fn found(after: u64, state: CircuitState, by: &str) -> CircuitChange {
    CircuitChange::found(after, state, "no answer: \"☃\"", by)
}

async fn publish(queue: &dyn Queue, change: &CircuitChange) -> PublishOutcome {
    queue.publish_circuit(&pool(), &scanner("a"), change).await.unwrap()
}

/// Publishes a change that must stand.
async fn stands(queue: &dyn Queue, change: &CircuitChange) -> CircuitRecord {
    match publish(queue, change).await {
        PublishOutcome::Published(record) => record,
        PublishOutcome::Superseded(record) => panic!("{change:?} was superseded by {record:?}"),
    }
}

async fn circuit(queue: &dyn Queue) -> CircuitRecord {
    queue.circuits(&pool(), &[scanner("a")]).await.unwrap().pop().unwrap().expect("a circuit")
}

/// What one process tells, all others read, by scanner and pool; nothing is known of the others.
pub async fn a_circuit_is_told_to_all(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    assert_eq!(queue.circuits(&pool(), &[scanner("a"), scanner("b")]).await.unwrap(), [None, None]);
    assert_eq!(queue.circuits(&pool(), &[]).await.unwrap(), []);
    let opened = stands(&*queue, &found(0, CircuitState::Open, "w1").lasting(LONG).with_counts(1, 5)).await;
    assert_eq!((opened.state, &*opened.by, &*opened.reason), (CircuitState::Open, "w1", "no answer: \"☃\""));
    assert_eq!((opened.opens, opened.failures, opened.order), (1, 5, None));
    let read = harness.queue().circuits(&pool(), &[scanner("b"), scanner("a")]).await.unwrap();
    let [None, Some(read)] = &read[..] else { panic!("{read:?}") };
    assert_eq!(CircuitRecord { left: opened.left, ..read.clone() }, opened);
    assert!(read.left <= LONG && read.left > LONG / 2, "{read:?}");
    let other = PoolName::new("other").unwrap();
    assert_eq!(queue.circuits(&other, &[scanner("a")]).await.unwrap(), [None]);

    let tried = stands(&*queue, &found(opened.generation, CircuitState::HalfOpen, "w1").lasting(LONG)).await;
    let again = found(tried.generation, CircuitState::Open, "w1").lasting(LONG).with_counts(1, 2);
    let again = stands(&*queue, &again).await;
    assert_eq!((again.opens, again.failures), (2, 7));
    assert!(opened.generation < tried.generation && tried.generation < again.generation);
    let closed = stands(&*queue, &found(again.generation, CircuitState::Closed, "w1")).await;
    assert_eq!((closed.left, closed.opens, closed.failures), (std::time::Duration::ZERO, 2, 7));
}

/// The time that is left goes by the backend's clock, and ends at nothing.
pub async fn a_circuits_time_goes_by_the_backends_clock(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let record = stands(&*queue, &found(0, CircuitState::Open, "w").lasting(SHORT)).await;
    assert!(record.left <= SHORT);
    harness.let_pass(SHORT).await;
    let over = circuit(&*queue).await;
    assert_eq!((over.left, over.state), (std::time::Duration::ZERO, CircuitState::Open), "who tries says so");
}

/// Of many processes that change a circuit at once one is followed; the others hear of it.
pub async fn of_two_changes_of_a_circuit_one_stands(harness: &dyn QueueHarness) {
    let first = stands(&*harness.queue(), &found(0, CircuitState::Closed, "w")).await;
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let queue = harness.queue();
            let change =
                found(first.generation, CircuitState::Open, &format!("w{number}")).lasting(LONG).with_counts(1, 0);
            tokio::spawn(async move { publish(&*queue, &change).await })
        })
        .collect();
    let (mut published, mut heard) = (Vec::new(), Vec::new());
    for call in calls {
        match call.await.unwrap() {
            PublishOutcome::Published(record) => published.push(record),
            PublishOutcome::Superseded(record) => heard.push(record),
        }
    }
    assert_eq!((published.len(), heard.len()), (1, 11));
    assert!(heard.iter().all(|record| record.by == published[0].by && record.opens == 1), "{heard:?}");
}

/// An isolation stands against everything that processes find, also when both come at once.
pub async fn an_isolation_is_ended_by_an_order_only(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let first = stands(&*queue, &found(0, CircuitState::Open, "w").lasting(LONG)).await;
    let isolate = CircuitChange::ordered(CircuitOrder::Isolate, "maintenance", "operator");
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let (queue, isolate) = (harness.queue(), isolate.clone());
            let close = found(first.generation, CircuitState::Closed, "w");
            tokio::spawn(async move { publish(&*queue, if number == 6 { &isolate } else { &close }).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let isolated = circuit(&*queue).await;
    assert_eq!((isolated.state, isolated.order), (CircuitState::Isolated, Some(CircuitOrder::Isolate)));
    for after in [0, first.generation, isolated.generation] {
        let refused = publish(&*queue, &found(after, CircuitState::Open, "w").lasting(LONG)).await;
        assert_eq!(refused, PublishOutcome::Superseded(isolated.clone()));
    }
    let reset = stands(&*queue, &CircuitChange::ordered(CircuitOrder::Reset, "done", "operator")).await;
    assert_eq!((reset.state, reset.order), (CircuitState::Closed, Some(CircuitOrder::Reset)));
    assert!(reset.generation > isolated.generation);
}

/// When the backend has lost everything, whoever knows may tell again, and generations go on growing.
pub async fn circuits_go_on_after_a_loss_of_data(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let before = stands(&*queue, &found(0, CircuitState::Open, "w").lasting(LONG)).await;
    harness.wipe().await;
    assert_eq!(queue.circuits(&pool(), &[scanner("a")]).await.unwrap(), [None]);
    let after = stands(&*queue, &found(before.generation, CircuitState::Open, "w").lasting(LONG)).await;
    assert!(after.generation > before.generation);
}
