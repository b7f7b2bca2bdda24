//! How many durable submits and claims a second the queue does on SQLite and on Redis, beside what is the least that could
//! be done there: one bare insert, one bare SET. And how long a step takes where few tasks wait, and where many do.
//!
//! `cargo bench --bench queue`, with `-- steps`, `-- long` or `-- callers 1 10 100` for a part of it. It starts `redis-server`
//! itself. The figures that count are the ratios of one run: the machine may be busy, and disks differ.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, for those who work on the library")]

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    Queue,
    ids::{InstanceId, PoolName, TaskId, WorkerId},
    queue::{DeadLetter, DeadReason, IdempotencyEntry, Settlement, TaskBody, redis::RedisQueue, sqlite::SqliteQueue},
    secret::Secret,
    time::Timestamp,
};
use tokio::runtime::Runtime;

/// How many callers there are at once, as agents or workers would be.
const CALLERS: u32 = 16;
/// How often each of them calls.
const CALLS: u32 = 250;
const LEASE: Duration = Duration::from_secs(60);

/// How many tasks wait where few do, and where many do.
const LENGTHS: [u32; 2] = [100, 100_000];
/// How often a step is measured at each length.
const LOOKS: u32 = 100;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == part);
    if is_wanted("steps") {
        all_steps(&runtime);
    }
    if is_wanted("callers") {
        let counts: Vec<u32> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
        callers(&runtime, if counts.is_empty() { &[1, 10, 100] } else { &counts });
    }
    if is_wanted("long") {
        long_queues(&runtime);
    }
}

fn all_steps(runtime: &Runtime) {
    let directory = tempfile::tempdir().unwrap();
    println!("{CALLERS} callers, {CALLS} calls each; a body of {} bytes", body(0).as_str().len());
    println!("\n| where | step | a second | of the bare one |\n|---|---|---:|---:|");

    let bare = bare_insert(&directory.path().join("bare.db"));
    row("SQLite, synchronous=FULL", "bare insert", bare, bare);
    let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&directory.path().join("queue.db")).unwrap());
    steps(runtime, "SQLite, synchronous=FULL", &queue, bare);

    for sync in ["always", "everysec"] {
        let server = Server::start(sync);
        let label = format!("Redis, appendfsync {sync}");
        let bare = runtime.block_on(bare_set(&server.url));
        row(&label, "bare SET", bare, bare);
        steps(runtime, &label, &redis(runtime, &server), bare);
    }
}

fn redis(runtime: &Runtime, server: &Server) -> Arc<dyn Queue> {
    Arc::new(runtime.block_on(RedisQueue::open(&Secret::new(server.url.as_str()))).unwrap())
}

/// How many enqueues, and how many positions, a second so many callers at once get out of SQLite.
fn callers(runtime: &Runtime, counts: &[u32]) {
    const COUNT: u32 = 4000;
    println!("\n| callers of SQLite at once | enqueues a second | positions a second |\n|---:|---:|---:|");
    for count in counts {
        let directory = tempfile::tempdir().unwrap();
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&directory.path().join("queue.db")).unwrap());
        let began = Instant::now();
        fill(runtime, &queue, *count, COUNT, &async |queue, number| {
            queue.enqueue(&pool("enqueue"), &body(number)).await.unwrap();
        });
        let enqueued = Instant::now();
        fill(runtime, &queue, *count, COUNT, &async |queue, number| {
            queue.position(&pool("enqueue"), body(number).task_id()).await.unwrap().unwrap();
        });
        let rate = |time: Duration| f64::from(COUNT) / time.as_secs_f64();
        println!("| {count} | {:.0} | {:.0} |", rate(enqueued - began), rate(enqueued.elapsed()));
    }
}

/// Does a step for each number below `count`, many at once.
fn fill<F>(runtime: &Runtime, queue: &Arc<dyn Queue>, callers: u32, count: u32, step: &F)
where
    F: AsyncFn(&dyn Queue, u32),
{
    runtime.block_on(futures_of(callers, &async |caller| {
        for number in (caller..count).step_by(callers as usize) {
            step(&**queue, number).await;
        }
    }));
}

