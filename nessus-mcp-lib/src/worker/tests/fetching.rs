//! Results that cannot be fetched for now, or only in part.

use super::*;

/// What cannot be had of one scan is asked for less and less often, takes no slot from others, and ends with the reason. The
/// scan stays where it is, and a retry fetches them when the fault is fixed.
#[tokio::test(start_paused = true)]
async fn results_that_cannot_be_had_burden_nobody_and_end_the_task() {
    let circuits = CircuitSettings::default().with_open_time(Duration::from_secs(1), Duration::from_secs(2));
    let f = fixture_of(1, SCAN, Circuits::new(circuits).unwrap());
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
    let f = fixture_of(1, SCAN, Circuits::new(circuits).unwrap());
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
