//! Exports that are late, lost, cut off or something else.

use rstest::rstest;
use tokio::io::AsyncWrite;

use super::*;

const SCAN: &str = "/scans/57";
const REQUEST: &str = "/scans/57/export";
const STATUS: &str = "/scans/57/export/9/status";
const DOWNLOAD: &str = "/scans/57/export/9/download";

/// A scanner with a scan that has ended.
async fn scanner_with_results() -> MockServer {
    let server = scanner_with_logins(1).await;
    call("GET", SCAN).respond_with(ok(completed())).with_priority(200).mount(&server).await;
    server
}

/// A scanner that has the file 9 ready.
async fn scanner_with_file() -> MockServer {
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    server
}

fn file(body: impl Into<Vec<u8>>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "application/octet-stream")
}

async fn export(config: NessusConfig) -> (Vec<u8>, Result<ExportSummary, ScannerError>) {
    let mut sink = Vec::new();
    let outcome = NessusScanner::new(config).unwrap().export(&ScanId::from(57), &mut sink).await;
    (sink, outcome)
}

#[rstest]
#[case::cut(document()[..5000].to_owned(), "export_truncated")]
#[case::without_its_last_bytes(document().trim_end().trim_end_matches('>').to_owned(), "export_truncated")]
#[case::empty(String::new(), "export_truncated")]
#[case::white(" \n".to_owned(), "export_truncated")]
#[case::page("<!DOCTYPE html><html><body>Nessus</body></html>".to_owned(), "export_lost")]
#[case::json(r#"{"error":"no"}"#.to_owned(), "export_lost")]
#[case::csv("Plugin ID,CVE\n".repeat(100), "export_lost")]
#[tokio::test]
async fn what_is_no_whole_document_is_an_error(#[case] body: String, #[case] code: &str) {
    use crate::error::Classified as _;
    let server = scanner_with_file().await;
    call("GET", DOWNLOAD).respond_with(file(body)).mount(&server).await;
    let (_, outcome) = export(config(server.uri())).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (code, true), "{error:?}");
}

#[rstest]
#[case::without_declaration("<NessusClientData_v2><ReportHost/></NessusClientData_v2>".to_owned())]
#[case::with_bom(format!("\u{feff}{}", document()))]
#[tokio::test]
async fn a_whole_document_is_taken_as_it_is(#[case] body: String) {
    let server = scanner_with_file().await;
    call("GET", DOWNLOAD).respond_with(file(body.clone())).mount(&server).await;
    let (sink, outcome) = export(config(server.uri())).await;
    assert_eq!(outcome.unwrap(), summary_of(&body));
    assert_eq!(sink, body.as_bytes());
}

fn summary_of(body: &str) -> ExportSummary {
    use sha2::Digest as _;
    let bytes = sha2::Sha256::digest(body.as_bytes());
    let hash = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    ExportSummary::new(body.len() as u64).sha256(hash)
}

#[tokio::test]
async fn an_active_scan_is_a_conflict_at_once() {
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(refusal(409, "Can not export running scans")).expect(1).mount(&server).await;
    call("GET", SCAN).respond_with(ok(running(50))).mount(&server).await;
    let (sink, outcome) = export(config(server.uri())).await;
    assert!(matches!(outcome, Err(ScannerError::Conflict(_))), "{outcome:?}");
    assert!(sink.is_empty());
}

#[tokio::test]
async fn a_report_that_is_being_created_is_waited_for() {
    let server = scanner_with_results().await;
    let busy = refusal(409, "A report is already being created");
    call("POST", REQUEST).respond_with(busy).up_to_n_times(3).mount(&server).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": "9" }))).expect(1).mount(&server).await;
    call("GET", SCAN).respond_with(ok(completed())).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    call("GET", DOWNLOAD).respond_with(file(document())).mount(&server).await;
    export(config(server.uri())).await.1.unwrap();
}

#[tokio::test]
async fn waiting_has_an_end() {
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(refusal(409, "being created")).mount(&server).await;
    call("GET", SCAN).respond_with(ok(completed())).mount(&server).await;
    let (_, outcome) = export(config(server.uri()).export_max_wait(Duration::ZERO)).await;
    assert!(matches!(outcome, Err(ScannerError::Conflict(_))), "{outcome:?}");

    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "loading" }))).mount(&server).await;
    let (_, outcome) = export(config(server.uri()).export_max_wait(Duration::ZERO)).await;
    assert!(matches!(&outcome, Err(ScannerError::ExportLost(why)) if why.contains("gave up waiting")), "{outcome:?}");
}

