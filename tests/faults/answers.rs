//! Rows 24 to 28 and 48 to 51: answers that ask for patience, make no sense or lead elsewhere.

use std::{sync::Arc, time::Duration};

use nessus_mcp_lib::{
    ScannerInterface,
    ids::InstanceId,
    scanner::{NessusConfig, NessusScanner, ScannerInstance, ScannerPool},
    secret::Secret,
    task::TaskStatus,
};
use nessus_mcp_tests::sim::{Fault, SimConfig, SimulatedNessus, Stats, When};
use rstest::rstest;

use crate::rig::{PASSWORD, Rig, Setup, calls, instance, pool, struck};

fn all_calls(stats: &Stats) -> u64 {
    stats.calls.values().sum()
}

#[rstest]
#[case::seconds("rate_limited", "7", 7)]
#[case::date("rate_limited_date", "date+3", 3)]
#[case::absurd("rate_limited_absurd", "86400", 890)]
#[tokio::test(start_paused = true)]
async fn row_24_too_many_requests(#[case] fault: &str, #[case] retry_after: &str, #[case] seconds: u64) {
    // A date is one of the wall's clock, so time must not fly.
    let speed = if fault == "rate_limited_date" { 1 } else { 80 };
    let rig = Setup::new().sim(|sim| sim.scan_duration(Duration::from_secs(30))).start().await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.sim.inject(Fault::new(fault).retry_after(retry_after).method("GET").path("/scans/*"));
    rig.time.speed(speed);
    rig.until("it has struck", async || (struck(&rig.sim.stats(), fault) == 1).then_some(())).await;
    let (calls, began) = (all_calls(&rig.sim.stats()), rig.now());
    if seconds > 60 {
        rig.time.speed(600);
    }
    rig.until("the time is almost over", async || (rig.now().since(began).as_secs() + 2 >= seconds).then_some(()))
        .await;
    rig.time.speed(80);
    let stats = rig.sim.stats();
    assert_eq!(all_calls(&stats), calls, "nothing was asked meanwhile: {stats:#?}");
    rig.completed(&task).await;
    // A day is no time that anybody means.
    assert!(rig.now().since(began) < Duration::from_secs(1200));
    rig.close().await;
}

#[rstest]
#[case::before_the_create("GET", "/scans")]
#[case::create("POST", "/scans")]
#[case::launch("POST", "/scans/*/launch")]
#[case::poll("GET", "/scans/*")]
#[case::export("POST", "/scans/*/export")]
#[case::download("GET", "/scans/*/export/*/download")]
#[tokio::test(start_paused = true)]
async fn row_24_too_many_requests_at_each_step(#[case] method: &str, #[case] path: &str) {
    for fault in ["rate_limited_silent", "rate_limited"] {
        let stats = Rig::with(Fault::new(fault).method(method).path(path)).await.completes().await;
        assert_eq!(struck(&stats, fault), 1, "{stats:#?}");
    }
}

#[rstest]
#[case::list("GET", "/scans", When::Before)]
#[case::poll("GET", "/scans/*", When::Before)]
#[case::create("POST", "/scans", When::Before)]
#[case::create_done("POST", "/scans", When::After)]
#[case::launch("POST", "/scans/*/launch", When::Before)]
#[case::launch_done("POST", "/scans/*/launch", When::After)]
#[case::export("POST", "/scans/*/export", When::After)]
#[case::login("POST", "/session", When::Before)]
#[tokio::test(start_paused = true)]
async fn row_25_server_errors(#[case] method: &str, #[case] path: &str, #[case] when: When) {
    let count = if when == When::After { 1 } else { 3 };
    let fault = Fault::new("server_error").method(method).path(path).when(when).count(count);
    let stats = Setup::new()
        .circuits(|circuits| circuits.with_open_time(Duration::from_secs(10), Duration::from_secs(10)))
        .start_with(fault)
        .await
        .completes()
        .await;
    assert_eq!(struck(&stats, "server_error"), count);
}

/// What keeps a task from beginning stands in its status while it is tried again, and not afterwards.
#[rstest]
#[case::server_error(Fault::new("server_error").method("POST").path("/scans"), "scanner_server_error")]
#[case::page(Fault::new("html_login").method("GET").path("/editor/scan/templates"), "")]
#[tokio::test(start_paused = true)]
async fn row_25_errors_that_are_told_while_they_last(#[case] fault: Fault, #[case] code: &str) {
    let rig = Rig::with(fault.count(0)).await;
    let task = rig.submit().await;
    let told = rig
        .until("two tries have failed", async || rig.view(&task).await.last_error.filter(|last| last.count > 1))
        .await;
    assert_eq!(told.step, "begin");
    assert!(told.code == code || code.is_empty(), "{told:?}");
    let view = rig.view(&task).await;
    assert!(view.waiting_for.is_some() && view.last_error.is_some(), "{view:#?}");
    rig.sim.clear_faults();
    assert_eq!(rig.completed(&task).await.last_error, None);
    // A login page makes the client log in anew.
    rig.stop().await;
}

