use super::*;
use crate::{
    circuit_breaker::{CallOutcome, CircuitCommand},
    queue::sqlite::SqliteQueue,
    time::{ManualClock, Timestamp},
};

const SECOND: Duration = Duration::from_secs(1);

/// A queue, and the processes that share it.
struct Site {
    _directory: tempfile::TempDir,
    clock: ManualClock,
    queue: SqliteQueue,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_000));
        let path = directory.path().join("queue.db");
        let queue = SqliteQueue::open_with_clock(&path, Arc::new(clock.clone())).unwrap();
        Self { _directory: directory, clock, queue }
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::advance(time).await;
    }

    async fn exchange(&self, circuits: &[&Circuits]) {
        for circuits in circuits {
            circuits.exchange(&self.queue, &pool(), &[scanner()]).await.unwrap();
        }
    }

    async fn notice(&self) -> Option<CircuitNotice> {
        let posted = self.queue.circuit_notices(&pool(), &[scanner()]).await.unwrap().pop().unwrap();
        posted.map(|posted| posted.notice)
    }

    async fn command(&self, command: CircuitCommand) {
        let notice = CircuitNotice::command(command, "maintenance", "operator");
        self.queue.post_circuit_notice(&pool(), &scanner(), &notice).await.unwrap();
    }
}

fn pool() -> PoolName {
    PoolName::new("nessus").unwrap()
}

fn scanner() -> InstanceId {
    InstanceId::new("a").unwrap()
}

fn process() -> Circuits {
    Circuits::new(CircuitSettings::default().with_failures(2).with_open_time(20 * SECOND, 20 * SECOND)).unwrap()
}

fn end(circuits: &Circuits, outcome: CallOutcome) {
    circuits.breaker(&pool(), &scanner()).try_acquire().unwrap().report(outcome);
}

fn fail(circuits: &Circuits) {
    for _ in 0..2 {
        end(circuits, CallOutcome::failure("no answer"));
    }
}

fn refuse(circuits: &Circuits) {
    end(circuits, CallOutcome::LoginRefused { reason: "the scanner refused the login".to_owned() });
}

#[track_caller]
fn is(circuits: &Circuits, state: CircuitState) {
    assert_eq!(circuits.breaker(&pool(), &scanner()).view().state, state);
}

