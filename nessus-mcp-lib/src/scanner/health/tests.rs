//! Checks in paused time.

use super::*;
use crate::circuit_breaker::CircuitState;
use crate::config::CircuitSettings;
use crate::scanner::{Circuits, MockConfig, MockOperation, MockScanner, RequestSent, ScannerPool, ScannerProperties};
use crate::time::{ManualClock, Timestamp};

const INTERVAL: Duration = Duration::from_secs(60);

struct Fixture {
    registry: ScannerRegistry,
    scanners: [Arc<MockScanner>; 2],
    metrics: Arc<Metrics>,
    watching: tokio::task::JoinHandle<()>,
}

fn name(text: &str) -> PoolName {
    PoolName::new(text).unwrap()
}

fn instance(id: &str, scanner: &Arc<MockScanner>) -> ScannerInstance {
    ScannerInstance::new(InstanceId::new(id).unwrap(), 1, Arc::clone(scanner) as _)
}

/// A watch over the pool `p` of `a` and the disabled `off`, beside a pool that nobody watches.
fn watch() -> Fixture {
    let scanners = [(); 2].map(|()| Arc::new(MockScanner::new(MockConfig::new())));
    let mut off = instance("off", &scanners[1]);
    off.enabled = false;
    let pools = vec![
        ScannerPool::new(name("p"), "mock", vec![instance("a", &scanners[0]), off]),
        ScannerPool::new(name("elsewhere"), "mock", vec![instance("b", &scanners[1])]),
    ];
    let registry = ScannerRegistry::new(pools).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(1_764_599_422_000)));
    let (watched, counted) = (registry.clone(), Arc::clone(&metrics));
    let watching = tokio::spawn(async move {
        watch_health(&watched, Some(&[name("p"), name("new")]), INTERVAL, &clock, &counted).await;
    });
    Fixture { registry, scanners, metrics, watching }
}

impl Fixture {
    fn health(&self, pool: &str, id: &str) -> Option<ScannerHealth> {
        self.registry.bound_instance(&name(pool), &InstanceId::new(id).unwrap()).unwrap().health()
    }

    fn checks(&self) -> [u64; 2] {
        [0, 1].map(|at| self.scanners[at].calls(MockOperation::Properties))
    }
}

fn unreachable() -> ScannerError {
    ScannerError::Transport { call: "GET".to_owned(), message: "reset".to_owned(), sent: RequestSent::No }
}

#[tokio::test(start_paused = true)]
async fn each_enabled_scanner_is_asked_about_once_an_interval() {
    let f = watch();
    tokio::time::sleep(FIRST_WAIT).await;
    let health = f.health("p", "a").unwrap();
    assert!(health.is_healthy());
    assert_eq!(health.plugin_set_at().unwrap().to_string(), "2025-11-20T05:05:00.000Z");
    tokio::time::sleep(INTERVAL * 100).await;
    let [asked, not_asked] = f.checks();
    // Each pause is between three and five quarters of the interval.
    assert!((80..=135).contains(&asked), "{asked}");
    assert_eq!(not_asked, 0, "disabled, or of a pool that is not watched");
    assert_eq!((f.scanners[0].creates(), f.scanners[0].launches()), (0, 0));
    f.watching.abort();
    tokio::time::sleep(INTERVAL * 2).await;
    assert_eq!(f.checks()[0], asked, "it ends with the process");
}

#[tokio::test(start_paused = true)]
async fn a_scanner_that_fails_is_unhealthy_until_it_answers_and_is_remembered() {
    let f = watch();
    tokio::time::sleep(FIRST_WAIT).await;
    f.scanners[0].fail_next(MockOperation::Properties, unreachable());
    tokio::time::sleep(INTERVAL * 2).await;
    f.scanners[0].fail_next(MockOperation::Properties, unreachable());
    f.scanners[0].fail_next(MockOperation::Properties, unreachable());
    tokio::time::sleep(INTERVAL * 5 / 4).await;
    let health = f.health("p", "a").unwrap();
    assert_eq!(health.failure.as_ref().map(|failure| failure.code), Some("scanner_unreachable"));
    assert_eq!(health.properties.unwrap().product.as_deref(), Some("Mock scanner"), "what it was is still known");
    tokio::time::sleep(INTERVAL * 3).await;
    assert!(f.health("p", "a").unwrap().is_healthy());
    let counted = f.metrics.render().unwrap();
    assert!(counted.contains("nessus_scanner_checks_total{scanner_instance=\"p:a\",status=\"error\"} 3"), "{counted}");
}

#[tokio::test(start_paused = true)]
async fn a_scanner_that_asks_for_fewer_requests_is_not_called() {
    let f = watch();
    let retry_after = Some(INTERVAL * 10);
    f.scanners[0].fail_next(MockOperation::Properties, ScannerError::RateLimited { retry_after });
    tokio::time::sleep(INTERVAL * 9).await;
    assert_eq!(f.checks()[0], 1);
    tokio::time::sleep(INTERVAL * 3).await;
    assert!(f.checks()[0] > 1);
}

