//! Scans that may not begin any more when their turn has come.

use std::path::Path;

use super::*;
use crate::{
    policy::{Policy, Scope, TableResolver},
    scanner::{ScanRequest, ScannerInterface as _},
};

/// Another target than the one that was checked at the submit.
async fn aim(f: &Fixture, task_id: &TaskId, targets: &'static str) {
    let change = move |task: &mut Task| task.payload.targets = targets.to_owned();
    f.service.tasks().update(task_id, Writer::Api, change).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_nobody_may_scan_is_refused_right_before_the_scan_is_created() {
    let f = fixture(2);
    let task_id = f.submit().await;
    aim(&f, &task_id, "192.0.2.1,169.254.169.254").await;
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("out_of_scope")));
    assert!(view.error_message.unwrap().contains("`169.254.169.254` is not scanned"));
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (0, 0));
    assert_eq!(f.dead_codes().await, ["out_of_scope"]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_was_created_and_may_not_be_launched_is_taken_off_the_scanner() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let request = ScanRequest::new(task_id.as_str(), "test", "192.0.2.1");
    let scan = f.scanner.create(&request).await.unwrap();
    aim(&f, &task_id, "10.0.0.0/15").await;
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("out_of_scope")));
    assert!(view.error_message.unwrap().contains("131072 hosts"));
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 0));
    assert!(matches!(f.scanner.status(&scan).await, Err(ScannerError::NotFound(_))));
    assert_eq!((view.nessus_scan_id, f.task(&task_id).await.open_scans), (None, Vec::new()));
    worker.stop().await;
}

/// A worker died after it had created the scan, and the policy has changed since.
#[tokio::test(start_paused = true)]
async fn a_scan_created_before_its_names_were_checked_is_not_launched_under_an_enforced_scope() {
    let f = fixture(2);
    let task_id = f.service.submit(SubmitRequest::untrusted("test", "db.example")).await.unwrap().task_id;
    f.scanner.create(&ScanRequest::new(task_id.as_str(), "test", "db.example")).await.unwrap();
    let policy = Policy::parse("allow: [192.0.2.0/24]", Path::new("policy.yaml"), &|_| None).unwrap();
    f.service.scope().replace(policy);
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("out_of_scope")));
    assert!(view.error_message.unwrap().contains("created with the name `db.example`"));
    assert_eq!(f.scanner.launches(), 0);
    worker.stop().await;
}

/// A scanner that takes no names with addresses, such as this one, is told the addresses.
#[tokio::test(start_paused = true)]
async fn a_scanner_is_told_the_addresses_in_place_of_names() {
    let names = TableResolver::default();
    names.set("db.example", ["192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap()]);
    let policy = Policy::parse("allow: [192.0.2.0/24]", Path::new("policy.yaml"), &|_| None).unwrap();
    let f = fixture_in(Scope::new(policy).with_resolver(Arc::new(names)));
    let task_id = f.service.submit(SubmitRequest::untrusted("test", "192.0.2.1,db.example")).await.unwrap().task_id;
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, &view.validation_stats.unwrap()["hosts"]), (TaskStatus::Completed, &3.into()));
    assert_eq!(view.validation_warnings, [""; 0], "all that was checked was scanned");
    let export = f.service.tasks().artifact_path(&task_id, "scan_native.nessus");
    let export = std::fs::read_to_string(export).unwrap();
    assert!(export.contains("192.0.2.8") && !export.contains("db.example"), "{export}");
    worker.stop().await;
}
