//! Processes that are killed, stopped and frozen in the middle of things.
//!
//! The two promises everything else rests on: no scan is lost, and no scan runs twice. Each test does something bad to
//! a process and then asks the simulated scanner, which counts, and the task's file, which is the truth.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod buckets;
#[cfg(target_os = "linux")]
mod descriptors;

use std::{
    fs::File,
    ops::Range,
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    TaskManager,
    ids::{InstanceId, PoolName, TaskId, TraceId},
    queue,
    task::{ScanPayload, ScanType, Task, TaskStatus},
    time::{Clock as _, SystemClock, Timestamp},
};
use nessus_mcp_tests::{
    chaos::{self, BackendKind, Moments, Plan},
    processes::{PATIENCE, Process, until},
    sim::{SimConfig, Stats},
    site::Site,
};

/// Leases that end soon after their holder is dead.
const SHORT_LEASE: [&str; 2] = ["--lease-seconds", "2s"];
const SHORTEST_LEASE: [&str; 2] = ["--lease-seconds", "1s"];

fn scans_of(duration: Duration) -> SimConfig {
    SimConfig::new().scan_duration(duration)
}

/// Everything at once: workers killed and frozen, the server killed during submits, clients that ask again. The long
/// version, with hundreds of tasks, is `cargo run -p nessus-mcp-tests --example crash-suite`.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_site_under_every_fault_loses_nothing_and_repeats_nothing() {
    under_every_fault().await;
}

async fn under_every_fault() {
    let every_fault = BackendKind::Sqlite.faults().to_vec();
    let plan =
        Plan::new(BackendKind::Sqlite, every_fault).tasks(16).workers(3).capacity(6).faults_for(Duration::from_secs(8));
    let verdict = chaos::run(&plan.worker_faults(millis(500..2500)).submit_pause(millis(0..1000))).await;
    assert!(verdict.is_clean(), "{}", verdict.report());
    assert!(verdict.faults.iter().all(|(_, count)| *count > 0), "the test tests nothing\n{}", verdict.report());
}

fn millis(range: Range<u64>) -> Range<Duration> {
    Duration::from_millis(range.start)..Duration::from_millis(range.end)
}

/// The worker's machine loses power while the scan runs: the next worker takes the scan over where it stands.
#[tokio::test]
async fn a_worker_killed_in_mid_scan_is_replaced() {
    killed_in_mid_scan().await;
}

async fn killed_in_mid_scan() {
    let site = Site::start(scans_of(Duration::from_secs(1))).await;
    let mut first = site.start_worker(&SHORT_LEASE);
    let task = site.submit("mid scan", "192.0.2.0/30").await;
    site.running(1, &[&first]).await;
    first.kill();
    let second = site.start_worker(&SHORT_LEASE);
    let view = site.completed(&task, &[&first, &second]).await;
    assert_eq!(view.attempt, 1, "a crash of ours is no attempt of the scan");
    site.each_scan_ran_once(1);
}

/// Killed again and again at moments nobody chose: before the create, between create and launch, in the export, while
/// files are written. The moments come from a fixed seed, and from the machine, which is never the same.
#[tokio::test]
async fn workers_killed_at_any_moment_lose_nothing_and_repeat_nothing() {
    killed_at_any_moment().await;
}

async fn killed_at_any_moment() {
    const SCANS: u32 = 8;
    const KILLS: usize = 6;
    let site = Site::start(scans_of(Duration::from_millis(500))).await;
    let mut tasks = Vec::new();
    for number in 1..=SCANS {
        tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
    }
    let mut moments = Moments::new(0x5EED);
    for _ in 0..KILLS {
        let mut worker = site.start_worker(&SHORTEST_LEASE);
        worker.wait_for_log("worker started");
        tokio::time::sleep(moments.next_below(Duration::from_millis(1500))).await;
        worker.kill();
    }
    let last = site.start_worker(&SHORTEST_LEASE);
    for task in &tasks {
        site.completed(task, &[&last]).await;
    }
    site.each_scan_ran_once(tasks.len());
}

