//! Processes that die at every single step, and what comes after.
//!
//! `tests/crash` kills at moments nobody chose; here the moments are chosen, so that none is missed. Each step of a submit
//! and of a task's lifecycle carries a fail point; a process is started to die there, and then another without it. The task
//! must end, with one create and one launch on the scanner, and one task for each idempotency key.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod approvals;
mod audit;
mod buckets;
mod catalogue;
mod deliveries;
mod hosts;
mod housekeeping;
mod limits;
mod logins;
mod points;

use std::{collections::BTreeSet, sync::Mutex, thread, time::Duration};

use nessus_mcp_lib::{
    client::NessusMcpClient,
    fail_points::{FREEZE_VARIABLE, POINTS, VARIABLE},
    ids::TaskId,
    queue::LOSSES_ALLOWED,
    service::{IdempotencyKey, SubmitRequest},
    task::{PauseState, TaskStatus},
};
use nessus_mcp_tests::{
    binaries,
    bucket::queues,
    deployment::{Deployment, Server},
    processes::{Process, until},
    redis::RedisServer,
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use tokio::runtime::Builder;

/// How many sites are tried at a time.
const AT_A_TIME: usize = 3;
/// Between any two steps of a submit.
const STEPS_OF_A_SUBMIT: [&str; 4] =
    ["submit_key_claimed", "submit_task_written", "submit_enqueued", "submit_before_reply"];
/// Leases that end soon after their holder is dead.
const SHORT_LEASE: [&str; 2] = ["--lease-seconds", "1s"];

/// Runs `check` for each of the points whose names begin with `prefix`, a few at a time.
fn for_each_point(prefix: &str, check: impl AsyncFn(&'static str) + Sync) {
    let chosen: Vec<_> = POINTS.into_iter().filter(|point| point.starts_with(prefix)).collect();
    assert!(chosen.len() >= 2, "{chosen:?}");
    let left = Mutex::new(chosen.into_iter());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                // The lock is given back before the check begins.
                while let Some(point) = { left.lock().unwrap().next() } {
                    runtime.block_on(check(point));
                }
            });
        }
    });
}

/// Starts a worker that dies at a point.
fn doomed_worker(site: &Site, point: &str, more: &[&str]) -> Process {
    let worker = site.deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]);
    site.deployment.start(&worker.args(SHORT_LEASE).args(more).env(VARIABLE, point))
}

/// Waits until a process has died, and sees to it that it died where it was to.
fn died_at(process: &mut Process, point: &str) {
    let status = process.wait();
    let log = process.log();
    let at = format!("\"name\":\"{point}\"");
    assert!(status.code().is_none() && log.contains(&at), "{point}: {status}\n{}", process.tail());
}

#[test]
fn a_worker_that_dies_at_any_step_is_replaced() {
    for_each_point("worker_", dies_as_a_worker);
}

async fn dies_as_a_worker(point: &'static str) {
    match point {
        "worker_scan_adopted" => dies_adopting(point).await,
        "worker_scan_stopped" => dies_stopping(point).await,
        "worker_approval_asked" => approvals::dies_asking(point).await,
        "worker_hosts_given_back" => hosts::dies_giving_back(point).await,
        "worker_pause_written" | "worker_pause_told" => dies_pausing(point).await,
        "worker_login_removed" => logins::dies_after_the_login_is_removed(point).await,
        _ => dies_in_the_lifecycle(point).await,
    }
}

async fn dies_in_the_lifecycle(point: &'static str) {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let task = site.submit(point, "192.0.2.1").await;
    let mut first = doomed_worker(&site, point, &[]);
    died_at(&mut first, point);
    ends_as(&site, &task, TaskStatus::Completed, &[], &first).await;
}

