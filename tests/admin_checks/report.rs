//! `report`: the findings of a task as a file.

use std::{fs, io::pipe};

use nessus_mcp_lib::{
    durable,
    ids::{PoolName, TaskId, TraceId},
    task::{ScanPayload, ScanType, Task, TaskStatus},
};
use nessus_mcp_tests::{deployment::Deployment, processes::entries};

use crate::{MOCKS, admin, program};

const EXPORT: &str = include_str!("../../nessus-mcp-lib/src/scanner/mock/findings.nessus");

fn id(number: u32) -> TaskId {
    TaskId::new(format!("mo_lab_20261101_00000{number}_a000000{number}")).unwrap()
}

/// A deployment with a task in this state, by its files.
fn with_task(status: TaskStatus, export: Option<&str>) -> Deployment {
    let deployment = Deployment::new(MOCKS);
    let at = "2026-11-01T00:00:00Z".parse().unwrap();
    let (pool, payload) = (PoolName::new("lab").unwrap(), ScanPayload::new("x", "192.0.2.1"));
    let mut task = Task::new(id(1), TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, at);
    task.status = status;
    if status == TaskStatus::Failed {
        (task.error_code, task.error_message) =
            (Some("scanner_licence".to_owned()), Some("not in trial mode".to_owned()));
    }
    let directory = deployment.data().join("tasks").join(id(1).as_str());
    durable::create_directory(&directory).unwrap();
    durable::replace(&directory.join("task.json"), &serde_json::to_vec(&task).unwrap()).unwrap();
    if let Some(export) = export {
        durable::replace(&directory.join("scan_native.nessus"), export.as_bytes()).unwrap();
    }
    deployment
}

#[test]
fn the_format_goes_by_the_ending_and_nothing_is_overwritten() {
    let deployment = with_task(TaskStatus::Completed, Some(EXPORT));
    for (name, begin) in
        [("r.html", "<!DOCTYPE html>"), ("r.csv", "host,"), ("r.sarif", "{"), ("r.jsonl", "{\"type\":\"schema\"")]
    {
        let written = admin(&deployment, &["report", id(1).as_str(), "-o", name]);
        assert_eq!((written.code, &*written.stdout), (Some(0), ""), "{written:?}");
        let text = fs::read_to_string(deployment.path(name)).unwrap();
        assert!(text.starts_with(begin), "{name}: {}", &text[..100.min(text.len())]);
        // The beginning of an id is enough where it is that of one task.
        let again = admin(&deployment, &["report", "mo_lab_2026", "-o", name]);
        assert!(again.code == Some(2) && again.stderr.contains("--force"), "{again:?}");
        assert_eq!(admin(&deployment, &["report", "mo_lab_2026", "-o", name, "--force"]).code, Some(0));
    }
    let unknown = admin(&deployment, &["report", "mo_lab_2026", "-o", "r.doc"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("--format"), "{unknown:?}");
    let left = entries(deployment.directory());
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".tmp")), "{left:?}");
    // Nothing is written where only something is read.
    assert_eq!(entries(&deployment.data()), ["tasks"]);
}

#[test]
fn standard_output_takes_every_format_and_may_be_closed() {
    let deployment = with_task(TaskStatus::Completed, Some(EXPORT));
    let finished = admin(&deployment, &["report", id(1).as_str(), "-o", "-", "--format", "csv", "--profile", "triage"]);
    assert!(finished.code == Some(0) && finished.stdout.starts_with("host,port,"), "{finished:?}");
    let (reader, closed) = pipe().unwrap();
    drop(reader);
    let report = program(&deployment, &["report", id(1).as_str(), "-o", "-", "--format", "html"]).stdout_to(closed);
    let finished = report.run();
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
}

#[test]
fn a_task_without_results_says_why() {
    for (status, export, code, said) in [
        (TaskStatus::Queued, None, 1, "is queued: there are results when it has ended"),
        (TaskStatus::Failed, None, 1, "it is failed: scanner_licence: not in trial mode"),
        (TaskStatus::Completed, Some("<NessusClientData_v2><Report name='x'>"), 1, ""),
    ] {
        let deployment = with_task(status, export);
        let finished = admin(&deployment, &["report", id(1).as_str(), "-o", "r.html"]);
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert!(finished.stderr.starts_with("error: ") && finished.stderr.contains(said), "{finished:?}");
        assert!(!deployment.path("r.html").exists(), "what is not whole is not there");
    }
    let deployment = with_task(TaskStatus::Completed, Some(EXPORT));
    let missing = admin(&deployment, &["report", "ne_", "-o", "r.html"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("there is no task `ne_`"), "{missing:?}");
    let two = deployment.data().join("tasks").join(id(2).as_str());
    durable::create_directory(&two).unwrap();
    let several = admin(&deployment, &["report", "mo_", "-o", "r.html"]);
    assert!(
        several.stderr.contains("2 tasks begin with `mo_`") && several.stderr.contains(id(2).as_str()),
        "{several:?}"
    );
}
