//! Rows 40 to 47: exports that are not made, get lost, break off or are too large.

use std::{io::Write as _, path::Path, time::Duration};

use nessus_mcp_lib::{
    scanner::{ExportSummary, ScannerInterface as _},
    task::TaskStatus,
};
use nessus_mcp_tests::sim::{Fault, Stats};
use rstest::rstest;
use sha2::{Digest as _, Sha256};

use crate::rig::{Rig, Setup, calls, struck};

const DOWNLOAD: &str = "/scans/*/export/*/download";

/// A scan whose first export does not come, and whose second does; the numbers are files and downloads that were begun.
async fn completes_with(fault: Fault, files: u64, downloads: u64) {
    let stats = Setup::new()
        .client(|_, config| {
            config.export_max_wait(Duration::from_secs(20)).export_idle_timeout(Duration::from_secs(40))
        })
        .start_with(fault)
        .await
        .completes()
        .await;
    let begun: u64 =
        ["GET /scans/*/export/*/download", "GET /tokens/*/download"].map(|call| calls(&stats, call)).iter().sum();
    assert_eq!((stats.faults.len(), stats.exports, begun), (1, files, downloads), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_40_export_that_stays_loading() {
    completes_with(Fault::new("export_stuck"), 2, 1).await;
}

#[rstest]
#[case::its_time_is_over(false)]
#[case::somebody_cancels_it(true)]
#[tokio::test(start_paused = true)]
async fn row_40_export_that_is_never_ready(#[case] is_cancelled: bool) {
    let rig = Setup::new()
        .client(|_, config| config.request_timeout(Duration::from_secs(3_600)).export_max_wait(Duration::from_secs(10)))
        .worker(|settings| {
            let scan_timeout = Duration::from_secs(if is_cancelled { 86_400 } else { 400 });
            // So fast as time passes here, minutes are less than a slow machine takes for a call or a renewal.
            settings.with_scan_timeout(scan_timeout).with_lease(Duration::from_secs(3_600))
        })
        .start_with(Fault::new("export_stuck").count(0))
        .await;
    let task = rig.submit().await;
    rig.until("it is tried again", async || (rig.sim.stats().exports > 6).then_some(())).await;
    if is_cancelled {
        rig.service.cancel(&task, Some("enough")).await.unwrap();
    }
    rig.time.speed(800);
    let (status, code, said) = if is_cancelled {
        (TaskStatus::Cancelled, "cancelled", "cancelled on request: enough; the export is lost: gave up waiting for")
    } else {
        (TaskStatus::Timeout, "scan_timeout", "longer than 400 seconds; the export is lost: gave up waiting for")
    };
    let message = rig.ended_as(&task, status, code).await;
    assert!(message.contains(said), "{message}");
    rig.close().await;
}

#[rstest]
#[case::gone("export_error")]
#[case::told("export_error_200")]
#[tokio::test(start_paused = true)]
async fn row_41_export_that_fails(#[case] fault: &str) {
    completes_with(Fault::new(fault), 2, 1).await;
}

#[rstest]
#[case::at_its_status("export_expired", 1)]
#[case::at_the_download("export_expired_at_download", 2)]
#[case::not_found("export_not_found", 1)]
#[tokio::test(start_paused = true)]
async fn row_42_export_file_that_has_expired(#[case] fault: &str, #[case] downloads: u64) {
    completes_with(Fault::new(fault), 2, downloads).await;
}

/// One scan whose export is lost for ever is not its scanner's fault: others go on there.
#[rstest]
#[case::not_found(vec![Fault::new("export_not_found").count(0)])]
#[case::never_named(vec![
    Fault::new("field_missing").count(0),
    Fault::new("token_missing").method("POST").path("/scans/*/export").count(0),
])]
#[case::failed(vec![Fault::new("export_error").count(0)])]
#[tokio::test(start_paused = true)]
async fn row_42_export_that_is_lost_again_and_again_leaves_the_scanner_alone(#[case] faults: Vec<Fault>) {
    let rig = Setup::new().circuits(|circuits| circuits.with_failures(2)).start().await;
    for fault in faults {
        rig.sim.inject(fault);
    }
    let task = rig.submit().await;
    // Three files are asked for each time that the worker tries.
    let asked = async || (calls(&rig.sim.stats(), "POST /scans/*/export") > 6).then_some(());
    rig.until("it was tried several times", asked).await;
    assert!(!rig.log.text().contains("the circuit is open"), "{}", rig.log.text());
    rig.sim.clear_faults();
    rig.completes_as(&task).await;
}

