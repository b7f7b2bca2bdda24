//! The catalogue of tasks against their files: whatever happens to either, lists say what the files say.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestCaseError};

use super::{index::QueueIndex, reconcile::reconcile};
use crate::{
    durable,
    ids::{PoolName, TaskId, TraceId},
    queue::{CATALOGUE_BATCH, CatalogueRecord, Queue, QueueError, sqlite::SqliteQueue},
    task::{Charges, ScanPayload, ScanType, Task, TaskError, TaskList, TaskManager, TaskQuery, TaskStatus, Writer},
    time::{Clock, ManualClock, Timestamp},
};

/// An entry of a version that knew no error codes does not hide its task from those who ask for one.
#[tokio::test]
async fn error_codes_are_found_also_in_entries_without_them() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    let ids = [f.create(&tasks, "one", "lab").await, f.create(&tasks, "two", "lab").await];
    for (id, code) in ids.iter().zip(["scan_timeout", "scanner_unavailable"]) {
        let ended = tasks.update(id, Writer::Api, move |task| {
            task.status = TaskStatus::Failed;
            task.error_code = Some(code.to_owned());
        });
        ended.await.unwrap();
    }
    let query = || {
        let mut query = TaskQuery::default();
        query.error_code = Some("scan_timeout".to_owned());
        query
    };
    let found = |list: TaskList| list.tasks.into_iter().map(|task| task.task_id).collect::<Vec<_>>();
    assert_eq!(found(f.list(query()).await), ids[..1]);
    for mut record in f.records().await {
        let entry = record.entry.unwrap();
        let (begin, _) = entry.split_once("\"error_code\"").unwrap();
        let (_, rest) = entry.split_once("\"name\"").unwrap();
        record.entry = Some(format!("{begin}\"name\"{rest}"));
        assert!(!record.entry.as_ref().unwrap().contains("scan"), "{entry}");
        f.queue.record_tasks(&[record]).await.unwrap();
    }
    assert_eq!(found(f.list(query()).await), ids[..1]);
    assert_eq!(tasks.matching(query()).await.unwrap().0, ids[..1], "no file is listed, and none is missed");
    assert_eq!(tasks.matching(TaskQuery::default().retryable()).await.unwrap().0.len(), 2);
}

struct Fixture {
    directory: tempfile::TempDir,
    clock: ManualClock,
    queue: Arc<dyn Queue>,
    index: QueueIndex,
    /// As an older version of the program has it: it records nothing.
    older: TaskManager,
    ids: Vec<TaskId>,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_000));
        let path = directory.path().join("queue").join("queue.db");
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open_with_clock(&path, Arc::new(clock.clone())).unwrap());
        let older = TaskManager::open_with_clock(directory.path(), Arc::new(clock.clone())).unwrap();
        let index = QueueIndex::new(older.clone(), Arc::clone(&queue), Arc::new(clock.clone()));
        index.ensure().await.unwrap();
        Self { directory, clock, queue, index, older, ids: Vec::new() }
    }

    fn tasks(&self) -> &TaskManager {
        self.index.tasks()
    }

    fn file(&self, task_id: &TaskId) -> PathBuf {
        self.older.artifact_path(task_id, "task.json")
    }

    async fn create(&mut self, by: &TaskManager, name: &str, pool: &str) -> TaskId {
        self.clock.advance(Duration::from_secs(1));
        let id = TaskId::generate("mock", pool, self.clock.now());
        let payload = ScanPayload::new(name, format!("192.0.2.{}", self.ids.len() % 4));
        let pool = PoolName::new(pool).unwrap();
        let task =
            Task::new(id.clone(), TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, self.clock.now());
        by.create(task).await.unwrap();
        self.ids.push(id.clone());
        id
    }

    async fn set(&self, by: &TaskManager, id: &TaskId, status: TaskStatus) {
        by.update(id, Writer::Api, move |task| task.status = status).await.unwrap();
    }

    async fn reconcile(&self) {
        // What is young may be about to be enqueued.
        self.clock.advance(Duration::from_secs(60));
        reconcile(self.tasks(), self.queue.as_ref(), self.clock.now()).await.unwrap();
    }

    async fn records(&self) -> Vec<CatalogueRecord> {
        self.queue.catalogue_changes(0, CATALOGUE_BATCH).await.unwrap().records
    }

    async fn list(&self, query: TaskQuery) -> TaskList {
        self.tasks().list(query).await.unwrap()
    }

    async fn of_files(&self, query: TaskQuery) -> TaskList {
        self.older.list(query).await.unwrap()
    }

    /// Every list says what one made from the files says.
    async fn agrees(&self, query: TaskQuery) -> Result<(), TestCaseError> {
        let (ours, files) = (self.list(query.clone()).await, self.of_files(query.clone()).await);
        prop_assert_eq!(ours, files, "{:?}", query);
        Ok(())
    }

    /// No unfinished task of the files is missing among the unfinished of the catalogue.
    async fn contains_the_unfinished(&self) -> Result<(), TestCaseError> {
        let of_files = self.of_files(TaskQuery::default().unfinished()).await;
        let known = self.queue.unfinished_records(None, CATALOGUE_BATCH).await.unwrap();
        let known: BTreeSet<_> = known.into_iter().map(|record| record.task_id).collect();
        let missing: Vec<_> = of_files.tasks.iter().filter(|task| !known.contains(&task.task_id)).collect();
        prop_assert!(missing.is_empty(), "{:?}", missing);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Create(&'static str, &'static str),
    Set(usize, TaskStatus),
    Retry(usize),
    /// An operator removes a task by hand.
    Remove(usize),
    Damage(usize),
    LoseRecord(usize),
    LoseCatalogue,
    /// A file comes back from a copy.
    PutBack(usize),
    Reconcile,
}

