//! A process that may open no further file, again and again, for moments: what a worker runs is none of the worse for it, and
//! a server does not take the tasks that it cannot read for all there are.

use std::{fs::File, os::unix::fs::OpenOptionsExt as _, process::Command, time::Duration};

use nessus_mcp_lib::client::ClientError;
use nessus_mcp_tests::{
    chaos::Moments,
    deployment::Deployment,
    processes::until,
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use rustix::fs::OFlags;

const SCANS: u32 = 10;
/// How often the worker is without descriptors.
const SHORTAGES: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_runs_out_of_descriptors_loses_no_scan() {
    let config = SimConfig::new().scan_duration(Duration::from_secs(6));
    let sim = SimulatedNessus::start_with(config).await;
    let scanners = sim.scanners_yaml().replace("max_concurrent_scans: 2", &format!("max_concurrent_scans: {SCANS}"));
    let deployment = Deployment::new(&scanners);
    let site = Site::start_with(sim, deployment, &[]).await;
    let worker = site.start_worker(&[]);
    let mut tasks = Vec::new();
    for number in 1..=SCANS {
        tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
    }
    site.running(u64::from(SCANS), &[&worker]).await;
    let mut moments = Moments::new(0xF11E5);
    for _ in 0..SHORTAGES {
        // The limit forbids new files and leaves those that are open.
        let before = worker.limit_open_files(Some(8));
        tokio::time::sleep(moments.next_below(Duration::from_millis(4))).await;
        worker.limit_open_files(before);
        tokio::time::sleep(moments.next_below(Duration::from_millis(10))).await;
    }
    for task in &tasks {
        site.completed(task, &[&worker]).await;
    }
    site.each_scan_ran_once(tasks.len());
    assert_eq!(site.sim.stats().calls.get("POST /scans/*/stop"), None);
    let log = worker.log();
    assert!(log.contains("os error 24"), "the test tests nothing\n{}", worker.tail());
    assert!(!log.contains("the circuit is open"), "the scanner is blamed\n{}", worker.tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_runs_out_of_descriptors_is_refused_and_not_short() {
    let site = Site::start(SimConfig::new()).await;
    for number in 1..=3 {
        site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await;
    }
    // The newest is read first, and whoever reads it stands still until the other end of the pipe is closed.
    let newest = site.deployment.task_directories().pop().unwrap();
    let file = site.deployment.data().join("tasks").join(newest).join("task.json");
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let server = &site.server.process;
    let shortage = async {
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        let _closed_at_last = until("the newest task is read", &[server], async || {
            File::options().write(true).custom_flags(nonblocking).open(&file).ok()
        })
        .await;
        server.limit_open_files(Some(3))
    };
    let all = serde_json::json!({});
    let (listed, before) = tokio::join!(site.client().call("list_tasks", &all), shortage);
    server.limit_open_files(before);
    match listed {
        Err(ClientError::Tool { code, .. }) => assert_eq!(code, "storage_error"),
        listed => panic!("the list leaves out what could not be read: {listed:?}"),
    }
}
