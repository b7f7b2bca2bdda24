//! Tasks that have started, where no new scan may begin: their scans are watched, stopped and ended all the same.

use super::*;
use crate::{circuit_breaker::CircuitCommand, queue::SlotOutcome};

const MINUTE: Duration = Duration::from_secs(60);

impl Fixture {
    /// A task whose scan runs and that no worker holds.
    async fn handed_back(&self) -> TaskId {
        let task_id = self.submit().await;
        let worker = self.start();
        self.wait_for_launch().await;
        worker.stop().await;
        assert_eq!(self.scanner.running(), 1);
        task_id
    }

    async fn isolate(&self) {
        self.service.command_circuit("lab", "one", CircuitCommand::Isolate, "maintenance").await.unwrap();
    }

    async fn pause(&self) {
        self.service.queue().pause_pool(&pool(), "maintenance").await.unwrap();
    }

    async fn is_held(&self, task_id: &TaskId) -> bool {
        let leases = self.service.queue().leases(&pool()).await.unwrap();
        leases.iter().any(|held| held.lease.task_id == *task_id)
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_watched_to_its_end_while_its_pool_is_paused() {
    let f = fixture(1);
    let task_id = f.handed_back().await;
    f.pause().await;
    let waits = f.submit().await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    tokio::time::sleep(10 * MINUTE).await;
    let view = f.service.status(&waits).await.unwrap();
    let paused = Some("the pool `lab` is paused: maintenance");
    assert_eq!((view.status, view.waiting_for.as_deref()), (TaskStatus::Queued, paused));
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    f.service.queue().resume_pool(&pool()).await.unwrap();
    assert_eq!(f.ended(&waits).await.status, TaskStatus::Completed);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_workers_scan_is_cancelled_while_its_pool_is_paused() {
    let f = fixture_with(1, 600 * MINUTE);
    let task_id = f.submit().await;
    let dead = f.start();
    f.wait_for_launch().await;
    dead.worker.abort();
    f.pause().await;
    f.service.cancel(&task_id, None).await.unwrap();
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Cancelled);
    assert_eq!(f.scanner.running(), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_on_a_scanner_that_is_left_alone_is_in_a_workers_hands() {
    let f = fixture(1);
    let task_id = f.handed_back().await;
    f.isolate().await;
    let worker = f.start();
    tokio::time::sleep(MINUTE).await;
    assert!(f.is_held(&task_id).await);
    tokio::time::sleep(10 * MINUTE).await;
    assert!(f.is_held(&task_id).await, "its worker keeps it");
    f.service.command_circuit("lab", "one", CircuitCommand::Close, "done").await.unwrap();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn time_ends_a_task_also_where_its_scanner_is_left_alone() {
    let f = fixture_with(1, 600 * MINUTE);
    let task_id = f.handed_back().await;
    f.isolate().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(5 * MINUTE));
    // It is tried for half an hour to stop it.
    tokio::time::sleep(20 * MINUTE).await;
    let view = f.ended(&task_id).await;
    assert_eq!(view.error_code.as_deref(), Some("scan_timeout"));
    assert!(view.error_message.unwrap().contains("may still run there"));
    worker.stop().await;
}

/// It runs there whatever the slots say; but no new scan is started meanwhile.
#[tokio::test(start_paused = true)]
async fn a_scan_whose_slot_was_given_away_is_watched_all_the_same() {
    let f = fixture(1);
    let task_id = f.handed_back().await;
    let (one, other) = (InstanceId::new("one").unwrap(), "ne_lab_20251201_143022_00000001".parse().unwrap());
    f.service.queue().release_slot(&pool(), &one, &task_id).await.unwrap();
    let taken = f.service.queue().acquire_slot(&pool(), &one, &other, 1, 600 * MINUTE).await.unwrap();
    assert_eq!(taken, SlotOutcome::Acquired);
    let waits = f.submit().await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!(f.service.status(&waits).await.unwrap().status, TaskStatus::Queued);
    f.service.queue().release_slot(&pool(), &one, &other).await.unwrap();
    assert_eq!(f.ended(&waits).await.status, TaskStatus::Completed);
    worker.stop().await;
}

/// Its time runs, so it is looked at; but a pause forbids the scan that it would begin.
#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_another_try_begins_no_scan_while_its_pool_is_paused() {
    let f = fixture(1);
    f.scanner.fail_next(MockOperation::Create, unreachable(RequestSent::No));
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_call(MockOperation::Create).await;
    f.pause().await;
    tokio::time::sleep(30 * MINUTE).await;
    assert_eq!((f.scanner.calls(MockOperation::Create), f.scanner.creates()), (1, 0));
    assert_eq!(f.service.status(&task_id).await.unwrap().status, TaskStatus::Running);
    worker.stop().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(31 * MINUTE));
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Timeout, Some("scan_timeout")));
    assert_eq!(f.scanner.calls(MockOperation::Create), 1);
    worker.stop().await;
}

/// Nobody knows whether its scan was created: its scanner is asked as soon as it can be, but not for ever.
#[tokio::test(start_paused = true)]
async fn a_cancel_ends_also_where_nobody_can_tell_whether_there_is_a_scan() {
    let f = fixture(1);
    f.scanner.fail_next(MockOperation::Create, unreachable(RequestSent::Maybe));
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_call(MockOperation::Create).await;
    f.isolate().await;
    let cancelled_at = Instant::now();
    assert_eq!(f.service.cancel(&task_id, None).await.unwrap().status, TaskStatus::Running);
    let view = f.ended(&task_id).await;
    assert_eq!(view.status, TaskStatus::Cancelled);
    assert!(view.error_message.unwrap().contains("on `one` could not be found out"));
    assert!(cancelled_at.elapsed() >= 30 * MINUTE, "it was waited for the scanner");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_the_queue_has_forgotten_is_watched_while_its_pool_is_paused() {
    let f = fixture(1);
    let task_id = f.handed_back().await;
    assert_eq!(f.service.queue().remove(&pool(), &task_id).await.unwrap(), RemoveOutcome::Removed);
    f.pause().await;
    tokio::time::sleep(MINUTE).await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    worker.stop().await;
}
