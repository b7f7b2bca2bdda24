//! `stop-all` while a worker drives a simulated Nessus.

use std::time::Duration;

use nessus_mcp_lib::{
    ScanService, Worker,
    config::{Settings, WorkerSettings},
    ids::{PoolName, WorkerId},
    queue::{ServedPool, WorkerRecord},
    service::SubmitRequest,
    task::{TaskQuery, TaskStatus},
    time::Timestamp,
};
use nessus_mcp_tests::{
    deployment::Deployment,
    processes::until,
    redis::RedisServer,
    sim::{SimConfig, SimulatedNessus},
};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{admin, program};

const RUNNING: u64 = 20;
const QUEUED: u64 = 50;

/// A worker in this process, and a scanner that runs so many scans at once, for longer than any test.
struct Fleet {
    sim: SimulatedNessus,
    deployment: Deployment,
    service: ScanService,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<()>,
    _redis: Option<RedisServer>,
}

async fn busy(on_redis: bool) -> Fleet {
    let redis = on_redis.then(RedisServer::start);
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_secs(3600))).await;
    let scanners = sim.scanners_yaml().replace("max_concurrent_scans: 2", &format!("max_concurrent_scans: {RUNNING}"));
    let deployment = Deployment::new(&scanners).on_queue(redis.as_ref().map(RedisServer::url).as_deref());
    let settings = Settings::new(deployment.data(), deployment.scanners_yaml()).with_queue_url(deployment.queue_url());
    let service = ScanService::open(&settings).await.unwrap();
    for number in 0..RUNNING + QUEUED {
        let request = SubmitRequest::untrusted(format!("scan {number}"), format!("10.0.0.{number}"));
        service.submit(request).await.unwrap();
    }
    let (stop, stopped) = oneshot::channel();
    let settings = WorkerSettings::default().with_poll_interval(Duration::from_millis(200)).with_health_interval(None);
    let worker = Worker::new(&service, settings).unwrap();
    let worker = tokio::spawn(worker.run(async move { _ = stopped.await }));
    let fleet = Fleet { sim, deployment, service, stop, worker, _redis: redis };
    until("all slots are taken", &[], async || (fleet.sim.stats().running == RUNNING).then_some(())).await;
    fleet
}

impl Fleet {
    async fn with_status(&self, status: TaskStatus) -> u64 {
        self.service.list_tasks(TaskQuery::default().with_status(status)).await.unwrap().total as u64
    }

    async fn end(self) {
        drop(self.stop);
        self.worker.await.unwrap();
    }
}

/// When it comes back, no scan runs, none begins, and what was asked for is told with its reason.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_stopped() {
    for on_redis in [false, true] {
        let fleet = busy(on_redis).await;
        let asked = admin(&fleet.deployment, &["stop-all", "--reason", "incident 4711"]);
        assert_eq!(asked.code, Some(2), "{asked:?}");
        assert!(asked.stderr.contains("pause nessus, and cancel 50 queued and 20 running scans?"), "{asked:?}");

        let stop = program(&fleet.deployment, &["stop-all", "--reason", "incident 4711", "--yes", "--json"]);
        let stopped = tokio::task::spawn_blocking(move || stop.run()).await.unwrap();
        assert_eq!(stopped.code, Some(0), "{stopped:?}");
        assert!(stopped.stderr.contains("until `nessus-admin resume nessus`"), "{stopped:?}");
        let told: Value = serde_json::from_str(&stopped.stdout).unwrap();
        assert_eq!(told["outcome"], "stopped", "{told}");
        assert_eq!((told["cancelled"].as_u64(), told["stopped"].as_u64()), (Some(QUEUED), Some(RUNNING)), "{told}");
        assert!(told["still_running"].as_array().is_some_and(Vec::is_empty) && told["seconds"].is_number(), "{told}");
        assert_eq!(fleet.sim.stats().running, 0);
        assert_eq!(fleet.sim.stats().total_launches, RUNNING, "none has begun meanwhile");
        assert_eq!(fleet.with_status(TaskStatus::Cancelled).await, RUNNING + QUEUED);
        let pool = PoolName::new("nessus").unwrap();
        let paused = fleet.service.queue().stats(&pool).await.unwrap().paused;
        assert_eq!(paused.as_deref(), Some("incident 4711"));
        let tasks = fleet.service.list_tasks(TaskQuery::default().with_limit(1)).await.unwrap().tasks;
        assert_eq!(fleet.deployment.task(&tasks[0].task_id).cancel_reason.as_deref(), Some("incident 4711"));
        fleet.end().await;
    }
}

