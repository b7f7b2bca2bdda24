//! One name follows a request from the agent to what is said of the calls to the scanner.

use std::time::Duration;

use nessus_mcp_lib::ids::TaskId;
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{Process, files_below, holds},
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use serde_json::{Value, json};

const TALKATIVE: [&str; 2] = ["--log-level", "debug"];

fn config() -> SimConfig {
    SimConfig::new().scan_duration(Duration::from_millis(300))
}

fn parent(trace: &str) -> String {
    format!("00-{trace}-00f067aa0ba902b7-01")
}

/// Every line of a task's run carries its trace, among them those of the scanner's answers to these calls.
#[track_caller]
fn is_traced(process: &Process, task: &TaskId, trace: &str) {
    let log = process.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_task: Vec<_> = lines.iter().filter(|line| line["task_id"] == task.as_str()).collect();
    let other: Vec<_> = of_task.iter().filter(|line| line["trace_id"] != trace).collect();
    assert!(other.is_empty(), "{other:#?}");
    for call in ["POST /scans", "/launch", "/export", "/download"] {
        let of_call = |line: &&&Value| {
            line["message"] == "the scanner answered" && line["call"].as_str().is_some_and(|shown| shown.contains(call))
        };
        assert!(of_task.iter().any(|line| of_call(&line)), "no line of `{call}` carries {trace}:\n{log}");
    }
    for message in ["the scan was created", "the scan was launched"] {
        assert!(of_task.iter().any(|line| line["message"] == message), "{message}:\n{log}");
    }
}

#[tokio::test]
async fn over_http_a_trace_reaches_the_calls_to_the_scanner() {
    let sim = SimulatedNessus::start_with(config()).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let site = Site::start_with(sim, deployment, &TALKATIVE).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let call = json!({ "name": "run_untrusted_scan", "arguments": { "targets": "192.0.2.1", "name": "traced" } });
    let request = reqwest::Client::new().post(site.server.mcp()).header("traceparent", parent(trace));
    let request =
        request.header("accept", "application/json, text/event-stream").header("mcp-protocol-version", "2025-06-18");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call });
    let answer = request.json(&body).send().await.unwrap();
    let (named, ours) = (answer.headers()["x-trace-id"].clone(), answer.headers()["traceparent"].clone());
    assert_eq!(named, trace);
    let ours: Vec<_> = ours.to_str().unwrap().split('-').collect();
    assert_eq!((ours.len(), ours[0], ours[1], ours[3]), (4, "00", trace, "01"));
    let answer: Value = answer.json().await.unwrap();
    let task = TaskId::new(answer["result"]["structuredContent"]["task_id"].as_str().unwrap()).unwrap();
    assert_eq!(site.deployment.task(&task).trace_id.as_str(), trace);
    let queued = files_below(&site.deployment.data()).into_iter();
    let mut queue =
        queued.filter(|(path, _)| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("queue.db")));
    assert!(queue.any(|(_, bytes)| holds(&bytes, trace)), "the entry in the queue carries it");
    let submitted: Value = site
        .server
        .process
        .log()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|line| line["message"] == "the scan was submitted")
        .unwrap();
    assert_eq!((&submitted["trace_id"], &submitted["span_id"]), (&json!(trace), &json!(ours[2])));

    let mut worker = site.start_worker(&TALKATIVE);
    assert_eq!(site.completed(&task, &[&worker]).await.trace_id.as_str(), trace);
    assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
    is_traced(&worker, &task, trace);
}

#[tokio::test]
async fn over_stdio_a_trace_reaches_the_calls_to_the_scanner() {
    let sim = SimulatedNessus::start_with(config()).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let program =
        deployment.program(binaries::server(), &["stdio", "--with-worker", "--poll-interval-seconds", "50ms"]);
    let mut process = deployment.start(&program.args(TALKATIVE).with_input());
    let client = json!({ "name": "test", "version": "0" });
    let parameters = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    let mut ask = |id: u64, method: &str, parameters: Value| {
        process.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }).to_string());
        process.wait_for_line(method, |line| {
            serde_json::from_str::<Value>(line).ok().filter(|message| message["id"] == json!(id))
        })
    };
    ask(1, "initialize", parameters);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let arguments = json!({ "targets": "192.0.2.1", "name": "traced" });
    let mut submit = |id: u64, traceparent: &str| {
        let meta = json!({ "traceparent": traceparent });
        let call = json!({ "name": "run_untrusted_scan", "arguments": arguments, "_meta": meta });
        ask(id, "tools/call", call)["result"]["structuredContent"].clone()
    };
    let submitted = submit(2, &parent(trace));
    assert_eq!(submitted["trace_id"], trace, "{submitted}");
    let malformed = submit(3, &parent(&trace.to_uppercase()));
    assert_ne!(malformed["trace_id"], trace, "what breaks the rules is ignored: {malformed}");
    let task = TaskId::new(submitted["task_id"].as_str().unwrap()).unwrap();
    let mut status = Value::Null;
    for id in 4..200 {
        let call = json!({ "name": "get_scan_status", "arguments": { "task_id": task, "wait_seconds": 5 } });
        status = ask(id, "tools/call", call)["result"]["structuredContent"]["status"].clone();
        if status == "completed" {
            break;
        }
    }
    assert_eq!(status, "completed", "{}", process.tail());
    process.close_input();
    assert_eq!(process.wait().code(), Some(0), "{}", process.tail());
    is_traced(&process, &task, trace);
}
