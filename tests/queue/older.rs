//! An earlier version of the program kept all ready entries in one list. Its queue is taken over in its order, and its processes may go
//! on beside those of today.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    Queue,
    ids::{InstanceId, TaskId},
    queue::{
        DeadReason, EntryState, QueueStats, RemoveOutcome, RetryDeadOutcome, SettleOutcome, Settlement, TaskBody,
        redis::RedisQueue,
    },
};
use nessus_mcp_tests::redis::{Connection, RedisServer, Reply};

use super::faults::{body, open, pinned, pool, task, worker};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_secs(120);

/// A script of that version, put together as it was.
macro_rules! script {
    ($($file:literal),+) => {
        concat!($(include_str!(concat!("../../fixtures/queue_lists/", $file, ".lua")), "\n"),+)
    };
}

const ENQUEUE: &str = script!("clock", "prelude", "place", "whole", "enqueue");
const AUDIT: &str = script!("clock", "prelude", "audit");
const CLAIM: &str = script!("clock", "prelude", "follow_clock", "place", "due", "dead", "claim");
const SETTLE: &str = script!("clock", "prelude", "place", "dead", "settle");
const RENEW: &str = script!("clock", "prelude", "renew");
const RETRY_DEAD: &str = script!("clock", "prelude", "whole", "dead", "retry_dead");

const KEYS: [&str; 13] = [
    "",
    ":dead",
    ":ids",
    ":inflight",
    ":leases",
    ":owners",
    ":attempts",
    ":delayed",
    ":paused",
    ":fence",
    ":wake",
    ":losses",
    ":clock",
];

/// A process of that version.
struct Older(Connection);

/// What it has claimed.
struct Held {
    id: String,
    owner: String,
}

impl Older {
    fn on(server: &RedisServer) -> Self {
        Self(server.connect())
    }

    fn run(&mut self, script: &str, arguments: &[&str]) -> Reply {
        let keys = KEYS.map(|key| format!("nessus:queue{key}"));
        let count = keys.len().to_string();
        let command = ["EVAL", script, &count].into_iter().chain(keys.iter().map(String::as_str));
        self.0.ask(&command.chain(arguments.iter().copied()).collect::<Vec<_>>())
    }

    fn enqueue(&mut self, body: &TaskBody, place: &str) {
        while self.run(ENQUEUE, &[body.task_id().as_str(), body.as_str(), place]).number() < 0 {
            self.run(AUDIT, &[]).number();
        }
    }

