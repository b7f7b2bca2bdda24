//! What a server, a network or an operator may do to the queue.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    Queue,
    error::{Classified as _, ErrorKind, chain},
    ids::{InstanceId, PoolName, TaskId, WorkerId},
    queue::{
        DeadReason, EnqueueOutcome, EntryState, IdempotencyEntry, IdempotencyOutcome, Lease, QueueError, QueueStats,
        RemoveOutcome, RenewOutcome, RetryDeadOutcome, SettleOutcome, Settlement, SlotOutcome, TaskBody, WorkerRecord,
        redis::RedisQueue,
    },
    secret::Secret,
    time::Timestamp,
};
use nessus_mcp_tests::{
    proxy::Proxy,
    redis::{DURABLE, FORGETFUL, RedisServer, Reply},
};

pub(crate) const LONG: Duration = Duration::from_secs(3600);
pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) fn pool() -> PoolName {
    PoolName::new("nessus").unwrap()
}

pub(crate) fn worker() -> WorkerId {
    WorkerId::new("w").unwrap()
}

pub(crate) fn task(number: u32) -> TaskId {
    TaskId::new(format!("ne_ness_20251201_143022_{number:08x}")).unwrap()
}

pub(crate) fn body(number: u32) -> TaskBody {
    TaskBody::parse(format!(r#"{{"task_id":"{}","number":{number}}}"#, task(number))).unwrap()
}

/// The body of a task that waits for a scanner.
pub(crate) fn pinned(number: u32, scanner: &str) -> TaskBody {
    TaskBody::parse(format!(r#"{{"task_id":"{}","scanner_instance_id":"{scanner}"}}"#, task(number))).unwrap()
}

pub(crate) async fn open(url: &str) -> RedisQueue {
    RedisQueue::open(&Secret::new(url)).await.unwrap()
}

/// The first claim that finds something.
pub(crate) async fn first_claim(queue: &RedisQueue) -> Lease {
    let began = Instant::now();
    loop {
        if let Some(claim) = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap() {
            return claim.lease;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "there is nothing to claim");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The answer of every call that may be repeated, when the reply to its first sending was lost: the step was done once, and
/// the caller hears what the contract promises.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_asked_for_again() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let queue = open(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    let lose = || proxy.lose_replies(1);

    lose();
    assert_eq!(queue.enqueue(&pool(), &body(1)).await.unwrap(), EnqueueOutcome::AlreadyKnown);
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 1);

    let entry = IdempotencyEntry::new(task(1), "hash", Timestamp::from_millis(5));
    lose();
    assert_eq!(queue.claim_idempotency_key("k", &entry, LONG).await.unwrap(), IdempotencyOutcome::Claimed);
    assert_eq!(queue.claim_idempotency_key("k", &entry, LONG).await.unwrap(), IdempotencyOutcome::Existing(entry));

    let scanner = InstanceId::new("a").unwrap();
    lose();
    assert_eq!(queue.acquire_slot(&pool(), &scanner, &task(1), 1, LONG).await.unwrap(), SlotOutcome::Acquired);
    lose();
    queue.release_slot(&pool(), &scanner, &task(1)).await.unwrap();

    let lease = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
    lose();
    assert_eq!(
        queue.settle(&lease, Settlement::DeadLetter(DeadReason::new("no", "bad", 1))).await.unwrap(),
        SettleOutcome::LeaseLost
    );
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(0, 0, 0, 1));
    lose();
    assert_eq!(queue.retry_dead(&pool(), &body(1)).await.unwrap(), RetryDeadOutcome::AlreadyQueued);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(1, 0, 0, 0));
    lose();
    assert_eq!(queue.remove(&pool(), &task(1)).await.unwrap(), RemoveOutcome::NotFound);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::default());
    assert_eq!(proxy.left_to_lose(), 0);
}

/// Repeating a claim would lease a second task for nobody: the caller is told, and the task comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_reply_is_lost_waits_for_its_lease() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let queue = open(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    queue.enqueue(&pool(), &body(1)).await.unwrap();
    queue.enqueue(&pool(), &body(2)).await.unwrap();
    proxy.lose_replies(1);
    let error = queue.claim(&pool(), &worker(), SHORT, &[]).await.unwrap_err();
    assert_eq!(error.code(), "queue_unavailable", "{}", chain(&error));
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(1, 0, 1, 0));
    tokio::time::sleep(SHORT + Duration::from_millis(5)).await;
    let claim = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap();
    assert_eq!((claim.body, claim.losses), (body(1), 1));
}

