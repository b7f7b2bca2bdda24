//! A scope that an operator sets, in the server and in the worker, and changes while both run.

use std::{path::Path, time::Duration};

use nessus_mcp_lib::{durable, service::SubmitRequest, task::TaskStatus};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{Process, entries, until},
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use serde_json::Value;

/// What the site scans; the scanner is never told a name that was not looked up.
const POLICY: &str = "allow: [192.0.2.0/24, 127.0.0.0/8, '::1']\ndeny: [192.0.2.128/25]\n";

fn write(path: &Path, policy: &str) {
    durable::replace(path, policy.as_bytes()).unwrap();
}

/// Why a scan is refused.
async fn refused(site: &Site, targets: &str) -> String {
    let submitted = site.client().submit_scan(&SubmitRequest::untrusted("refused", targets)).await;
    submitted.unwrap_err().to_string()
}

async fn scope_check(site: &Site) -> Value {
    let health = reqwest::get(format!("{}/health", site.server.url())).await.unwrap();
    let health: Value = health.json().await.unwrap();
    health["checks"]["scope"].clone()
}

async fn hang_up(processes: &[&Process], text: &str) {
    let count = |process: &Process| process.log().matches(text).count();
    let before: Vec<_> = processes.iter().map(|process| count(process)).collect();
    for process in processes {
        process.hang_up();
    }
    until(&format!("all processes say `{text}`"), processes, async || {
        processes.iter().zip(&before).all(|(process, before)| count(process) > *before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_scope_is_kept_by_server_and_worker_and_changes_as_a_whole_or_not_at_all() {
    let sim = SimulatedNessus::start_with(
        SimConfig::new().login("admin", "planted-password").scan_duration(Duration::from_millis(500)),
    )
    .await;
    let scanners = sim.scanners_yaml();
    let deployment = Deployment::new(&scanners);
    let path = deployment.path("policy.yaml");
    write(&path, POLICY);
    let argument = ["--policy-config", path.to_str().unwrap()];
    let site = Site::start_with(sim, deployment, &argument).await;
    assert_eq!(scope_check(&site).await["mode"], "enforce");
    for (targets, part) in [
        ("192.0.2.250-192.0.3.5", "out_of_scope"),
        ("192.0.2.100-192.0.2.130", "`deny` has `192.0.2.128/25`"),
        ("no-such-name.invalid", "`no-such-name.invalid` cannot be resolved"),
    ] {
        let answer = refused(&site, targets).await;
        assert!(answer.contains(part), "{targets}: {answer}");
    }
    assert_eq!(entries(&site.deployment.path("data/tasks")).len(), 0, "nothing is left of what was refused");

    // A file with a mistake changes nothing, and says where it is.
    write(&path, "allow: [10.0.0.0/8]\ndenny: [10.0.0.1]\n");
    hang_up(&[&site.server.process], "the scope policy is refused").await;
    assert!(site.server.process.log().contains("policy.yaml:2: unknown key `denny`, did you mean `deny`?"));
    assert!(refused(&site, "10.0.0.1").await.contains("out of scope"));

    // A process that starts with such a file does not begin, and says the same.
    for binary in [binaries::server(), binaries::worker()] {
        let subcommand: &[&str] = if binary == binaries::server() { &["serve"] } else { &[] };
        let refused = site.deployment.program(binary, subcommand).args(argument).run();
        let said = "policy.yaml:2: unknown key `denny`, did you mean `deny`? (column 1; the keys are: ";
        assert!(refused.code == Some(78) && refused.stderr.contains(said), "{refused:?}");
    }

    // The worker has a look of its own: here its policy is a stricter one than that with which the scan was submitted.
    write(&path, POLICY);
    hang_up(&[&site.server.process], "scope policy read").await;
    let outside = site.submit("outside", "192.0.2.1-192.0.2.3").await;
    write(&path, "allow: [127.0.0.0/8, '::1']\n");
    let worker = site.start_worker(&argument);
    let view = site.ended(&outside, &[&worker]).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("out_of_scope")), "{view:?}");
    assert_eq!((site.sim.stats().total_creates, site.sim.stats().total_launches), (0, 0));

    // From now on both go by the same, and a name is scanned by its addresses.
    write(&path, POLICY);
    hang_up(&[&site.server.process, &worker], "scope policy read").await;
    let local = site.submit("local", "localhost").await;
    let view = site.completed(&local, &[&worker]).await;
    let told = view.checked_targets.unwrap();
    assert!(told.split(',').all(|told| told == "localhost[127.0.0.1]" || told == "localhost[::1]"), "{told}");
    let inside = site.submit("inside", "192.0.2.1").await;
    site.completed(&inside, &[&worker]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn without_a_policy_it_is_said_that_no_scope_is_set() {
    let site = Site::start(SimConfig::new()).await;
    let check = scope_check(&site).await;
    assert_eq!((&check["mode"], &check["status"]), (&"none".into(), &"healthy".into()));
    assert!(check["message"].as_str().unwrap().contains("no scope is set"), "{check}");
    assert!(site.server.process.log().contains("no scope is set"), "{}", site.server.process.tail());
}
