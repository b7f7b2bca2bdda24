//! Tasks that wait for a scanner that is full: they cost next to nothing, hold nobody up and are not forgotten.

use std::{collections::BTreeMap, fs, time::SystemTime};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const WAITING: u32 = 50;

impl Fixture {
    /// Gives all slots of a scanner to scans that nobody here knows.
    async fn fill(&self, instance: &InstanceId, slots: u32) -> Vec<TaskId> {
        let strangers = (0..slots).map(|number| format!("ne_lab_20251201_143022_{number:08x}").parse().unwrap());
        let strangers: Vec<TaskId> = strangers.collect();
        for stranger in &strangers {
            self.service.queue().acquire_slot(&pool(), instance, stranger, slots, 600 * MINUTE).await.unwrap();
        }
        strangers
    }

    /// Lets the queue's file remember each claim.
    fn remember_claims(&self) -> rusqlite::Connection {
        let queue = rusqlite::Connection::open(self.directory.path().join("queue.db")).unwrap();
        queue.busy_timeout(MINUTE).unwrap();
        queue
            .execute_batch(
                "CREATE TABLE claims (task_id TEXT);
                 CREATE TRIGGER claimed AFTER UPDATE OF state ON entries WHEN NEW.state = 'leased'
                     BEGIN INSERT INTO claims VALUES (NEW.task_id); END;",
            )
            .unwrap();
        queue
    }

    /// When each file below `tasks` was written.
    fn written(&self) -> BTreeMap<String, SystemTime> {
        let tasks = fs::read_dir(self.directory.path().join("tasks")).unwrap();
        let files = tasks.flat_map(|task| fs::read_dir(task.unwrap().path()).unwrap());
        files
            .map(|file| file.unwrap())
            .map(|file| (file.path().display().to_string(), file.metadata().unwrap().modified().unwrap()))
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_for_a_full_scanner_write_nothing_and_hold_nobody_up() {
    let (f, busy) = with_a_broken_scanner(fixture(2));
    let instance = InstanceId::new("broken").unwrap();
    let strangers = f.fill(&instance, 5).await;
    let mut pinned = Vec::new();
    for number in 0..WAITING {
        let mut request = SubmitRequest::untrusted("pinned", format!("192.0.2.{number}"));
        request.instance = Some(instance.to_string());
        pinned.push(f.service.submit(request).await.unwrap().task_id);
    }
    let (before, file) = (f.written(), f.remember_claims());
    let claims = || file.query_row("SELECT COUNT(*) FROM claims", [], |row| row.get::<_, u32>(0)).unwrap();
    let worker = f.start();
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!((f.written(), claims()), (before, 0));
    assert_eq!(f.service.status(&pinned[9]).await.unwrap().queue_position, Some(10), "each keeps its place");

    let free = f.submit().await;
    assert_eq!(f.ended(&free).await.status, TaskStatus::Completed, "it stands behind {WAITING} that wait");
    assert_eq!((busy.creates(), claims()), (0, 1));
    for stranger in &strangers {
        f.service.queue().release_slot(&pool(), &instance, stranger).await.unwrap();
    }
    for task_id in &pinned {
        assert_eq!(f.ended(task_id).await.status, TaskStatus::Completed);
    }
    assert_eq!((busy.creates(), busy.launches()), (u64::from(WAITING), u64::from(WAITING)));
    // A worker may claim one more before the one before it has its slot.
    assert!(claims() <= 1 + 5 * WAITING, "{}", claims());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_estimated_from_what_scans_took() {
    let f = fixture(1);
    let first = f.submit().await;
    assert_eq!(f.service.status(&first).await.unwrap().estimated_wait_seconds, Some(0), "there is a free slot");
    let second = f.submit().await;
    assert_eq!(f.service.status(&second).await.unwrap().estimated_wait_seconds, None, "nothing is known yet");
    let worker = f.start();
    f.ended(&first).await;
    f.ended(&second).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let ids = [f.submit().await, f.submit().await, f.submit().await];
    f.wait_for_progress(&ids[0]).await;
    let waits = [f.service.status(&ids[1]).await.unwrap(), f.service.status(&ids[2]).await.unwrap()];
    let waits = waits.map(|view| Duration::from_secs(view.estimated_wait_seconds.unwrap()));
    // A task that a worker has handed back for want of a slot has no place for a moment.
    let took = f.service.status(&second).await.unwrap().execution_time.unwrap();
    let took = Duration::from_secs_f64(took);
    assert!(
        waits[0] >= SCAN && waits[0] <= took * 2 && waits[0] <= waits[1] && waits[1] <= took * 4,
        "{waits:?} {took:?}"
    );
    f.service.queue().pause_pool(&pool(), "maintenance").await.unwrap();
    assert_eq!(f.service.status(&ids[2]).await.unwrap().estimated_wait_seconds, None);
    worker.stop().await;
}
