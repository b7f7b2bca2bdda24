//! Cancels: of a task that waits, that runs, and whose worker comes later.

use super::*;
use crate::{error::Classified, queue::EntryState, service::ServiceError};

/// The end of a task is counted by whoever writes it, and by nobody else.
const CANCELLED_ONCE: &str = "nessus_scans_total{scan_type=\"untrusted\",status=\"cancelled\"} 1\n";

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_is_cancelled_at_once_and_never_run() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let view = f.service.cancel(&task_id, Some(" wrong network ")).await.unwrap();
    assert_eq!((view.status, view.next_poll_seconds), (TaskStatus::Cancelled, None));
    assert_eq!(f.service.queue().state_of(&pool(), &task_id).await.unwrap(), None);
    let again = f.service.cancel(&task_id, None).await.unwrap();
    assert_eq!(again.status, TaskStatus::Cancelled);
    let task = f.task(&task_id).await;
    assert_eq!(task.error_message.as_deref(), Some("cancelled on request: wrong network"));
    assert_eq!(task.history.len(), 1);

    let worker = f.start();
    let other = f.submit().await;
    assert_eq!(f.ended(&other).await.status, TaskStatus::Completed);
    assert_eq!(f.scanner.creates(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_cancelled_between_claim_and_start_is_not_run() {
    let f = fixture(2);
    let task_id = f.submit().await;
    // As if the queue could not be told: the entry is still there when the worker comes.
    f.service.cancel(&task_id, None).await.unwrap();
    let body = crate::queue::TaskBody::parse(f.task(&task_id).await.queue_entry().to_string()).unwrap();
    f.service.queue().enqueue(&pool(), &body).await.unwrap();
    let worker = f.start();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(f.service.queue().state_of(&pool(), &task_id).await.unwrap(), None);
    assert_eq!((f.scanner.creates(), f.task(&task_id).await.status), (0, TaskStatus::Cancelled));
    assert!(f.service.metrics().render().unwrap().contains(CANCELLED_ONCE));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_running_scan_is_stopped_and_what_it_found_is_kept() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_progress(&task_id).await;
    let view = f.service.cancel(&task_id, Some("enough")).await.unwrap();
    assert_eq!((view.status, view.next_poll_seconds.is_some()), (TaskStatus::Running, true));
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.error_code.as_deref()), (TaskStatus::Cancelled, Some("cancelled")));
    assert_eq!(ended.error_message.as_deref(), Some("cancelled on request: enough"));
    assert!(ended.results_available && ended.progress < Some(100));
    assert!(ended.validation_warnings[0].contains("before it was complete"), "{:?}", ended.validation_warnings);
    assert_eq!((f.scanner.launches(), f.scanner.running(), f.scanner.calls(MockOperation::Stop)), (1, 0, 1));
    let text = f.service.results(ResultsRequest::new(task_id.clone())).await.unwrap();
    assert!(text.contains("\"status\":\"cancelled\"") && text.contains("before it was complete"), "{text}");
    assert!(f.dead_codes().await.is_empty(), "a cancel is no failure");
    assert_eq!(f.service.cancel(&task_id, None).await.unwrap().status, TaskStatus::Cancelled);
    assert!(f.service.metrics().render().unwrap().contains(CANCELLED_ONCE));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_no_worker_sees_is_carried_out_by_the_next() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_progress(&task_id).await;
    worker.stop().await;
    f.service.cancel(&task_id, None).await.unwrap();
    assert_eq!(f.scanner.running(), 1);
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Cancelled);
    assert_eq!((f.scanner.creates(), f.scanner.launches(), f.scanner.running()), (1, 1, 0));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_was_created_and_not_launched_is_taken_off_the_scanner() {
    let f = fixture(2);
    let task_id = f.submit().await;
    for _ in 0..50 {
        f.scanner.fail_next(MockOperation::Launch, unreachable(RequestSent::No));
    }
    let worker = f.start();
    for _ in 0..200 {
        if f.scanner.calls(MockOperation::Launch) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    f.service.cancel(&task_id, None).await.unwrap();
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, f.scanner.launches()), (TaskStatus::Cancelled, 0));
    assert_eq!(f.scanner.calls(MockOperation::Delete), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_another_try_is_cancelled_at_once() {
    let f = fixture(2);
    let task_id = f.submit().await;
    for _ in 0..50 {
        f.scanner.fail_next(MockOperation::Create, unreachable(RequestSent::No));
    }
    let worker = f.start();
    for _ in 0..200 {
        if f.service.queue().state_of(&pool(), &task_id).await.unwrap() == Some(EntryState::Delayed) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(f.task(&task_id).await.status, TaskStatus::Running);
    let view = f.service.cancel(&task_id, None).await.unwrap();
    assert_eq!((view.status, view.message.as_str()), (TaskStatus::Cancelled, "the scan was cancelled before it began"));
    assert_eq!(f.service.queue().state_of(&pool(), &task_id).await.unwrap(), None);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whichever_comes_first_a_cancel_or_the_end_decides() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_progress(&task_id).await;
    // The stop is refused until the scan is complete.
    for _ in 0..500 {
        f.scanner.fail_next(MockOperation::Stop, unreachable(RequestSent::No));
    }
    f.service.cancel(&task_id, None).await.unwrap();
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.progress), (TaskStatus::Completed, Some(100)));
    let error = f.service.cancel(&task_id, None).await.unwrap_err();
    assert_eq!(error.code(), "already_ended");
    assert!(matches!(error, ServiceError::AlreadyEnded { status: TaskStatus::Completed, .. }));
    worker.stop().await;
}
