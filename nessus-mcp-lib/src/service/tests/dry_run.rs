//! What a submit would do.

use std::{path::Path, time::Duration};

use super::{
    policies::{Scanners, by_policy, scanners},
    *,
};
use crate::policy::{Policy, Scope};

/// Everything that is stored: files with their content, and the queue.
async fn stored(f: &Fixture) -> (Vec<(std::path::PathBuf, Vec<u8>)>, QueueStats) {
    fn files(directory: &Path, all: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, all);
            } else if !path.to_string_lossy().contains("queue.db") {
                all.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut all = Vec::new();
    files(f.directory.path(), &mut all);
    (all, f.service.queue().stats(&pool()).await.unwrap())
}

#[tokio::test]
async fn a_dry_run_tells_everything_and_stores_nothing() {
    let Scanners { f, .. } = scanners().await;
    let earlier = f.service.submit(SubmitRequest::untrusted("earlier", "192.0.2.2")).await.unwrap();
    f.service.submit(SubmitRequest::untrusted("elsewhere", "198.51.100.1")).await.unwrap();
    f.service
        .queue()
        .acquire_slot(&pool(), &InstanceId::new("one").unwrap(), &earlier.task_id, 2, Duration::from_secs(60))
        .await
        .unwrap();
    let before = stored(&f).await;
    let mut request = by_policy("Only here");
    request.idempotency_key = Some(IdempotencyKey::new("key").unwrap());
    let run = f.service.dry_run(request.clone()).await.unwrap();
    assert_eq!(stored(&f).await, before);
    assert!(run.dry_run);
    assert_eq!((run.targets.as_str(), run.target_hosts), ("192.0.2.0/30,db.example", 5));
    assert_eq!((run.policy.as_deref(), run.template), (Some("Only here"), None));
    assert_eq!((run.scope.verdict.as_str(), run.scope.mode.as_str()), ("no_scope", "off"));
    let load = run.scanners.iter();
    let load: Vec<_> = load.map(|one| (one.scanner_instance.as_str(), one.active_scans, one.available_slots)).collect();
    assert_eq!(load, [("one", 1, 1)], "the other scanner lacks the policy");
    assert_eq!((run.queue_depth, run.estimated_wait_seconds), (2, Some(0)));
    let last = run.last_overlapping_scan.unwrap();
    assert_eq!((last.task_id, last.name.as_str()), (earlier.task_id, "earlier"));
    let submitted = f.service.submit(request.clone()).await.unwrap();
    assert!(!submitted.idempotent && run.repeats.is_none(), "the key is still free");
    assert_eq!(f.service.dry_run(request.clone()).await.unwrap().repeats, Some(submitted.task_id));
    request.targets = "192.0.2.9".to_owned();
    assert_eq!(f.service.dry_run(request).await.unwrap_err().code(), "idempotency_conflict");
    let plain = f.service.dry_run(super::request()).await.unwrap();
    assert_eq!((plain.template.as_deref(), plain.scanners.len()), (Some("basic"), 2));
}

#[tokio::test]
async fn a_paused_pool_is_said() {
    let f = fixture().await;
    f.service.queue().pause_pool(&pool(), "maintenance").await.unwrap();
    let run = f.service.dry_run(request()).await.unwrap();
    assert_eq!((run.paused.as_deref(), run.estimated_wait_seconds), (Some("maintenance"), None));
}

#[rstest]
#[case("targets", |r: &mut SubmitRequest| r.targets.clear())]
#[case("scope", |r: &mut SubmitRequest| r.targets = "0.0.0.0/0".to_owned())]
#[case("name", |r: &mut SubmitRequest| r.name.clear())]
#[case("pool", |r: &mut SubmitRequest| r.pool = Some("dmz".to_owned()))]
#[case("instance", |r: &mut SubmitRequest| r.instance = Some("three".to_owned()))]
#[case("template", |r: &mut SubmitRequest| r.template = Some("nmap".to_owned()))]
#[case("policy", |r: &mut SubmitRequest| r.policy = Some("Weakly".to_owned()))]
#[case("both", |r: &mut SubmitRequest| (r.template, r.policy) = (Some("basic".to_owned()), Some("Weekly".to_owned())))]
#[case("credential", |r: &mut SubmitRequest| {
    r.scan_type = crate::task::ScanType::Trusted;
    r.login = Some(crate::credentials::Login::Stored("nobody".to_owned()));
})]
#[tokio::test]
async fn a_dry_run_is_refused_as_a_submit_is(#[case] what: &str, #[case] spoil: fn(&mut SubmitRequest)) {
    let Scanners { f, .. } = scanners().await;
    let mut request = request();
    spoil(&mut request);
    let said = |error: &ServiceError| (error.code(), error.to_string(), error.hint());
    let dry = f.service.dry_run(request.clone()).await.unwrap_err();
    assert_eq!(said(&dry), said(&f.service.submit(request).await.unwrap_err()), "{what}");
}

#[rstest]
#[case::inside("mode: enforce\nallow: [10.0.0.0/8, 192.0.2.0/25, 192.0.2.128/25]", "192.0.2.120-192.0.2.140", "allowed", &["192.0.2.0/25", "192.0.2.128/25"])]
#[case::not_denied("mode: enforce\ndeny: [10.0.0.0/8]", "192.0.2.1", "allowed", &[])]
#[case::would_be("mode: dry_run\nallow: [10.0.0.0/8]\ndeny: [10.0.0.7]", "10.0.0.0/29,192.0.2.1", "would_refuse", &["`deny` has `10.0.0.7`", "192.0.2.1"])]
#[case::would_not("mode: dry_run\nallow: [10.0.0.0/8]", "10.0.0.1", "allowed", &["10.0.0.0/8"])]
#[case::off("mode: off\nallow: [10.0.0.0/8]", "192.0.2.1", "no_scope", &[])]
#[tokio::test]
async fn the_verdict_names_the_rules(
    #[case] policy: &str,
    #[case] targets: &str,
    #[case] verdict: &str,
    #[case] rules: &[&str],
) {
    let mut f = fixture().await;
    let policy = Policy::parse(policy, Path::new("policy.yaml"), &|_| None).unwrap();
    f.service.scope = Scope::new(policy);
    let scope = f.service.dry_run(SubmitRequest::untrusted("office", targets)).await.unwrap().scope;
    assert_eq!((scope.verdict.as_str(), scope.rules.len()), (verdict, rules.len()), "{scope:?}");
    for (said, rule) in scope.rules.iter().zip(rules) {
        assert!(said.contains(rule), "{said}");
    }
}
