//! Cancels, timeouts and retries, against a worker that runs, that does not, and that comes later.

use super::*;
use crate::{
    error::Classified,
    queue::{EntryState, Settlement},
    scanner::ScannerInterface as _,
    service::ServiceError,
};

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
}

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

#[tokio::test(start_paused = true)]
async fn a_scan_that_takes_too_long_keeps_what_it_found() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(SCAN / 2));
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.results_available), (TaskStatus::Timeout, true));
    assert!(ended.validation_stats.unwrap()["items"].as_u64() > Some(0));
    assert_eq!(f.dead_codes().await, ["scan_timeout"]);
    assert_eq!(f.scanner.running(), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_cannot_be_stopped_ends_its_task_which_says_so() {
    for operation in [MockOperation::Stop, MockOperation::Status] {
        // Short, so that the scanner is tried again soon when it is back.
        let circuits = CircuitSettings::default().with_open_time(Duration::from_secs(1), Duration::from_secs(2));
        let f = fixture_of(2, Duration::from_secs(100 * 3600), Circuits::new(circuits));
        let task_id = f.submit().await;
        let worker = f.start_with(WorkerSettings::default().with_scan_timeout(Duration::from_secs(300)));
        f.wait_for_launch().await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        for _ in 0..20_000 {
            f.scanner.fail_next(operation, unreachable(RequestSent::No));
            f.scanner.fail_next(MockOperation::Kill, unreachable(RequestSent::No));
        }
        tokio::time::sleep(Duration::from_secs(1000)).await;
        let ended = f.ended(&task_id).await;
        assert_eq!((ended.status, ended.error_code.as_deref()), (TaskStatus::Timeout, Some("scan_timeout")));
        let said = format!("{:?} {:?}", ended.error_message, ended.validation_warnings);
        assert_eq!(said.matches("may still run there").count(), 2, "{said}");
        let is_stopped = operation == MockOperation::Status;
        assert_eq!(f.scanner.running(), usize::from(!is_stopped), "stopped, but nobody could see it");
        worker.stop().await;

        // The scanner is back: the next attempt does not run beside the first.
        f.scanner.forget_faults();
        f.service.retry(&task_id).await.unwrap();
        let worker = f.start();
        // Its circuit may be open still.
        for _ in 0..20_000 {
            if f.scanner.launches() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!((f.scanner.launches(), f.scanner.running()), (2, 1));
        worker.stop().await;
    }
}

/// A scan that could not be stopped, on one of two scanners.
async fn left_running() -> (Fixture, TaskId, Arc<MockScanner>, Arc<MockScanner>) {
    let circuits = CircuitSettings::default().with_open_time(Duration::from_secs(1), Duration::from_secs(2));
    let long = Duration::from_secs(3000);
    let (f, other) = with_another_scanner(fixture_of(2, long, Circuits::new(circuits)), long);
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

/// What cannot be had of one scan is asked for less and less often, takes no slot from others, and ends with the reason. The
/// scan stays where it is, and a retry fetches what has been mended meanwhile.
#[tokio::test(start_paused = true)]
async fn results_that_cannot_be_had_burden_nobody_and_end_the_task() {
    let circuits = CircuitSettings::default().with_open_time(Duration::from_secs(1), Duration::from_secs(2));
    let f = fixture_of(1, SCAN, Circuits::new(circuits));
    for _ in 0..1000 {
        f.scanner.fail_next(MockOperation::Export, ScannerError::Truncated("the file was lost each time".to_owned()));
    }
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_call(MockOperation::Export).await;
    let other = f.submit().await;
    f.wait_until(|| f.scanner.launches() == 2, "the only slot is not free").await;
    let view = f.service.status(&task_id).await.unwrap();
    let told = view.last_error.unwrap();
    assert_eq!((view.scan_state.as_deref(), told.step.as_str()), (Some("completed"), "results"));
    assert!(view.waiting_for.unwrap().contains("lost each time"));
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(f.service.status(&task_id).await.unwrap().status, TaskStatus::Running, "half an hour is no reason");
    tokio::time::sleep(Duration::from_secs(1800)).await;
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.error_code.as_deref()), (TaskStatus::Failed, Some("export_truncated")));
    let (scan, message) = (ended.nessus_scan_id.unwrap(), ended.error_message.unwrap());
    assert!(message.contains(&format!("the scan {scan} is kept on the scanner `one`")), "{message}");
    // Those of the other scan among them.
    let exports = f.scanner.calls(MockOperation::Export);
    assert!((10..60).contains(&exports), "{exports}");

    f.scanner.forget_faults();
    for task_id in [task_id, other] {
        f.service.retry(&task_id).await.unwrap();
        assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    }
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (2, 2), "nothing was scanned again");
    worker.stop().await;
}

