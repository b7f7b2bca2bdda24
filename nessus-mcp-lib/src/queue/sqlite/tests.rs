mod long_queues;
mod shared_steps;

use std::{fs, process::Command};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::{
    circuit_breaker::CircuitCommand,
    error::{Classified, ErrorKind, chain},
};

fn pool() -> PoolName {
    PoolName::new("nessus").unwrap()
}

fn body(number: u32) -> TaskBody {
    TaskBody::parse(format!(r#"{{"task_id":"ne_ness_20251201_143022_{number:08x}"}}"#)).unwrap()
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[cfg(feature = "testing")]
mod conformance {
    use super::*;
    use crate::{testing::queue_conformance::QueueHarness, time::ManualClock};

    /// Asks through two open queues in turn, as two processes would.
    struct SqliteHarness {
        directory: TempDir,
        clock: ManualClock,
        queues: [Arc<SqliteQueue>; 2],
        turn: std::sync::atomic::AtomicUsize,
    }

    impl SqliteHarness {
        fn start() -> std::future::Ready<Self> {
            let directory = directory();
            let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_123));
            let open = || {
                let clock = Arc::new(clock.clone());
                Arc::new(SqliteQueue::open_with_clock(&directory.path().join("queue.db"), clock).unwrap())
            };
            let queues = [open(), open()];
            std::future::ready(Self { directory, clock, queues, turn: 0.into() })
        }

        fn connection(&self) -> Connection {
            let connection = Connection::open(self.directory.path().join("queue.db")).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            connection
        }
    }

    #[async_trait]
    impl QueueHarness for SqliteHarness {
        fn queue(&self) -> Arc<dyn Queue> {
            let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Arc::clone(&self.queues[turn % 2]) as Arc<dyn Queue>
        }

        async fn let_pass(&self, time: Duration) {
            self.clock.advance(time);
        }

        async fn push_raw(&self, pool: &PoolName, text: &str) {
            self.connection()
                .execute(
                    "INSERT INTO entries (pool, body, state, place)
                     SELECT ?1, ?2, 'ready', COALESCE(MAX(place), 0) + 1 FROM entries WHERE pool = ?1",
                    [pool.as_str(), text],
                )
                .unwrap();
        }

        async fn wipe(&self) {
            self.connection()
                .execute_batch(
                    "BEGIN IMMEDIATE; DELETE FROM entries; DELETE FROM pools; DELETE FROM dead; DELETE FROM slots;
                     DELETE FROM idempotency; DELETE FROM circuit_notices;
                     DELETE FROM circuit_states; DELETE FROM workers; DELETE FROM facts; COMMIT;",
                )
                .unwrap();
        }
    }

    crate::queue_conformance_tests!(SqliteHarness::start());

    #[tokio::test]
    async fn all_checks_run_in_one_test_too() {
        crate::testing::queue_conformance::run_all(SqliteHarness::start).await;
    }
}

#[test]
fn the_file_and_its_directory_are_private() {
    let directory = directory();
    let path = directory.path().join("data/nested/queue.db");
    let _queue = SqliteQueue::open(&path).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        for suffix in ["", "-wal", "-shm"] {
            let file = path.with_file_name(format!("queue.db{suffix}"));
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

#[tokio::test]
async fn what_was_confirmed_is_there_after_opening_again() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let queue = SqliteQueue::open(&path).unwrap();
    queue.enqueue(&pool(), &body(1)).await.unwrap();
    drop(queue);
    let queue = SqliteQueue::open(&path).unwrap();
    assert_eq!(queue.peek(&pool(), 1).await.unwrap(), [body(1).into_string()]);
    let connection = Connection::open(&path).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let synchronous = |writer: &Connection| writer.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0));
    assert_eq!(queue.store.with_writer(synchronous).unwrap(), 2, "FULL");
}

#[tokio::test]
async fn a_future_that_is_dropped_midway_leaves_a_whole_step() {
    let directory = directory();
    let queue = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
    let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let step = queue.write(move |step, _| {
        statements::enqueue(step, &pool(), &body(1), statements::End::Back)?;
        started.send(()).unwrap();
        may_go_on.recv().unwrap();
        statements::enqueue(step, &pool(), &body(2), statements::End::Back)
    });
    tokio::select! {
        _ = step => panic!("the step is held"),
        started = has_started.recv() => started.unwrap(),
    }
    // The future is gone. Another step waits for the one that still runs.
    go_on.send(()).unwrap();
    queue.enqueue(&pool(), &body(3)).await.unwrap();
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 3);
}

