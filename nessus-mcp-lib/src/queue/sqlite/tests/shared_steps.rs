//! Steps that share a transaction: each happens as a whole or not at all, whatever becomes of the others.

use std::sync::{
    atomic::{AtomicBool, Ordering},
    mpsc,
};

use tokio::task::JoinHandle;

use super::*;

fn open() -> (TempDir, Arc<SqliteQueue>) {
    let directory = directory();
    let queue = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
    (directory, Arc::new(queue))
}

/// A step that goes on when it is told to: the ones that come meanwhile wait together.
async fn held(queue: &Arc<SqliteQueue>) -> (JoinHandle<Result<(), QueueError>>, mpsc::Sender<()>) {
    let (go_on, may_go_on) = mpsc::channel();
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let queue = Arc::clone(queue);
    let step = async move {
        let run = move |_: &Transaction<'_>, _| {
            begun.send(()).unwrap();
            let _ = may_go_on.lock().unwrap().recv();
            Ok(())
        };
        queue.write(run).await
    };
    let step = tokio::spawn(step);
    has_begun.recv().await.unwrap();
    (step, go_on)
}

async fn stored(queue: &SqliteQueue) -> Vec<String> {
    queue.peek(&pool(), 100).await.unwrap()
}

fn large(number: u32, size: usize) -> TaskBody {
    let (task, filler) = (body(number).task_id().clone(), "x".repeat(size));
    TaskBody::parse(serde_json::json!({ "task_id": task, "filler": filler }).to_string()).unwrap()
}

#[tokio::test]
async fn a_step_that_fails_or_panics_undoes_only_itself() {
    let (_directory, queue) = open();
    let (first, go_on) = held(&queue).await;
    let half_done = |number| {
        move |step: &Transaction<'_>, _| {
            statements::enqueue(step, &pool(), &body(number), End::Back)?;
            assert!(number != 3, "a defect");
            step.execute("INSERT INTO nowhere VALUES (1)", []).map(drop)
        }
    };
    let tell = async { go_on.send(()).unwrap() };
    let (nessus, one, bodies) = (pool(), body(1), [body(4), body(5)]);
    let (before, fails, panics, after, last, ()) = tokio::join!(
        queue.enqueue(&nessus, &one),
        queue.write(half_done(2)),
        queue.write(half_done(3)),
        queue.enqueue(&nessus, &bodies[0]),
        queue.enqueue(&nessus, &bodies[1]),
        tell,
    );
    first.await.unwrap().unwrap();
    for outcome in [before, after, last] {
        assert_eq!(outcome.unwrap(), EnqueueOutcome::Added);
    }
    let (fails, panics) = (fails.unwrap_err(), panics.unwrap_err());
    assert!(chain(&fails).contains("nowhere"), "{}", chain(&fails));
    assert!(chain(&panics).contains("did not end"), "{}", chain(&panics));
    assert_eq!(stored(&queue).await, [1, 4, 5].map(|number| body(number).into_string()));
}

/// A disk that is full for a large step is not for the small ones that share its transaction, though SQLite may undo all of it.
#[tokio::test]
async fn a_full_disk_refuses_only_the_step_that_is_too_large() {
    let (_directory, queue) = open();
    queue.enqueue(&pool(), &large(9, 100_000)).await.unwrap();
    queue.remove(&pool(), body(9).task_id()).await.unwrap();
    queue.store.with_writer(|writer| {
        let pages: i64 = writer.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        writer.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    });
    let (first, go_on) = held(&queue).await;
    let nessus = pool();
    let bodies = [body(1), large(2, 400_000), large(3, 400_000), body(4)];
    let tell = async { go_on.send(()).unwrap() };
    let (one, two, three, four, ()) = tokio::join!(
        queue.enqueue(&nessus, &bodies[0]),
        queue.enqueue(&nessus, &bodies[1]),
        queue.enqueue(&nessus, &bodies[2]),
        queue.enqueue(&nessus, &bodies[3]),
        tell,
    );
    first.await.unwrap().unwrap();
    assert_eq!([one.unwrap(), four.unwrap()], [EnqueueOutcome::Added; 2]);
    for error in [two.unwrap_err(), three.unwrap_err()] {
        assert_eq!(error.code(), "queue_storage_full", "{}", chain(&error));
    }
    assert_eq!(stored(&queue).await, [body(1).into_string(), body(4).into_string()]);
}