/// Two deaths: one between create and its record, so that there is something to adopt, and one right after the adoption.
async fn dies_adopting(point: &'static str) {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let task = site.submit(point, "192.0.2.1").await;
    let mut first = doomed_worker(&site, "worker_created", &[]);
    died_at(&mut first, "worker_created");
    let mut second = doomed_worker(&site, point, &[]);
    died_at(&mut second, point);
    ends_as(&site, &task, TaskStatus::Completed, &[], &second).await;
}

/// A scan that has used up its time is stopped, and the task ends as timed out, whoever says so in the end.
async fn dies_stopping(point: &'static str) {
    const SHORT_TIME: [&str; 2] = ["--scan-timeout-hours", "300ms"];
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_secs(3600))).await;
    let task = site.submit(point, "192.0.2.1").await;
    let mut first = doomed_worker(&site, point, &SHORT_TIME);
    died_at(&mut first, point);
    ends_as(&site, &task, TaskStatus::Timeout, &SHORT_TIME, &first).await;
    assert_eq!(site.sim.stats().running, 0, "{point}: the scan goes on unwatched");
}

/// The next worker pauses the scan if this one has not, and resumes it although another has paused it.
async fn dies_pausing(point: &'static str) {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_secs(3))).await;
    let task = site.submit(point, "192.0.2.1").await;
    let mut first = doomed_worker(&site, point, &[]);
    site.running(1, &[&first]).await;
    site.client().call("pause_scan", &serde_json::json!({ "task_id": task })).await.unwrap();
    died_at(&mut first, point);
    let second = site.start_worker(&SHORT_LEASE);
    until("it is paused", &[&first, &second], async || {
        site.view(&task).await.pause.filter(|pause| pause.state == PauseState::Paused)
    })
    .await;
    site.client().call("resume_scan", &serde_json::json!({ "task_id": task })).await.unwrap();
    ends_as(&site, &task, TaskStatus::Completed, &[], &first).await;
}

/// A worker without fail points brings the task to its end; the scanner has created and launched one scan for it.
async fn ends_as(site: &Site, task: &TaskId, status: TaskStatus, more: &[&str], dead: &Process) {
    let arguments: Vec<_> = SHORT_LEASE.iter().chain(more).copied().collect();
    let last = site.start_worker(&arguments);
    let view = site.ended(task, &[dead, &last]).await;
    assert_eq!(view.status, status, "{view:?}\n{}", last.tail());
    assert_eq!(view.attempt, 1, "a crash of ours is no attempt of the scan");
    site.queue_is_empty(&[&last]).await;
    site.each_scan_ran_once(1);
    catalogue::is_listed(site, status.as_str(), &[&last]).await;
    let history = site.deployment.task(task).history;
    assert_eq!(history.iter().filter(|step| step.to.is_terminal()).count(), 1, "{history:?}");
}

/// The worst moment to stand still: the queue has just confirmed that the task is ours, and nothing has been sent yet.
/// When the worker goes on, another has created, launched and completed the scan.
#[tokio::test]
async fn a_worker_that_stands_still_before_it_creates_or_launches_does_neither_afterwards() {
    stands_still_before_it_acts().await;
}

async fn stands_still_before_it_acts() {
    for point in ["worker_create_confirmed", "worker_launch_confirmed"] {
        let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
        let task = site.submit(point, "192.0.2.1").await;
        let worker = site.deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]);
        let mut first = site.deployment.start(&worker.args(SHORT_LEASE).env(FREEZE_VARIABLE, point));
        first.wait_for_log("the process stands still at a fail point");
        let second = site.start_worker(&SHORT_LEASE);
        site.completed(&task, &[&first, &second]).await;
        let before = site.deployment.task(&task);
        first.thaw();
        let noticed = ["another worker holds the task", "could not be renewed in time", "came too late"];
        until("it has noticed", &[&first], async || {
            let log = first.log();
            noticed.iter().any(|text| log.contains(text)).then_some(())
        })
        .await;
        assert_eq!(first.terminate(), Some(0), "{}", first.tail());
        site.each_scan_ran_once(1);
        assert_eq!(site.deployment.task(&task), before, "{point}: it has written");
    }
}