/// A server that hangs is not waited for without end, and a waiting worker is not held up by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_unavailable() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    server.process.freeze();
    let error =
        tokio::time::timeout(Duration::from_secs(60), queue.enqueue(&pool(), &body(1))).await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("queue_unavailable", ErrorKind::Unavailable), "{}", chain(&error));
    assert!(error.hint().is_some());
    tokio::time::timeout(Duration::from_secs(60), queue.ping()).await.unwrap().unwrap_err();
    let pools = [pool()];
    tokio::time::timeout(Duration::from_secs(60), queue.wait_for_work(&pools, SHORT)).await.unwrap();
    server.process.thaw();
    queue.ping().await.unwrap();
}

/// A short restart is bridged, with what was confirmed: on the disk, and known by the scripts the new process has not got.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_goes_on_where_it_was() {
    let mut server = RedisServer::with(&DURABLE);
    let queue = open(&server.url()).await;
    queue.enqueue(&pool(), &body(1)).await.unwrap();
    queue.enqueue(&pool(), &body(2)).await.unwrap();
    let held = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
    let stats = queue.stats(&pool()).await.unwrap();
    server.kill();
    let down = queue.ping().await.unwrap_err();
    assert_eq!(down.kind(), ErrorKind::Unavailable, "{}", chain(&down));
    // The call begins while nobody listens.
    let pool = pool();
    let call = queue.stats(&pool);
    let restart = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    let (after, server) = tokio::join!(call, restart);
    assert_eq!(after.unwrap(), stats);
    assert_eq!(queue.renew(std::slice::from_ref(&held), LONG).await.unwrap(), [RenewOutcome::Held]);
    assert_eq!(queue.settle(&held, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
    drop(server);
}

/// Killed again and again while many write: everything that was confirmed is there, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_kept_what_it_confirmed() {
    const WRITERS: u32 = 8;
    const EACH: u32 = 150;
    let mut server = RedisServer::with(&DURABLE);
    let queue = Arc::new(open(&server.url()).await);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let mut confirmed = Vec::new();
                for number in 0..EACH {
                    let number = writer * EACH + number;
                    // What is not confirmed is nobody's promise.
                    if queue.enqueue(&pool(), &body(number)).await.is_ok() {
                        confirmed.push(number);
                    }
                }
                confirmed
            })
        })
        .collect();
    let kills = tokio::task::spawn_blocking(move || {
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(60));
            server.kill();
            server.restart();
        }
        server
    });
    let mut confirmed = Vec::new();
    for writer in writers {
        confirmed.extend(writer.await.unwrap());
    }
    let server = kills.await.unwrap();
    assert!(confirmed.len() > 100, "only {} were confirmed: the test tests nothing", confirmed.len());
    for number in &confirmed {
        assert_eq!(queue.state_of(&pool(), &task(*number)).await.unwrap(), Some(EntryState::Ready), "{number}");
    }
    let mut claimed = std::collections::BTreeSet::new();
    while let Some(claim) = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap() {
        assert!(claimed.insert(claim.lease.task_id.clone()), "{} came twice", claim.lease.task_id);
    }
    assert!(confirmed.iter().all(|number| claimed.contains(&task(*number))));
    drop(server);
}

