//! A queue that fails or loses what it knew, while processes run and while none does.
//!
//! Nothing here waits as long as the reconciler's regular interval is: what is found is found at once.

use std::time::Duration;

use nessus_mcp_lib::{
    ids::TaskId,
    service::{IdempotencyKey, Submission, SubmitRequest},
    task::TaskStatus,
};
use nessus_mcp_tests::{
    binaries,
    processes::{Finished, Process, until},
    redis::{DURABLE, RedisServer},
    sim::SimConfig,
    site::Site,
};

/// Scans that run long enough to be caught running.
fn slow() -> SimConfig {
    SimConfig::new().scan_duration(Duration::from_millis(700))
}

async fn submitted(site: &Site, count: u8) -> Vec<TaskId> {
    let mut tasks = Vec::new();
    for number in 1..=count {
        tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
    }
    tasks
}

/// Entries got lost in an outage, though not everything: a worker that saw the outage compares at once.
#[tokio::test]
async fn what_an_outage_has_lost_is_enqueued_as_soon_as_it_is_over() {
    let mut redis = RedisServer::with(&DURABLE);
    let site = Site::start_on(&redis.url(), slow()).await;
    let mut worker = site.start_worker(&["--lease-seconds", "2s"]);
    worker.wait_for_log("pools served");
    let tasks = submitted(&site, 6).await;
    site.running(2, &[&worker]).await;
    assert!(redis.ask(&["DEL", "nessus:queue:ready", "nessus:queue:bodies"]).number() > 0);
    redis.kill();
    worker.wait_for_log("the queue cannot be used for now");
    redis.restart();
    for task in &tasks {
        site.completed(task, &[&worker]).await;
    }
    site.each_scan_ran_once(tasks.len());
    site.queue_is_empty(&[&worker]).await;
}

fn admin(site: &Site, arguments: &[&str]) -> Finished {
    let finished = site.deployment.program(binaries::admin(), arguments).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished
}

async fn keyed(site: &Site, key: &str) -> Submission {
    let mut arguments = SubmitRequest::untrusted(key, "192.0.2.77");
    arguments.idempotency_key = Some(IdempotencyKey::new(key).unwrap());
    match site.client().submit_scan(&arguments).await {
        Ok(submission) => submission,
        Err(error) => panic!("{error}\n{}", site.server.process.tail()),
    }
}

/// A task that has failed, and whose dead letter the queue has.
async fn failed(site: &Site, name: &str, worker: &Process) -> TaskId {
    let task = site.submit(name, "192.0.2.66").await;
    assert_eq!(site.ended(&task, &[worker]).await.status, TaskStatus::Timeout);
    site.queue_is_empty(&[worker]).await;
    task
}