#[rstest]
#[case::expired(refusal(404, "The requested file was not found"))]
#[case::failed(ResponseTemplate::new(500).set_body_json(json!({ "status": "error" })))]
#[case::error(ok(json!({ "status": "error" })))]
#[tokio::test]
async fn a_lost_file_is_asked_for_again(#[case] answer: ResponseTemplate) {
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 8 }))).up_to_n_times(1).mount(&server).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).expect(1).mount(&server).await;
    call("GET", "/scans/57/export/8/status").respond_with(answer).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    call("GET", DOWNLOAD).respond_with(file(document())).mount(&server).await;
    export(config(server.uri())).await.1.unwrap();
}

/// Neither a lost scan nor a scanner in trouble.
#[rstest]
#[case::at_its_status(json!({ "file": 9 }), Some(STATUS), "GET /scans/57/export/9/status")]
#[case::at_the_download(json!({ "file": 9 }), Some(DOWNLOAD), "GET /scans/57/export/9/download")]
#[case::never_named(json!({ "file": null, "token": {} }), None, "no `file` in it")]
#[tokio::test]
async fn an_export_that_is_always_lost_says_so_and_nothing_of_the_scanner(
    #[case] named: Value,
    #[case] gone: Option<&str>,
    #[case] why: &str,
) {
    use crate::{circuit_breaker::*, config::CircuitSettings, scanner::Guarded};
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(ok(named)).expect(3 * 3).mount(&server).await;
    if let Some(gone) = gone {
        call("GET", gone).respond_with(refusal(404, "not found")).expect(3 * 3).mount(&server).await;
    }
    call("GET", STATUS).respond_with(ok(json!({ "status": "ready" }))).with_priority(200).mount(&server).await;
    let breaker = CircuitBreaker::new("nessus:a", CircuitSettings::default().with_failures(1)).unwrap();
    let guarded = Guarded::new(std::sync::Arc::new(client(server.uri())), breaker.clone());
    for _ in 0..3 {
        let mut sink = Vec::new();
        let outcome = guarded.export(&ScanId::from(57), &mut sink).await;
        assert!(matches!(&outcome, Err(ScannerError::ExportLost(text)) if text.contains(why)), "{outcome:?}");
        assert!(sink.is_empty());
    }
    assert_eq!((breaker.view().state, breaker.view().failures), (CircuitState::Closed, 0));
}

#[tokio::test]
async fn a_session_that_ends_between_status_and_download_is_renewed_for_the_same_file() {
    let server = scanner_with_logins(2).await;
    call("GET", SCAN).respond_with(ok(completed())).mount(&server).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).expect(1).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    call_with("GET", DOWNLOAD, "first").respond_with(refusal(401, "Invalid Credentials")).mount(&server).await;
    call_with("GET", DOWNLOAD, "second").respond_with(file(document())).expect(1).mount(&server).await;
    export(config(server.uri())).await.1.unwrap();
}

#[tokio::test]
async fn a_download_that_is_not_ready_after_all_is_waited_for() {
    let server = scanner_with_file().await;
    let early = file("The download is NOT READY yet");
    call("GET", DOWNLOAD).respond_with(early).up_to_n_times(2).mount(&server).await;
    call("GET", DOWNLOAD).respond_with(file(document())).expect(1).mount(&server).await;
    let (sink, outcome) = export(config(server.uri())).await;
    outcome.unwrap();
    assert_eq!(sink, document().as_bytes());
}

#[tokio::test]
async fn a_licence_that_forbids_exports_is_told() {
    let server = scanner_with_results().await;
    let words = "Export is not allowed in trial mode.";
    call("POST", REQUEST).respond_with(refusal(403, words)).expect(1).mount(&server).await;
    let (_, outcome) = export(config(server.uri())).await;
    assert!(matches!(&outcome, Err(ScannerError::Licence(text)) if text.contains(words)), "{outcome:?}");
}