#[tokio::test(start_paused = true)]
async fn scanners_come_and_go() {
    let f = watch();
    tokio::time::sleep(FIRST_WAIT).await;
    let before = f.checks()[0];
    f.registry.replace(vec![ScannerPool::new(name("new"), "mock", vec![instance("c", &f.scanners[1])])]).unwrap();
    tokio::time::sleep(INTERVAL * 4).await;
    assert_eq!(f.checks()[0], before, "it is not configured any more");
    assert!(f.checks()[1] >= 3, "{:?}", f.checks());
    assert!(f.health("new", "c").unwrap().is_healthy());
}

/// What is known of a scanner whose circuit is open, and of one that is not used, stays.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_no_finding() {
    let f = watch();
    let circuits = Circuits::default();
    f.registry.guard(&circuits).unwrap();
    tokio::time::sleep(FIRST_WAIT).await;
    f.scanners[0].fail_next(MockOperation::Properties, unreachable());
    tokio::time::sleep(INTERVAL * 5 / 4).await;
    let found = f.health("p", "a").unwrap();
    assert_eq!(found.failure.as_ref().map(|failure| failure.code), Some("scanner_unreachable"));
    let breaker = circuits.breaker(&name("p"), &InstanceId::new("a").unwrap());
    breaker.isolate("maintenance");
    let asked = f.checks()[0];
    tokio::time::sleep(INTERVAL * 10).await;
    assert_eq!((f.health("p", "a"), f.checks()[0]), (Some(found), asked));
    let counted = f.metrics.render().unwrap();
    assert!(counted.contains("nessus_scanner_checks_total{scanner_instance=\"p:a\",status=\"error\"} 1"), "{counted}");
    breaker.close("done");
    tokio::time::sleep(INTERVAL * 5 / 4).await;
    assert!(f.health("p", "a").unwrap().is_healthy());
}

/// Nobody but the checks calls it, and no other process says that it is back.
#[tokio::test(start_paused = true)]
async fn a_circuit_is_tried_when_its_time_is_over() {
    let f = watch();
    let time = Duration::from_secs(1);
    let circuits = Circuits::new(CircuitSettings::default().with_failures(1).with_open_time(time, time)).unwrap();
    f.registry.guard(&circuits).unwrap();
    for _ in 0..3 {
        f.scanners[0].fail_next(MockOperation::Properties, unreachable());
    }
    let breaker = circuits.breaker(&name("p"), &InstanceId::new("a").unwrap());
    while breaker.view().opens < 3 {
        tokio::time::sleep(time).await;
    }
    let asked = f.checks()[0];
    tokio::time::sleep(INTERVAL / 2).await;
    assert_eq!(breaker.view().state, CircuitState::Closed, "before the next regular check");
    assert!(f.checks()[0] <= asked + 3, "{:?}", f.checks());
}

#[tokio::test(start_paused = true)]
async fn a_disabled_scanner_has_no_health() {
    let f = watch();
    tokio::time::sleep(FIRST_WAIT).await;
    let turn = |enabled| {
        let mut instance = f.registry.pool(&name("p")).unwrap().instances[0].clone();
        instance.enabled = enabled;
        f.registry.replace(vec![ScannerPool::new(name("p"), "mock", vec![instance])]).unwrap();
        f.health("p", "a")
    };
    let found = f.health("p", "a").unwrap();
    let before = f.registry.pool(&name("p")).unwrap().instances[0].clone();
    assert_eq!((turn(false), turn(true)), (None, None), "what was found before is long ago");
    turn(false);
    *before.connection().health() = Some(found);
    assert_eq!(f.health("p", "a"), None, "a check was under way");
    turn(true);
    tokio::time::sleep(INTERVAL * 2).await;
    assert!(f.health("p", "a").is_some());
}

#[test]
fn only_a_plugin_set_of_the_known_form_has_an_age() {
    let health = |plugin_set: &str| ScannerHealth {
        checked_at: Timestamp::from_millis(0),
        latency: Duration::ZERO,
        properties: Some(ScannerProperties { plugin_set: Some(plugin_set.to_owned()), ..ScannerProperties::default() }),
        failure: None,
    };
    assert!(health("202511200505").plugin_set_at().is_some());
    for text in ["", "20251120", "202513200505", "2025112005é5", "latest-build"] {
        assert_eq!(health(text).plugin_set_at(), None, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn processes_that_start_together_do_not_check_together() {
    let processes = [(); 20].map(|()| watch());
    let checked = async || {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        processes.iter().filter(|process| process.checks()[0] > 0).count()
    };
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(checked().await);
        tokio::time::sleep(FIRST_WAIT / 5).await;
    }
    assert!(seen[0] < 10 && seen[4] > 0, "{seen:?}");
    assert_eq!(checked().await, 20);
}