/// A full server refuses what stores, loses nothing by refusing, and lets go of what is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_and_keeps() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    for number in 1..=3 {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
    }
    let held = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
    queue
        .claim(&pool(), &worker(), SHORT, &[])
        .await
        .unwrap()
        .expect("a task whose lease ends while the server is full");
    server.ask(&["LPUSH", "nessus:queue", "{broken"]);
    let before = queue.stats(&pool()).await.unwrap();
    assert_eq!(server.ask(&["CONFIG", "SET", "maxmemory", "1"]).text(), "OK");
    tokio::time::sleep(SHORT + Duration::from_millis(5)).await;

    let full = |error: QueueError| {
        assert_eq!((error.code(), error.kind()), ("queue_storage_full", ErrorKind::Unavailable), "{}", chain(&error));
    };
    full(queue.enqueue(&pool(), &body(9)).await.unwrap_err());
    full(queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap_err());
    full(queue.settle(&held, Settlement::Nack { delay: SHORT, started: false }).await.unwrap_err());
    full(queue.settle(&held, Settlement::Release { delay: Duration::ZERO, started: false }).await.unwrap_err());
    full(queue.settle(&held, Settlement::DeadLetter(DeadReason::new("no", "bad", 1))).await.unwrap_err());
    let entry = IdempotencyEntry::new(task(9), "hash", Timestamp::from_millis(5));
    full(queue.claim_idempotency_key("k", &entry, LONG).await.unwrap_err());
    assert_eq!(queue.stats(&pool()).await.unwrap(), before);
    assert_eq!(queue.settle(&held, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);

    assert_eq!(server.ask(&["CONFIG", "SET", "maxmemory", "0"]).text(), "OK");
    let mut left = Vec::new();
    while let Some(claim) = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap() {
        left.push(claim.body);
    }
    assert_eq!(left, [body(2), body(3)]);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(0, 0, 2, 1));
}

/// A server that evicts, or a hand that deletes, takes single keys: what the reconciler then enqueues is added.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_lost_can_be_enqueued_again() {
    for lost in ["ready", "ready:by_scanner", "bodies", "later", "later:places", "inflight", "leases", "owners"] {
        let lost = format!("nessus:queue:{lost}");
        let server = RedisServer::start();
        let queue = open(&server.url()).await;
        for number in 1..=3 {
            queue.enqueue(&pool(), &body(number)).await.unwrap();
        }
        let delayed = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
        queue.settle(&delayed, Settlement::Nack { delay: SHORT, started: true }).await.unwrap();
        queue.claim(&pool(), &worker(), SHORT, &[]).await.unwrap().unwrap();
        assert_eq!(server.ask(&["DEL", &lost]).number(), 1);
        // As the reconciler does: out of the dead letters, else as if it were new.
        for number in 1..=3 {
            if queue.retry_dead(&pool(), &body(number)).await.unwrap() == RetryDeadOutcome::NotFound {
                queue.enqueue(&pool(), &body(number)).await.unwrap();
            }
        }
        tokio::time::sleep(SHORT + Duration::from_millis(5)).await;
        let mut claimed = Vec::new();
        while let Some(claim) = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap() {
            claimed.push(claim.lease.task_id);
        }
        claimed.sort();
        assert_eq!(claimed, [task(1), task(2), task(3)], "without {lost}");
    }
}

/// The ends of the leases are lost: what the reconciler puts back leaves those who hold tasks the time to prolong them.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_end_was_lost_is_as_long_as_one_that_begins() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    queue.enqueue(&pool(), &body(1)).await.unwrap();
    let held = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
    // The second time not even their length is known.
    for lost in [&["leases"][..], &["leases", "leases:length"]] {
        for key in lost {
            assert_eq!(server.ask(&["DEL", &format!("nessus:queue:{key}")]).number(), 1);
        }
        assert_eq!(queue.enqueue_started(&pool(), &body(1)).await.unwrap(), EnqueueOutcome::Added, "put back");
        assert_eq!(queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap(), None);
        assert_eq!(queue.renew(std::slice::from_ref(&held), SHORT).await.unwrap(), [RenewOutcome::Held]);
    }
    assert_eq!(first_claim(&queue).await.task_id, held.task_id);
}