/// Nobody gets a file of this scan, ever. The scanner is asked now and then, others are not held up, and after an hour the
/// task ends; its scan stays on the scanner.
#[rstest]
#[case::lost_each_time(Fault::new("export_not_found"))]
#[case::neither_file_nor_token(Fault::new("empty_list").method("POST").path("/scans/*/export"))]
#[tokio::test(start_paused = true)]
async fn row_42_export_that_cannot_be_had(#[case] fault: Fault) {
    let rig = Rig::with(fault.count(0)).await;
    let task = rig.submit().await;
    let view = rig.until("it is told", async || {
        let view = rig.view(&task).await;
        view.last_error.is_some().then_some(view)
    });
    let view = view.await;
    assert_eq!((view.status, view.scan_state.as_deref()), (TaskStatus::Running, Some("completed")), "{view:#?}");
    rig.time.speed(800);
    let view = rig.ended(&task).await;
    assert_eq!((view.status, view.results_available), (TaskStatus::Failed, false), "{view:#?}");
    let message = view.error_message.unwrap();
    let scan = view.nessus_scan_id.unwrap();
    assert!(message.contains(&format!("the scan {scan} is kept on the scanner `sim`")), "{message}");
    rig.time.speed(80);
    rig.sim.clear_faults();
    rig.service.retry(&task).await.unwrap();
    rig.completed(&task).await;
    let stats = rig.close().await;
    assert!(calls(&stats, "POST /scans/*/export") < 100, "{stats:#?}");
}

#[rstest]
#[case::nothing(0)]
#[case::half(40)]
#[case::almost_all(90)]
#[tokio::test(start_paused = true)]
async fn row_43_download_shorter_than_announced(#[case] percent: u64) {
    completes_with(Fault::new("short_download").percent(percent), 1, 2).await;
}

#[rstest]
#[case::chunks(Fault::new("chunked_abort").percent(40))]
#[case::reset(Fault::new("download_reset").percent(90))]
#[case::head(Fault::new("headers_only").method("GET").path(DOWNLOAD))]
#[tokio::test(start_paused = true)]
async fn row_44_download_that_breaks_off(#[case] fault: Fault) {
    completes_with(fault, 1, 2).await;
}

#[tokio::test(start_paused = true)]
async fn row_44_whole_download_in_chunks() {
    completes_with(Fault::new("chunked"), 1, 1).await;
}

#[rstest]
#[case::half(40)]
#[case::almost_all(99)]
#[tokio::test(start_paused = true)]
async fn row_45_document_that_is_cut(#[case] percent: u64) {
    completes_with(Fault::new("xml_cut").percent(percent), 2, 2).await;
}

#[rstest]
#[case::empty(Fault::new("empty_body").method("GET").path(DOWNLOAD), 2)]
#[case::not_ready(Fault::new("not_ready_text"), 1)]
#[case::login_page(Fault::new("html_login"), 2)]
#[case::error(Fault::new("json_error_200"), 2)]
#[tokio::test(start_paused = true)]
async fn row_46_something_else_than_the_export(#[case] fault: Fault, #[case] files: u64) {
    completes_with(fault, files, 2).await;
}

