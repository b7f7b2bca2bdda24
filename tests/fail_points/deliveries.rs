//! Processes that die between what happens and its delivery: it is delivered all the same, and what comes twice has one id.

use nessus_mcp_lib::{
    fail_points::{POINTS, VARIABLE},
    task::TaskStatus,
};
use nessus_mcp_tests::{
    approvals::{Approver, set_policy, site_of},
    binaries,
    bucket::queues,
    deployment::BY_POLICY,
    processes::until,
    redis::RedisServer,
    webhooks::{Receiver, entry, write_key},
};

use crate::{SHORT_LEASE, died_at, doomed_worker};

/// From before the end is written to after the webhook was told, on both backends.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_worker_that_dies_before_a_webhook_was_told_is_followed_by_one_that_tells_it() {
    let own = POINTS.into_iter().filter(|point| point.starts_with("delivery_"));
    let around = ["worker_end_not_recorded", "worker_after_final_state", "worker_before_acknowledge"];
    for point in around.into_iter().chain(own) {
        dies_before_it_is_told(point).await;
    }
}

pub(crate) async fn dies_before_it_is_told(point: &'static str) {
    // A queue belongs to one site.
    let redis = RedisServer::start();
    for queue in queues(&redis) {
        let (boss, receiver) = (Approver::new("boss"), Receiver::start().await);
        let site = site_of(queue.as_deref(), |deployment| {
            write_key(deployment);
            set_policy(deployment, &entry("tickets", receiver.url()), &boss.entry("approve", ""));
        })
        .await;
        let task = site.submit(point, "192.0.2.1").await;
        let mut first = doomed_worker(&site, point, &BY_POLICY);
        died_at(&mut first, point);
        let last = site.start_worker(&[SHORT_LEASE, BY_POLICY].concat());
        assert_eq!(site.completed(&task, &[&first, &last]).await.status, TaskStatus::Completed);
        let told = receiver.hears("completed", &task, &[&last]).await;
        until("its delivery is written down", &[&last], async || {
            let deliveries = site.deployment.task(&task).deliveries;
            deliveries.iter().all(|delivery| delivery.delivered_at.is_some()).then_some(())
        })
        .await;
        let ids = receiver.ids().await;
        // One that dies with the request on its way does not know whether it was taken.
        let expected = told["id"].as_str().unwrap_or_default();
        assert!(ids.len() == 1 && ids.get(expected).is_some_and(|count| *count <= 2), "{point}: {ids:?}");
        site.queue_is_empty(&[&last]).await;
        site.each_scan_ran_once(1);
    }
}

/// The file has what is to be told, so a queue that is gone costs nothing but time.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_queue_that_is_lost_before_a_webhook_was_told_is_rebuilt_with_it() {
    let (boss, receiver) = (Approver::new("boss"), Receiver::start().await);
    let mut site = site_of(None, |deployment| {
        write_key(deployment);
        set_policy(deployment, &entry("tickets", receiver.url()), &boss.entry("approve", ""));
    })
    .await;
    let task = site.submit("lost", "192.0.2.1").await;
    let mut first = doomed_worker(&site, "worker_after_final_state", &BY_POLICY);
    died_at(&mut first, "worker_after_final_state");
    assert!(site.deployment.task(&task).deliveries.iter().all(|delivery| delivery.tries == 0));
    site.server.process.kill();
    site.deployment.lose_queue();
    let last = site.deployment.start(
        &site
            .deployment
            .program(binaries::worker(), &["--poll-interval-seconds", "50ms"])
            .args(SHORT_LEASE)
            .args(BY_POLICY)
            .env(VARIABLE, "none"),
    );
    receiver.hears("completed", &task, &[&last]).await;
    site.restart_server_as(|server| server.args(BY_POLICY)).await;
    site.each_scan_ran_once(1);
}