fn steps() -> impl Strategy<Value = Step> {
    let task = || 0..12_usize;
    prop_oneof![
        4 => (select(vec!["office", "Office", "lab"]), select(vec!["one", "two"])).prop_map(|(name, pool)| Step::Create(name, pool)),
        6 => (task(), select(TaskStatus::ALL.to_vec())).prop_map(|(task, status)| Step::Set(task, status)),
        3 => task().prop_map(Step::Retry),
        1 => task().prop_map(Step::Remove),
        1 => task().prop_map(Step::Damage),
        1 => task().prop_map(Step::LoseRecord),
        1 => Just(Step::LoseCatalogue),
        1 => task().prop_map(Step::PutBack),
        2 => Just(Step::Reconcile),
    ]
}

fn queries() -> impl Strategy<Value = TaskQuery> {
    let status = proptest::option::of(select(TaskStatus::ALL.to_vec()));
    let pool = proptest::option::of(select(vec!["one", "two", "three"]));
    let name = proptest::option::of(select(vec!["office", "LAB", "nothing"]));
    let targets = proptest::option::of(select(vec!["192.0.2.1", "192.0.2.0/31", "198.51.100.1", "0.0.0.0/0"]));
    (status, pool, name, targets, any::<bool>(), 0..4_usize).prop_map(
        |(status, pool, name, targets, unfinished, limit)| {
            let mut query = TaskQuery::default().with_limit(limit);
            query.status = status;
            query.pool = pool.map(|pool| PoolName::new(pool).unwrap());
            query.name = name.map(str::to_owned);
            query.targets = targets.map(|targets| targets.parse().unwrap());
            query.unfinished = unfinished;
            query
        },
    )
}

/// Does the step; whether the catalogue may lack an unfinished task after it, until the reconciler has come.
async fn step(f: &mut Fixture, step: Step) -> bool {
    let tasks = f.tasks().clone();
    let chosen = |at: usize| f.ids.get(at % f.ids.len().max(1)).cloned();
    match step {
        Step::Create(name, pool) => _ = f.create(&tasks, name, pool).await,
        Step::Set(at, status) => {
            if let Some(id) = chosen(at) {
                let _ = tasks.update(&id, Writer::Api, move |task| task.status = status).await;
            }
        }
        Step::Retry(at) => {
            if let Some(id) = chosen(at) {
                let _ = tasks.retry(&id, Charges::default(), None).await;
            }
        }
        Step::Remove(at) => {
            if let Some(id) = chosen(at) {
                let _ = fs::remove_dir_all(f.file(&id).parent().unwrap());
            }
        }
        Step::Damage(at) => {
            if let Some(path) = chosen(at).map(|id| f.file(&id)).filter(|path| path.exists()) {
                durable::replace(&path, b"{").unwrap();
            }
        }
        Step::LoseRecord(at) => {
            if let Some(id) = chosen(at) {
                let records = f.records().await;
                let known = records.iter().find(|record| record.task_id == id);
                let revision = known.map_or(1, |record| record.revision);
                f.queue.record_tasks(&[CatalogueRecord::gone(id, revision)]).await.unwrap();
                return true;
            }
        }
        Step::LoseCatalogue => _ = f.queue.begin_catalogue().await.unwrap(),
        Step::PutBack(at) => {
            if let Some(id) = chosen(at)
                && let Ok(mut task) = tasks.get(&id).await
            {
                (task.revision, task.status, task.completed_at) = (1, TaskStatus::Queued, None);
                durable::replace(&f.file(&id), serde_json::to_string(&task).unwrap().as_bytes()).unwrap();
                return true;
            }
        }
        Step::Reconcile => f.reconcile().await,
    }
    matches!(step, Step::LoseCatalogue)
}

