//! Workers whose clocks are wrong, beside a queue whose clock is right.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A clock that is wrong by a fixed time.
#[derive(Debug)]
struct WrongClock {
    right: Arc<dyn Clock>,
    ahead: Duration,
    behind: Duration,
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        self.right.now().plus(self.ahead).minus(self.behind)
    }
}

/// The same site as another machine sees it.
fn on_a_machine(f: &Fixture, ahead: Duration, behind: Duration) -> Fixture {
    let service = &f.service;
    let clock: Arc<dyn Clock> = Arc::new(WrongClock { right: Arc::clone(service.clock()), ahead, behind });
    let tasks = TaskManager::open_with_clock(f.directory.path(), Arc::clone(&clock)).unwrap();
    let instance = ScannerInstance::new(InstanceId::new("one").unwrap(), 2, f.scanner.clone());
    let scanners = ScannerRegistry::new(vec![ScannerPool::new(pool(), "mock", vec![instance])]).unwrap();
    let parts = ServiceParts::new(f.directory.path(), tasks, Arc::clone(service.queue()), scanners).with_clock(clock);
    let directory = tempfile::tempdir().unwrap();
    Fixture { directory, service: ScanService::new(parts).unwrap(), scanner: f.scanner.clone() }
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_clock_is_ahead_ends_no_scan_for_its_time() {
    let f = fixture_with(2, 2 * HOUR);
    let task_id = f.submit().await;
    let first = f.start();
    f.wait_for_launch().await;
    first.stop().await;
    let wrong = on_a_machine(&f, 26 * HOUR, Duration::ZERO);
    // Each limit is over by that clock, and none by any other.
    let limits =
        WorkerSettings::default().with_scan_timeout(3 * HOUR).with_pending_timeout(HOUR).with_stall_timeout(HOUR);
    let second = wrong.start_with(limits);
    tokio::time::sleep(3 * HOUR).await;
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, f.scanner.launches()), (TaskStatus::Completed, 1), "{view:?}");
    let took = view.execution_time.unwrap();
    assert!(took < 3.0 * HOUR.as_secs_f64(), "what it wrote goes by the right clock: {took}");
    let metrics = wrong.service.metrics().render().unwrap();
    assert!(metrics.contains("nessus_clock_offset_seconds 93600"), "{metrics}");
    second.stop().await;
}

/// Whatever its own clock says, what it writes down is right for those who judge by it.
#[tokio::test(start_paused = true)]
async fn what_a_worker_with_a_wrong_clock_has_started_is_ended_in_time_by_others() {
    for (ahead, behind) in [(26 * HOUR, Duration::ZERO), (Duration::ZERO, 26 * HOUR)] {
        let f = fixture_with(2, 1000 * HOUR);
        let wrong = on_a_machine(&f, ahead, behind);
        let task_id = f.submit().await;
        let first = wrong.start();
        f.wait_for_launch().await;
        tokio::time::sleep(HOUR / 2).await;
        first.stop().await;
        let settings = WorkerSettings::default().with_scan_timeout(2 * HOUR).with_pending_timeout(100 * HOUR);
        let second = f.start_with(settings);
        tokio::time::sleep(HOUR).await;
        assert_eq!(f.service.status(&task_id).await.unwrap().status, TaskStatus::Running, "half an hour is left");
        let view = f.ended(&task_id).await;
        assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Timeout, Some("scan_timeout")), "{view:?}");
        assert!(f.service.metrics().render().unwrap().contains("nessus_clock_offset_seconds 0\n"));
        second.stop().await;
    }
}