/// Without a worker nothing that runs can be stopped: it says so, and what was not begun is cancelled all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_stop_is_named_when_the_time_is_over() {
    let fleet = busy(false).await;
    let Fleet { sim, deployment, service, stop, worker, .. } = fleet;
    drop(stop);
    worker.await.unwrap();
    let command = program(&deployment, &["stop-all", "--reason", "x", "--yes", "--timeout", "500ms", "--json"]);
    let finished = tokio::task::spawn_blocking(move || command.run()).await.unwrap();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let told: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&told["outcome"], told["cancelled"].as_u64()), (&"timed_out".into(), Some(QUEUED)), "{told}");
    assert_eq!(told["still_running"].as_array().map(Vec::len), Some(20), "{told}");
    assert!(finished.stderr.contains("20 tasks have not ended in time: ne_"), "{finished:?}");
    assert!(finished.stderr.contains("`nessus-admin workers`"), "{finished:?}");

    // An interrupted one leaves the same: the pools paused, everything told to end.
    let command = program(&deployment, &["stop-all", "--reason", "x", "--yes", "--json"]);
    let mut process = deployment.start(&command);
    process.wait_for_log("20 scans are being stopped");
    process.interrupt();
    assert_eq!(process.wait().code(), Some(1), "{}", process.tail());
    let told: Value = serde_json::from_str(&process.stdout()).unwrap();
    assert_eq!((&told["outcome"], told["still_running"].as_array().map(Vec::len)), (&"interrupted".into(), Some(20)));

    // The next worker does what was asked for.
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = WorkerSettings::default().with_poll_interval(Duration::from_millis(200)).with_health_interval(None);
    let next = tokio::spawn(Worker::new(&service, settings).unwrap().run(async move { _ = stopped.await }));
    until("nothing runs", &[], async || (sim.stats().running == 0).then_some(())).await;
    drop(stop);
    next.await.unwrap();
}

/// A reason that no task takes is refused before any pool is paused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_that_no_task_takes_stops_nothing() {
    let deployment = crate::filled().await;
    let (long, longest) = ("x".repeat(501), "x".repeat(500));
    let paused = || crate::data(admin(&deployment, &["stats", "--json"])).contains("xxxx");
    for arguments in
        [&["stop-all", "--yes"][..], &["pause", "lab"], &["cancel", "mo_lab"], &["tasks", "pause", "mo_lab"]]
    {
        let refused = admin(&deployment, &[arguments, &["--reason", &long]].concat());
        assert!(refused.code == Some(2) && refused.stderr.contains("at most 500 characters"), "{refused:?}");
        assert!(!paused(), "{arguments:?}");
    }
    assert_eq!(admin(&deployment, &["pause", "lab", "--reason", &longest]).code, Some(0));
    assert!(paused());
}

/// A key that cannot be read holds orders up only where there is an audit log that it seals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_secret_key_holds_no_order_up_without_an_audit_log() {
    let deployment = crate::filled().await;
    let pause =
        || program(&deployment, &["pause", "lab", "--reason", "x"]).env("NESSUS_MCP_SECRET_KEY", "no key").run();
    let paused = pause();
    assert_eq!(paused.code, Some(0), "{paused:?}");
    std::fs::create_dir(deployment.data().join("audit")).unwrap();
    let refused = pause();
    assert!(refused.code == Some(78) && refused.stderr.contains("NESSUS_MCP_SECRET_KEY"), "{refused:?}");
}

/// Whether a task runs whose file cannot be read is not known, and a pool without a task may be known to a worker alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_named_and_a_pool_that_only_a_worker_knows_is_paused() {
    let deployment = Deployment::new(crate::SCANNERS);
    let settings = Settings::new(deployment.data(), deployment.scanners_yaml()).with_queue_url(deployment.queue_url());
    let service = ScanService::open(&settings).await.unwrap();
    let request = |name: &str| SubmitRequest::untrusted(name, "10.0.0.1");
    let broken = service.submit(request("broken")).await.unwrap().task_id;
    let waits = service.submit(request("waits")).await.unwrap().task_id;
    tokio::fs::write(service.tasks().artifact_path(&broken, "task.json"), "{").await.unwrap();
    let dmz = PoolName::new("dmz").unwrap();
    let mut record = WorkerRecord::new(WorkerId::new("elsewhere").unwrap(), Timestamp::from_millis(1_764_599_422_000));
    record.pools = vec![ServedPool::new(dmz.clone(), Vec::new(), 1)];
    service.queue().announce_worker(&record, Duration::from_secs(3600)).await.unwrap();

    let stopped = admin(&deployment, &["stop-all", "--reason", "x", "--yes", "--json"]);
    assert_eq!(stopped.code, Some(1), "{stopped:?}");
    let told: Value = serde_json::from_str(&stopped.stdout).unwrap();
    assert_eq!((&told["outcome"], &told["unreadable"]), (&"unreadable".into(), &serde_json::json!([broken])), "{told}");
    assert!(stopped.stderr.contains(&format!("1 task cannot be read and may run: {broken}")), "{stopped:?}");
    assert_eq!(deployment.task(&waits).status, TaskStatus::Cancelled);
    assert_eq!(service.queue().stats(&dmz).await.unwrap().paused.as_deref(), Some("x"));
}
