//! What an agent does wrong: each mistake gets a stable code, words, and what to do, and leaves nothing behind.

use nessus_mcp_lib::client::ClientError;
use nessus_mcp_lib::service::SubmitRequest;
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// A tool, arguments, and what the refusal must say: its code, what is wrong, and what would be right.
type Mistake = (&'static str, Value, &'static str, &'static str, &'static str);

pub(crate) async fn check(fixture: &Fixture, mistakes: Vec<Mistake>) {
    for (tool, arguments, code, wrong, right) in mistakes {
        let answer = fixture.call(tool, arguments.clone()).await;
        let (said_code, said_message, said_hint) = answer.refusal();
        let context = format!("{tool} {arguments}\n-> {said_code}: {said_message}\n   hint: {said_hint:?}");
        assert_eq!(said_code, code, "{context}");
        assert!(said_message.contains(wrong), "{context}\nexpected: {wrong}");
        // Either may say it; an agent reads both.
        let told = said_message.contains(right) || said_hint.is_some_and(|hint| hint.contains(right));
        assert!(told, "{context}\nexpected: {right}");
        assert!(!said_message.contains('\n') && said_message.len() < 600, "{context}");
        assert!(documented(tool).contains(&format!("`{code}`")), "docs/tools.md does not know\n{context}");
    }
}

/// What `docs/tools.md` says of the errors of all tools and of this one.
fn documented(tool: &str) -> String {
    let text = include_str!("../../docs/tools.md");
    let section = |title: &str| text.split("\n## ").find_map(|section| section.strip_prefix(title));
    let own = section(&format!("`{tool}`\n")).unwrap_or_else(|| panic!("docs/tools.md has no section `{tool}`"));
    [section("Errors\n").unwrap(), own].concat()
}

/// A scan with these arguments in place of good ones; `null` leaves one out.
fn scan(change: &Value) -> Value {
    let mut arguments = json!({ "targets": "192.0.2.1", "name": "office" });
    for (name, value) in change.as_object().into_iter().flatten() {
        match value {
            Value::Null => arguments.as_object_mut().and_then(|all| all.remove(name)),
            value => arguments.as_object_mut().and_then(|all| all.insert(name.clone(), value.clone())),
        };
    }
    arguments
}

/// Nothing may be left of a refused scan: a task directory would come back as a scan nobody asked for.
#[tokio::test]
async fn a_bad_submit_is_refused_and_leaves_nothing() {
    let fixture = Fixture::start();
    let submit = |change: Value, code, message, hint| ("run_untrusted_scan", scan(&change), code, message, hint);
    let long = "x".repeat(256);
    check(
        &fixture,
        vec![
            submit(json!({ "scanner_pool": "dmz" }), "unknown_pool", "`dmz`", "lab, slow"),
            submit(json!({ "scanner_pool": "../etc" }), "unknown_pool", "`../etc`", "lab, slow"),
            submit(json!({ "scanner_pool": "" }), "unknown_pool", "``", "lab, slow"),
            submit(json!({ "scanner_instance": "mock-9" }), "unknown_instance", "`mock-9`", "mock-1, mock-2"),
            // Disabled, and of another pool: there, but not for this scan.
            submit(json!({ "scanner_instance": "mock-off" }), "unknown_instance", "`mock-off`", "mock-1, mock-2"),
            submit(json!({ "scanner_instance": "snail" }), "unknown_instance", "`snail`", "mock-1, mock-2"),
            submit(json!({ "targets": "" }), "invalid_targets", "no targets", "10.0.0.0/24"),
            submit(json!({ "targets": " , " }), "invalid_targets", "no targets", "10.0.0.0/24"),
            submit(json!({ "targets": "10.0.0.999" }), "invalid_targets", "`10.0.0.999`", "10.0.0.0/24"),
            submit(json!({ "targets": "192.0.2.1, 10.0.0.0/33" }), "invalid_targets", "`10.0.0.0/33`", "commas"),
            submit(json!({ "targets": "10.0.0.9-10.0.0.1" }), "invalid_targets", "10.0.0.9-10.0.0.1", "ranges"),
            submit(json!({ "targets": "https://office.example/" }), "invalid_targets", "office.example", "host names"),
            submit(json!({ "targets": "$(reboot)" }), "invalid_targets", "$(reboot)", "host names"),
            submit(json!({ "targets": "0.0.0.0/0" }), "out_of_scope", "`0.0.0.0/0`", "10.0.0.0/24"),
            submit(json!({ "targets": "10.0.0.1,169.254.169.254" }), "out_of_scope", "`169.254.169.254`", "link-local"),
            submit(json!({ "targets": "10.0.0.0/15" }), "out_of_scope", "131072 hosts", "`MAX_HOSTS_PER_SCAN`"),
            submit(json!({ "name": "" }), "invalid_argument", "`name`", "255"),
            submit(json!({ "name": "  \t " }), "invalid_argument", "`name`", "255"),
            submit(json!({ "name": long }), "invalid_argument", "256", "255"),
            submit(json!({ "name": "two\nlines" }), "invalid_argument", "`name`", "one line"),
            submit(json!({ "name": "escape \u{1b}[2J" }), "invalid_argument", "`name`", "one line"),
            submit(json!({ "name": "\u{200B}\u{2060} \u{FEFF}" }), "invalid_argument", "invisible", "see"),
            submit(json!({ "name": "\u{202E}ecffio\u{202C}" }), "invalid_argument", "direction", "without"),
            submit(json!({ "name": null }), "invalid_arguments", "`name` is missing", "\"name\""),
            submit(json!({ "targets": null }), "invalid_arguments", "`targets` is missing", "192.0.2.0/28"),
            submit(json!({ "name": 7 }), "invalid_arguments", "`name` must be a text", "\"name\""),
            submit(json!({ "targets": [7] }), "invalid_arguments", "`targets` must be a text", "192.0.2.0/28"),
            submit(json!({ "tarjets": "192.0.2.1" }), "invalid_arguments", "`tarjets`", "`targets`"),
            submit(json!({ "password": "hunter2" }), "invalid_arguments", "`password`", "did you mean"),
            submit(json!({ "schema_profile": "everything" }), "unknown_profile", "`everything`", "triage"),
            submit(json!({ "template": "no such; template" }), "invalid_argument", "`template`", "`basic`"),
            submit(json!({ "idempotency_key": "" }), "invalid_argument", "`idempotency_key`", "ASCII"),
            submit(json!({ "idempotency_key": "ключ" }), "invalid_argument", "`idempotency_key`", "ASCII"),
            submit(json!({ "description": "x".repeat(5000) }), "invalid_argument", "`description`", "4096"),
        ],
    )
    .await;
    assert_eq!(fixture.deployment.task_directories(), [""; 0], "a refused scan left something");
    let queues = fixture.call("get_queue_status", json!({})).await;
    assert_eq!((&queues.ok()["total_queued"], &queues.ok()["total_dead"]), (&json!(0), &json!(0)));
}