/// The scan was never asked for: the task is bound to nothing, and runs on the other scanner.
#[rstest]
#[case::server_error("server_error")]
#[case::no_sense("empty_list")]
#[case::reset("reset")]
#[tokio::test(start_paused = true)]
async fn row_25_errors_before_the_create_on_one_of_two_scanners(#[case] fault: &str) {
    let rig = Rig::with(Fault::new(fault).method("GET").path("/editor/scan/templates").count(0)).await;
    let other =
        SimulatedNessus::start_with(SimConfig::new().login("scan", PASSWORD).clock(rig.time.of_scanner())).await;
    let config = NessusConfig::new(other.url(), "scan", Secret::new(PASSWORD));
    let other_scanner = Arc::new(NessusScanner::new(config).unwrap());
    let other_id = InstanceId::new("other").unwrap();
    let instances = vec![
        ScannerInstance::new(instance(), 2, Arc::clone(&rig.scanner) as Arc<dyn ScannerInterface>),
        ScannerInstance::new(other_id.clone(), 2, other_scanner),
    ];
    rig.service.scanners().replace(vec![ScannerPool::new(pool(), "nessus", instances)]).unwrap();
    let task = rig.submit().await;
    assert_eq!(rig.completed(&task).await.scanner_instance, Some(other_id));
    assert!(struck(&rig.sim.stats(), fault) > 0, "it was tried first");
    let stats = rig.stop().await;
    assert_eq!((stats.total_creates, other.stats().total_creates, other.stats().total_launches), (0, 1, 1));
}

#[rstest]
#[case::poll(Fault::new("bad_gateway").method("GET").path("/scans/*").skip(2).count(4))]
#[case::list(Fault::new("bad_gateway").method("GET").path("/scans").count(2))]
#[case::create(Fault::new("bad_gateway").method("POST").path("/scans"))]
#[case::create_done(Fault::new("gateway_timeout").method("POST").path("/scans"))]
#[case::launch(Fault::new("bad_gateway").method("POST").path("/scans/*/launch"))]
#[case::launch_done(Fault::new("gateway_timeout").method("POST").path("/scans/*/launch"))]
#[case::status(Fault::new("bad_gateway").method("GET").path("/server/status"))]
#[tokio::test(start_paused = true)]
async fn row_26_pages_of_a_proxy(#[case] fault: Fault) {
    assert_eq!(Rig::with(fault).await.completes().await.faults.len(), 1);
}

#[rstest]
#[case::ok(200)]
#[case::unavailable(503)]
#[tokio::test(start_paused = true)]
async fn row_27_scanner_that_is_loading(#[case] status: u16) {
    let rig = Setup::new().sim(|sim| sim.starting(Duration::from_secs(300), status)).speed(200).start().await;
    let began = rig.now();
    let task = rig.submit().await;
    rig.until("it waits", async || (calls(&rig.sim.stats(), "GET /server/status") > 3).then_some(())).await;
    assert_eq!(rig.view(&task).await.status, TaskStatus::Running);
    rig.completed(&task).await;
    assert!(rig.now().since(began) >= Duration::from_secs(300));
    assert!(rig.log.text().contains("waiting for the scanner: loading"), "{}", rig.log.text());
    let stats = rig.close().await;
    assert_eq!((calls(&stats, "POST /session"), stats.total_creates, stats.total_launches), (1, 1, 1), "{stats:#?}");
}

#[rstest]
#[case("loading")]
#[case("loading_503")]
#[tokio::test(start_paused = true)]
async fn row_27_scanner_that_loads_while_the_scan_runs(#[case] fault: &str) {
    let rig = Setup::new().start().await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.sim.inject(Fault::new(fault).lasting(Duration::from_secs(60)));
    rig.completed(&task).await;
    assert!(struck(&rig.close().await, fault) > 1);
}

#[rstest]
#[case("server_register", "registered")]
#[case("server_register_locked", "registered")]
#[case("server_feed_expired", "feed has expired")]
#[case("server_eval_expired", "evaluation licence has expired")]
#[case("server_locked", "master password")]
#[case("server_corrupt_db", "damaged")]
#[case("server_download_failed", "could not be downloaded")]
#[case("server_feed_error", "could not be downloaded")]
#[tokio::test(start_paused = true)]
async fn row_28_scanner_that_needs_an_operator(#[case] fault: &str, #[case] words: &str) {
    let rig = Rig::with(Fault::new(fault).count(0)).await;
    let task = rig.submit().await;
    // Before its circuit opens, the failure is told with the next try.
    let told = rig.until("it says what it waits for", async || {
        let told = rig.view(&task).await.waiting_for?;
        assert!(told.contains(words), "{told}");
        told.contains("the circuit of the scanner `sim` is").then_some(())
    });
    told.await;
    let view = rig.view(&task).await;
    assert_eq!((view.status, view.error_code), (TaskStatus::Running, None));
    assert_eq!(calls(&rig.sim.stats(), "POST /session"), 0);
    assert!(rig.service.queue().dead_letters(&pool(), 0, 1).await.unwrap().is_empty());
    rig.sim.clear_faults();
    assert_eq!(rig.completed(&task).await.waiting_for, None);
    assert!(struck(&rig.close().await, fault) >= 1);
}

