use super::*;
use crate::{
    circuit_breaker::{CircuitOrder, Verdict},
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

    async fn record(&self) -> CircuitRecord {
        self.queue.circuits(&pool(), &[scanner()]).await.unwrap().pop().unwrap().unwrap()
    }

    async fn order(&self, order: CircuitOrder) {
        let order = CircuitChange::ordered(order, "maintenance", "operator");
        self.queue.publish_circuit(&pool(), &scanner(), &order).await.unwrap();
    }
}

fn pool() -> PoolName {
    PoolName::new("nessus").unwrap()
}

fn scanner() -> InstanceId {
    InstanceId::new("a").unwrap()
}

fn process() -> Circuits {
    Circuits::new(CircuitSettings::default().with_failures(2).with_open_time(20 * SECOND, 20 * SECOND))
}

fn end(circuits: &Circuits, verdict: Verdict) {
    circuits.breaker(&pool(), &scanner()).try_acquire().unwrap().report(verdict);
}

fn fail(circuits: &Circuits) {
    for _ in 0..2 {
        end(circuits, Verdict::failure("no answer"));
    }
}

#[track_caller]
fn is(circuits: &Circuits, state: CircuitState) {
    assert_eq!(circuits.breaker(&pool(), &scanner()).view().state, state);
}

