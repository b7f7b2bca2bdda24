//! Answers that prove nothing, or say something else than they seem to.

use rstest::rstest;

use super::*;
use crate::error::Classified as _;

const MARKER: &str = "ne_ness_20251201_143022_a1b2c3d4";

fn request() -> ScanRequest {
    ScanRequest::new(MARKER, "nightly", "192.0.2.10")
}

/// A scanner with any number of logins.
async fn scanner_with_any_login() -> MockServer {
    let server = scanner().await;
    call("POST", "/session").respond_with(ok(json!({ "token": "first" }))).mount(&server).await;
    server
}

async fn scanner_with_template() -> MockServer {
    let server = scanner_with_any_login().await;
    let templates = json!({ "templates": [{ "name": "basic", "uuid": "uuid-basic" }] });
    call("GET", "/editor/scan/templates").respond_with(ok(templates)).mount(&server).await;
    server
}

fn listed(created: u64, now: u64) -> Value {
    json!({ "timestamp": now, "scans": [
        { "id": 57, "name": format!("nightly [{MARKER}]"), "creation_date": created },
        { "id": 58, "name": "nightly", "creation_date": now },
    ]})
}

fn page() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_string("<!DOCTYPE html><html><body>Log in</body></html>")
}

#[rstest]
#[case::failed(refusal(500, "database is locked"))]
#[case::proxy(ResponseTemplate::new(504).set_body_string("<html>Gateway Timeout</html>"))]
#[case::page(page())]
#[case::error_as_success(ok(json!({ "error": "database is locked" })))]
#[case::empty(ResponseTemplate::new(200))]
#[case::late(ok(json!({ "scan": { "id": 57 } })).set_delay(Duration::from_secs(60)))]
#[tokio::test]
async fn a_create_whose_outcome_is_unclear_is_looked_for_and_never_sent_again(#[case] answer: ResponseTemplate) {
    let server = scanner_with_template().await;
    call("POST", "/scans").respond_with(answer).expect(1).mount(&server).await;
    call("GET", "/scans").respond_with(ok(listed(1_000_000, 1_000_000))).expect(1).mount(&server).await;
    let scanner = NessusScanner::new(config(server.uri()).request_timeout(Duration::from_millis(500))).unwrap();
    assert_eq!(scanner.create(&request()).await.unwrap(), ScanId::from(57));
}

#[tokio::test]
async fn a_scan_older_than_the_create_is_not_taken_for_its_effect() {
    let server = scanner_with_template().await;
    call("POST", "/scans").respond_with(refusal(500, "no")).expect(1).mount(&server).await;
    call("GET", "/scans").respond_with(ok(listed(900_000, 1_000_000))).expect(1).mount(&server).await;
    let error = client(server.uri()).create(&request()).await.unwrap_err();
    assert!(matches!(error, ScannerError::Server { status: 500, .. }), "{error:?}");
}

#[rstest]
#[case::failed(refusal(500, "database is locked"))]
#[case::page(page())]
#[case::error_as_success(ok(json!({ "error": "database is locked" })))]
#[case::late(ok(json!({})).set_delay(Duration::from_secs(60)))]
#[tokio::test]
async fn a_launch_whose_outcome_is_unclear_is_judged_by_a_run_that_was_not_there_before(
    #[case] answer: ResponseTemplate,
) {
    for (after, launched) in [("run-2", true), ("run-1", false)] {
        let server = scanner_with_any_login().await;
        let runs =
            |uuid: &str| json!({ "info": { "status": "running", "uuid": uuid }, "history": [{ "uuid": "run-1" }] });
        call("POST", "/scans/1/launch").respond_with(answer.clone()).expect(1).mount(&server).await;
        call("GET", "/scans/1").respond_with(ok(runs("run-1"))).up_to_n_times(1).mount(&server).await;
        call("GET", "/scans/1").respond_with(ok(runs(after))).mount(&server).await;
        let scanner = NessusScanner::new(config(server.uri()).request_timeout(Duration::from_millis(500))).unwrap();
        match scanner.launch(&ScanId::from(1)).await {
            Ok(run) => assert!(launched && run.as_deref() == Some("run-2"), "{run:?}"),
            Err(error) => assert!(!launched && error.may_have_acted(), "{error:?}"),
        }
    }
}