#[test]
fn threads_open_a_new_file_at_once() {
    // So many, because SQLite fails the switch to WAL only when two of them meet in the middle of it.
    for _ in 0..25 {
        let directory = directory();
        let path = directory.path().join("data/queue.db");
        let start = std::sync::Barrier::new(12);
        std::thread::scope(|scope| {
            let open = || {
                start.wait();
                SqliteQueue::open(&path)
            };
            let opens: Vec<_> = (0..12).map(|_| scope.spawn(open)).collect();
            for open in opens {
                open.join().unwrap().unwrap();
            }
        });
    }
}

/// Starts this very test as several processes, each of which opens the same new file and adds a task.
#[test]
fn processes_open_a_new_file_at_once() {
    const FILE: &str = "NESSUS_MCP_TEST_QUEUE_FILE";
    const NUMBER: &str = "NESSUS_MCP_TEST_QUEUE_NUMBER";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(file) = std::env::var_os(FILE) {
        let number = std::env::var(NUMBER).unwrap().parse().unwrap();
        let queue = SqliteQueue::open(Path::new(&file)).unwrap();
        runtime.block_on(queue.enqueue(&pool(), &body(number))).unwrap();
        return;
    }
    let directory = directory();
    let path = directory.path().join("data/queue.db");
    let children: Vec<_> = (0..6)
        .map(|number| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "queue::sqlite::tests::processes_open_a_new_file_at_once", "--nocapture"])
                .env(FILE, &path)
                .env(NUMBER, number.to_string())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let queue = SqliteQueue::open(&path).unwrap();
    assert_eq!(runtime.block_on(queue.stats(&pool())).unwrap().ready, 6);
}

#[test]
fn what_cannot_be_a_queue_is_refused_with_its_path() {
    let directory = directory();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        crate::durable::replace(&path, content).unwrap();
        path
    };
    let database = |name: &str, statements: &str| {
        let path = directory.path().join(name);
        Connection::open(&path).unwrap().execute_batch(statements).unwrap();
        path
    };
    let long_text = "this is no database at all. ".repeat(200);
    for (path, code, part) in [
        (file("text", long_text.as_bytes()), "queue_unusable", "not a SQLite database"),
        (file("plain", b"x").join("queue.db"), "queue_unusable", "cannot be created"),
        (directory.path().to_owned(), "queue_unusable", "it is a directory"),
        (database("other.db", "CREATE TABLE customers (id)"), "queue_unusable", "another program"),
        (
            database("newer.db", "CREATE TABLE schema_version (version); INSERT INTO schema_version VALUES (99)"),
            "queue_schema_newer",
            "version 99",
        ),
        (
            database("zero.db", "CREATE TABLE schema_version (version); INSERT INTO schema_version VALUES (0)"),
            "queue_unusable",
            "unknown schema version 0",
        ),
    ] {
        let error = SqliteQueue::open(&path).unwrap_err();
        let line = chain(&error);
        assert_eq!((error.code(), error.kind()), (code, ErrorKind::Configuration), "{line}");
        assert!(line.contains(part) && line.contains(path.to_str().unwrap()), "{line}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_step_and_keeps_the_rest() {
    let directory = directory();
    let queue = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
    queue.enqueue(&pool(), &body(1)).await.unwrap();
    queue.store.with_writer(|writer| {
        let pages: i64 = writer.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        writer.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    });
    let filler = "x".repeat(100_000);
    let large =
        TaskBody::parse(format!(r#"{{"task_id":"ne_ness_20251201_143022_ffffffff","filler":"{filler}"}}"#)).unwrap();
    let error = queue.enqueue(&pool(), &large).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("queue_storage_full", ErrorKind::Unavailable), "{}", chain(&error));
    assert!(error.is_retryable());
    let worker = WorkerId::generate();
    let claim = queue.claim(&pool(), &worker, Duration::from_secs(60), &[]).await.unwrap().unwrap();
    assert_eq!(claim.body, body(1));
}

/// Nothing is written into a file that is gone: the one that lies there instead is used, by all who had the first one open.
#[tokio::test]
async fn a_file_that_was_moved_away_is_replaced() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let queues = [SqliteQueue::open(&path).unwrap(), SqliteQueue::open(&path).unwrap()];
    queues[0].enqueue(&pool(), &body(1)).await.unwrap();
    queues[0].bind(None, &Binding::new("one")).await.unwrap();
    let moved = directory.path().join("moved.db");
    // The log beside it stays behind, as it does when an operator moves the one file that has the name.
    #[expect(clippy::disallowed_methods, reason = "as an operator does")]
    fs::rename(&path, &moved).unwrap();
    assert_eq!(queues[1].binding().await.unwrap(), None);
    for (number, queue) in (2..).zip(&queues) {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
    }
    let third = SqliteQueue::open(&path).unwrap();
    assert_eq!(third.peek(&pool(), 9).await.unwrap(), [body(2).into_string(), body(3).into_string()]);
    drop(queues);
    assert_eq!(third.stats(&pool()).await.unwrap().ready, 2, "whoever closes it leaves the log of the others alone");

    let nested = directory.path().join("data/queue.db");
    let queue = SqliteQueue::open(&nested).unwrap();
    fs::remove_dir_all(nested.parent().unwrap()).unwrap();
    let error = queue.enqueue(&pool(), &body(1)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("queue_unavailable", ErrorKind::Unavailable), "{}", chain(&error));
}

#[tokio::test]
async fn work_of_another_process_is_noticed() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let (here, there) = (SqliteQueue::open(&path).unwrap(), SqliteQueue::open(&path).unwrap());
    let waits = async {
        let pools = [pool()];
        let waiting = here.wait_for_work(&pools, Duration::from_secs(3600));
        tokio::time::timeout(Duration::from_secs(120), waiting).await.is_ok()
    };
    let works = async {
        tokio::task::yield_now().await;
        there.enqueue(&pool(), &body(1)).await
    };
    let (noticed, enqueued) = tokio::join!(waits, works);
    enqueued.unwrap();
    assert!(noticed);
}

