//! What programs read: the JSON of each command. docs/admin.md says the same.

use serde_json::Value;

use crate::{
    admin,
    tasks::{Waiting, waiting},
};

/// The documents that a command has written, with `null`, `true` and so on in the place of what differs each time.
fn shapes(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| settled(serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))))
        .collect()
}

fn settled(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("mo_") => Value::from("<task id>"),
        Value::String(text) if text.parse::<nessus_mcp_lib::time::Timestamp>().is_ok() => Value::from("<time>"),
        Value::String(text) if text.len() >= 20 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Value::from("<hex>")
        }
        Value::String(text) if text.starts_with('/') => Value::from("<path>"),
        Value::String(text) if text.contains('@') && !text.contains(' ') => Value::from("<user@host>"),
        Value::String(text) if text.starts_with("nmcp_") => Value::from("<token>"),
        Value::Array(values) => values.into_iter().map(settled).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = if name == "seconds" { Value::from("<seconds>") } else { settled(value) };
                (name, value)
            })
            .collect(),
        other => other,
    }
}

#[tokio::test]
async fn the_json_of_each_command_has_its_shape() {
    let Waiting { deployment, tasks, .. } = &waiting(false).await;
    let (queued, failed) = (tasks[0].as_str(), tasks[2].as_str());
    let shown: Vec<Value> = [
        &["stats"][..],
        &["tasks", "list", "--name", "two"],
        &["tasks", "show", failed],
        &["list-dlq"],
        &["inspect-dlq", failed],
        &["tasks", "pause", queued, "--reason", "later"],
        &["tasks", "resume", queued],
        &["tasks", "cancel", queued, "mo_no", "--reason", "x"],
        &["tasks", "retry", failed],
        &["purge-dlq", "--older-than", "0m", "--yes"],
        &["pause", "lab", "--reason", "freeze"],
        &["resume", "lab"],
        &["circuits", "--pool", "lab"],
        &["isolate-scanner", "lab", "mock-1", "--reason", "smoke"],
        &["reset-circuit", "lab", "mock-1"],
        &["queue", "rebind"],
        &["stop-all", "--reason", "incident", "--yes"],
        &["token", "new", "desk", "--role", "approve", "--expires-in", "1d"],
    ]
    .into_iter()
    .map(|command| {
        let told = admin(deployment, &[command, &["--json"]].concat());
        serde_json::json!({ "command": settled(command.join(" ").replace(queued, "TASK").replace(failed, "TASK").into()), "prints": shapes(&told.stdout), "code": told.code })
    })
    .collect();
    insta::assert_json_snapshot!("json_of_each_command", shown);
}
