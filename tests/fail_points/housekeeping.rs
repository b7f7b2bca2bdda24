//! Housekeeping that dies at a step: nothing is lost, the next run finishes, and the scanner is asked to delete once.

use nessus_mcp_lib::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Makes a task that has ended a hundred days older.
fn age(site: &Site, task: &TaskId) {
    let file = format!("tasks/{task}/task.json");
    let mut document: Value = serde_json::from_slice(&site.deployment.file(&file).unwrap()).unwrap();
    let then = json!(SystemClock.now().minus(100 * DAY));
    for field in ["created_at", "started_at", "completed_at"] {
        document[field] = then.clone();
    }
    document["last_accessed_at"] = Value::Null;
    for step in document["history"].as_array_mut().unwrap() {
        step["at"] = then.clone();
    }
    site.deployment.write_file(&file, format!("{document:#}\n").as_bytes());
}

fn run(site: &Site, more: &[&str]) -> Value {
    let arguments: Vec<_> = ["housekeeping", "run", "--json"].iter().chain(more).copied().collect();
    let finished = site.deployment.program(binaries::admin(), &arguments).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap()
}

pub(crate) async fn dies_removing(point: &'static str) {
    let redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let mut worker = site.start_worker(&["--housekeeping-enabled", "false"]);
    let task = site.submit("completed", "192.0.2.1").await;
    site.completed(&task, &[&worker]).await;
    let young = site.submit("young", "192.0.2.2").await;
    site.completed(&young, &[&worker]).await;
    site.queue_is_empty(&[&worker]).await;
    assert_eq!(worker.terminate(), Some(0));
    age(&site, &task);
    let rehearsal = run(&site, &["--yes"]);
    assert_eq!((&rehearsal["dry_run"], &rehearsal["tasks"]), (&json!(true), &json!([task])), "{point}");
    let doomed = site.deployment.program(binaries::admin(), &["housekeeping", "run", "--yes"]);
    let mut doomed = site.deployment.start(&doomed.env(VARIABLE, point));
    // It has no log: only a point ends it so.
    assert_eq!(doomed.wait().code(), None, "{point}: {}", doomed.tail());

    // Of a task that is not whole any more, everything is in the archive.
    let archived = format!("archive/{task}.json");
    let record: Value = serde_json::from_slice(&site.deployment.file(&archived).unwrap()).unwrap();
    assert_eq!(record["task"]["task_id"], json!(task), "{point}");
    let busy = site.deployment.program(binaries::admin(), &["housekeeping", "run", "--yes"]).run();
    assert_eq!(busy.code, Some(69), "{point}: the dead process has the lead until its lease ends: {busy:?}");
    let redis = site.deployment.bucket().map_or(&redis, |bucket| &bucket.redis);
    assert_eq!(redis.ask(&["DEL", "nessus-mcp.housekeeping:queue:slots:leader"]).number(), 1);

    run(&site, &["--yes"]);
    assert_eq!(site.deployment.task_directories(), [young.to_string()], "{point}");
    assert!(site.deployment.file(&archived).is_some(), "{point}");
    let stats = site.sim.stats();
    assert_eq!((stats.deletes, stats.scans), (1, 1), "{point}: the scan of the young task stays");
    let list = site.client().call("list_tasks", &json!({})).await.unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((list["total"].as_u64(), list["tasks"].as_array().map(Vec::len)), (Some(1), Some(1)), "{point}: {list}");
    let audit = site.deployment.program(binaries::admin(), &["queue", "audit", "--json"]).run();
    let found: Value = serde_json::from_str(&audit.stdout).unwrap();
    let wrong = ["missing", "wrong", "gone", "forgotten"].map(|field| found[field].as_u64());
    assert_eq!((audit.code, found["tasks"].as_u64(), wrong), (Some(0), Some(1), [Some(0); 4]), "{point}: {found}");
    let again = run(&site, &["--yes"]);
    assert_eq!((&again["tasks"], &again["scans"]), (&json!([]), &json!([])), "{point}: {again}");
    let refused = site.client().call("get_scan_status", &json!({ "task_id": task })).await.unwrap_err().to_string();
    assert!(refused.contains("it was removed on"), "{point}: {refused}");
}