/// It waits as long as a scan may take, and says what it has waited for.
#[tokio::test(start_paused = true)]
async fn row_28_scanner_that_nobody_fixes() {
    let limit = Duration::from_secs(3600);
    let setup = Setup::new().worker(|worker| worker.with_scan_timeout(limit)).speed(400);
    let rig = setup.start_with(Fault::new("server_locked").count(0)).await;
    let task = rig.submit().await;
    let message = rig.ended_as(&task, TaskStatus::Timeout, "scan_timeout").await;
    assert!(message.contains("3600 seconds") && message.contains("master password"), "{message}");
    assert_eq!(calls(&rig.close().await, "POST /session"), 0);
}

#[rstest]
#[case::poll("/scans/*")]
#[case::download("/scans/*/export/*/download")]
#[tokio::test(start_paused = true)]
async fn row_48_compressed_body(#[case] path: &str) {
    let stats = Rig::with(Fault::new("gzip").method("GET").path(path)).await.completes().await;
    assert_eq!(struck(&stats, "gzip"), 1);
}

#[tokio::test(start_paused = true)]
async fn row_49_wrong_content_type() {
    assert!(
        struck(&Rig::with(Fault::new("wrong_content_type").count(0)).await.completes().await, "wrong_content_type") > 5
    );
}

#[rstest]
#[case::half_a_list(Fault::new("invalid_json").method("GET").path("/scans"))]
#[case::half_a_poll(Fault::new("invalid_json").method("GET").path("/scans/*").skip(2))]
#[case::half_a_create(Fault::new("invalid_json").method("POST").path("/scans"))]
#[case::half_a_launch(Fault::new("invalid_json").method("POST").path("/scans/*/launch"))]
#[case::half_an_export(Fault::new("invalid_json").method("POST").path("/scans/*/export"))]
#[case::empty_poll(Fault::new("empty_body").method("GET").path("/scans/*"))]
#[case::empty_create(Fault::new("empty_body").method("POST").path("/scans"))]
#[case::empty_launch(Fault::new("empty_body").method("POST").path("/scans/*/launch"))]
#[case::list_for_scans(Fault::new("empty_list").method("GET").path("/scans"))]
#[case::list_for_details(Fault::new("empty_list").method("GET").path("/scans/*"))]
#[case::list_for_a_create(Fault::new("empty_list").method("POST").path("/scans"))]
#[case::ids_as_strings(Fault::new("ids_as_strings"))]
#[case::login_without_a_token(Fault::new("token_missing"))]
#[case::export_without_a_file(Fault::new("field_missing"))]
#[tokio::test(start_paused = true)]
async fn row_50_answers_that_are_not_what_they_should_be(#[case] fault: Fault) {
    let rig = Rig::with(fault).await;
    let task = rig.submit().await;
    rig.completed(&task).await;
    // A login whose answer had no token has left a session that nobody knows.
    rig.sim.drop_sessions();
    let stats = rig.stop().await;
    assert_eq!((stats.faults.len(), stats.total_creates, stats.total_launches), (1, 1, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_50_an_answer_that_never_makes_sense_is_shown() {
    let rig = Setup::new()
        .client(|_, config| config.request_timeout(Duration::from_secs(300)))
        .speed(400)
        .start_with(Fault::new("empty_list").method("GET").path("/editor/scan/templates").count(0))
        .await;
    let (message, stats) = rig.fails("scanner_bad_answer").await;
    assert!(message.contains("GET /editor/scan/templates") && message.ends_with("it begins with `[]`"), "{message}");
    assert_eq!(stats.total_creates, 0);
}

#[rstest]
#[case::login("POST", "/session")]
#[case::list("GET", "/scans")]
#[case::create("POST", "/scans")]
#[tokio::test(start_paused = true)]
async fn row_51_redirect_to_another_host(#[case] method: &str, #[case] path: &str) {
    let elsewhere = SimulatedNessus::start().await;
    let fault = Fault::new("redirect").method(method).path(path).text(elsewhere.url()).count(0);
    let (message, stats) = Rig::with(fault).await.fails("scanner_configuration").await;
    assert!(message.contains(&elsewhere.url()) && message.contains("final URL"), "{message}");
    assert_eq!((struck(&stats, "redirect"), elsewhere.stats().connections), (1, 0), "nothing was forwarded");
}
