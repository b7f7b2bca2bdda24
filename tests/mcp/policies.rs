//! What scans are made of, and dry runs, as the tools take and answer them.

use serde_json::json;

use crate::{bad_input::check, fixture::Fixture};

#[tokio::test]
async fn templates_and_policies_are_listed_and_wrong_ones_refused() {
    let fixture = Fixture::start();
    let answer = fixture.call("list_policies", json!({ "scanner_pool": "lab" })).await;
    let pools = answer.ok()["pools"].as_array().unwrap();
    assert_eq!((pools.len(), &pools[0]["scanner_pool"], &pools[0]["policies"]), (1, &json!("lab"), &json!([])));
    assert_eq!(pools[0]["templates"][0], json!({ "name": "basic", "title": "Basic Network Scan" }));
    let scan = |more: serde_json::Value, code, message, hint| {
        let mut arguments = json!({ "targets": "192.0.2.1", "name": "office" });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("run_untrusted_scan", arguments, code, message, hint)
    };
    let long = "x".repeat(256);
    check(
        &fixture,
        vec![
            scan(json!({ "policy": "Weekly" }), "unknown_policy", "`Weekly`", "`policy` out"),
            scan(
                json!({ "policy": "Weekly", "template": "basic" }),
                "invalid_argument",
                "`policy` stands beside",
                "one",
            ),
            scan(json!({ "policy": " " }), "invalid_argument", "`policy` is empty", "list_policies"),
            scan(json!({ "template": "nmap" }), "unknown_template", "`nmap`", "templates listed"),
            scan(json!({ "policy": "Weekly", "dry_run": true }), "unknown_policy", "`Weekly`", "`policy` out"),
        ],
    )
    .await;
    let refused =
        fixture.call("run_untrusted_scan", json!({ "targets": "192.0.2.1", "name": "x", "policy": long })).await;
    assert_eq!(refused.refusal().0, "invalid_argument");
    assert_eq!(fixture.deployment.task_directories(), [""; 0]);
}

#[tokio::test]
async fn a_dry_run_answers_for_each_type_of_scan_and_stores_nothing() {
    let fixture = Fixture::start();
    let login = json!({ "username": "scan", "password": "hunter2", "dry_run": true });
    for (tool, more) in [
        ("run_untrusted_scan", json!({ "dry_run": "true" })),
        ("run_trusted_scan", login.clone()),
        ("run_privileged_scan", {
            let mut more = login;
            more["elevate_privileges_with"] = json!("sudo");
            more
        }),
    ] {
        let mut arguments = json!({ "targets": "192.0.2.0/30", "name": "office", "scanner_pool": "slow" });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = fixture.call(tool, arguments).await;
        let run = answer.ok();
        assert_eq!(
            (&run["dry_run"], &run["target_hosts"], &run["template"]),
            (&json!(true), &json!(4), &json!("basic"))
        );
        assert_eq!(run["scope"], json!({ "verdict": "no_scope", "mode": "off" }));
        assert!(!answer.text().contains("hunter2") && run.get("task_id").is_none(), "{run}");
    }
    assert_eq!(fixture.deployment.task_directories(), [""; 0]);
    let queue = fixture.call("get_queue_status", json!({})).await;
    assert_eq!(queue.ok()["total_queued"], 0);
}
