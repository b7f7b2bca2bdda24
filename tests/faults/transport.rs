//! Rows 1 to 6: connections that fail, answers that come late or not at all.

use std::{sync::Arc, time::Duration};

use nessus_mcp_lib::{
    scanner::{NessusScanner, ScannerInstance, ScannerInterface as _, ScannerPool, TlsTrust},
    task::TaskStatus,
};
use nessus_mcp_tests::sim::{Certificate, Fault, When};
use rstest::rstest;

use crate::rig::{Rig, Setup, calls, instance, pool, struck};

/// Longer than a request may take: four minutes of the test's time.
const TOO_LATE: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn row_01_unreachable_before_the_scan_is_created() {
    let rig = Setup::new()
        .circuits(|circuits| circuits.with_open_time(Duration::from_secs(10), Duration::from_secs(60)))
        .start()
        .await;
    rig.sim.inject("refuse_connections");
    let task = rig.submit().await;
    let began = rig.now();
    let circuit = rig.service.circuits().breaker(&pool(), &instance());
    rig.until("its circuit has opened", async || (circuit.view().opens > 0).then_some(())).await;
    // Longer than all of a task's tries would last.
    rig.time.speed(400);
    rig.until("the outage has lasted", async || (rig.now().since(began).as_secs() > 1500).then_some(())).await;
    let view = rig.view(&task).await;
    assert!(!view.status.is_terminal() && view.error_code.is_none(), "{view:#?}");
    rig.time.speed(80);
    rig.sim.clear_faults();
    rig.completed(&task).await;
    rig.close().await;
}

#[tokio::test(start_paused = true)]
async fn row_01_unreachable_while_the_scan_runs() {
    let rig = Setup::new().sim(|sim| sim.scan_duration(Duration::from_secs(40))).start().await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.sim.inject(Fault::new("refuse_connections").lasting(Duration::from_secs(1)));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(rig.view(&task).await.status, TaskStatus::Running);
    rig.completed(&task).await;
    rig.close().await;
}

#[rstest]
#[case::silence("silence")]
#[case::reset("reset")]
#[tokio::test(start_paused = true)]
async fn row_01_no_answer_to_polls(#[case] fault: &str) {
    let rig = Rig::with(Fault::new(fault).method("GET").path("/scans/*").skip(2).count(3)).await;
    assert_eq!(struck(&rig.completes().await, fault), 3);
}

#[rstest]
#[case::self_signed(Certificate::Sound, "UnknownIssuer", "`ca_file`", false)]
#[case::expired(Certificate::Expired, "expired", "renew it", true)]
#[case::wrong_host(Certificate::WrongHost, "not valid for", "`url`", true)]
#[tokio::test(start_paused = true)]
async fn row_02_certificate_that_is_not_trusted(
    #[case] certificate: Certificate,
    #[case] cause: &str,
    #[case] mends: &str,
    #[case] trusts_its_authority: bool,
) {
    let trusts = move |sim: &nessus_mcp_tests::sim::SimulatedNessus, config: nessus_mcp_lib::scanner::NessusConfig| {
        let authority = TlsTrust::Authorities(sim.certificate_pem().unwrap().to_owned());
        config.tls_trust(if trusts_its_authority { authority } else { TlsTrust::Verified })
    };
    let rig = Setup::new().sim(|sim| sim.certificate(certificate)).client(trusts).start().await;
    let task = rig.submit().await;
    let told = rig.until("it says what it waits for", async || rig.view(&task).await.waiting_for).await;
    assert!(told.contains("certificate") && told.contains(cause), "{told}");
    assert!(told.contains(mends) && told.contains("`tls_pin_sha256`"), "{told}");
    let stats = rig.sim.stats();
    assert!(stats.calls.is_empty(), "{stats:#?}");

    let pin = bytes_of(rig.sim.certificate_sha256().unwrap());
    let repaired = Arc::new(NessusScanner::new(rig.config.clone().tls_trust(TlsTrust::Pinned(pin))).unwrap());
    let repaired = vec![ScannerInstance::new(instance(), 2, repaired)];
    rig.service.scanners().replace(vec![ScannerPool::new(pool(), "nessus", repaired)]).unwrap();
    rig.completes_as(&task).await;
}