/// What the first version of the program left behind is brought up to date and loses nothing.
#[tokio::test]
async fn a_file_of_the_first_version_gets_what_it_lacks() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let older = Connection::open(&path).unwrap();
    older.execute_batch(schema::FIRST_VERSION).unwrap();
    older
        .execute_batch(
            "INSERT INTO schema_version (version) VALUES (1); INSERT INTO pools (pool, paused) VALUES ('nessus', 'x')",
        )
        .unwrap();
    let queues = [SqliteQueue::open(&path).unwrap(), SqliteQueue::open(&path).unwrap()];
    assert_eq!(queues[0].stats(&pool()).await.unwrap().paused.as_deref(), Some("x"));
    let scanners = [InstanceId::new("a").unwrap()];
    assert_eq!(queues[1].circuit_notices(&pool(), &scanners).await.unwrap(), [None]);
    let version: i64 = older.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, schema::VERSION);
}

/// Of a file of version 4, what operators have ordered about circuits stays, and what processes have found is forgotten.
#[tokio::test]
async fn a_file_of_version_4_keeps_its_isolations() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let older = Connection::open(&path).unwrap();
    older.execute_batch(schema::FIRST_VERSION).unwrap();
    schema::MIGRATIONS[..3].iter().for_each(|migration| older.execute_batch(migration).unwrap());
    older
        .execute_batch(
            "INSERT INTO schema_version (version) VALUES (4);
             INSERT INTO circuits VALUES ('nessus', 'a', 1764599422123000, 'isolated', NULL, 'maintenance', 'operator',
                 'isolate', 1764599422123, 3, 17);
             INSERT INTO circuits VALUES ('nessus', 'b', 1764599422123001, 'open', 1764599452123, 'no answer',
                 'process:w', NULL, 1764599422123, 1, 5);
             INSERT INTO circuits VALUES ('nessus', 'c', 1764599422123002, 'unusable', NULL, 'refused', 'process:w',
                 NULL, 1764599422123, 0, 0);",
        )
        .unwrap();
    let queue = SqliteQueue::open(&path).unwrap();
    let scanners = ["a", "b", "c"].map(|name| InstanceId::new(name).unwrap());
    let notices = queue.circuit_notices(&pool(), &scanners).await.unwrap();
    let isolation = CircuitNotice::command(CircuitCommand::Isolate, "maintenance", "operator");
    let at = Timestamp::from_millis(1_764_599_422_123);
    assert_eq!(notices, [Some(PostedNotice::new(1_764_599_422_123_000, at, isolation)), None, None]);
    assert_eq!(queue.circuit_states().await.unwrap(), []);
}