/// The worst moments: the scanner has created (then: launched) the scan, and the worker dies before it has written that
/// down. Only the marker in the scan's name, and the scan's own state, tell the next worker.
#[tokio::test]
async fn a_worker_killed_before_it_wrote_down_what_the_scanner_did_repeats_nothing() {
    killed_before_it_wrote_down().await;
}

async fn killed_before_it_wrote_down() {
    let site = Site::start(scans_of(Duration::from_millis(500))).await;
    let mut tasks = kill_right_after(&site, |stats| stats.total_creates, |task| task.nessus_scan_id.is_none()).await;
    tasks.extend(kill_right_after(&site, |stats| stats.total_launches, |task| task.scan_uuid.is_none()).await);
    let last = site.start_worker(&SHORTEST_LEASE);
    for task in &tasks {
        site.completed(task, &[&last]).await;
    }
    site.each_scan_ran_once(tasks.len());
}

/// Kills workers right after the scanner has `done` something for a task, until one died with it `unwritten`; returns
/// the tasks submitted for that.
async fn kill_right_after(site: &Site, done: fn(&Stats) -> u64, unwritten: fn(&Task) -> bool) -> Vec<TaskId> {
    const TRIES: usize = 30;
    let mut tasks = Vec::new();
    while tasks.len() < TRIES {
        let before = done(&site.sim.stats());
        let task = site.submit("worst moment", "192.0.2.1").await;
        let mut worker = site.start_worker(&SHORTEST_LEASE);
        spin_until(&worker, || done(&site.sim.stats()) > before);
        worker.kill();
        let file = site.deployment.task(&task);
        // What was done may have been for a task of an earlier try.
        let known = site.sim.stats().creates.keys().any(|name| name.contains(task.as_str()));
        tasks.push(task);
        if known && unwritten(&file) {
            return tasks;
        }
    }
    panic!("in {TRIES} tries no worker died in time: the test tests nothing");
}

/// Looks without a pause: what follows has to happen within a millisecond.
fn spin_until(process: &Process, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited in vain\n{}", process.tail());
        std::thread::yield_now();
    }
}

/// An update of the gateway: the scan goes on without it, and the next worker takes it over at once. The leases are an
/// hour long, so one that waited for them would never come to an end here.
#[tokio::test]
async fn a_worker_that_is_told_to_stop_hands_its_scan_over() {
    const LONG_LEASE: [&str; 2] = ["--lease-seconds", "3600"];
    let site = Site::start(scans_of(Duration::from_secs(3))).await;
    let mut first = site.start_worker(&LONG_LEASE);
    let task = site.submit("handed over", "192.0.2.1").await;
    site.running(1, &[&first]).await;
    assert_eq!(first.terminate(), Some(0), "{}", first.tail());
    let stats = site.sim.stats();
    assert_eq!((stats.running, stats.sessions), (1, 0), "the scan goes on, the session is over: {stats:#?}");
    let second = site.start_worker(&LONG_LEASE);
    site.completed(&task, &[&first, &second]).await;
    site.each_scan_ran_once(1);
}

/// A worker that is told to stop while it creates or launches finishes that step first: else nobody would know whether
/// the scanner has done it.
#[tokio::test]
async fn a_worker_that_is_told_to_stop_at_once_loses_nothing() {
    let site = Site::start(scans_of(Duration::from_millis(300))).await;
    let mut tasks = Vec::new();
    let mut moments = Moments::new(0xCAFE);
    for number in 1..=4 {
        tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
        let mut worker = site.start_worker(&[]);
        worker.wait_for_log("worker started");
        tokio::time::sleep(moments.next_below(Duration::from_millis(120))).await;
        assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
    }
    let last = site.start_worker(&[]);
    for task in &tasks {
        site.completed(task, &[&last]).await;
    }
    site.each_scan_ran_once(tasks.len());
}