/// Where delayed tasks go is lost: one that has started is looked after even while its pool is paused, whether it was put back or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_started_task_whose_place_was_lost_is_looked_after() {
    for put_back in [false, true] {
        let server = RedisServer::start();
        let queue = open(&server.url()).await;
        queue.enqueue(&pool(), &body(1)).await.unwrap();
        let held = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
        queue.settle(&held, Settlement::Nack { delay: SHORT, started: true }).await.unwrap();
        queue.pause_pool(&pool(), "maintenance").await.unwrap();
        assert_eq!(server.ask(&["DEL", "nessus:queue:later:places"]).number(), 1);
        if put_back {
            assert_eq!(queue.enqueue_started(&pool(), &body(1)).await.unwrap(), EnqueueOutcome::Added);
            assert_eq!(queue.enqueue_started(&pool(), &body(1)).await.unwrap(), EnqueueOutcome::AlreadyKnown);
        }
        assert_eq!(first_claim(&queue).await.task_id, held.task_id);
    }
}

/// A body that was lost among many hides none of those behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_body_hides_no_other() {
    const MANY: u32 = 600;
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    for number in 1..=MANY {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
    }
    assert_eq!(server.ask(&["HDEL", "nessus:queue:bodies", task(2).as_str()]).number(), 1);
    let left: Vec<_> = (1..=MANY).filter(|number| *number != 2).map(|number| body(number).into_string()).collect();
    assert_eq!(queue.peek(&pool(), MANY).await.unwrap(), left);
}

/// The order by scanner is lost, so what stands behind a task that is passed over is not found: the next enqueue puts it back.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_behind_a_task_that_waits_is_found_again() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    let (scanner, pinned) = (InstanceId::new("a").unwrap(), pinned(1, "a"));
    let claim = async || {
        let passed_over = std::slice::from_ref(&scanner);
        queue.claim(&pool(), &worker(), LONG, passed_over).await.unwrap().map(|claim| claim.body)
    };
    queue.enqueue(&pool(), &pinned).await.unwrap();
    queue.enqueue(&pool(), &body(2)).await.unwrap();
    queue.enqueue(&pool(), &body(3)).await.unwrap();
    assert_eq!(claim().await, Some(body(2)));
    server.ask(&["DEL", "nessus:queue:ready:by_scanner"]).number();
    assert_eq!(claim().await, None);
    assert_eq!(queue.enqueue(&pool(), &pinned).await.unwrap(), EnqueueOutcome::Added, "something was put back");
    assert_eq!(queue.enqueue(&pool(), &body(3)).await.unwrap(), EnqueueOutcome::Added);
    assert_eq!(queue.enqueue(&pool(), &body(3)).await.unwrap(), EnqueueOutcome::AlreadyKnown);
    assert_eq!(claim().await, Some(body(3)));
    assert_eq!(queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().body, pinned);
    assert_eq!(server.ask(&["EXISTS", "nessus:queue:ready:by_scanner"]).number(), 0);
}

/// A name in the order by scanner that belongs to no entry is passed by, and gone afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_place_in_the_order_by_scanner_holds_nothing_up() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    queue.enqueue(&pool(), &pinned(1, "a")).await.unwrap();
    queue.enqueue(&pool(), &body(2)).await.unwrap();
    for number in 2..300 {
        let name = format!(" {number:016} {}", task(number));
        server.ask(&["ZADD", "nessus:queue:ready:by_scanner", "0", &name]).number();
    }
    let passed_over = [InstanceId::new("a").unwrap()];
    assert_eq!(queue.claim(&pool(), &worker(), LONG, &passed_over).await.unwrap().unwrap().body, body(2));
    assert_eq!(server.ask(&["ZCARD", "nessus:queue:ready:by_scanner"]).number(), 1);
}

