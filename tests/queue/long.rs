//! What a step asks of the server does not grow with the queue.

use std::{collections::BTreeMap, time::Duration};

use nessus_mcp_lib::{
    Queue,
    ids::InstanceId,
    queue::{DeadReason, EntryState, RemoveOutcome, RetryDeadOutcome, Settlement, redis::RedisQueue},
    time::Timestamp,
};
use nessus_mcp_tests::redis::RedisServer;

use super::faults::{body, open, pinned, pool, task, worker};

const LONG: Duration = Duration::from_secs(3600);
/// Commands that go through all of a key.
const WHOLE: [&str; 9] =
    ["lrem", "linsert", "lpos", "hgetall", "hkeys", "hvals", "smembers", "zremrangebyscore", "keys"];

/// How often the server was told each command since the last question, those of scripts included.
fn told(server: &RedisServer) -> BTreeMap<String, u64> {
    let stats = server.ask(&["INFO", "commandstats"]).text();
    let read = |line: &str| {
        let (name, counts) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), counts.split(',').next()?.parse().ok()?))
    };
    let counts = stats.lines().filter_map(read).collect();
    assert_eq!(server.ask(&["CONFIG", "RESETSTAT"]).text(), "OK");
    counts
}

/// A queue with `many` delayed, dead and ready tasks each, and the commands of every step on it.
async fn commands_at(many: u32) -> Vec<(&'static str, BTreeMap<String, u64>)> {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    for number in 0..2 * many {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
        let lease = claim(&queue, &[]).await;
        let settlement = if number < many {
            Settlement::Nack { delay: LONG, started: false }
        } else {
            Settlement::DeadLetter(DeadReason::new("no", "bad", 1))
        };
        queue.settle(&lease, settlement).await.unwrap();
    }
    for number in 2 * many..3 * many {
        queue.enqueue(&pool(), &pinned(number, "a")).await.unwrap();
    }
    let mut steps = Vec::new();
    let mut note = |step| steps.push((step, told(&server)));
    // What is noted once a second is noted.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let state = async |number| queue.state_of(&pool(), &task(number)).await.unwrap();

    note("before");
    queue.enqueue(&pool(), &body(3 * many)).await.unwrap();
    note("enqueue");
    queue.enqueue(&pool(), &body(3 * many)).await.unwrap();
    note("enqueue of a task that is known");
    assert_eq!(queue.position(&pool(), &task(3 * many)).await.unwrap(), Some(u64::from(many) + 1));
    note("position");
    assert_eq!(state(2 * many - 1).await, Some(EntryState::Dead));
    note("state of a dead one");
    assert_eq!(state(9 * many).await, None);
    note("state of nobody");
    assert_eq!(queue.retry_dead(&pool(), &body(many)).await.unwrap(), RetryDeadOutcome::Requeued);
    note("retry");
    assert_eq!(queue.remove(&pool(), &task(0)).await.unwrap(), RemoveOutcome::Removed);
    note("removal of a delayed one");
    assert_eq!(queue.remove(&pool(), &task(2 * many + 7)).await.unwrap(), RemoveOutcome::Removed);
    note("removal of a ready one");
    let lease = claim(&queue, &["a"]).await;
    assert_eq!(lease.task_id, task(3 * many));
    note("claim that passes over");
    queue.settle(&lease, Settlement::Release { delay: Duration::ZERO, started: false }).await.unwrap();
    note("release");
    claim(&queue, &[]).await;
    note("claim");
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, u64::from(many));
    note("stats");
    assert_eq!(queue.peek(&pool(), 3).await.unwrap().len(), 3);
    note("peek");
    queue.wait_for_work(&[pool()], LONG).await;
    note("wait");
    steps
}

async fn claim(queue: &RedisQueue, passed_over: &[&str]) -> nessus_mcp_lib::queue::Lease {
    let passed_over: Vec<_> = passed_over.iter().map(|scanner| InstanceId::new(*scanner).unwrap()).collect();
    queue.claim(&pool(), &worker(), LONG, &passed_over).await.unwrap().unwrap().lease
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_asks_no_more_of_a_long_queue() {
    // What scripts note once a second is not of the steps.
    let of_steps = |commands: &BTreeMap<String, u64>| {
        let counted =
            commands.iter().filter(|(name, _)| !["set", "info", "config|resetstat", "ping"].contains(&name.as_str()));
        counted.map(|(name, count)| (name.clone(), *count)).collect::<BTreeMap<_, _>>()
    };
    let (short, long) = (commands_at(10).await, commands_at(700).await);
    for ((step, of_short), (_, of_long)) in short.iter().zip(&long).skip(1) {
        assert_eq!(of_steps(of_short), of_steps(of_long), "{step}");
        for command in WHOLE {
            assert!(!of_long.contains_key(command), "{step}: {command} in {of_long:?}");
        }
    }
}

/// What has to be gone through is gone through in parts: none of them is larger when there is more.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_piled_up_is_worked_off_in_parts() {
    const MANY: u32 = 500;
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    let scripts = |commands: &BTreeMap<String, u64>| {
        ["eval", "evalsha"].iter().filter_map(|name| commands.get(*name)).sum::<u64>()
    };
    for number in 0..MANY {
        server.ask(&["LPUSH", "nessus:queue", body(number).as_str()]).number();
        let letter = format!(r#"{{"task_id":"{}","error":"no"}}"#, task(MANY + number));
        server.ask(&["ZADD", "nessus:queue:dead", &number.to_string(), &letter]).number();
    }
    told(&server);
    assert_eq!(queue.position(&pool(), &task(MANY - 1)).await.unwrap(), Some(u64::from(MANY)));
    let commands = told(&server);
    assert_eq!(commands.get("rpop"), Some(&u64::from(MANY)), "{commands:?}");
    assert!(scripts(&commands) >= u64::from(MANY / 100), "{commands:?}");
    assert_eq!(queue.state_of(&pool(), &task(MANY)).await.unwrap(), Some(EntryState::Dead));
    assert!(scripts(&told(&server)) >= u64::from(MANY / 100));
    assert_eq!(queue.purge_dead(&pool(), Timestamp::from_millis(1000 * 250)).await.unwrap(), 250);
    assert!(scripts(&told(&server)) >= 250 / 100);
    assert_eq!(queue.dead_letters(&pool(), 0, u32::MAX).await.unwrap().len(), 250);
    assert_eq!(queue.peek(&pool(), u32::MAX).await.unwrap().len(), MANY as usize);
}
