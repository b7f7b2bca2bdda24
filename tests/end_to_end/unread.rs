//! Pipes of a process that nobody reads, as the parents of many MCP servers do not.

use std::{
    io::{BufRead as _, BufReader, PipeReader, pipe},
    time::Duration,
};

use nessus_mcp_lib::{client::NessusMcpClient, ids::TaskId, service::SubmitRequest, task::TaskStatus};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{Process, Program, full_pipe, until},
};
use serde_json::{Value, json};

const MOCK: &str = "lab:\n  - {instance_id: mock-1, type: mock, scan_duration: 300ms}\n";
const LOOK_OFTEN: [&str; 2] = ["--poll-interval-seconds", "50ms"];
/// Every line there is.
const LOUD: [&str; 2] = ["--log-level", "trace,rmcp=trace"];

fn loud_server(deployment: &Deployment) -> Program {
    deployment.server(binaries::server()).args(LOOK_OFTEN).args(LOUD)
}

fn status(deployment: &Deployment, task: &TaskId) -> TaskStatus {
    deployment.task(task).status
}

async fn submit(client: &NessusMcpClient, name: &str) -> TaskId {
    client.submit_scan(&SubmitRequest::untrusted(name, "192.0.2.1")).await.unwrap().task_id
}

async fn metric(url: &str, name: &str) -> u64 {
    let text = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

/// It accepts, scans and answers; what it could not say is counted, and said when somebody reads again.
#[tokio::test]
async fn a_server_whose_log_nobody_reads_goes_on_and_says_what_it_dropped() {
    let deployment = Deployment::new(MOCK);
    let (log, full) = full_pipe();
    let mut server = deployment.serve(&loud_server(&deployment).arg("--with-worker").stderr_to(full));
    let client = NessusMcpClient::connect(&server.mcp()).await.unwrap();
    let mut tasks = Vec::new();
    until("log lines are dropped", &[&server.process], async || {
        tasks.push(submit(&client, "unheard").await);
        for _ in 0..20 {
            client.list_tools().await.unwrap();
        }
        (metric(server.url(), "nessus_log_lines_dropped_total").await > 0).then_some(())
    })
    .await;
    let live = reqwest::get(format!("{}/health/live", server.url())).await.unwrap();
    assert_eq!(live.status(), 200);
    for task in tasks {
        until("the scan is completed", &[&server.process], async || {
            (status(&deployment, &task) == TaskStatus::Completed).then_some(())
        })
        .await;
    }
    let said = BufReader::new(log).lines().map_while(Result::ok).find(|line| line.contains("log lines were dropped"));
    let said: Value = serde_json::from_str(&said.unwrap()).unwrap();
    assert!(said["lines"].as_u64().unwrap() > 0 && said["level"] == "WARN", "{said}");
    // The rest of the log is not read, and the reader is gone.
    assert_eq!(server.process.terminate(), Some(0), "{}", server.process.tail());
}

/// SIGTERM ends whatever runs, and its tasks are handed back, although nobody has ever read a line.
#[tokio::test]
async fn sigterm_ends_a_process_whose_log_nobody_reads() {
    let deployment = Deployment::new(MOCK);
    let (_log_of_server, full) = full_pipe();
    let mut server = deployment.serve(&loud_server(&deployment).stderr_to(full));
    let (_log_of_worker, full) = full_pipe();
    let worker = deployment.program(binaries::worker(), &[]).args(LOOK_OFTEN).args(LOUD).stderr_to(full);
    let mut worker = deployment.start(&worker);
    let client = NessusMcpClient::connect(&server.mcp()).await.unwrap();
    let task = submit(&client, "unheard").await;
    until("the scan is completed", &[&server.process, &worker], async || {
        (status(&deployment, &task) == TaskStatus::Completed).then_some(())
    })
    .await;
    assert_eq!((worker.terminate(), server.process.terminate()), (Some(0), Some(0)));
}

/// The message is lost, the exit code is not.
#[test]
fn a_failure_that_nobody_reads_is_still_an_exit_code() {
    let deployment = Deployment::new("lab: []\n");
    for program in [deployment.server(binaries::server()), deployment.program(binaries::worker(), &[])] {
        let (_unread, full) = full_pipe();
        assert_eq!(program.stderr_to(full).run().code, Some(78));
    }
}

/// `stdio` with a worker and pipes of which nobody reads anything.
fn unread_agent(deployment: &Deployment) -> (Process, PipeReader, PipeReader) {
    let (log, full) = full_pipe();
    let (answers, stdout) = pipe().unwrap();
    let program = deployment.program(binaries::server(), &["stdio", "--with-worker"]).args(LOOK_OFTEN).args(LOUD);
    let mut process = deployment.start(&program.with_input().stdout_to(stdout).stderr_to(full));
    let parameters = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "0" },
    });
    process.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters }).to_string());
    process.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string());
    (process, answers, log)
}

