//! Pools that are replaced while a worker runs.

use super::*;

fn instance(f: &Fixture, id: &str, capacity: u32) -> ScannerInstance {
    ScannerInstance::new(InstanceId::new(id).unwrap(), capacity, f.scanner.clone())
}

fn pool_of(name: &str, instance: ScannerInstance) -> ScannerPool {
    ScannerPool::new(PoolName::new(name).unwrap(), "mock", vec![instance])
}

impl Fixture {
    fn replace(&self, pools: Vec<ScannerPool>) {
        self.service.scanners().replace(pools).unwrap();
    }

    async fn waiting(&self) -> Vec<(String, Option<String>, u64)> {
        // What was found out last is kept for a while.
        tokio::time::sleep(Duration::from_secs(11)).await;
        let orphaned = self.service.list_pools().await.unwrap().orphaned.into_iter();
        let shown = orphaned
            .map(|view| (view.scanner_pool.to_string(), view.scanner_instance.map(|id| id.to_string()), view.tasks));
        shown.collect()
    }

    /// The same tasks and queue in a process that knows another scanner only.
    fn restarted(self) -> Self {
        let scanners = ScannerRegistry::new(vec![pool_of("lab", instance(&self, "other", 1))]).unwrap();
        let old = &self.service;
        let parts = ServiceParts::new(self.directory.path(), old.tasks().clone(), Arc::clone(old.queue()), scanners);
        let service = ScanService::new(parts.with_clock(Arc::clone(old.clock()))).unwrap();
        Self { service, ..self }
    }
}

#[tokio::test(start_paused = true)]
async fn slots_are_added_and_taken_away_while_it_runs() {
    let f = fixture(1);
    let worker = f.start();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        tasks.push(f.submit().await);
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(f.scanner.running(), 1);
    f.replace(vec![pool_of("lab", instance(&f, "one", 3))]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(f.scanner.running(), 3);
    f.replace(vec![pool_of("lab", instance(&f, "one", 1))]);
    tokio::time::sleep(SCAN + Duration::from_secs(20)).await;
    assert_eq!(f.scanner.running(), 1, "no new scan begins before there are fewer than the new number");
    for task_id in &tasks {
        assert_eq!(f.ended(task_id).await.status, TaskStatus::Completed);
    }
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (8, 8));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_of_a_removed_pool_ends_well_and_a_task_that_waits_there_is_seen() {
    let f = fixture(1);
    let worker = f.start();
    let running = f.submit().await;
    f.wait_for_launch().await;
    let queued = f.submit().await;
    f.replace(vec![pool_of("other", instance(&f, "elsewhere", 1))]);
    assert_eq!(f.waiting().await, [("lab".to_owned(), None, 1)], "the one that runs is in a worker's hands");
    assert_eq!(f.ended(&running).await.status, TaskStatus::Completed);
    assert_eq!(f.waiting().await, [("lab".to_owned(), None, 1)]);
    assert_eq!(f.service.status(&queued).await.unwrap().status, TaskStatus::Queued);
    f.replace(vec![pool_of("lab", instance(&f, "one", 1))]);
    assert_eq!(f.ended(&queued).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (2, 2));
    assert_eq!(f.waiting().await, []);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_knows_a_removed_scanner_takes_over_a_scan_there() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    worker.stop().await;
    f.replace(vec![pool_of("lab", instance(&f, "other", 1))]);
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}

/// A task whose scan runs on a scanner that the worker has never known.
async fn with_a_scan_out_of_reach() -> (Fixture, TaskId, Running) {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    worker.stop().await;
    let f = f.restarted();
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(Duration::from_secs(1800)));
    assert_eq!(f.waiting().await, [("lab".to_owned(), Some("one".to_owned()), 1)]);
    assert_eq!(f.service.status(&task_id).await.unwrap().status, TaskStatus::Running);
    (f, task_id, worker)
}

#[tokio::test(start_paused = true)]
async fn a_scan_on_a_scanner_nobody_knows_waits_until_it_is_configured_again() {
    let (f, task_id, worker) = with_a_scan_out_of_reach().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    f.replace(vec![pool_of("lab", instance(&f, "one", 1))]);
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_on_a_scanner_nobody_knows_can_be_given_up() {
    let (f, task_id, worker) = with_a_scan_out_of_reach().await;
    f.service.cancel(&task_id, None).await.unwrap();
    let view = f.ended(&task_id).await;
    assert_eq!(view.status, TaskStatus::Cancelled);
    let message = view.error_message.unwrap();
    assert!(message.contains("`one` is not configured any more") && message.contains("may still run"), "{message}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_on_a_scanner_nobody_knows_does_not_wait_for_ever() {
    let (f, task_id, worker) = with_a_scan_out_of_reach().await;
    tokio::time::sleep(Duration::from_secs(1800)).await;
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("unknown_instance")));
    assert_eq!(f.dead_codes().await, ["unknown_instance"]);
    worker.stop().await;
}
