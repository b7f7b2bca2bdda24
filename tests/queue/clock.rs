//! What becomes of a queue whose server's clock steps back.

use std::time::Duration;

use nessus_mcp_lib::{
    Queue,
    ids::{InstanceId, WorkerId},
    queue::{RenewOutcome, SettleOutcome, Settlement, WorkerRecord},
    time::Timestamp,
};
use nessus_mcp_tests::redis::RedisServer;

use crate::faults::{LONG, SHORT, body, first_claim, open, pool, task, worker};

/// Lets the server's clock step back by an hour. It cannot be set: everything is made to look as if it had been ahead until now.
fn step_back(server: &RedisServer) {
    const HOUR_MS: &str = "3600000";
    for key in ["nessus:queue:leases", "nessus:queue:later", "nessus:queue:slots:a"] {
        for member in server.ask(&["ZRANGE", key, "0", "-1"]).texts() {
            server.ask(&["ZINCRBY", key, HOUR_MS, &member]);
        }
    }
    for key in ["nessus:queue:clock", "nessus:queue:slots:a:clock"] {
        server.ask(&["INCRBY", key, HOUR_MS]).number();
    }
    let seen = server.ask(&["GET", "nessus:queue:clock"]).text();
    server.ask(&["SET", "nessus:queue:later:clock", &format!("{seen} 0")]);
}

/// The server's clock steps back by an hour, in a failover to another machine for example: what dead workers held is free
/// after its lease all the same, and what waits is due after its pause.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_back_freezes_nothing() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    let scanner = InstanceId::new("a").unwrap();
    for number in 1..=3 {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
    }
    let claim = async |lease| queue.claim(&pool(), &worker(), lease, &[]).await.unwrap().map(|claim| claim.lease);
    let failed = claim(LONG).await.unwrap();
    queue.settle(&failed, Settlement::Nack { delay: SHORT, started: false }).await.unwrap();
    let (dead, alive) = (claim(SHORT).await.unwrap(), claim(LONG * 2).await.unwrap());
    queue.acquire_slot(&pool(), &scanner, &dead.task_id, 1, SHORT).await.unwrap();
    step_back(&server);
    assert_eq!(claim(LONG).await, None, "the step ends nothing before its time");
    assert_eq!(queue.slots_in_use(&pool(), &scanner).await.unwrap(), std::slice::from_ref(&dead.task_id));
    tokio::time::sleep(SHORT + Duration::from_millis(1100)).await;
    assert_eq!(claim(LONG).await.map(|lease| lease.task_id), Some(dead.task_id));
    assert_eq!(claim(LONG).await.map(|lease| lease.task_id), Some(failed.task_id));
    assert_eq!(claim(LONG).await, None);
    assert_eq!(queue.slots_in_use(&pool(), &scanner).await.unwrap(), []);
    let listed = queue.leases(&pool()).await.unwrap();
    let ends = listed.iter().find(|info| info.lease == alive).unwrap().expires_at;
    assert!(ends < listed[0].expires_at.plus(LONG + SHORT * 5), "{listed:?}");
}

/// A renewal is the first that sees that the clock has stepped back: its lease is as long as it was asked for, and those of others move.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_renewed_after_the_clock_has_stepped_back_stands() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    queue.enqueue(&pool(), &body(1)).await.unwrap();
    queue.enqueue(&pool(), &body(2)).await.unwrap();
    let alive = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
    let dead = queue.claim(&pool(), &worker(), SHORT, &[]).await.unwrap().unwrap().lease;
    step_back(&server);
    assert_eq!(queue.renew(std::slice::from_ref(&alive), LONG).await.unwrap(), [RenewOutcome::Held]);
    assert_eq!(first_claim(&queue).await.task_id, dead.task_id);
    assert_eq!(queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap(), None);
    assert_eq!(queue.settle(&alive, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
}

/// A worker that died before the clock stepped back does not seem to live until the clock has caught up: the next that tells of
/// itself moves its record along.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_worker_grows_old_after_the_clock_has_stepped_back() {
    const HOUR_MS: i64 = 3_600_000;
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    let record = |name: &str| WorkerRecord::new(WorkerId::new(name).unwrap(), Timestamp::from_millis(0));
    queue.announce_worker(&record("dead"), 2 * LONG).await.unwrap();
    let told = server.ask(&["HGET", "nessus:workers", "dead"]).text();
    let (heard, rest) = told.split_once(':').unwrap();
    let ahead = (heard.parse::<i64>().unwrap() + HOUR_MS).to_string();
    server.ask(&["HSET", "nessus:workers", "dead", &format!("{ahead}:{rest}"), "#clock", &ahead]);
    let age = async || {
        queue.workers().await.unwrap().into_iter().find(|seen| seen.record.worker.as_str() == "dead").unwrap().age
    };
    assert!(age().await < LONG, "the step makes it no older");
    queue.announce_worker(&record("alive"), 2 * LONG).await.unwrap();
    tokio::time::sleep(SHORT).await;
    assert!((SHORT..LONG).contains(&age().await), "{:?}", age().await);
}

/// A worker that only waits is the first that sees that: the lease of a dead one ends for it no later than it should.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_sees_that_the_clock_has_stepped_back() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    queue.enqueue(&pool(), &body(1)).await.unwrap();
    queue.claim(&pool(), &worker(), SHORT, &[]).await.unwrap().unwrap();
    server.ask(&["DEL", "nessus:queue:wake"]).number();
    step_back(&server);
    let pools = [pool()];
    tokio::time::timeout(Duration::from_secs(60), queue.wait_for_work(&pools, LONG)).await.unwrap();
    assert_eq!(first_claim(&queue).await.task_id, task(1));
}