#[rstest]
#[case::authority(false)]
#[case::pin(true)]
#[tokio::test(start_paused = true)]
async fn row_02_certificate_that_is_trusted(#[case] by_pin: bool) {
    let trusts = move |sim: &nessus_mcp_tests::sim::SimulatedNessus, config: nessus_mcp_lib::scanner::NessusConfig| {
        let pin = bytes_of(sim.certificate_sha256().unwrap());
        let authority = TlsTrust::Authorities(sim.certificate_pem().unwrap().to_owned());
        config.tls_trust(if by_pin { TlsTrust::Pinned(pin) } else { authority })
    };
    let rig = Setup::new().sim(nessus_mcp_tests::sim::SimConfig::https).client(trusts).start().await;
    rig.completes().await;
}

fn bytes_of(hex: &str) -> [u8; 32] {
    let mut pin = [0; 32];
    for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    }
    pin
}

#[rstest]
#[case::latency(Fault::new("latency").delay(Duration::from_millis(40)).count(0))]
#[case::slow_headers(Fault::new("slow_headers").bytes(20).delay(Duration::from_millis(2)).count(0))]
#[tokio::test(start_paused = true)]
async fn row_03_slow_answers(#[case] fault: Fault) {
    let stats = Rig::with(fault).await.completes().await;
    // One look after the other: 20 seconds of scan, at least 1.6 seconds from one look to the next.
    assert!(calls(&stats, "GET /scans/*") <= 25, "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_03_headers_and_then_nothing() {
    let fault = Fault::new("headers_then_silence").method("GET").path("/scans/*").skip(2);
    assert_eq!(struck(&Rig::with(fault).await.completes().await, "headers_then_silence"), 1);
}

#[rstest]
#[case::late(Fault::new("create_timeout").delay(TOO_LATE))]
#[case::late_and_undone(Fault::new("create_timeout_undone").delay(TOO_LATE))]
#[case::lost(Fault::new("create_lost"))]
#[case::lost_and_undone(Fault::new("create_lost_undone"))]
#[case::reset(Fault::new("create_reset"))]
#[case::reset_and_undone(Fault::new("create_reset_undone"))]
#[tokio::test(start_paused = true)]
async fn row_04_create_without_an_answer(#[case] fault: Fault) {
    let stats = Rig::with(fault).await.completes().await;
    let undone = stats.faults.keys().any(|name| name.ends_with("_undone"));
    assert_eq!((calls(&stats, "POST /scans"), stats.faults.len()), (1 + u64::from(undone), 1), "{stats:#?}");
}

#[rstest]
#[case::late(Fault::new("launch_timeout").delay(TOO_LATE))]
#[case::late_and_undone(Fault::new("launch_timeout_undone").delay(TOO_LATE))]
#[case::lost(Fault::new("launch_lost"))]
#[case::lost_and_undone(Fault::new("launch_lost_undone"))]
#[case::reset(Fault::new("launch_reset"))]
#[case::reset_and_undone(Fault::new("launch_reset_undone"))]
#[tokio::test(start_paused = true)]
async fn row_05_launch_without_an_answer(#[case] fault: Fault) {
    let stats = Rig::with(fault).await.completes().await;
    let undone = stats.faults.keys().any(|name| name.ends_with("_undone"));
    assert_eq!((calls(&stats, "POST /scans/*/launch"), stats.faults.len()), (1 + u64::from(undone), 1), "{stats:#?}");
}

#[rstest]
#[case::reads(Fault::new("stale_connection").method("GET").path("/**").count(4))]
#[case::create(Fault::new("stale_connection").method("POST").path("/scans"))]
#[case::launch(Fault::new("stale_connection").method("POST").path("/scans/*/launch"))]
#[case::behind_every_answer(Fault::new("closed_behind").count(0))]
#[case::create_undone(Fault::new("closed").method("POST").path("/scans"))]
#[case::create_done(Fault::new("closed").method("POST").path("/scans").when(When::After))]
#[tokio::test(start_paused = true)]
async fn row_06_connection_closed_between_calls(#[case] fault: Fault) {
    assert_eq!(Rig::with(fault).await.completes().await.faults.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_06_a_read_is_repeated_at_once() {
    let rig = Rig::with(Fault::new("stale_connection").method("GET").path("/scans")).await;
    rig.scanner.properties().await.unwrap();
    let before = rig.now();
    assert_eq!(rig.scanner.find_by_marker("ne_x").await.unwrap(), None);
    assert!(rig.now().since(before) < Duration::from_secs(10));
    assert_eq!(struck(&rig.close_client().await, "stale_connection"), 1);
}
