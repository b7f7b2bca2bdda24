//! Logging in, losing the session, the web token, logging out.

use super::*;

#[tokio::test]
async fn two_tasks_at_once_share_one_login() {
    let server = scanner_with_logins(1).await;
    call_with("GET", "/scans/1", "first").respond_with(ok(running(10))).expect(2).mount(&server).await;
    let scanner = client(server.uri());
    let scan = ScanId::from(1);
    let (one, two) = tokio::join!(scanner.status(&scan), scanner.status(&scan));
    assert_eq!((one.unwrap().progress, two.unwrap().progress), (Some(10), Some(10)));
    assert_eq!(requests(&server, "POST", "/session").await, 1);
}

#[tokio::test]
async fn two_tasks_that_lose_the_session_renew_it_once() {
    let server = scanner_with_logins(2).await;
    // Late enough that both calls are on their way with the first session.
    let expired = refusal(401, "Invalid Credentials").set_delay(Duration::from_millis(100));
    call_with("GET", "/scans/1", "first").respond_with(expired).expect(2).mount(&server).await;
    call_with("GET", "/scans/1", "second").respond_with(ok(running(10))).expect(2).mount(&server).await;
    let scanner = client(server.uri());
    let scan = ScanId::from(1);
    let (one, two) = tokio::join!(scanner.status(&scan), scanner.status(&scan));
    one.unwrap();
    two.unwrap();
    assert_eq!(requests(&server, "POST", "/session").await, 2);
}

#[tokio::test]
async fn a_session_refused_right_after_a_new_login_is_given_up() {
    let server = scanner_with_logins(2).await;
    call("GET", "/scans/1").respond_with(refusal(401, "Invalid Credentials second")).expect(2).mount(&server).await;
    let error = client(server.uri()).status(&ScanId::from(1)).await.unwrap_err();
    assert!(matches!(error, ScannerError::SessionRefused(_)), "{error:?}");
    assert_keeps_secrets(&error);
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_before_an_operator_wants_it() {
    let server = scanner().await;
    let words = format!("Invalid Credentials {PASSWORD}");
    call("POST", "/session").respond_with(refusal(401, &words)).up_to_n_times(1).expect(1).mount(&server).await;
    call("POST", "/session").respond_with(ok(json!({ "token": "first" }))).expect(1).mount(&server).await;
    let scanner = client(server.uri());
    let scan = ScanId::from(1);
    let (one, two) = tokio::join!(scanner.status(&scan), scanner.launch(&scan));
    for error in [one.unwrap_err(), two.unwrap_err(), scanner.find_by_marker("m").await.unwrap_err()] {
        assert!(matches!(&error, ScannerError::AuthenticationRefused(text) if text.contains("Invalid")), "{error:?}");
        assert_keeps_secrets(&error);
    }
    scanner.close().await;
    scanner.status(&scan).await.unwrap();
}

#[tokio::test]
async fn who_waits_for_a_login_shares_its_failure_and_a_later_call_tries_again() {
    let server = scanner().await;
    let broken = refusal(500, "database is locked").set_delay(Duration::from_millis(100));
    call("POST", "/session").respond_with(broken).up_to_n_times(1).mount(&server).await;
    call("POST", "/session").respond_with(ok(json!({ "token": "second" }))).mount(&server).await;
    call_with("POST", "/scans/1/stop", "second").respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let scanner = client(server.uri());
    let scan = ScanId::from(1);
    let (one, two) = tokio::join!(scanner.stop(&scan), scanner.stop(&scan));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert!(matches!(error, ScannerError::Server { status: 500, .. }), "{error:?}");
    }
    assert_eq!(requests(&server, "POST", "/session").await, 1);
    scanner.stop(&scan).await.unwrap();
}

#[tokio::test]
async fn a_scanner_with_too_many_sessions_is_left_alone_for_minutes() {
    let server = scanner().await;
    let full = refusal(500, "too many users connected");
    call("POST", "/session").respond_with(full).up_to_n_times(2).expect(2).mount(&server).await;
    call("POST", "/session").respond_with(ok(json!({ "token": "first" }))).expect(1).mount(&server).await;
    let scanner = client(server.uri());
    let scan = ScanId::from(1);
    for _ in 0..3 {
        let error = scanner.status(&scan).await.unwrap_err();
        assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(60)), "{error:?}");
        assert!(matches!(error, ScannerError::TooManySessions { .. }), "{error:?}");
    }
    assert_eq!(requests(&server, "POST", "/session").await, 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let error = scanner.status(&scan).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)), "{error:?}");
    scanner.close().await;
    scanner.status(&scan).await.unwrap();
}

#[tokio::test]
async fn who_waits_for_the_web_token_shares_its_failure_and_a_later_call_tries_again() {
    let server = scanner().await;
    call("POST", "/session").respond_with(ok(json!({ "token": "first" }))).expect(1).mount(&server).await;
    let broken = refusal(500, "no").set_delay(Duration::from_millis(100));
    call("GET", "/nessus6.js").respond_with(broken).up_to_n_times(1).mount(&server).await;
    call("GET", "/nessus6.js").respond_with(script(API_TOKEN)).expect(1).mount(&server).await;
    call("POST", "/scans/1/stop").respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    let scanner = client(server.uri());
    let scan = ScanId::from(1);
    let (one, two) = tokio::join!(scanner.stop(&scan), scanner.stop(&scan));
    one.unwrap_err();
    two.unwrap_err();
    scanner.stop(&scan).await.unwrap();
}

