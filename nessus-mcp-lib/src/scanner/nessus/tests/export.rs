//! Exports that are late, lost, cut off or something else.

use rstest::rstest;
use tokio::io::AsyncWrite;

use super::*;

const SCAN: &str = "/scans/57";
const REQUEST: &str = "/scans/57/export";
const STATUS: &str = "/scans/57/export/9/status";
const DOWNLOAD: &str = "/scans/57/export/9/download";

/// A scanner that has the file 9 ready.
async fn scanner_with_file() -> MockServer {
    let server = scanner_with_logins(1).await;
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
#[case::page("<!DOCTYPE html><html><body>Nessus</body></html>".to_owned(), "scanner_bad_answer")]
#[case::json(r#"{"error":"no"}"#.to_owned(), "scanner_bad_answer")]
#[case::csv("Plugin ID,CVE\n".repeat(100), "scanner_bad_answer")]
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
#[case::without_declaration("<NessusClientData_v2></NessusClientData_v2>".to_owned())]
#[case::with_bom(format!("\u{feff}{}", document()))]
#[tokio::test]
async fn a_whole_document_is_taken_as_it_is(#[case] body: String) {
    let server = scanner_with_file().await;
    call("GET", DOWNLOAD).respond_with(file(body.clone())).mount(&server).await;
    let (sink, outcome) = export(config(server.uri())).await;
    assert_eq!(outcome.unwrap().bytes, body.len() as u64);
    assert_eq!(sink, body.as_bytes());
}

#[tokio::test]
async fn an_active_scan_is_a_conflict_at_once() {
    let server = scanner_with_logins(1).await;
    call("POST", REQUEST).respond_with(refusal(409, "Can not export running scans")).expect(1).mount(&server).await;
    call("GET", SCAN).respond_with(ok(running(50))).mount(&server).await;
    let (sink, outcome) = export(config(server.uri())).await;
    assert!(matches!(outcome, Err(ScannerError::Conflict(_))), "{outcome:?}");
    assert!(sink.is_empty());
}

#[tokio::test]
async fn a_report_that_is_being_created_is_waited_for() {
    let server = scanner_with_logins(1).await;
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
    let server = scanner_with_logins(1).await;
    call("POST", REQUEST).respond_with(refusal(409, "being created")).mount(&server).await;
    call("GET", SCAN).respond_with(ok(completed())).mount(&server).await;
    let (_, outcome) = export(config(server.uri()).export_max_wait(Duration::ZERO)).await;
    assert!(matches!(outcome, Err(ScannerError::Conflict(_))), "{outcome:?}");

    let server = scanner_with_logins(1).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "loading" }))).mount(&server).await;
    let (_, outcome) = export(config(server.uri()).export_max_wait(Duration::ZERO)).await;
    assert!(matches!(outcome, Err(ScannerError::TimedOut { .. })), "{outcome:?}");
}

#[rstest]
#[case::expired(refusal(404, "The requested file was not found"))]
#[case::failed(ResponseTemplate::new(500).set_body_json(json!({ "status": "error" })))]
#[case::error(ok(json!({ "status": "error" })))]
#[tokio::test]
async fn a_lost_file_is_asked_for_again(#[case] answer: ResponseTemplate) {
    let server = scanner_with_logins(1).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 8 }))).up_to_n_times(1).mount(&server).await;
    call("POST", REQUEST).respond_with(ok(json!({ "file": 9 }))).expect(1).mount(&server).await;
    call("GET", "/scans/57/export/8/status").respond_with(answer).mount(&server).await;
    call("GET", STATUS).respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    call("GET", DOWNLOAD).respond_with(file(document())).mount(&server).await;
    export(config(server.uri())).await.1.unwrap();
}

#[tokio::test]
async fn a_file_lost_twice_is_not_a_lost_scan() {
    let server = scanner_with_file().await;
    call("GET", DOWNLOAD).respond_with(refusal(404, "not found")).expect(2).mount(&server).await;
    let (sink, outcome) = export(config(server.uri())).await;
    assert!(matches!(outcome, Err(ScannerError::Truncated(_))), "{outcome:?}");
    assert!(sink.is_empty());
    assert_eq!(requests(&server, "POST", REQUEST).await, 2);
}

#[tokio::test]
async fn a_session_that_ends_between_status_and_download_is_renewed_for_the_same_file() {
    let server = scanner_with_logins(2).await;
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
    let server = scanner_with_logins(1).await;
    let words = "Export is not allowed in trial mode.";
    call("POST", REQUEST).respond_with(refusal(403, words)).expect(1).mount(&server).await;
    let (_, outcome) = export(config(server.uri())).await;
    assert!(matches!(&outcome, Err(ScannerError::Forbidden(text)) if text.contains(words)), "{outcome:?}");
}

#[tokio::test]
async fn an_export_beyond_the_limit_is_not_stored() {
    let server = scanner_with_file().await;
    call("GET", DOWNLOAD).respond_with(file(document())).mount(&server).await;
    let (sink, outcome) = export(config(server.uri()).export_max_bytes(1000)).await;
    assert!(matches!(outcome, Err(ScannerError::ExportTooLarge { limit: 1000 })), "{outcome:?}");
    assert!(sink.is_empty());
}

/// What a raw scanner says before the download.
fn prologue() -> Vec<String> {
    vec![raw(r#"{"token":"first"}"#), raw(r#"{"file":9}"#), raw(r#"{"status":"ready"}"#)]
}

#[rstest]
#[case::short("Content-Length: 90000\r\n", document())]
#[case::chunked("Transfer-Encoding: chunked\r\n", format!("{:x}\r\n{}\r\n", document().len(), document()))]
#[tokio::test]
async fn a_connection_that_breaks_off_is_no_whole_export(#[case] header: &str, #[case] body: String) {
    let mut answers = prologue();
    answers.push(format!("HTTP/1.1 200 OK\r\n{header}Connection: close\r\n\r\n{body}"));
    let (_, outcome) = export(config(raw_scanner(answers))).await;
    assert!(matches!(outcome, Err(ScannerError::Truncated(_))), "{outcome:?}");
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
async fn a_scanner_that_falls_silent_is_left(#[case] answer: &str) {
    use crate::error::Classified as _;
    let mut answers = prologue();
    answers.push(answer.to_owned());
    let (_, outcome) = export(config(raw_scanner(answers)).export_idle_timeout(Duration::from_millis(200))).await;
    let error = outcome.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(matches!(error, ScannerError::TimedOut { .. } | ScannerError::Transport { .. }), "{error:?}");
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

#[tokio::test]
async fn a_full_disk_is_not_the_scanners_fault() {
    let server = scanner_with_file().await;
    call("GET", DOWNLOAD).respond_with(file(document())).expect(1).mount(&server).await;
    let outcome = client(server.uri()).export(&ScanId::from(57), &mut Full).await;
    assert!(matches!(outcome, Err(ScannerError::Storage(_))), "{outcome:?}");
}