/// 255 characters are allowed, and they are characters, not bytes: people write their names in their own language.
#[tokio::test]
async fn the_longest_name_is_taken() {
    let fixture = Fixture::start();
    let name = "ж".repeat(255);
    let task = fixture.submit(scan(&json!({ "name": name, "scanner_pool": "slow" }))).await;
    assert_eq!(fixture.deployment.task(&task).payload.name, name);
}

/// A wrong question about results is answered as such, with what would be right.
#[tokio::test]
async fn a_bad_question_is_refused_with_what_would_be_right() {
    let fixture = Fixture::start();
    let task = fixture.submit(scan(&json!({ "scanner_pool": "lab" }))).await;
    fixture.wait_for(&task, "completed").await;
    let results = |mut change: Value, code, message, hint| {
        change["task_id"] = json!(task);
        ("get_scan_results", change, code, message, hint)
    };
    let filter = |filter: Value, code, message, hint| results(json!({ "filters": filter }), code, message, hint);
    let unknown = "ne_ness_20251201_143022_a1b2c3d4";
    check(
        &fixture,
        vec![
            results(json!({ "page": -1 }), "invalid_page", "-1", "from 1"),
            results(json!({ "page": "one" }), "invalid_arguments", "`page` must be a whole number", "\"page\""),
            results(json!({ "pages": 1 }), "invalid_arguments", "`pages`", "`page`"),
            results(json!({ "schema_profile": "all" }), "unknown_profile", "`all`", "minimal, summary, brief"),
            results(json!({ "kind": "checks" }), "unknown_kind", "`checks`", "vulnerability, compliance"),
            results(
                json!({ "kind": "compliance", "filters": { "severity": ">=High" } }),
                "field_of_other_kind",
                "`severity`",
                "set `kind` to `vulnerability`",
            ),
            filter(
                json!({ "compliance_result": "FAILED" }),
                "field_of_other_kind",
                "`cm:compliance-result`",
                "set `kind` to `compliance`",
            ),
            results(json!({ "custom_fields": ["hosts"] }), "unknown_field", "`hosts`", "`host`"),
            results(json!({ "custom_fields": [] }), "no_fields", "no field", "`host`"),
            results(
                json!({ "schema_profile": "brief", "custom_fields": ["host"] }),
                "conflicting_options",
                "exclude",
                "leave `schema_profile` or `custom_fields` out",
            ),
            results(json!({ "sort": "by severity" }), "invalid_sort", "`by severity`", "`worst_first`"),
            filter(json!({ "severty": "High" }), "unknown_field", "`severty`", "`severity`"),
            filter(json!({ "severity": "worst" }), "invalid_filter", "severity", "valid: "),
            filter(json!({ "cvss_score": "=>7" }), "invalid_filter", "cvss_score", "valid: "),
            filter(json!({ "cvss_score": "high" }), "invalid_filter", "cvss_score", "valid: "),
            filter(json!({ "exploit_available": "maybe" }), "invalid_filter", "exploit_available", "valid: "),
            filter(json!({ "host": "10.0.0.0/99" }), "invalid_filter", "host", "valid: "),
            filter(json!({ "plugin_id": { "above": 3 } }), "invalid_filter", "plugin_id", "valid: "),
            filter(json!(["severity"]), "invalid_arguments", "`filters` must be an object", ">=High"),
            ("get_scan_results", json!({ "task_id": unknown }), "task_not_found", unknown, "list_tasks"),
            ("get_scan_status", json!({ "task_id": unknown }), "task_not_found", unknown, "list_tasks"),
            ("get_scan_status", json!({ "task_id": "../../etc/passwd" }), "invalid_argument", "`task_id`", "submit"),
            ("get_scan_status", json!({ "task_id": "" }), "invalid_argument", "`task_id`", "submit"),
            ("get_scan_results", json!({ "task_id": "7" }), "invalid_argument", "`task_id`", "submit"),
            ("get_scan_status", json!({}), "invalid_arguments", "`task_id` is missing", "ne_ness_"),
            ("list_tasks", json!({ "status": "done" }), "invalid_argument", "`status`", "completed"),
            ("list_tasks", json!({ "limit": 0 }), "invalid_argument", "`limit`", "100"),
            ("list_tasks", json!({ "targets": "10.0.0.999" }), "invalid_targets", "10.0.0.999", "10.0.0.0/24"),
            ("list_tasks", json!({ "created_from": "yesterday" }), "invalid_argument", "`created_from`", "2026-11-28"),
            ("list_tasks", json!({ "cursor": "v1.x" }), "invalid_argument", "`cursor`", "next_cursor"),
            ("list_tasks", json!({ "scanner_pool": "dmz" }), "unknown_pool", "`dmz`", "lab, slow"),
            ("list_scanners", json!({ "scanner_pool": "dmz" }), "unknown_pool", "`dmz`", "lab, slow"),
            ("get_queue_status", json!({ "scanner_pool": "dmz" }), "unknown_pool", "`dmz`", "lab, slow"),
            ("list_pools", json!({ "scanner_pool": "lab" }), "invalid_arguments", "`scanner_pool`", "{}"),
        ],
    )
    .await;
    assert_eq!(fixture.deployment.task_directories(), [task.as_str()], "a question made a task");
}

