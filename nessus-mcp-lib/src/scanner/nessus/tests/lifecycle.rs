//! A scan from its creation to its deletion, and what scanners say on the way.

use rstest::rstest;
use wiremock::matchers::{body_json, body_partial_json};

use super::*;

const MARKER: &str = "ne_ness_20251201_143022_a1b2c3d4";

fn request() -> ScanRequest {
    ScanRequest::new(MARKER, "nightly", "192.0.2.0/28,2001:db8::a/127")
}

async fn with_templates(server: &MockServer) {
    let templates = json!({ "templates": [
        null,
        { "name": "basic", "uuid": "uuid-agent", "is_agent": true },
        { "name": "basic", "uuid": "uuid-old", "unsupported": true },
        { "name": "custom", "uuid": "uuid-custom", "is_agent": {} },
        { "name": "mobile", "uuid": "uuid-mobile", "manager_only": 1 },
        { "name": "basic", "uuid": "uuid-basic", "unsupported": 0, "license_fulfilled": 1, "icon": "x" },
        { "name": "pci", "uuid": "uuid-pci", "license_fulfilled": false },
        { "name": "discovery", "uuid": "uuid-discovery" },
        { "name": null, "uuid": "uuid-null" },
    ]});
    call("GET", "/editor/scan/templates").respond_with(ok(templates)).mount(server).await;
    let properties = ok(json!({ "nessus_type": "Nessus Professional" }));
    call("GET", "/server/properties").respond_with(properties).mount(server).await;
}

#[tokio::test]
async fn the_whole_road_of_a_scan() {
    let server = scanner_with_logins(1).await;
    with_templates(&server).await;
    call_with("POST", "/scans", "first")
        .and(header("X-API-Token", API_TOKEN))
        .and(body_json(json!({ "uuid": "uuid-basic", "settings": {
            "name": format!("nightly [{MARKER}]"), "description": "", "text_targets": "192.0.2.0/28,2001:db8::a,2001:db8::b",
            "enabled": false, "launch_now": false,
        }})))
        .respond_with(ok(json!({ "scan": { "id": "57", "uuid": "template-1" } })))
        .expect(1)
        .mount(&server)
        .await;
    call_with("POST", "/scans/57/launch", "first")
        .and(header("X-API-Token", API_TOKEN))
        .respond_with(ok(json!({ "scan_uuid": "run-1" })))
        .expect(1)
        .mount(&server)
        .await;
    let empty = json!({ "info": { "status": "empty", "uuid": "template-1" } });
    call("GET", "/scans/57").respond_with(ok(empty)).up_to_n_times(1).mount(&server).await;
    call("GET", "/scans/57").respond_with(ok(running(42))).up_to_n_times(1).mount(&server).await;
    call("GET", "/scans/57").respond_with(ok(completed())).mount(&server).await;
    call_with("POST", "/scans/57/export", "first")
        .and(body_json(json!({ "format": "nessus" })))
        .respond_with(ok(json!({ "file": 9, "token": "file-token" })))
        .expect(1)
        .mount(&server)
        .await;
    let status = "/scans/57/export/9/status";
    call("GET", status).respond_with(ok(json!({ "status": "loading" }))).up_to_n_times(2).mount(&server).await;
    call("GET", status).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    call_with("GET", "/scans/57/export/9/download", "first")
        .respond_with(ResponseTemplate::new(200).set_body_raw(document(), "application/octet-stream"))
        .expect(1)
        .mount(&server)
        .await;
    call("DELETE", "/scans/57").respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    call_with("DELETE", "/session", "first").respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;

    let scanner = client(server.uri());
    let scan = scanner.create(&request()).await.unwrap();
    assert_eq!(scan, ScanId::from(57));
    assert_eq!(scanner.launch(&scan).await.unwrap().as_deref(), Some("run-1"));
    let status = scanner.status(&scan).await.unwrap();
    assert_eq!((status.state, status.progress, status.hosts), (ScanState::Running, Some(42), Some(1)));
    assert_eq!((status.run_uuid.as_deref(), status.detail.as_deref()), (Some("run-1"), Some("running")));
    let status = scanner.status(&scan).await.unwrap();
    assert_eq!((status.state, status.progress, status.hosts), (ScanState::Completed, Some(100), Some(2)));
    let mut sink = Vec::new();
    let summary = scanner.export(&scan, &mut sink).await.unwrap();
    assert_eq!((String::from_utf8(sink).unwrap(), summary.bytes), (document(), document().len() as u64));
    scanner.delete(&scan).await.unwrap();
    scanner.close().await;
    assert_eq!(requests(&server, "POST", "/session").await, 1);
    assert_eq!(requests(&server, "GET", "/nessus6.js").await, 1);
}

