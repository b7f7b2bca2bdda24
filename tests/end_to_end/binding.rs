//! One queue, one data directory: who belongs together is noticed at the start and while processes run.

use std::{fs, time::Duration};

use nessus_mcp_lib::task::QueueFile;
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{Finished, entries, until},
    redis::RedisServer,
    sim::SimConfig,
    site::Site,
};
use serde_json::Value;

const SCANNERS: &str = "lab:\n  - {instance_id: mock-1, type: mock}\n";

fn id(deployment: &Deployment) -> Option<String> {
    let text = fs::read(deployment.data().join("queue.json")).ok()?;
    serde_json::from_slice::<QueueFile>(&text).unwrap().id
}

fn bound(redis: &RedisServer) -> Value {
    serde_json::from_str(&redis.ask(&["GET", "nessus:binding"]).text()).unwrap()
}

#[track_caller]
fn refused(finished: &Finished) {
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains("belongs to another data directory"), "{finished:?}");
    assert!(finished.stderr.contains("nessus-admin queue rebind"), "{finished:?}");
}

/// Many processes that start at once on a fresh directory and a fresh queue agree on one id.
#[tokio::test]
async fn processes_that_start_at_once_are_bound_to_one_id() {
    for redis in [Some(RedisServer::start()), None] {
        let mut deployment = Deployment::new(SCANNERS);
        if let Some(redis) = &redis {
            deployment = deployment.with_queue(redis.url());
        }
        let program = deployment.program(binaries::worker(), &[]);
        let workers: Vec<_> = (0..4).map(|_| deployment.start(&program)).collect();
        let server = deployment.server(binaries::server());
        let servers: Vec<_> = (0..2).map(|_| deployment.serve(&server)).collect();
        for mut worker in workers {
            worker.wait_for_log("worker started");
            assert!(worker.is_running(), "{}", worker.tail());
        }
        drop(servers);
        let id = id(&deployment).unwrap();
        if let Some(redis) = &redis {
            assert_eq!(bound(redis)["directory"], id.as_str());
        }
    }
}

/// A worker with another data directory takes nothing: it ends, whether its directory is empty or belongs to another queue,
/// and leaves nothing behind.
#[tokio::test]
async fn a_process_with_another_directory_is_refused() {
    let redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), SimConfig::new()).await;
    let task = site.submit("x", "192.0.2.1").await;

    let empty = Deployment::new(&site.sim.scanners_yaml()).with_queue(redis.url());
    refused(&empty.program(binaries::worker(), &[]).run());
    refused(&empty.server(binaries::server()).run());
    refused(&empty.program(binaries::admin(), &["cancel", task.as_str()]).run());
    assert!(!empty.data().exists(), "{:?}", entries(&empty.data()));
    // An operator's own machine has no directory, and may look.
    assert_eq!(empty.program(binaries::admin(), &["stats"]).run().code, Some(0));

    let other = Deployment::new(&site.sim.scanners_yaml());
    let server = other.serve(&other.server(binaries::server()));
    drop(server);
    let other = other.with_queue(redis.url());
    for command in [vec!["stats"], vec!["list-dlq"], vec!["pause-pool", "nessus", "--reason", "x"]] {
        refused(&other.program(binaries::admin(), &command).run());
    }
    refused(&other.program(binaries::worker(), &[]).run());
    assert_eq!(redis.ask(&["ZCARD", "nessus:queue:ready"]).number(), 1, "nobody took the task");
    let worker = site.start_worker(&[]);
    site.completed(&task, &[&worker]).await;
}

