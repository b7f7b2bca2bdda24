use rstest::rstest;

use super::*;
use crate::{
    error::Classified,
    ids::{PoolName, TraceId},
    login::LoginFields,
    secret::Secret,
    task::ScanPayload,
    time::Timestamp,
};

const KEY: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

fn login(escalation: Option<&str>) -> ScanCredential {
    let password = Some(Secret::new("planted"));
    let username = Some("scan".to_owned());
    let elevate_privileges_with = escalation.map(str::to_owned);
    LoginFields { username, password, elevate_privileges_with, ..LoginFields::default() }.into_credential().unwrap()
}

fn stored(id: &str, escalation: Option<&str>) -> StoredCredential {
    StoredCredential::new(id, login(escalation), TargetSet::policy("10.0.0.0/8, *.corp.example").unwrap())
}

fn credentials(key: Option<&str>) -> Credentials {
    let all = vec![stored("linux-scan", None), stored("linux-root", Some("sudo")), stored("printers", None)];
    Credentials::new(CredentialsConfig::new(all), key.map(|digits| SecretKey::new(digits).unwrap()))
}

fn by_id(id: &str) -> Login {
    Login::Stored(id.to_owned())
}

fn inline(escalation: Option<&str>) -> Login {
    Login::Inline(login(escalation))
}

#[rstest]
#[case(ScanType::Untrusted, None, "10.0.0.1", None)]
#[case(ScanType::Untrusted, Some(by_id("linux-scan")), "10.0.0.1", Some("invalid_argument"))]
#[case(ScanType::Trusted, None, "10.0.0.1", Some("invalid_argument"))]
#[case(ScanType::Trusted, Some(by_id("linux-scan")), "10.0.0.0/9, db.corp.example", None)]
#[case(ScanType::Trusted, Some(by_id("linux-scan")), "10.255.255.255-11.0.0.0", Some("credential_not_allowed"))]
#[case(ScanType::Trusted, Some(by_id("linux-scan")), "10.0.0.1, db.example", Some("credential_not_allowed"))]
#[case(ScanType::Trusted, Some(by_id("linux-scan")), "::ffff:11.0.0.1", Some("credential_not_allowed"))]
#[case(ScanType::Trusted, Some(by_id("linux-root")), "10.0.0.1", Some("invalid_argument"))]
#[case(ScanType::Privileged, Some(by_id("linux-scan")), "10.0.0.1", Some("invalid_argument"))]
#[case(ScanType::Privileged, Some(by_id("linux-root")), "10.0.0.1", None)]
#[case(ScanType::Trusted, Some(by_id("linux-scna")), "10.0.0.1", Some("unknown_credential"))]
#[case(ScanType::Trusted, Some(inline(None)), "192.0.2.1", None)]
#[case(ScanType::Trusted, Some(inline(Some("su"))), "192.0.2.1", Some("invalid_argument"))]
#[case(ScanType::Privileged, Some(inline(None)), "192.0.2.1", Some("invalid_argument"))]
fn a_login_is_accepted_where_it_fits(
    #[case] scan_type: ScanType,
    #[case] login: Option<Login>,
    #[case] targets: &str,
    #[case] code: Option<&str>,
) {
    let accepted = credentials(Some(KEY)).accept(scan_type, login.as_ref(), &targets.parse().unwrap(), |_| true);
    assert_eq!(accepted.as_ref().err().map(Classified::code), code, "{accepted:?}");
    assert!(!format!("{accepted:?}").contains("planted"));
}

#[test]
fn an_unknown_name_is_answered_with_those_most_like_it() {
    let error =
        credentials(None).accept(ScanType::Trusted, Some(&by_id("Linux-Rot")), &"10.0.0.1".parse().unwrap(), |_| true);
    let Err(CredentialError::Unknown { nearest, .. }) = error else { panic!("{error:?}") };
    assert_eq!(nearest[0], "linux-root");
    let none =
        Credentials::default().accept(ScanType::Trusted, Some(&by_id("x")), &"10.0.0.1".parse().unwrap(), |_| true);
    assert!(none.unwrap_err().hint().unwrap().contains("credentials.yaml"));
}

