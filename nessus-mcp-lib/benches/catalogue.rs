//! How long lists of tasks take from the catalogue, on SQLite and on Redis, beside the same lists made from the files in the same run.
//!
//! `cargo bench --bench catalogue [-- TASKS...]`; 1,000, 10,000 and 100,000 tasks unless said. It starts `redis-server` itself, if there is one.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, for those who work on the library")]

use std::{
    fs::{self, File},
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    Queue, TaskManager,
    housekeeping::QueueIndex,
    ids::{PoolName, TaskId, TraceId},
    queue::{redis::RedisQueue, sqlite::SqliteQueue},
    secret::Secret,
    task::{ScanPayload, ScanType, Task, TaskCursor, TaskQuery, TaskStatus},
    time::{SystemClock, Timestamp},
};

/// How many tasks a page has.
const PAGE: usize = 50;
/// How many callers there are at once.
const CALLERS: usize = 20;
/// Of so many tasks one has not ended.
const UNFINISHED: i64 = 100;

fn main() {
    let asked: Vec<i64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("pages of {PAGE} tasks, {CALLERS} callers; milliseconds\n");
    for tasks in if asked.is_empty() { vec![1_000, 10_000, 100_000] } else { asked } {
        let directory = tempfile::tempdir().unwrap();
        write_tasks(directory.path(), tasks);
        println!(
            "## {tasks} tasks\n\n| from | first page | state | target | name | last page | {CALLERS} at once | the slowest |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|---:|");
        let files = TaskManager::open(directory.path()).unwrap();
        let last = runtime.block_on(before_last(&files, tasks));
        runtime.block_on(lists("files (before)", &files, &last));
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&directory.path().join("queue.db")).unwrap());
        let mut notes = vec![runtime.block_on(with_queue("SQLite", directory.path(), &queue, &last))];
        if let Some(server) = Server::start() {
            // It belongs to the same directory.
            let queue = runtime.block_on(RedisQueue::open(&Secret::new(server.url.as_str()))).unwrap();
            notes.push(runtime.block_on(with_queue(
                "Redis",
                directory.path(),
                &(Arc::new(queue) as Arc<dyn Queue>),
                &last,
            )));
        }
        println!("\n{}\n", notes.join("\n"));
    }
}

/// Measures the lists of one backend; returns what else was measured.
async fn with_queue(name: &str, directory: &Path, queue: &Arc<dyn Queue>, last: &TaskCursor) -> String {
    let open = || {
        let tasks = TaskManager::open(directory).unwrap();
        QueueIndex::new(tasks, Arc::clone(queue), Arc::new(SystemClock))
    };
    let index = open();
    let bound = timed(async || index.rebind().await.unwrap()).await;
    let made = timed(async || drop(index.tasks().list(page()).await.unwrap())).await;
    let before = resident();
    let other = open();
    let loaded = timed(async || drop(other.tasks().list(page()).await.unwrap())).await;
    let memory = resident().saturating_sub(before);
    lists(name, other.tasks(), last).await;
    other.reconcile().await.unwrap();
    let reconciled = timed(async || other.reconcile().await.unwrap()).await;
    let audited = timed(async || drop(other.repair().await.unwrap())).await;
    let unfinished = other.tasks().list(TaskQuery::default().unfinished().with_limit(1)).await.unwrap().total;
    format!(
        "{name}: queue and catalogue made again from the files {:.1} s; first list after it {made:.1} ms; first list of another process {loaded:.1} ms, \
         its mirror {} KiB; a reconcile {reconciled:.1} ms, which reads {unfinished} files; an audit {:.1} s",
        bound / 1000.0,
        memory / 1024,
        audited / 1000.0,
    )
}

/// A row of the table.
async fn lists(name: &str, tasks: &TaskManager, last: &TaskCursor) {
    let mut by_target = page();
    by_target.targets = Some("192.0.2.7".parse().unwrap());
    let mut by_name = page();
    by_name.name = Some("SCAN 77".to_owned());
    let queries =
        [page(), page().with_status(TaskStatus::Failed), by_target, by_name, page().after(last.clone()).unwrap()];
    let mut columns = Vec::new();
    for query in queries {
        columns.push(best_of_three(async || drop(tasks.list(query.clone()).await.unwrap())).await);
    }
    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let tasks = tasks.clone();
        callers.spawn(async move { timed(async || drop(tasks.list(page()).await.unwrap())).await });
    }
    let slowest = callers.join_all().await.into_iter().fold(0.0, f64::max);
    columns.extend([began.elapsed().as_secs_f64() * 1000.0, slowest]);
    let columns: Vec<_> = columns.iter().map(|milliseconds| format!("{milliseconds:.1}")).collect();
    println!("| {name} | {} |", columns.join(" | "));
}

fn page() -> TaskQuery {
    TaskQuery::default().with_limit(PAGE)
}

/// The cursor of the last page.
async fn before_last(tasks: &TaskManager, count: i64) -> TaskCursor {
    let query = TaskQuery::default().with_limit(usize::try_from(count).unwrap() - PAGE);
    tasks.list(query).await.unwrap().next.unwrap()
}

async fn timed<T>(work: impl AsyncFnOnce() -> T) -> f64 {
    let began = Instant::now();
    let _ = work().await;
    began.elapsed().as_secs_f64() * 1000.0
}

async fn best_of_three(work: impl AsyncFn()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..3 {
        best = best.min(timed(&work).await);
    }
    best
}

/// The memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// Task files as old tasks have left them. They are not synced: nothing of them has to survive.
fn write_tasks(directory: &Path, count: i64) {
    let pool = PoolName::new("nessus").unwrap();
    for number in 0..count {
        let at = Timestamp::from_millis(1_764_599_422_000 + number * 7_000);
        let id = TaskId::generate("nessus", "nessus", at);
        let payload = ScanPayload::new(
            format!("scan {}", number % 1000),
            format!("192.0.{}.{}", number / 250 % 256, number % 250),
        );
        let mut task =
            Task::new(id.clone(), TraceId::generate(), ScanType::Untrusted, "nessus", pool.clone(), payload, at);
        task.status = match number {
            _ if number % UNFINISHED == 0 => TaskStatus::Queued,
            _ if number % 10 == 1 => TaskStatus::Failed,
            _ => TaskStatus::Completed,
        };
        task.completed_at = task.status.is_terminal().then_some(at);
        task.execution_time = task.status.is_terminal().then_some(1_234.5);
        let place = directory.join("tasks").join(id.as_str());
        fs::create_dir_all(&place).unwrap();
        let mut file = File::create(place.join("task.json")).unwrap();
        file.write_all(serde_json::to_string_pretty(&task).unwrap().as_bytes()).unwrap();
    }
}

/// A server of its own, killed at the end.
struct Server {
    child: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Server {
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new("redis-server");
        server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir"]);
        let child = server.arg(directory.path()).stdout(Stdio::null()).spawn().ok()?;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { child, url: format!("redis://127.0.0.1:{port}"), _directory: directory })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