#[tokio::test]
async fn an_export_beyond_the_limit_is_not_stored() {
    let server = scanner_with_file().await;
    call("GET", DOWNLOAD).respond_with(file(document())).mount(&server).await;
    let (sink, outcome) = export(config(server.uri()).export_max_bytes(1000)).await;
    assert!(matches!(outcome, Err(ScannerError::ExportTooLarge { limit: 1000 })), "{outcome:?}");
    assert!(sink.is_empty());
}

/// What a raw scanner says before the first download.
fn prologue() -> Vec<String> {
    [raw_login(), vec![raw(&completed().to_string())], file_ready()].concat()
}

/// What it says to the wish for a file.
fn file_ready() -> Vec<String> {
    vec![raw(r#"{"file":9}"#), ready()]
}

fn ready() -> String {
    raw(r#"{"status":"ready"}"#)
}

/// A download that breaks off after this part of it, in per cent.
fn cut_at(percent: usize, chunked: bool) -> String {
    let document = document();
    let part = &document[..document.len() * percent / 100];
    let (header, body) = if chunked {
        ("Transfer-Encoding: chunked".to_owned(), format!("{:x}\r\n{part}\r\n", part.len()))
    } else {
        (format!("Content-Length: {}", document.len()), part.to_owned())
    };
    format!("HTTP/1.1 200 OK\r\n{header}\r\nConnection: close\r\n\r\n{body}")
}

#[rstest]
#[case(40, false)]
#[case(90, false)]
#[case(0, false)]
#[case(40, true)]
#[case(100, true)]
#[tokio::test]
async fn a_download_that_breaks_off_is_repeated(#[case] percent: usize, #[case] chunked: bool) {
    let answers = [prologue(), vec![cut_at(percent, chunked), ready(), raw(&document())]].concat();
    let (sink, outcome) = export(config(raw_scanner(answers))).await;
    assert_eq!(outcome.unwrap(), summary_of(&document()));
    assert_eq!(sink, document().as_bytes());
}

#[tokio::test]
async fn a_download_that_always_breaks_off_is_given_up() {
    let download = vec![cut_at(90, false), ready(), cut_at(40, true), ready(), cut_at(90, false)];
    let another = || [file_ready(), download.clone()].concat();
    let answers = [prologue(), download.clone(), another(), another()].concat();
    let (_, outcome) = export(config(raw_scanner(answers))).await;
    assert!(matches!(outcome, Err(ScannerError::Truncated(_))), "{outcome:?}");
}

/// What HTTP calls complete is not downloaded again, but made again.
#[rstest]
#[case::cut(document()[..5000].to_owned())]
#[case::empty(String::new())]
#[case::page("<!DOCTYPE html><html><body>Log in</body></html>".to_owned())]
#[case::json(r#"{"error":"Invalid Credentials"}"#.to_owned())]
#[case::without_hosts("<NessusClientData_v2></NessusClientData_v2>".to_owned())]
#[tokio::test]
async fn what_is_no_whole_document_is_asked_for_again(#[case] body: String) {
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 8 }))).up_to_n_times(1).mount(&server).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).expect(1).mount(&server).await;
    for number in [8, 9] {
        let status = format!("/scans/57/export/{number}/status");
        call("GET", &status).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    }
    call("GET", "/scans/57/export/8/download").respond_with(file(body)).expect(1).mount(&server).await;
    call("GET", DOWNLOAD).respond_with(file(document())).expect(1).mount(&server).await;
    let (sink, outcome) = export(config(server.uri())).await;
    outcome.unwrap();
    assert_eq!(sink, document().as_bytes());
}

#[tokio::test]
async fn hosts_that_no_export_has_are_left_to_who_checks_the_results() {
    let server = scanner_with_file().await;
    let body = "<NessusClientData_v2></NessusClientData_v2>";
    call("GET", DOWNLOAD).respond_with(file(body)).expect(2).mount(&server).await;
    assert_eq!(export(config(server.uri())).await.1.unwrap().bytes, body.len() as u64);
}

