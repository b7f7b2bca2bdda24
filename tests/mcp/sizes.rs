//! How long answers become: not with the targets of a scan, nor with what an agent asks.

use nessus_mcp_tests::processes::until;
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// The most bytes of an answer about one task or of a refusal. The answer has everything twice, as text and structure.
const SHORT: usize = 12_000;
/// Characters of an argument that is far too long.
const LONG: usize = 500_000;

fn names() -> String {
    let name = |number| format!("host-{number:05}.department.of.long.names.corp.example");
    (0..9_999).map(name).collect::<Vec<_>>().join(",")
}

/// The bytes of the answer to a request, and the answer.
async fn sized(fixture: &Fixture, method: &str, params: Value) -> (usize, Value) {
    let body = fixture.request(method, params).send().await.unwrap().bytes().await.unwrap();
    (body.len(), serde_json::from_slice(&body).unwrap())
}

/// Calls a tool, whose answer must not have more bytes than this; gives its text.
#[expect(clippy::print_stdout, reason = "a table of the sizes")]
#[track_caller]
fn call<'f>(
    fixture: &'f Fixture,
    tool: &'f str,
    arguments: Value,
    most: usize,
) -> impl Future<Output = String> + use<'f> {
    let at = std::panic::Location::caller();
    async move {
        let (bytes, answer) = sized(fixture, "tools/call", json!({ "name": tool, "arguments": arguments })).await;
        println!("{bytes:>8} of {most:>8}  {tool}  {}", arguments.to_string().chars().take(80).collect::<String>());
        assert!(bytes <= most, "{tool} at {at}: {bytes} bytes, more than {most}");
        answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{tool} at {at}: {answer}")).to_owned()
    }
}

#[tokio::test]
async fn answers_do_not_grow_with_the_targets() {
    let fixture = Fixture::start();
    let targets = names();
    let submitted = async |pool: &str, name: &str| {
        let arguments = json!({ "targets": targets, "name": name, "scanner_pool": pool });
        let text = call(&fixture, "run_untrusted_scan", arguments, SHORT).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["target_hosts"], 9_999);
        let shown = answer["targets"].as_str().unwrap();
        assert!(shown.starts_with("host-00000.") && shown.ends_with(" more") && shown.len() < 600, "{shown}");
        answer["task_id"].as_str().unwrap().to_owned()
    };
    let first = submitted("lab", "first").await;
    let second = fixture.submit(json!({ "targets": "192.0.2.1", "name": "second", "scanner_pool": "lab" })).await;
    let name = "ж".repeat(255);
    let mut waiting = String::new();
    for _ in 0..18 {
        waiting = submitted("slow", &name).await;
    }
    fixture.wait_for(&second, "completed").await;
    until("the scan is completed", &[&fixture.server.process], async || {
        // Each answer reads all the targets.
        let question = json!({ "task_id": first, "wait_seconds": 30 });
        let text = call(&fixture, "get_scan_status", question, SHORT).await;
        serde_json::from_str::<Value>(&text).is_ok_and(|view| view["status"] == "completed").then_some(())
    })
    .await;
    // An operator finds all of them.
    let whole = fixture.deployment.task(&nessus_mcp_lib::ids::TaskId::new(waiting.as_str()).unwrap()).payload.targets;
    assert_eq!(whole, targets);

    call(&fixture, "get_scan_status", json!({ "task_id": waiting }), SHORT).await;
    let list = call(&fixture, "list_tasks", json!({}), 60_000).await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["tasks"].as_array().unwrap().len(), 20);
    for tool in ["list_scanners", "list_pools", "get_pool_status", "get_queue_status", "health_check"] {
        call(&fixture, tool, json!({}), SHORT).await;
    }
    for characters in [4_000, 40_000] {
        // In bytes: JSON in JSON has its quotes escaped.
        let most = characters * 5 / 4 + 200;
        for profile in ["minimal", "full"] {
            let question = json!({ "task_id": first, "schema_profile": profile, "max_chars": characters });
            let text = call(&fixture, "get_scan_results", question, most).await;
            assert!(text.chars().count() <= characters && text.lines().count() > 3, "{text}");
        }
        let summary = json!({ "task_id": first, "max_chars": characters });
        let text = call(&fixture, "get_scan_summary", summary, most).await;
        assert!(text.chars().count() <= characters, "{text}");
        let scans = json!({ "before_task_id": first, "after_task_id": second, "max_chars": characters });
        let text = call(&fixture, "compare_scans", scans, most).await;
        assert!(text.chars().count() <= characters, "{text}");
    }
    for tool in ["cancel_scan", "retry_scan"] {
        call(&fixture, tool, json!({ "task_id": waiting }), SHORT).await;
    }
    for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
        let body = fixture.get(path).send().await.unwrap().bytes().await.unwrap();
        // Histograms have a line for each bucket, whatever is scanned.
        let most = if path == "/metrics" { 4 * SHORT } else { SHORT };
        assert!(body.len() < most, "{path}: {} bytes", body.len());
    }
}