/// What an operator decides holds at once: the one directory's processes take over, the other's stop and say so.
#[tokio::test]
async fn a_queue_that_is_rebound_is_left_by_those_it_belonged_to() {
    let redis = RedisServer::start();
    let first = Site::start_on(&redis.url(), SimConfig::new()).await;
    let mut old_worker = first.start_worker(&[]);
    // One that is only starting would end with 78.
    old_worker.wait_for_log("worker started");
    let before = bound(&redis);

    let deployment = Deployment::new(&first.sim.scanners_yaml()).with_queue(redis.url());
    let rebind = deployment.program(binaries::admin(), &["queue", "rebind"]);
    let rebound = rebind.run();
    assert_eq!((rebound.code, &*rebound.stderr), (Some(0), ""), "{rebound:?}");
    assert!(rebound.stdout.contains(before["directory"].as_str().unwrap()), "{rebound:?}");
    assert!(rebind.run().stdout.contains("; as before"));
    assert_eq!(bound(&redis)["directory"], id(&deployment).unwrap().as_str());

    old_worker.wait_for_log("nothing is claimed from this queue");
    let health: Value = until("health says so", &[&first.server.process], async || {
        let health: Value = reqwest::get(format!("{}/health", first.server.url())).await.ok()?.json().await.ok()?;
        (health["checks"]["queue"]["code"] == "queue_mismatch").then_some(health)
    })
    .await;
    assert_eq!(health["status"], "unhealthy", "{health}");
    let ready = reqwest::get(format!("{}/health/ready", first.server.url())).await.unwrap();
    assert_eq!(ready.status(), 503);
    let arguments = nessus_mcp_lib::service::SubmitRequest::untrusted("x", "192.0.2.9");
    let error = first.client().submit_scan(&arguments).await.unwrap_err().to_string();
    assert!(error.contains("queue_mismatch"), "{error}");
    assert_eq!(first.deployment.task_directories(), [""; 0], "what is refused leaves nothing");

    let sim =
        nessus_mcp_tests::sim::SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(200)))
            .await;
    deployment.configure(&sim.scanners_yaml());
    let second = Site::start_with(sim, deployment, &[]).await;
    let task = second.submit("y", "192.0.2.2").await;
    let worker = second.start_worker(&[]);
    second.completed(&task, &[&worker]).await;
    assert!(!old_worker.log().contains(task.as_str()), "{}", old_worker.tail());
    assert!(old_worker.is_running());
    // Taken back, its processes go on by themselves.
    assert_eq!(first.deployment.program(binaries::admin(), &["queue", "rebind"]).run().code, Some(0));
    let task = first.submit("z", "192.0.2.3").await;
    first.completed(&task, &[&old_worker]).await;
}

/// A directory that is taken from under running processes: they do not take an empty one for theirs.
#[tokio::test]
async fn a_directory_that_is_gone_is_not_replaced_by_an_empty_one() {
    let redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), SimConfig::new()).await;
    let mut worker = site.start_worker(&[]);
    worker.wait_for_log("pools served");
    let aside = site.deployment.path("aside");
    #[expect(clippy::disallowed_methods, reason = "as an operator does")]
    let moved = |from, to| std::fs::rename(from, to).unwrap();
    moved(site.deployment.data(), aside.clone());
    worker.wait_for_log("the data directory is not the one it was");
    let arguments = nessus_mcp_lib::service::SubmitRequest::untrusted("x", "192.0.2.9");
    site.client().submit_scan(&arguments).await.unwrap_err();
    assert!(!site.deployment.data().exists());
    moved(aside, site.deployment.data());
    let task = site.submit("y", "192.0.2.2").await;
    site.completed(&task, &[&worker]).await;
}

/// What an older version left has no id on either side, and is taken as it is.
#[tokio::test]
async fn a_queue_of_an_older_version_is_taken_as_it_is() {
    let redis = RedisServer::start();
    let mut site = Site::start_on(&redis.url(), SimConfig::new()).await;
    let task = site.submit("x", "192.0.2.1").await;
    // The directory first: a server that finds its queue without an id would bind it again.
    std::fs::remove_file(site.deployment.data().join("queue.json")).unwrap();
    redis.ask(&["DEL", "nessus:binding"]);
    redis.ask(&["SET", "nessus:queue:paused", "change freeze"]);
    site.restart_server().await;
    assert_eq!(bound(&redis)["directory"], id(&site.deployment).unwrap().as_str());
    assert_eq!(redis.ask(&["GET", "nessus:queue:paused"]).text(), "change freeze");
    assert_eq!(redis.ask(&["ZCARD", "nessus:queue:ready"]).number(), 1);
    redis.ask(&["DEL", "nessus:queue:paused"]);
    let worker = site.start_worker(&[]);
    site.completed(&task, &[&worker]).await;
}
