//! Every place of tasks keeps to one suite: a data directory, and buckets of each make that this machine has.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use nessus_mcp_lib::{
    TaskManager,
    config::{DataUrl, Settings},
    testing::store_conformance::{self, StoreHarness},
    time::SystemClock,
};
use nessus_mcp_tests::{
    other_stores::{Azurite, Moto},
    s3::SimulatedS3,
};
use tempfile::TempDir;

use crate::clients;

/// A place of tasks, and the server behind it, if there is one.
struct Place<S> {
    settings: Settings,
    directory: TempDir,
    server: S,
}

impl<S> Place<S> {
    /// A place in a bucket; the environment is that of its clients.
    fn in_bucket(url: &str, environment: Vec<(&'static str, String)>, server: S) -> Self {
        let DataUrl::Bucket(bucket) = url.parse().unwrap() else { panic!("{url} is no bucket") };
        let environment = environment.into_iter();
        let bucket =
            environment.fold(bucket, |bucket, (name, value)| bucket.with_option(name.to_ascii_lowercase(), value));
        Self::new(DataUrl::Bucket(bucket), server)
    }

    fn new(url: DataUrl, server: S) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::new(directory.path().join("data"), "unused").with_data_url(url);
        Self { settings, directory, server }
    }
}

#[async_trait]
impl<S: Send + Sync> StoreHarness for Place<S> {
    /// With a cache directory of its own each time, as processes on several machines do.
    async fn open(&self) -> TaskManager {
        let cache = tempfile::tempdir_in(self.directory.path()).unwrap().keep();
        let settings = self.settings.clone().with_cache_dir(cache);
        TaskManager::open_for(&settings, Arc::new(SystemClock)).await.unwrap()
    }
}

async fn on_the_simulated_s3() -> Place<SimulatedS3> {
    let s3 = SimulatedS3::start().await;
    Place::in_bucket("s3://nessus", s3.environment(), s3)
}

/// A place for each check in the bucket of one server, which takes too long to start for each.
fn places_in(scheme: &str, environment: Vec<(&'static str, String)>) -> impl Fn() -> std::future::Ready<Place<()>> {
    let made = AtomicUsize::new(0);
    move || {
        let url = format!("{scheme}://nessus/some/prefix-{}", made.fetch_add(1, Ordering::Relaxed));
        std::future::ready(Place::in_bucket(&url, environment.clone(), ()))
    }
}

mod directory {
    nessus_mcp_lib::store_conformance_tests!(async { super::Place::new(super::DataUrl::Directory, ()) });
}

mod simulated_s3 {
    nessus_mcp_lib::store_conformance_tests!(super::on_the_simulated_s3());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_passes_the_conformance_suite() {
    let Some(moto) = Moto::start() else { return };
    store_conformance::run_all(places_in("s3", moto.environment())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azurite_passes_the_conformance_suite() {
    let Some(azurite) = Azurite::start() else { return };
    clients::create_container(&azurite).await;
    store_conformance::run_all(places_in("az", azurite.environment())).await;
}

/// What several writers change at once.
mod changes {
    use nessus_mcp_lib::{
        ids::{PoolName, TaskId, TraceId},
        task::{ScanPayload, ScanType, Task, Writer},
        time::Timestamp,
    };
    use nessus_mcp_tests::s3::{Fault, FaultKind, Operation, Request};

    use super::*;

    const WRITERS: u8 = 20;

    /// A task in the bucket that two processes have open.
    async fn task_of_two<S: Send + Sync>(place: &Place<S>) -> ([TaskManager; 2], TaskId) {
        let now = Timestamp::from_millis(1_764_599_422_000);
        let task_id = TaskId::generate("nessus", "nessus", now);
        let (pool, payload) = (PoolName::new("nessus").unwrap(), ScanPayload::new("office", "192.0.2.0/24"));
        let trace = TraceId::generate();
        let task = Task::new(task_id.clone(), trace, ScanType::Untrusted, "nessus", pool, payload, now);
        let tasks = [place.open().await, place.open().await];
        tasks[0].create(task).await.unwrap();
        (tasks, task_id)
    }

    async fn add_one(tasks: &TaskManager, task_id: &TaskId) {
        let change = |task: &mut Task| task.progress = Some(task.progress.unwrap_or(0) + 1);
        tasks.update(task_id, Writer::Api, change).await.unwrap();
    }

    /// Two writers that read the same version and write the same bytes are two changes: one of them has to be made again.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn those_that_look_the_same_all_take_place() {
        let place = on_the_simulated_s3().await;
        let (tasks, task_id) = task_of_two(&place).await;
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..WRITERS {
            let (tasks, task_id) = (tasks[usize::from(number % 2)].clone(), task_id.clone());
            writers.spawn(async move { add_one(&tasks, &task_id).await });
        }
        writers.join_all().await;
        let task = tasks[0].get(&task_id).await.unwrap();
        assert_eq!((task.progress, task.revision), (Some(WRITERS), u64::from(WRITERS) + 1));
    }

    /// Before its writer looks what became of it, others have written as often as an object remembers.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_whose_answer_is_lost_is_made_once_although_others_follow() {
        let others = 15;
        let place = on_the_simulated_s3().await;
        let s3 = &place.server;
        let (tasks, task_id) = task_of_two(&place).await;
        let put = |kind| Fault::new(kind).on(Operation::Put).key("/task.json");
        // The client asks again at once; by then the others are to be done.
        s3.inject(put(FaultKind::ReplyLost));
        s3.inject(put(FaultKind::Held));
        let writing = tokio::spawn({
            let (tasks, task_id) = (tasks[0].clone(), task_id.clone());
            async move { add_one(&tasks, &task_id).await }
        });
        let is_held = |requests: &[Request]| requests.iter().any(|request| request.fault == Some(FaultKind::Held));
        s3.wait_for("the client asks again", is_held).await;
        for _ in 0..others {
            add_one(&tasks[1], &task_id).await;
        }
        s3.clear_faults();
        writing.await.unwrap();
        let task = tasks[0].get(&task_id).await.unwrap();
        assert_eq!((task.progress, task.revision), (Some(others + 1), u64::from(others) + 2));
    }

    /// The look at what became of a write shows what was there before it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_whose_answer_is_lost_is_made_once_although_the_store_shows_what_was_before() {
        let place = on_the_simulated_s3().await;
        let (tasks, task_id) = task_of_two(&place).await;
        place.server.inject(Fault::new(FaultKind::ReplyLost).on(Operation::Put).key("/task.json"));
        place.server.inject(Fault::new(FaultKind::Stale).on(Operation::Head).key("/task.json").count(2));
        add_one(&tasks[0], &task_id).await;
        let stale = place.server.requests().iter().filter(|request| request.fault == Some(FaultKind::Stale)).count();
        let task = tasks[0].get(&task_id).await.unwrap();
        assert_eq!((stale, task.progress, task.revision), (2, Some(1), 2));
    }
}
