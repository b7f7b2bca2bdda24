//! The lifecycle of a task on a mock scanner and a real SQLite queue, in paused time.

mod announce;
mod approvals;
mod cancels;
mod circuits;
mod clocks;
mod fetching;
mod hosts;
mod idle;
mod life;
mod limits;
mod logins;
mod losses;
mod pauses;
mod policies;
mod reload;
mod retries;
mod rights;
mod scope;
mod started;
mod storage;
mod windows;

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle, time::Instant};

use super::Worker;
use crate::{
    ScanService,
    config::{CircuitSettings, WorkerSettings},
    ids::{InstanceId, PoolName, TaskId},
    policy::Scope,
    queue::{self, RemoveOutcome},
    scanner::{
        Circuits, MockConfig, MockOperation, MockScanner, RequestSent, ScannerError, ScannerInstance, ScannerPool,
        ScannerRegistry,
    },
    service::{ResultsRequest, ServiceParts, SubmitRequest, TaskView},
    task::{Task, TaskManager, TaskStatus, Writer},
    time::{Clock, Timestamp},
};

const SECOND: Duration = Duration::from_secs(1);
const SCAN: Duration = Duration::from_secs(60);

/// A clock that goes with tokio's, so that paused time moves leases and delays as well.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_764_599_422_000).plus(self.0.elapsed())
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    service: ScanService,
    scanner: Arc<MockScanner>,
}

struct Running {
    stop: oneshot::Sender<()>,
    worker: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        drop(self.stop);
        self.worker.await.unwrap();
    }
}

fn fixture(capacity: u32) -> Fixture {
    fixture_with(capacity, SCAN)
}

fn fixture_with(capacity: u32, scan: Duration) -> Fixture {
    fixture_of(capacity, scan, Circuits::default())
}

fn fixture_of(capacity: u32, scan: Duration, circuits: Circuits) -> Fixture {
    fixture_made(capacity, scan, |parts| parts.with_circuits(circuits))
}

fn fixture_in(scope: Scope) -> Fixture {
    fixture_made(2, SCAN, |parts| parts.with_scope(scope))
}

fn fixture_made(capacity: u32, scan: Duration, change: impl FnOnce(ServiceParts) -> ServiceParts) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
    let tasks = TaskManager::open_with_clock(directory.path(), Arc::clone(&clock)).unwrap();
    let path = directory.path().join("queue.db");
    let opened =
        queue::sqlite::SqliteQueue::open_with_clock(&path, Arc::clone(&clock)).unwrap().looking_every(2 * SECOND);
    let scanner = Arc::new(MockScanner::new(MockConfig::new().scan_duration(scan)));
    let instance = ScannerInstance::new(InstanceId::new("one").unwrap(), capacity, scanner.clone());
    let pool = ScannerPool::new(pool(), "mock", vec![instance]);
    let scanners = ScannerRegistry::new(vec![pool]).unwrap();
    let parts = ServiceParts::new(directory.path(), tasks, Arc::new(opened), scanners).with_clock(clock);
    let service = ScanService::new(change(parts)).unwrap();
    service.expect_worker();
    Fixture { directory, service, scanner }
}

fn pool() -> PoolName {
    PoolName::new("lab").unwrap()
}

