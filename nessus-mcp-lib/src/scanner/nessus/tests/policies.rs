//! Scans by the policies that people made on the scanner, and on the scanners of a Manager.

use rstest::rstest;
use wiremock::matchers::body_partial_json;

use super::*;
use crate::{
    error::Classified as _,
    scanner::{ScanCredential, SshCredential, SshLogin},
};

async fn scanner_with_policies(edition: &str) -> MockServer {
    let server = scanner_with_logins(1).await;
    let templates = json!({ "templates": [
        { "name": "basic", "title": "Basic Network Scan", "uuid": "uuid-basic" },
        { "name": "custom", "uuid": "uuid-custom" },
        { "name": "mdm", "uuid": "uuid-mdm", "manager_only": true },
    ]});
    call("GET", "/editor/scan/templates").respond_with(ok(templates)).mount(&server).await;
    let policies = json!({ "policies": [
        { "id": 4, "name": "Weekly", "template_uuid": "uuid-advanced" },
        { "id": "5", "name": "Twice", "template_uuid": "uuid-advanced" },
        { "id": 6, "name": "Twice", "template_uuid": "uuid-advanced" },
        { "id": 7, "name": "Without a template" },
        { "id": 8, "name": "Logs in", "template_uuid": "uuid-advanced" },
        { "id": 9, "name": "Gone just now", "template_uuid": "uuid-advanced" },
    ]});
    call("GET", "/policies").respond_with(ok(policies)).mount(&server).await;
    for (id, credentials) in [
        (4, json!({ "add": {}, "edit": {}, "delete": [] })),
        (5, json!({ "data": [{ "name": "Host", "types": [{ "name": "SSH", "instances": [] }] }] })),
        (6, json!({ "add": { "Host": { "SSH": [] } } })),
        (7, Value::Null),
        (8, json!({ "add": { "Host": { "SSH": [{ "username": "scan" }] } } })),
    ] {
        let details = ok(json!({ "uuid": "uuid-advanced", "settings": {}, "credentials": credentials }));
        call("GET", &format!("/policies/{id}")).respond_with(details).mount(&server).await;
    }
    call("GET", "/policies/9").respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let properties = ok(json!({ "nessus_type": edition }));
    call("GET", "/server/properties").respond_with(properties).mount(&server).await;
    let scanners = json!({ "scanners": [{ "id": 1, "name": "Local Scanner" }, { "id": "3", "name": "Berlin" }] });
    call("GET", "/scanners").respond_with(ok(scanners)).mount(&server).await;
    server
}

fn by_policy(asked: &str) -> ScanRequest {
    let mut request = ScanRequest::new("m", "n", "192.0.2.1");
    request.basis = ScanBasis::policy(asked);
    request
}

async fn creates(server: &MockServer, body: Value) {
    call("POST", "/scans")
        .and(body_partial_json(body))
        .respond_with(ok(json!({ "scan": { "id": 57 } })))
        .expect(1)
        .mount(server)
        .await;
}

#[rstest]
#[case::by_name("Weekly", "uuid-advanced", 4)]
#[case::by_id("4", "uuid-advanced", 4)]
#[case::of_two_by_id("6", "uuid-advanced", 6)]
#[case::from_no_template("Without a template", "uuid-custom", 7)]
#[tokio::test]
async fn a_scan_is_made_of_a_policy(#[case] asked: &str, #[case] uuid: &str, #[case] id: u64) {
    let server = scanner_with_policies("Nessus Professional").await;
    creates(&server, json!({ "uuid": uuid, "settings": { "policy_id": id } })).await;
    client(server.uri()).create(&by_policy(asked)).await.unwrap();
}

#[rstest]
#[case::unknown("Wekly", "unknown_policy")]
#[case::two_of_a_name("Twice", "ambiguous_policy")]
#[case::deleted_meanwhile("Gone just now", "unknown_policy")]
#[case::logs_in("Logs in", "policy_logs_in")]
#[case::not_allowed("Without a template", "policy_not_allowed")]
#[tokio::test]
async fn a_policy_that_cannot_be_used_creates_nothing(#[case] asked: &str, #[case] code: &str) {
    let server = scanner_with_policies("Nessus Professional").await;
    let allowed = ["Weekly", "5", "6", "Logs in", "Gone just now"].map(str::to_owned);
    let scanner = NessusScanner::new(config(server.uri()).allowed_policies(allowed)).unwrap();
    let error = scanner.create(&by_policy(asked)).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable(), error.may_have_acted()), (code, false, false), "{error:?}");
    assert_eq!(requests(&server, "POST", "/scans").await, 0);
    assert!(error.hint().is_some());
}

