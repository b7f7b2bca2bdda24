use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Failed {
    NoAnswer,
    Open(CircuitOpen),
}

impl From<CircuitOpen> for Failed {
    fn from(open: CircuitOpen) -> Self {
        Self::Open(open)
    }
}

impl ClassifyOutcome for Failed {
    fn outcome(&self) -> CallOutcome {
        match self {
            Self::NoAnswer => CallOutcome::failure("no answer"),
            Self::Open(_) => CallOutcome::Ignored,
        }
    }
}

fn breaker() -> CircuitBreaker {
    let settings = CircuitSettings::default().with_failures(2).with_half_open(1, 1, 60 * SECOND);
    CircuitBreaker::with_jitter("nessus:a", settings, Box::new(|| 1.0))
}

async fn fail(breaker: &CircuitBreaker) {
    let failed = breaker.call(async { Err::<(), _>(Failed::NoAnswer) }).await;
    assert!(matches!(failed, Err(Failed::NoAnswer)));
}

#[tokio::test(start_paused = true)]
async fn calls_are_made_until_the_circuit_opens_and_again_when_the_scanner_is_back() {
    let breaker = breaker();
    fail(&breaker).await;
    fail(&breaker).await;
    let made = AtomicUsize::new(0);
    let call = || async {
        made.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Failed>(())
    };
    let Err(Failed::Open(open)) = breaker.call(call()).await else { panic!("the call was made") };
    assert_eq!(open.retry_after, Some(30 * SECOND));
    assert_eq!(
        open.to_string(),
        "no calls are made to `nessus:a` now, its circuit is open: 2 calls in a row failed, the last: no answer; try \
         again in 30 s"
    );
    assert_eq!(made.load(Ordering::Relaxed), 0);
    tokio::time::advance(30 * SECOND).await;
    breaker.call(call()).await.unwrap();
    assert_eq!(breaker.view().state, CircuitState::Closed);
}

/// The fault of the predecessor: a caller that is cancelled while half-open must not keep the only permit.
#[tokio::test(start_paused = true)]
async fn a_cancelled_call_gives_its_permit_back() {
    let breaker = breaker();
    fail(&breaker).await;
    fail(&breaker).await;
    tokio::time::advance(30 * SECOND).await;
    for _ in 0..3 {
        let hanging = breaker.call(std::future::pending::<Result<(), Failed>>());
        assert!(tokio::time::timeout(SECOND, hanging).await.is_err());
        assert_eq!(breaker.view().state, CircuitState::HalfOpen);
    }
    breaker.call(async { Ok::<_, Failed>(()) }).await.unwrap();
    assert_eq!(breaker.view().state, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn every_try_counts_and_an_open_circuit_ends_the_tries() {
    let breaker = breaker();
    let tries = AtomicUsize::new(0);
    let call = breaker.call(async {
        loop {
            tries.fetch_add(1, Ordering::Relaxed);
            try_failed(&Failed::NoAnswer)?;
        }
        #[expect(unreachable_code, reason = "it gives the block its type")]
        Ok::<(), Failed>(())
    });
    let ended = tokio::time::timeout(SECOND, call).await.unwrap();
    assert!(matches!(ended, Err(Failed::Open(_))), "{ended:?}");
    assert_eq!(tries.load(Ordering::Relaxed), 2);
    assert!(try_failed(&Failed::NoAnswer).is_ok(), "outside of a guarded call nobody is told");
}

#[tokio::test(start_paused = true)]
async fn each_change_of_state_is_told_once() {
    let told = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&told);
    let breaker = breaker().with_listener(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    fail(&breaker).await;
    assert_eq!(told.load(Ordering::Relaxed), 0, "a failure alone changes no state");
    breaker.refused_elsewhere("no");
    breaker.refused_elsewhere("no");
    assert_eq!((breaker.view().state, told.load(Ordering::Relaxed)), (CircuitState::Unusable, 1));
    breaker.isolate("maintenance");
    breaker.close("done");
    breaker.reset("done");
    assert_eq!((breaker.view().state, told.load(Ordering::Relaxed)), (CircuitState::Closed, 4));
}

#[tokio::test]
async fn settings_that_cannot_work_make_no_breaker() {
    let error = CircuitBreaker::new("nessus:a", CircuitSettings::default().with_failures(0)).unwrap_err();
    assert!(error.to_string().contains("must be at least 1"), "{error}");
}