impl Fixture {
    async fn wait_for_progress(&self, task_id: &TaskId) {
        for _ in 0..2000 {
            if self.task(task_id).await.progress > Some(20) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("no progress");
    }

    async fn task(&self, task_id: &TaskId) -> Task {
        self.service.tasks().get(task_id).await.unwrap()
    }

    fn start(&self) -> Running {
        self.start_with(WorkerSettings::default())
    }

    fn start_with(&self, settings: WorkerSettings) -> Running {
        let worker = Worker::new(&self.service, settings).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(worker.run(async move {
            let _ = stopped.await;
        }));
        Running { stop, worker }
    }

    async fn submit(&self) -> TaskId {
        self.service.submit(SubmitRequest::untrusted("test", "192.0.2.1-192.0.2.4")).await.unwrap().task_id
    }

    /// Waits until the task has ended and the queue has forgotten it.
    async fn ended(&self, task_id: &TaskId) -> TaskView {
        for look in 0..2000 {
            let view = self.service.status(task_id).await.unwrap();
            let leased = self.service.queue().stats(&pool()).await.unwrap().leased;
            if view.status.is_terminal() && leased == 0 {
                return view;
            }
            // Each look costs real time, and some tasks take hours.
            tokio::time::sleep(if look < 60 { SECOND } else { 10 * SECOND }).await;
        }
        panic!("{task_id} did not end: {:?}", self.service.status(task_id).await);
    }

    async fn wait_for_launch(&self) {
        self.wait_until(|| self.scanner.launches() > 0, "nothing was launched").await;
    }

    /// Waits until the scanner was asked for it, with or without success.
    async fn wait_for_call(&self, operation: MockOperation) {
        self.wait_until(|| self.scanner.calls(operation) > 0, "the scanner was not asked").await;
    }

    async fn wait_until(&self, is_so: impl Fn() -> bool, otherwise: &str) {
        for _ in 0..20_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{otherwise}");
    }

    async fn dead_codes(&self) -> Vec<String> {
        let letters = self.service.queue().dead_letters(&pool(), 0, 10).await.unwrap();
        letters.into_iter().map(|letter| letter.reason.error_code).collect()
    }
}

fn unreachable(sent: RequestSent) -> ScannerError {
    ScannerError::Transport { call: "POST /scans".to_owned(), message: "reset".to_owned(), sent }
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_driven_to_its_findings() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.progress, view.results_available), (TaskStatus::Completed, Some(100), true));
    assert_eq!(view.validation_stats.unwrap()["hosts"], 4);
    assert_eq!((view.hosts_known, view.hosts_done), (Some(4), Some(4)));
    let (fetched, ended) = (f.task(&task_id).await.export_fetched_at, view.completed_at);
    assert!(fetched.is_some() && fetched <= ended, "{fetched:?} {ended:?}");
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    let text = f.service.results(ResultsRequest::new(task_id.clone())).await.unwrap();
    assert!(text.lines().next().unwrap().contains("\"type\":\"schema\""), "{text}");
    assert!(f.service.tasks().artifact_path(&task_id, "scan_schema_brief.jsonl").is_file());
    assert!(f.service.queue().slots_in_use(&pool(), &InstanceId::new("one").unwrap()).await.unwrap().is_empty());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_is_lost_is_not_repeated() {
    let f = fixture(2);
    f.scanner.lose_answer(MockOperation::Create, unreachable(RequestSent::Maybe));
    f.scanner.lose_answer(MockOperation::Launch, unreachable(RequestSent::Maybe));
    let task_id = f.submit().await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_scanner_refuses_for_good_fails_at_once_and_is_a_dead_letter() {
    let f = fixture(2);
    f.scanner.fail_next(MockOperation::Create, ScannerError::Rejected("no".to_owned()));
    let task_id = f.submit().await;
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("scanner_rejected")));
    assert_eq!(f.dead_codes().await, ["scanner_rejected"]);
    assert_eq!(f.scanner.launches(), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_now_is_tried_a_few_times() {
    let f = fixture(2);
    for _ in 0..20 {
        f.scanner.fail_next(MockOperation::Create, unreachable(RequestSent::No));
    }
    let task_id = f.submit().await;
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!(view.error_code.as_deref(), Some("scanner_unreachable"));
    assert_eq!(f.scanner.calls(MockOperation::Create), 10);
    worker.stop().await;
}

/// From the first failure on, and until it goes on.
#[tokio::test(start_paused = true)]
async fn what_fails_for_now_is_told() {
    let f = fixture(2);
    for _ in 0..3 {
        f.scanner.fail_next(MockOperation::Create, ScannerError::Server { status: 500, message: "full".to_owned() });
    }
    let task_id = f.submit().await;
    let worker = f.start();
    for failures in 1..=3 {
        f.wait_until(|| f.scanner.calls(MockOperation::Create) == failures, "it was not tried").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let view = f.service.status(&task_id).await.unwrap();
        let told = view.last_error.unwrap();
        let seen = (told.step.as_str(), told.code.as_str(), u64::from(told.count));
        assert_eq!(seen, ("begin", "scanner_server_error", failures));
        assert!(told.message.contains("full") && told.since <= told.at && told.at < told.next_try_at, "{told:?}");
        let waiting_for = view.waiting_for.unwrap();
        assert!(waiting_for.contains(&told.next_try_at.to_string()) && waiting_for.contains("full"), "{waiting_for}");
    }
    f.wait_for_launch().await;
    for _ in 0..3 {
        f.scanner.fail_next(MockOperation::Status, unreachable(RequestSent::Maybe));
    }
    let told = loop {
        match f.service.status(&task_id).await.unwrap().last_error {
            Some(told) if told.step == "watch" => break told,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(told.code, "scanner_unreachable");
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.last_error, view.waiting_for), (TaskStatus::Completed, None, None));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scanner_that_does_not_answer_for_a_while_loses_no_scan() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    for _ in 0..5 {
        f.scanner.fail_next(MockOperation::Status, unreachable(RequestSent::Maybe));
    }
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_hands_its_task_over_and_the_next_adopts_the_scan() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let first = f.start();
    f.wait_for_launch().await;
    first.stop().await;
    assert_eq!(f.service.status(&task_id).await.unwrap().status, TaskStatus::Running);
    assert_eq!(f.scanner.running(), 1, "the scan goes on");
    let stats = f.service.queue().stats(&pool()).await.unwrap();
    assert_eq!((stats.leased, stats.ready + stats.delayed), (0, 1), "the lease is handed back");
    let second = f.start();
    let handed_over = Instant::now();
    while f.service.queue().stats(&pool()).await.unwrap().leased == 0 {
        assert!(handed_over.elapsed() < Duration::from_secs(30), "the slot it holds must not keep the task waiting");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_worker_is_replaced_when_its_lease_is_over() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let first = f.start();
    f.wait_for_launch().await;
    first.worker.abort();
    let second = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn workers_together_respect_a_scanners_capacity() {
    let f = fixture(2);
    let mut tasks = Vec::new();
    for _ in 0..7 {
        tasks.push(f.submit().await);
    }
    let workers = [f.start(), f.start(), f.start()];
    let mut most = 0;
    for _ in 0..2000 {
        most = most.max(f.scanner.running());
        tokio::time::sleep(Duration::from_millis(500)).await;
        if f.service.queue().stats(&pool()).await.unwrap().leased == 0 && f.scanner.launches() == 7 {
            break;
        }
    }
    for task_id in &tasks {
        assert_eq!(f.ended(task_id).await.status, TaskStatus::Completed);
    }
    assert_eq!(most, 2);
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_takes_too_long_is_stopped_and_timed_out() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(SCAN / 2));
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Timeout, Some("scan_timeout")));
    assert_eq!(f.scanner.calls(MockOperation::Stop), 1);
    assert_eq!(f.dead_codes().await, ["scan_timeout"]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_aborted_scan_fails_with_the_scanners_reason() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    let scan = loop {
        if let Some(scan) = f.service.status(&task_id).await.unwrap().nessus_scan_id {
            break scan;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    f.scanner.abort(&scan, "licence over");
    let view = f.ended(&task_id).await;
    assert_eq!(view.error_code.as_deref(), Some("scan_aborted"));
    assert!(view.error_message.unwrap().contains("licence over"));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_somebody_cancels_is_left_alone_and_its_scan_is_stopped() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    let cancel = |task: &mut Task| task.status = TaskStatus::Cancelled;
    f.service.tasks().update(&task_id, Writer::Api, cancel).await.unwrap();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Cancelled);
    assert_eq!(f.scanner.running(), 0);
    assert_eq!(f.dead_codes().await, Vec::<String>::new());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_export_that_is_cut_is_fetched_again_and_one_that_is_no_export_fails() {
    let f = fixture(1);
    f.scanner.fail_next(MockOperation::Export, ScannerError::Truncated("cut".to_owned()));
    let task_id = f.submit().await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!(f.scanner.calls(MockOperation::Export), 2);
    f.scanner.spoil_next_export("<?xml version=\"1.0\"?><NessusClientData_v2><Report></NessusClientData_v2>");
    f.scanner.leave_out_hosts(3);
    let task_id = f.submit().await;
    let view = f.ended(&task_id).await;
    assert_eq!(view.status, TaskStatus::Completed);
    assert!(
        view.validation_warnings.iter().any(|warning| warning.contains("left out 3 hosts")),
        "{:?}",
        view.validation_warnings
    );
    assert_eq!(f.scanner.calls(MockOperation::Export), 4);
    worker.stop().await;

    let page = "<html><body>login</body></html>";
    let html = Arc::new(MockScanner::new(MockConfig::new().scan_duration(SCAN).export_bytes(page)));
    let pool =
        ScannerPool::new(pool(), "mock", vec![ScannerInstance::new(InstanceId::new("one").unwrap(), 1, html.clone())]);
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
    let tasks = TaskManager::open_with_clock(directory.path(), Arc::clone(&clock)).unwrap();
    let queue =
        queue::sqlite::SqliteQueue::open_with_clock(&directory.path().join("queue.db"), Arc::clone(&clock)).unwrap();
    let parts = ServiceParts::new(directory.path(), tasks, Arc::new(queue), ScannerRegistry::new(vec![pool]).unwrap());
    let f = Fixture { service: ScanService::new(parts.with_clock(clock)).unwrap(), directory, ..f };
    let task_id = f.submit().await;
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.results_available), (TaskStatus::Failed, false));
    assert_eq!(view.error_code.as_deref(), Some("not_a_nessus_export"));
    assert_eq!(html.calls(MockOperation::Export), 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_never_enqueued_is_found_by_the_reconciler() {
    let f = fixture(1);
    let task_id = f.submit().await;
    assert_eq!(
        f.service.queue().remove(&pool(), &task_id).await.unwrap(),
        RemoveOutcome::Removed,
        "as if the submitter had died before the enqueue"
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_for_an_unknown_pool_is_refused() {
    let f = fixture(1);
    let settings = WorkerSettings::default().with_pools(vec![PoolName::new("elsewhere").unwrap()]);
    let error = Worker::new(&f.service, settings).unwrap_err();
    assert!(error.to_string().contains("elsewhere"), "{error}");
}

/// Two scanners in one pool, the first of which is broken.
fn with_a_broken_scanner(f: Fixture) -> (Fixture, Arc<MockScanner>) {
    with_another_scanner(f, SCAN)
}

fn with_another_scanner(f: Fixture, scan: Duration) -> (Fixture, Arc<MockScanner>) {
    let broken = Arc::new(MockScanner::new(MockConfig::new().scan_duration(scan)));
    let instances = vec![
        ScannerInstance::new(InstanceId::new("broken").unwrap(), 5, broken.clone()),
        ScannerInstance::new(InstanceId::new("one").unwrap(), 5, f.scanner.clone()),
    ];
    let scanners = ScannerRegistry::new(vec![ScannerPool::new(pool(), "mock", instances)]).unwrap();
    let service = &f.service;
    let parts = ServiceParts::new(f.directory.path(), service.tasks().clone(), Arc::clone(service.queue()), scanners);
    let service = ScanService::new(parts.with_clock(Arc::clone(service.clock()))).unwrap();
    (Fixture { service, ..f }, broken)
}

#[tokio::test(start_paused = true)]
async fn a_broken_scanner_does_not_eat_the_tasks_of_its_pool() {
    for error in [
        ScannerError::AuthenticationRefused("no".to_owned()),
        unreachable(RequestSent::No),
        ScannerError::NotReady("loading".to_owned()),
    ] {
        let (f, broken) = with_a_broken_scanner(fixture(2));
        for _ in 0..100 {
            broken.fail_next(MockOperation::FindByMarker, error.clone());
        }
        let mut tasks = Vec::new();
        for _ in 0..6 {
            tasks.push(f.submit().await);
        }
        let worker = f.start();
        for task_id in &tasks {
            let view = f.ended(task_id).await;
            assert_eq!(view.status, TaskStatus::Completed, "{error}: {:?}", view.error_message);
            assert_eq!(view.scanner_instance.unwrap().as_str(), "one");
        }
        assert_eq!((broken.creates(), f.scanner.creates(), f.scanner.launches()), (0, 6, 6));
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_scanner_that_refuses_to_create_gives_its_task_back() {
    let (f, broken) = with_a_broken_scanner(fixture(2));
    for _ in 0..100 {
        broken.fail_next(MockOperation::Create, ScannerError::ApiNotAvailable("no".to_owned()));
    }
    let task_id = f.submit().await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pinned_task_does_not_leave_its_scanner() {
    let (f, broken) = with_a_broken_scanner(fixture(2));
    broken.fail_next(MockOperation::Create, ScannerError::ApiNotAvailable("no".to_owned()));
    let mut request = SubmitRequest::untrusted("pinned", "192.0.2.1");
    request.instance = Some("broken".to_owned());
    let task_id = f.service.submit(request).await.unwrap().task_id;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.error_code.as_deref(), Some("scanner_api_not_available"));
    assert_eq!(f.scanner.creates(), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_all_tries_loses_no_scan_that_runs() {
    // Short, so that the tries come soon enough.
    let circuits = CircuitSettings::default().with_open_time(Duration::from_secs(1), Duration::from_secs(2));
    let f = fixture_of(1, SCAN, Circuits::new(circuits).unwrap());
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    worker.stop().await;
    for _ in 0..60 {
        f.scanner.fail_next(MockOperation::Status, unreachable(RequestSent::Maybe));
    }
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}
