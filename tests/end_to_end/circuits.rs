//! Scanners that are left alone: because they do not answer, or because an operator says so.

use std::time::Duration;

use nessus_mcp_lib::task::TaskStatus;
use nessus_mcp_tests::{binaries, outage, processes::until, redis::RedisServer, sim::SimConfig, site::Site};

/// With a hundred tasks this is the example `outage`.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_scanner_out_of_reach_costs_no_task() {
    let outcome = outage::run(24, None).await;
    assert!(outcome.opens >= 1 && outcome.completed.values().sum::<usize>() == 24, "{outcome}");
}

/// The same with the circuit told over Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_scanner_out_of_reach_costs_no_task_on_redis() {
    let redis = RedisServer::start();
    let outcome = outage::run(16, Some(&redis.url())).await;
    assert!(outcome.opens >= 1 && outcome.completed.values().sum::<usize>() == 16, "{outcome}");
    let circuit = redis.ask(&["HGET", "nessus:circuit:nessus:away", "state"]);
    assert_eq!(circuit.text(), "closed");
}

/// An order that `nessus-admin` gives reaches a worker that runs, and is kept by one that starts later.
#[tokio::test]
async fn an_operator_isolates_a_scanner_in_every_process() {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let mut first = site.start_worker(&[]);
    let before = site.submit("before", "192.0.2.1").await;
    site.completed(&before, &[&first]).await;
    let admin = |arguments: &[&str]| site.deployment.program(binaries::admin(), arguments).run();
    let isolated = admin(&["isolate-scanner", "nessus", "sim", "--reason", "maintenance"]);
    assert_eq!((isolated.code, &*isolated.stdout), (Some(0), "nessus:sim is isolated: maintenance\n"), "{isolated:?}");
    first.wait_for_log("the circuit is isolated");
    assert_eq!(first.terminate(), Some(0));

    let mut second = site.start_worker(&[]);
    let waits = site.submit("waits", "192.0.2.2").await;
    second.wait_for_log("the circuit is isolated");
    let health = reqwest::get(format!("{}/health", site.server.url())).await.unwrap().text().await.unwrap();
    assert!(health.contains("\"available\":0"), "{health}");
    let metrics = reqwest::get(format!("{}/metrics", site.server.url())).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("nessus_circuit_state{scanner_instance=\"nessus:sim\"} 1"), "{metrics}");
    assert_eq!((site.view(&waits).await.status, site.sim.stats().total_creates), (TaskStatus::Queued, 1));

    assert_eq!(admin(&["close-circuit", "nessus", "sim"]).code, Some(0));
    site.completed(&waits, &[&second]).await;
    let metrics = reqwest::get(format!("{}/metrics", site.server.url())).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("nessus_circuit_state{scanner_instance=\"nessus:sim\"} 0"), "{metrics}");
}

/// A mended password needs no more than a worker that knows it: what the one before was refused does not hold it up.
#[tokio::test]
async fn a_mended_password_lets_the_scanner_be_used_again() {
    let mut site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let right = site.sim.scanners_yaml();
    site.deployment.configure(&right.replace("\"nessus\"", "an-old-password"));
    site.restart_server().await;
    // Its health check is refused, so that no task has to be.
    let mut worker = site.start_worker(&[]);
    worker.wait_for_log("the scanner is unusable");
    let waits = site.submit("waits", "192.0.2.2").await;
    let listed = |site: &Site| site.deployment.program(binaries::admin(), &["list-circuits"]).run().stdout;
    until("the refusal is shown", &[&worker], async || listed(&site).contains("unusable").then_some(())).await;
    assert_eq!((site.view(&waits).await.status, worker.terminate()), (TaskStatus::Queued, Some(0)));

    site.deployment.configure(&right);
    site.restart_server().await;
    let worker = site.start_worker(&[]);
    site.completed(&waits, &[&worker]).await;
    until("the refusal is shown no more", &[&worker], async || listed(&site).contains("closed").then_some(())).await;
}
