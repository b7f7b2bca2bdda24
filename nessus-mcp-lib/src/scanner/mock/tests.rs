use rstest::rstest;

use super::*;
use crate::scanner::RequestSent;

pub(super) const WHOLE: Duration = Duration::from_secs(100);

fn scanner() -> MockScanner {
    MockScanner::new(MockConfig::new().scan_duration(WHOLE))
}

pub(super) fn request(marker: &str) -> ScanRequest {
    ScanRequest::new(marker, "nightly", "192.0.2.0/28")
}

pub(super) async fn launched(scanner: &MockScanner, marker: &str) -> ScanId {
    let scan = scanner.create(&request(marker)).await.unwrap();
    scanner.launch(&scan).await.unwrap();
    scan
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

pub(super) async fn seen(scanner: &MockScanner, scan: &ScanId) -> (ScanState, Option<u8>) {
    let status = scanner.status(scan).await.unwrap();
    (status.state, status.progress)
}

pub(super) async fn export(scanner: &MockScanner, scan: &ScanId) -> Result<String, ScannerError> {
    let mut sink = Vec::new();
    let summary = scanner.export(scan, &mut sink).await?;
    assert_eq!(summary.bytes, sink.len() as u64);
    Ok(String::from_utf8(sink).unwrap())
}

fn lost() -> ScannerError {
    ScannerError::Transport { call: "POST".to_owned(), message: "reset".to_owned(), sent: RequestSent::Maybe }
}

#[tokio::test(start_paused = true)]
async fn a_scan_goes_its_way() {
    let scanner = scanner();
    let scan = scanner.create(&request("m")).await.unwrap();
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Created, None));
    let run = scanner.launch(&scan).await.unwrap();
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Pending, None));
    pass(50).await;
    let status = scanner.status(&scan).await.unwrap();
    assert_eq!((status.state, status.progress, status.hosts), (ScanState::Running, Some(50), Some(7)));
    assert_eq!(status.run_uuid, run);
    pass(49).await;
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Running, Some(99)));
    assert!(matches!(export(&scanner, &scan).await, Err(ScannerError::Conflict(_))));
    pass(1).await;
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Completed, Some(100)));
    let document = export(&scanner, &scan).await.unwrap();
    assert_eq!(document.matches("<ReportHost ").count(), 14);
    assert!(document.contains("nightly [m]"));
    scanner.delete(&scan).await.unwrap();
    scanner.delete(&scan).await.unwrap();
    assert!(matches!(scanner.status(&scan).await, Err(ScannerError::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn time_does_not_count_while_a_scan_is_held() {
    let scanner = scanner();
    let scan = launched(&scanner, "m").await;
    pass(40).await;
    scanner.pause(&scan).await.unwrap();
    scanner.pause(&scan).await.unwrap();
    pass(1000).await;
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Paused, Some(40)));
    scanner.resume(&scan).await.unwrap();
    pass(30).await;
    scanner.resume(&scan).await.unwrap();
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Running, Some(70)));
    pass(30).await;
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Completed, Some(100)));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_scan_keeps_what_it_found() {
    let scanner = scanner();
    let scan = launched(&scanner, "m").await;
    pass(50).await;
    assert!(matches!(scanner.delete(&scan).await, Err(ScannerError::Conflict(_))));
    scanner.stop(&scan).await.unwrap();
    pass(1000).await;
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Cancelled, Some(50)));
    assert_eq!(export(&scanner, &scan).await.unwrap().matches("<ReportHost ").count(), 7);
    for outcome in [scanner.stop(&scan).await, scanner.pause(&scan).await, scanner.resume(&scan).await] {
        outcome.unwrap();
    }
    assert_eq!(seen(&scanner, &scan).await.0, ScanState::Cancelled);
    assert_eq!(scanner.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_scan_says_why() {
    let scanner = scanner();
    let scan = launched(&scanner, "m").await;
    scanner.abort(&scan, "the engine was restarted");
    let status = scanner.status(&scan).await.unwrap();
    assert_eq!(status.state, ScanState::Aborted);
    assert_eq!(status.detail.as_deref(), Some("aborted: the engine was restarted"));
}

#[tokio::test(start_paused = true)]
async fn a_running_scan_is_not_launched_again_but_an_ended_one_is() {
    let scanner = scanner();
    let scan = launched(&scanner, "m").await;
    assert!(matches!(scanner.launch(&scan).await, Err(ScannerError::Conflict(_))));
    assert_eq!((scanner.launches_of("m"), scanner.running()), (1, 1));
    pass(100).await;
    scanner.launch(&scan).await.unwrap();
    assert_eq!((scanner.launches_of("m"), scanner.launches(), scanner.creates()), (2, 2, 1));
    assert_eq!(scanner.calls(MockOperation::Launch), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_launched_cannot_be_held() {
    let scanner = scanner();
    let scan = scanner.create(&request("m")).await.unwrap();
    assert!(matches!(scanner.pause(&scan).await, Err(ScannerError::Conflict(_))));
    assert!(matches!(scanner.resume(&scan).await, Err(ScannerError::Conflict(_))));
    assert!(matches!(export(&scanner, &scan).await, Err(ScannerError::Conflict(_))));
    scanner.stop(&scan).await.unwrap();
    scanner.delete(&scan).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_found_by_its_whole_marker() {
    let scanner = scanner();
    let scan = scanner.create(&request("m-1")).await.unwrap();
    scanner.create(&request("m-11")).await.unwrap();
    assert_eq!(scanner.find_by_marker("m-1").await.unwrap(), Some(scan.clone()));
    assert_eq!(scanner.find_by_marker("m").await.unwrap(), None);
    scanner.create(&request("m-1")).await.unwrap();
    let error = scanner.find_by_marker("m-1").await.unwrap_err();
    assert!(matches!(&error, ScannerError::AmbiguousMarker { scans, .. } if scans.len() == 2), "{error:?}");
    scanner.delete(&scan).await.unwrap();
    assert!(scanner.find_by_marker("m-1").await.unwrap().is_some());
    assert_eq!(scanner.creates_of("m-1"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_scripted_failure_comes_once_and_in_order() {
    let scanner = scanner();
    scanner.fail_next(MockOperation::Create, ScannerError::Forbidden("licence".to_owned()));
    scanner.fail_next(MockOperation::Create, lost());
    assert!(matches!(scanner.create(&request("m")).await, Err(ScannerError::Forbidden(_))));
    assert!(matches!(scanner.create(&request("m")).await, Err(ScannerError::Transport { .. })));
    assert_eq!(scanner.creates(), 0);
    scanner.create(&request("m")).await.unwrap();
    assert_eq!((scanner.creates(), scanner.calls(MockOperation::Create)), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_hides_what_was_done() {
    let scanner = scanner();
    scanner.lose_answer(MockOperation::Create, lost());
    scanner.lose_answer(MockOperation::Launch, lost());
    assert!(scanner.create(&request("m")).await.unwrap_err().may_have_acted());
    let scan = scanner.find_by_marker("m").await.unwrap().unwrap();
    scanner.launch(&scan).await.unwrap_err();
    assert_eq!(seen(&scanner, &scan).await.0, ScanState::Pending);
    pass(100).await;
    scanner.lose_answer(MockOperation::Export, ScannerError::Truncated("cut".to_owned()));
    assert!(matches!(export(&scanner, &scan).await, Err(ScannerError::Truncated(_))));
    export(&scanner, &scan).await.unwrap();
}

#[rstest]
#[case::bytes(true)]
#[case::file(false)]
#[tokio::test]
async fn an_own_document_is_exported_as_it_is(#[case] bytes: bool) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"<own/>").unwrap();
    let config = MockConfig::new().scan_duration(Duration::ZERO);
    let config = if bytes { config.export_bytes("<own/>") } else { config.export_file(file.path()) };
    let scanner = MockScanner::new(config);
    let scan = launched(&scanner, "m").await;
    assert_eq!(seen(&scanner, &scan).await, (ScanState::Completed, Some(100)));
    assert_eq!(export(&scanner, &scan).await.unwrap(), "<own/>");
}

#[tokio::test]
async fn it_tells_about_itself() {
    assert_eq!(scanner().properties().await.unwrap().product.as_deref(), Some("Mock scanner"));
}

#[tokio::test(start_paused = true)]
async fn a_login_is_forgotten_when_the_scan_has_ended() {
    let scanner = scanner();
    let mut request = request("m");
    let login = crate::scanner::SshLogin::Password(crate::secret::Secret::new("planted"));
    request.credential = Some(ScanCredential::Ssh(crate::scanner::SshCredential::new("scan", login)));
    let scan = scanner.create(&request).await.unwrap();
    scanner.launch(&scan).await.unwrap();
    assert!(matches!(scanner.forget_credentials(&scan).await, Err(ScannerError::Conflict(_))));
    assert_eq!(scanner.credential_of(&scan), request.credential);
    scanner.kill(&scan).await.unwrap();
    scanner.forget_credentials(&scan).await.unwrap();
    assert_eq!(scanner.credential_of(&scan), None);
}
