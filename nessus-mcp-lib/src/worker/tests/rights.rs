//! Scans of clients whose rights are others when their turn has come.

use std::path::Path;

use super::*;
use crate::{
    config::{CredentialsConfig, StoredCredential},
    credentials::{Credentials, Login},
    error::Classified as _,
    housekeeping::scope_of,
    login::LoginFields,
    policy::{Limit, Policy, Principal, Role, Scope},
    scanner::{ScanPolicy, ScanRequest, ScannerInterface as _},
    secret::Secret,
    targets::TargetSet,
};

const TOKEN: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn policy(clients: &str) -> Policy {
    Policy::parse(clients, Path::new("policy.yaml"), &|_| None).unwrap()
}

/// A policy whose client `lab` has these keys.
fn with_keys(keys: &str) -> Policy {
    policy(&format!("clients: [{{name: lab, role: scan, token_sha256: {TOKEN}{keys}}}]"))
}

fn limited() -> Fixture {
    let login = LoginFields {
        username: Some("scan".to_owned()),
        password: Some(Secret::new("planted")),
        ..LoginFields::default()
    };
    let stored =
        StoredCredential::new("audit", login.into_credential().unwrap(), TargetSet::policy("0.0.0.0/0").unwrap());
    let credentials = Credentials::new(CredentialsConfig::new(vec![stored]), None);
    let f = fixture_made(2, SCAN, |parts| parts.with_scope(Scope::new(with_keys(""))).with_credentials(credentials));
    f.scanner.set_policies(vec![ScanPolicy::new("4", "Weekly")]);
    f
}

impl Fixture {
    fn acting_for(&self, name: &str) -> ScanService {
        let rights = self.service.scope().policy().rights_of(name).unwrap();
        self.service.acting_for(Principal::new(name, Role::Scan).with_rights(rights))
    }
}

fn plain() -> SubmitRequest {
    SubmitRequest::untrusted("test", "192.0.2.1-192.0.2.4")
}

fn by_policy(name: &str) -> SubmitRequest {
    SubmitRequest { policy: Some(name.to_owned()), ..plain() }
}

#[rstest::rstest]
#[case::targets(plain(), ", targets: [192.0.2.1-192.0.2.3]", "out_of_scope", "`targets` of `lab`")]
#[case::denied(plain(), ", deny_targets: [192.0.2.4]", "out_of_scope", "`deny_targets` of `lab` has `192.0.2.4`")]
#[case::pool(plain(), ", pools: [other]", "not_permitted", "`lab` may not use the pool `lab`")]
#[case::scan_type(plain(), ", scan_types: [trusted]", "not_permitted", "may not use scans of the type `untrusted`")]
#[case::template(plain(), ", templates: [advanced]", "not_permitted", "the template `basic`")]
#[case::policy(by_policy("Weekly"), ", policies: [Monthly]", "not_permitted", "the policy `Weekly`")]
#[case::policy_by_id(by_policy("4"), ", policies: [Monthly]", "not_permitted", "the policy `4`")]
#[case::credential(
    SubmitRequest::trusted("test", "192.0.2.1", Login::Stored("audit".to_owned())),
    ", credentials: []",
    "not_permitted",
    "the credential `audit`"
)]
#[tokio::test(start_paused = true)]
async fn rights_that_were_narrowed_meanwhile_keep_a_scan_from_its_scanner(
    #[case] request: SubmitRequest,
    #[case] keys: &str,
    #[case] code: &str,
    #[case] message: &str,
    #[values(false, true)] is_created: bool,
) {
    let f = limited();
    let task_id = f.acting_for("lab").submit(request).await.unwrap().task_id;
    if is_created {
        // By a worker that died before the launch.
        f.scanner.create(&ScanRequest::new(task_id.as_str(), "test", "192.0.2.1")).await.unwrap();
    }
    f.service.scope().replace(with_keys(keys));
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some(code)), "{view:?}");
    assert!(view.error_message.as_deref().is_some_and(|told| told.contains(message)), "{view:?}");
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (u32::from(is_created).into(), 0));
    assert_eq!(f.task(&task_id).await.nessus_scan_id, None);
    worker.stop().await;
}

/// Its token has leaked, perhaps: what waits does not begin, and what runs goes on. Others are not touched, whatever they are called.
#[tokio::test(start_paused = true)]
async fn what_a_removed_client_has_asked_for_does_not_begin() {
    let f = limited();
    let runs = f.acting_for("lab").submit(plain()).await.unwrap().task_id;
    let worker = f.start();
    f.wait_for_progress(&runs).await;
    let waits = f.acting_for("lab").submit(plain()).await.unwrap().task_id;
    f.service.scope().replace(policy("clients: []"));
    let others = ["local", "user:lab", "oauth:lab"].map(|name| f.acting_for(name));
    let mut kept = vec![runs, f.submit().await];
    for other in others {
        kept.push(other.submit(plain()).await.unwrap().task_id);
    }
    let view = f.ended(&waits).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("client_revoked")), "{view:?}");
    for task_id in &kept {
        assert_eq!(f.ended(task_id).await.status, TaskStatus::Completed);
    }
    assert_eq!(f.scanner.launches(), kept.len() as u64);
    // An operator answers for what he retries.
    f.service.retry(&waits).await.unwrap();
    assert_eq!(f.ended(&waits).await.status, TaskStatus::Completed);
    worker.stop().await;
}

/// What a client has at once is free again when a scan has ended, however it ends; what it has of a day is used up by a launch.
#[tokio::test(start_paused = true)]
async fn a_scan_that_has_ended_makes_room_for_the_next() {
    type Fault = fn(&Fixture);
    let nothing_fails: Fault = |_| {};
    let create: Fault = |f| f.scanner.fail_next(MockOperation::Create, ScannerError::Rejected("no".to_owned()));
    let export: Fault = |f| f.scanner.fail_next(MockOperation::Export, ScannerError::Rejected("no".to_owned()));
    let keys = ", max_scans_at_once: 1, max_scans_per_day: 9, max_hosts_per_day: 90";
    for (what, fault, of_day) in
        [("completed", nothing_fails, 1), ("create refused", create, 0), ("no results", export, 1)]
    {
        let f = fixture_in(Scope::new(with_keys(keys)));
        let lab = f.acting_for("lab");
        let task_id = lab.submit(plain()).await.unwrap().task_id;
        assert_eq!(lab.submit(plain()).await.unwrap_err().code(), "client_limit", "{what}");
        fault(&f);
        let worker = f.start();
        f.ended(&task_id).await;
        let day = f.service.clock().now().utc_day();
        let queue = f.service.queue();
        let charged = async |limit: Limit| {
            let day = limit.is_daily().then_some(day.as_str());
            queue.charged(&scope_of(limit, "lab"), day).await.unwrap()
        };
        let all =
            (charged(Limit::ScansAtOnce).await, charged(Limit::ScansPerDay).await, charged(Limit::HostsPerDay).await);
        assert_eq!(all, (0, of_day, 4 * of_day), "{what}");
        lab.submit(plain()).await.unwrap();
        worker.stop().await;
    }
}