/// Hands and older versions of the program add and remove dead letters without the names by task: they are found all the same.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_others_add_or_remove_are_noticed() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    let dead = "nessus:queue:dead";
    let state = async |number| queue.state_of(&pool(), &task(number)).await.unwrap();
    let add = |number: u32| {
        let letter = format!(r#"{{"task_id":"{}","error":"no","error_code":"x","attempt":1}}"#, task(number));
        server.ask(&["ZADD", dead, "1764599422.5", &letter]).number();
        letter
    };
    // More than one step can name.
    let letters: Vec<_> = (1..=700).map(add).collect();
    assert_eq!(state(700).await, Some(EntryState::Dead));
    assert_eq!(queue.retry_dead(&pool(), &body(1)).await.unwrap(), RetryDeadOutcome::Requeued);
    assert_eq!(server.ask(&["ZSCORE", dead, &letters[0]]), Reply::Nil);

    // As many come as go.
    server.ask(&["ZREM", dead, &letters[1]]).number();
    add(701);
    assert_eq!((state(2).await, state(701).await), (None, Some(EntryState::Dead)));
    assert_eq!(queue.retry_dead(&pool(), &body(2)).await.unwrap(), RetryDeadOutcome::NotFound);
    for (number, letter) in (3..).zip(&letters[2..9]) {
        server.ask(&["ZREM", dead, letter]).number();
        assert_eq!(state(number).await, None);
    }
    server.ask(&["DEL", "nessus:queue:dead:by_task"]).number();
    assert_eq!(queue.retry_dead(&pool(), &body(701)).await.unwrap(), RetryDeadOutcome::Requeued);
    let count = server.ask(&["ZCARD", dead]).number();
    assert_eq!((count, server.ask(&["ZCARD", "nessus:queue:dead:by_task"]).number()), (691, 691));
    server.ask(&["DEL", dead]).number();
    assert_eq!(state(100).await, None);
    assert_eq!(server.ask(&["KEYS", "nessus:queue:dead*"]).texts(), Vec::<String>::new());
}

/// A server whose memory is full keeps what a worker tells: it is bounded, and one that lives is not to be missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_hears_of_workers() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    queue.ping().await.unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let record = WorkerRecord::new(WorkerId::new("w").unwrap(), Timestamp::from_millis(0));
    queue.announce_worker(&record, LONG).await.unwrap();
    assert_eq!(queue.workers().await.unwrap().len(), 1);
    assert!(matches!(queue.enqueue(&pool(), &body(1)).await, Err(QueueError::StorageFull { .. })));
    queue.withdraw_worker(&record.worker).await.unwrap();
    assert_eq!(queue.workers().await.unwrap(), []);
}

/// One marker wakes one worker, and that one wakes the next while there is more.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_workers_wake_up_as_there_are_tasks() {
    let server = RedisServer::start();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let url = server.url();
            tokio::spawn(async move {
                let queue = open(&url).await;
                loop {
                    let pools = [pool()];
                    queue.wait_for_work(&pools, LONG).await;
                    if let Some(claim) = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap() {
                        return claim.lease.task_id;
                    }
                }
            })
        })
        .collect();
    let queue = open(&server.url()).await;
    let began = Instant::now();
    while server.ask(&["CLIENT", "LIST"]).text().matches("cmd=blpop").count() < 4 {
        assert!(began.elapsed() < Duration::from_secs(60), "the workers do not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for number in 1..=4 {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
    }
    let mut claimed = Vec::new();
    for worker in workers {
        claimed.push(tokio::time::timeout(Duration::from_secs(60), worker).await.unwrap().unwrap());
    }
    claimed.sort();
    assert_eq!(claimed, [task(1), task(2), task(3), task(4)]);
}

/// A wrong password is a matter of configuration, and it is not shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_says_so_without_the_password() {
    let mut options = FORGETFUL.to_vec();
    options.extend(["--requirepass", "correct-horse"]);
    let server = RedisServer::with(&options);
    let queue = open(&server.url()).await;
    assert!(!format!("{queue:?}").contains("correct-horse"));
    for login in ["", ":hunter2@", "me:hunter2@"] {
        let url = Secret::new(format!("redis://{login}127.0.0.1:{}", server.port()));
        let error = RedisQueue::open(&url).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("queue_unusable", ErrorKind::Configuration), "{}", chain(&error));
        assert!(error.to_string().contains("refuses the login"), "{error}");
        assert!(!format!("{} {error:?}", chain(&error)).contains("hunter2"));
    }
}

