//! Rows 7 to 15: the token of the web interface, the session and the login.

use std::{sync::Arc, time::Duration};

use nessus_mcp_lib::{
    Queue as _,
    circuit_breaker::{CircuitCommand, CircuitState},
    config::ApiKeys,
    error::Classified as _,
    queue::{CircuitNotice, CircuitNoticeKind, sqlite::SqliteQueue},
    scanner::{Circuits, Guarded, NessusConfig, NessusScanner, ScanRequest, ScannerInterface as _},
    secret::Secret,
    task::TaskStatus,
};
use nessus_mcp_tests::sim::{Fault, SimConfig, SimulatedNessus};
use rstest::rstest;

use crate::rig::{PASSWORD, Rig, Setup, TARGETS, calls, instance, pool, struck};

#[rstest]
#[case::refused_once(Fault::new("api_not_available"))]
#[case::changed_before_the_launch(Fault::new("rotate_api_token").skip(1))]
#[tokio::test(start_paused = true)]
async fn row_07_api_token_not_accepted(#[case] fault: Fault) {
    let stats = Rig::with(fault).await.completes().await;
    assert_eq!((calls(&stats, "GET /nessus6.js"), stats.logins), (2, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_07_api_not_available_for_good() {
    let (message, stats) =
        Rig::with(Fault::new("api_not_available").count(0)).await.fails("scanner_api_not_available").await;
    assert!(message.contains("API is not available"), "{message}");
    assert_eq!((calls(&stats, "POST /scans"), calls(&stats, "GET /nessus6.js"), stats.total_creates), (2, 2, 0));
}

#[rstest]
#[case::head_only_create("api_not_available_cut", "/scans")]
#[case::head_only_launch("api_not_available_cut", "/scans/*/launch")]
#[case::silent_create("write_unanswered", "/scans")]
#[case::silent_launch("write_unanswered", "/scans/*/launch")]
#[case::done_create("write_unanswered_done", "/scans")]
#[case::done_launch("write_unanswered_done", "/scans/*/launch")]
#[tokio::test(start_paused = true)]
async fn row_08_write_without_a_whole_answer(#[case] fault: &str, #[case] path: &str) {
    let stats = Rig::with(Fault::new(fault).method("POST").path(path)).await.completes().await;
    assert_eq!((struck(&stats, fault), stats.logins), (1, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_09_api_token_rotated_while_the_scan_runs() {
    let rig = Rig::with(Fault::new("latency").count(0).delay(Duration::ZERO)).await;
    let task = rig.submit().await;
    rig.running(&task).await;
    let old = rig.sim.api_token();
    assert_ne!(rig.sim.rotate_api_token(), old);
    let cancelled = rig.service.cancel(&task, None).await.unwrap();
    assert_eq!(cancelled.status, TaskStatus::Running);
    assert_eq!(rig.ended(&task).await.status, TaskStatus::Cancelled);
    let stats = rig.close().await;
    assert_eq!((calls(&stats, "GET /nessus6.js"), stats.running), (2, 0), "{stats:#?}");
}

#[rstest]
#[case::not_there("script_404")]
#[case::without_the_token("script_without_token")]
#[case::a_page("script_html")]
#[tokio::test(start_paused = true)]
async fn row_10_no_api_token_to_be_found(#[case] fault: &str) {
    let rig = Setup::new().start().await;
    let good = rig.submit().await;
    let scan = rig.completed(&good).await.nessus_scan_id.unwrap();
    rig.sim.inject(Fault::new(fault).count(0));
    // What the client knew is forgotten with its session.
    rig.scanner.close().await;
    let task = rig.submit().await;
    let message = rig.failed(&task, "scanner_api_not_available").await;
    assert!(message.contains("API is not available"), "{message}");
    let reader = rig.another_client();
    assert!(reader.status(&scan).await.unwrap().state.is_terminal());
    assert!(reader.export(&scan, &mut Vec::new()).await.unwrap().bytes > 1000);
    reader.close().await;
    assert_eq!(rig.close().await.total_creates, 1);
}

#[tokio::test(start_paused = true)]
async fn row_10_api_token_in_a_huge_script() {
    let stats = Rig::with(Fault::new("script_huge")).await.completes().await;
    assert_eq!((struck(&stats, "script_huge"), calls(&stats, "GET /nessus6.js")), (1, 1));
}

#[rstest]
#[case::all_sessions_end("session_expired")]
#[case::one_call_is_refused("unauthorized")]
#[tokio::test(start_paused = true)]
async fn row_11_session_expired_at_a_poll_of_two_tasks(#[case] fault: &str) {
    let rig = Setup::new().start().await;
    let (one, two) = (rig.submit().await, rig.submit_for("192.0.2.9").await);
    rig.running(&one).await;
    rig.running(&two).await;
    rig.sim.inject(Fault::new(fault).method("GET").path("/scans/*"));
    rig.completed(&one).await;
    rig.completed_with(&two, 1).await;
    if fault == "unauthorized" {
        // The session lives on, and nobody has it any more.
        rig.sim.drop_sessions();
    }
    let stats = rig.stop().await;
    assert_eq!((stats.total_creates, stats.total_launches, stats.logins), (2, 2, 2), "{stats:#?}");
}

/// A scanner that restarts refuses good keys: it is asked whether it is ready before they count as wrong.
#[rstest]
#[case::ready(0)]
#[case::starting(3)]
#[tokio::test(start_paused = true)]
async fn row_11_api_keys_refused_at_a_poll(#[case] loading: u64) {
    let with_keys = |config: NessusConfig| config.api_keys(ApiKeys::new(Secret::new("access"), Secret::new("secret")));
    let rig = Setup::new().sim(|sim| sim.api_keys("access", "secret")).client(move |_, config| with_keys(config));
    let rig = rig.start().await;
    let task = rig.submit().await;
    rig.running(&task).await;
    rig.sim.inject(Fault::new("unauthorized").method("GET").path("/scans/*"));
    if loading > 0 {
        // It ends by its count: its usual time may be over before the third poll.
        rig.sim.inject(Fault::new("loading").count(loading).lasting(Duration::from_secs(3600)));
    }
    rig.completed(&task).await;
    let circuits = rig.service.list_scanners(None).await.unwrap().scanners;
    assert_eq!(circuits[0].circuit.state, CircuitState::Closed);
    let stats = rig.close().await;
    assert_eq!(
        (struck(&stats, "unauthorized"), struck(&stats, "loading"), stats.logins),
        (1, loading, 1),
        "{stats:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn row_13_api_keys_refused() {
    let keys = ApiKeys::new(Secret::new("access"), Secret::new("wrong"));
    let rig = Setup::new().sim(|sim| sim.api_keys("access", "secret")).client(move |_, config| config.api_keys(keys));
    let rig = rig.start().await;
    let task = rig.submit().await;
    let message = rig.failed(&task, "scanner_login_refused").await;
    assert!(message.contains("API keys"), "{message}");
    let next = rig.submit().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(rig.view(&next).await.status, TaskStatus::Queued, "the others wait");
    let stats = rig.close().await;
    assert_eq!((calls(&stats, "GET /scans"), calls(&stats, "GET /server/status")), (2, 2), "{stats:#?}");
}

#[rstest]
#[case::expired("session_expired_at_download")]
#[case::refused("unauthorized")]
#[tokio::test(start_paused = true)]
async fn row_12_session_expired_at_the_download(#[case] fault: &str) {
    let rig = Rig::with(Fault::new(fault).method("GET").path("/scans/*/export/*/download")).await;
    let task = rig.submit().await;
    rig.completed(&task).await;
    let stats = rig.stop().await;
    assert_eq!((stats.exports, stats.downloads, stats.logins), (1, 1, 2), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_13_login_refused() {
    let rig = Rig::with(Fault::new("login_refused")).await;
    let task = rig.submit().await;
    let message = rig.failed(&task, "scanner_login_refused").await;
    assert!(message.contains("Invalid Credentials") && message.contains("`scan`"), "{message}");
    assert!(!message.contains(crate::rig::PASSWORD), "{message}");
    let next = rig.submit().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(rig.view(&next).await.status, TaskStatus::Queued, "the others wait");
    let scanners = rig.service.list_scanners(None).await.unwrap();
    let shown = serde_json::to_string(&scanners).unwrap();
    assert!(shown.contains("\"unusable\"") && shown.contains("refused the login"), "{shown}");
    assert_eq!(calls(&rig.sim.stats(), "POST /session"), 1, "one refusal is enough");

    rig.sim.clear_faults();
    let pool = pool();
    let order = rig.service.command_circuit(pool.as_str(), "sim", CircuitCommand::Reset, "corrected").await.unwrap();
    assert_eq!(order.state, CircuitState::Closed);
    rig.completed(&next).await;
    assert_eq!(calls(&rig.close().await, "POST /session"), 2);
}

/// Eight processes that start together with the same wrong password, and one later: what Nessus allows is not used up.
#[tokio::test]
async fn row_13_login_refused_to_several_processes() {
    let sim = SimulatedNessus::start_with(SimConfig::new().login("scan", PASSWORD)).await;
    let directory = tempfile::tempdir().unwrap();
    let queue = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
    let start = async |password: &str| {
        let circuits = Circuits::default();
        let scanner = NessusScanner::new(NessusConfig::new(sim.url(), "scan", Secret::new(password))).unwrap();
        let scanner = circuits.guard(&pool(), &instance(), Arc::new(scanner));
        circuits.exchange(&queue, &pool(), &[instance()]).await.unwrap();
        (circuits, scanner)
    };
    let uses = async |process: &(Circuits, Arc<Guarded>)| {
        let (circuits, scanner) = process;
        circuits.exchange(&queue, &pool(), &[instance()]).await.unwrap();
        let answer = scanner.properties().await.map(drop);
        circuits.exchange(&queue, &pool(), &[instance()]).await.unwrap();
        answer.map_err(|error| error.code())
    };
    let mut processes = Vec::new();
    for _ in 0..8 {
        processes.push(start("wrong").await);
    }
    assert_eq!(uses(&processes[0]).await, Err("scanner_login_refused"));
    for process in &processes {
        assert_eq!(uses(process).await, Err("circuit_open"));
    }
    assert_eq!(sim.stats().failed_logins, 1);

    // It may have been started with the right one.
    processes.push(start("wrong").await);
    assert_eq!(uses(&processes[8]).await, Err("scanner_login_refused"));
    assert_eq!(sim.stats().failed_logins, 2);

    let reset = CircuitNotice::command(CircuitCommand::Reset, "corrected", "operator");
    queue.post_circuit_notice(&pool(), &instance(), &reset).await.unwrap();
    for process in &processes {
        uses(process).await.unwrap_err();
    }
    assert_eq!(sim.stats().failed_logins, 3, "one more");

    let right = start(PASSWORD).await;
    assert_eq!(uses(&right).await, Ok(()));
    assert_eq!(right.0.breaker(&pool(), &instance()).view().state, CircuitState::Closed);
    let refusal = queue.circuit_notices(&pool(), &[instance()]).await.unwrap().pop().unwrap().unwrap();
    assert_eq!(refusal.notice.kind, CircuitNoticeKind::LoginRefused);
    assert_eq!(uses(&right).await, Ok(()), "it was let in");
    right.1.close().await;
}

#[tokio::test(start_paused = true)]
async fn row_14_too_many_users() {
    let rig = Rig::with(Fault::new("too_many_users").count(2)).await;
    let began = rig.now();
    let task = rig.submit().await;
    rig.completed(&task).await;
    assert!(rig.now().since(began) >= Duration::from_secs(60 + 120), "the scanner was not called for minutes");
    let stats = rig.close().await;
    assert_eq!((calls(&stats, "POST /session"), stats.logins, stats.logouts), (3, 1, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_15_session_refused_right_after_the_login() {
    let rig = Rig::with(Fault::new("unauthorized_always")).await;
    let task = rig.submit().await;
    let message = rig.failed(&task, "scanner_session_refused").await;
    assert!(message.contains("right after a new login"), "{message}");
    let stats = rig.stop().await;
    assert_eq!((stats.logins, calls(&stats, "GET /scans"), stats.total_creates), (2, 2, 0), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn row_15_the_next_call_logs_in_only_once_more() {
    let rig = Rig::with(Fault::new("unauthorized_always")).await;
    let refused = rig.scanner.create(&ScanRequest::new("ne_x", "by hand", TARGETS)).await.unwrap_err();
    assert_eq!(refused.code(), "scanner_session_refused");
    assert_eq!(rig.sim.stats().logins, 2);
    rig.sim.clear_faults();
    rig.create().await;
    assert!(rig.stop().await.logins <= 3);
}