/// A transaction that cannot be committed has done nothing, and each step that shared it says so.
#[tokio::test]
async fn a_commit_that_fails_fails_all_that_share_it() {
    let (_directory, queue) = open();
    let fixture = "CREATE TABLE parents (id INTEGER PRIMARY KEY);
                   CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)";
    queue.write(move |step, _| step.execute_batch(fixture)).await.unwrap();
    queue.store.with_writer(|writer| writer.pragma_update(None, "foreign_keys", true).unwrap());
    let mut shared = false;
    for number in 1..=50 {
        let (first, go_on) = held(&queue).await;
        let tell = async { go_on.send(()).unwrap() };
        let (nessus, body) = (pool(), body(number));
        let (innocent, guilty, ()) = tokio::join!(
            queue.enqueue(&nessus, &body),
            queue.write(|step, _| step.execute("INSERT INTO children VALUES (7)", [])),
            tell,
        );
        // It may share the transaction as well.
        let _ = first.await.unwrap();
        assert!(guilty.is_err());
        let is_there = queue.state_of(&pool(), body.task_id()).await.unwrap().is_some();
        assert_eq!(innocent.is_ok(), is_there, "{innocent:?}");
        if let Err(error) = innocent {
            assert!(chain(&error).contains("FOREIGN KEY"), "{}", chain(&error));
            shared = true;
            break;
        }
        // A machine that was slow has given them two transactions.
    }
    assert!(shared);
    assert_eq!(queue.enqueue(&pool(), &body(99)).await.unwrap(), EnqueueOutcome::Added);
}

/// What waits for another process that does not end says so, and later steps find the file free.
#[tokio::test]
async fn steps_that_wait_too_long_for_another_process_fail() {
    let (directory, queue) = open();
    let other = Connection::open(directory.path().join("queue.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (nessus, bodies) = (pool(), [body(1), body(2)]);
    let (one, two) = tokio::join!(queue.enqueue(&nessus, &bodies[0]), queue.enqueue(&nessus, &bodies[1]));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!((error.code(), error.kind()), ("queue_unavailable", ErrorKind::Unavailable), "{}", chain(&error));
    }
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(queue.enqueue(&pool(), &bodies[1]).await.unwrap(), EnqueueOutcome::Added);
    assert_eq!(stored(&queue).await, [body(2).into_string()]);
}

/// A process that writes without end lets the others in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_process_lets_others_in() {
    let (directory, queue) = open();
    let other = SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..8)
        .map(|caller| {
            let (queue, is_over) = (Arc::clone(&queue), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut calls = 0;
                while !is_over.load(Ordering::Relaxed) {
                    queue.enqueue(&pool(), &body(1000 * (caller + 1) + calls)).await.unwrap();
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for number in 0..20 {
        other.enqueue(&pool(), &body(number)).await.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    for calls in busy {
        assert!(calls.await.unwrap() > 0);
    }
}

/// A runtime that ends before it has begun what waits leaves the queue to the others.
#[test]
fn a_runtime_that_ends_leaves_the_queue_usable() {
    let (_directory, queue) = open();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).max_blocking_threads(1).enable_all().build().unwrap();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    runtime.spawn_blocking(move || may_go_on.recv());
    let ends = {
        let queue = Arc::clone(&queue);
        runtime.spawn(async move { queue.enqueue(&pool(), &body(1)).await })
    };
    while queue.store.nobody_writes() {
        std::thread::yield_now();
    }
    runtime.shutdown_background();
    go_on.send(()).unwrap();
    drop(ends);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Until the first runtime has let go, its steps are waited for by nobody.
        for _ in 0..1000 {
            match queue.enqueue(&pool(), &body(2)).await {
                Ok(_) => return,
                Err(error) => assert!(chain(&error).contains("did not end"), "{}", chain(&error)),
            }
        }
        panic!("nobody leads");
    });
}
