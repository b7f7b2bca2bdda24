//! `doctor`: all checks, each with the command that mends what it finds.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use nessus_mcp_lib::{
    Queue,
    circuit_breaker::CircuitCommand,
    ids::{InstanceId, PoolName, TaskId, WorkerId},
    queue::{self, CircuitNotice, DeadReason, ServedPool, Settlement, TaskBody, WorkerRecord},
    task::TaskManager,
    time::{Clock as _, SystemClock},
};
use nessus_mcp_tests::{deployment::Deployment, redis::RedisServer};
use serde_json::{Value, json};

use crate::{MOCKS, admin, alone, json, program};

const MINUTE: Duration = Duration::from_secs(60);

fn lab() -> PoolName {
    PoolName::new("lab").unwrap()
}

/// A worker of the pool that was heard of just now.
async fn announce(queue: &dyn Queue) {
    let mut record = WorkerRecord::new(WorkerId::generate(), SystemClock.now());
    record.pools = vec![ServedPool::new(lab(), vec![InstanceId::new("mock-1").unwrap()], 2)];
    queue.announce_worker(&record, MINUTE).await.unwrap();
}

/// A deployment in which nothing is wrong.
async fn healthy(deployment: Deployment) -> (Deployment, std::sync::Arc<dyn Queue>) {
    drop(TaskManager::open(&deployment.data()).unwrap());
    let queue = queue::open(&deployment.queue_url().parse().unwrap()).await.unwrap();
    assert_eq!(admin(&deployment, &["queue", "rebind"]).code, Some(0));
    assert_eq!(admin(&deployment, &["queue", "audit", "--repair"]).code, Some(0));
    announce(queue.as_ref()).await;
    (deployment, queue)
}

/// The findings of a check that are neither ok nor skipped.
fn bad<'a>(found: &'a Value, check: &str) -> Vec<&'a Value> {
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .filter(|one| one["check"] == check && !matches!(one["severity"].as_str(), Some("ok" | "skipped")))
        .collect()
}