/// What an operator should know about a server, or cannot be told.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_lose_entries_is_warned_of() {
    let warnings = async |url: &str| open(url).await.warnings().await.unwrap();
    let durable = RedisServer::with(&DURABLE);
    assert_eq!(warnings(&durable.url()).await, Vec::<String>::new());
    let snapshots = RedisServer::with(&["--save", "3600 1", "--appendonly", "no"]);
    assert_eq!(warnings(&snapshots.url()).await, Vec::<String>::new());

    let careless = RedisServer::with(&["--save", "", "--appendonly", "no", "--maxmemory-policy", "allkeys-lru"]);
    let found = warnings(&careless.url()).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`maxmemory-policy allkeys-lru`") && found[1].contains("`appendonly yes`"), "{found:?}");

    let hidden = ["ACL", "SETUSER", "gateway", "on", ">secret", "~*", "&*", "+@all", "-info", "-config"];
    assert_eq!(durable.ask(&hidden).text(), "OK");
    let found = warnings(&format!("redis://gateway:secret@127.0.0.1:{}", durable.port())).await;
    assert!(found.len() == 2 && found.iter().all(|text| text.contains("could not be checked")), "{found:?}");
}

/// What an operator sees with `redis-cli`, in the documented keys and nothing beside them.
#[tokio::test(flavor = "multi_thread")]
async fn redis_cli_tells_the_truth() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    for number in 1..=4 {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
    }
    let dead = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
    queue
        .settle(&dead, Settlement::DeadLetter(DeadReason::new("the \"login\" was refused", "refused", 3)))
        .await
        .unwrap();
    let held = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
    let entry = IdempotencyEntry::new(task(1), "hash", Timestamp::from_millis(5));
    queue.claim_idempotency_key("a key", &entry, Duration::from_secs(172_800)).await.unwrap();

    assert_eq!(server.ask(&["ZCARD", "nessus:queue:ready"]).number(), 2);
    let ready = server.ask(&["ZRANGE", "nessus:queue:ready", "0", "-1"]).texts();
    assert_eq!(ready, [task(3).to_string(), task(4).to_string()], "the next comes first");
    assert_eq!(server.ask(&["HGET", "nessus:queue:bodies", &ready[0]]).text(), body(3).as_str());
    assert_eq!(server.ask(&["ZRANGE", "nessus:queue:ready:by_scanner", "0", "-1"]).texts().len(), 2);
    let letters = server.ask(&["ZRANGE", "nessus:queue:dead", "0", "-1", "WITHSCORES"]).texts();
    let letter: serde_json::Value = serde_json::from_str(&letters[0]).unwrap();
    let shown = queue.dead_letters(&pool(), 0, 1).await.unwrap().remove(0);
    assert_eq!(letter, shown.to_json());
    assert_eq!(
        (&letter["error_code"], &letter["attempt"], &letter["number"]),
        (&"refused".into(), &3.into(), &1.into())
    );
    let seconds: f64 = letters[1].parse().unwrap();
    assert!((seconds - f64::from(u32::try_from(shown.failed_at.as_millis() / 1000).unwrap())).abs() < 1.0);
    assert_eq!(server.ask(&["HGET", "nessus:queue:owners", held.task_id.as_str()]).text(), format!("{}:w", held.fence));
    assert_eq!(server.ask(&["HGET", "nessus:queue:inflight", held.task_id.as_str()]).text(), body(2).as_str());
    let stored: IdempotencyEntry = serde_json::from_str(&server.ask(&["GET", "idemp:a key"]).text()).unwrap();
    assert_eq!(stored, entry);
    assert!((172_700..=172_800).contains(&server.ask(&["TTL", "idemp:a key"]).number()));
    for key in server.ask(&["KEYS", "*"]).texts() {
        assert!(key == "nessus:queue" || key.starts_with("nessus:queue:") || key.starts_with("idemp:"), "{key}");
    }
}
