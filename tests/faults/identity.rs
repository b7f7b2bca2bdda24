//! Rows 39 and 52 to 55: which scan is whose, whatever names, clocks and workers do.

use std::time::Duration;

use nessus_mcp_lib::task::{ScanType, TaskStatus};
use nessus_mcp_tests::sim::Fault;
use rstest::rstest;

use crate::{
    rig::{Rig, Setup, calls, struck},
    secrets,
};

#[rstest]
#[case::refused("logins_fail", "failed")]
#[case::too_few_rights("logins_lack_privilege", "partial")]
#[tokio::test(start_paused = true)]
async fn row_39_login_on_the_targets_fails(#[case] fault: &str, #[case] verdict: &str) {
    let rig = Setup::new().start().await;
    rig.sim.inject(Fault::new(fault));
    let task = rig.submit_with(ScanType::Privileged, secrets::by_password()).await;
    let view = rig.completed(&task).await;
    assert_eq!(view.authentication_status.as_deref(), Some(verdict), "{view:#?}");
    assert!(!view.validation_warnings.is_empty(), "{view:#?}");
    rig.close().await;
}

#[tokio::test(start_paused = true)]
async fn row_52_twin_of_a_scan_whose_create_was_lost() {
    let rig = Rig::with(Fault::new("create_lost")).await;
    rig.sim.inject("twin_scan");
    let task = rig.submit().await;
    let message = rig.failed(&task, "ambiguous_scan").await;
    assert!(message.contains("2 scans carry the marker"), "{message}");
    let stats = rig.close().await;
    assert_eq!((stats.total_creates, stats.total_launches), (1, 0), "neither is taken by chance: {stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_52_twin_in_the_trash() {
    let rig = Rig::with(Fault::new("create_lost")).await;
    rig.sim.inject("twin_in_trash");
    let stats = rig.completes().await;
    assert_eq!((calls(&stats, "POST /scans"), stats.scans), (1, 2), "{stats:#?}");
}

#[rstest]
#[case::twin(Fault::new("twin_scan"))]
#[case::trash(Fault::new("moved_to_trash").skip(3))]
#[tokio::test(start_paused = true)]
async fn row_52_scan_that_is_known_by_its_id(#[case] fault: Fault) {
    assert_eq!(Rig::with(fault).await.completes().await.faults.len(), 1);
}

/// Where a worker dies: while the answer to a call is on its way that has just been acted upon.
#[rstest]
#[case::during_the_create("create_timeout")]
#[case::during_the_launch("launch_timeout")]
#[case::before_the_launch("latency")]
#[tokio::test(start_paused = true)]
async fn row_53_worker_that_dies(#[case] fault: &str) {
    let mut rig = Setup::new().worker(|settings| settings.with_lease(Duration::from_secs(60))).start().await;
    let delayed = Fault::new(fault).delay(Duration::from_millis(400));
    // The first look at the new scan comes before its launch.
    rig.sim.inject(if fault == "latency" { delayed.method("GET").path("/scans/*") } else { delayed });
    let task = rig.submit().await;
    rig.until("the call is under way", async || (struck(&rig.sim.stats(), fault) == 1).then_some(())).await;
    assert_eq!(rig.view(&task).await.status, TaskStatus::Running);
    rig.crash_worker().await;
    let before = rig.sim.stats();
    assert_eq!((before.total_creates, before.total_launches), (1, u64::from(fault == "launch_timeout")), "{before:#?}");
    rig.completes_as(&task).await;
}

#[tokio::test(start_paused = true)]
async fn row_54_two_tasks_and_a_client_that_is_logged_out() {
    let rig = Setup::new().start().await;
    for requests in [8, 14, 20, 26] {
        rig.sim.inject(Fault::new("client_logged_out").skip(requests));
    }
    let (one, two) = (rig.submit().await, rig.submit_for("192.0.2.9").await);
    rig.completed(&one).await;
    rig.completed_with(&two, 1).await;
    let stats = rig.close().await;
    assert_eq!(
        (stats.total_creates, stats.total_launches, struck(&stats, "client_logged_out")),
        (2, 2, 4),
        "{stats:#?}"
    );
    assert!(stats.logins <= 5, "one login for each time: {stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_54_closed_client_that_is_used_again() {
    let rig = Setup::new().start().await;
    let task = rig.submit().await;
    rig.running(&task).await;
    nessus_mcp_lib::ScannerInterface::close(rig.scanner.as_ref()).await;
    rig.completed(&task).await;
    let stats = rig.close().await;
    assert_eq!((stats.logins, stats.logouts), (2, 2), "{stats:#?}");
}

#[rstest]
#[case::behind("clock_skew", "-7200")]
#[case::ahead("clock_skew", "7200")]
#[case::zero("timestamps_zero", "")]
#[case::texts("timestamps_as_strings", "")]
#[tokio::test(start_paused = true)]
async fn row_55_clock_of_the_scanner(#[case] fault: &str, #[case] text: &str) {
    let rig = Rig::with(if text.is_empty() { Fault::new(fault) } else { Fault::new(fault).text(text) }).await;
    rig.sim.inject("create_lost");
    rig.sim.inject("launch_lost");
    let stats = rig.completes().await;
    assert_eq!((calls(&stats, "POST /scans"), calls(&stats, "POST /scans/*/launch")), (1, 1), "{stats:#?}");
}