async fn lists_say_what_the_files_say(steps: Vec<Step>, queries: Vec<TaskQuery>) -> Result<(), TestCaseError> {
    let mut f = Fixture::new().await;
    let (mut may_lack, mut was_put_back, mut was_removed) = (false, false, false);
    for one in steps {
        may_lack |= step(&mut f, one).await;
        was_put_back |= matches!(one, Step::PutBack(_));
        was_removed |= matches!(one, Step::Remove(_));
        if matches!(one, Step::Reconcile) {
            // The reconciler does not look for ended tasks whose files came back as unfinished: that is what an audit is for.
            // Nor for what the catalogue has lost while it had as many that were removed by hand.
            may_lack = was_put_back || (may_lack && was_removed);
        }
        if !may_lack {
            f.contains_the_unfinished().await?;
        }
    }
    // A file that came back with a state of its own is found by an audit, or when it is read.
    f.index.repair().await.unwrap();
    f.reconcile().await;
    f.contains_the_unfinished().await?;
    for query in queries {
        f.agrees(query).await?;
    }
    f.agrees(TaskQuery::default()).await?;
    let audit = f.index.repair().await.unwrap().0;
    prop_assert_eq!((audit.missing, audit.wrong, audit.gone, audit.was_lost), (0, 0, 0, false));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn after_whatever_has_happened_lists_say_what_the_files_say(
        steps in vec(steps(), 1..30),
        queries in vec(queries(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(lists_say_what_the_files_say(steps, queries))?;
    }
}

/// All that a reconciler needs not do: what has ended is not read.
#[tokio::test]
async fn the_reconciler_reads_only_what_is_unfinished() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    let (ended, open) = (f.create(&tasks, "a", "one").await, f.create(&tasks, "b", "one").await);
    f.set(&tasks, &ended, TaskStatus::Cancelled).await;
    assert_eq!(f.list(TaskQuery::default()).await.total, 2);
    // Were it read, it would be said to be damaged.
    durable::replace(&f.file(&ended), b"{").unwrap();
    f.reconcile().await;
    let unreadable = |records: &[CatalogueRecord]| {
        records.iter().filter(|record| record.entry.as_ref().is_some_and(|entry| entry.contains("unreadable"))).count()
    };
    assert_eq!(unreadable(&f.records().await), 0);
    assert!(f.queue.state_of(&PoolName::new("one").unwrap(), &open).await.unwrap().is_some(), "it is enqueued");
    // Told to, it reads all.
    let (audit, _) = f.index.repair().await.unwrap();
    assert_eq!((audit.tasks, audit.unreadable.len(), unreadable(&f.records().await)), (1, 1, 1));
    let list = f.list(TaskQuery::default()).await;
    assert_eq!((list.total, list.unreadable.len()), (1, 1));
}

/// A process of an older version works in the same directory: what it ends, makes and tries again is found.
#[tokio::test]
async fn what_an_older_version_does_is_found() {
    let mut f = Fixture::new().await;
    let (tasks, older) = (f.tasks().clone(), f.older.clone());
    let (ended, failed) = (f.create(&tasks, "ended", "one").await, f.create(&tasks, "failed", "one").await);
    assert_eq!(f.list(TaskQuery::default()).await.total, 2);
    f.set(&older, &ended, TaskStatus::Cancelled).await;
    let made = f.create(&older, "made", "one").await;
    // Its list is never wrong about what it shows.
    let queued = f.list(TaskQuery::default().with_status(TaskStatus::Queued)).await;
    assert!(queued.tasks.iter().all(|task| task.task_id != ended), "{queued:?}");
    f.reconcile().await;
    for (query, expected) in [
        (TaskQuery::default().with_status(TaskStatus::Cancelled), vec![&ended]),
        (TaskQuery::default().unfinished(), vec![&made, &failed]),
    ] {
        let list = f.list(query.clone()).await;
        assert_eq!(list.tasks.iter().map(|task| &task.task_id).collect::<Vec<_>>(), expected);
        f.agrees(query).await.unwrap();
    }
    // What it tries again is known when a worker takes the task.
    f.set(&tasks, &failed, TaskStatus::Failed).await;
    older.retry(&failed, Charges::default(), None).await.unwrap();
    f.set(&tasks, &failed, TaskStatus::Running).await;
    let unfinished = f.list(TaskQuery::default().unfinished()).await;
    assert_eq!(unfinished.tasks.len(), 2, "{unfinished:?}");
    f.contains_the_unfinished().await.unwrap();
}

/// A queue that is down fails no change of a task, keeps nobody waiting, and hears of all when it is back. What must be
/// recorded before does not happen.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the directory has to be somewhere else for a while, not to survive there"
)]
async fn a_queue_that_is_down_stops_no_worker_and_hears_of_all_later() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    let (ended, failed) = (f.create(&tasks, "ended", "one").await, f.create(&tasks, "failed", "one").await);
    f.set(&tasks, &failed, TaskStatus::Failed).await;
    assert_eq!(f.list(TaskQuery::default()).await.total, 2);
    let (there, away) = (f.directory.path().join("queue"), f.directory.path().join("away"));
    fs::rename(&there, &away).unwrap();
    f.set(&tasks, &ended, TaskStatus::Running).await;
    f.set(&tasks, &ended, TaskStatus::Completed).await;
    assert!(tasks.is_behind());
    let before = tasks.get(&failed).await.unwrap();
    let refused = tasks.retry(&failed, Charges::default(), None).await.unwrap_err();
    assert!(matches!(refused, TaskError::Catalogue(_)), "{refused}");
    assert_eq!(tasks.get(&failed).await.unwrap(), before);
    let id = TaskId::generate("mock", "one", f.clock.now());
    let mut task = before.clone();
    task.task_id = id.clone();
    assert!(matches!(tasks.create(task).await, Err(TaskError::Catalogue(_))));
    assert!(!f.file(&id).parent().unwrap().exists(), "nothing has happened");
    f.agrees(TaskQuery::default().with_status(TaskStatus::Completed)).await.unwrap();

    fs::rename(&away, &there).unwrap();
    f.agrees(TaskQuery::default().with_status(TaskStatus::Completed)).await.unwrap();
    f.contains_the_unfinished().await.unwrap();
    f.reconcile().await;
    assert!(!tasks.is_behind());
    f.agrees(TaskQuery::default().with_status(TaskStatus::Completed)).await.unwrap();
    assert_eq!(f.index.repair().await.unwrap().0.wrong, 0);
}

