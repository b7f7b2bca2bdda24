//! Scans that go well.

use nessus_mcp_lib::service::ResultsRequest;
use std::{collections::BTreeMap, time::Duration};

use nessus_mcp_tests::{
    deployment::Deployment,
    processes::until,
    sim::{SimConfig, SimulatedNessus, findings},
    site::Site,
};
use serde_json::Value;

const TARGETS: &str = "192.0.2.0/29, db.office.example";
const FINDINGS: usize = 30;

/// The hosts of these targets.
fn hosts() -> impl Iterator<Item = String> {
    (0..8).map(|last| format!("192.0.2.{last}")).chain(["db.office.example".to_owned()])
}

/// What the simulator puts on the hosts: findings by host, and by severity.
fn truth() -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut by_host, mut by_severity) = (BTreeMap::new(), BTreeMap::new());
    for host in hosts() {
        for finding in findings(0, &host, FINDINGS) {
            let severity = ["Info", "Low", "Medium", "High", "Critical"][usize::from(finding.plugin.severity)];
            *by_severity.entry(severity.to_owned()).or_default() += 1;
            *by_host.entry(host.clone()).or_default() += 1;
        }
    }
    (by_host, by_severity)
}

fn counts(lines: &[&Value], field: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line[field].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// The happy path through everything, and the data at its end: not one finding more, less, or of another severity.
#[tokio::test]
async fn a_scan_is_completed_by_the_worker_and_its_findings_are_the_scanners() {
    let config = SimConfig::new().scan_duration(Duration::from_secs(1)).findings_per_host(FINDINGS);
    let site = Site::start(config).await;
    let mut worker = site.start_worker(&[]);
    let task = site.submit("office", TARGETS).await;
    let view = site.completed(&task, &[&worker]).await;
    assert_eq!((view.progress, view.scanner_instance.unwrap().as_str()), (Some(100), "sim"));
    assert!(view.nessus_scan_id.is_some() && view.validation_warnings.is_empty(), "{:?}", view.validation_warnings);

    let text = site.client().get_results_lines(&ResultsRequest::everything(task.clone())).await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = lines.iter().filter(|line| line["type"] == "vulnerability").collect();
    let (by_host, by_severity) = truth();
    assert_eq!((counts(&found, "host"), counts(&found, "severity")), (by_host, by_severity.clone()));
    assert_eq!(lines[0]["total_vulnerabilities"], found.len());
    let counted: BTreeMap<String, u64> = serde_json::from_value(lines[1]["severity_counts"].clone()).unwrap();
    assert_eq!(counted, by_severity, "the counts in scan_metadata are others than those of the lines");

    site.each_scan_ran_once(1);
    // The name on the scanner carries the task, by which another worker would find the scan.
    assert!(site.sim.stats().creates.keys().next().unwrap().contains(task.as_str()));
    assert_eq!(site.sim.stats().logins, 1);
    assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
    let stats = site.sim.stats();
    assert_eq!((stats.logouts, stats.sessions), (1, 0), "scanners turn users away after too many open sessions");
}

/// The scanner that plays is part of the worker's process, and its scans must not die with it.
#[tokio::test]
async fn scans_of_the_scanner_that_plays_outlive_their_worker() {
    let lab = "lab:\n  - {instance_id: play, type: mock, scan_duration: 3s}\n";
    let sim = SimulatedNessus::start().await;
    let site = Site::start_with(sim, Deployment::new(lab), &[]).await;
    let mut first = site.start_worker(&["--lease-seconds", "1s"]);
    let tasks = [site.submit("one", "192.0.2.1").await, site.submit("other", "192.0.2.2").await];
    for task in &tasks {
        until("it runs", &[&first], async || site.view(task).await.nessus_scan_id).await;
    }
    first.kill();
    let second = site.start_worker(&["--lease-seconds", "1s"]);
    for task in &tasks {
        let scan = site.view(task).await.nessus_scan_id;
        assert_eq!(site.completed(task, &[&second]).await.nessus_scan_id, scan, "{}", second.tail());
    }
    // A killed worker may have left an unfinished file beside them.
    let files = nessus_mcp_tests::processes::entries(&site.deployment.data().join("mock/lab/play"));
    assert_eq!(files.iter().filter(|name| name.to_string_lossy().ends_with(".json")).count(), 2, "{files:?}");
}

/// Two workers that know nothing of each other together never run more on a scanner than it is allowed.
#[tokio::test]
async fn two_workers_share_the_work_and_the_scanners_slots() {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(600))).await;
    let workers = [site.start_worker(&[]), site.start_worker(&[])];
    let workers: Vec<_> = workers.iter().collect();
    let mut tasks = Vec::new();
    for number in 1..=8 {
        tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
    }
    for task in &tasks {
        site.completed(task, &workers).await;
    }
    site.each_scan_ran_once(tasks.len());
    let stats = site.sim.stats();
    assert!((1..=2).contains(&stats.max_running), "{stats:#?}");
    site.queue_is_empty(&workers).await;
}
