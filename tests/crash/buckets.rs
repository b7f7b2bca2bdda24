//! The same with tasks in a bucket, where nothing is locked. After each test, nothing is left over in it.
//!
//! Left out is the worker that is frozen between two steps: there the moment is chosen by the kernel lock of the task's file. One that is
//! frozen in the middle of an upload stands for it.

use nessus_mcp_tests::{
    bucket::in_buckets,
    s3::{Fault, FaultKind, Operation},
};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_site_under_every_fault_loses_nothing_and_repeats_nothing() {
    in_buckets(Box::pin(under_every_fault())).await;
}

#[tokio::test]
async fn a_worker_killed_in_mid_scan_is_replaced() {
    in_buckets(Box::pin(killed_in_mid_scan())).await;
}

#[tokio::test]
async fn workers_killed_at_any_moment_lose_nothing_and_repeat_nothing() {
    in_buckets(Box::pin(killed_at_any_moment())).await;
}

#[tokio::test]
async fn a_worker_killed_before_it_wrote_down_what_the_scanner_did_repeats_nothing() {
    in_buckets(Box::pin(killed_before_it_wrote_down())).await;
}

/// It stands still with a part on its way, and the next worker exports again. Then it wakes up and uploads the rest: nobody sees any of it.
#[tokio::test]
async fn a_worker_that_was_frozen_in_mid_upload_publishes_nothing() {
    in_buckets(Box::pin(async {
        let site = Site::start(scans_of(Duration::from_millis(300)).findings_per_host(40)).await;
        let s3 = &site.deployment.bucket().unwrap().s3;
        let is_third_part = |key: &str| key.contains("/scan_native.nessus.") && key.ends_with("/000002");
        s3.inject(Fault::new(FaultKind::Held).on(Operation::Put).key("/000002").until_cleared());
        let mut first = site.start_worker(&SHORTEST_LEASE);
        let task = site.submit("frozen", "192.0.2.0/24").await;
        s3.wait_for("the third part of the export", |requests| {
            requests.iter().any(|request| request.operation == Operation::Put && is_third_part(&request.key))
        })
        .await;
        let already = first.log().len();
        first.freeze();
        s3.clear_faults();
        let second = site.start_worker(&SHORTEST_LEASE);
        site.completed(&task, &[&first, &second]).await;
        wakes_up_and_writes_nothing(&site, &mut first, &second, &task, already).await;
        site.each_scan_ran_once(1);
    }))
    .await;
}