/// What a process could not record it records by itself: nobody need reconcile, nor need it be idle for a while.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the directory has to be somewhere else for a while, not to survive there"
)]
async fn what_could_not_be_recorded_is_recorded_by_the_next_list_or_change() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    let busy = f.create(&tasks, "busy", "one").await;
    for by_list in [true, false] {
        let ended = f.create(&tasks, "ended", "one").await;
        let (there, away) = (f.directory.path().join("queue"), f.directory.path().join("away"));
        fs::rename(&there, &away).unwrap();
        f.set(&tasks, &ended, TaskStatus::Cancelled).await;
        assert!(tasks.is_behind());
        fs::rename(&away, &there).unwrap();
        for number in 0..1000 {
            if !tasks.is_behind() {
                break;
            }
            if by_list {
                f.agrees(TaskQuery::default()).await.unwrap();
            } else {
                tasks
                    .update(&busy, Writer::Api, move |task| task.payload.name = format!("name {number}"))
                    .await
                    .unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!tasks.is_behind(), "by a list: {by_list}");
        let records = f.records().await;
        assert!(records.iter().all(|record| record.unfinished == (record.task_id == busy)), "{records:?}");
        let name = tasks.get(&busy).await.unwrap().payload.name;
        assert!(records.iter().any(|record| record.entry.as_ref().unwrap().contains(&name)), "{name}, {records:?}");
    }
}

/// Of many lists that come while the queue does not do what it should one asks it, and the others read files at once.
#[cfg(feature = "testing")]
#[tokio::test(start_paused = true)]
async fn lists_do_not_wait_one_after_the_other_for_a_queue_that_fails() {
    let directory = tempfile::tempdir().unwrap();
    let tasks = TaskManager::open(directory.path()).unwrap();
    tasks.update_queue_file(|file| file.id = Some("here".to_owned())).await.unwrap();
    let mut queue = crate::queue::MockQueue::new();
    let (location, problem) = ("there".to_owned(), "gone".to_owned());
    let gone = move || QueueError::Unavailable { location: location.clone(), problem: problem.clone(), source: None };
    queue.expect_binding().times(1).returning(move || Err(gone()));
    let tasks = tasks.with_catalogue(Arc::new(queue));
    let mut lists = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let tasks = tasks.clone();
        lists.spawn(async move { tasks.list(TaskQuery::default()).await });
    }
    for list in lists.join_all().await {
        assert_eq!(list.unwrap(), TaskList::default());
    }
}

