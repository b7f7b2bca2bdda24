//! Plants a tree of 10,000 tasks with everything that housekeeping may meet, and shows what it removes and keeps, on both queues.
//!
//! `cargo run --release -p nessus-mcp-tests --example housekeeping-tree [-- TASKS]`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for those who work on housekeeping")]

use std::{sync::Arc, time::Instant};

use nessus_mcp_lib::{
    Queue, ScanService, TaskManager,
    config::HousekeepingSettings,
    housekeeping::Wanted,
    ids::TaskId,
    queue::{redis::RedisQueue, sqlite::SqliteQueue},
    scanner::ScannerRegistry,
    secret::Secret,
    service::ServiceParts,
};
use nessus_mcp_tests::{planted::Planted, redis::RedisServer};

#[tokio::main]
async fn main() {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let redis = RedisServer::start();
    for redis in [None, Some(&redis)] {
        let directory = tempfile::tempdir().unwrap();
        let (data, outside) = (directory.path().join("data"), directory.path().join("outside"));
        let planted = Planted::plant(&data, &outside, count);
        let queue: Arc<dyn Queue> = match redis {
            Some(redis) => Arc::new(RedisQueue::open(&Secret::new(redis.url())).await.unwrap()),
            None => Arc::new(SqliteQueue::open(&data.join("queue.db")).unwrap()),
        };
        let (tasks, scanners) = (TaskManager::open(&data).unwrap(), ScannerRegistry::without_pools());
        let service = ScanService::new(ServiceParts::new(&data, tasks, queue, scanners)).unwrap();
        service.index().rebind().await.unwrap();
        let keeper = service.housekeeping(HousekeepingSettings::default()).unwrap();
        println!("\n## {count} tasks, {}\n", if redis.is_some() { "Redis" } else { "SQLite" });
        for name in ["first run (removes nothing)", "second run", "third run"] {
            let begun = Instant::now();
            let report = keeper.run(Wanted::Removal).await.unwrap();
            let (removed, seconds) = (report.tasks.len(), begun.elapsed().as_secs_f64());
            let word = if report.dry_run { "would be removed" } else { "removed" };
            println!("{name}: {removed} tasks {word}, {} to look at, {seconds:.2} s", report.notable.len());
            println!("  kept: {:?}", report.kept_tasks);
        }
        println!("\n| planted | tasks | gone | kept |\n|---|---:|---:|---:|");
        for (kind, tasks) in &planted.tasks {
            let is_there = |task_id: &&TaskId| {
                let names = [task_id.to_string(), format!("{task_id}.removed")];
                names.iter().any(|name| data.join("tasks").join(name).exists())
            };
            let kept = tasks.iter().filter(is_there).count();
            println!("| {kind:?} | {} | {} | {kept} |", tasks.len(), tasks.len() - kept);
        }
        println!("\nfaults: {:?}", planted.faults(&data));
    }
}
