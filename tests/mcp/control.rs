//! Cancelling and retrying through the tools, and as an operator on the same data.

use nessus_mcp_lib::{
    TaskManager,
    task::{TaskStatus, Writer},
};
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// Queued and running scans are cancelled; what has ended is not, and the agent is told what to do.
#[tokio::test]
async fn scans_are_cancelled_in_every_state() {
    let fixture = Fixture::start();
    let slow = json!({ "targets": "192.0.2.1-192.0.2.9", "name": "slow", "scanner_pool": "slow" });
    let running = fixture.submit(slow.clone()).await;
    fixture.wait_for(&running, "running").await;
    let waiting = fixture.submit(slow).await;

    let answer = fixture.call("cancel_scan", json!({ "task_id": waiting, "reason": "wrong network" })).await;
    assert_eq!(answer.ok()["status"], "cancelled");
    let view = fixture.call("get_scan_status", json!({ "task_id": waiting })).await.ok().clone();
    assert_eq!(view["error_message"], "cancelled on request: wrong network");
    let queue = fixture.call("get_queue_status", json!({ "scanner_pool": "slow" })).await.ok().clone();
    assert_eq!((&queue["total_queued"], &queue["total_dead"]), (&json!(0), &json!(0)));

    let answer = fixture.call("cancel_scan", json!({ "task_id": running })).await;
    assert_eq!((&answer.ok()["status"], answer.ok()["next_poll_seconds"].is_u64()), (&json!("running"), true));
    let view = fixture.wait_for(&running, "cancelled").await;
    assert!(
        view["results_available"] == true && view["validation_warnings"].to_string().contains("before it was complete"),
        "{view}"
    );
    let lines = fixture.call("get_scan_results", json!({ "task_id": running })).await;
    assert!(lines.text().contains("\"status\":\"cancelled\""));
    let again = fixture.call("cancel_scan", json!({ "task_id": running })).await;
    assert_eq!(again.ok()["status"], "cancelled");

    let done = fixture.submit(json!({ "targets": "192.0.2.1", "name": "quick", "scanner_pool": "lab" })).await;
    fixture.wait_for(&done, "completed").await;
    let refused = fixture.call("cancel_scan", json!({ "task_id": done })).await;
    let (code, _, hint) = refused.refusal();
    assert_eq!((code, hint.unwrap().contains("get_scan_results")), ("already_ended", true));
    for task in [&done, &running] {
        let refused = fixture.call("retry_scan", json!({ "task_id": task })).await;
        assert_eq!(refused.refusal().0, "not_retryable");
    }
    let unknown: Value = json!({ "task_id": "ne_ness_20251201_143022_a1b2c3d4" });
    for tool in ["cancel_scan", "retry_scan"] {
        assert_eq!(fixture.call(tool, unknown.clone()).await.refusal().0, "task_not_found");
    }
    let long = fixture.call("cancel_scan", json!({ "task_id": done, "reason": "x".repeat(501) })).await;
    assert_eq!(long.refusal().0, "invalid_argument");
}

/// Queued and running scans are held and go on; what cannot be is refused with a hint.
#[tokio::test]
async fn scans_are_paused_and_resumed() {
    let fixture = Fixture::start();
    let slow = json!({ "targets": "192.0.2.1-192.0.2.9", "name": "slow", "scanner_pool": "slow" });
    let running = fixture.submit(slow.clone()).await;
    fixture.wait_for(&running, "running").await;
    let waiting = fixture.submit(slow).await;

    let answer = fixture.call("pause_scan", json!({ "task_id": waiting, "reason": "wrong day" })).await;
    assert_eq!(answer.ok()["status"], "queued");
    let view = fixture.call("get_scan_status", json!({ "task_id": waiting })).await.ok().clone();
    assert_eq!((&view["pause"]["by"], &view["pause"]["state"]), (&json!("request"), &json!("paused")), "{view}");
    assert!(view["waiting_for"].as_str().unwrap().contains("until `resume_scan`: wrong day"), "{view}");

    // A mock scan of an hour is pending for three minutes, and no scanner pauses what it has not begun.
    let answer = fixture.call("pause_scan", json!({ "task_id": running })).await;
    assert_eq!(answer.ok()["status"], "running");
    let view = fixture.call("get_scan_status", json!({ "task_id": running })).await.ok().clone();
    assert_eq!((&view["status"], &view["pause"]["state"]), (&json!("running"), &json!("pausing")), "{view}");
    let again = fixture.call("pause_scan", json!({ "task_id": running })).await;
    assert!(again.ok()["message"].as_str().unwrap().contains("was requested before"));
    for task in [&waiting, &running] {
        fixture.call("resume_scan", json!({ "task_id": task })).await.ok();
        let again = fixture.call("resume_scan", json!({ "task_id": task })).await;
        assert_eq!(again.ok()["message"], "no pause was requested");
    }
    let view = fixture.call("get_scan_status", json!({ "task_id": waiting })).await.ok().clone();
    assert_eq!(view["pause"], Value::Null, "{view}");
    fixture.call("cancel_scan", json!({ "task_id": running })).await.ok();
    fixture.wait_for(&waiting, "running").await;
    fixture.wait_for(&running, "cancelled").await;
    for tool in ["pause_scan", "resume_scan"] {
        let refused = fixture.call(tool, json!({ "task_id": running })).await;
        let (code, message, hint) = refused.refusal();
        assert_eq!((code, message.contains("cancelled"), hint.is_some()), ("already_ended", true, true));
        let unknown = json!({ "task_id": "ne_ness_20251201_143022_a1b2c3d4" });
        assert_eq!(fixture.call(tool, unknown).await.refusal().0, "task_not_found");
    }
}

/// What failed is tried again under the same id.
#[tokio::test]
async fn a_failed_scan_is_tried_again() {
    let fixture = Fixture::start();
    let slow = json!({ "targets": "192.0.2.1", "name": "slow", "scanner_pool": "slow" });
    let running = fixture.submit(slow.clone()).await;
    fixture.wait_for(&running, "running").await;
    let task = fixture.submit(slow).await;
    // As a worker writes it whose scanner has refused the scan.
    let tasks = TaskManager::open(&fixture.deployment.data()).unwrap();
    let failed = tasks.update(&task, Writer::Api, |task| {
        task.status = TaskStatus::Failed;
        task.error_code = Some("scanner_refused".to_owned());
    });
    failed.await.unwrap();
    let answer = fixture.call("retry_scan", json!({ "task_id": task })).await;
    assert_eq!((&answer.ok()["attempt"], &answer.ok()["status"]), (&json!(2), &json!("queued")));
    let view = fixture.call("get_scan_status", json!({ "task_id": task })).await.ok().clone();
    assert_eq!((&view["attempt"], &view["error_code"]), (&json!(2), &Value::Null), "{view}");
    fixture.call("cancel_scan", json!({ "task_id": running })).await.ok();
    fixture.wait_for(&task, "running").await;
}