/// A change of a task whose file came back from a copy has a revision that the catalogue refuses.
#[tokio::test]
async fn a_change_of_a_file_that_came_back_is_recorded() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    let id = f.create(&tasks, "office", "one").await;
    let kept = fs::read(f.file(&id)).unwrap();
    f.set(&tasks, &id, TaskStatus::Running).await;
    f.set(&tasks, &id, TaskStatus::Failed).await;
    durable::replace(&f.file(&id), &kept).unwrap();
    f.set(&tasks, &id, TaskStatus::Running).await;
    let (record, task) = (f.records().await.remove(0), tasks.get(&id).await.unwrap());
    assert!(record.unfinished && record.revision == task.revision, "{record:?}, {task:?}");
    let running = f.list(TaskQuery::default().with_status(TaskStatus::Running)).await;
    assert_eq!(running.total, 1);
}

/// Whoever makes the catalogue again hears when that was in vain.
#[tokio::test]
async fn a_catalogue_that_is_lost_while_it_is_made_is_not_taken_for_whole() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    let id = f.create(&tasks, "office", "one").await;
    let mut rebuild = tasks.begin_rebuild().await.unwrap();
    rebuild.read(&[id]).await.unwrap();
    let begun = f.queue.begin_catalogue().await.unwrap();
    assert!(f.queue.finish_catalogue(&begun, "another's").await.unwrap());
    f.queue.begin_catalogue().await.unwrap();
    assert!(matches!(rebuild.finish().await, Err(TaskError::Catalogue(_))));
    assert_eq!(f.queue.catalogue_state().await.unwrap().mark, None);
    f.reconcile().await;
    f.agrees(TaskQuery::default()).await.unwrap();
}

/// A directory in which no task was ever accepted need not be looked for each time, but what becomes of it is seen.
#[tokio::test]
async fn a_directory_without_a_task_may_get_one() {
    let mut f = Fixture::new().await;
    let (tasks, older) = (f.tasks().clone(), f.older.clone());
    let id = f.create(&tasks, "office", "one").await;
    let mut task = tasks.get(&id).await.unwrap();
    task.task_id = TaskId::generate("mock", "one", f.clock.now());
    fs::create_dir(f.file(&task.task_id).parent().unwrap()).unwrap();
    for _ in 0..2 {
        f.reconcile().await;
        assert_eq!(f.queue.catalogue_state().await.unwrap().tasks, 1);
    }
    older.create(task).await.unwrap();
    f.reconcile().await;
    assert_eq!(f.list(TaskQuery::default().unfinished()).await.total, 2);
}

/// The disk does not give one file, or it belongs to somebody else now: lists say so, and nothing else stops because of it.
#[tokio::test]
async fn one_file_that_cannot_be_opened_stops_nothing() {
    let mut f = Fixture::new().await;
    let (tasks, pool) = (f.tasks().clone(), PoolName::new("one").unwrap());
    let (refused, forgotten) = (f.create(&tasks, "refused", "one").await, f.create(&tasks, "forgotten", "one").await);
    f.reconcile().await;
    let (path, lock) = (f.file(&refused), tasks.artifact_path(&refused, "task.lock"));
    let kept = fs::read(&path).unwrap();
    // What is a directory cannot be read as a file, whoever asks.
    for way in [&path, &lock] {
        fs::remove_file(way).unwrap();
        fs::create_dir(way).unwrap();
    }
    for is_was_lost in [false, true] {
        if is_was_lost {
            f.queue.begin_catalogue().await.unwrap();
        }
        let list = f.list(TaskQuery::default()).await;
        assert_eq!((list.total, list.unreadable.len()), (1, 1), "{list:?}");
        f.agrees(TaskQuery::default()).await.unwrap();
        f.queue.remove(&pool, &forgotten).await.unwrap();
        f.reconcile().await;
        assert!(f.queue.state_of(&pool, &forgotten).await.unwrap().is_some(), "it is enqueued again");
        let audit = f.index.repair().await.unwrap().0;
        assert_eq!((audit.tasks, audit.unreadable.len(), audit.missing, audit.gone), (1, 1, 0, 0));
        assert_eq!(f.queue.catalogue_state().await.unwrap().tasks, 2);
    }
    fs::remove_dir(&path).unwrap();
    durable::replace(&path, &kept).unwrap();
    let list = f.list(TaskQuery::default()).await;
    assert_eq!((list.total, list.unreadable.len()), (2, 0), "it can be read again, though not be locked: {list:?}");
}

