//! Rows 29 to 39: what can happen to a scan that was launched.

use std::time::Duration;

use nessus_mcp_lib::task::{PausedBy, TaskStatus};
use nessus_mcp_tests::sim::{Edition, Fault};
use rstest::rstest;

use crate::rig::{Rig, Setup, calls, struck};

#[tokio::test(start_paused = true)]
async fn row_29_restart_while_the_scan_runs() {
    let rig = Setup::new().start().await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.sim.inject(Fault::new("restart").delay(Duration::from_millis(300)).lasting(Duration::from_secs(60)));
    let view = rig.ended(&task).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("scan_aborted")), "{view:#?}");
    assert!(view.error_message.unwrap().contains("the scan engine was restarted"));
    assert!(view.results_available && view.validation_warnings[0].contains("before it was complete"));
    let stats = rig.close().await;
    assert_eq!((stats.logins, stats.total_launches), (2, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_29_scanner_that_ends_all_sessions() {
    let stats = Rig::with(Fault::new("must_destroy_session").count(3)).await.completes().await;
    assert_eq!((struck(&stats, "must_destroy_session"), stats.logins), (3, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_30_pending_for_ever() {
    let limit = Duration::from_secs(120);
    let rig = Setup::new().worker(|settings| settings.with_pending_timeout(limit)).start().await;
    rig.sim.inject("stuck_pending");
    let began = rig.now();
    let task = rig.submit().await;
    let view = rig.ended(&task).await;
    assert!(rig.now().since(began) >= limit);
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Timeout, Some("scan_pending")), "{view:#?}");
    let message = view.error_message.unwrap();
    assert!(message.contains("120 seconds") && message.contains("busy") && message.contains("licence"), "{message}");
    let stats = rig.close().await;
    assert_eq!((stats.running, calls(&stats, "POST /scans/*/stop")), (0, 1), "{stats:#?}");
}

#[rstest]
#[case::at_its_start("aborted_at_start", "no plugin of the feed is licensed")]
#[case::later("aborted", "the scan engine was restarted")]
#[tokio::test(start_paused = true)]
async fn row_31_aborted(#[case] fault: &str, #[case] note: &str) {
    let rig = Rig::with(Fault::new(fault)).await;
    let task = rig.submit().await;
    let view = rig.ended(&task).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("scan_aborted")), "{view:#?}");
    assert!(view.error_message.unwrap().contains(note));
    assert_eq!(rig.close().await.total_launches, 1);
}

#[tokio::test(start_paused = true)]
async fn row_32_stuck_at_99_percent() {
    let limit = Duration::from_secs(120);
    let rig = Setup::new().worker(|settings| settings.with_stall_timeout(limit)).start().await;
    rig.sim.inject("stuck_at_99");
    let task = rig.submit().await;
    let view = rig.ended(&task).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Timeout, Some("scan_stalled")), "{view:#?}");
    assert_eq!(view.error_message.as_deref(), Some("the scan has made no progress at 99 % for 120 seconds"));
    assert!(view.results_available && view.validation_warnings[0].contains("at 99 %"), "{view:#?}");
    assert!(rig.log.text().contains("the scan makes no progress"), "half of the time over it is said");
    assert_eq!(rig.close().await.running, 0);
}