#[tokio::test(start_paused = true)]
async fn each_process_opens_tries_and_closes_its_own_circuit() {
    let (site, a, b) = (Site::new(), process(), process());
    site.exchange(&[&a, &b]).await;
    fail(&a);
    site.exchange(&[&a, &b]).await;
    is(&a, CircuitState::Open);
    is(&b, CircuitState::Closed);
    assert_eq!(site.notice().await, None, "nobody else is to act on it");
    fail(&b);
    site.pass(20 * SECOND).await;
    for circuits in [&a, &b] {
        end(circuits, CallOutcome::Success);
        end(circuits, CallOutcome::Success);
        is(circuits, CircuitState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operators_commands_reach_all_and_are_not_undone() {
    let (site, a, b) = (Site::new(), process(), process());
    fail(&a);
    site.command(CircuitCommand::Isolate).await;
    site.exchange(&[&a, &b]).await;
    is(&a, CircuitState::Isolated);
    is(&b, CircuitState::Isolated);
    a.breaker(&pool(), &scanner()).reconfigured();
    site.pass(100_000 * SECOND).await;
    let later = process();
    site.exchange(&[&a, &b, &later]).await;
    for circuits in [&a, &b, &later] {
        is(circuits, CircuitState::Isolated);
    }
    site.command(CircuitCommand::Close).await;
    site.exchange(&[&a, &b, &later]).await;
    for circuits in [&a, &b, &later] {
        is(circuits, CircuitState::Closed);
    }
    fail(&a);
    site.exchange(&[&a]).await;
    is(&a, CircuitState::Open);
    site.command(CircuitCommand::Reset).await;
    site.exchange(&[&a, &b]).await;
    is(&a, CircuitState::Closed);
    fail(&a);
    site.exchange(&[&a, &b]).await;
    is(&a, CircuitState::Open);
}

/// What a queue has lost, in a failover to an older copy or altogether, ends no isolation; a later command does.
#[tokio::test(start_paused = true)]
async fn an_isolation_outlives_a_loss_of_the_queue() {
    let (site, copy, emptied, a) = (Site::new(), Site::new(), Site::new(), process());
    copy.command(CircuitCommand::Reset).await;
    site.pass(SECOND).await;
    site.command(CircuitCommand::Isolate).await;
    site.exchange(&[&a]).await;
    copy.exchange(&[&a]).await;
    is(&a, CircuitState::Isolated);
    emptied.exchange(&[&a]).await;
    is(&a, CircuitState::Isolated);
    copy.clock.advance(2 * SECOND);
    copy.command(CircuitCommand::Close).await;
    copy.exchange(&[&a]).await;
    is(&a, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_believed_by_those_that_were_never_let_in() {
    let (site, a, b, let_in) = (Site::new(), process(), process(), process());
    site.exchange(&[&a, &b, &let_in]).await;
    end(&let_in, CallOutcome::Success);
    refuse(&a);
    site.exchange(&[&a, &b, &let_in]).await;
    is(&b, CircuitState::Unusable);
    is(&let_in, CircuitState::Closed);
    let refusal = site.notice().await.unwrap();
    assert_eq!((refusal.kind, &*refusal.by), (CircuitNoticeKind::LoginRefused, &*a.inner.name));
    site.exchange(&[&b, &a, &b]).await;
    assert_eq!(site.notice().await, Some(refusal), "those that believe it do not tell it on");

    let later = process();
    site.exchange(&[&later]).await;
    is(&later, CircuitState::Closed);
    refuse(&later);
    site.exchange(&[&later]).await;
    assert_eq!(site.notice().await.unwrap().by, later.inner.name, "it may try once");

    site.command(CircuitCommand::Reset).await;
    site.exchange(&[&a, &b, &later]).await;
    for circuits in [&a, &b, &later] {
        is(circuits, CircuitState::Closed);
    }
    refuse(&b);
    site.exchange(&[&b, &a, &later]).await;
    is(&a, CircuitState::Unusable);
    is(&later, CircuitState::Unusable);
    // Its password was changed.
    a.breaker(&pool(), &scanner()).reconfigured();
    site.exchange(&[&a]).await;
    is(&a, CircuitState::Closed);
}

/// The end of an isolation is not missed where a refused login follows it at once.
#[tokio::test(start_paused = true)]
async fn a_refused_login_after_an_isolation_says_that_it_has_ended() {
    let (site, never, let_in, refused) = (Site::new(), process(), process(), process());
    end(&let_in, CallOutcome::Success);
    site.command(CircuitCommand::Isolate).await;
    site.exchange(&[&never, &let_in, &refused]).await;
    is(&let_in, CircuitState::Isolated);
    site.command(CircuitCommand::Close).await;
    site.exchange(&[&refused]).await;
    refuse(&refused);
    site.exchange(&[&refused, &never, &let_in]).await;
    is(&never, CircuitState::Unusable);
    is(&let_in, CircuitState::Closed);
}

#[cfg(feature = "testing")]
#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_leaves_each_process_to_itself() {
    let mut down = crate::queue::MockQueue::new();
    down.expect_circuit_notices().returning(|_, _| {
        let (location, problem) = ("redis://db".to_owned(), "the connection is refused".to_owned());
        Err(QueueError::Unavailable { location, problem, source: None })
    });
    let (site, a, b) = (Site::new(), process(), process());
    site.exchange(&[&a, &b]).await;
    refuse(&a);
    assert!(a.exchange(&down, &pool(), &[scanner()]).await.is_err());
    is(&a, CircuitState::Unusable);
    assert!(tokio::time::timeout(60 * SECOND, a.follow(&down)).await.is_err(), "it goes on");
    site.exchange(&[&a, &b]).await;
    is(&b, CircuitState::Unusable);
}

/// A change is told at once; commands and refusals are looked for every second; states are shown by process.
#[tokio::test]
async fn followers_act_on_notices_and_publish_their_states() {
    let directory = tempfile::tempdir().unwrap();
    let queue = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
    let (a, b) = (process(), process());
    is(&a, CircuitState::Closed);
    is(&b, CircuitState::Closed);
    let shown = async |circuits: &Circuits, state| {
        loop {
            let shown = queue.circuit_states().await.unwrap();
            let own = shown.iter().find(|process| process.process == circuits.inner.name);
            if own.is_some_and(|own| own.circuits.iter().any(|report| report.state == state)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let happens = async {
        shown(&a, CircuitState::Closed).await;
        shown(&b, CircuitState::Closed).await;
        fail(&a);
        shown(&a, CircuitState::Open).await;
        is(&b, CircuitState::Closed);
        refuse(&b);
        shown(&b, CircuitState::Unusable).await;
        shown(&a, CircuitState::Unusable).await;
        let isolate = CircuitNotice::command(CircuitCommand::Isolate, "maintenance", "operator");
        queue.post_circuit_notice(&pool(), &scanner(), &isolate).await.unwrap();
        shown(&a, CircuitState::Isolated).await;
        shown(&b, CircuitState::Isolated).await;
        a.withdraw(&queue).await;
    };
    let done = async {
        tokio::select! {
            () = a.follow(&queue) => false,
            () = b.follow(&queue) => false,
            () = happens => true,
        }
    };
    assert!(tokio::time::timeout(60 * SECOND, done).await.unwrap());
    let shown = queue.circuit_states().await.unwrap();
    assert!(shown.iter().all(|process| process.process == b.inner.name), "{shown:?}");
}