/// A worker stands still with the failure in the file and not in the queue yet: the retry that comes now is carried out.
#[tokio::test]
async fn a_retry_before_the_queue_has_heard_of_the_failure_is_not_lost() {
    is_retried_before_the_queue_knows().await;
}

async fn is_retried_before_the_queue_knows() {
    let redis = RedisServer::start();
    for queue in queues(&redis) {
        let config = SimConfig::new().scan_duration(Duration::from_millis(300));
        let site = match &queue {
            None => Site::start(config).await,
            Some(url) => Site::start_on(url, config).await,
        };
        site.sim.inject("aborted_at_start");
        let task = site.submit("retried", "192.0.2.1").await;
        let worker = site.deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]);
        let mut first = site.deployment.start(&worker.env(FREEZE_VARIABLE, "worker_before_acknowledge"));
        first.wait_for_log("the process stands still at a fail point");
        assert_eq!(site.ended(&task, &[&first]).await.status, TaskStatus::Failed);
        site.client().call("retry_scan", &serde_json::json!({ "task_id": task })).await.unwrap();
        // Its lease of a minute has not ended: only the retry makes it free.
        let second = site.start_worker(&[]);
        assert_eq!(site.completed(&task, &[&first, &second]).await.attempt, 2);
        first.thaw();
        first.wait_for_log("the lease had ended before the task did");
        site.queue_is_empty(&[&first, &second]).await;
        let status = site.client().get_queue_status(None).await.unwrap();
        assert!(status.pools.iter().all(|pool| pool.dead == 0), "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_decision_whose_teller_dies_is_carried_out() {
    for point in POINTS.into_iter().filter(|point| point.starts_with("approval_")) {
        approvals::dies_after_the_decision(point).await;
    }
}

/// The client has no answer, and asks again under the same key until it gets one.
#[test]
fn a_server_that_dies_at_any_step_of_a_submit_accepts_one_task() {
    for_each_point("submit_", dies_as_a_server);
}

async fn dies_as_a_server(point: &'static str) {
    match point {
        "submit_withdrawn" => hosts::dies_refusing(point).await,
        "submit_login_sealed" => logins::dies_submitting(point).await,
        _ => dies_in_a_submit(point).await,
    }
}

async fn dies_in_a_submit(point: &'static str) {
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let doomed = deployment.server(binaries::server()).env(VARIABLE, point);
    let mut server = deployment.serve(&doomed);
    let unanswered = submit(&server).await;
    assert!(unanswered.is_err(), "{point}: {unanswered:?}");
    died_at(&mut server.process, point);
    let site = Site::start_with(sim, deployment, &[]).await;
    let worker = site.start_worker(&SHORT_LEASE);
    let task = submit(&site.server).await.unwrap();
    assert_eq!(submit(&site.server).await.unwrap(), task);
    site.completed(&task, &[&worker]).await;
    catalogue::is_listed(&site, "completed", &[&worker]).await;
    until("the queue is empty", &[&worker], async || {
        site.client().get_queue_status(None).await.ok().filter(|queue| queue.pools.iter().all(|pool| pool.leased == 0))
    })
    .await;
    assert_eq!(site.deployment.task_directories(), [task.to_string()], "{point}: one key, one task");
    site.each_scan_ran_once(1);
}

#[tokio::test]
async fn a_server_that_dies_before_the_outcome_is_written_is_found_out() {
    for point in POINTS.into_iter().filter(|point| point.starts_with("audit_")) {
        audit::dies_between_question_and_outcome(point).await;
    }
}

async fn submit(server: &Server) -> Result<TaskId, String> {
    let client = NessusMcpClient::connect(&server.mcp()).await.map_err(|error| error.to_string())?;
    let mut arguments = SubmitRequest::untrusted("once", "192.0.2.1");
    arguments.idempotency_key = Some(IdempotencyKey::new("the-key").unwrap());
    let submitted = client.submit_scan(&arguments).await;
    submitted.map(|submission| submission.task_id).map_err(|error| error.to_string())
}

