//! What a Nessus is told to scan where a scope is enforced, and what it is never told.

use std::{net::IpAddr, path::Path, sync::Arc};

use nessus_mcp_lib::{
    policy::{Policy, Scope, TableResolver},
    service::SubmitRequest,
    task::TaskStatus,
};

use crate::rig::{Rig, Setup};

const POLICY: &str = "allow: [192.0.2.0/24, '*.corp.example']\ndeny: [192.0.2.128/25]\n";

fn policy(text: &str) -> Policy {
    Policy::parse(text, Path::new("policy.yaml"), &|_| None).unwrap()
}

/// A rig whose worker is stopped, and the names that its scope knows.
async fn rig(text: &str) -> (Rig, Arc<TableResolver>) {
    let names = Arc::new(TableResolver::default());
    let scope = Scope::new(policy(text)).with_resolver(Arc::clone(&names) as Arc<_>);
    let mut rig = Setup::new().scope(scope).start().await;
    rig.stop_worker().await;
    (rig, names)
}

fn at(address: &str) -> [IpAddr; 1] {
    [address.parse().unwrap()]
}

#[tokio::test(start_paused = true)]
async fn the_addresses_that_were_checked_are_what_is_launched() {
    let (mut rig, names) = rig(POLICY).await;
    names.set("db.corp.example", at("192.0.2.7"));
    let task = rig.submit_for("192.0.2.1, db.corp.example").await;
    assert_eq!(rig.view(&task).await.checked_targets.as_deref(), Some("192.0.2.1,db.corp.example[192.0.2.7]"));
    // Moved, but inside: the newer address counts.
    names.set("db.corp.example", ["192.0.2.9".parse().unwrap(), "192.0.2.8".parse().unwrap()]);
    rig.start_worker();
    let view = rig.completed_with(&task, 3).await;
    let told = "192.0.2.1,db.corp.example[192.0.2.8],db.corp.example[192.0.2.9]";
    assert_eq!(view.checked_targets.as_deref(), Some(told));
    assert_eq!(view.targets, "192.0.2.1,db.corp.example", "what was asked for stays");
    let export = rig.service.tasks().artifact_path(&task, "scan_native.nessus");
    let export = std::fs::read_to_string(export).unwrap();
    assert!(export.contains(&format!("<name>TARGET</name><value>{told}</value>")), "what the scanner was told");
    assert!(export.contains("<tag name=\"host-ip\">192.0.2.9</tag>"));
    let stats = rig.close().await;
    assert_eq!((stats.total_creates, stats.total_launches), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_moves_out_of_scope_fails_its_task_and_nothing_is_launched() {
    for (moved, part) in [
        (at("203.0.113.9").to_vec(), "stands for 203.0.113.9: `203.0.113.9` is out of scope: it is not wholly inside"),
        (at("192.0.2.200").to_vec(), "`deny` has `192.0.2.128/25`"),
        (["192.0.2.7".parse().unwrap(), "169.254.169.254".parse().unwrap()].to_vec(), "link-local"),
        (Vec::new(), "`db.corp.example` cannot be resolved"),
    ] {
        let (mut rig, names) = rig(POLICY).await;
        names.set("db.corp.example", at("192.0.2.7"));
        let task = rig.submit_for("db.corp.example").await;
        names.set("db.corp.example", moved);
        rig.start_worker();
        let message = rig.failed(&task, "out_of_scope").await;
        assert!(message.contains(part), "{message}");
        let stats = rig.close().await;
        assert_eq!((stats.total_creates, stats.total_launches, stats.scans), (0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_changes_between_submit_and_launch_counts() {
    let (mut rig, _names) = rig(POLICY).await;
    let task = rig.submit_for("192.0.2.1-192.0.2.4").await;
    rig.service.scope().replace(policy("deny: [192.0.2.3]"));
    rig.start_worker();
    assert!(rig.failed(&task, "out_of_scope").await.contains("`deny` has `192.0.2.3`"));
    let stats = rig.close().await;
    assert_eq!((stats.total_creates, stats.total_launches), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_scans_and_says_what_it_would_refuse() {
    let (mut rig, names) = rig(&format!("mode: dry_run\n{POLICY}")).await;
    names.set("db.corp.example", at("203.0.113.9"));
    let request = SubmitRequest::untrusted("nightly", "192.0.2.1,db.corp.example,10.0.0.1");
    let submission = rig.service.submit(request).await.unwrap();
    let warning = submission.scope_warning.unwrap();
    assert!(warning.contains("`10.0.0.1` is out of scope") && warning.contains("203.0.113.9"), "{warning}");
    rig.start_worker();
    let view = rig.completed_with(&submission.task_id, 3).await;
    assert_eq!((view.status, view.checked_targets), (TaskStatus::Completed, None));
    assert_eq!(view.scope_warning, Some(warning));
    let log = rig.log.text();
    assert!(log.contains("a scan that the policy would refuse is accepted"), "{log}");
    assert!(log.contains("a scan that the policy would refuse begins"), "{log}");
    rig.close().await;
}