    fn claim(&mut self, lease: Duration) -> Option<Held> {
        loop {
            match self.run(CLAIM, &["older", &lease.as_millis().to_string(), "all"]) {
                Reply::Nil => return None,
                Reply::List(parts) if parts.is_empty() => {}
                Reply::List(parts) => {
                    return Some(Held { id: parts[0].text(), owner: format!("{}:older", parts[2].text()) });
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn settle(&mut self, held: &Held, way: &[&str]) -> bool {
        let arguments = [&[held.id.as_str(), held.owner.as_str()], way].concat();
        self.run(SETTLE, &arguments).number() == 1
    }

    fn fail(&mut self, held: &Held) -> bool {
        self.settle(held, &["dead", r#","error":"no","error_code":"bad","failed_at":""#, r#"","attempt":1}"#])
    }

    fn retry_dead(&mut self, body: &TaskBody) {
        while self.run(RETRY_DEAD, &[body.task_id().as_str(), body.as_str()]) == Reply::Text(b"lost".to_vec()) {
            self.run(AUDIT, &[]).number();
        }
    }
}

/// Everything that an entry can be is taken over as it is: what is ready in its order, and more of it than one step moves.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_queue_is_taken_over_in_its_order() {
    const MANY: u32 = 900;
    let server = RedisServer::start();
    let mut older = Older::on(&server);
    // Dead, leased, nacked, put off to the front, put off as begun.
    for number in 1..=5 {
        older.enqueue(&body(number), "back");
    }
    let held: Vec<_> = (1..=5).map(|_| older.claim(LONG).unwrap()).collect();
    assert!(older.fail(&held[0]));
    assert!(older.settle(&held[2], &["nack", "1", "back"]));
    assert!(older.settle(&held[3], &["release", "1", "front"]));
    assert!(older.settle(&held[4], &["release", "1", "begun"]));
    for number in 10..MANY {
        let body = if number % 3 == 0 { pinned(number, "a") } else { body(number) };
        older.enqueue(&body, "back");
    }
    // Handed back: to the front, and as begun before all.
    older.enqueue(&body(6), "begun");
    older.enqueue(&body(7), "begun");
    server.ask(&["LPUSH", "nessus:queue", "{broken"]).number();
    server.ask(&["LPUSH", "nessus:queue", body(MANY).as_str()]).number();
    // Copies of what is ready, held and delayed.
    for number in [11, 2, 3] {
        server.ask(&["LPUSH", "nessus:queue", body(number).as_str()]).number();
    }

    let queue = open(&server.url()).await;
    assert_eq!(queue.stats(&pool()).await.unwrap().leased, 1);
    // The first question that needs the order moves everything.
    assert_eq!(queue.position(&pool(), &task(7)).await.unwrap(), Some(1));
    assert_eq!(queue.position(&pool(), &task(6)).await.unwrap(), Some(2));
    for number in [10, 11, 12, 500, MANY] {
        assert_eq!(queue.position(&pool(), &task(number)).await.unwrap(), Some(u64::from(number - 7)), "{number}");
    }
    let ready = u64::from(MANY) - 7;
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(ready, 3, 1, 2));
    assert_eq!(server.ask(&["EXISTS", "nessus:queue", "nessus:queue:delayed"]).number(), 0);
    for (number, state) in [(1, EntryState::Dead), (2, EntryState::Leased), (5, EntryState::Delayed)] {
        assert_eq!(queue.state_of(&pool(), &task(number)).await.unwrap(), Some(state));
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut claimed = Vec::new();
    let passed_over = [InstanceId::new("a").unwrap()];
    while let Some(claim) = queue.claim(&pool(), &worker(), LONG, &passed_over).await.unwrap() {
        claimed.push(claim.lease.task_id);
    }
    // What was put off as begun comes before all, to the front before those not started, and what was nacked to the end.
    let others = (10..=MANY).filter(|number| number % 3 != 0 || *number == MANY);
    let expected: Vec<_> = [5, 7, 6, 4].into_iter().chain(others).chain([3]).map(task).collect();
    assert_eq!(claimed, expected);
    let mut of_the_scanner = Vec::new();
    while let Some(claim) = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap() {
        of_the_scanner.push(claim.lease.task_id);
    }
    assert_eq!(of_the_scanner, (10..MANY).filter(|number| number % 3 == 0).map(task).collect::<Vec<_>>());
    // The lease of the older worker stands, and it may settle it.
    assert!(older.settle(&held[1], &["ack"]));
    assert_eq!(queue.retry_dead(&pool(), &body(1)).await.unwrap(), RetryDeadOutcome::Requeued);
    assert_eq!(queue.remove(&pool(), &task(1)).await.unwrap(), RemoveOutcome::Removed);
}

/// Tasks wait here and stand in the inbox too, from where an older worker takes them. It begins them, or dies: they have started, and
/// being due changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_worker_has_begun_does_not_wait() {
    const DELAY: Duration = Duration::from_millis(200);
    for dies in [false, true] {
        let server = RedisServer::start();
        let queue = open(&server.url()).await;
        let mut older = Older::on(&server);
        for number in 1..=2 {
            queue.enqueue(&pool(), &body(number)).await.unwrap();
            let nacked = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
            queue.settle(&nacked, Settlement::Nack { delay: DELAY, started: false }).await.unwrap();
        }
        for number in 1..=2 {
            older.enqueue(&body(number), "back");
        }
        let held = [older.claim(LONG).unwrap(), older.claim(LONG).unwrap()];
        queue.pause_pool(&pool(), "maintenance").await.unwrap();
        for held in &held {
            if dies {
                assert_eq!(older.run(RENEW, &["1", &held.id, &held.owner]), Reply::List(vec![Reply::Number(1)]));
            } else {
                assert!(older.settle(held, &["release", "0", "begun"]));
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut claimed = Vec::new();
        for _ in 1..=2 {
            claimed.push(queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().expect("both have started").lease);
            tokio::time::sleep(DELAY).await;
        }
        assert_eq!(queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap(), None);
        let ids: BTreeSet<_> = claimed.iter().map(|lease| lease.task_id.clone()).collect();
        assert_eq!(ids, BTreeSet::from([1, 2].map(task)), "dies: {dies}");
        for lease in &claimed {
            assert_eq!(queue.settle(lease, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
        }
        queue.resume_pool(&pool()).await.unwrap();
        assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::default());
        assert_eq!(server.ask(&["EXISTS", "nessus:queue:bodies", "nessus:queue:later:places"]).number(), 0);
    }
}

/// After an upgrade two kinds are piled up, few bodies in the inbox and many letters without a name: each is worked off by its own count.
#[tokio::test(flavor = "multi_thread")]
async fn few_bodies_in_the_inbox_do_not_hide_many_letters() {
    const LETTERS: u32 = 1000;
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    for number in 0..LETTERS {
        let letter = format!(r#"{{"task_id":"{}","error":"no"}}"#, task(number));
        server.ask(&["ZADD", "nessus:queue:dead", &number.to_string(), &letter]).number();
    }
    for number in LETTERS..LETTERS + 100 {
        server.ask(&["LPUSH", "nessus:queue", body(number).as_str()]).number();
    }
    assert_eq!(queue.retry_dead(&pool(), &body(500)).await.unwrap(), RetryDeadOutcome::Requeued);
    assert_eq!(server.ask(&["ZCARD", "nessus:queue:dead:by_task"]).number(), i64::from(LETTERS - 1));
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(101, 0, 0, u64::from(LETTERS - 1)));
}

/// An older process retries a letter and adds another, so that there are as many names as letters; then one with a name is the newest.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_an_older_version_is_found_behind_a_newer_one() {
    let server = RedisServer::start();
    let queue = open(&server.url()).await;
    let mut older = Older::on(&server);
    let fail = async |number| {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
        let lease = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
        queue.settle(&lease, Settlement::DeadLetter(DeadReason::new("no", "bad", 1))).await.unwrap();
    };
    fail(1).await;
    older.retry_dead(&body(1));
    let retried = older.claim(LONG).unwrap();
    assert!(older.settle(&retried, &["ack"]));
    older.enqueue(&body(2), "back");
    let failed = older.claim(LONG).unwrap();
    assert!(older.fail(&failed));
    fail(3).await;
    for (number, state) in [(1, None), (2, Some(EntryState::Dead)), (3, Some(EntryState::Dead))] {
        assert_eq!(queue.state_of(&pool(), &task(number)).await.unwrap(), state, "{number}");
    }
    assert_eq!(server.ask(&["EXISTS", "nessus:queue:dead:cursor"]).number(), 0);
    assert_eq!(queue.retry_dead(&pool(), &body(2)).await.unwrap(), RetryDeadOutcome::Requeued);
    assert_eq!(server.ask(&["ZCARD", "nessus:queue:dead:by_task"]).number(), 1);
}

/// Pushes that never end hold nobody up: what was there when it was asked is moved, and no more is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_into_the_inbox_holds_nobody_up() {
    let server = Arc::new(RedisServer::start());
    let queue = open(&server.url()).await;
    let stop = Arc::new(AtomicU64::new(0));
    let flood = {
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut connection = server.connect();
            // With one command more than one step moves.
            let copies = vec![body(7).into_string(); 1000];
            let push: Vec<_> = ["LPUSH", "nessus:queue"].into_iter().chain(copies.iter().map(String::as_str)).collect();
            while stop.load(Ordering::Relaxed) == 0 {
                if connection.ask(&["LLEN", "nessus:queue"]).number() < 20_000 {
                    connection.ask(&push).number();
                }
            }
        })
    };
    let asked = async {
        for number in 1..=5 {
            queue.enqueue(&pool(), &body(number)).await.unwrap();
            assert!(queue.position(&pool(), &task(number)).await.unwrap().is_some());
            assert!(queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().is_some());
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    stop.store(1, Ordering::Relaxed);
    flood.join().unwrap();
}

/// What everybody knows of the tasks, as the files would say it.
#[derive(Default)]
struct Truth {
    done: BTreeSet<TaskId>,
    failed: BTreeSet<TaskId>,
    /// Who holds a task, and until when at least.
    held: BTreeMap<TaskId, Option<Instant>>,
    lost: u32,
}

const TASKS: u32 = 150;

/// What a worker does with a claim, by a number.
fn way(of: u64) -> Way {
    match of % 16 {
        0 => Way::Die,
        1 | 2 => Way::Fail,
        3 | 4 => Way::Nack,
        5..=7 => Way::Release,
        8 => Way::PutOff,
        _ => Way::Finish,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Die,
    Fail,
    Nack,
    Release,
    PutOff,
    Finish,
}

impl Truth {
    /// Notes a claim that was asked for at `asked`; the task has ended already when it returns `Way::Finish` for it.
    fn claimed(&mut self, id: &TaskId, way: Way, asked: Instant) -> Way {
        // The server counts whole milliseconds.
        let until = (way == Way::Die).then(|| asked + SHORT.saturating_sub(Duration::from_millis(1)));
        if until.is_some_and(|until| Instant::now() >= until) {
            // Somebody else may have it by now.
            return way;
        }
        let before = self.held.get(id);
        let stands = before.is_some_and(|until| until.is_none_or(|until| Instant::now() < until));
        assert!(!stands, "{id} is leased twice at once");
        let has_ended = self.done.contains(id) || self.failed.contains(id);
        let way = if has_ended && way != Way::Die { Way::Finish } else { way };
        self.held.insert(id.clone(), until);
        self.lost += u32::from(way == Way::Die);
        way
    }

    /// Notes what becomes of a task, right before the queue is told.
    fn settling(&mut self, id: &TaskId, way: Way) {
        self.held.remove(id);
        if way == Way::Finish && !self.failed.contains(id) {
            self.done.insert(id.clone());
        }
        if way == Way::Fail {
            self.failed.insert(id.clone());
        }
    }

    /// The tasks that have not ended, and those that have failed, which are tried again from now on.
    fn unfinished(&mut self) -> (Vec<u32>, Vec<u32>) {
        let failed: Vec<_> = (0..TASKS).filter(|number| self.failed.contains(&task(*number))).collect();
        self.failed.clear();
        ((0..TASKS).filter(|number| !self.done.contains(&task(*number))).collect(), failed)
    }

    fn is_over(&self) -> bool {
        self.done.len() == TASKS as usize && self.failed.is_empty()
    }
}

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed >> 5
}

fn work_as_older(server: &RedisServer, truth: &Mutex<Truth>, mut seed: u64) {
    let mut older = Older::on(server);
    let began = Instant::now();
    while !truth.lock().unwrap().is_over() {
        assert!(began.elapsed() < PATIENCE, "the tasks do not end");
        if random(&mut seed).is_multiple_of(8) {
            reconcile_as_older(&mut older, truth);
        }
        let (asked, planned) = (Instant::now(), way(random(&mut seed)));
        let lease = if planned == Way::Die { SHORT } else { LONG };
        let Some(held) = older.claim(lease) else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let id = TaskId::new(held.id.clone()).unwrap();
        let way = truth.lock().unwrap().claimed(&id, planned, asked);
        if way == Way::Die {
            continue;
        }
        assert_eq!(older.run(RENEW, &["3600000", &held.id, &held.owner]), Reply::List(vec![Reply::Number(1)]));
        truth.lock().unwrap().settling(&id, way);
        let settled = match way {
            Way::Fail => older.fail(&held),
            Way::Nack => older.settle(&held, &["nack", "3", "back"]),
            Way::Release => older.settle(&held, &["release", "0", "begun"]),
            Way::PutOff => older.settle(&held, &["release", "3", "front"]),
            Way::Finish | Way::Die => older.settle(&held, &["ack"]),
        };
        assert!(settled, "the lease of {id} stands");
    }
}

fn reconcile_as_older(older: &mut Older, truth: &Mutex<Truth>) {
    let (unfinished, failed) = truth.lock().unwrap().unfinished();
    for number in unfinished {
        older.enqueue(&body(number), "back");
    }
    for number in failed {
        older.retry_dead(&body(number));
    }
}

async fn work(queue: &RedisQueue, truth: &Mutex<Truth>, mut seed: u64) {
    let began = Instant::now();
    while !truth.lock().unwrap().is_over() {
        assert!(began.elapsed() < PATIENCE, "the tasks do not end");
        if random(&mut seed).is_multiple_of(8) {
            let (unfinished, failed) = truth.lock().unwrap().unfinished();
            for number in unfinished {
                queue.enqueue(&pool(), &body(number)).await.unwrap();
            }
            for number in failed {
                queue.retry_dead(&pool(), &body(number)).await.unwrap();
            }
        }
        let (asked, planned) = (Instant::now(), way(random(&mut seed)));
        let lease = if planned == Way::Die { SHORT } else { LONG };
        let Some(claim) = queue.claim(&pool(), &worker(), lease, &[]).await.unwrap() else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let (lease, id) = (claim.lease.clone(), claim.lease.task_id);
        let way = truth.lock().unwrap().claimed(&id, planned, asked);
        if way == Way::Die {
            continue;
        }
        tokio::task::yield_now().await;
        truth.lock().unwrap().settling(&id, way);
        let settlement = match way {
            Way::Fail => Settlement::DeadLetter(DeadReason::new("no", "bad", 1)),
            Way::Nack => Settlement::Nack { delay: Duration::from_millis(3), started: false },
            Way::Release => Settlement::Release { delay: Duration::ZERO, started: true },
            Way::PutOff => Settlement::Release { delay: Duration::from_millis(3), started: false },
            Way::Finish | Way::Die => Settlement::Ack,
        };
        assert_eq!(queue.settle(&lease, settlement).await.unwrap(), SettleOutcome::Settled, "the lease of {id} stands");
    }
}

/// Workers and reconcilers of both versions on one pool, many of which die with what they hold: no task is leased twice at once, none
/// is lost, and in the end nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_beside_loses_nothing() {
    let server = Arc::new(RedisServer::start());
    let truth = Arc::new(Mutex::new(Truth::default()));
    let mut first = Older::on(&server);
    for number in 0..TASKS {
        first.enqueue(&body(number), "back");
    }
    let older: Vec<_> = (1..=2)
        .map(|seed| {
            let (server, truth) = (Arc::clone(&server), Arc::clone(&truth));
            std::thread::spawn(move || work_as_older(&server, &truth, seed * 7919))
        })
        .collect();
    let newer: Vec<_> = (1..=2)
        .map(|seed| {
            let (url, truth) = (server.url(), Arc::clone(&truth));
            tokio::spawn(async move { work(&open(&url).await, &truth, seed * 104_729).await })
        })
        .collect();
    for newer in newer {
        newer.await.unwrap();
    }
    for older in older {
        tokio::task::spawn_blocking(move || older.join().unwrap()).await.unwrap();
    }
    assert!(truth.lock().unwrap().lost > 5, "hardly anybody died: the test tests little");
    // What is left are copies of what has ended, and leases of the dead.
    let queue = open(&server.url()).await;
    let began = Instant::now();
    while queue.stats(&pool()).await.unwrap() != QueueStats::default() {
        assert!(began.elapsed() < PATIENCE, "{:?}", queue.stats(&pool()).await);
        match queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap() {
            Some(claim) => drop(queue.settle(&claim.lease, Settlement::Ack).await.unwrap()),
            None => tokio::time::sleep(SHORT).await,
        }
        let mut letters = queue.dead_letters(&pool(), 0, 1).await.unwrap();
        if let Some(letter) = letters.pop() {
            let number = (0..TASKS).find(|number| Some(task(*number)) == letter.task_id).unwrap();
            queue.retry_dead(&pool(), &body(number)).await.unwrap();
        }
    }
    queue.enqueue(&pool(), &body(0)).await.unwrap();
    let last = queue.claim(&pool(), &worker(), LONG, &[]).await.unwrap().unwrap().lease;
    queue.settle(&last, Settlement::Ack).await.unwrap();
    assert_eq!(
        queue.state_of(&pool(), &task(0)).await.unwrap(),
        None,
        "whoever looks for a letter drops names without one"
    );
    for key in ["", ":ids", ":inflight", ":leases", ":delayed", ":bodies", ":ready", ":later", ":dead:by_task"] {
        assert_eq!(server.ask(&["EXISTS", &format!("nessus:queue{key}")]).number(), 0, "{key}");
    }
}