/// The next process begins again: nothing is claimed before the pause is back, and nothing is lost or there twice.
#[test]
fn a_rebuild_that_is_cut_short_is_done_again() {
    for_each_point("rebuild_", dies_in_a_rebuild);
}

#[test]
fn housekeeping_that_is_cut_short_is_finished() {
    for_each_point("housekeeping_", housekeeping::dies_removing);
}

async fn dies_in_a_rebuild(point: &'static str) {
    let mut site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let failing = site.start_worker(&["--scan-timeout-hours", "50ms"]);
    let failed = site.submit("failed", "192.0.2.1").await;
    assert_eq!(site.ended(&failed, &[&failing]).await.status, TaskStatus::Timeout);
    site.queue_is_empty(&[&failing]).await;
    drop(failing);
    // Perhaps its time was over before it began.
    let begun = site.sim.stats().creates.len();
    let admin = |site: &Site, arguments: &[&str]| site.deployment.program(binaries::admin(), arguments).run();
    assert_eq!(admin(&site, &["pause-pool", "nessus", "--reason", "change freeze"]).code, Some(0));
    let task = submit(&site.server).await.unwrap();
    site.server.process.kill();
    site.deployment.lose_queue();
    let mut first = doomed_worker(&site, point, &[]);
    died_at(&mut first, point);
    let worker = site.start_worker(&SHORT_LEASE);
    site.restart_server().await;
    assert_eq!(submit(&site.server).await.unwrap(), task, "{point}: one key, one task");
    let queue = site.client().get_queue_status(None).await.unwrap().pools.remove(0);
    assert_eq!((queue.paused.as_deref(), queue.queued, queue.dead), (Some("change freeze"), 1, 1), "{point}");
    assert_eq!(site.sim.stats().creates.len(), begun, "{point}: a scan was begun in the pause");
    assert_eq!(admin(&site, &["resume-pool", "nessus"]).code, Some(0));
    site.completed(&task, &[&worker]).await;
    let creates = site.sim.stats().creates;
    assert!(creates.len() == begun + 1 && creates.values().all(|count| *count == 1), "{point}: {creates:?}");
}

/// A point that no test passes is a step that nobody tried.
#[test]
fn every_point_of_the_source_is_in_the_list() {
    let in_the_source = points::in_the_source();
    let listed: BTreeSet<_> = POINTS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(in_the_source, listed, "left: in the source; right: in `fail_points::POINTS`");
    let is_tried = |name: &String| {
        let tried = [
            "approval_",
            "audit_",
            "submit_",
            "worker_",
            "rebuild_",
            "cancel_",
            "retry_",
            "delivery_",
            "housekeeping_",
            "bucket_",
        ];
        tried.iter().any(|prefix| name.starts_with(prefix))
    };
    assert!(listed.iter().all(is_tried), "no test tries it");
}

/// A bad deploy: each worker dies as soon as it has a task. The task waits in the end, says why, and runs once.
#[tokio::test]
async fn a_crash_loop_of_workers_buries_no_task() {
    const DEATHS: u32 = LOSSES_ALLOWED + 2;
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let task = site.submit("crash loop", "192.0.2.1").await;
    let mut last = None;
    for death in 0..DEATHS {
        let point = ["worker_claimed", "worker_slot_acquired", "worker_bound"][death as usize % 3];
        let mut worker = doomed_worker(&site, point, &[]);
        died_at(&mut worker, point);
        last = Some(worker);
    }
    let waiting = site.view(&task).await.waiting_for.unwrap_or_default();
    assert!(waiting.contains("workers in a row were lost with it"), "{waiting}");
    ends_as(&site, &task, TaskStatus::Completed, &[], &last.unwrap()).await;
}
