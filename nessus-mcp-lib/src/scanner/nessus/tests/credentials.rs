//! Logins on the targets: what stands in the scan, and that it is gone afterwards.

use rstest::rstest;
use wiremock::matchers::body_json;

use super::*;
use crate::scanner::{Escalation, EscalationMethod, ScanCredential, SshCredential, SshLogin};

const LOGIN: &str = "planted login";
const ROOT: &str = "planted root";
const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ed25519_locked"));

fn by_password() -> SshCredential {
    SshCredential::new("scan", SshLogin::Password(Secret::new(LOGIN)))
}

fn with(method: EscalationMethod) -> Escalation {
    let escalation = Escalation::new(method);
    match method {
        EscalationMethod::K5login => escalation.account("oper"),
        EscalationMethod::CiscoEnable | EscalationMethod::CheckpointExpert => escalation.password(Secret::new(ROOT)),
        EscalationMethod::SuSudo => escalation.su_user("admin").password(Secret::new(ROOT)),
        _ => escalation.password(Secret::new(ROOT)).bin_directory("/opt/bin"),
    }
}

/// What a scan on the scanner holds of a credential.
async fn created_with(credential: ScanCredential) -> (Value, MockServer) {
    let server = scanner_with_logins(1).await;
    let templates = json!({ "templates": [{ "name": "basic", "uuid": "uuid-basic" }] });
    call("GET", "/editor/scan/templates").respond_with(ok(templates)).mount(&server).await;
    call("POST", "/scans").respond_with(ok(json!({ "scan": { "id": 57 } }))).mount(&server).await;
    call("POST", "/file/upload").respond_with(ok(json!({ "fileuploaded": "key-1" }))).mount(&server).await;
    let mut request = ScanRequest::new("m", "n", "192.0.2.1");
    request.credential = Some(credential);
    client(server.uri()).create(&request).await.unwrap();
    let sent = server.received_requests().await.unwrap();
    let create = sent.iter().rfind(|request| request.url.path() == "/scans").unwrap();
    let body: Value = serde_json::from_slice(&create.body).unwrap();
    (body["credentials"].clone(), server)
}

#[rstest]
#[case(None, json!({ "elevate_privileges_with": "Nothing" }))]
#[case(Some(EscalationMethod::Sudo), json!({ "elevate_privileges_with": "sudo", "escalation_account": "root", "escalation_password": ROOT, "bin_directory": "/opt/bin" }))]
#[case(Some(EscalationMethod::Su), json!({ "elevate_privileges_with": "su", "escalation_account": "root", "escalation_password": ROOT, "bin_directory": "/opt/bin" }))]
#[case(Some(EscalationMethod::SuSudo), json!({ "elevate_privileges_with": "su+sudo", "su_user": "admin", "escalation_account": "root", "escalation_password": ROOT, "bin_directory": "" }))]
#[case(Some(EscalationMethod::Dzdo), json!({ "elevate_privileges_with": "dzdo", "escalation_account": "root", "escalation_password": ROOT, "bin_directory": "/opt/bin" }))]
#[case(Some(EscalationMethod::Pbrun), json!({ "elevate_privileges_with": "pbrun", "escalation_account": "root", "escalation_password": ROOT, "bin_directory": "/opt/bin" }))]
#[case(Some(EscalationMethod::K5login), json!({ "elevate_privileges_with": ".k5login", "escalation_account": "oper" }))]
#[case(Some(EscalationMethod::CiscoEnable), json!({ "elevate_privileges_with": "Cisco 'enable'", "escalation_password": ROOT }))]
#[case(Some(EscalationMethod::CheckpointExpert), json!({ "elevate_privileges_with": "Checkpoint Gaia 'expert'", "escalation_password": ROOT }))]
#[tokio::test]
async fn a_password_and_each_escalation_stand_in_the_scan(
    #[case] method: Option<EscalationMethod>,
    #[case] fields: Value,
) {
    let ssh = SshCredential { escalation: method.map(with), ..by_password() };
    let (credentials, _) = created_with(ScanCredential::Ssh(ssh)).await;
    let mut expected = json!({
        "auth_method": "password", "username": "scan", "password": LOGIN,
        "custom_password_prompt": "", "target_priority_list": "",
    });
    expected.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    assert_eq!(credentials, json!({ "add": { "Host": { "SSH": [expected] } }, "edit": {}, "delete": [] }));
}

#[tokio::test]
async fn a_windows_password_stands_in_the_scan() {
    let (credentials, _) = created_with(ScanCredential::Windows {
        username: "scan".to_owned(),
        password: Secret::new(LOGIN),
        domain: "EXAMPLE".to_owned(),
    })
    .await;
    let expected = json!([{ "auth_method": "Password", "username": "scan", "password": LOGIN, "domain": "EXAMPLE" }]);
    assert_eq!(credentials["add"]["Host"]["Windows"], expected);
}

