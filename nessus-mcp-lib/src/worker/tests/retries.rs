//! Retries: which scan they go on with, and what becomes of the dead letter.

use super::*;
use crate::{
    error::Classified,
    queue::{EntryState, Settlement},
};

/// A scan that could not be stopped, on one of two scanners.
async fn left_running() -> (Fixture, TaskId, Arc<MockScanner>, Arc<MockScanner>) {
    let circuits = CircuitSettings::default().with_open_time(Duration::from_secs(1), Duration::from_secs(2));
    let long = Duration::from_secs(3000);
    let (f, other) = with_another_scanner(fixture_of(2, long, Circuits::new(circuits).unwrap()), long);
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(Duration::from_secs(300)));
    f.wait_until(|| f.scanner.launches() + other.launches() > 0, "nothing was launched").await;
    let (busy, idle) = if f.scanner.launches() > 0 { (f.scanner.clone(), other) } else { (other, f.scanner.clone()) };
    for _ in 0..20_000 {
        busy.fail_next(MockOperation::Stop, unreachable(RequestSent::No));
        busy.fail_next(MockOperation::Kill, unreachable(RequestSent::No));
    }
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(f.ended(&task_id).await.error_code.as_deref(), Some("scan_timeout"));
    worker.stop().await;
    assert_eq!((busy.running(), f.task(&task_id).await.open_scans.len()), (1, 1));
    (f, task_id, busy, idle)
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_back_to_the_scanner_on_which_its_scan_may_run() {
    let (f, task_id, busy, idle) = left_running().await;
    for _ in 0..20_000 {
        busy.fail_next(MockOperation::Status, unreachable(RequestSent::No));
    }
    let view = f.service.retry(&task_id).await.unwrap();
    assert!(view.message.contains("is stopped first"), "{view:?}");
    let worker = f.start();
    // Longer than all tries of a task that has started nothing.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let waits = f.service.status(&task_id).await.unwrap();
    assert!(!waits.status.is_terminal(), "{waits:?}");
    assert!(waits.waiting_for.as_ref().unwrap().contains("of attempt 1 may still run on the scanner"), "{waits:?}");
    assert_eq!((busy.running(), idle.creates()), (1, 0), "the other scanner must not run it as well");
    busy.forget_faults();
    // A try that has failed many times comes minutes later.
    for _ in 0..2000 {
        if busy.launches() + idle.launches() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(busy.launches() + idle.launches(), 2);
    assert_eq!(busy.running() + idle.running(), 1, "the first has ended before the second begins");
    tokio::time::sleep(Duration::from_secs(2000)).await;
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert!(f.task(&task_id).await.open_scans.is_empty());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_retry_stops_the_scan_of_the_attempt_before() {
    let (f, task_id, busy, idle) = left_running().await;
    busy.forget_faults();
    f.service.retry(&task_id).await.unwrap();
    assert_eq!(f.service.cancel(&task_id, None).await.unwrap().status, TaskStatus::Queued);
    // No new scan may begin, and this is none.
    f.service.queue().pause_pool(&pool(), "maintenance").await.unwrap();
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Cancelled);
    assert_eq!((busy.running(), busy.launches() + idle.launches()), (0, 1));
    worker.stop().await;
}

/// Nothing was said against the scan, so that the next attempt goes on with it.
#[tokio::test(start_paused = true)]
async fn a_retry_goes_on_with_a_scan_that_runs_or_is_complete() {
    for waits in [Duration::ZERO, SCAN * 2] {
        let f = fixture(2);
        let task_id = f.submit().await;
        let worker = f.start();
        f.wait_for_progress(&task_id).await;
        worker.stop().await;
        let fail = |task: &mut Task| task.status = TaskStatus::Failed;
        f.service.tasks().update(&task_id, Writer::Api, fail).await.unwrap();
        tokio::time::sleep(waits).await;
        let view = f.service.retry(&task_id).await.unwrap();
        assert!(view.message.contains("goes on with the scan"), "{view:?}");
        let worker = f.start();
        let ended = f.ended(&task_id).await;
        assert_eq!((ended.status, ended.attempt), (TaskStatus::Completed, 2), "{ended:?}");
        assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_a_new_scan_with_a_history_and_without_a_dead_letter() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(SCAN / 2));
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Timeout);
    worker.stop().await;
    let view = f.service.retry(&task_id).await.unwrap();
    assert_eq!((view.status, view.attempt), (TaskStatus::Queued, 2));
    assert!(f.dead_codes().await.is_empty());
    assert_eq!(f.service.queue().state_of(&pool(), &task_id).await.unwrap(), Some(EntryState::Ready));
    assert!(!f.service.status(&task_id).await.unwrap().results_available, "those of the first attempt are gone");
    let twice = f.service.retry(&task_id).await.unwrap_err();
    assert_eq!(twice.code(), "not_retryable");

    let worker = f.start();
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.attempt), (TaskStatus::Completed, 2));
    let steps: Vec<_> = f.task(&task_id).await.history.iter().map(|entry| entry.to.as_str()).collect();
    assert_eq!(steps, ["running", "timeout", "queued", "running", "completed"]);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (2, 2));
    assert_eq!(f.service.retry(&task_id).await.unwrap_err().code(), "not_retryable");
    worker.stop().await;
}

