//! Questions about numbers, each in one call, over an export with known answers.

use std::path::Path;

use nessus_mcp_lib::{durable, ids::TaskId};
use serde_json::{Value, json};

use crate::{bad_input::check, fixture::Fixture};

/// A completed scan whose results are those of the fixture.
async fn office(fixture: &Fixture) -> TaskId {
    let task = fixture.submit(json!({ "targets": "192.0.2.0/26", "name": "office", "scanner_pool": "lab" })).await;
    fixture.wait_for(&task, "completed").await;
    let export = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/exports/office.nessus");
    let results = fixture.deployment.data().join("tasks").join(task.as_str()).join("scan_native.nessus");
    durable::replace(&results, &std::fs::read(export).unwrap()).unwrap();
    task
}

/// The lines of an answer of a few characters.
async fn ask(fixture: &Fixture, task: &TaskId, mut question: Value) -> Vec<Value> {
    question["task_id"] = json!(task);
    let answer = fixture.call("get_scan_results", question.clone()).await;
    assert_ne!(answer.result["isError"], true, "{question}: {answer:?}");
    assert!(answer.text().len() < 3_000, "{question}: {}", answer.text());
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn every_question_takes_one_call() {
    let fixture = Fixture::start();
    let task = office(&fixture).await;
    // How many are High or worse, on how many hosts, of how many plugins?
    let lines = ask(&fixture, &task, json!({ "count_only": true, "filters": { "severity": ">=High" } })).await;
    let schema = &lines[0];
    let found =
        (&schema["matched"], &schema["matched_hosts"], &schema["matched_plugins"], &schema["matched_by_severity"]);
    assert_eq!(found, (&json!(5), &json!(4), &json!(5), &json!({ "Critical": 2, "High": 3 })));
    assert!(lines[1..].iter().all(|line| line["type"] == "scan_metadata" && line["short"] == true), "{lines:?}");
    // Which host has most of them?
    let question = json!({ "group_by": "host", "sort": ">=High", "filters": { "severity": ">=Medium" } });
    let lines = ask(&fixture, &task, question).await;
    let worst = json!({ "type": "group", "host": "db01.office.example", "host_ip": "192.0.2.20", "findings": 2, "plugins": 2,
        "by_severity": { "High": 2 } });
    assert_eq!((&lines[0]["groups"], &lines[2]), (&json!(4), &worst));
    // On which hosts is a plugin?
    let question = json!({ "group_by": "host", "filters": { "plugin_id": 900_001 }, "page_size": "10" });
    let lines = ask(&fixture, &task, question).await;
    assert_eq!(
        (&lines[0]["matched_hosts"], lines.iter().filter(|line| line["type"] == "group").count()),
        (&json!(4), 4)
    );
    // What does one solution close?
    let question = json!({ "group_by": "solution", "sort": "findings", "filters": { "severity": ">=Low" } });
    let lines = ask(&fixture, &task, question).await;
    assert_eq!(lines[2]["plugin_ids"], json!([910_001]), "{}", lines[2]);
    // The checks, by result.
    let lines = ask(&fixture, &task, json!({ "kind": "compliance", "group_by": "result" })).await;
    assert_eq!((&lines[2]["cm:compliance-result"], &lines[2]["findings"]), (&json!("FAILED"), &json!(1)));
    // A page beyond the end says so, of findings as of groups.
    for question in [json!({ "page": 7, "page_size": 10 }), json!({ "page": 7, "page_size": 10, "group_by": "port" })] {
        let last = ask(&fixture, &task, question).await.pop().unwrap();
        assert!(last["beyond_end"].as_str().unwrap().starts_with("there is no page 7: all that match fill "), "{last}");
    }
    // The groups after the first page.
    let question = |more: Value| {
        let mut question = json!({ "group_by": "plugin", "sort": "hosts", "page_size": 10 });
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        question
    };
    let first = ask(&fixture, &task, question(json!({}))).await;
    let cursor = json!({ "cursor": first.last().unwrap()["next_cursor"] });
    let (by_cursor, by_number) =
        (ask(&fixture, &task, question(cursor)).await, ask(&fixture, &task, question(json!({ "page": 2 }))).await);
    let groups = |lines: &[Value]| lines.iter().filter(|line| line["type"] == "group").cloned().collect::<Vec<_>>();
    assert_eq!((groups(&by_cursor).len(), groups(&by_cursor)), (4, groups(&by_number)));

    // Of the summary, what is asked for.
    let arguments = json!({ "task_id": task, "sections": ["known_exploited"] });
    let answer = fixture.call("get_scan_summary", arguments).await;
    let summary: Value = serde_json::from_str(answer.text()).unwrap();
    assert!(summary["hosts"].is_null() && answer.text().len() < 2_500, "{summary}");
    let named = summary["known_exploited"]["plugin_ids"]["shown"].as_array().unwrap();
    let rows = summary["plugins"]["shown"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| &row["plugin_id"]).collect::<Vec<_>>(), named.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn questions_that_contradict_themselves_are_refused() {
    let fixture = Fixture::start();
    let task = office(&fixture).await;
    let ask = |change: Value, code, message, hint| {
        let mut arguments = json!({ "task_id": task });
        arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        ("get_scan_results", arguments, code, message, hint)
    };
    check(
        &fixture,
        vec![
            ask(json!({ "count_only": true, "page": 1 }), "conflicting_options", "`count_only` and `page`", "leave"),
            ask(json!({ "count_only": true, "page_size": 10 }), "conflicting_options", "`page_size`", "leave"),
            ask(json!({ "count_only": true, "group_by": "host" }), "conflicting_options", "`group_by`", "leave"),
            ask(json!({ "count_only": true, "sort": "host" }), "conflicting_options", "`sort`", "leave"),
            ask(
                json!({ "group_by": "host", "custom_fields": ["host"] }),
                "conflicting_options",
                "`custom_fields`",
                "leave",
            ),
            ask(
                json!({ "group_by": "host", "schema_profile": "full" }),
                "conflicting_options",
                "`schema_profile`",
                "leave",
            ),
            ask(json!({ "group_by": "hots" }), "unknown_group", "`hots`", "did you mean `host`?"),
            ask(json!({ "group_by": "host", "sort": "-host" }), "invalid_sort", "`-host`", ">=High"),
            ask(
                json!({ "group_by": "result" }),
                "field_of_other_kind",
                "`result` in group_by",
                "set `kind` to `compliance`",
            ),
            ask(
                json!({ "custom_fields": ["hots"] }),
                "unknown_field",
                "`hots` in custom_fields",
                "did you mean `host`",
            ),
            ask(json!({ "extra_fields": ["hots"] }), "unknown_field", "`hots` in extra_fields", "did you mean `host`"),
            ask(
                json!({ "schema_profile": "full", "custom_fields": ["host"] }),
                "conflicting_options",
                "`schema_profile` and `custom_fields`",
                "leave",
            ),
            ask(json!({ "custom_fields": [""] }), "no_fields", "`custom_fields`", "at least one"),
            (
                "get_scan_summary",
                json!({ "task_id": task, "sections": ["host"] }),
                "unknown_section",
                "`host`",
                "did you mean `hosts`?",
            ),
        ],
    )
    .await;
}
