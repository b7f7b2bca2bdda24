//! The life of a task, as an operator sees it: who had it, what happened, and what the log says in each line.

use std::time::Duration;

use nessus_mcp_lib::ids::TaskId;
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{Process, until},
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use serde_json::Value;

/// `tasks show` for programs.
fn timeline(site: &Site, task: &str) -> Value {
    let shown = site.deployment.program(binaries::admin(), &["tasks", "show", task, "--json"]).run();
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    serde_json::from_str(&shown.stdout).unwrap()
}

fn events(timeline: &Value) -> Vec<&str> {
    timeline["entries"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect()
}

#[track_caller]
fn entry<'t>(timeline: &'t Value, event: &str) -> &'t Value {
    let found = timeline["entries"].as_array().unwrap().iter().find(|entry| entry["event"] == event);
    found.unwrap_or_else(|| panic!("no `{event}`: {timeline:#}"))
}

/// The worker of an entry is this process.
#[track_caller]
fn is_by(entry: &Value, worker: &Process) {
    let by = entry["by"].as_str().unwrap_or_else(|| panic!("by nobody: {entry}"));
    assert!(by.contains(&format!(" pid {} (", worker.id())), "{by} is not {}", worker.id());
}

async fn scanning(site: &Site, task: &TaskId, worker: &Process) {
    until("the scan runs", &[worker], async || {
        let events = site.deployment.task(task).events;
        events.iter().any(|event| event.event.as_str() == "scanning").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_killed_and_the_one_that_goes_on_are_both_named() {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_secs(5))).await;
    let lease = ["--lease-seconds", "2s"];
    let mut first = site.start_worker(&lease);
    let task = site.submit("inherited", "192.0.2.1").await;
    scanning(&site, &task, &first).await;
    first.kill();
    let mut second = site.start_worker(&lease);
    site.completed(&task, &[&second]).await;
    let told = timeline(&site, task.as_str());
    let whole = ["submitted", "queued", "claimed", "created", "launched"];
    assert_eq!(events(&told)[..5], whole, "{told:#}");
    for event in ["claimed", "created", "launched", "scanning"] {
        is_by(entry(&told, event), &first);
    }
    for event in ["adopted", "scan_ended", "exported", "checked", "completed"] {
        is_by(entry(&told, event), &second);
    }
    let from = format!("from {}, whose lease had ended", entry(&told, "claimed")["by"].as_str().unwrap());
    assert_eq!(entry(&told, "adopted")["detail"], from);
    let scan = entry(&told, "created")["detail"].as_str().unwrap();
    assert!(scan.ends_with(" on nessus:sim"), "{scan}");
    assert_eq!(entry(&told, "submitted")["by"], "local");
    assert_eq!((&told["status"], told.get("mark")), (&Value::from("completed"), None));

    // For people, by the beginning of its id, in a narrow terminal.
    let begin = &task.as_str()[..task.as_str().len() - 4];
    let shown = site.deployment.program(binaries::admin(), &["tasks", "show", begin]).env("COLUMNS", "80").run();
    assert!(
        shown.code == Some(0) && shown.stdout.contains("adopted") && shown.stdout.contains(task.as_str()),
        "{shown:?}"
    );
    // And the log of the second says whose scan it has taken over.
    assert_eq!(second.terminate(), Some(0), "{}", second.tail());
    assert!(second.log().contains(&from), "{}", second.tail());
}

#[tokio::test]
async fn an_operator_is_named_by_user_and_machine_and_a_worker_that_ends_hands_over() {
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_secs(600))).await;
    let mut first = site.start_worker(&[]);
    let task = site.submit("stopped", "192.0.2.1").await;
    scanning(&site, &task, &first).await;
    assert_eq!(first.terminate(), Some(0), "{}", first.tail());
    let mut second = site.start_worker(&[]);
    until("the scan is adopted", &[&second], async || second.log().contains("goes on with the scan").then_some(()))
        .await;
    let cancel = ["cancel", task.as_str(), "--reason", "wrong network"];
    let cancelled = site.deployment.program(binaries::admin(), &cancel).run();
    assert_eq!(cancelled.code, Some(0), "{}", cancelled.stderr);
    site.ended(&task, &[&second]).await;
    let told = timeline(&site, task.as_str());
    is_by(entry(&told, "handed_over"), &first);
    let adopted = entry(&told, "adopted");
    is_by(adopted, &second);
    assert!(adopted["detail"].as_str().unwrap().ends_with(", which had handed it over"), "{adopted}");
    let wish = entry(&told, "cancel_requested");
    let (user, host) = wish["by"].as_str().unwrap().split_once('@').unwrap();
    assert!(!user.is_empty() && adopted["by"].as_str().unwrap().starts_with(&format!("{host} pid ")), "{wish}");
    assert_eq!(wish["detail"], "wrong network");
    assert_eq!(second.terminate(), Some(0), "{}", second.tail());
    let log = second.log();
    let stopped = lines(&log).into_iter().find(|line| line["message"] == "the scan is stopped").unwrap();
    assert_eq!((&stopped["by"], &stopped["task_id"]), (&wish["by"], &Value::from(task.as_str())));
}

