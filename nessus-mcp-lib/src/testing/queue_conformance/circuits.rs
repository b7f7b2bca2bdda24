//! What processes share about circuits: notices, which all act on, and states, which are shown.

use super::{LONG, QueueHarness, SHORT, pool};
use crate::{
    circuit_breaker::{CircuitCommand, CircuitState},
    ids::{InstanceId, PoolName},
    queue::{CircuitNotice, CircuitReport, PostedNotice, Queue},
};

fn scanner(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

fn command(command: CircuitCommand) -> CircuitNotice {
    CircuitNotice::command(command, "maintenance: \"☃\"", "operator")
}

fn refusal() -> CircuitNotice {
    CircuitNotice::login_refused("invalid credentials", "w1")
}

async fn post(queue: &dyn Queue, notice: &CircuitNotice) -> PostedNotice {
    queue.post_circuit_notice(&pool(), &scanner("a"), notice).await.unwrap()
}

/// The last notice is read by all, by scanner and pool; there is none about the others.
pub async fn a_circuit_notice_reaches_all(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    assert_eq!(queue.circuit_notices(&pool(), &[scanner("a"), scanner("b")]).await.unwrap(), [None, None]);
    assert_eq!(queue.circuit_notices(&pool(), &[]).await.unwrap(), []);
    let mut before = 0;
    for notice in [
        refusal(),
        command(CircuitCommand::Reset),
        refusal(),
        command(CircuitCommand::Close),
        command(CircuitCommand::Isolate),
        command(CircuitCommand::Isolate),
    ] {
        let posted = post(&*queue, &notice).await;
        assert_eq!(posted.notice, notice);
        assert!(posted.version > before, "{posted:?} follows {before}");
        before = posted.version;
        let read = harness.queue().circuit_notices(&pool(), &[scanner("b"), scanner("a")]).await.unwrap();
        assert_eq!(read, [None, Some(posted)]);
    }
    let other = PoolName::new("other").unwrap();
    assert_eq!(queue.circuit_notices(&other, &[scanner("a")]).await.unwrap(), [None]);
}

/// An isolation stands against logins that are refused, also when all come at once.
pub async fn an_isolation_is_ended_by_a_command_only(harness: &dyn QueueHarness) {
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let queue = harness.queue();
            let notice = if number == 6 { command(CircuitCommand::Isolate) } else { refusal() };
            tokio::spawn(async move { post(&*queue, &notice).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let queue = harness.queue();
    let isolated = queue.circuit_notices(&pool(), &[scanner("a")]).await.unwrap().remove(0).unwrap();
    assert_eq!(isolated.notice, command(CircuitCommand::Isolate));
    assert_eq!(post(&*queue, &refusal()).await, isolated);
    let closed = post(&*queue, &command(CircuitCommand::Close)).await;
    assert_eq!(closed.notice, command(CircuitCommand::Close));
    assert_eq!(post(&*queue, &refusal()).await.notice, refusal());
}

/// When the backend has lost everything, versions go on growing.
pub async fn circuit_notices_go_on_after_a_loss_of_data(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let before = post(&*queue, &command(CircuitCommand::Isolate)).await;
    harness.wipe().await;
    assert_eq!(queue.circuit_notices(&pool(), &[scanner("a")]).await.unwrap(), [None]);
    harness.let_pass(SHORT).await;
    let after = post(&*queue, &command(CircuitCommand::Isolate)).await;
    assert!(after.version > before.version, "{before:?}, {after:?}");
}

/// What each process shows of its circuits is read by all, and replaced or taken back by the process itself.
pub async fn circuits_are_shown_by_process(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    assert_eq!(queue.circuit_states().await.unwrap(), []);
    let open = CircuitReport::new(pool(), scanner("a"), CircuitState::Open, "no answer: \"☃\"");
    let open = open.with_times(SHORT, LONG).with_counts(3, 17);
    let other = PoolName::new("other").unwrap();
    let closed = CircuitReport::new(other, scanner("b"), CircuitState::Closed, "");
    let (both, one) = ([open.clone(), closed.clone()], [closed]);
    queue.publish_circuit_states("process:two", &one, LONG).await.unwrap();
    queue.publish_circuit_states("process:one", &both, LONG).await.unwrap();
    let read = async || {
        let shown = harness.queue().circuit_states().await.unwrap();
        assert!(shown.iter().all(|process| process.age < LONG), "{shown:?}");
        shown.into_iter().map(|process| (process.process, process.circuits)).collect::<Vec<_>>()
    };
    assert_eq!(read().await, [("process:one".to_owned(), both.to_vec()), ("process:two".to_owned(), one.to_vec())]);
    queue.publish_circuit_states("process:one", &[], LONG).await.unwrap();
    queue.publish_circuit_states("process:two", &both, LONG).await.unwrap();
    assert_eq!(read().await, [("process:one".to_owned(), vec![]), ("process:two".to_owned(), both.to_vec())]);
    queue.publish_circuit_states("process:one", &[], std::time::Duration::ZERO).await.unwrap();
    assert_eq!(read().await, [("process:two".to_owned(), both.to_vec())]);
}

/// What a process that is gone has shown vanishes when its time is over; the others stay.
pub async fn circuits_of_a_process_that_is_gone_vanish(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let report = [CircuitReport::new(pool(), scanner("a"), CircuitState::Unusable, "refused")];
    queue.publish_circuit_states("alive", &report, LONG).await.unwrap();
    queue.publish_circuit_states("gone", &report, SHORT).await.unwrap();
    harness.let_pass(SHORT).await;
    let shown = queue.circuit_states().await.unwrap();
    let [alive] = &shown[..] else { panic!("{shown:?}") };
    assert!(alive.process == "alive" && alive.age >= SHORT && alive.circuits == report, "{alive:?}");
}