/// Some versions close the connection where others say 412.
#[tokio::test]
async fn after_no_answer_to_a_write_the_next_one_brings_a_fresh_web_token() {
    let script = |token: &str| raw(&format!(r#"{{key:"getApiToken",value:function(){{return"{token}"}}}}"#));
    let empty = raw(r#"{"info":{"status":"empty"}}"#);
    let first = vec![empty.clone(), script(API_TOKEN), String::new(), empty.clone()];
    let second = vec![empty, script(&API_TOKEN.replace('7', "8")), raw(r#"{"scan_uuid":"run-1"}"#)];
    let scanner = client(raw_scanner([raw_login(), first, second].concat()));
    let error = scanner.launch(&ScanId::from(1)).await.unwrap_err();
    assert!(error.may_have_acted() && error.is_retryable(), "{error:?}");
    assert_eq!(scanner.launch(&ScanId::from(1)).await.unwrap().as_deref(), Some("run-1"));
}

#[rstest]
#[case::gone(ok(json!({ "scans": [{ "id": 2 }] })), "scan_vanished", false)]
#[case::no_scans(ok(json!({ "scans": null })), "scan_vanished", false)]
#[case::listed(ok(json!({ "scans": [{ "id": "1" }] })), "scanner_bad_answer", true)]
#[case::no_list(ok(json!({ "folders": [] })), "scanner_bad_answer", true)]
#[case::failed(refusal(502, "no"), "scanner_server_error", true)]
#[tokio::test]
async fn that_a_scan_is_gone_is_confirmed_by_the_list(
    #[case] list: ResponseTemplate,
    #[case] code: &str,
    #[case] passes: bool,
) {
    let server = scanner_with_logins(1).await;
    call("GET", "/scans/1").respond_with(refusal(404, "not found")).mount(&server).await;
    call("GET", "/scans").respond_with(list).mount(&server).await;
    let error = client(server.uri()).status(&ScanId::from(1)).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (code, passes), "{error:?}");
}

/// An empty list would have the worker create the scan a second time.
#[rstest]
#[case::error(ok(json!({ "error": "disk full" })))]
#[case::list(ok(json!([])))]
#[case::object(ok(json!({})))]
#[case::page(page())]
#[case::empty(ResponseTemplate::new(200))]
#[case::cut(ResponseTemplate::new(200).set_body_string(r#"{"scans":["#))]
#[tokio::test]
async fn what_is_no_list_of_scans_is_an_error(#[case] answer: ResponseTemplate) {
    let server = scanner_with_logins(1).await;
    call("POST", "/session").respond_with(ok(json!({ "token": "second" }))).mount(&server).await;
    call("GET", "/scans").respond_with(answer).mount(&server).await;
    let error = client(server.uri()).find_by_marker(MARKER).await.unwrap_err();
    assert!(matches!(error, ScannerError::Decode { .. }) && error.is_retryable(), "{error:?}");
}

#[rstest]
#[case::error(ok(json!({ "error": "Invalid Credentials" })))]
#[case::page(page())]
#[tokio::test]
async fn a_session_that_ended_without_saying_so_is_renewed(#[case] answer: ResponseTemplate) {
    let server = scanner_with_logins(2).await;
    call_with("GET", "/scans/1", "first").respond_with(answer).expect(1).mount(&server).await;
    call_with("GET", "/scans/1", "second").respond_with(ok(running(10))).expect(1).mount(&server).await;
    assert_eq!(client(server.uri()).status(&ScanId::from(1)).await.unwrap().progress, Some(10));
}

#[tokio::test]
async fn a_scanner_that_ends_all_sessions_gets_a_new_login() {
    let server = scanner_with_logins(2).await;
    let ends = ResponseTemplate::new(503).set_body_json(json!({ "status": "ready", "must_destroy_session": true }));
    call_with("GET", "/scans/1", "first").respond_with(ends).expect(1).mount(&server).await;
    call_with("GET", "/scans/1", "second").respond_with(ok(running(10))).expect(1).mount(&server).await;
    assert_eq!(client(server.uri()).status(&ScanId::from(1)).await.unwrap().progress, Some(10));
}

fn loading(progress: u64) -> ResponseTemplate {
    ok(json!({ "code": 200, "progress": progress, "status": "loading" }))
}

#[tokio::test]
async fn a_scanner_that_is_loading_is_waited_for_by_one_in_the_name_of_all() {
    let server = scanner_with_logins(1).await;
    call("GET", "/server/status")
        .respond_with(loading(10).set_delay(Duration::from_millis(50)))
        .up_to_n_times(6)
        .mount(&server)
        .await;
    call("GET", "/server/status").respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    let scanner = client(server.uri());
    let look = || scanner.find_by_marker(MARKER);
    let (one, two, three) = tokio::join!(look(), look(), look());
    assert_eq!((one.unwrap(), two.unwrap(), three.unwrap()), (None, None, None));
    // Each look asks at most once for itself, before its login.
    assert!(requests(&server, "GET", "/server/status").await <= 10);
    assert_eq!(requests(&server, "POST", "/session").await, 1);
}

#[tokio::test]
async fn waiting_for_a_scanner_has_an_end_and_watching_a_scan_does_not_wait() {
    let server = scanner().await;
    call("GET", "/server/status").respond_with(loading(37)).mount(&server).await;
    let scanner = NessusScanner::new(config(server.uri()).ready_max_wait(Duration::from_millis(20))).unwrap();
    let error = scanner.find_by_marker(MARKER).await.unwrap_err();
    assert!(matches!(&error, ScannerError::TimedOut { what, .. } if what.contains("37 %")), "{error:?}");
    let before = requests(&server, "GET", "/server/status").await;
    let error = scanner.status(&ScanId::from(1)).await.unwrap_err();
    assert!(matches!(error, ScannerError::NotReady(_)), "{error:?}");
    assert_eq!(requests(&server, "GET", "/server/status").await, before + 1);
    assert_eq!(requests(&server, "POST", "/session").await, 0);
}

#[tokio::test]
async fn a_scanner_that_a_person_must_mend_is_neither_waited_for_nor_logged_in_to() {
    let server = scanner().await;
    call("GET", "/server/status").respond_with(ok(json!({ "status": "register" }))).mount(&server).await;
    let scanner = client(server.uri());
    let errors = [scanner.find_by_marker(MARKER).await.unwrap_err(), scanner.properties().await.unwrap_err()];
    for error in errors {
        assert_eq!(error.code(), "scanner_unusable", "{error:?}");
        assert!(!error.is_retryable() && error.to_string().contains("must be registered"), "{error:?}");
    }
    assert_eq!(requests(&server, "POST", "/session").await, 0);
}

#[tokio::test]
async fn no_compression_is_asked_for() {
    let server = scanner_with_logins(1).await;
    client(server.uri()).find_by_marker(MARKER).await.unwrap();
    for request in server.received_requests().await.unwrap() {
        assert!(!request.headers.contains_key("accept-encoding"), "{request:?}");
    }
}

/// Row 24: whoever is asked to slow down is told when to come back, and nothing is repeated before.
#[rstest]
#[case("7", 7)]
#[case("86400", 900)]
#[tokio::test]
async fn a_wish_for_fewer_requests_is_passed_on(#[case] header: &str, #[case] seconds: u64) {
    let server = scanner_with_logins(1).await;
    let slow = refusal(429, "slow down").insert_header("Retry-After", header);
    call("GET", "/scans/1").respond_with(slow).expect(1).mount(&server).await;
    let error = client(server.uri()).status(&ScanId::from(1)).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
}
