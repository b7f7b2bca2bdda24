//! Scans that take too long, do not move or do not stop.

use super::*;
use crate::scanner::ScannerInterface as _;

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
        let f = fixture_of(2, Duration::from_secs(100 * 3600), Circuits::new(circuits).unwrap());
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
async fn a_scan_that_does_not_move_is_stopped_and_says_in_which_way() {
    let intervals = |count: u64| Duration::from_secs(count * 15);
    let settings = || {
        WorkerSettings::default()
            .with_pending_timeout(intervals(20))
            .with_stall_timeout(intervals(30))
            .with_paused_timeout(intervals(40))
    };
    // The first twentieth of a mock scan is spent pending, and a percent of the last takes longer than it may.
    for (scan, held, code, state) in [
        (intervals(1000), false, "scan_pending", "pending"),
        (intervals(300), true, "scan_paused", "paused"),
        (intervals(3200), false, "scan_stalled", "running"),
    ] {
        let f = fixture_with(2, scan);
        let task_id = f.submit().await;
        let settings = if code == "scan_stalled" { settings().with_pending_timeout(scan) } else { settings() };
        let worker = f.start_with(settings);
        f.wait_for_launch().await;
        if held {
            let id = f.task(&task_id).await.nessus_scan_id.unwrap();
            tokio::time::sleep(intervals(30)).await;
            f.scanner.pause(&id).await.unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..2000 {
            let view = f.service.status(&task_id).await.unwrap();
            if view.status.is_terminal() {
                break;
            }
            seen.push((view.scan_state, view.scan_unchanged_since));
            tokio::time::sleep(intervals(1)).await;
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
