//! The steps every agent takes: submit, wait, read.

use nessus_mcp_lib::service::{ResultsRequest, SubmitRequest};
use nessus_mcp_tests::processes::until;
use serde_json::{Value, json};

use crate::fixture::{Fixture, task_id};

fn json_lines(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'), "the last line has no end");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["type"].as_str().unwrap()).collect()
}

/// What the tool descriptions promise, through the client that embedders use.
#[tokio::test]
async fn a_scan_is_submitted_watched_and_read() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut arguments = SubmitRequest::untrusted("office", "192.0.2.0/29, 192.0.2.4");
    arguments.pool = Some("lab".to_owned());
    let submitted = client.submit_scan(&arguments).await.unwrap();
    assert_eq!((submitted.target_hosts, submitted.targets.as_str()), (8, "192.0.2.0/29"));
    assert!(submitted.task_id.as_str().starts_with("mo_lab_") && !submitted.idempotent, "{submitted:?}");

    let mut progress = Vec::new();
    let ended = until("the scan has ended", &[&fixture.server.process], async || {
        let view = client.get_status(&submitted.task_id).await.unwrap();
        assert_eq!(view.next_poll_seconds.is_none(), view.status.is_terminal(), "{view:?}");
        progress.extend(view.progress);
        view.status.is_terminal().then_some(view)
    })
    .await;
    assert_eq!(ended.status.as_str(), "completed", "{ended:?}");
    assert!(progress.is_sorted() && progress.last() == Some(&100), "{progress:?}");
    assert!(ended.results_available && ended.started_at <= ended.completed_at, "{ended:?}");

    let everything = client.get_results_lines(&ResultsRequest::everything(ended.task_id.clone())).await.unwrap();
    let everything = json_lines(&everything);
    let found = everything.len() - 2;
    assert_eq!(types(&everything), [&["schema", "scan_metadata"][..], &vec!["vulnerability"; found]].concat());
    assert_eq!(everything[0]["total_vulnerabilities"], found);
    assert_eq!(everything[0]["profile"], "brief");
    assert_eq!(everything[1]["task_id"], json!(ended.task_id));
    assert_eq!((&everything[1]["scan_name"], &everything[1]["status"]), (&json!("office"), &json!("completed")));

    let mut page = ResultsRequest::new(ended.task_id.clone());
    page.page_size = Some(10);
    let page = json_lines(&client.get_results_lines(&page).await.unwrap());
    assert!(found > 10, "the mock finds too little for two pages");
    assert_eq!(types(&page), [&["schema", "scan_metadata"][..], &["vulnerability"; 10], &["pagination"]].concat());
    assert!(page[2..12] == everything[2..12], "page 1 is not the beginning of everything");
    client.close().await;
}

/// Every finding is on exactly one page, and a page behind the last is said to be so.
#[tokio::test]
async fn pages_together_are_everything() {
    let fixture = Fixture::start();
    let task = fixture.submit(json!({ "targets": "192.0.2.0/29", "name": "pages", "schema_profile": "full" })).await;
    fixture.wait_for(&task, "completed").await;
    let read = async |page: u64| {
        let arguments = json!({ "task_id": task, "page": page, "page_size": 10, "schema_profile": "full" });
        let answer = fixture.call("get_scan_results", arguments).await;
        assert!(answer.result["structuredContent"].is_null(), "some clients drop the text beside structured content");
        json_lines(answer.text())
    };
    let everything = read(0).await;
    let pages = read(1).await[0]["total_pages"].as_u64().unwrap();
    let mut together = Vec::new();
    for page in 1..=pages {
        let lines = read(page).await;
        let last = lines.last().unwrap();
        assert_eq!((&last["type"], &last["page"]), (&json!("pagination"), &json!(page)));
        together.extend_from_slice(&lines[2..lines.len() - 1]);
    }
    assert!(
        pages > 1 && together == everything[2..],
        "{pages} pages hold {} of {}",
        together.len(),
        everything.len() - 2
    );
    assert_eq!(types(&read(pages + 1).await), ["schema", "scan_metadata", "pagination"]);
}