#[tokio::test]
async fn a_path_in_the_url_is_kept() {
    let server = MockServer::start().await;
    call("POST", "/nessus-eu/session").respond_with(ok(json!({ "token": "first" }))).mount(&server).await;
    call("GET", "/nessus-eu/scans").respond_with(ok(json!({ "scans": null }))).expect(1).mount(&server).await;
    client(format!("{}/nessus-eu/", server.uri())).find_by_marker(MARKER).await.unwrap();
}

#[rstest]
#[case::unknown("nmap", "unknown_template", "offers no template")]
#[case::licence("pci", "unusable_template", "licence does not cover it")]
#[case::policy("custom", "unusable_template", "needs a policy")]
#[case::manager("mobile", "unusable_template", "is for Nessus Manager")]
#[tokio::test]
async fn a_template_that_cannot_be_used_is_refused_with_the_reason_and_those_that_can(
    #[case] template: &str,
    #[case] code: &str,
    #[case] reason: &str,
) {
    use crate::error::Classified as _;
    let server = scanner_with_logins(1).await;
    with_templates(&server).await;
    let mut request = request();
    request.basis = ScanBasis::template(template);
    let error = client(server.uri()).create(&request).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (code, false), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(reason) && said.ends_with("offers: basic, discovery") && said.contains(template), "{said}");
    assert_eq!(requests(&server, "POST", "/scans").await, 0);
}

#[rstest]
#[case(json!({}))]
#[case(json!({ "templates": {} }))]
#[case(json!({ "templates": [] }))]
#[case(json!({ "templates": [null, "basic"] }))]
#[tokio::test]
async fn an_answer_without_templates_is_none_and_may_be_another_next_time(#[case] answer: Value) {
    use crate::error::Classified as _;
    let server = scanner_with_logins(1).await;
    call("GET", "/editor/scan/templates").respond_with(ok(answer)).mount(&server).await;
    let error = client(server.uri()).create(&request()).await.unwrap_err();
    assert!(matches!(error, ScannerError::Decode { .. }) && error.is_retryable(), "{error:?}");
}

#[rstest]
#[case::failed(refusal(500, "disk full"), true)]
#[case::proxy(ResponseTemplate::new(502).set_body_string("<html>Bad Gateway</html>"), true)]
#[case::not_json(ResponseTemplate::new(200).set_body_string("<html>Login</html>"), true)]
#[case::no_id(ok(json!({ "scan": null })), true)]
#[case::wrong_name(refusal(400, "Invalid 'name' field"), false)]
#[case::late(ok(json!({ "scan": { "id": 57 } })).set_delay(Duration::from_secs(60)), true)]
#[tokio::test]
async fn a_create_is_sent_once(#[case] answer: ResponseTemplate, #[case] may_have_acted: bool) {
    let server = scanner_with_logins(1).await;
    with_templates(&server).await;
    call("POST", "/scans").respond_with(answer).expect(1).mount(&server).await;
    let scanner = NessusScanner::new(config(server.uri()).request_timeout(Duration::from_millis(500))).unwrap();
    let error = scanner.create(&request()).await.unwrap_err();
    assert_eq!(error.may_have_acted(), may_have_acted, "{error:?}");
    assert_keeps_secrets(&error);
}

#[tokio::test]
async fn a_create_that_failed_before_it_was_sent_says_so() {
    let server = scanner_with_logins(1).await;
    let late = ok(json!({})).set_delay(Duration::from_secs(60));
    call("GET", "/editor/scan/templates").respond_with(late).mount(&server).await;
    let scanner = NessusScanner::new(config(server.uri()).request_timeout(Duration::from_millis(300))).unwrap();
    let error = scanner.create(&request()).await.unwrap_err();
    assert!(matches!(error, ScannerError::Transport { sent: crate::scanner::RequestSent::No, .. }), "{error:?}");
    assert!(!error.may_have_acted());
}

