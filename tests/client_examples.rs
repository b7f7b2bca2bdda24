//! The examples of the client, run as anybody runs them, against the real server with its mock scanner; and the one that is a server of
//! its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::{Path, PathBuf};

use nessus_mcp_lib::{
    client::{NessusMcpClient, WaitOptions},
    ids::TaskId,
    service::ResultsRequest,
};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{Finished, PATIENCE, Program},
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

const SCANNERS: &str = "lab:\n  - {instance_id: mock-1, type: mock, scan_duration: 300ms}\n";

/// Where cargo puts the examples. It builds them before the tests of their package, unless it is told to build single tests.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    if !example.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = std::process::Command::new(cargo);
        let built = command.args(["build", "--quiet", "--package", "nessus-mcp-examples", "--example", name]).status();
        assert!(built.unwrap().success(), "{name} cannot be built");
    }
    example
}

fn run(name: &str) -> Finished {
    let finished = Program::new(built(name)).env("NESSUS_MCP_SERVER", binaries::server()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished
}

#[track_caller]
fn says(finished: &Finished, lines: &[&str]) {
    for line in lines {
        assert!(finished.stdout.lines().any(|said| said == *line), "`{line}` is missing: {finished:?}");
    }
}

#[test]
fn basic_usage_reads_a_page() {
    let finished = run("01_basic_usage");
    assert!(finished.stdout.starts_with("the server offers "), "{finished:?}");
    says(&finished, &["submitted a scan of 3 hosts: queued", "the scan is completed"]);
    assert!(finished.stdout.contains(" findings, of which this page has "), "{finished:?}");
    assert!(finished.stdout.contains("192.0.2."), "{finished:?}");
}

#[test]
fn waiting_tells_what_happens_and_loses_no_task() {
    let finished = run("02_wait_for_completion");
    says(&finished, &["unfinished: true", "- completed 100 %", "ended: completed, results: true"]);
}

#[test]
fn one_call_scans_and_a_refusal_has_a_code() {
    let finished = run("03_scan_and_wait");
    says(&finished, &["scan and wait: completed", "refused: invalid_targets", "has a hint: true"]);
}

#[test]
fn as_many_critical_findings_are_read_as_are_counted() {
    let finished = run("04_get_critical_vulns");
    let counts = finished.stdout.lines().next().unwrap();
    let critical: usize = counts.strip_prefix("critical ").unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(critical > 0, "{finished:?}");
    says(&finished, &[&format!("read {critical} critical findings")]);
    assert_eq!(finished.stdout.lines().count(), 2 + critical);
}

#[test]
fn the_full_workflow_reads_all_and_compares() {
    let finished = run("05_full_workflow");
    let found = finished.stdout.lines().find_map(|line| line.strip_prefix("findings: ")).unwrap();
    assert!(finished.stdout.contains(&format!("read {found} findings, ")), "{finished:?}");
    says(
        &finished,
        &[
            "scanners: 1",
            "would scan 9 hosts",
            "first scan: completed",
            "new: 0, fixed: 0",
            "third scan: cancelled",
            "scans of a day: 2",
        ],
    );
}

#[test]
fn an_example_uses_the_server_that_it_is_given() {
    let deployment = Deployment::new(SCANNERS);
    let server = deployment.server(binaries::server()).args(["--with-worker", "--poll-interval-seconds", "50ms"]);
    let server = deployment.serve(&server);
    let finished = Program::new(built("01_basic_usage")).arg(server.mcp()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(deployment.task_directories().len(), 1);
}

/// What people submit, agents read, and the other way round.
#[tokio::test]
async fn one_program_serves_people_and_agents() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::new(built("embed_in_axum")).arg("127.0.0.1:0").start(&directory.path().join("log"));
    let (scans, mcp) = program.wait_for_line("its addresses", |line| {
        let (scans, mcp) = line.strip_prefix("people: ")?.split_once(", agents: ")?;
        Some((scans.to_owned(), mcp.to_owned()))
    });
    let (http, agent) = (Client::new(), NessusMcpClient::connect(&mcp).await.unwrap());
    let submitted = http.post(&scans).json(&json!({ "name": "office", "targets": "192.0.2.1-192.0.2.3" }));
    let submitted = submitted.send().await.unwrap();
    assert_eq!(submitted.status(), StatusCode::ACCEPTED);
    let submitted: Value = submitted.json().await.unwrap();
    let task = TaskId::new(submitted["task_id"].as_str().unwrap()).unwrap();
    let waited = agent.wait_for_completion(&task, &WaitOptions::new(PATIENCE), |_| {}).await.unwrap();
    assert_eq!(waited.ended().unwrap().status.as_str(), "completed");
    let view: Value = http.get(format!("{scans}/{task}")).send().await.unwrap().json().await.unwrap();
    assert_eq!(view["status"], "completed", "{view}");
    let findings = http.get(format!("{scans}/{task}/findings")).send().await.unwrap().text().await.unwrap();
    assert_eq!(findings, agent.get_results_lines(&ResultsRequest::everything(task)).await.unwrap());
    assert!(findings.lines().count() > 3 && findings.contains("192.0.2.3"), "{findings}");

    let wrong = http.post(&scans).json(&json!({ "name": "office", "targets": "192.0.2.1.9" })).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().await.unwrap().starts_with("invalid_targets: "));
    let nothing = http.get(format!("{scans}/mo_lab_20200101_000000_00000000")).send().await.unwrap();
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);

    agent.close().await;
    program.interrupt();
    assert!(program.wait().success());
    program.wait_for_line("its end", |line| (line == "ended").then_some(()));
}

#[test]
fn an_agent_in_python_reads_all_pages() {
    let python = ["/usr/bin/python3", "/usr/local/bin/python3"].into_iter().map(Path::new).find(|path| path.exists());
    let Some(python) = python else {
        assert!(std::env::var_os("CI").is_none(), "no python3 for examples/agent_flow.py");
        return;
    };
    let deployment = Deployment::new(SCANNERS);
    let server = deployment.server(binaries::server()).args(["--with-worker", "--poll-interval-seconds", "50ms"]);
    let server = deployment.serve(&server);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("agent_flow.py");
    let finished = Program::new(python).arg(script).arg(server.mcp()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    says(&finished, &["the scan is completed"]);
    let words = [
        " tools, among them run_untrusted_scan: True",
        ", all of them: True",
        "a wrong question is refused: unknown_field, with a hint: True",
    ];
    assert!(words.iter().all(|words| finished.stdout.contains(words)), "{finished:?}");
}