/// Credentials of the scan stand beside those of the policy, which are not looked at then.
#[rstest]
#[case::of_the_policy("Logs in", false, Ok(()))]
#[case::of_nobody("Weekly", false, Err("policy_without_login"))]
#[case::of_the_scan("Weekly", true, Ok(()))]
#[case::of_both("Logs in", true, Ok(()))]
#[case::not_known("Without a template", false, Ok(()))]
#[tokio::test]
async fn a_scan_that_logs_in_has_something_to_log_in_with(
    #[case] asked: &str,
    #[case] brings_login: bool,
    #[case] expected: Result<(), &str>,
) {
    let server = scanner_with_policies("Nessus Professional").await;
    let mut request = by_policy(asked);
    request.logs_in = true;
    let mut body = json!({ "settings": {} });
    if brings_login {
        request.credential =
            Some(ScanCredential::Ssh(SshCredential::new("root", SshLogin::Password(Secret::new("planted")))));
        body["credentials"] = json!({ "add": { "Host": { "SSH": [{ "username": "root" }] } } });
    }
    if expected.is_ok() {
        creates(&server, body).await;
    }
    let created = client(server.uri()).create(&request).await;
    assert_eq!(created.map(drop).map_err(|error| error.code()), expected);
}

#[tokio::test]
async fn what_is_offered_is_what_can_work() {
    for (edition, expected) in [("Nessus Manager", &["basic", "mdm"][..]), ("Nessus Professional", &["basic"])] {
        let server = scanner_with_policies(edition).await;
        let allowed = ["Weekly".to_owned(), "8".to_owned()];
        let scanner = NessusScanner::new(config(server.uri()).allowed_policies(allowed)).unwrap();
        let offer = scanner.offer().await.unwrap();
        let templates: Vec<_> = offer.usable_templates().map(|template| template.name.as_str()).collect();
        assert_eq!(templates, expected, "{edition}");
        let policies: Vec<_> = offer.allowed_policies().map(|policy| (&*policy.id, &*policy.name)).collect();
        assert_eq!(policies, [("4", "Weekly"), ("8", "Logs in")]);
    }
}

#[rstest]
#[case::none(json!({ "policies": null }), Ok(0))]
#[case::no_list(json!({ "policies": {} }), Err("scanner_bad_answer"))]
#[case::nothing(json!({}), Err("scanner_bad_answer"))]
#[case::one_without_a_name(json!({ "policies": [{ "id": 4, "name": "Weekly" }, { "id": 5 }] }), Err("scanner_bad_answer"))]
#[case::not_an_object(json!({ "policies": [{ "id": 4, "name": "Weekly" }, 5] }), Err("scanner_bad_answer"))]
#[tokio::test]
async fn what_is_no_list_of_policies_is_not_an_empty_one(#[case] answer: Value, #[case] expected: Result<usize, &str>) {
    let server = scanner_with_logins(1).await;
    let templates = json!({ "templates": [{ "name": "basic", "uuid": "uuid-basic" }] });
    call("GET", "/editor/scan/templates").respond_with(ok(templates)).mount(&server).await;
    call("GET", "/policies").respond_with(ok(answer)).mount(&server).await;
    let offer = client(server.uri()).offer().await;
    assert_eq!(offer.map(|offer| offer.policies.len()).map_err(|error| error.code()), expected);
}

#[rstest]
#[case::known(3, true)]
#[case::unknown(4, false)]
#[tokio::test]
async fn a_scan_runs_on_the_scanner_of_a_manager_that_is_configured(#[case] id: u64, #[case] is_known: bool) {
    let server = scanner_with_policies("Nessus Manager").await;
    if is_known {
        creates(&server, json!({ "uuid": "uuid-basic", "settings": { "scanner_id": id } })).await;
    }
    let scanner = NessusScanner::new(config(server.uri()).scanner_id(id)).unwrap();
    match scanner.create(&ScanRequest::new("m", "n", "192.0.2.1")).await {
        Ok(_) => assert!(is_known),
        Err(error) => {
            assert!(!is_known && error.code() == "scanner_configuration", "{error:?}");
            assert!(error.to_string().ends_with("it has: 1 (Local Scanner), 3 (Berlin)"), "{error}");
        }
    }
}