#[tokio::test]
async fn a_deployment_in_which_nothing_is_wrong_is_healthy() {
    let redis = RedisServer::start();
    for deployment in [Deployment::new(MOCKS), Deployment::new(MOCKS).with_queue(redis.url())] {
        let is_redis = deployment.queue_url().starts_with("redis");
        let (deployment, _queue) = healthy(deployment).await;
        let finished = admin(&deployment, &["doctor", "--json"]);
        let found = json(&finished);
        // A disk that is nearly full, and a Redis that keeps nothing, are no fault of this test.
        let findings = found["findings"].as_array().unwrap().iter();
        let wrong: Vec<_> = findings
            .filter(|one| !matches!(one["severity"].as_str(), Some("ok" | "skipped")) && one["check"] != "disk")
            .filter(|one| {
                !(is_redis
                    && one["check"] == "queue"
                    && one["mend"].as_str().is_some_and(|mend| mend.starts_with("redis-cli")))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let checks: Vec<_> =
            found["findings"].as_array().unwrap().iter().map(|one| one["check"].as_str().unwrap()).collect();
        for check in [
            "configuration",
            "data directory",
            "disk",
            "audit log",
            "queue",
            "binding",
            "clock",
            "workers",
            "circuits",
            "pools",
            "catalogue",
            "tasks",
            "scanners",
        ] {
            assert!(checks.contains(&check), "{check}: {checks:?}");
        }
    }
}

#[tokio::test]
async fn each_finding_comes_with_a_command_that_exists() {
    let (deployment, queue) = healthy(Deployment::new(MOCKS)).await;
    let (worker, scanner) = (WorkerId::generate(), InstanceId::new("mock-1").unwrap());
    let task = TaskId::new("mo_lab_20261101_000001_00000001").unwrap();
    let body = TaskBody::parse(json!({ "task_id": task }).to_string()).unwrap();
    queue.enqueue(&lab(), &body).await.unwrap();
    let claim = queue.claim(&lab(), &worker, MINUTE, &[]).await.unwrap().unwrap();
    let reason = DeadReason::new("the scanner refused the login", "scanner_login_refused", 1);
    queue.settle(&claim.lease, Settlement::DeadLetter(reason)).await.unwrap();
    queue.pause_pool(&lab(), "maintenance").await.unwrap();
    let notice = CircuitNotice::command(CircuitCommand::Isolate, "a new firewall", "operator");
    queue.post_circuit_notice(&lab(), &scanner, &notice).await.unwrap();
    for known in queue.workers().await.unwrap() {
        queue.withdraw_worker(&known.record.worker).await.unwrap();
    }
    fs::create_dir_all(deployment.data().join("tasks/mo_lab_20261101_000002_00000002")).unwrap();
    fs::copy(deployment.scanners_yaml(), deployment.data().join("tasks/mo_lab_20261101_000002_00000002/task.json"))
        .unwrap();
    fs::set_permissions(deployment.data(), fs::Permissions::from_mode(0o755)).unwrap();

    let finished = program(&deployment, &["doctor", "--json"]).env("QUEUE_URl", "x").run();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let found = json(&finished);
    for (check, detail, mend) in [
        ("configuration", "did you mean `QUEUE_URL`?", "nessus-admin config check"),
        ("data directory", "mode 755", "chmod go= "),
        ("workers", "no worker serves the pool `lab`", "nessus-worker --worker-pools lab"),
        ("circuits", "isolated by an operator: a new firewall", "nessus-admin close-circuit lab mock-1"),
        ("pools", "1 dead letter in the pool `lab`", "nessus-admin list-dlq --pool lab"),
        ("pools", "the pool `lab` is paused: maintenance", "nessus-admin resume-pool lab"),
        ("catalogue", "it knows 0 tasks, and the data directory has 1", "nessus-admin queue audit"),
    ] {
        let is_it = |one: &&Value| {
            let has = |field: &str, text: &str| one[field].as_str().is_some_and(|found| found.contains(text));
            has("detail", detail) && has("mend", mend)
        };
        assert!(bad(&found, check).iter().any(is_it), "{check}: {detail}: {found:#}");
    }
    for finding in found["findings"].as_array().unwrap() {
        let Some(command) = finding["mend"].as_str().and_then(|mend| mend.strip_prefix("nessus-admin ")) else {
            continue;
        };
        let words = command.split([',', ';']).next().unwrap().split(' ').take_while(|word| !word.starts_with("--"));
        let asked = alone(&words.chain(["--help"]).collect::<Vec<_>>());
        assert_eq!(asked.code, Some(0), "{command}: {asked:?}");
    }
    let text = admin(&deployment, &["doctor"]);
    assert!(
        text.stdout.contains("\nto mend it:\n") && text.stdout.contains("  nessus-admin resume-pool lab\n"),
        "{text:?}"
    );
}

/// What is wrong with an object store is found beside all else, and shows none of its keys.
#[test]
fn an_object_store_and_its_cache_are_looked_at() {
    let deployment = Deployment::new(MOCKS).with_queue("redis://127.0.0.1:9");
    fs::create_dir(deployment.data()).unwrap();
    let stored = |cache: &str, most: &str| {
        let doctor = program(&deployment, &["doctor", "--json", "--no-scanners"])
            .env("DATA_URL", "s3://scans/production")
            .env("CACHE_DIR", deployment.directory().join(cache))
            .env("CACHE_MAX_GB", most)
            .env("AWS_ENDPOINT", "http://127.0.0.1:9")
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "planted-id")
            .env("AWS_SECRET_ACCESS_KEY", "planted-key");
        let finished = doctor.run();
        assert_eq!(finished.code, Some(69), "{finished:?}");
        assert!(!format!("{finished:?}").contains("planted-key"), "{finished:?}");
        json(&finished)
    };
    let found = stored("cache", "10000");
    assert_eq!(bad(&found, "store").len(), 1, "{found:#}");
    let cache = bad(&found, "cache");
    assert!(cache[0]["detail"].as_str().unwrap().contains("may take 10000000 MB, and has room for"), "{found:#}");
    assert!(!deployment.directory().join("cache").exists(), "nothing is made by looking");
    let found = stored("scanners.yaml/cache", "1");
    assert!(bad(&found, "cache").iter().all(|one| one["severity"] == "failed"), "{found:#}");
    assert_eq!(bad(&found, "cache").len(), 1, "{found:#}");
}

#[tokio::test]
async fn what_is_away_stops_no_other_check() {
    let deployment = Deployment::new(MOCKS).with_queue("redis://127.0.0.1:9");
    drop(TaskManager::open(&deployment.data()).unwrap());
    let finished = admin(&deployment, &["doctor", "--json"]);
    assert_eq!(finished.code, Some(69), "{finished:?}");
    let found = json(&finished);
    assert_eq!(
        (bad(&found, "queue").len(), bad(&found, "data directory").len(), bad(&found, "scanners").len()),
        (1, 0, 0)
    );

    deployment.configure("lab: []\n");
    let finished = admin(&deployment, &["doctor", "--json", "--no-scanners"]);
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(bad(&json(&finished), "configuration")[0]["detail"].as_str().unwrap().contains("scanners.yaml:1"));

    let nothing = Deployment::new(MOCKS);
    let finished = admin(&nothing, &["doctor", "--json"]);
    assert_eq!(finished.code, Some(69), "{finished:?}");
    assert!(!nothing.data().exists(), "nothing is made");
    assert_eq!(bad(&json(&finished), "data directory").len(), 1);
}

#[tokio::test]
async fn a_queue_of_another_directory_is_said() {
    let (deployment, _queue) = healthy(Deployment::new(MOCKS)).await;
    let other = Deployment::new(MOCKS).with_queue(deployment.queue_url());
    drop(TaskManager::open(&other.data()).unwrap());
    let finished = admin(&other, &["doctor", "--json"]);
    assert_eq!(finished.code, Some(78), "{finished:?}");
    let found = json(&finished);
    assert!(bad(&found, "binding")[0]["mend"].as_str().unwrap().contains("queue rebind"), "{found:#}");
}
