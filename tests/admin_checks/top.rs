//! `top` without a terminal, and what it leaves behind on one.

use nessus_mcp_lib::{
    ids::PoolName,
    queue::{self, TaskBody},
};
use nessus_mcp_tests::{deployment::Deployment, processes::Program, redis::RedisServer};
use serde_json::json;

use crate::{MOCKS, admin, json, program};

async fn with_work(deployment: Deployment) -> Deployment {
    nessus_mcp_lib::durable::create_directory(&deployment.data()).unwrap();
    let queue = queue::open(&deployment.queue_url().parse().unwrap()).await.unwrap();
    let created_at =
        nessus_mcp_lib::time::Clock::now(&nessus_mcp_lib::time::SystemClock).minus(std::time::Duration::from_secs(600));
    let body = json!({ "task_id": "mo_lab_20261101_000001_00000001", "created_at": created_at }).to_string();
    queue.enqueue(&PoolName::new("lab").unwrap(), &TaskBody::parse(body).unwrap()).await.unwrap();
    deployment
}

#[tokio::test]
async fn without_a_terminal_it_is_one_picture() {
    let redis = RedisServer::start();
    for deployment in [Deployment::new(MOCKS), Deployment::new(MOCKS).with_queue(redis.url())] {
        let deployment = with_work(deployment).await;
        for width in [40, 80, 200] {
            let finished = admin(&deployment, &["top", "--width", &width.to_string()]);
            assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
            assert!(finished.stdout.lines().all(|line| line.chars().count() <= width), "{finished:?}");
            assert!(finished.stdout.contains("lab") && finished.stdout.contains("10 min"), "{finished:?}");
            assert!(!finished.stdout.contains('\u{1b}') && finished.stdout.is_ascii(), "{finished:?}");
        }
        let view = json(&admin(&deployment, &["top", "--json"]));
        let pool = &view["pools"][0];
        assert_eq!((&pool["pool"], &pool["queued"], &pool["workers"]), (&json!("lab"), &json!(1), &json!(0)), "{view}");
        assert!(pool["oldest_waiting_seconds"].as_u64().unwrap() >= 600, "{view}");
    }
}

#[test]
fn a_queue_that_is_away_is_a_failure() {
    let deployment = Deployment::new(MOCKS).with_queue("redis://127.0.0.1:9");
    let finished = program(&deployment, &["top", "--once"]).run();
    assert_eq!((finished.code, &*finished.stdout), (Some(69), ""), "{finished:?}");
}

/// On a terminal it takes the whole screen, and gives it back, whatever ends it.
#[tokio::test]
async fn the_terminal_is_as_before_when_it_ends() {
    let deployment = with_work(Deployment::new(MOCKS)).await;
    let binary = env!("CARGO_BIN_EXE_nessus-admin");
    let top = format!("{binary} top --data-dir {}", deployment.data().display());
    // The first line of the file is the command itself, which is not to be found.
    let until_shown = "while ! grep -q '1049[h]' screen; do sleep 0.1; done";
    for (name, ends) in [("signal", "kill -TERM $top"), ("hangup", "kill -HUP $top")] {
        let run = format!("{top} & top=$!; {until_shown}; {ends}; wait $top; echo ended $?");
        let directory = deployment.path(name);
        std::fs::create_dir_all(&directory).unwrap();
        let script = Program::new("/usr/bin/script").args(["-qefc", &run, "screen"]).current_dir(&directory);
        let finished = script.env("TERM", "xterm").env("LANG", "C.UTF-8").run();
        let screen = std::fs::read_to_string(directory.join("screen")).unwrap();
        assert!(screen.contains("ended 0"), "{finished:?}");
        let count = |sequence: &str| screen.matches(sequence).count();
        assert_eq!((count("\u{1b}[?1049h"), count("\u{1b}[?1049l")), (1, 1), "{name}: {screen:?}");
        assert!(screen.rfind("\u{1b}[?1049l") < screen.rfind("ended 0"), "{name}: {screen:?}");
    }
}