/// A file of version 5 gets the tables of hosts, and what counts against a day is forgotten with the day.
#[tokio::test]
async fn a_file_of_version_5_charges_hosts_and_forgets_old_days() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let older = Connection::open(&path).unwrap();
    older.execute_batch(schema::FIRST_VERSION).unwrap();
    schema::MIGRATIONS[..4].iter().for_each(|migration| older.execute_batch(migration).unwrap());
    older.execute_batch("INSERT INTO schema_version (version) VALUES (5)").unwrap();
    let clock = crate::time::ManualClock::new(Timestamp::from_millis(1_764_599_422_123));
    let queue = SqliteQueue::open_with_clock(&path, Arc::new(clock.clone())).unwrap();
    // What a process of version 5 does that has the file open.
    older.execute("INSERT INTO pools (pool, paused) VALUES ('nessus', 'x')", []).unwrap();
    let rows = |table: &str| older.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0));
    for (day, days) in [("2025-12-01", 1), ("2025-12-02", 2), ("2025-12-05", 2)] {
        queue.restore_charge(&Charge::new(Charge::ALL, "a", 7).on(day)).await.unwrap();
        assert_eq!((rows("host_days"), rows("host_charges")), (Ok(days), Ok(days)), "{day}");
        clock.advance(Duration::from_secs(36 * 3600));
    }
    assert_eq!(queue.charged(Charge::ALL, Some("2025-12-01")).await.unwrap(), 0);
    assert_eq!(queue.charged(Charge::ALL, Some("2025-12-02")).await.unwrap(), 7);
    assert_eq!(queue.stats(&pool()).await.unwrap().paused.as_deref(), Some("x"));
}

/// An hour's step back of the clock: what dead workers held is free after a lease, what waits is due after its pause, and a
/// lease that is renewed goes on.
#[tokio::test]
async fn a_clock_that_steps_back_freezes_nothing() {
    const MINUTE: Duration = Duration::from_secs(60);
    let directory = directory();
    let clock = crate::time::ManualClock::new(Timestamp::from_millis(1_764_599_422_123));
    let queue = SqliteQueue::open_with_clock(&directory.path().join("queue.db"), Arc::new(clock.clone())).unwrap();
    let (worker, scanner) = (WorkerId::generate(), InstanceId::new("a").unwrap());
    for number in 1..=3 {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
    }
    let claim = async || queue.claim(&pool(), &worker, MINUTE, &[]).await.unwrap().map(|claim| claim.lease);
    let (dead, alive, failed) = (claim().await.unwrap(), claim().await.unwrap(), claim().await.unwrap());
    queue.settle(&failed, Settlement::Nack { delay: 2 * MINUTE, started: false }).await.unwrap();
    queue.acquire_slot(&pool(), &scanner, &dead.task_id, 1, MINUTE).await.unwrap();
    queue.publish_circuit_states("dead", &[], MINUTE).await.unwrap();
    queue.announce_worker(&WorkerRecord::new(worker.clone(), clock.now()), 60 * MINUTE).await.unwrap();
    clock.advance(MINUTE / 2);
    let age = async || queue.workers().await.unwrap().pop().map(|seen| seen.age);

    clock.step_back(60 * MINUTE);
    assert!(age().await.unwrap() < MINUTE, "{:?}", age().await);
    assert_eq!(queue.renew(std::slice::from_ref(&alive), MINUTE).await.unwrap(), [RenewOutcome::Held]);
    assert_eq!(queue.circuit_states().await.unwrap(), [], "nobody renews it");
    clock.advance(MINUTE / 2);
    assert!(age().await.unwrap() >= MINUTE / 2, "a worker that is gone does not seem to live for an hour");
    assert_eq!(claim().await, None, "the step ends no lease before its time");
    queue.renew(std::slice::from_ref(&alive), MINUTE).await.unwrap();
    clock.advance(MINUTE / 2 + Duration::from_secs(1));
    assert_eq!(claim().await.map(|lease| lease.task_id), Some(dead.task_id));
    assert_eq!(queue.slots_in_use(&pool(), &scanner).await.unwrap(), []);
    clock.advance(MINUTE);
    queue.renew(std::slice::from_ref(&alive), MINUTE).await.unwrap();
    clock.advance(Duration::from_secs(1));
    let states = queue.stats(&pool()).await.unwrap();
    assert!(claim().await.is_some(), "{states:?}");
}
