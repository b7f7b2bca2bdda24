//! The examples of the client, run as anybody runs them, against the real server with its mock scanner.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::{Path, PathBuf};

use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{Finished, Program},
};

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
    says(&finished, &["the server offers 18 tools", "submitted a scan of 3 hosts: queued", "the scan is completed"]);
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
    says(&finished, &["18 tools, among them run_untrusted_scan: True", "the scan is completed"]);
    let words = [", all of them: True", "a wrong question is refused: unknown_field, with a hint: True"];
    assert!(words.iter().all(|words| finished.stdout.contains(words)), "{finished:?}");
}
