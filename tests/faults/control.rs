//! Rows 16 to 23: calls that the scanner refuses, because of what it is or where the scan stands.

use std::time::Duration;

use nessus_mcp_lib::{
    error::Classified as _,
    scanner::{ScannerInterface as _, remove_scan},
    task::TaskStatus,
};
use nessus_mcp_tests::sim::{DoubleLaunch, Fault};
use rstest::rstest;

use crate::rig::{Rig, Setup, calls, struck};

#[tokio::test(start_paused = true)]
async fn row_16_scan_disabled() {
    let (message, stats) = Rig::with(Fault::new("scan_disabled").count(0)).await.fails("scanner_forbidden").await;
    assert!(message.contains("This scan is disabled"), "{message}");
    assert_eq!((calls(&stats, "POST /scans/*/launch"), stats.total_launches), (1, 0), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_17_export_in_trial_mode() {
    let rig = Rig::with(Fault::new("trial_mode")).await;
    let task = rig.submit().await;
    let message = rig.failed(&task, "scanner_licence").await;
    assert!(message.contains("trial mode"), "{message}");
    assert_eq!(calls(&rig.sim.stats(), "POST /scans/*/export"), 1);
    let scan = rig.view(&task).await.nessus_scan_id.unwrap();
    let hosts = rig.scanner.hosts(&scan).await.unwrap();
    assert_eq!(hosts.len(), 4);
    let stats = rig.close_client().await;
    assert_eq!((stats.scans, stats.deletes), (1, 0), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_18_scan_deleted_by_somebody() {
    let (message, stats) = Rig::with(Fault::new("scan_deleted").skip(3)).await.fails("scan_vanished").await;
    assert!(message.contains("not found on the scanner"), "{message}");
    assert!(calls(&stats, "GET /scans") >= 2, "the list was asked too: {stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_18_scan_that_only_seems_to_be_gone() {
    let stats = Rig::with(Fault::new("details_not_found").skip(3).count(2)).await.completes().await;
    assert_eq!(struck(&stats, "details_not_found"), 2);
}

#[rstest]
#[case::not_found("delete_not_found")]
#[case::deleted_by_somebody("deleted_before_delete")]
#[tokio::test(start_paused = true)]
async fn row_19_scan_to_be_deleted_is_gone(#[case] fault: &str) {
    let rig = Rig::with(Fault::new(fault)).await;
    let scan = rig.create().await;
    rig.scanner.delete(&scan).await.unwrap();
    assert_eq!(struck(&rig.close_client().await, fault), 1);
}

#[rstest]
#[case::not_found("stop_not_found", true)]
#[case::deleted_by_somebody("deleted_before_stop", false)]
#[tokio::test(start_paused = true)]
async fn row_19_scan_to_be_stopped_is_gone(#[case] fault: &str, #[case] is_there: bool) {
    let rig = Rig::with(Fault::new(fault)).await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.service.cancel(&task, None).await.unwrap();
    let view = rig.ended(&task).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Cancelled, Some("cancelled")));
    assert_eq!(view.results_available, is_there, "{view:#?}");
    assert_eq!(rig.close().await.running, 0);
}

#[rstest]
#[case::runs_already("launched_by_somebody")]
#[case::does_not_run("launch_conflict")]
#[tokio::test(start_paused = true)]
async fn row_20_launch_conflict(#[case] fault: &str) {
    let rig = Rig::with(Fault::new(fault)).await;
    let task = rig.submit().await;
    rig.completed(&task).await;
    let stats = rig.close().await;
    assert_eq!((struck(&stats, fault), stats.max_running, stats.total_creates), (1, 1, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_20_second_launch_that_is_taken() {
    let rig = Setup::new().sim(|sim| sim.double_launch(DoubleLaunch::Ignored)).start().await;
    rig.sim.inject("launched_by_somebody");
    let task = rig.submit().await;
    rig.completed(&task).await;
    assert_eq!(rig.close().await.max_running, 1);
}

#[tokio::test(start_paused = true)]
async fn row_21_stop_of_a_scan_that_has_completed() {
    let rig = Rig::with(Fault::new("ended_before")).await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.service.cancel(&task, None).await.unwrap();
    // It was faster than the wish to stop it.
    rig.completed(&task).await;
    assert_eq!(calls(&rig.close().await, "POST /scans/*/stop"), 1);
}

#[tokio::test(start_paused = true)]
async fn row_21_stop_that_is_refused_once() {
    let rig = Rig::with(Fault::new("not_active")).await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.service.cancel(&task, None).await.unwrap();
    assert_eq!(rig.ended(&task).await.status, TaskStatus::Cancelled);
    assert_eq!(calls(&rig.close().await, "POST /scans/*/stop"), 2);
}

#[tokio::test(start_paused = true)]
async fn row_21_pause_and_resume_of_a_scan_that_has_ended() {
    let rig = Setup::new().start().await;
    let task = rig.submit().await;
    let scan = rig.completed(&task).await.nessus_scan_id.unwrap();
    rig.scanner.pause(&scan).await.unwrap();
    rig.scanner.resume(&scan).await.unwrap();
    rig.scanner.stop(&scan).await.unwrap();
    rig.scanner.kill(&scan).await.unwrap();
    let idle = rig.create().await;
    let refused = rig.scanner.pause(&idle).await.unwrap_err();
    assert_eq!(refused.code(), "scanner_conflict");
    rig.close_client().await;
}

#[rstest]
#[case::it_runs("launched_before_delete")]
#[case::it_does_not("delete_conflict")]
#[tokio::test(start_paused = true)]
async fn row_22_delete_of_an_active_scan(#[case] fault: &str) {
    let rig = Rig::with(Fault::new(fault)).await;
    let scan = rig.create().await;
    remove_scan(rig.scanner.as_ref(), &scan, Duration::from_secs(60)).await.unwrap();
    let stats = rig.close_client().await;
    assert_eq!((struck(&stats, fault), stats.scans, stats.running, stats.deletes), (1, 0, 0, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_23_export_while_a_report_is_being_made() {
    let stats = Rig::with(Fault::new("export_conflict").count(3)).await.completes().await;
    assert_eq!((calls(&stats, "POST /scans/*/export"), stats.exports), (4, 1), "{stats:#?}");
}
