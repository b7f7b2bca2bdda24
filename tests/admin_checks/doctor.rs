//! `doctor`: all checks, each with the command that mends what it finds.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use nessus_mcp_lib::{
    Queue,
    circuit_breaker::CircuitCommand,
    ids::{InstanceId, PoolName, TaskId, TraceId, WorkerId},
    queue::{self, CircuitNotice, DeadReason, ServedPool, Settlement, TaskBody, WorkerRecord},
    task::{ScanPayload, ScanType, Task, TaskManager},
    time::{Clock as _, SystemClock},
};
use nessus_mcp_tests::{
    deployment::Deployment,
    processes::entries,
    redis::RedisServer,
    s3::{BUCKET, Fault, Operation, S3Error, SimulatedS3},
};
use serde_json::{Value, json};

use crate::{MOCKS, admin, alone, json, program};

/// Where the tasks of these tests are that are in a bucket.
const STORE: &str = "s3://nessus/production";
const MINUTE: Duration = Duration::from_secs(60);
const NOTHING: [&str; 0] = [];

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

/// An object store is looked at beside all else, and its keys are shown nowhere.
#[tokio::test]
async fn an_object_store_and_its_cache_are_looked_at() {
    let (redis, s3) = (RedisServer::start(), SimulatedS3::start().await);
    let deployment = Deployment::new(MOCKS).with_queue(redis.url());
    fs::create_dir(deployment.data()).unwrap();
    let run = |arguments: &[&str], settings: &[(&str, &str)]| {
        let environment = s3.environment();
        let stored = environment.iter().map(|(name, value)| (*name, &**value)).chain([("DATA_URL", STORE)]);
        let all = stored.chain(settings.iter().copied());
        let finished =
            all.fold(program(&deployment, arguments), |program, (name, value)| program.env(name, value)).run();
        let secret = &environment.iter().find(|(name, _)| *name == "AWS_SECRET_ACCESS_KEY").unwrap().1;
        assert!(!format!("{finished:?}").contains(&**secret), "{finished:?}");
        finished
    };
    let doctor = |settings: &[(&str, &str)]| json(&run(&["doctor", "--json", "--no-scanners"], settings));
    // Where nobody has kept tasks yet, a command makes none.
    let none = run(&["tasks", "list"], &[]);
    assert_eq!(none.code, Some(78), "{none:?}");
    assert!(none.stderr.contains(&format!("there are no tasks at `{STORE}`")), "{none:?}");
    assert!(s3.objects(BUCKET).is_empty());

    let found = doctor(&[("CACHE_MAX_GB", "1")]);
    assert!(bad(&found, "store").is_empty() && bad(&found, "cache").is_empty(), "{found:#}");
    let ok = |check: &str| found["findings"].as_array().unwrap().iter().filter(|one| one["check"] == check).count();
    assert_eq!((ok("store"), ok("cache")), (2, 1), "{found:#}");
    assert!(s3.objects(BUCKET).is_empty(), "nothing stays");
    assert_eq!(entries(&deployment.data()), NOTHING, "and nothing is made");

    let found = doctor(&[("CACHE_MAX_GB", "10000")]);
    let cache = bad(&found, "cache");
    assert!(cache[0]["detail"].as_str().unwrap().contains("may take 10000000 MB, and has room for"), "{found:#}");
    let nowhere = deployment.scanners_yaml().join("cache");
    let found = doctor(&[("CACHE_DIR", nowhere.to_str().unwrap())]);
    assert_eq!(bad(&found, "cache")[0]["severity"], "failed", "{found:#}");

    s3.shift_clock(30);
    let found = doctor(&[]);
    let store = bad(&found, "store");
    assert!(store[0]["severity"] == "warning" && store[0]["detail"].as_str().unwrap().contains("apart"), "{found:#}");
    s3.shift_clock(0);
    s3.inject(Fault::answer(S3Error::AccessDenied).on(Operation::List));
    let found = doctor(&[]);
    let store = bad(&found, "store");
    assert!(store[0]["detail"].as_str().unwrap().contains("Access Denied"), "{found:#}");
    assert!(store[0]["mend"].as_str().unwrap().contains("allow these credentials"), "{found:#}");
    s3.clear_faults();
    s3.remove_bucket(BUCKET);
    let finished = run(&["doctor", "--json", "--no-scanners"], &[]);
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(bad(&json(&finished), "store")[0]["mend"].as_str().unwrap().contains("create it"), "{finished:?}");
}

/// Commands read and write what is in the bucket, and nothing of it in the data directory.
#[tokio::test]
async fn commands_act_on_the_tasks_of_a_bucket() {
    let (redis, s3) = (RedisServer::start(), SimulatedS3::start().await);
    let deployment = Deployment::new(MOCKS).with_queue(redis.url());
    let run = |arguments: &[&str]| {
        let stored = s3.environment().into_iter().chain([("DATA_URL", STORE.to_owned())]);
        stored.fold(program(&deployment, arguments), |program, (name, value)| program.env(name, value)).run()
    };
    let key = |name: &str| format!("production/{name}");
    let id = TaskId::new("mo_lab_20261101_000001_00000001").unwrap();
    let payload = ScanPayload::new("office", "192.0.2.0/24");
    let now = SystemClock.now();
    let mut task = Task::new(id.clone(), TraceId::generate(), ScanType::Untrusted, "mo", lab(), payload, now);
    task.revision = 1;
    s3.put(BUCKET, &key("queue.json"), "{\"id\": \"7e57\"}");
    s3.put(BUCKET, &key(&format!("tasks/{id}/task.json")), serde_json::to_vec(&task).unwrap());

    let rebound = run(&["queue", "rebind", "--json"]);
    assert_eq!(json(&rebound)["data_dir"], STORE, "{rebound:?}");
    assert_eq!(run(&["queue", "audit", "--repair"]).code, Some(0));
    assert_eq!(json(&run(&["tasks", "list", "--json"]))["task_id"], id.as_str());
    assert_eq!(run(&["pause-pool", "lab", "--reason", "maintenance"]).code, Some(0));
    let remembered = String::from_utf8(s3.objects(BUCKET)[&key("queue.json")].to_vec()).unwrap();
    assert!(remembered.contains("maintenance"), "{remembered}");
    assert_eq!(json(&run(&["stats", "--json"]))["pools"][0]["queued"], 1);
    let cancelled = run(&["tasks", "cancel", id.as_str(), "--reason", "not needed", "--yes"]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    let written: Value = serde_json::from_slice(&s3.objects(BUCKET)[&key(&format!("tasks/{id}/task.json"))]).unwrap();
    assert_eq!(written["status"], "cancelled");
    let report = run(&["report", id.as_str(), "-o", "-", "--format", "csv"]);
    assert!(report.stderr.contains("has no results, it is cancelled"), "{report:?}");
    assert_eq!(entries(&deployment.data()), NOTHING, "no command has read a result");
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