/// What was answered with a task id is kept, whatever happens to the one who answered.
#[tokio::test]
async fn a_server_killed_right_after_its_answer_has_kept_the_scan() {
    let mut site = Site::start(scans_of(Duration::from_millis(300))).await;
    let task = site.submit("kept", "192.0.2.1").await;
    site.restart_server().await;
    assert_eq!(site.view(&task).await.status, TaskStatus::Queued);
    let worker = site.start_worker(&[]);
    site.completed(&task, &[&worker]).await;
    site.each_scan_ran_once(1);
}

/// A server that died between its two steps, the file and the queue: the file is the truth, and the queue is told.
#[tokio::test]
async fn a_task_the_queue_never_heard_of_is_found() {
    let site = Site::start(scans_of(Duration::from_millis(300))).await;
    // Younger tasks are skipped: their submit may be about to enqueue them.
    let created = Timestamp::from_millis(SystemClock.now().as_millis() - 60_000);
    let task = TaskId::generate("nessus", "nessus", created);
    let (payload, pool) = (ScanPayload::new("forgotten", "192.0.2.1"), PoolName::new("nessus").unwrap());
    let forgotten = Task::new(task.clone(), TraceId::generate(), ScanType::Untrusted, "nessus", pool, payload, created);
    TaskManager::open(&site.deployment.data()).unwrap().create(forgotten).await.unwrap();
    let worker = site.start_worker(&[]);
    site.completed(&task, &[&worker]).await;
    site.each_scan_ran_once(1);
}

/// Freezes a worker at a moment when it holds neither the lock of the task's file nor that of the queue's: who is frozen
/// with a lock in its hand holds everybody up until it is killed or wakes up, and that is not what is tested here.
async fn freeze_between_steps(site: &Site, worker: &Process, task: &TaskId) {
    let lock = site.deployment.data().join("tasks").join(task.as_str()).join("task.lock");
    let queue = queue::open(&site.deployment.queue_url().parse().unwrap()).await.unwrap();
    let (pool, instance) = (PoolName::new("nessus").unwrap(), InstanceId::new("sim").unwrap());
    let nobody = TaskId::generate("nessus", "nobody", SystemClock.now());
    until("the worker is frozen between two steps", &[worker], async || {
        worker.freeze();
        let file_is_free = File::open(&lock).unwrap().try_lock().is_ok();
        let queue_is_free = queue.release_slot(&pool, &instance, &nobody).await.is_ok();
        if file_is_free && queue_is_free {
            return Some(());
        }
        worker.thaw();
        None
    })
    .await;
}

/// A worker whose machine was asleep wakes up with a lease that is over and a task that is another's: it must neither
/// create, nor launch, nor write.
#[tokio::test]
async fn a_worker_that_was_frozen_past_its_lease_does_nothing_more() {
    let site = Site::start(scans_of(Duration::from_secs(1))).await;
    let mut first = site.start_worker(&SHORT_LEASE);
    let task = site.submit("frozen", "192.0.2.1").await;
    site.running(1, &[&first]).await;
    // On a busy machine its lease may be over before it stands still at the right moment.
    let already = first.log().len();
    freeze_between_steps(&site, &first, &task).await;
    let second = site.start_worker(&SHORT_LEASE);
    site.completed(&task, &[&first, &second]).await;
    wakes_up_and_writes_nothing(&site, &mut first, &second, &task, already).await;
    site.each_scan_ran_once(1);
}

/// A worker that was frozen notices that its task is another's, ends, and has written nothing. What its log says from `already` on counts.
async fn wakes_up_and_writes_nothing(
    site: &Site,
    first: &mut Process,
    second: &Process,
    task: &TaskId,
    already: usize,
) {
    let before = site.deployment.task(task);
    first.thaw();
    // It is awake, and has looked at its task, when it has noticed in one of these ways that the task is not its own.
    let noticed = [
        "another worker holds the task",
        "could not be renewed in time",
        "ended by somebody else",
        "the lease had ended",
    ];
    until("the frozen worker has noticed", &[&*first, second], async || {
        let log = first.log();
        noticed.iter().any(|text| log[already..].contains(text)).then_some(())
    })
    .await;
    assert_eq!(first.terminate(), Some(0), "{}", first.tail());
    assert_eq!(site.deployment.task(task), before, "it has written");
}