#[tokio::test]
async fn a_launch_is_done_however_little_the_scanner_says() {
    let server = scanner_with_logins(1).await;
    call("POST", "/scans/1/launch").respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    assert_eq!(client(server.uri()).launch(&ScanId::from(1)).await.unwrap(), None);
}

#[rstest]
#[case(json!({ "scans": null, "folders": null }), None)]
#[case(json!({ "scans": [{ "id": 5, "name": format!("nightly [{MARKER}]") }] }), Some(5))]
#[tokio::test]
async fn a_scan_is_looked_for_by_its_marker(#[case] answer: Value, #[case] found: Option<u64>) {
    let server = scanner_with_logins(1).await;
    call("GET", "/scans").respond_with(ok(answer)).mount(&server).await;
    assert_eq!(client(server.uri()).find_by_marker(MARKER).await.unwrap(), found.map(ScanId::from));
}

#[tokio::test]
async fn a_read_is_repeated_when_the_scanner_stumbles() {
    let server = scanner_with_logins(1).await;
    let page = ResponseTemplate::new(502).set_body_string("<html>Bad Gateway</html>");
    call("GET", "/scans/1").respond_with(page).up_to_n_times(1).mount(&server).await;
    let broken = ResponseTemplate::new(200).set_body_string("{\"info\":");
    call("GET", "/scans/1").respond_with(broken).up_to_n_times(1).mount(&server).await;
    call("GET", "/scans/1").respond_with(ok(running(7))).expect(1).mount(&server).await;
    assert_eq!(client(server.uri()).status(&ScanId::from(1)).await.unwrap().progress, Some(7));
}

#[rstest]
#[case(refusal(404, "The requested file was not found"), "scan_vanished")]
#[case(refusal(429, "slow down"), "scanner_rate_limited")]
#[case(ResponseTemplate::new(503).insert_header("Retry-After", "7"), "scanner_rate_limited")]
#[case(ResponseTemplate::new(503).set_body_json(json!({ "status": "loading" })), "scanner_not_ready")]
#[case(ResponseTemplate::new(503).set_body_json(json!({ "status": "locked" })), "scanner_unusable")]
#[tokio::test]
async fn a_read_that_is_refused_is_not_repeated(#[case] answer: ResponseTemplate, #[case] code: &str) {
    use crate::error::Classified as _;
    let server = scanner_with_logins(1).await;
    call("GET", "/scans/1").respond_with(answer).expect(1).mount(&server).await;
    assert_eq!(client(server.uri()).status(&ScanId::from(1)).await.unwrap_err().code(), code);
}

#[tokio::test]
async fn a_redirect_is_refused_and_nothing_is_shown_to_its_target() {
    let target = MockServer::start().await;
    let server = scanner_with_logins(1).await;
    let location = format!("{}/scans/1?token=first", target.uri());
    let redirect = ResponseTemplate::new(307).insert_header("Location", location.as_str());
    call("GET", "/scans/1").respond_with(redirect).mount(&server).await;
    let error = client(server.uri()).status(&ScanId::from(1)).await.unwrap_err();
    assert!(matches!(&error, ScannerError::Configuration(text) if text.contains(&target.uri())), "{error:?}");
    assert_keeps_secrets(&error);
    assert!(target.received_requests().await.unwrap().is_empty());
}

