//! The report as a view of MCP Apps, for clients that declare the extension and for all others.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use nessus_mcp_lib::durable;
use rmcp::{
    ClientLifecycleMode, ClientServiceExt as _, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, ExtensionCapabilities, Implementation, ProtocolVersion,
        ReadResourceRequestParams, Tool,
    },
    service::RunningService,
    transport::StreamableHttpClientTransport,
};
use serde_json::{Value, json};

use crate::{
    fixture::{Answer, Fixture},
    ui::{HOSTILE, hostile_export},
};

const ADDRESS: &str = "ui://nessus-mcp/report";
const MIME_TYPE: &str = "text/html;profile=mcp-app";
/// What the view makes.
const ELEMENTS: &str = "div figcaption figure h1 h2 li main p section span strong table tbody td th thead tr ul";

type Client = RunningService<RoleClient, ClientConfig>;

/// A client that shows views of these types, if it shows any.
fn client_with(mime_types: Option<&str>) -> ClientConfig {
    let settings = mime_types.map(|one| json!({ "mimeTypes": [one] }).as_object().cloned().unwrap());
    let extensions: ExtensionCapabilities =
        settings.into_iter().map(|settings| ("io.modelcontextprotocol/ui".to_owned(), settings)).collect();
    let capabilities = ClientCapabilities::builder().enable_extensions_with(extensions).build();
    ClientConfig::new(capabilities, Implementation::new("test", "0"))
}

/// One that says with each request what it can, as newer clients do.
async fn newer(fixture: &Fixture, mime_types: Option<&str>) -> Client {
    let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let transport = StreamableHttpClientTransport::from_uri(fixture.server.mcp());
    client_with(mime_types).serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

/// One that says it in the handshake.
async fn older(fixture: &Fixture, mime_types: Option<&str>) -> Client {
    let transport = StreamableHttpClientTransport::from_uri(fixture.server.mcp());
    client_with(mime_types).serve_with_lifecycle(transport, ClientLifecycleMode::Initialize).await.unwrap()
}

/// The tools that name a view, and all of them without it.
async fn listed(client: Client) -> (Vec<(String, Value)>, Vec<Tool>) {
    let mut tools = client.list_all_tools().await.unwrap();
    client.cancel().await.unwrap();
    let take = |tool: &mut Tool| Some((tool.name.to_string(), serde_json::to_value(tool.meta.take()?).unwrap()));
    (tools.iter_mut().filter_map(take).collect(), tools)
}

/// Only who can show a view is told of it, and is told of nothing else that others are not.
#[tokio::test]
async fn tools_name_the_view_to_clients_that_declare_it() {
    let fixture = Fixture::start();
    let (named, as_before) = listed(newer(&fixture, None).await).await;
    assert!(named.is_empty() && !as_before.is_empty(), "{named:?}");
    for other in [newer(&fixture, Some("text/html")).await, older(&fixture, None).await] {
        assert_eq!(listed(other).await, (Vec::new(), as_before.clone()));
    }
    // A server without sessions does not remember a handshake.
    assert_eq!(listed(older(&fixture, Some(MIME_TYPE)).await).await, (Vec::new(), as_before.clone()));
    let (mut named, tools) = listed(newer(&fixture, Some(MIME_TYPE)).await).await;
    named.sort_by(|one, other| one.0.cmp(&other.0));
    let meta = json!({ "ui": { "resourceUri": ADDRESS } });
    assert_eq!(named, [("compare_scans".to_owned(), meta.clone()), ("get_scan_summary".to_owned(), meta)]);
    assert_eq!(tools, as_before);
}

/// Over stdio a client says it once, and is known from then on.
#[tokio::test]
async fn over_stdio_the_handshake_declares_it() {
    let scanners = Fixture::start();
    let lists = async |mime_types| {
        let mut server = tokio::process::Command::new(env!("CARGO_BIN_EXE_nessus-mcp-server"));
        server.args(["stdio", "--log-level", "error", "--data-dir"]).arg(scanners.deployment.path("data of stdio"));
        server.arg("--scanner-config").arg(scanners.deployment.scanners_yaml()).kill_on_drop(true);
        let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let pipes = (server.stdout.take().unwrap(), server.stdin.take().unwrap());
        let client =
            client_with(mime_types).serve_with_lifecycle(pipes, ClientLifecycleMode::Initialize).await.unwrap();
        let (named, _) = listed(client).await;
        assert!(server.wait().await.unwrap().success());
        named.len()
    };
    assert_eq!((lists(Some(MIME_TYPE)).await, lists(None).await), (2, 0));
}

/// The view is one document without data and without foreign sources; what a tool answers is a text, as for all others.
#[tokio::test]
async fn the_view_is_a_document_and_the_answer_stays_a_text() {
    let fixture = Fixture::start();
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "shown", "scanner_pool": "lab" })).await;
    fixture.wait_for(&task, "completed").await;
    let mut answers = Vec::new();
    for mime_types in [None, Some(MIME_TYPE)] {
        let client = newer(&fixture, mime_types).await;
        let listed = client.list_all_resources().await.unwrap();
        assert!(listed.iter().all(|one| one.uri.starts_with("nessus://")), "{listed:?}");
        let read = client.read_resource(ReadResourceRequestParams::new(ADDRESS)).await.unwrap();
        let read = serde_json::to_value(read.contents).unwrap();
        let [contents] = &read.as_array().unwrap()[..] else { panic!("{read}") };
        assert_eq!((&contents["uri"], &contents["mimeType"]), (&json!(ADDRESS), &json!(MIME_TYPE)));
        // No host is declared, so the host of the client lets the view reach none.
        assert_eq!(contents["_meta"], json!({ "ui": { "prefersBorder": true } }));
        let html = contents["text"].as_str().unwrap();
        assert!(
            html.starts_with("<!doctype html>") && html.contains("default-src 'none'") && !html.contains("192.0.2.")
        );
        let arguments = json!({ "task_id": task }).as_object().cloned().unwrap();
        let request = rmcp::model::CallToolRequestParams::new("get_scan_summary").with_arguments(arguments);
        answers.push(serde_json::to_value(client.call_tool(request).await.unwrap()).unwrap());
        client.cancel().await.unwrap();
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0]["structuredContent"].is_null() && answers[0]["content"][0]["type"] == "text", "{}", answers[0]);
}

