//! The same deaths with tasks in a bucket, and those at steps that only a bucket has. After each, nothing is left over there.
//!
//! A login is in `task.json` there, so the steps at which its file comes and goes are of a directory alone. Of submits with limits and approvals,
//! and of a launch that needs an approval, those steps are tried that write to the bucket; the others are the queue's.

use nessus_mcp_tests::bucket::in_buckets;

use super::*;

/// Steps that tasks in a bucket do not have.
const OF_DIRECTORIES: [&str; 2] = ["submit_login_sealed", "worker_login_removed"];

/// Runs `check` for each of the points whose names begin with `prefix`, with tasks in buckets.
fn for_each_point(prefix: &str, check: impl AsyncFn(&'static str) + Sync) {
    super::for_each_point(prefix, async |point| {
        if !OF_DIRECTORIES.contains(&point) {
            in_buckets(Box::pin(check(point))).await;
        }
    });
}

#[test]
fn a_worker_that_dies_at_any_step_is_replaced() {
    for_each_point("worker_", dies_as_a_worker);
}

#[test]
fn a_server_that_dies_at_any_step_of_a_submit_accepts_one_task() {
    for_each_point("submit_", dies_as_a_server);
}

#[test]
fn a_rebuild_that_is_cut_short_is_done_again() {
    for_each_point("rebuild_", dies_in_a_rebuild);
}

#[test]
fn housekeeping_that_is_cut_short_is_finished() {
    for_each_point("housekeeping_", housekeeping::dies_removing);
}

#[test]
fn a_webhook_is_told_after_its_worker_has_died() {
    for_each_point("delivery_", deliveries::dies_before_it_is_told);
}

#[test]
fn a_server_that_dies_before_the_outcome_is_written_is_found_out() {
    for_each_point("audit_", audit::dies_between_question_and_outcome);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_decision_whose_teller_dies_is_carried_out() {
    in_buckets(Box::pin(approvals::dies_after_the_decision("approval_decided"))).await;
}

/// What a task counts, and what is asked of a person, stands in its file, by which a queue is told again.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_submit_that_is_cut_short_counts_once_and_waits_for_a_person() {
    const WRITTEN: [&str; 2] = ["submit_task_written", "submit_enqueued"];
    in_buckets(Box::pin(hosts::dies_in_a_submit(&WRITTEN))).await;
    in_buckets(Box::pin(limits::dies_in_a_submit(&WRITTEN))).await;
    in_buckets(Box::pin(approvals::dies_in_a_submit(&WRITTEN))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_launched_counts_whoever_dies_and_what_has_ended_makes_room() {
    for point in ["worker_launch_noted", "worker_after_final_state"] {
        in_buckets(Box::pin(hosts::dies_launching(point))).await;
    }
    for point in ["worker_before_acknowledge", "worker_hosts_given_back"] {
        in_buckets(Box::pin(limits::dies_giving_back(point))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_worker_that_dies_between_the_check_and_the_launch_is_replaced_by_one_that_checks() {
    in_buckets(Box::pin(approvals::dies_before_the_launch(&["worker_created", "worker_launch_noted"]))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_cancel_or_a_retry_that_is_cut_short_is_done_once() {
    in_buckets(Box::pin(catalogue::dies_cancelling())).await;
    in_buckets(Box::pin(catalogue::dies_retrying())).await;
    in_buckets(Box::pin(hosts::dies_cancelling())).await;
    in_buckets(Box::pin(is_retried_before_the_queue_knows())).await;
}

#[tokio::test]
async fn a_worker_that_stands_still_before_it_creates_or_launches_does_neither_afterwards() {
    in_buckets(Box::pin(stands_still_before_it_acts())).await;
}

/// Until the end is written, the login is there; and never after.
#[tokio::test]
async fn a_login_ends_with_its_task() {
    in_buckets(Box::pin(logins::dies_at_the_end("worker_before_final_state", TaskStatus::Running))).await;
    in_buckets(Box::pin(logins::dies_at_the_end("worker_end_not_recorded", TaskStatus::Completed))).await;
}

#[tokio::test]
async fn a_server_that_dies_with_a_login_in_its_hands_accepts_one_task() {
    for point in ["submit_task_recorded", "submit_task_written"] {
        in_buckets(Box::pin(logins::dies_submitting(point))).await;
    }
}

/// Steps that tasks in a directory do not have.
#[test]
fn whoever_dies_at_a_step_of_the_object_store_is_replaced() {
    for_each_point("bucket_", async |point| match point {
        "bucket_removal_marked" | "bucket_file_removed" => housekeeping::dies_removing(point).await,
        "bucket_file_marked" | "bucket_file_dropped" | "bucket_parts_removed" => dies_replacing(point).await,
        "bucket_part_uploaded" => dies_in_a_large_upload(point).await,
        "bucket_collection_begun" => dies_collecting(point).await,
        _ => dies_in_the_lifecycle(point).await,
    });
}

/// Two deaths: one with a file published, and one while another takes its place.
async fn dies_replacing(point: &'static str) {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let task = site.submit(point, "192.0.2.1").await;
    let mut first = doomed_worker(&site, "worker_export_published", &[]);
    died_at(&mut first, "worker_export_published");
    let mut second = doomed_worker(&site, point, &[]);
    died_at(&mut second, point);
    ends_as(&site, &task, TaskStatus::Completed, &[], &second).await;
}

/// A worker dies in the midst of an upload, and then the collector of what that has left.
async fn dies_collecting(point: &'static str) {
    let uploaded = "bucket_parts_uploaded";
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let task = site.submit(point, "192.0.2.1").await;
    let mut first = doomed_worker(&site, uploaded, &[]);
    died_at(&mut first, uploaded);
    ends_as(&site, &task, TaskStatus::Completed, &[], &first).await;
    let bucket = site.deployment.bucket().unwrap();
    bucket.two_days_later();
    let collector = site.deployment.program(binaries::admin(), &["housekeeping", "run", "--yes"]);
    let collector = collector.env(VARIABLE, point);
    // The first run only says what it would remove, if no worker has lived long enough to do that.
    let mut ran = collector.run();
    if ran.code == Some(0) {
        ran = collector.run();
    }
    assert_eq!(ran.code, None, "{point}: {ran:?}");
    assert!(bucket.objects().keys().any(|key| key.starts_with("uploads/")), "{point}: nothing was left to collect");
}

/// A scan whose export has more parts than are under way at once.
async fn large_site() -> Site {
    Site::start(SimConfig::new().scan_duration(Duration::from_millis(300)).findings_per_host(40)).await
}

const LARGE: &str = "192.0.2.0/24";

async fn dies_in_a_large_upload(point: &'static str) {
    let site = large_site().await;
    let task = site.submit(point, LARGE).await;
    let mut first = doomed_worker(&site, point, &[]);
    died_at(&mut first, point);
    ends_as(&site, &task, TaskStatus::Completed, &[], &first).await;
}

/// It stands still with some of its parts uploaded. The next worker removes them; then it wakes up, uploads the rest, and dies.
#[tokio::test]
async fn parts_of_a_worker_that_wakes_up_and_dies_are_found() {
    in_buckets(Box::pin(async {
        let (frozen, dead) = ("bucket_part_uploaded", "bucket_parts_uploaded");
        let site = large_site().await;
        let task = site.submit(frozen, LARGE).await;
        let worker = site.deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]);
        let worker = worker.args(SHORT_LEASE).env(FREEZE_VARIABLE, frozen).env(VARIABLE, dead);
        let mut first = site.deployment.start(&worker);
        first.wait_for_log("the process stands still at a fail point");
        let second = site.start_worker(&SHORT_LEASE);
        site.completed(&task, &[&first, &second]).await;
        let before = site.deployment.task(&task);
        first.thaw();
        died_at(&mut first, dead);
        assert_eq!(site.deployment.task(&task), before, "it has written");
        site.queue_is_empty(&[&second]).await;
        site.each_scan_ran_once(1);
    }))
    .await;
}