/// A scanner that is away says nothing about the results it has.
#[tokio::test(start_paused = true)]
async fn results_are_waited_for_while_their_scanner_is_away() {
    let circuits = CircuitSettings::default().with_open_time(Duration::from_secs(60), Duration::from_secs(60));
    let f = fixture_of(1, SCAN, Circuits::new(circuits));
    f.scanner.fail_next(MockOperation::Export, ScannerError::Truncated("cut".to_owned()));
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_call(MockOperation::Export).await;
    for _ in 0..20_000 {
        f.scanner.fail_next(MockOperation::Status, unreachable(RequestSent::No));
    }
    tokio::time::sleep(Duration::from_secs(7200)).await;
    f.scanner.forget_faults();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!(f.scanner.launches(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_stop_survives_the_worker() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let limit = WorkerSettings::default().with_scan_timeout(SCAN / 2);
    let worker = f.start_with(limit.clone());
    // The scan is stopped, and its results cannot be fetched before the worker goes.
    for _ in 0..3 {
        f.scanner.fail_next(MockOperation::Export, unreachable(RequestSent::No));
    }
    for _ in 0..2000 {
        if f.scanner.calls(MockOperation::Stop) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    worker.stop().await;
    assert_eq!(f.task(&task_id).await.status, TaskStatus::Running);
    let worker = f.start_with(limit);
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.results_available), (TaskStatus::Timeout, true), "{ended:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn partial_results_are_worth_several_tries_and_their_loss_is_said() {
    for (faults, kept) in [(5, true), (100, false)] {
        let f = fixture(2);
        let task_id = f.submit().await;
        let worker = f.start();
        f.wait_for_progress(&task_id).await;
        for _ in 0..faults {
            f.scanner.fail_next(MockOperation::Export, unreachable(RequestSent::No));
        }
        f.service.cancel(&task_id, None).await.unwrap();
        let ended = f.ended(&task_id).await;
        assert_eq!((ended.status, ended.results_available), (TaskStatus::Cancelled, kept), "{ended:?}");
        let lost = ended.validation_warnings.iter().any(|warning| warning.contains("could not be kept"));
        assert_eq!(lost, !kept, "{ended:?}");
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
        let mut claim = f.service.queue().claim(&pool(), &slow, lease).await.unwrap().expect("the task");
        let fail = |task: &mut Task| {
            task.status = TaskStatus::Failed;
            task.error_code = Some("scan_aborted".to_owned());
        };
        f.service.tasks().update(&task_id, Writer::Worker(claim.lease.fence), fail).await.unwrap();
        if next_reads {
            tokio::time::sleep(lease * 2).await;
            claim = f.service.queue().claim(&pool(), &slow, SCAN).await.unwrap().expect("the task");
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
    let claim = f.service.queue().claim(&pool(), &slow, SCAN).await.unwrap().expect("the task");
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
    assert!(error.to_string().contains("begun 5 times"), "{error}");
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
async fn the_wait_is_estimated_from_what_scans_took() {
    let f = fixture(1);
    let first = f.submit().await;
    assert_eq!(f.service.status(&first).await.unwrap().estimated_wait_seconds, Some(0), "there is a free slot");
    let second = f.submit().await;
    assert_eq!(f.service.status(&second).await.unwrap().estimated_wait_seconds, None, "nothing is known yet");
    let worker = f.start();
    f.ended(&first).await;
    f.ended(&second).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let ids = [f.submit().await, f.submit().await, f.submit().await];
    f.wait_for_progress(&ids[0]).await;
    let waits = [f.service.status(&ids[1]).await.unwrap(), f.service.status(&ids[2]).await.unwrap()];
    let waits = waits.map(|view| Duration::from_secs(view.estimated_wait_seconds.unwrap()));
    // A task that a worker has handed back for want of a slot has no place for a moment.
    let took = f.service.status(&second).await.unwrap().execution_time.unwrap();
    let took = Duration::from_secs_f64(took);
    assert!(
        waits[0] >= SCAN && waits[0] <= took * 2 && waits[0] <= waits[1] && waits[1] <= took * 4,
        "{waits:?} {took:?}"
    );
    f.service.queue().pause_pool(&pool(), "maintenance").await.unwrap();
    assert_eq!(f.service.status(&ids[2]).await.unwrap().estimated_wait_seconds, None);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_cut_short_leaves_no_dead_letter() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(Duration::from_secs(1)));
    f.ended(&task_id).await;
    worker.stop().await;
    // The process died after the file was written and before the queue was told.
    f.service.tasks().retry(&task_id).await.unwrap();
    assert_eq!(f.dead_codes().await, ["scan_timeout"]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert!(f.dead_codes().await.is_empty());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_does_not_move_is_stopped_and_says_in_which_way() {
    let turns = |count: u64| Duration::from_secs(count * 15);
    let settings = || {
        WorkerSettings::default()
            .with_pending_timeout(turns(20))
            .with_stall_timeout(turns(30))
            .with_paused_timeout(turns(40))
    };
    // The first twentieth of a mock scan is spent pending, and a percent of the last takes longer than it may.
    for (scan, held, code, state) in [
        (turns(1000), false, "scan_pending", "pending"),
        (turns(300), true, "scan_paused", "paused"),
        (turns(3200), false, "scan_stalled", "running"),
    ] {
        let f = fixture_with(2, scan);
        let task_id = f.submit().await;
        let settings = if code == "scan_stalled" { settings().with_pending_timeout(scan) } else { settings() };
        let worker = f.start_with(settings);
        f.wait_for_launch().await;
        if held {
            let id = f.task(&task_id).await.nessus_scan_id.unwrap();
            tokio::time::sleep(turns(30)).await;
            f.scanner.pause(&id).await.unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..2000 {
            let view = f.service.status(&task_id).await.unwrap();
            if view.status.is_terminal() {
                break;
            }
            seen.push((view.scan_state, view.scan_unchanged_since));
            tokio::time::sleep(turns(1)).await;
        }
        let ended = f.ended(&task_id).await;
        let last = seen.last().unwrap();
        assert_eq!(last.0.as_deref(), Some(state));
        assert!(seen.iter().filter(|shown| *shown == last).count() >= 15, "nothing has changed for long: {seen:?}");
        assert_eq!((ended.status, ended.error_code.as_deref()), (TaskStatus::Timeout, Some(code)), "{ended:?}");
        assert_eq!((ended.scan_state, f.scanner.running()), (None, 0));
        assert!(ended.results_available, "what was found is kept");
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_does_not_stop_is_killed() {
    let f = fixture_with(2, Duration::from_secs(100 * 3600));
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    for _ in 0..1000 {
        f.scanner.fail_next(MockOperation::Stop, unreachable(RequestSent::Maybe));
    }
    f.service.cancel(&task_id, None).await.unwrap();
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, f.scanner.running()), (TaskStatus::Cancelled, 0));
    assert!(f.scanner.calls(MockOperation::Kill) == 1 && f.scanner.calls(MockOperation::Stop) > 1);
    worker.stop().await;
}
