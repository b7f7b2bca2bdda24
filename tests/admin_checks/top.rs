//! `top` without a terminal, and what it leaves behind on one.

use nessus_mcp_lib::{
    ids::PoolName,
    queue::{self, TaskBody},
};
use nessus_mcp_tests::{deployment::Deployment, redis::RedisServer};
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