/// An operator's order about a pool reaches the logs of those that obey it, with whose it is.
#[tokio::test]
async fn who_pauses_a_pool_or_isolates_a_scanner_stands_in_the_logs_of_all() {
    let mut site = Site::start(SimConfig::new()).await;
    let mut worker = site.start_worker(&[]);
    worker.wait_for_log("pools served");
    let order = |arguments: &[&str]| {
        let done = site.deployment.program(binaries::admin(), arguments).run();
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    };
    order(&["pause", "nessus", "--reason", "power cut"]);
    worker.wait_for_log("the pool is paused");
    order(&["resume", "nessus"]);
    worker.wait_for_log("the pool is resumed");
    order(&["isolate-scanner", "nessus", "sim", "--reason", "new disk"]);
    worker.wait_for_log("somebody commands the circuit");
    site.server.process.wait_for_log("the pool is resumed");
    assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
    let said = lines(&worker.log());
    for message in [
        "the pool is paused: no scan begins there until it is resumed",
        "the pool is resumed and takes tasks again",
        "somebody commands the circuit of a scanner",
    ] {
        let line = said.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{message}"));
        assert!(line["by"].as_str().is_some_and(|by| by.contains('@')) && line["at"].is_string(), "{line}");
    }
}

fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// What every line has, whoever writes it.
const MEMBERS: [&str; 6] = ["time", "level", "component", "trace_id", "task_id", "message"];

/// Messages that are said to people: more than a word.
#[track_caller]
fn have_the_members(lines: &[Value]) {
    assert!(!lines.is_empty());
    for line in lines {
        assert!(MEMBERS.iter().all(|member| line.get(*member).is_some()), "{line}");
        assert!(line["message"].as_str().unwrap().contains(' '), "{line}");
    }
}

#[tokio::test]
async fn each_line_has_the_same_members_on_stderr_and_in_the_file() {
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let file = deployment.path("all.log");
    let to_file = ["--log-file", file.to_str().unwrap()];
    let mut site = Site::start_with(sim, deployment, &to_file).await;
    let mut worker = site.start_worker(&to_file);
    let task = site.submit("logged", "192.0.2.1").await;
    site.completed(&task, &[&worker]).await;

    // The level changes while it runs, and back.
    worker.more_log_lines();
    worker.wait_for_log("SIGUSR1: more is logged");
    let talkative = site.submit("logged more", "192.0.2.2").await;
    site.completed(&talkative, &[&worker]).await;
    worker.wait_for_log("\"DEBUG\"");
    worker.log_lines_as_before();
    worker.wait_for_log("SIGUSR2: the log level is as configured again");
    let server = &mut site.server.process;
    server.more_log_lines();
    server.wait_for_log("SIGUSR1: more is logged");
    for process in [&mut worker, server] {
        assert_eq!(process.terminate(), Some(0), "{}", process.tail());
    }
    let (of_server, of_worker) = (lines(&site.server.process.log()), lines(&worker.log()));
    let of_file = lines(&std::fs::read_to_string(&file).unwrap());
    for lines in [&of_server, &of_worker, &of_file] {
        have_the_members(lines);
    }
    assert_eq!(of_file.len(), of_server.len() + of_worker.len(), "the file has the lines of both");
    assert!(of_worker.iter().chain(&of_server).all(|line| of_file.contains(line)));
    // Each process begins with what it is.
    for (lines, process) in [(&of_server, &site.server.process), (&of_worker, &worker)] {
        let start = lines.iter().find(|line| line["message"] == "the process has started").unwrap();
        assert_eq!(start["pid"], process.id());
        assert!(
            ["version", "queue", "data_dir", "pools", "program"].iter().all(|name| start[*name].is_string()),
            "{start}"
        );
    }
    let of_task: Vec<_> = of_worker.iter().filter(|line| line["task_id"] == task.as_str()).collect();
    let trace = site.deployment.task(&task).trace_id.to_string();
    assert!(of_task.len() > 5 && of_task.iter().all(|line| line["trace_id"] == *trace), "{of_task:#?}");
    let name = format!(" pid {} (", worker.id());
    assert!(of_task.iter().all(|line| line["worker"].as_str().is_some_and(|worker| worker.contains(&name))));
}

#[tokio::test]
async fn a_log_file_that_cannot_be_written_stops_nothing() {
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let nowhere = deployment.path("missing").join("all.log");
    let mut site = Site::start_with(sim, deployment, &["--log-file", "/dev/full"]).await;
    let mut worker = site.start_worker(&["--log-file", nowhere.to_str().unwrap()]);
    let task = site.submit("not logged", "192.0.2.1").await;
    site.completed(&task, &[&worker]).await;
    for process in [&mut worker, &mut site.server.process] {
        assert_eq!(process.terminate(), Some(0), "{}", process.tail());
        let said = lines(&process.log());
        let said = said.iter().filter(|line| line["message"] == "the log file cannot be written for now");
        assert_eq!(said.count(), 1, "{}", process.tail());
    }
}