/// An agent whose connection broke asks again: it must get its scan, not a second one.
#[tokio::test]
async fn a_repeated_request_is_the_same_task() {
    let fixture = Fixture::start();
    let request = json!({ "targets": "192.0.2.1", "name": "once", "scanner_pool": "slow", "idempotency_key": "k-1" });
    let first = fixture.call("run_untrusted_scan", request.clone()).await;
    assert_eq!(first.ok()["idempotent"], false);
    let again = fixture.call("run_untrusted_scan", request.clone()).await;
    assert_eq!(again.ok()["idempotent"], true);
    assert_eq!(task_id(again.ok()), task_id(first.ok()));
    // The header is the same key; both together must agree.
    let mut by_header = request.clone();
    by_header.as_object_mut().unwrap().remove("idempotency_key");
    let key = [("x-idempotency-key", "k-1")];
    let again = fixture.call_with("run_untrusted_scan", by_header.clone(), &key).await;
    assert_eq!(task_id(again.ok()), task_id(first.ok()));
    let other = [("x-idempotency-key", "k-2")];
    assert_eq!(fixture.call_with("run_untrusted_scan", request.clone(), &other).await.refusal().0, "invalid_argument");
    // Nor is one dropped that cannot be read, or a second one.
    for keys in [&["k-1", "k-2"][..], &["ключ"], &[""], &["k 1"]] {
        let keys: Vec<_> = keys.iter().map(|key| ("x-idempotency-key", *key)).collect();
        let answer = fixture.call_with("run_untrusted_scan", by_header.clone(), &keys).await;
        let (code, message, _) = answer.refusal();
        assert!(code == "invalid_argument" && message.contains("`X-Idempotency-Key`"), "{keys:?}: {answer:?}");
    }

    let mut changed = request.clone();
    changed["targets"] = json!("192.0.2.2");
    let conflict = fixture.call("run_untrusted_scan", changed).await;
    let (code, message, hint) = conflict.refusal();
    assert_eq!(code, "idempotency_conflict");
    assert!(message.contains(task_id(first.ok()).as_str()) && hint.unwrap().contains("new key"), "{message} {hint:?}");
    assert_eq!(fixture.deployment.task_directories().len(), 1, "a refused or repeated request made a task");
}

/// One name follows a request through server, queue, worker and logs; a hostile one is replaced.
#[tokio::test]
async fn a_trace_id_goes_in_and_comes_out() {
    let fixture = Fixture::start();
    let request = json!({ "targets": "192.0.2.1", "name": "traced" });
    let trace = [("x-trace-id", "agent-7.trace_1")];
    let answer = fixture.call_with("run_untrusted_scan", request.clone(), &trace).await;
    assert_eq!(answer.headers["x-trace-id"], "agent-7.trace_1");
    assert_eq!(answer.ok()["trace_id"], "agent-7.trace_1");
    let task = task_id(answer.ok());
    assert_eq!(fixture.deployment.task(&task).trace_id.as_str(), "agent-7.trace_1");
    let view = fixture.wait_for(&task, "completed").await;
    assert_eq!(view["trace_id"], "agent-7.trace_1");
    let log = fixture.server.process.log();
    let of_worker = |line: &&str| line.contains("the scan was created") && line.contains("agent-7.trace_1");
    assert!(log.lines().any(|line| of_worker(&line)), "the worker's lines do not carry it:\n{log}");

    let hostile = [("x-trace-id", "a b\"c")];
    let answer = fixture.call_with("run_untrusted_scan", request, &hostile).await;
    let made_up = answer.headers["x-trace-id"].to_str().unwrap();
    assert!(made_up != "a b\"c" && answer.ok()["trace_id"] == made_up, "{made_up}");
    assert!(fixture.get("/health/live").send().await.unwrap().headers().contains_key("x-trace-id"));
}