/// An empty list of findings would read as "nothing is wrong with these machines".
#[tokio::test]
async fn results_asked_for_too_early_are_no_empty_list() {
    let fixture = Fixture::start();
    let task = fixture.submit(scan(&json!({ "scanner_pool": "slow" }))).await;
    let ask = json!({ "task_id": task });
    let queued_or_running = fixture.call("get_scan_results", ask.clone()).await;
    assert_eq!(queued_or_running.refusal().0, "results_not_ready");
    let view = fixture.wait_for(&task, "running").await;
    assert_eq!(view["results_available"], false);
    check(&fixture, vec![("get_scan_results", ask, "results_not_ready", "running", "get_scan_status")]).await;
    // A wrong question gets the same answer before the end as after it.
    let wrong = json!({ "task_id": task, "page": -1 });
    check(&fixture, vec![("get_scan_results", wrong, "invalid_page", "-1", "from 1")]).await;
}

/// An unknown tool is the one mistake that is no tool's answer: there is no tool to give it.
#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error_that_names_it() {
    let fixture = Fixture::start();
    let answer = fixture.rpc("tools/call", json!({ "name": "run_privileged_sudo", "arguments": {} })).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(answer["error"]["message"], "Unknown tool: run_privileged_sudo");
    let long = "x".repeat(10_000);
    let answer = fixture.rpc("tools/call", json!({ "name": long, "arguments": {} })).await;
    assert!(answer["error"]["message"].as_str().unwrap().len() < 300, "somebody's text is sent back whole");
    let metrics = fixture.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("run_privileged_sudo"), "a caller can make metric labels");
}

/// The typed client gives the same code, message and hint to a Rust program.
#[tokio::test]
async fn the_typed_client_passes_refusals_on() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let refused = client.submit_scan(&SubmitRequest::untrusted("", "192.0.2.1")).await.unwrap_err();
    let ClientError::Tool { code, message, hint, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((code.as_str(), message.as_str()), ("invalid_argument", "`name` is missing"));
    assert!(hint.unwrap().contains("255"));
    client.close().await;
}