/// Asks for so much that no pipe holds the answers, and for a scan; the last of these ids is answered last of all.
fn ask_for_much(process: &mut Process) -> impl Iterator<Item = u64> + use<> {
    let arguments = json!({ "targets": "192.0.2.1", "name": "unheard" });
    let call = json!({ "name": "run_untrusted_scan", "arguments": arguments });
    process.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call }).to_string());
    for id in 3..=300 {
        process.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" }).to_string());
    }
    1..=300
}

/// Its worker works meanwhile, and not one byte is lost.
#[tokio::test]
async fn answers_that_are_read_late_arrive_whole() {
    let deployment = Deployment::new(MOCK);
    let (mut process, answers, _log) = unread_agent(&deployment);
    let asked = ask_for_much(&mut process);
    until("the scan is completed", &[&process], async || {
        let name = deployment.task_directories().pop()?;
        // A directory stands before the file in it.
        let is_there = deployment.data().join("tasks").join(&name).join("task.json").exists();
        (is_there && status(&deployment, &TaskId::new(name).unwrap()) == TaskStatus::Completed).then_some(())
    })
    .await;
    process.close_input();
    let mut answered: Vec<u64> = Vec::new();
    for line in BufReader::new(answers).lines() {
        let answer: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert!(answer["result"].is_object(), "{answer}");
        answered.push(answer["id"].as_u64().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, asked.collect::<Vec<_>>());
    assert_eq!(process.wait().code(), Some(0));
}

#[tokio::test]
async fn sigterm_ends_an_agents_server_whose_answers_nobody_reads() {
    let deployment = Deployment::new(MOCK);
    let (mut process, _answers, _log) = unread_agent(&deployment);
    let _ = ask_for_much(&mut process);
    until("a scan is accepted", &[&process], async || deployment.task_directories().pop()).await;
    assert_eq!(process.terminate(), Some(0));
}

/// An agent that died: nobody is told anything, least of all as an error.
#[test]
fn an_agents_server_whose_stdout_is_closed_ends_quietly() {
    let deployment = Deployment::new(MOCK);
    let (answers, stdout) = pipe().unwrap();
    let program = deployment.program(binaries::server(), &["stdio", "--with-worker"]);
    let mut process = deployment.start(&program.with_input().stdout_to(stdout));
    drop(answers);
    process.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string());
    assert_eq!(process.wait().code(), Some(0), "{}", process.tail());
    assert!(!process.log().contains("\"ERROR\""), "{}", process.tail());
}

/// A server says where it listens, and does not mind when nobody wants to know.
#[tokio::test]
async fn a_server_whose_stdout_is_closed_serves() {
    let deployment = Deployment::new(MOCK);
    let (unread, stdout) = pipe().unwrap();
    drop(unread);
    let program = deployment.program(binaries::server(), &["serve"]).args(["--mcp-bind", "127.0.0.1:0"]);
    let mut process = deployment.start(&program.stdout_to(stdout));
    process.wait_for_log("\"requests are served at this address\"");
    let serving = process.log().lines().find(|line| line.contains("requests are served")).unwrap().to_owned();
    let address = serde_json::from_str::<Value>(&serving).unwrap()["address"].as_str().unwrap().to_owned();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let live = client.get(format!("http://{address}/health/live")).send().await.unwrap();
    assert_eq!(live.status(), 200);
    assert_eq!(process.terminate(), Some(0), "{}", process.tail());
}