#[rstest]
#[case::hosts_null(Fault::new("hosts_null").count(4).skip(3))]
#[case::totals_zero(Fault::new("totals_zero").count(4).skip(3))]
#[case::progress_falls(Fault::new("progress_falls").count(4).skip(5))]
#[case::always_null(Fault::new("hosts_null").count(0))]
#[tokio::test(start_paused = true)]
async fn row_33_progress_that_makes_no_sense(#[case] fault: Fault) {
    let rig = Rig::with(fault).await;
    let task = rig.submit().await;
    let mut seen = Vec::new();
    rig.until("the task has ended", async || {
        let view = rig.view(&task).await;
        seen.push(view.progress);
        view.status.is_terminal().then_some(())
    })
    .await;
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen[..seen.len() - 1].iter().all(|progress| *progress < Some(100)), "{seen:?}");
    rig.completed(&task).await;
    assert_eq!(rig.close().await.faults.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_34_paused_and_resumed_by_somebody() {
    let rig = Rig::with(Fault::new("paused_by_somebody")).await;
    let task = rig.submit().await;
    rig.until("it is shown as paused", async || {
        let view = rig.view(&task).await;
        assert!(!view.status.is_terminal(), "{view:#?}");
        (view.scan_state.as_deref() == Some("paused")).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let view = rig.view(&task).await;
    assert_eq!((view.scan_state.as_deref(), view.pause.unwrap().by), (Some("paused"), PausedBy::Scanner));
    rig.sim.inject("resumed_by_somebody");
    rig.completed(&task).await;
    rig.close().await;
}

#[tokio::test(start_paused = true)]
async fn row_34_paused_for_too_long() {
    let rig = Setup::new().worker(|settings| settings.with_paused_timeout(Duration::from_secs(120))).start().await;
    rig.sim.inject("paused_by_somebody");
    let task = rig.submit().await;
    let view = rig.ended(&task).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Timeout, Some("scan_paused")), "{view:#?}");
    assert!(view.error_message.unwrap().contains("held on the scanner"));
    assert_eq!(rig.close().await.running, 0);
}

#[tokio::test(start_paused = true)]
async fn row_35_stop_that_takes_for_ever() {
    let rig = Setup::new().speed(100).start().await;
    rig.sim.inject(Fault::new("slow_stop").delay(Duration::from_secs(36_000)));
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.service.cancel(&task, Some("enough")).await.unwrap();
    rig.until("it is shown as stopping", async || {
        (rig.view(&task).await.scan_state.as_deref() == Some("stopping")).then_some(())
    })
    .await;
    let view = rig.ended(&task).await;
    assert_eq!(
        (view.status, view.error_message.as_deref()),
        (TaskStatus::Cancelled, Some("cancelled on request: enough"))
    );
    let stats = rig.close().await;
    assert_eq!((stats.running, calls(&stats, "POST /scans/*/kill")), (0, 1), "{stats:#?}");
}

#[rstest]
#[case::canceled("canceled")]
#[case::cancelled("cancelled")]
#[case::stopped("stopped")]
#[tokio::test(start_paused = true)]
async fn row_36_canceled_by_somebody(#[case] word: &str) {
    let rig = Setup::new().sim(|sim| sim.scan_duration(Duration::from_secs(600))).start().await;
    rig.sim.inject(Fault::new("cancelled_spelling").text(word));
    let task = rig.submit().await;
    rig.until("half of it is done", async || (rig.view(&task).await.progress >= Some(50)).then_some(())).await;
    rig.sim.inject("canceled_by_somebody");
    let view = rig.ended(&task).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Cancelled, Some("scan_cancelled")), "{view:#?}");
    assert_eq!(view.error_message.as_deref(), Some("the scan was stopped on the scanner"));
    assert!(view.results_available && view.validation_warnings[0].contains("before it was complete"), "{view:#?}");
    assert!(calls(&rig.close().await, "POST /scans/*/stop") == 0);
}

#[tokio::test(start_paused = true)]
async fn row_37_unknown_status() {
    let rig = Rig::with(Fault::new("unknown_status").skip(4).count(6)).await;
    let task = rig.submit().await;
    rig.completed(&task).await;
    assert_eq!(rig.log.text().matches("state=\"unknown\"").count(), 1, "it is told once");
    assert_eq!(struck(&rig.close().await, "unknown_status"), 6);
}

#[tokio::test(start_paused = true)]
async fn row_37_unknown_status_for_ever() {
    let rig = Setup::new()
        .sim(|sim| sim.scan_duration(Duration::from_secs(3600)))
        .worker(|settings| settings.with_stall_timeout(Duration::from_secs(60)))
        .start()
        .await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.sim.inject(Fault::new("hosts_null").count(0));
    rig.sim.inject(Fault::new("unknown_status").method("GET").path("/scans/*").count(0));
    rig.until("it was told to stop", async || (calls(&rig.sim.stats(), "POST /scans/*/stop") > 0).then_some(())).await;
    rig.sim.clear_faults();
    let view = rig.ended(&task).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Timeout, Some("scan_stalled")), "{view:#?}");
    rig.close().await;
}

#[rstest]
#[case::none(Fault::new("no_hosts"), 0)]
#[case::one(Fault::new("fewer_hosts"), 1)]
#[tokio::test(start_paused = true)]
async fn row_38_fewer_hosts_than_asked_for(#[case] fault: Fault, #[case] hosts: u64) {
    let rig = Rig::with(fault).await;
    let task = rig.submit().await;
    let view = rig.completed_with(&task, hosts).await;
    let warnings = view.validation_warnings.join("\n");
    assert!(warnings.contains(&format!("left out {} hosts: they were not scanned", 4 - hosts)), "{warnings}");
    rig.close().await;
}

#[tokio::test(start_paused = true)]
async fn row_38_more_hosts_than_the_licence_allows() {
    let rig = Setup::new().sim(|sim| sim.edition(Edition::Essentials)).start().await;
    let task = rig.submit_for("192.0.2.1-192.0.2.20").await;
    let view = rig.completed_with(&task, 16).await;
    assert!(view.validation_warnings.join("\n").contains("left out 4 hosts"), "{view:#?}");
    rig.close().await;
}
