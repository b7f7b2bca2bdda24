//! Scans that wait until a person agrees, and processes that die meanwhile: none begins without an approval, and each with one
//! begins once.

use std::time::Duration;

use nessus_mcp_lib::{
    client::NessusMcpClient,
    fail_points::VARIABLE,
    ids::TaskId,
    service::{IdempotencyKey, SubmitRequest},
    task::TaskStatus,
};
use nessus_mcp_tests::{
    approvals::{Approver, every_scan_waits, set_policy, site_of},
    binaries,
    bucket::queues,
    deployment::{BY_POLICY, Deployment, Server},
    processes::{Process, until},
    redis::RedisServer,
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};

use crate::{SHORT_LEASE, STEPS_OF_A_SUBMIT, died_at, doomed_worker};

fn worker(site: &Site) -> Process {
    site.start_worker(&[SHORT_LEASE, BY_POLICY].concat())
}

/// Waits until a worker has put the task off because nobody has agreed.
async fn is_held(site: &Site, task: &TaskId, workers: &[&Process]) {
    until(&format!("{task} is put off"), workers, async || {
        let queue = site.client().get_queue_status(None).await.ok()?;
        queue.pools.iter().any(|pool| pool.delayed == 1).then_some(())
    })
    .await;
    let view = site.view(task).await;
    assert_eq!(view.status, TaskStatus::Queued);
    assert!(view.waiting_for.as_ref().is_some_and(|said| said.starts_with("approval (rule")), "{view:?}");
    let stats = site.sim.stats();
    assert_eq!((stats.total_creates, stats.total_launches), (0, 0), "{stats:?}");
}

async fn approved_and_completed(site: &Site, boss: &Approver, task: &TaskId, workers: &[&Process]) {
    let agreed = boss.approve(&site.deployment, task);
    assert_eq!(agreed.code, Some(0), "{agreed:?}");
    site.completed(task, workers).await;
    site.queue_is_empty(workers).await;
    site.each_scan_ran_once(1);
}

async fn submit_to(server: &Server) -> Result<TaskId, String> {
    let client = NessusMcpClient::connect(&server.mcp()).await.map_err(|error| error.to_string())?;
    let mut arguments = SubmitRequest::untrusted("held", "192.0.2.1");
    arguments.idempotency_key = Some(IdempotencyKey::new("k").unwrap());
    client.submit_scan(&arguments).await.map(|submission| submission.task_id).map_err(|error| error.to_string())
}

/// Between any two steps of a submit.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_server_that_dies_in_a_submit_leaves_a_scan_that_waits() {
    dies_in_a_submit(&STEPS_OF_A_SUBMIT).await;
}

pub(crate) async fn dies_in_a_submit(points: &[&str]) {
    for point in points {
        let boss = Approver::new("boss");
        let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
        let deployment = Deployment::new(&sim.scanners_yaml());
        every_scan_waits(&deployment, &boss);
        let mut doomed = deployment.serve(&deployment.server(binaries::server()).args(BY_POLICY).env(VARIABLE, point));
        assert!(submit_to(&doomed).await.is_err());
        died_at(&mut doomed.process, point);
        let server = deployment.server(binaries::server()).args(BY_POLICY);
        let site = Site::start_as(sim, deployment, server).await;
        let worker = worker(&site);
        let task = submit_to(&site.server).await.unwrap();
        is_held(&site, &task, &[&worker]).await;
        approved_and_completed(&site, &boss, &task, &[&worker]).await;
    }
}

/// The decision is in the file, and nobody has told the queue: a worker has put the task off for minutes.
pub(crate) async fn dies_after_the_decision(point: &'static str) {
    let redis = RedisServer::start();
    for queue in queues(&redis) {
        let boss = Approver::new("boss");
        let site = site_of(queue.as_deref(), |deployment| every_scan_waits(deployment, &boss)).await;
        let task = site.submit("held", "192.0.2.1").await;
        let first = worker(&site);
        is_held(&site, &task, &[&first]).await;
        let deciding = boss.deciding(&site.deployment, "approve", &task).env(VARIABLE, point);
        let mut admin = site.deployment.start(&deciding);
        // It keeps no log that would name the point.
        let status = admin.wait();
        assert_eq!(status.code(), None, "{point}: {status}\n{}", admin.tail());
        assert!(site.deployment.task(&task).approval.is_some_and(|approval| approval.decision.is_some()));
        // Whoever starts compares the files with the queue.
        let second = worker(&site);
        site.completed(&task, &[&first, &second]).await;
        site.queue_is_empty(&[&first, &second]).await;
        site.each_scan_ran_once(1);
    }
}

/// The server had no rule when the scan was submitted: the worker is the first to ask.
pub(crate) async fn dies_asking(point: &'static str) {
    let boss = Approver::new("boss");
    let site = site_of(None, |deployment| set_policy(deployment, "", &boss.entry("approve", ""))).await;
    let task = site.submit("held", "192.0.2.1").await;
    assert_eq!(site.deployment.task(&task).approval, None);
    every_scan_waits(&site.deployment, &boss);
    site.server.process.hang_up();
    let mut first = doomed_worker(&site, point, &BY_POLICY);
    died_at(&mut first, point);
    assert!(site.deployment.task(&task).approval.is_some());
    let last = worker(&site);
    is_held(&site, &task, &[&last]).await;
    approved_and_completed(&site, &boss, &task, &[&last]).await;
}

/// Between the check and what it allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_worker_that_dies_between_the_check_and_the_launch_is_replaced_by_one_that_checks() {
    dies_before_the_launch(&[
        "worker_scope_checked",
        "worker_create_confirmed",
        "worker_created",
        "worker_launch_noted",
        "worker_launch_confirmed",
    ])
    .await;
}

pub(crate) async fn dies_before_the_launch(points: &[&str]) {
    for point in points {
        for is_revoked in [false, true] {
            let boss = Approver::new("boss");
            let site = site_of(None, |deployment| every_scan_waits(deployment, &boss)).await;
            let task = site.submit("held", "192.0.2.1").await;
            assert_eq!(boss.approve(&site.deployment, &task).code, Some(0));
            let mut first = doomed_worker(&site, point, &BY_POLICY);
            died_at(&mut first, point);
            if !is_revoked {
                let last = worker(&site);
                site.completed(&task, &[&first, &last]).await;
                site.queue_is_empty(&[&last]).await;
                site.each_scan_ran_once(1);
                continue;
            }
            // Somebody else decides from now on, and the scan may exist by then.
            let other = Approver::new("boss");
            every_scan_waits(&site.deployment, &other);
            site.server.process.hang_up();
            let mut last = worker(&site);
            last.wait_for_log("the task is held back");
            assert_eq!(site.sim.stats().total_launches, 0, "{point}");
            let agreed = other.approve(&site.deployment, &task);
            assert_eq!(agreed.code, Some(0), "{point}: {agreed:?}");
            site.completed(&task, &[&first, &last]).await;
            site.queue_is_empty(&[&last]).await;
            site.each_scan_ran_once(1);
        }
    }
}
