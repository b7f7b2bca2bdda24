//! Scanners that are not called: because they do not answer, or because an operator says so.

use std::time::Duration;

use nessus_mcp_lib::{circuit_breaker::CircuitState, task::TaskStatus};
use nessus_mcp_tests::{binaries, outage, processes::until, redis::RedisServer, sim::SimConfig, site::Site};

/// With a hundred tasks this is the example `outage`.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_scanner_out_of_reach_costs_no_task() {
    let outcome = outage::run(24, None).await;
    assert!(outcome.opens >= 1 && outcome.completed.values().sum::<usize>() == 24, "{outcome}");
}

/// The same on Redis, where each process publishes how its circuits stand.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_scanner_out_of_reach_costs_no_task_on_redis() {
    let redis = RedisServer::start();
    let outcome = outage::run(16, Some(&redis.url())).await;
    assert!(outcome.opens >= 1 && outcome.completed.values().sum::<usize>() == 16, "{outcome}");
    let exists = |key| redis.ask(&["EXISTS", key]).bytes();
    assert_eq!(exists("nessus:circuit-states"), b"1");
    assert_eq!(exists("nessus:circuit:nessus:away"), b"0", "nobody acts on what another finds");
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

/// A corrected password needs no more than a worker that knows it: what the one before was refused does not hold it up.
#[tokio::test]
async fn a_corrected_password_lets_the_scanner_be_used_again() {
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
    let shown = async || {
        let listed = listed(&site);
        (listed.contains("closed") && !listed.contains("unusable")).then_some(())
    };
    until("the refusal is shown no more", &[&worker], shown).await;
}

/// Each process shows its own circuits, wherever circuits are shown, and one that was killed does so no more.
#[tokio::test]
async fn circuits_are_shown_by_process_until_the_process_is_gone() {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let mut refused = site.sim.scanners_yaml();
    let alive = site.start_worker(&[]);
    let task = site.submit("before", "192.0.2.1").await;
    site.completed(&task, &[&alive]).await;
    // Of the same scanner, with a password of its own.
    refused = refused.replace("\"nessus\"", "an-old-password");
    site.deployment.configure(&refused);
    let mut killed = site.start_worker(&[]);
    let circuit = async || site.client().list_scanners(None).await.unwrap().scanners.remove(0).circuit;
    let both = until("both are shown", &[&alive, &killed], async || {
        let circuit = circuit().await;
        let shows = |state| circuit.processes.iter().any(|process| process.state == state);
        (shows(CircuitState::Unusable) && shows(CircuitState::Closed)).then_some(circuit)
    })
    .await;
    assert_eq!(both.state, CircuitState::Unusable, "the worst: {both:?}");
    let unusable: Vec<_> = both.processes.iter().filter(|one| one.state == CircuitState::Unusable).collect();
    let [unusable] = unusable[..] else { panic!("{both:?}") };
    assert!(both.changed_by == unusable.process && unusable.reason.contains("refused"), "{both:?}");
    // An operator finds the process by its name.
    killed.wait_for_log(&unusable.process);
    let listed = site.deployment.program(binaries::admin(), &["list-circuits"]).run().stdout;
    assert!(listed.contains(&format!("  {}  unusable  20", unusable.process)), "{listed}");
    let get = async |path| reqwest::get(format!("{}{path}", site.server.url())).await.unwrap().text().await.unwrap();
    let health = get("/health").await;
    assert!(
        health.contains(&format!("\"circuits\":{{\"nessus:sim\":{{\"{}\":\"unusable\"}}}}", unusable.process)),
        "{health}"
    );
    let series =
        format!("nessus_process_circuit_state{{process=\"{}\",scanner_instance=\"nessus:sim\"}} 1\n", unusable.process);
    assert!(get("/metrics").await.contains(&series));

    killed.kill();
    let left = until("the killed one is shown no more", &[&alive], async || {
        let circuit = circuit().await;
        circuit.processes.iter().all(|process| process.process != unusable.process).then_some(circuit)
    })
    .await;
    assert!(left.state == CircuitState::Closed && !left.processes.is_empty(), "{left:?}");
    assert!(!get("/metrics").await.contains(&unusable.process));
    assert_eq!(site.sim.stats().failed_logins, 1);
}