#[test]
fn what_lies_outside_is_named() {
    let targets = "10.0.0.1, 10.255.255.0-11.0.0.5, x.example".parse().unwrap();
    let error =
        credentials(None).accept(ScanType::Trusted, Some(&by_id("linux-scan")), &targets, |_| true).unwrap_err();
    assert_eq!(error.to_string(), "the credential `linux-scan` may not be used on `10.255.255.0-11.0.0.5`");
    assert_eq!(error.hint().unwrap(), "it may be used on: 10.0.0.0/8,*.corp.example; every target has to lie in that");
}

#[test]
fn without_a_key_a_login_in_the_request_is_refused_with_the_ways_out() {
    let error =
        credentials(None).accept(ScanType::Trusted, Some(&inline(None)), &"10.0.0.1".parse().unwrap(), |_| true);
    let hint = error.unwrap_err().hint().unwrap();
    assert!(hint.contains("credential_id") && hint.contains("sets the secret key"), "{hint}");
}

fn task(scan_type: ScanType, credential: Option<CredentialReference>, targets: &str) -> Task {
    let id = TaskId::new("ne_ness_20251201_143022_a1b2c3d4").unwrap();
    let payload = ScanPayload { credential, ..ScanPayload::new("office", targets) };
    let (trace, pool) = (TraceId::generate(), PoolName::new("nessus").unwrap());
    Task::new(id, trace, scan_type, "nessus", pool, payload, Timestamp::from_millis(0))
}

#[test]
fn a_worker_gets_the_login_of_the_task_if_it_still_may() {
    let (ours, targets) = (credentials(Some(KEY)), "10.0.0.1");
    let accept = |login: &Login| {
        let accepted = ours.accept(ScanType::Trusted, Some(login), &targets.parse().unwrap(), |_| true).unwrap();
        task(ScanType::Trusted, accepted, targets)
    };
    let (by_name, request) = (accept(&by_id("linux-scan")), inline(None));
    let sealed_task = accept(&request);
    let sealed = ours.seal(&sealed_task.task_id, Some(&request)).unwrap().unwrap();
    assert_eq!(ours.of_task(&by_name, None).unwrap(), Some(login(None)));
    assert_eq!(ours.of_task(&sealed_task, Some(&sealed)).unwrap(), Some(login(None)));
    assert_eq!(ours.of_task(&task(ScanType::Untrusted, None, targets), None).unwrap(), None);

    let code = |of: &Credentials, task: &Task, sealed| of.of_task(task, sealed).unwrap_err().code();
    assert_eq!(code(&ours, &sealed_task, None), "login_gone");
    assert_eq!(code(&credentials(None), &sealed_task, Some(&sealed)), "no_secret_key");
    assert_eq!(code(&credentials(Some(&"a".repeat(64))), &sealed_task, Some(&sealed)), "wrong_secret_key");
    assert_eq!(code(&Credentials::default(), &by_name, None), "unknown_credential");
    let elsewhere = task(ScanType::Trusted, by_name.payload.credential.clone(), "192.0.2.1");
    assert_eq!(code(&ours, &elsewhere, None), "credential_not_allowed");
}

#[test]
fn a_file_that_is_read_again_counts_as_a_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.yaml");
    let write = |text: &str| crate::durable::replace(&path, text.as_bytes()).unwrap();
    let entry = |id: &str, user: &str| format!("{id}: {{username: {user}, password: x, targets: '*'}}\n");
    write(&(entry("a", "one") + &entry("b", "two")));
    let credentials = Credentials::new(CredentialsConfig::load(&path).unwrap(), None);
    write(&(entry("b", "three") + "c: {}\n"));
    assert!(credentials.reload().is_err());
    assert!(credentials.stored.load().get("a").is_some());
    write(&(entry("b", "three") + &entry("c", "four")));
    let names = |name: &str| vec![name.to_owned()];
    let expected = CredentialChanges { added: names("c"), removed: names("a"), changed: names("b") };
    assert_eq!(credentials.clone().reload().unwrap(), Some(expected));
    assert_eq!(credentials.stored.load().get("b").unwrap().credential.username(), "three");
}
