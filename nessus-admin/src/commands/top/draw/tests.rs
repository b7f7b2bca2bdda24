use nessus_mcp_lib::{
    circuit_breaker::CircuitState,
    ids::{PoolName, TaskId},
    time::Timestamp,
};

use super::*;
use crate::{
    commands::top::model::{CircuitRow, FailureRow, PoolRow, RunningRow, WorkerRow},
    output::screen,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn pool(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

fn task(number: u32) -> TaskId {
    TaskId::new(format!("ne_ness_20261129_0119{number:02}_a1b2c3{number:02}")).unwrap()
}

fn view() -> View {
    let row = |name: &str, queued, workers, paused: Option<&str>| PoolRow {
        pool: pool(name),
        queued,
        delayed: 1,
        leased: 2,
        dead: u64::from(queued > 0) * 3,
        oldest_waiting_seconds: (queued > 0).then_some(754),
        workers: Some(workers),
        paused: paused.map(str::to_owned),
    };
    let worker = |worker: &str, state, heard_seconds| WorkerRow {
        worker: worker.to_owned(),
        host: "scan-host-1".to_owned(),
        pid: 4711,
        version: "0.1.0".to_owned(),
        state,
        heard_seconds,
        up_seconds: 90_000,
        pools: vec![pool("nessus"), pool("lab")],
        holds: 2,
    };
    let running = (1..=4).map(|number| RunningRow {
        task_id: task(number),
        name: format!("Büro {number}"),
        scanner: "nessus:scanner1".to_owned(),
        progress: (number > 1).then_some(u8::try_from(number * 20).unwrap()),
        running_seconds: u64::from(number) * 3600,
        error: (number == 4).then(|| "scanner_unreachable: no answer from the scanner".to_owned()),
    });
    View {
        at: Some(at("2026-11-29T01:19:12Z")),
        queue_latency_ms: 3,
        pools: vec![row("lab", 0, 1, None), row("nessus", 17, 0, None), row("office", 0, 1, Some("maintenance"))],
        workers: vec![worker("9f86d081884c7d65", "alive", 3), worker("2c26b46b68ffc68f", "lost", 75)],
        running: running.collect(),
        running_total: 4,
        circuits: vec![CircuitRow {
            scanner: "nessus:scanner2".to_owned(),
            state: CircuitState::Open,
            process: "worker 9f86d081884c7d65".to_owned(),
            reason: "5 calls in a row failed: connection refused".to_owned(),
        }],
        failures: vec![FailureRow {
            task_id: Some(task(9)),
            pool: pool("nessus"),
            failed_at: at("2026-11-29T01:09:12Z"),
            error_code: "scanner_login_refused".to_owned(),
            error: "the scanner refused the login: Invalid Credentials".to_owned(),
        }],
    }
}

/// The lines of a screen.
fn drawn(view: &View, problem: Option<&str>, (width, height): (u16, u16), terminal: Terminal) -> String {
    screen::picture(width, height, |frame| draw(frame, view, problem, terminal)).join("\n")
}

#[test]
fn all_is_shown_at_every_width() {
    let unicode = Terminal::plain(true);
    insta::assert_snapshot!("top_40", drawn(&view(), None, (40, height(&view())), unicode));
    insta::assert_snapshot!("top_80", drawn(&view(), None, (80, height(&view())), unicode));
    insta::assert_snapshot!("top_200", drawn(&view(), None, (200, height(&view())), unicode));
}

#[test]
fn where_there_are_few_lines_each_section_keeps_some() {
    let text = drawn(&view(), None, (80, 16), Terminal::plain(true));
    for title in ["QUEUES", "WORKERS", "RUNNING", "CIRCUITS", "FAILURES"] {
        assert!(text.contains(title), "{title}:\n{text}");
    }
    assert!(text.contains("more"), "{text}");
    // Whatever the size, nothing panics.
    for (width, height) in [(1, 1), (2, 40), (40, 3), (300, 5)] {
        drawn(&view(), Some("the queue does not answer"), (width, height), Terminal::plain(true));
    }
}

#[test]
fn without_unicode_all_is_ascii_and_a_problem_stands_above() {
    let text = drawn(&view(), Some("the queue does not answer"), (200, height(&view())), Terminal::plain(false));
    assert!(text.is_ascii(), "{text}");
    assert!(text.starts_with("nessus-admin top  as of 01:19:12Z\nthe queue does not answer\n"), "{text}");
    assert!(text.contains("B\\u{fc}ro"), "{text}");
}