/// The file says `failed` before the queue has heard of it. What comes in between must not be lost, whoever holds the task:
/// the worker that failed it, or the next one, which has read the file and is about to write the dead letter.
#[tokio::test(start_paused = true)]
async fn a_retry_between_the_file_and_the_queue_is_not_lost() {
    for (lease, next_reads) in [(Duration::from_secs(600), false), (Duration::from_secs(1), true)] {
        let f = fixture(2);
        let task_id = f.submit().await;
        let slow = crate::ids::WorkerId::new("slow").unwrap();
        let mut claim = f.service.queue().claim(&pool(), &slow, lease, &[]).await.unwrap().expect("the task");
        let fail = |task: &mut Task| {
            task.status = TaskStatus::Failed;
            task.error_code = Some("scan_aborted".to_owned());
        };
        f.service.tasks().update(&task_id, Writer::Worker(claim.lease.fence), fail).await.unwrap();
        if next_reads {
            tokio::time::sleep(lease * 2).await;
            claim = f.service.queue().claim(&pool(), &slow, SCAN, &[]).await.unwrap().expect("the task");
        }
        let view = f.service.retry(&task_id).await.unwrap();
        assert_eq!((view.status, view.attempt), (TaskStatus::Queued, 2));
        assert_eq!(f.service.queue().state_of(&pool(), &task_id).await.unwrap(), Some(EntryState::Ready));
        let dead = Settlement::DeadLetter(crate::queue::DeadReason::new("aborted", "scan_aborted", 1));
        let late = f.service.queue().settle(&claim.lease, dead).await.unwrap();
        assert_eq!(late, crate::queue::SettleOutcome::LeaseLost);
        assert!(f.dead_codes().await.is_empty(), "it lives");
        let worker = f.start();
        assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_after_a_retry_between_the_file_and_the_queue_leaves_nothing_behind() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let slow = crate::ids::WorkerId::new("slow").unwrap();
    let claim = f.service.queue().claim(&pool(), &slow, SCAN, &[]).await.unwrap().expect("the task");
    let fail = |task: &mut Task| task.status = TaskStatus::Failed;
    f.service.tasks().update(&task_id, Writer::Worker(claim.lease.fence), fail).await.unwrap();
    f.service.retry(&task_id).await.unwrap();
    assert_eq!(f.service.cancel(&task_id, None).await.unwrap().status, TaskStatus::Cancelled);
    assert_eq!(f.service.queue().state_of(&pool(), &task_id).await.unwrap(), None);
    f.service.queue().settle(&claim.lease, Settlement::Ack).await.unwrap();
    assert_eq!(f.service.queue().stats(&pool()).await.unwrap().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn attempts_have_a_maximum() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(Duration::from_secs(1)));
    for attempt in 1..5 {
        assert_eq!(f.ended(&task_id).await.attempt, attempt);
        f.service.retry(&task_id).await.unwrap();
    }
    assert_eq!(f.ended(&task_id).await.attempt, 5);
    let error = f.service.retry(&task_id).await.unwrap_err();
    assert!(error.to_string().contains("started 5 times"), "{error}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn old_dead_letters_are_archived_before_they_are_removed() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(Duration::from_secs(1)));
    f.ended(&task_id).await;
    worker.stop().await;
    let before = f.service.clock().now();
    let young = f.service.purge_dead(&pool(), before.minus(Duration::from_secs(3600))).await.unwrap();
    assert_eq!((young.archived, young.removed), (0, 0));
    let purged = f.service.purge_dead(&pool(), before.plus(Duration::from_secs(1))).await.unwrap();
    assert_eq!((purged.archived, purged.removed), (1, 1));
    assert!(f.dead_codes().await.is_empty());
    let archive: Vec<_> =
        std::fs::read_dir(f.directory.path().join("archive")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(archive.len(), 1);
    assert!(archive[0].file_name().to_str().unwrap().starts_with(&format!("dead_{task_id}_")), "{archive:?}");
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(archive[0].path()).unwrap()).unwrap();
    assert_eq!(document["task"]["status"], "timeout");
    assert_eq!(document["dead_letter"]["error_code"], "scan_timeout");
    assert_eq!(f.task(&task_id).await.status, TaskStatus::Timeout, "the task stays");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_cut_short_leaves_no_dead_letter() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(Duration::from_secs(1)));
    f.ended(&task_id).await;
    worker.stop().await;
    // The process died after the file was written and before the queue was told.
    f.service.tasks().retry(&task_id, crate::task::Charges::default(), None).await.unwrap();
    assert_eq!(f.dead_codes().await, ["scan_timeout"]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert!(f.dead_codes().await.is_empty());
    worker.stop().await;
}
