//! Housekeeping on whole data directories, on both queues: what is removed, and what never.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod scans;
mod tree;

use std::{path::Path, sync::Arc};

use nessus_mcp_lib::{
    Queue, ScanService, TaskManager,
    queue::{redis::RedisQueue, sqlite::SqliteQueue},
    scanner::ScannerRegistry,
    secret::Secret,
    service::ServiceParts,
};
use nessus_mcp_tests::redis::RedisServer;

/// A queue of a data directory: on this server, or embedded.
async fn queue(data: &Path, redis: Option<&RedisServer>) -> Arc<dyn Queue> {
    match redis {
        Some(redis) => Arc::new(RedisQueue::open(&Secret::new(redis.url())).await.unwrap()),
        None => Arc::new(SqliteQueue::open(&data.join("queue.db")).unwrap()),
    }
}

/// A service on a data directory, whose queue knows all its tasks.
async fn service(data: &Path, queue: Arc<dyn Queue>, scanners: ScannerRegistry) -> ScanService {
    let tasks = TaskManager::open(data).unwrap();
    let service = ScanService::new(ServiceParts::new(data, tasks, queue, scanners)).unwrap();
    service.index().rebind().await.unwrap();
    service
}