#[tokio::test]
async fn a_key_is_uploaded_and_named() {
    let login =
        SshLogin::Key { private_key: Secret::new(KEY.trim_end()), passphrase: Some(Secret::new("planted phrase")) };
    let (credentials, server) = created_with(ScanCredential::Ssh(SshCredential::new("scan", login))).await;
    let ssh = &credentials["add"]["Host"]["SSH"][0];
    assert_eq!((&ssh["auth_method"], &ssh["private_key"]), (&json!("public key"), &json!("key-1")));
    assert_eq!(ssh["private_key_passphrase"], "planted phrase");
    let sent = server.received_requests().await.unwrap();
    let upload = sent.iter().find(|request| request.url.path() == "/file/upload").unwrap();
    let kind = upload.headers.get("content-type").unwrap().to_str().unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let body = String::from_utf8(upload.body.clone()).unwrap();
    assert!(body.starts_with(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"Filedata\"; filename=")));
    assert!(body.ends_with(&format!("\r\n\r\n{KEY}\r\n--{boundary}--\r\n")), "{body}");
}

/// A scanner that does not like a request repeats it.
#[tokio::test]
async fn nothing_of_a_credential_is_shown() {
    let login = SshLogin::Key { private_key: Secret::new(KEY), passphrase: Some(Secret::new("planted \"phrase\"")) };
    let escalation = with(EscalationMethod::Sudo);
    let mut request = ScanRequest::new("m", "n", "192.0.2.1");
    request.credential = Some(ScanCredential::Ssh(SshCredential::new("scan", login).escalation(escalation)));
    assert!(!format!("{request:?}").contains("planted"));
    for refused in ["/file/upload", "/scans"] {
        let server = scanner_with_logins(1).await;
        let templates = json!({ "templates": [{ "name": "basic", "uuid": "uuid-basic" }] });
        call("GET", "/editor/scan/templates").respond_with(ok(templates)).mount(&server).await;
        let echo = |request: &wiremock::Request| ResponseTemplate::new(400).set_body_bytes(request.body.clone());
        call("POST", refused).respond_with(echo).mount(&server).await;
        call("POST", "/file/upload").respond_with(ok(json!({ "fileuploaded": "key-1" }))).mount(&server).await;
        let error = client(server.uri()).create(&request).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(matches!(error, ScannerError::Rejected(_)) && !shown.contains("planted"), "{refused}: {shown}");
        assert!(!KEY.lines().any(|line| shown.contains(line)), "{refused}: {shown}");
    }
}

#[tokio::test]
async fn a_credential_that_is_not_complete_gets_nowhere() {
    let server = scanner_with_logins(1).await;
    let templates = json!({ "templates": [{ "name": "basic", "uuid": "uuid-basic" }] });
    call("GET", "/editor/scan/templates").respond_with(ok(templates)).mount(&server).await;
    let mut request = ScanRequest::new("m", "n", "192.0.2.1");
    let escalation = Escalation::new(EscalationMethod::SuSudo).password(Secret::new(ROOT));
    request.credential = Some(ScanCredential::Ssh(by_password().escalation(escalation)));
    let error = client(server.uri()).create(&request).await.unwrap_err();
    assert!(matches!(&error, ScannerError::Rejected(text) if text.contains("su_user")), "{error:?}");
    assert_eq!(requests(&server, "POST", "/scans").await, 0);
}

fn editor(instances: &Value) -> ResponseTemplate {
    ok(json!({ "uuid": "uuid-basic", "credentials": { "data": [
        { "name": "Cloud Services", "types": null },
        { "name": "Host", "types": [{ "name": "SSH", "instances": instances }, { "name": "Windows", "instances": null }] },
    ]}}))
}

#[tokio::test]
async fn credentials_are_deleted_from_the_scan_and_that_is_read_back() {
    let server = scanner_with_logins(1).await;
    let stored = json!([{ "id": 12, "name": "scan" }, { "id": "13" }]);
    call("GET", "/editor/scan/57").respond_with(editor(&stored)).up_to_n_times(1).mount(&server).await;
    call("GET", "/editor/scan/57").respond_with(editor(&json!([]))).mount(&server).await;
    let info = json!({ "status": "completed", "name": "n [m]", "targets": "192.0.2.1", "folder_id": 3 });
    call("GET", "/scans/57").respond_with(ok(json!({ "info": info }))).mount(&server).await;
    let expected = json!({
        "uuid": "uuid-basic",
        "settings": { "name": "n [m]", "text_targets": "192.0.2.1", "enabled": false, "folder_id": 3 },
        "credentials": { "add": {}, "edit": {}, "delete": ["12", "13"] },
    });
    let put = call_with("PUT", "/scans/57", "first").and(header("X-API-Token", API_TOKEN)).and(body_json(expected));
    put.respond_with(ok(json!({ "id": 57 }))).expect(1).mount(&server).await;
    let scanner = client(server.uri());
    scanner.forget_credentials(&ScanId::from(57)).await.unwrap();
    // Nothing is left to be deleted.
    scanner.forget_credentials(&ScanId::from(57)).await.unwrap();
}

#[tokio::test]
async fn credentials_that_stay_are_an_error() {
    let server = scanner_with_logins(1).await;
    call("GET", "/editor/scan/57").respond_with(editor(&json!([{ "id": 12 }]))).mount(&server).await;
    let info = json!({ "status": "completed", "name": "n [m]", "targets": "192.0.2.1" });
    call("GET", "/scans/57").respond_with(ok(json!({ "info": info }))).mount(&server).await;
    call("PUT", "/scans/57").respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    let error = client(server.uri()).forget_credentials(&ScanId::from(57)).await.unwrap_err();
    assert!(matches!(&error, ScannerError::Decode { message, .. } if message.contains("still there")), "{error:?}");
}