fn long_queues(runtime: &Runtime) {
    let [few, many] = LENGTHS;
    println!("\nMicroseconds, the median of {LOOKS}; as many tasks wait, and there are as many dead letters");
    println!("\n| where | step | {few} | {many} |\n|---|---|---:|---:|");
    let directory = tempfile::tempdir().unwrap();
    let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&directory.path().join("queue.db")).unwrap());
    long_queue(runtime, "SQLite", &queue);
    let server = Server::start("everysec");
    long_queue(runtime, "Redis, appendfsync everysec", &redis(runtime, &server));
}

fn long_queue(runtime: &Runtime, place: &str, queue: &Arc<dyn Queue>) {
    let [few, many] = LENGTHS.map(|length| times(runtime, queue, length));
    for ((step, at_few), (_, at_many)) in few.into_iter().zip(many) {
        println!("| {place} | {step} | {at_few} | {at_many} |");
    }
}

/// How long each step takes where `length` tasks wait.
fn times(runtime: &Runtime, queue: &Arc<dyn Queue>, length: u32) -> Vec<(&'static str, u128)> {
    let (waiting, full) = (pool(&format!("waiting{length}")), pool(&format!("full{length}")));
    let dead = |number: u32| body(2 * length + number);
    fill(runtime, queue, 100, length, &async |queue, number| {
        queue.enqueue(&waiting, &body(number)).await.unwrap();
        queue.enqueue(&full, &pinned(number)).await.unwrap();
        let reason = DeadReason::new("it failed", "failed", 1);
        let task = dead(number).task_id().clone();
        let letter =
            DeadLetter::new(Some(task), dead(number).into_string(), reason, Timestamp::from_millis(number.into()));
        queue.restore_dead_letter(&waiting, &letter).await.unwrap();
    });
    fill(runtime, queue, 1, LOOKS, &async |queue, number| {
        queue.enqueue(&full, &body(length + number)).await.unwrap();
    });
    let passed_over = [InstanceId::new("full").unwrap()];
    let mut times = Vec::new();
    // So that each of them finds a task, those before it leave enough.
    let middle = |number: u32| body((length / 2 + number) % length).task_id().clone();
    times.push(median(runtime, queue, "position", &async |queue, number| {
        queue.position(&waiting, &middle(number)).await.unwrap().unwrap();
    }));
    times.push(median(runtime, queue, "stats", &async |queue, _| {
        queue.stats(&waiting).await.unwrap();
    }));
    times.push(median(runtime, queue, "enqueue", &async |queue, number| {
        queue.enqueue(&waiting, &body(length + number)).await.unwrap();
    }));
    times.push(median(runtime, queue, "remove (cancel)", &async |queue, number| {
        queue.remove(&waiting, &middle(number)).await.unwrap();
    }));
    times.push(median(runtime, queue, "retry_dead", &async |queue, number| {
        queue.retry_dead(&waiting, &dead(number)).await.unwrap();
    }));
    times.push(median(runtime, queue, "claim", &async |queue, _| {
        queue.claim(&waiting, &worker(), LEASE, &[]).await.unwrap().unwrap();
    }));
    times.push(median(runtime, queue, "claim that passes over as many", &async |queue, _| {
        queue.claim(&full, &worker(), LEASE, &passed_over).await.unwrap().unwrap();
    }));
    times
}

fn median<F>(runtime: &Runtime, queue: &Arc<dyn Queue>, name: &'static str, step: &F) -> (&'static str, u128)
where
    F: AsyncFn(&dyn Queue, u32),
{
    let mut times = Vec::new();
    for number in 0..LOOKS {
        let began = Instant::now();
        runtime.block_on(step(&**queue, number));
        times.push(began.elapsed().as_micros());
    }
    times.sort_unstable();
    (name, times[times.len() / 2])
}

fn row(place: &str, step: &str, rate: f64, bare: f64) {
    println!("| {place} | {step} | {rate:.0} | {:.2} |", rate / bare);
}

