//! How many durable submits and claims a second the queue does on SQLite and on Redis, beside what is the least that could
//! be done there: one bare insert, one bare SET.
//!
//! `cargo bench --bench queue`. It starts `redis-server` itself. The figures that count are the ratios of one run: the
//! machine may be busy, and disks differ.

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
    ids::{PoolName, TaskId, WorkerId},
    queue::{IdempotencyEntry, Settlement, TaskBody, redis::RedisQueue, sqlite::SqliteQueue},
    secret::Secret,
    time::Timestamp,
};

/// How many callers there are at once, as agents or workers would be.
const CALLERS: u32 = 16;
/// How often each of them calls.
const CALLS: u32 = 250;
const LEASE: Duration = Duration::from_secs(60);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    println!("{CALLERS} callers, {CALLS} calls each; a body of {} bytes", body(0).as_str().len());
    println!("\n| where | step | a second | of the bare one |\n|---|---|---:|---:|");

    let bare = bare_insert(&directory.path().join("bare.db"));
    row("SQLite, synchronous=FULL", "bare insert", bare, bare);
    let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&directory.path().join("queue.db")).unwrap());
    steps(&runtime, "SQLite, synchronous=FULL", &queue, bare);

    for sync in ["always", "everysec"] {
        let server = Server::start(sync);
        let label = format!("Redis, appendfsync {sync}");
        let bare = runtime.block_on(bare_set(&server.url));
        row(&label, "bare SET", bare, bare);
        let queue = runtime.block_on(RedisQueue::open(&Secret::new(server.url.as_str()))).unwrap();
        let queue: Arc<dyn Queue> = Arc::new(queue);
        steps(&runtime, &label, &queue, bare);
    }
}

fn row(place: &str, step: &str, rate: f64, bare: f64) {
    println!("| {place} | {step} | {rate:.0} | {:.2} |", rate / bare);
}

fn steps(runtime: &tokio::runtime::Runtime, place: &str, queue: &Arc<dyn Queue>, bare: f64) {
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
    let task = TaskId::new(format!("ne_ness_20251201_143022_{number:08x}")).unwrap();
    TaskBody::parse(
        serde_json::json!({
            "task_id": task, "trace_id": "0".repeat(32), "scan_type": "untrusted", "scanner_type": "nessus",
            "scanner_pool": "nessus", "scanner_instance_id": null, "attempt": 1, "created_at": "2025-12-01T14:30:22.123Z",
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