#[tokio::test(start_paused = true)]
async fn what_one_process_finds_all_take_over_and_one_tries_for_all() {
    let (site, a, b) = (Site::new(), process(), process());
    site.exchange(&[&a, &b]).await;
    fail(&a);
    site.exchange(&[&a, &b]).await;
    is(&b, CircuitState::Open);
    let open = b.check(&pool(), &scanner()).unwrap_err();
    assert!(open.reason.contains("2 calls in a row failed") && open.retry_after.unwrap() <= 20 * SECOND, "{open}");
    assert_eq!((site.record().await.opens, site.record().await.failures), (1, 2));

    site.pass(20 * SECOND).await;
    site.exchange(&[&a, &b]).await;
    end(&a, Verdict::Success);
    site.exchange(&[&a, &b]).await;
    is(&a, CircuitState::HalfOpen);
    assert_eq!(b.check(&pool(), &scanner()).unwrap_err().state, CircuitState::HalfOpen, "`a` tries, `b` waits");
    end(&a, Verdict::Success);
    site.exchange(&[&a, &b]).await;
    is(&b, CircuitState::Closed);
    let generation = site.record().await.generation;
    site.exchange(&[&a, &b, &a, &b]).await;
    assert_eq!(site.record().await.generation, generation, "what is known is not told again");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_died_while_it_tried_is_replaced() {
    let (site, a, b) = (Site::new(), process(), process());
    fail(&a);
    site.exchange(&[&a, &b]).await;
    site.pass(20 * SECOND).await;
    end(&a, Verdict::Success);
    site.exchange(&[&a, &b]).await;
    drop(a);
    site.pass(120 * SECOND).await;
    end(&b, Verdict::Success);
    end(&b, Verdict::Success);
    site.exchange(&[&b]).await;
    assert_eq!(site.record().await.state, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_operators_orders_reach_all_and_are_not_undone() {
    let (site, a, b) = (Site::new(), process(), process());
    fail(&a);
    // The order comes while `a` has found something that nobody knows yet.
    site.order(CircuitOrder::Isolate).await;
    site.exchange(&[&a, &b]).await;
    is(&a, CircuitState::Isolated);
    is(&b, CircuitState::Isolated);
    a.breaker(&pool(), &scanner()).reconfigured();
    site.pass(100_000 * SECOND).await;
    site.exchange(&[&a, &b]).await;
    assert_eq!(site.record().await.state, CircuitState::Isolated);
    site.order(CircuitOrder::Close).await;
    site.exchange(&[&a, &b]).await;
    is(&a, CircuitState::Closed);
    is(&b, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_has_lost_is_told_again() {
    let (site, a) = (Site::new(), process());
    site.order(CircuitOrder::Isolate).await;
    site.exchange(&[&a]).await;
    let emptied = Site::new();
    let b = process();
    emptied.exchange(&[&a, &b]).await;
    is(&b, CircuitState::Isolated);
    assert_eq!(emptied.record().await.order, Some(CircuitOrder::Isolate), "and stays an order");
}

/// A failover to a copy of the queue that lacks the last changes.
#[tokio::test(start_paused = true)]
async fn what_a_copy_of_the_queue_lacks_is_told_again() {
    let (site, copy, a, b) = (Site::new(), Site::new(), process(), process());
    for site in [&site, &copy] {
        site.order(CircuitOrder::Reset).await;
    }
    site.exchange(&[&a, &b]).await;
    site.pass(SECOND).await;
    // Both know what the copy does not.
    fail(&a);
    site.exchange(&[&a, &b]).await;
    let lost = site.record().await;
    assert!(copy.record().await.generation < lost.generation);
    copy.exchange(&[&a, &b]).await;
    assert_eq!((copy.record().await.state, copy.record().await.reason), (CircuitState::Open, lost.reason));
    is(&b, CircuitState::Open);

    // And what is found from now on is told.
    for both in [&site, &copy] {
        both.clock.advance(20 * SECOND);
    }
    tokio::time::advance(20 * SECOND).await;
    end(&a, Verdict::Success);
    end(&a, Verdict::Success);
    copy.exchange(&[&a, &b]).await;
    assert_eq!(copy.record().await.state, CircuitState::Closed);
    is(&b, CircuitState::Closed);
    let generation = copy.record().await.generation;
    copy.exchange(&[&a, &b, &a]).await;
    assert_eq!(copy.record().await.generation, generation);
}

#[tokio::test(start_paused = true)]
async fn orders_are_told_again_and_an_isolation_that_is_left_stands() {
    for last in [CircuitOrder::Isolate, CircuitOrder::Close] {
        let (site, copy, a) = (Site::new(), Site::new(), process());
        copy.order(CircuitOrder::Reset).await;
        site.pass(SECOND).await;
        site.order(last).await;
        site.exchange(&[&a]).await;
        copy.exchange(&[&a]).await;
        assert_eq!(copy.record().await.order.map(CircuitOrder::state), Some(last.state()));
    }
    let (site, copy, a) = (Site::new(), Site::new(), process());
    copy.order(CircuitOrder::Isolate).await;
    site.pass(SECOND).await;
    site.order(CircuitOrder::Close).await;
    site.exchange(&[&a]).await;
    // What it has found since is no order.
    fail(&a);
    site.exchange(&[&a]).await;
    copy.exchange(&[&a]).await;
    is(&a, CircuitState::Isolated);
    assert_eq!(copy.record().await.state, CircuitState::Isolated);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_shown_to_all_and_believed_by_one() {
    let (site, a, b) = (Site::new(), process(), process());
    end(&a, Verdict::Fault { reason: "the scanner refused the login".to_owned() });
    site.exchange(&[&a, &b]).await;
    assert_eq!(site.record().await.state, CircuitState::Unusable);
    is(&b, CircuitState::Closed);
    site.exchange(&[&b]).await;
    assert_eq!(site.record().await.state, CircuitState::Unusable, "nothing is known of `b` yet");
    end(&b, Verdict::Success);
    site.exchange(&[&b, &a, &b]).await;
    assert_eq!(site.record().await.state, CircuitState::Closed);
    is(&a, CircuitState::Unusable);
    site.order(CircuitOrder::Reset).await;
    site.exchange(&[&a]).await;
    is(&a, CircuitState::Closed);
}

#[cfg(feature = "testing")]
#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_leaves_each_process_to_itself() {
    let mut down = crate::queue::MockQueue::new();
    down.expect_circuits().returning(|_, _| {
        let (location, problem) = ("redis://db".to_owned(), "the connection is refused".to_owned());
        Err(QueueError::Unavailable { location, problem, source: None })
    });
    let (site, a, b) = (Site::new(), process(), process());
    fail(&a);
    assert!(a.exchange(&down, &pool(), &[scanner()]).await.is_err());
    is(&a, CircuitState::Open);
    assert!(tokio::time::timeout(60 * SECOND, a.follow(&down)).await.is_err(), "it goes on");
    site.exchange(&[&a, &b]).await;
    is(&b, CircuitState::Open);
}

/// A change is told at once, not when it is next looked.
#[tokio::test]
async fn followers_hear_of_a_change_within_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let queue = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
    let (a, b) = (process(), process());
    is(&a, CircuitState::Closed);
    is(&b, CircuitState::Closed);
    let happens = async {
        fail(&a);
        while b.check(&pool(), &scanner()).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let heard = async {
        tokio::select! {
            () = a.follow(&queue) => false,
            () = b.follow(&queue) => false,
            () = happens => true,
        }
    };
    assert!(tokio::time::timeout(60 * SECOND, heard).await.unwrap());
}
