//! Processes that die between a task's file and its record in the catalogue: lists say what the files say all the same.

use serde_json::{Value, json};

use super::*;

/// How many tasks `list_tasks` says there are in a state, and that all it shows are in it.
async fn listed(site: &Site, status: &str) -> Option<u64> {
    let list = site.client().call("list_tasks", &json!({ "status": status })).await.ok()?;
    let list: Value = serde_json::from_str(&list).unwrap();
    let shown = list["tasks"].as_array()?;
    assert!(shown.iter().all(|task| task["status"] == status), "{list}");
    assert_eq!(list["total"].as_u64(), Some(shown.len() as u64), "{list}");
    list["total"].as_u64()
}

/// Waits until the one task is listed where it belongs, and nowhere else.
pub(crate) async fn is_listed(site: &Site, status: &str, processes: &[&Process]) {
    until("it is listed", processes, async || (listed(site, status).await? == 1).then_some(())).await;
    for other in TaskStatus::ALL.map(TaskStatus::as_str).into_iter().filter(|other| *other != status) {
        assert_eq!(listed(site, other).await, Some(0), "{other}, and it is {status}");
    }
    let audit = site.deployment.program(binaries::admin(), &["queue", "audit", "--repair", "--json"]).run();
    let found: Value = serde_json::from_str(&audit.stdout).unwrap();
    let wrong = ["missing", "wrong", "gone", "forgotten"].map(|field| found[field].as_u64());
    assert_eq!((audit.code, found["tasks"].as_u64(), wrong), (Some(0), Some(1), [Some(0); 4]), "{found}");
}

/// The site on SQLite, or on Redis.
async fn start(queue: Option<&str>) -> Site {
    let config = SimConfig::new().scan_duration(Duration::from_millis(300));
    match queue {
        Some(url) => Site::start_on(url, config).await,
        None => Site::start(config).await,
    }
}

/// Lets the server die at a point while it carries out a tool, and starts it again.
async fn dies_in(site: &mut Site, point: &str, tool: &str, task: &TaskId) {
    site.restart_server_as(|program| program.env(VARIABLE, point)).await;
    let unanswered = site.client().call(tool, &json!({ "task_id": task })).await;
    assert!(unanswered.is_err(), "{point}: {unanswered:?}");
    died_at(&mut site.server.process, point);
    site.restart_server().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_is_not_recorded_is_listed() {
    dies_cancelling().await;
}

pub(crate) async fn dies_cancelling() {
    let redis = RedisServer::start();
    for queue in queues(&redis) {
        let mut site = start(queue.as_deref()).await;
        let task = site.submit("cancelled", "192.0.2.1").await;
        is_listed(&site, "queued", &[]).await;
        dies_in(&mut site, "worker_end_not_recorded", "cancel_scan", &task).await;
        assert_eq!(site.deployment.task(&task).status, TaskStatus::Cancelled);
        is_listed(&site, "cancelled", &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_is_only_recorded_has_not_happened() {
    dies_retrying().await;
}

pub(crate) async fn dies_retrying() {
    let redis = RedisServer::start();
    for queue in queues(&redis) {
        let mut site = start(queue.as_deref()).await;
        let task = site.submit("failed", "192.0.2.1").await;
        let failing = site.start_worker(&["--scan-timeout-hours", "50ms"]);
        assert_eq!(site.ended(&task, &[&failing]).await.status, TaskStatus::Timeout);
        site.queue_is_empty(&[&failing]).await;
        drop(failing);
        dies_in(&mut site, "retry_recorded", "retry_scan", &task).await;
        assert_eq!((site.deployment.task(&task).status, site.deployment.task(&task).attempt), (TaskStatus::Timeout, 1));
        is_listed(&site, "timeout", &[]).await;
        // The client asks again.
        site.client().call("retry_scan", &json!({ "task_id": task })).await.unwrap();
        is_listed(&site, "queued", &[]).await;
        let worker = site.start_worker(&[]);
        assert_eq!(site.completed(&task, &[&worker]).await.attempt, 2);
        is_listed(&site, "completed", &[&worker]).await;
    }
}

/// Single keys of the catalogue are lost, or all: it is noticed, made again, and never believed against the files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_that_lost_its_keys_is_made_again() {
    let redis = RedisServer::start();
    let site = start(Some(&redis.url())).await;
    site.submit("office", "192.0.2.1").await;
    for keys in [&["nessus:catalogue"][..], &["nessus:catalogue:changes"], &["nessus:catalogue:unfinished"]] {
        is_listed(&site, "queued", &[]).await;
        redis.ask(&[&["DEL"], keys].concat());
        assert_eq!(listed(&site, "queued").await, Some(1), "{keys:?}");
        assert!(redis.ask(&["HGET", "nessus:catalogue", "#mark"]).text().starts_with("1:"), "{keys:?}");
    }
}
