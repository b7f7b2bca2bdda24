//! A queue that fails or loses what it knew, while processes run and while none does.
//!
//! Nothing here waits as long as the reconciler's regular interval is: what is found is found at once.

use std::time::Duration;

use nessus_mcp_tests::{
    redis::{DURABLE, RedisServer},
    sim::SimConfig,
    site::Site,
};

/// Scans that run long enough to be caught running.
fn slow() -> SimConfig {
    SimConfig::new().scan_duration(Duration::from_millis(700))
}

async fn submitted(site: &Site, count: u8) -> Vec<nessus_mcp_lib::ids::TaskId> {
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
    assert!(redis.ask(&["DEL", "nessus:queue", "nessus:queue:ids"]).number() > 0);
    redis.kill();
    worker.wait_for_log("the queue cannot be used for now");
    redis.restart();
    for task in &tasks {
        site.completed(task, &[&worker]).await;
    }
    site.each_scan_ran_once(tasks.len());
    site.queue_is_empty(&[&worker]).await;
}