#[rstest]
#[case("stop", "completed", true)]
#[case("stop", "stopping", true)]
#[case("stop", "empty", true)]
#[case("stop", "running", false)]
#[case("pause", "paused", true)]
#[case("pause", "pausing", true)]
#[case("pause", "canceled", true)]
#[case("pause", "stopping", false)]
#[case("resume", "running", true)]
#[case("resume", "aborted", true)]
#[case("resume", "empty", false)]
#[tokio::test]
async fn a_conflict_is_judged_by_where_the_scan_stands(#[case] verb: &str, #[case] word: &str, #[case] fine: bool) {
    let server = scanner_with_logins(1).await;
    let at = format!("/scans/1/{verb}");
    call("POST", &at).respond_with(refusal(409, "scan is not active")).expect(1).mount(&server).await;
    call("GET", "/scans/1").respond_with(ok(json!({ "info": { "status": word } }))).expect(1).mount(&server).await;
    let (scanner, scan) = (client(server.uri()), ScanId::from(1));
    let outcome = match verb {
        "stop" => scanner.stop(&scan).await,
        "pause" => scanner.pause(&scan).await,
        _ => scanner.resume(&scan).await,
    };
    match outcome {
        Ok(()) => assert!(fine),
        Err(error) => assert!(!fine && matches!(error, ScannerError::Conflict(_)), "{error:?}"),
    }
}

#[tokio::test]
async fn deleting_what_is_gone_is_fine_and_what_is_active_is_not() {
    let server = scanner_with_logins(1).await;
    call("DELETE", "/scans/1").respond_with(refusal(404, "no such scan")).mount(&server).await;
    call("DELETE", "/scans/2").respond_with(refusal(409, "Can not delete an active scan")).mount(&server).await;
    let scanner = client(server.uri());
    scanner.delete(&ScanId::from(1)).await.unwrap();
    let error = scanner.delete(&ScanId::from(2)).await.unwrap_err();
    assert!(matches!(error, ScannerError::Conflict(_)), "{error:?}");
}

#[tokio::test]
async fn a_scan_id_that_is_no_number_gets_into_no_path() {
    let server = MockServer::start().await;
    let scanner = client(server.uri());
    let scan = ScanId::new("../session");
    for error in [scanner.delete(&scan).await.unwrap_err(), scanner.stop(&scan).await.unwrap_err()] {
        assert!(matches!(error, ScannerError::Rejected(_)), "{error:?}");
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_ready_scanner_tells_about_itself() {
    let server = scanner_with_logins(1).await;
    call("GET", "/server/status").respond_with(ok(json!({ "code": 200, "status": "ready" }))).mount(&server).await;
    let properties = json!({
        "nessus_type": "Nessus Essentials", "server_version": "19.18.4", "nessus_ui_version": "10.12.4",
        "loaded_plugin_set": 202_511_200_505_u64, "license": { "name": "Nessus Essentials", "ips": "16" },
    });
    call_with("GET", "/server/properties", "first").respond_with(ok(properties)).mount(&server).await;
    let properties = client(server.uri()).properties().await.unwrap();
    assert_eq!(properties.product.as_deref(), Some("Nessus Essentials"));
    assert_eq!(properties.version.as_deref(), Some("10.12.4"));
    assert_eq!(properties.plugin_set.as_deref(), Some("202511200505"));
    assert_eq!(properties.licensed_hosts, Some(16));
}

#[rstest]
#[case(200, "loading")]
#[case(503, "loading")]
#[case(200, "feed-expired")]
#[case(503, "locked")]
#[tokio::test]
async fn a_scanner_that_is_not_ready_is_not_logged_in_to(#[case] code: u16, #[case] word: &str) {
    use crate::error::Classified as _;
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(code).set_body_json(json!({ "code": code, "progress": 37, "status": word }));
    call("GET", "/server/status").respond_with(answer).expect(1).mount(&server).await;
    let error = client(server.uri()).properties().await.unwrap_err();
    let kind = if word == "loading" { "scanner_not_ready" } else { "scanner_unusable" };
    assert!(error.code() == kind && error.to_string().contains(word), "{error:?}");
    assert_eq!(requests(&server, "POST", "/session").await, 0);
}

#[tokio::test]
async fn a_password_in_the_scanners_words_is_removed() {
    let server = scanner_with_logins(1).await;
    with_templates(&server).await;
    let words = format!("Invalid settings for admin:{PASSWORD} with first and {API_TOKEN}");
    let answer = refusal(400, &words);
    call("POST", "/scans").and(body_partial_json(json!({}))).respond_with(answer).mount(&server).await;
    let error = client(server.uri()).create(&request()).await.unwrap_err();
    assert!(error.to_string().contains("Invalid settings for admin:[redacted]"), "{error}");
    assert_keeps_secrets(&error);
}