fn steps(runtime: &Runtime, place: &str, queue: &Arc<dyn Queue>, bare: f64) {
    let enqueue = runtime.block_on(rate(queue, &async |queue, number| {
        queue.enqueue(&pool("enqueue"), &body(number)).await.unwrap();
    }));
    row(place, "enqueue", enqueue, bare);
    // What a submit asks of the queue: its key, then its place.
    let submit = runtime.block_on(rate(queue, &async |queue, number| {
        let body = body(number);
        let entry = IdempotencyEntry::new(body.task_id().clone(), "hash", Timestamp::from_millis(5));
        queue.claim_idempotency_key(&format!("key {number}"), &entry, LEASE).await.unwrap();
        queue.enqueue(&pool("submit"), &body).await.unwrap();
    }));
    row(place, "submit (key and enqueue)", submit, bare);
    let claim = runtime.block_on(rate(queue, &async |queue, _| {
        queue.claim(&pool("enqueue"), &worker(), LEASE, &[]).await.unwrap().unwrap();
    }));
    row(place, "claim", claim, bare);
    let done = runtime.block_on(rate(queue, &async |queue, _| {
        let claim = queue.claim(&pool("submit"), &worker(), LEASE, &[]).await.unwrap().unwrap();
        queue.settle(&claim.lease, Settlement::Ack).await.unwrap();
    }));
    row(place, "claim and acknowledge", done, bare);
}

/// How often a second all callers together do a step.
async fn rate<F>(queue: &Arc<dyn Queue>, step: &F) -> f64
where
    F: AsyncFn(&dyn Queue, u32),
{
    let began = Instant::now();
    let caller = async |caller: u32| {
        for call in 0..CALLS {
            step(&**queue, caller * CALLS + call).await;
        }
    };
    // All on one thread: the work is elsewhere.
    futures_of(CALLERS, &caller).await;
    f64::from(CALLERS * CALLS) / began.elapsed().as_secs_f64()
}

/// Runs as many futures at once.
async fn futures_of<F: AsyncFn(u32)>(count: u32, make: &F) {
    let mut running: Vec<_> = (0..count).map(|number| Some(Box::pin(make(number)))).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for slot in &mut running {
            if let Some(future) = slot {
                if future.as_mut().poll(context).is_ready() {
                    *slot = None;
                } else {
                    pending = true;
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}

fn bare_insert(path: &Path) -> f64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.execute_batch("CREATE TABLE bodies (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID").unwrap();
    let mut insert = connection.prepare("INSERT INTO bodies VALUES (?1, ?2)").unwrap();
    let began = Instant::now();
    for number in 0..CALLERS * CALLS {
        let body = body(number);
        insert.execute([body.task_id().as_str(), body.as_str()]).unwrap();
    }
    f64::from(CALLERS * CALLS) / began.elapsed().as_secs_f64()
}

async fn bare_set(url: &str) -> f64 {
    let connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let began = Instant::now();
    futures_of(CALLERS, &async |caller| {
        let mut connection = connection.clone();
        for call in 0..CALLS {
            let body = body(caller * CALLS + call);
            let mut set = redis::cmd("SET");
            set.arg(body.task_id().as_str()).arg(body.as_str()).exec_async(&mut connection).await.unwrap();
        }
    })
    .await;
    f64::from(CALLERS * CALLS) / began.elapsed().as_secs_f64()
}

fn pool(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

fn worker() -> WorkerId {
    WorkerId::new("bench").unwrap()
}

/// A body as long as those of ordinary tasks.
fn body(number: u32) -> TaskBody {
    body_for(number, None)
}

/// A body of a task that only one scanner may take.
fn pinned(number: u32) -> TaskBody {
    body_for(number, Some("full"))
}

fn body_for(number: u32, scanner: Option<&str>) -> TaskBody {
    let task = TaskId::new(format!("ne_ness_20251201_143022_{number:08x}")).unwrap();
    TaskBody::parse(
        serde_json::json!({
            "task_id": task, "trace_id": "0".repeat(32), "scan_type": "untrusted", "scanner_type": "nessus",
            "scanner_pool": "nessus", "scanner_instance_id": scanner, "attempt": 1, "created_at": "2025-12-01T14:30:22.123Z",
            "payload": {"targets": "192.0.2.0/24", "name": "office", "description": "", "schema_profile": "brief"},
        })
        .to_string(),
    )
    .unwrap()
}

/// A server of its own, killed at the end.
struct Server {
    child: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Server {
    fn start(sync: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", sync, "--dir"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, url: format!("redis://127.0.0.1:{port}"), _directory: directory }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