/// Whatever is wrong with an argument, the answer does not repeat all of it; what is right is repeated up to a bound.
#[tokio::test]
async fn answers_do_not_grow_with_the_question() {
    let fixture = Fixture::start();
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "small", "scanner_pool": "lab" })).await;
    fixture.wait_for(&task, "completed").await;
    let long = "x".repeat(LONG);
    for name in [
        "targets",
        "name",
        "description",
        "schema_profile",
        "template",
        "scanner_pool",
        "scanner_instance",
        "idempotency_key",
        &*long,
    ] {
        let mut arguments = json!({ "targets": "192.0.2.1", "name": "long" });
        arguments[name] = json!(long);
        let text = call(&fixture, "run_untrusted_scan", arguments, SHORT).await;
        assert!(text.contains("\"error\""), "{text}");
    }
    let many = |count: usize| (0..count).map(|number| format!("field-{number}")).collect::<Vec<_>>();
    for (name, value) in [
        ("schema_profile", json!(long)),
        ("sort", json!(long)),
        ("cursor", json!(long)),
        ("custom_fields", json!([long])),
        ("extra_fields", json!([long])),
        ("custom_fields", json!(many(30_000))),
        ("extra_fields", json!(many(30_000))),
        ("custom_fields", json!(many(200))),
        ("filters", json!({ "plugin_name": long })),
        ("filters", json!({ long.clone(): 1 })),
        ("filters", json!({ "host": many(30_000) })),
        ("max_chars", json!(1)),
    ] {
        let text = call(&fixture, "get_scan_results", json!({ "task_id": task, name: value }), SHORT).await;
        let refusal: Value = serde_json::from_str(&text).unwrap();
        assert!(refusal["error"].is_string(), "{name}: {text}");
    }
    // What suffices is said, and suffices.
    let question = |characters: &Value| json!({ "task_id": task, "max_chars": characters });
    let refusal: Value =
        serde_json::from_str(&call(&fixture, "get_scan_results", question(&json!(1)), SHORT).await).unwrap();
    let words = refusal["message"].as_str().unwrap().split(' ');
    let least: usize = words.filter_map(|word| word.parse().ok()).next_back().unwrap();
    let text = call(&fixture, "get_scan_results", question(&json!(least)), SHORT).await;
    assert!(text.chars().count() <= least && text.contains("\"vulnerability\""), "{text}");
    // A filter as long as one may be: the answer keeps to its characters, and says that the filter is not shown.
    let names: Vec<String> = (0..900).map(|number| format!("={number:050}")).collect();
    let question = json!({ "task_id": task, "filters": { "not": { "host": names } }, "max_chars": 20_000 });
    let text = call(&fixture, "get_scan_results", question, 25_000).await;
    let schema: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(schema["filters_applied_left_out"], 1, "{schema}");
    assert!(text.chars().count() <= 20_000 && text.contains("\"vulnerability\""), "{text}");

    for tool in ["get_scan_status", "get_scan_results", "get_scan_summary", "cancel_scan", "retry_scan"] {
        call(&fixture, tool, json!({ "task_id": long }), SHORT).await;
    }
    call(&fixture, "compare_scans", json!({ "before_task_id": task, "after_task_id": long }), SHORT).await;
    call(&fixture, "cancel_scan", json!({ "task_id": task, "reason": long }), SHORT).await;
    for (tool, name) in [
        ("list_tasks", "status"),
        ("list_tasks", "scanner_pool"),
        ("list_scanners", "scanner_pool"),
        ("get_queue_status", "scanner_pool"),
        ("get_pool_status", "scanner_pool"),
        ("list_pools", "scanner_pool"),
    ] {
        call(&fixture, tool, json!({ name: long }), SHORT).await;
    }
    let (bytes, answer) = sized(&fixture, "tools/call", json!({ "name": long })).await;
    assert!(bytes < SHORT && answer["error"]["code"] == -32602, "{bytes}: {answer}");
    let (bytes, answer) = sized(&fixture, &long, json!({})).await;
    assert!(bytes < SHORT && answer["error"]["code"] == -32601, "{bytes}: {answer}");
    // All of them together are still less than a request may have.
    let part = &long[..LONG / 3];
    for method in ["resources/read", "prompts/get", "completion/complete", "logging/setLevel"] {
        let request = fixture.request(method, json!({ "uri": part, "name": part, "level": part, "ref": part }));
        let body = request.send().await.unwrap().bytes().await.unwrap();
        assert!(body.len() < SHORT, "{method}: {} bytes", body.len());
    }
}