/// What an agent asks when it comes back after a day.
#[tokio::test]
async fn lists_show_tasks_scanners_pools_and_queues() {
    let fixture = Fixture::start();
    let done = fixture.submit(json!({ "targets": "192.0.2.1", "name": "first" })).await;
    fixture.wait_for(&done, "completed").await;
    let slow = json!({ "targets": "192.0.2.2", "name": "slow", "scanner_pool": "slow", "scanner_instance": "snail" });
    let running = fixture.submit(slow.clone()).await;
    assert!(running.as_str().starts_with("mo_snai_"), "{running}");
    fixture.wait_for(&running, "running").await;
    let waiting = fixture.submit(slow).await;

    let tasks = fixture.call("list_tasks", json!({ "scanner_pool": "slow" })).await;
    assert_eq!((&tasks.ok()["total"], &tasks.ok()["truncated"]), (&json!(2), &json!(false)));
    let completed = fixture.call("list_tasks", json!({ "status": "completed" })).await;
    assert_eq!(completed.ok()["tasks"][0]["task_id"], json!(done));
    // The older name of the argument.
    let completed = fixture.call("list_tasks", json!({ "status_filter": "completed", "limit": 1 })).await;
    assert_eq!(completed.ok()["total"], 1);

    let scanners = fixture.call("list_scanners", json!({ "scanner_pool": "slow" })).await;
    let snail = &scanners.ok()["scanners"][0];
    assert_eq!((&snail["active_scans"], &snail["available_slots"]), (&json!(1), &json!(0)), "{snail}");
    let scanners = fixture.call("list_scanners", json!({})).await;
    assert_eq!((&scanners.ok()["total"], &scanners.ok()["enabled"]), (&json!(4), &json!(3)));

    let pools = fixture.call("list_pools", json!({})).await;
    assert_eq!(pools.ok()["default_pool"], "lab");
    let names: Vec<_> = pools.ok()["pools"].as_array().unwrap().iter().map(|pool| &pool["scanner_pool"]).collect();
    assert_eq!(names, ["lab", "slow"]);
    assert_eq!((&pools.ok()["pools"][1]["capacity"], &pools.ok()["pools"][1]["active_scans"]), (&json!(1), &json!(1)));

    let status = fixture.call("get_pool_status", json!({ "scanner_pool": "slow" })).await;
    let status = status.ok();
    assert_eq!(
        (&status["capacity"], &status["active_scans"], &status["queue_depth"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(status["queue"]["next"], json!([waiting]), "{status}");
    assert_eq!(status["instances"][0]["scanner_instance"], "snail", "{status}");
    let status = fixture.call("get_pool_status", json!({})).await;
    assert_eq!((&status.ok()["scanner_pool"], &status.ok()["default"]), (&json!("lab"), &json!(true)));
    let health = fixture.call("health_check", json!({})).await;
    assert_eq!(health.ok()["checks"]["queue"]["status"], "healthy", "{:?}", health.ok());

    let queue = fixture.call("get_queue_status", json!({ "scanner_pool": "slow" })).await;
    let pool = &queue.ok()["pools"][0];
    assert_eq!((&pool["queued"], &pool["leased"], &pool["dead"]), (&json!(1), &json!(1), &json!(0)), "{pool}");
    assert_eq!(pool["next"], json!([waiting]));
    let view = fixture.call("get_scan_status", json!({ "task_id": waiting })).await;
    assert_eq!((&view.ok()["status"], &view.ok()["queue_position"]), (&json!("queued"), &json!(1)));
}

/// A caller that waits is answered as soon as something changes.
#[tokio::test]
async fn a_change_ends_the_wait() {
    let fixture = Fixture::start();
    let slow = json!({ "targets": "192.0.2.2", "name": "slow", "scanner_pool": "slow" });
    let running = fixture.submit(slow.clone()).await;
    fixture.wait_for(&running, "running").await;
    let waiting = fixture.submit(slow).await;
    let wait = fixture.call("get_scan_status", json!({ "task_id": waiting, "wait_seconds": 45 }));
    let cancel = fixture.call("cancel_scan", json!({ "task_id": waiting }));
    let (status, cancelled) = tokio::join!(wait, cancel);
    assert_eq!((&status.ok()["status"], &cancelled.ok()["status"]), (&json!("cancelled"), &json!("cancelled")));
    let refused = fixture.call("get_scan_status", json!({ "task_id": waiting, "wait_seconds": 46 })).await;
    assert_eq!(refused.refusal().0, "invalid_argument");
}

/// Lists are filtered by what an agent knows of a scan, and read page by page, each task once.
#[tokio::test]
async fn tasks_are_found_by_target_name_and_time() {
    let fixture = Fixture::start();
    let mut submitted = Vec::new();
    for (targets, name) in [
        ("192.0.2.0/28", "Office"),
        ("192.0.2.8, web01.example.com", "office printers"),
        ("198.51.100.1", "lab"),
        ("2001:db8::1", "lab 6"),
    ] {
        let scan = json!({ "targets": targets, "name": name, "scanner_pool": "slow" });
        submitted.push(fixture.submit(scan).await.to_string());
    }
    let found = async |filter: Value| {
        let list = fixture.call("list_tasks", filter).await;
        let tasks = list.ok()["tasks"].as_array().unwrap().iter().map(|task| task["task_id"].as_str().unwrap());
        let mut found: Vec<_> = tasks.filter_map(|id| submitted.iter().position(|known| known == id)).collect();
        found.sort_unstable();
        found
    };
    for (filter, expected) in [
        (json!({ "targets": "192.0.2.8" }), vec![0, 1]),
        (json!({ "targets": ["192.0.2.0/30", "2001:db8::/126"] }), vec![0, 3]),
        (json!({ "targets": "WEB01.example.com." }), vec![1]),
        (json!({ "targets": "*.example.com" }), vec![1]),
        (json!({ "targets": "203.0.113.1" }), vec![]),
        (json!({ "name": "OFFICE" }), vec![0, 1]),
        (json!({ "name": "lab", "targets": "198.51.100.0/24" }), vec![2]),
        (json!({ "created_from": "2020-01-01" }), vec![0, 1, 2, 3]),
        (json!({ "created_from": "2020-01-01", "created_before": "2020-01-02T00:00:00Z" }), vec![]),
    ] {
        assert_eq!(found(filter.clone()).await, expected, "{filter}");
    }

    let (mut cursor, mut read) = (Value::Null, Vec::new());
    for page in 1..=4 {
        let list = fixture.call("list_tasks", json!({ "name": "o", "limit": 1, "cursor": cursor })).await;
        let list = list.ok();
        assert_eq!((&list["total"], list["tasks"].as_array().unwrap().len()), (&json!(2), 1), "page {page}: {list}");
        read.push(list["tasks"][0]["task_id"].clone());
        assert_eq!(list["truncated"], list["next_cursor"].is_string(), "{list}");
        cursor = list["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    read.sort_by_key(Value::to_string);
    let mut expected = vec![json!(submitted[0]), json!(submitted[1])];
    expected.sort_by_key(Value::to_string);
    assert_eq!(read, expected);
    let first = fixture.call("list_tasks", json!({ "limit": 1 })).await;
    let other = json!({ "limit": 1, "name": "lab", "cursor": first.ok()["next_cursor"] });
    assert_eq!(fixture.call("list_tasks", other).await.refusal().0, "invalid_argument");
}