/// The order of a list goes by the time in the ids, so a clock that goes back between two pages shows nothing twice and leaves
/// nothing out of what was there.
#[tokio::test]
async fn a_clock_that_goes_back_between_two_pages_shows_each_task_once() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    for number in 0..6 {
        f.create(&tasks, &format!("scan {number}"), "one").await;
    }
    let there: BTreeSet<_> = f.ids.iter().cloned().collect();
    let (mut shown, mut query) = (Vec::new(), Some(TaskQuery::default().with_limit(2)));
    while let Some(asked) = query {
        let page = f.list(asked).await;
        shown.extend(page.tasks.into_iter().map(|task| task.task_id));
        query = page.next.map(|next| TaskQuery::default().with_limit(2).after(next).unwrap());
        // Older than all there are, in the middle of them, and newer.
        for seconds in [-3600, -3, 3600] {
            let at = Timestamp::from_millis(f.clock.now().as_millis() + seconds * 1000);
            let id = TaskId::generate("mock", "one", at);
            let (payload, pool) = (ScanPayload::new("other", "192.0.2.1"), PoolName::new("one").unwrap());
            let task = Task::new(id, TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, at);
            if shown.len() < 6 {
                tasks.create(task).await.unwrap();
            }
        }
    }
    let unique: BTreeSet<_> = shown.iter().cloned().collect();
    assert_eq!(unique.len(), shown.len(), "shown twice");
    assert!(there.is_subset(&unique), "left out");
}

/// Long targets stand in the file only, and are found all the same.
#[tokio::test]
async fn tasks_with_long_targets_are_found() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    let (short, long) = (f.create(&tasks, "short", "one").await, TaskId::generate("mock", "one", f.clock.now()));
    let many: Vec<_> = (0..200).map(|number| format!("198.51.100.{number}")).collect();
    let mut task = tasks.get(&short).await.unwrap();
    (task.task_id, task.payload.targets) = (long.clone(), many.join(","));
    tasks.create(task).await.unwrap();
    let entries: Vec<_> = f.records().await.into_iter().filter_map(|record| record.entry).collect();
    assert!(entries.len() == 2 && entries.iter().all(|entry| entry.len() < 1000), "{entries:?}");
    for (targets, found) in [("198.51.100.7", vec![&long]), ("192.0.2.0", vec![&short]), ("198.51.100.200", vec![])] {
        let mut query = TaskQuery::default().with_limit(10);
        query.targets = Some(targets.parse().unwrap());
        let list = f.list(query.clone()).await;
        assert_eq!(list.tasks.iter().map(|task| &task.task_id).collect::<Vec<_>>(), found, "{targets}");
        f.agrees(query.with_status(TaskStatus::Queued)).await.unwrap();
    }
    assert_eq!(f.index.repair().await.unwrap().0.wrong, 0);
}

/// A catalogue of another version or of another directory is made again and not believed.
#[tokio::test]
async fn a_catalogue_of_another_version_is_was_lost() {
    let mut f = Fixture::new().await;
    let tasks = f.tasks().clone();
    let id = f.create(&tasks, "office", "one").await;
    let mut records = Vec::new();
    for (mark, entry) in [(Some("2:another:x"), "{}"), (Some("1:another:x"), "{}"), (None, r#"{"from": "the future"}"#)]
    {
        assert_eq!(f.list(TaskQuery::default()).await.total, 1);
        let begun = if mark.is_some() { f.queue.begin_catalogue().await.unwrap() } else { String::new() };
        let record = CatalogueRecord::new(id.clone(), 1, true, entry);
        f.queue.record_tasks(std::slice::from_ref(&record)).await.unwrap();
        f.queue.finish_catalogue(&begun, mark.unwrap_or_default()).await.unwrap();
        f.agrees(TaskQuery::default()).await.unwrap();
        records.push(f.records().await);
    }
    assert!(
        records.iter().all(|made| *made == records[0] && made[0].entry.as_ref().unwrap().contains("office")),
        "{records:?}"
    );
}