/// The token opens the file to whoever knows it.
#[tokio::test]
async fn a_file_is_fetched_by_its_token_where_there_is_no_number_and_the_token_is_not_shown() {
    let server = scanner_with_results().await;
    call("POST", "/session").respond_with(ok(json!({ "token": "second" }))).mount(&server).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": null, "token": "planted0token" }))).mount(&server).await;
    let status = json!({ "error": "", "message": "The download is ready.", "status": "ready" });
    call("GET", "/tokens/planted0token/status").respond_with(ok(status)).mount(&server).await;
    let download = "/tokens/planted0token/download";
    call("GET", download).respond_with(file("The download is not ready")).up_to_n_times(1).mount(&server).await;
    call("GET", download).respond_with(file(document())).up_to_n_times(1).mount(&server).await;
    call("GET", download).respond_with(file("<html>planted0token")).mount(&server).await;
    let (sink, outcome) = export(config(server.uri())).await;
    outcome.unwrap();
    assert_eq!(sink, document().as_bytes());
    for request in server.received_requests().await.unwrap() {
        let is_open = request.url.path().starts_with("/tokens/");
        assert!(!is_open || !request.headers.contains_key("X-Cookie"), "{request:?}");
    }
    let error = export(config(server.uri())).await.1.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("/tokens/[redacted]/download") && !shown.contains("planted0token"), "{shown}");
}

#[tokio::test]
async fn a_file_that_is_lost_by_its_number_is_fetched_by_its_token() {
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9, "token": "t1" }))).expect(2).mount(&server).await;
    call("GET", STATUS).respond_with(refusal(404, "not found")).expect(1).mount(&server).await;
    call("GET", "/tokens/t1/status").respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    call("GET", "/tokens/t1/download").respond_with(file(document())).expect(1).mount(&server).await;
    export(config(server.uri())).await.1.unwrap();
}

/// Rows 25 and 26 in the midst of an export: looks that fail are no reason to begin again.
#[tokio::test]
async fn a_scanner_that_stumbles_while_it_prepares_a_file_is_asked_again() {
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(refusal(502, "no")).up_to_n_times(2).mount(&server).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).expect(1).mount(&server).await;
    let gateway = ResponseTemplate::new(502).set_body_string("<html>Bad Gateway</html>");
    call("GET", STATUS).respond_with(gateway).up_to_n_times(4).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    call("GET", DOWNLOAD).respond_with(refusal(503, "no")).up_to_n_times(1).mount(&server).await;
    call("GET", DOWNLOAD).respond_with(file(document())).expect(1).mount(&server).await;
    export(config(server.uri())).await.1.unwrap();
}

#[tokio::test]
async fn an_export_that_stays_loading_is_begun_once_more() {
    let server = scanner_with_results().await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 8 }))).up_to_n_times(1).mount(&server).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).expect(1).mount(&server).await;
    call("GET", "/scans/57/export/8/status").respond_with(ok(json!({ "status": "loading" }))).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    call("GET", DOWNLOAD).respond_with(file(document())).mount(&server).await;
    export(config(server.uri()).export_max_wait(Duration::from_millis(20))).await.1.unwrap();
}

#[tokio::test]
async fn a_chunked_export_beyond_the_limit_is_given_up_on_the_way() {
    let mut answers = prologue();
    let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", document().len(), document());
    answers.push(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    let (_, outcome) = export(config(raw_scanner(answers)).export_max_bytes(1000)).await;
    assert!(matches!(outcome, Err(ScannerError::ExportTooLarge { .. })), "{outcome:?}");
}

#[rstest]
#[case::before_the_answer("…")]
#[case::within_the_document("HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n<?xml version=\"1.0\"?>…")]
#[tokio::test]
async fn a_scanner_that_falls_silent_is_left_and_asked_again(#[case] answer: &str) {
    let answers = [prologue(), vec![answer.to_owned(), ready(), raw(&document())]].concat();
    let (sink, outcome) = export(config(raw_scanner(answers)).export_idle_timeout(Duration::from_millis(200))).await;
    outcome.unwrap();
    assert_eq!(sink, document().as_bytes());
}

/// A disk that is full.
#[derive(Debug)]
struct Full;

impl AsyncWrite for Full {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(Err(std::io::ErrorKind::StorageFull.into()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl crate::scanner::RestartableWrite for Full {
    async fn restart(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_is_not_the_scanners_fault() {
    let server = scanner_with_file().await;
    call("GET", DOWNLOAD).respond_with(file(document())).expect(1).mount(&server).await;
    let outcome = client(server.uri()).export(&ScanId::from(57), &mut Full).await;
    assert!(matches!(outcome, Err(ScannerError::Storage(_))), "{outcome:?}");
}