/// Everything that only the queue knew is back before anything is claimed: a pause, an isolation, idempotency keys, dead
/// letters but those that were cleared away or retried, and the tasks themselves.
async fn what_only_the_queue_knew_comes_back(mut site: Site, lose: impl Fn(&Site), stopped: bool) {
    let failing = site.start_worker(&["--scan-timeout-hours", "100ms"]);
    let cleared = failed(&site, "cleared away", &failing).await;
    assert!(
        admin(&site, &["purge-dlq", "--older-than", "0m", "--yes"])
            .stdout
            .contains("1 dead letter archived, 1 removed")
    );
    let dead = failed(&site, "dead", &failing).await;
    let retried = failed(&site, "retried", &failing).await;
    drop(failing);
    let mut worker = site.start_worker(&[]);
    admin(&site, &["retry-dlq", retried.as_str()]);
    site.completed(&retried, &[&worker]).await;
    let done = keyed(&site, "done").await.task_id;
    site.completed(&done, &[&worker]).await;
    admin(&site, &["pause-pool", "nessus", "--reason", "change freeze"]);
    admin(&site, &["isolate-scanner", "nessus", "sim", "--reason", "maintenance"]);
    let (waiting, plain) = (keyed(&site, "waiting").await.task_id, site.submit("plain", "192.0.2.2").await);
    let creates = site.sim.stats().total_creates;

    if stopped {
        worker.kill();
        site.server.process.kill();
    }
    lose(&site);
    if stopped {
        worker = site.start_worker(&[]);
        site.restart_server().await;
    }
    // Asked before anybody has looked, and all the same the first answer.
    for (key, task) in [("done", &done), ("waiting", &waiting)] {
        let again = keyed(&site, key).await;
        assert_eq!((&again.task_id, again.idempotent), (task, true), "{key}");
    }
    let watched = [&worker, &site.server.process];
    let queue = until("the queue knows what it knew", &watched, async || {
        let queue = site.client().get_queue_status(None).await.ok()?.pools.remove(0);
        (queue.queued == 2).then_some(queue)
    })
    .await;
    assert_eq!((queue.paused.as_deref(), queue.dead), (Some("change freeze"), 1));
    let letters = admin(&site, &["list-dlq"]).stdout;
    assert!(letters.contains(dead.as_str()) && letters.contains("scan_timeout"), "{letters}");
    assert!(!letters.contains(cleared.as_str()) && !letters.contains(retried.as_str()), "{letters}");
    let circuits = admin(&site, &["list-circuits"]).stdout;
    assert!(circuits.contains("isolated") && circuits.contains("maintenance"), "{circuits}");
    assert_eq!(site.sim.stats().total_creates, creates, "a scan was started in the pause\n{}", worker.tail());

    admin(&site, &["reset-circuit", "nessus", "sim"]);
    admin(&site, &["resume-pool", "nessus"]);
    for task in [&waiting, &plain] {
        site.completed(task, &[&worker]).await;
    }
    assert_eq!(site.sim.stats().total_creates, creates + 2);
    // What an operator has ended does not come back.
    lose(&site);
    let last = keyed(&site, "last").await.task_id;
    site.completed(&last, &[&worker]).await;
    assert!(admin(&site, &["retry-dlq", dead.as_str()]).stdout.contains("attempt=2"));
    site.completed(&dead, &[&worker]).await;
}

#[tokio::test]
async fn redis_is_emptied_while_processes_run() {
    let redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), slow()).await;
    what_only_the_queue_knew_comes_back(site, |_| _ = redis.ask(&["FLUSHALL"]), false).await;
}

#[tokio::test]
async fn redis_is_emptied_while_no_process_runs() {
    let redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), slow()).await;
    what_only_the_queue_knew_comes_back(site, |_| _ = redis.ask(&["FLUSHALL"]), true).await;
}

/// As an operator does who moves the file that has the name, and leaves those beside it.
fn move_away(site: &Site) {
    let file = site.deployment.data().join("queue.db");
    #[expect(clippy::disallowed_methods, reason = "as an operator does")]
    std::fs::rename(&file, file.with_extension("moved")).unwrap();
}

#[tokio::test]
async fn the_queue_file_is_moved_away_while_processes_run() {
    what_only_the_queue_knew_comes_back(Site::start(slow()).await, move_away, false).await;
}

#[tokio::test]
async fn the_queue_file_is_moved_away_while_no_process_runs() {
    what_only_the_queue_knew_comes_back(Site::start(slow()).await, move_away, true).await;
}

/// Running scans lose the leases on them with everything else: they are watched again at once, and each runs once.
#[tokio::test]
async fn running_scans_are_watched_again_at_once() {
    let redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), slow()).await;
    let workers = [site.start_worker(&["--lease-seconds", "2s"]), site.start_worker(&["--lease-seconds", "2s"])];
    let watched: Vec<_> = workers.iter().collect();
    let tasks = submitted(&site, 8).await;
    for _ in 0..2 {
        site.running(2, &watched).await;
        redis.ask(&["FLUSHALL"]);
    }
    for task in &tasks {
        site.completed(task, &watched).await;
    }
    site.each_scan_ran_once(tasks.len());
    site.queue_is_empty(&watched).await;
}