#[tokio::test(start_paused = true)]
async fn row_46_login_page_instead_of_a_poll() {
    let rig = Rig::with(Fault::new("html_login").method("GET").path("/scans/*").skip(2)).await;
    let task = rig.submit().await;
    rig.completed(&task).await;
    assert_eq!(rig.stop().await.logins, 2, "the session was renewed");
}

#[rstest]
#[case::trickles(Fault::new("trickle").bytes(4096).delay(Duration::from_millis(1)), 1)]
#[case::hardly_moves(Fault::new("trickle").bytes(1).delay(Duration::from_millis(50)), 2)]
#[case::stalls(Fault::new("download_stalls").percent(50), 2)]
#[case::stalls_after_its_head(Fault::new("headers_then_silence").method("GET").path(DOWNLOAD), 2)]
#[case::huge(Fault::new("huge_download").bytes(24 << 20), 1)]
#[tokio::test(start_paused = true)]
async fn row_47_slow_or_huge_download(#[case] fault: Fault, #[case] downloads: u64) {
    completes_with(fault, 1, downloads).await;
}

#[tokio::test(start_paused = true)]
async fn row_47_download_larger_than_allowed() {
    let rig = Setup::new()
        .client(|_, config| config.export_max_bytes(1 << 20))
        .start_with(Fault::new("huge_download").bytes(24 << 20))
        .await;
    let task = rig.submit().await;
    let message = rig.ended_as(&task, TaskStatus::Failed, "export_too_large").await;
    assert!(message.contains("1048576 bytes"), "{message}");
    assert_eq!(struck(&rig.close().await, "huge_download"), 1);
}

/// A run of the scanner's whose export is this file.
async fn export_of(file: &Path, fault: Fault) -> (Vec<u8>, ExportSummary, Stats) {
    let file = file.to_owned();
    let rig = Setup::new().sim(|sim| sim.export_file(file)).start().await;
    let scan = rig.create().await;
    rig.scanner.launch(&scan).await.unwrap();
    rig.until("the scan has ended", async || {
        rig.scanner.status(&scan).await.unwrap().state.is_terminal().then_some(())
    })
    .await;
    rig.sim.inject(fault);
    let mut sink = Vec::new();
    let summary = rig.scanner.export(&scan, &mut sink).await.unwrap();
    (sink, summary, rig.close_client().await)
}

#[rstest]
#[case::short_at_40_percent("short_download", 40)]
#[case::short_at_90_percent("short_download", 90)]
#[case::reset_at_40_percent("download_reset", 40)]
#[case::chunks_to_90_percent("chunked_abort", 90)]
#[tokio::test(start_paused = true)]
async fn row_47_large_download_that_is_cut(#[case] fault: &str, #[case] percent: u64) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut whole = Sha256::new();
    let mut write = |text: &str| {
        whole.update(text);
        file.write_all(text.as_bytes()).unwrap();
    };
    write("<?xml version=\"1.0\" ?>\n<NessusClientData_v2>\n<Report name=\"r\">");
    for host in 0..200 {
        let item = format!(
            "<ReportItem port=\"{host}\" svc_name=\"general\" pluginID=\"19506\" severity=\"0\"></ReportItem>\n"
        );
        write(&format!("<ReportHost name=\"192.0.2.{host}\">\n{}</ReportHost>\n", item.repeat(2000)));
    }
    write("</Report>\n</NessusClientData_v2>\n");
    let length = file.as_file().metadata().unwrap().len();
    assert!(length > 30 << 20, "{length}");
    let (sink, summary, stats) = export_of(file.path(), Fault::new(fault).percent(percent)).await;
    let expected = whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!((summary.bytes, summary.sha256.as_deref()), (length, Some(expected.as_str())));
    assert!(sink == std::fs::read(file.path()).unwrap(), "what arrived is not what was sent");
    assert_eq!((struck(&stats, fault), stats.exports, calls(&stats, "GET /scans/*/export/*/download")), (1, 1, 2));
}