#[tokio::test]
async fn a_login_answer_that_cannot_be_read_shows_nothing_of_itself() {
    for answer in [json!("first"), json!({ "token": null }), json!(["first"]), json!({ "token": "first\n" })] {
        let server = scanner().await;
        call("POST", "/session").respond_with(ok(answer)).mount(&server).await;
        let error = client(server.uri()).launch(&ScanId::from(1)).await.unwrap_err();
        assert!(matches!(error, ScannerError::Decode { .. } | ScannerError::NotFound(_)), "{error:?}");
        assert_keeps_secrets(&error);
    }
}

#[tokio::test]
async fn a_web_token_that_changed_is_fetched_again() {
    let server = scanner().await;
    let upgraded = API_TOKEN.replace('7', "8");
    call("POST", "/session").respond_with(ok(json!({ "token": "first" }))).expect(1).mount(&server).await;
    call("GET", "/nessus6.js").respond_with(script(API_TOKEN)).up_to_n_times(1).mount(&server).await;
    call("GET", "/nessus6.js").respond_with(script(&upgraded)).expect(1).mount(&server).await;
    let launch = |token: &str| call("POST", "/scans/1/launch").and(header("X-API-Token", token));
    launch(API_TOKEN).respond_with(refusal(412, "API is not available")).expect(1).mount(&server).await;
    launch(&upgraded).respond_with(ok(json!({ "scan_uuid": "run-1" }))).expect(2).mount(&server).await;
    let scanner = client(server.uri());
    for _ in 0..2 {
        assert_eq!(scanner.launch(&ScanId::from(1)).await.unwrap().as_deref(), Some("run-1"));
    }
}

#[tokio::test]
async fn a_scanner_without_control_by_api_is_told_after_one_repetition() {
    let server = scanner_with_logins(1).await;
    let words = format!("API is not available {API_TOKEN}");
    call("POST", "/scans/1/launch").respond_with(refusal(412, &words)).expect(2).mount(&server).await;
    let error = client(server.uri()).launch(&ScanId::from(1)).await.unwrap_err();
    assert!(matches!(error, ScannerError::ApiNotAvailable(_)), "{error:?}");
    assert_keeps_secrets(&error);
    assert_eq!(requests(&server, "GET", "/nessus6.js").await, 2);
}

#[tokio::test]
async fn a_412_counts_when_the_connection_dies_before_its_body() {
    let cut = "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 32\r\nConnection: close\r\n\r\n".to_owned();
    let script = format!(r#"{{key:"getApiToken",value:function(){{return"{API_TOKEN}"}}}}"#);
    let empty = raw(r#"{"info":{"status":"empty"}}"#);
    let answers = [raw_login(), vec![empty, raw(&script), cut.clone(), raw(&script), cut]].concat();
    let url = raw_scanner(answers);
    let error = client(url).launch(&ScanId::from(1)).await.unwrap_err();
    assert!(matches!(error, ScannerError::ApiNotAvailable(_)), "{error:?}");
}

#[tokio::test]
async fn reads_need_no_web_token() {
    let server = scanner_with_logins(1).await;
    call("GET", "/scans/1").respond_with(ok(running(1))).mount(&server).await;
    client(server.uri()).status(&ScanId::from(1)).await.unwrap();
    assert_eq!(requests(&server, "GET", "/nessus6.js").await, 0);
}

#[tokio::test]
async fn a_read_that_wants_the_web_token_gets_it() {
    let server = scanner_with_logins(1).await;
    let read = || call("GET", "/scans/1");
    read().and(header("X-API-Token", API_TOKEN)).respond_with(ok(running(1))).expect(1).mount(&server).await;
    read().respond_with(refusal(412, "API is not available")).expect(1).mount(&server).await;
    client(server.uri()).status(&ScanId::from(1)).await.unwrap();
}

#[tokio::test]
async fn without_a_script_the_scanner_has_the_last_word() {
    let server = scanner().await;
    call("POST", "/session").respond_with(ok(json!({ "token": "first" }))).mount(&server).await;
    call("POST", "/scans/1/launch").respond_with(ok(json!({}))).mount(&server).await;
    call("GET", "/nessus6.js").respond_with(ResponseTemplate::new(404)).mount(&server).await;
    assert_eq!(client(server.uri()).launch(&ScanId::from(1)).await.unwrap(), None);
}

#[tokio::test]
async fn closing_logs_out_once_and_the_scanner_can_be_used_again() {
    let server = scanner_with_logins(2).await;
    call("GET", "/scans/1").respond_with(ok(running(1))).mount(&server).await;
    call_with("DELETE", "/session", "first").respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    let scanner = client(server.uri());
    scanner.close().await;
    scanner.status(&ScanId::from(1)).await.unwrap();
    scanner.close().await;
    scanner.close().await;
    scanner.status(&ScanId::from(1)).await.unwrap();
}

#[tokio::test]
async fn a_failed_logout_is_not_an_error() {
    let server = scanner_with_logins(1).await;
    call("GET", "/scans/1").respond_with(ok(running(1))).mount(&server).await;
    call("DELETE", "/session").respond_with(refusal(500, "no")).expect(1).mount(&server).await;
    let scanner = client(server.uri());
    scanner.status(&ScanId::from(1)).await.unwrap();
    scanner.close().await;
}

#[test]
fn neither_config_nor_scanner_shows_the_password() {
    let config = config("https://nessus.example:8834");
    let shown = format!("{config:?}");
    let shown = format!("{shown} {:?} {config:#?}", client("http://127.0.0.1:1"));
    assert!(!shown.contains(PASSWORD), "{shown}");
}
