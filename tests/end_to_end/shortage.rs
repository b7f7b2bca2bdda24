//! What lacks room, or may not be written: a full disk, a read-only one, a Redis without memory. What is refused leaves nothing, what
//! runs goes on, and all recovers by itself.

use std::{fs, time::Duration};

use nessus_mcp_lib::{ids::TaskId, service::SubmitRequest};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{Process, until},
    redis::{DURABLE, RedisServer},
    sim::{SimConfig, SimulatedNessus},
    site::Site,
    small_disk::SmallDisk,
};
use serde_json::Value;

const DISK_MIB: u32 = 24;

/// A site whose data lie on a small disk; `None` where the system does not let us have one.
async fn on_small_disk(config: SimConfig) -> Option<(Site, SmallDisk, Process)> {
    let sim = SimulatedNessus::start_with(config).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let disk = SmallDisk::mount(&deployment, DISK_MIB)?;
    let server = disk.on(deployment.server(binaries::server()));
    let worker = disk.on(deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]));
    let site = Site::start_as(sim, deployment, server).await;
    let worker = site.deployment.start(&worker);
    Some((site, disk, worker))
}

/// Why a submit is refused, in the words of the answer.
async fn refusal(site: &Site) -> String {
    match site.client().submit_scan(&SubmitRequest::untrusted("refused", "192.0.2.99")).await {
        Ok(accepted) => panic!("{accepted:?}"),
        Err(error) => format!("{error:?}"),
    }
}

async fn health(site: &Site) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/health", site.server.url())).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn directories(disk: &SmallDisk) -> Vec<String> {
    let entries = fs::read_dir(disk.path("tasks")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn is_running(site: &Site, task: &TaskId, worker: &Process) {
    until("the scan runs", &[worker], async || {
        let view = site.view(task).await;
        (view.nessus_scan_id.is_some() && view.started_at.is_some()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_refuses_new_scans_and_loses_none() {
    let config = SimConfig::new().scan_duration(Duration::from_secs(2));
    let Some((site, disk, worker)) = on_small_disk(config).await else { return };
    let task = site.submit("before", "192.0.2.1").await;
    is_running(&site, &task, &worker).await;
    let before = directories(&disk);

    disk.fill_up_to(u64::from(DISK_MIB) << 20 >> 4);
    let refused = refusal(&site).await;
    assert!(refused.contains("disk_full") && refused.contains("% full"), "{refused}");
    assert_eq!(directories(&disk), before, "nothing is left of what was refused");
    let (status, report) = health(&site).await;
    assert_eq!((status, &report["checks"]["disk"]["status"]), (503, &"unhealthy".into()), "{report}");

    // Not a byte is left: whatever the scan has found waits on its scanner.
    disk.fill_up_to(0);
    refusal(&site).await;
    assert_eq!(directories(&disk), before);
    until("the worker has nowhere to put the results", &[&worker], async || {
        worker.log().contains("No space left on device").then_some(())
    })
    .await;
    assert!(!site.view(&task).await.status.is_terminal());
    disk.clear();
    site.completed(&task, &[&worker]).await;
    let after = site.submit("after", "192.0.2.2").await;
    site.completed(&after, &[&worker]).await;
    site.each_scan_ran_once(2);
}

#[tokio::test]
async fn a_read_only_disk_is_called_read_only() {
    let Some((site, disk, mut worker)) = on_small_disk(SimConfig::new()).await else { return };
    let task = site.submit("before", "192.0.2.1").await;
    site.completed(&task, &[&worker]).await;
    let before = directories(&disk);
    // What the worker has open for writing would keep the disk from being mounted otherwise.
    worker.terminate();
    let mut site = site;
    site.server.process.terminate();
    disk.make_read_only(true);
    let server = disk.on(site.deployment.server(binaries::server())).run();
    assert!(server.stderr.contains("read-only"), "{server:?}");
    assert!(server.code.is_some_and(|code| code == 78 || code == 69), "{server:?}");
    let worker = disk.on(site.deployment.program(binaries::worker(), &[])).run();
    assert!(worker.stderr.contains("read-only"), "{worker:?}");
    disk.make_read_only(false);
    site.restart_server_as(|server| disk.on(server)).await;
    assert_eq!(directories(&disk), before);
    site.submit("after", "192.0.2.2").await;
}

/// A Redis that stores nothing more refuses a submit, and the scans that run are found again when it does.
#[tokio::test]
async fn a_redis_without_memory_refuses_new_scans_and_loses_none() {
    let redis = RedisServer::with(&DURABLE);
    let config = SimConfig::new().scan_duration(Duration::from_secs(2));
    let site = Site::start_on(&redis.url(), config).await;
    let worker = site.start_worker(&["--lease-seconds", "2"]);
    let task = site.submit("before", "192.0.2.1").await;
    is_running(&site, &task, &worker).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).text();
    let refused = refusal(&site).await;
    assert!(refused.contains("queue_storage_full"), "{refused}");
    assert_eq!(site.deployment.task_directories(), [task.to_string()], "nothing is left of what was refused");
    let (_, report) = health(&site).await;
    assert_eq!(report["checks"]["queue"]["status"], "degraded", "{report}");
    assert!(report["checks"]["queue"]["warnings"].to_string().contains("maxmemory"), "{report}");
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).text();
    site.completed(&task, &[&worker]).await;
    let after = site.submit("after", "192.0.2.2").await;
    site.completed(&after, &[&worker]).await;
    site.each_scan_ran_once(2);
}