/// The script runs in Node.js, in a document whose every other use is an error. What a target has written is shown, as text.
#[tokio::test]
async fn a_hostile_answer_becomes_text() {
    if Command::new("node").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: node is missing, so the script of the view was not run: install Node.js");
        return;
    }
    let fixture = Fixture::start();
    let mut tasks = Vec::new();
    for one in HOSTILE {
        let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "planted", "scanner_pool": "lab" })).await;
        fixture.wait_for(&task, "completed").await;
        let export = fixture.deployment.data().join("tasks").join(task.as_str()).join("scan_native.nessus");
        durable::replace(&export, hostile_export(one).as_bytes()).unwrap();
        tasks.push(task);
    }
    let mut answers: Vec<Answer> = Vec::new();
    for task in &tasks {
        answers.push(fixture.call("get_scan_summary", json!({ "task_id": task })).await);
    }
    for after in &tasks[1..] {
        let arguments = json!({ "before_task_id": tasks[0], "after_task_id": after });
        answers.push(fixture.call("compare_scans", arguments).await);
    }
    answers.push(fixture.call("get_scan_summary", json!({ "task_id": "mo_lab_20200101_000000_00000000" })).await);
    let read = fixture.rpc("resources/read", json!({ "uri": ADDRESS })).await;
    let results: Vec<_> = answers.iter().map(|answer| &answer.result).collect();
    let input = json!({ "html": read["result"]["contents"][0]["text"], "results": results });

    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/report_view.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let ran = node.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let seen: Value = serde_json::from_slice(&ran.stdout).unwrap();

    let sent: Vec<_> = seen["sent"].as_array().unwrap().iter().map(|one| one["message"].clone()).collect();
    let initialize = &sent[0];
    assert_eq!(
        (&initialize["method"], &initialize["params"]["protocolVersion"]),
        (&json!("ui/initialize"), &json!("2026-01-26"))
    );
    let size = json!({ "jsonrpc": "2.0", "method": "ui/notifications/size-changed", "params": { "width": 401, "height": 300 } });
    assert_eq!(
        sent[1..],
        [
            json!({ "jsonrpc": "2.0", "method": "ui/notifications/initialized" }),
            size,
            json!({ "jsonrpc": "2.0", "id": 7, "result": {} }),
            json!({ "jsonrpc": "2.0", "id": 8, "result": {} }),
            json!({ "jsonrpc": "2.0", "id": 9, "error": { "code": -32601, "message": "Method not found" } }),
        ]
    );
    assert_eq!((&seen["forged"], &seen["cancelled"]), (&json!(""), &json!("The call was cancelled.")));
    let shown = seen["shown"].as_array().unwrap();
    assert_eq!(shown.len(), answers.len());
    // A summary of each, then what the others have that the first has not; at last an error.
    let written = [&HOSTILE[..], &HOSTILE[1..]].concat();
    for (index, shown) in shown.iter().enumerate() {
        let text = shown["text"].as_str().unwrap();
        for name in shown["elements"].as_array().unwrap() {
            assert!(ELEMENTS.split(' ').any(|known| name == known), "{name}: {text}");
        }
        assert!(!text.contains("undefined") && !text.contains("NaN") && !text.contains("[object"), "{text}");
        assert!(!text.contains(['\u{202e}', '\u{200b}']), "{text}");
        let Some(written) = written.get(index) else {
            assert!(text.contains("mo_lab_20200101_000000_00000000"), "{text}");
            continue;
        };
        let plain: String = written.chars().filter(|one| !matches!(one, '\u{202e}' | '\u{200b}')).collect();
        assert!(text.contains(&plain), "{plain} is not in {text}");
    }
}
