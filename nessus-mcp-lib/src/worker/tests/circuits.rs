//! A worker before scanners that are not called.

use super::*;
use crate::circuit_breaker::{CircuitCommand, CircuitState};

/// One scanner whose circuit opens soon and for a short time.
fn impatient() -> Fixture {
    let settings = CircuitSettings::default().with_failures(3).with_open_time(2 * SECOND, 4 * SECOND);
    fixture_of(2, SCAN, Circuits::new(settings).unwrap())
}

impl Fixture {
    async fn command(&self, command: CircuitCommand) {
        self.service.command_circuit("lab", "one", command, "maintenance").await.unwrap();
    }

    async fn circuit(&self) -> CircuitState {
        self.service.list_scanners(None).await.unwrap().scanners[0].circuit.state
    }
}

/// Far more failures than a task has tries: none is used up while the scanner is known to be broken.
#[tokio::test(start_paused = true)]
async fn an_outage_uses_up_no_try_of_any_task() {
    let f = impatient();
    for _ in 0..60 {
        f.scanner.fail_next(MockOperation::FindByMarker, unreachable(RequestSent::No));
    }
    let tasks = [f.submit().await, f.submit().await, f.submit().await];
    let worker = f.start();
    for task_id in &tasks {
        let view = f.ended(task_id).await;
        assert_eq!((view.status, view.attempt), (TaskStatus::Completed, 1), "{view:?}");
    }
    assert_eq!(f.dead_codes().await, Vec::<String>::new());
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (3, 3));
    assert_eq!(f.circuit().await, CircuitState::Closed);
    let metrics = f.service.render_metrics().await.unwrap();
    let opens =
        metrics.lines().find_map(|line| line.strip_prefix("nessus_circuit_opens_total{scanner_instance=\"lab:one\"} "));
    assert!(opens.unwrap().parse::<u64>().unwrap() > 10, "{metrics}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_isolated_scanner_gets_nothing_until_an_operator_says_so() {
    let f = impatient();
    f.command(CircuitCommand::Isolate).await;
    let task_id = f.submit().await;
    let worker = f.start();
    tokio::time::sleep(600 * SECOND).await;
    let view = f.service.status(&task_id).await.unwrap();
    let isolated = Some("the circuit of the scanner `one` is isolated: maintenance");
    assert_eq!((view.status, view.waiting_for.as_deref()), (TaskStatus::Queued, isolated));
    assert_eq!(f.scanner.calls(MockOperation::FindByMarker), 0);
    let scanners = f.service.list_scanners(None).await.unwrap().scanners;
    assert_eq!((scanners[0].circuit.state, scanners[0].available_slots), (CircuitState::Isolated, 0));
    assert_eq!((&*scanners[0].circuit.reason, &*scanners[0].circuit.changed_by), ("maintenance", "operator"));
    f.command(CircuitCommand::Close).await;
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_runs_is_kept_while_its_scanner_is_not_called() {
    let f = impatient();
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    tokio::time::sleep(SECOND).await;
    f.command(CircuitCommand::Isolate).await;
    tokio::time::sleep(1800 * SECOND).await;
    assert_eq!(f.service.status(&task_id).await.unwrap().status, TaskStatus::Running);
    assert_eq!(f.service.queue().stats(&pool()).await.unwrap().leased, 1, "it stays in the worker's hands");
    f.command(CircuitCommand::Reset).await;
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}

/// Whoever meets the refusal is told; those behind it wait for the operator instead of failing one after the other, and
/// a scan that runs is not given up for it.
#[tokio::test(start_paused = true)]
async fn a_refused_login_fails_one_task_and_lets_the_others_wait() {
    let f = impatient();
    let runs = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    f.scanner.fail_next(MockOperation::FindByMarker, ScannerError::AuthenticationRefused("no".to_owned()));
    let refused = f.submit().await;
    let told = loop {
        let view = f.service.status(&refused).await.unwrap();
        if view.status.is_terminal() {
            break view;
        }
        tokio::time::sleep(SECOND).await;
    };
    assert_eq!(told.error_code.as_deref(), Some("scanner_login_refused"));
    let waits = f.submit().await;
    tokio::time::sleep(1800 * SECOND).await;
    assert_eq!(f.service.status(&waits).await.unwrap().status, TaskStatus::Queued);
    assert_eq!(f.service.status(&runs).await.unwrap().status, TaskStatus::Running);
    assert_eq!(f.circuit().await, CircuitState::Unusable);
    assert!(
        f.service.command_circuit("lab", "one", CircuitCommand::Close, "x").await.is_err(),
        "closing mends no password"
    );
    f.command(CircuitCommand::Reset).await;
    for task_id in [&runs, &waits] {
        assert_eq!(f.ended(task_id).await.status, TaskStatus::Completed);
    }
    worker.stop().await;
}

/// What a person has to mend costs no task, however many there are, and whatever they have met before.
#[tokio::test(start_paused = true)]
async fn tasks_wait_for_a_scanner_that_needs_an_operator() {
    for error in [ScannerError::Unusable("not registered".to_owned()), ScannerError::Certificate("expired".to_owned())]
    {
        let f = impatient();
        for _ in 0..60 {
            f.scanner.fail_next(MockOperation::FindByMarker, error.clone());
        }
        let tasks = [f.submit().await, f.submit().await, f.submit().await];
        let worker = f.start();
        for task_id in &tasks {
            assert_eq!(f.ended(task_id).await.status, TaskStatus::Completed);
        }
        assert_eq!((f.scanner.creates(), f.dead_codes().await), (3, Vec::<String>::new()));
        worker.stop().await;
    }
}

/// What is learnt on one scanner keeps the others' tasks away from it; a pinned task waits for it.
#[tokio::test(start_paused = true)]
async fn a_pinned_task_waits_for_its_scanner() {
    let (f, broken) = with_a_broken_scanner(fixture(2));
    f.service.command_circuit("lab", "broken", CircuitCommand::Isolate, "maintenance").await.unwrap();
    let mut request = SubmitRequest::untrusted("pinned", "192.0.2.1");
    request.instance = Some("broken".to_owned());
    let pinned = f.service.submit(request).await.unwrap().task_id;
    let free = f.submit().await;
    let worker = f.start();
    loop {
        if f.service.status(&free).await.unwrap().status == TaskStatus::Completed {
            break;
        }
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(f.service.status(&pinned).await.unwrap().status, TaskStatus::Queued);
    f.service.command_circuit("lab", "broken", CircuitCommand::Close, "done").await.unwrap();
    assert_eq!(f.ended(&pinned).await.status, TaskStatus::Completed);
    assert_eq!((broken.creates(), f.scanner.creates()), (1, 1));
    worker.stop().await;
}
