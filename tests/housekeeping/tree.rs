//! A tree of tasks of all kinds.

use std::{
    fs::{self, File},
    sync::Arc,
    time::{Duration, SystemTime},
};

use nessus_mcp_lib::{
    config::HousekeepingSettings,
    error::Classified as _,
    housekeeping::{HousekeepingError, Wanted},
    ids::{InstanceId, PoolName},
    scanner::{MockConfig, MockScanner, ScannerInstance, ScannerPool, ScannerRegistry},
    task::{TaskQuery, TaskStatus},
};
use nessus_mcp_tests::{
    planted::{Kind, Planted},
    redis::RedisServer,
};

use super::{queue, service};

const TASKS: usize = 300;

/// What goes is gone and archived, what stays is untouched, lists and counts agree, and the first run changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_tree_of_all_kinds_only_what_is_old_goes() {
    let redis = RedisServer::start();
    for redis in [None, Some(&redis)] {
        let directory = tempfile::tempdir().unwrap();
        let (data, outside) = (directory.path().join("data"), directory.path().join("outside"));
        let planted = Planted::plant(&data, &outside, TASKS);
        let queue = queue(&data, redis).await;
        let service = service(&data, queue.clone(), ScannerRegistry::without_pools()).await;
        let total = async || service.tasks().list(TaskQuery::default().with_limit(1)).await.unwrap().total;
        let before = total().await;
        let pool = PoolName::new("nessus").unwrap();
        assert_eq!(
            queue.stats(&pool).await.unwrap().dead,
            (TASKS / 100 * 3) as u64,
            "each that has failed has a letter"
        );

        let keeper = service.housekeeping(HousekeepingSettings::default()).unwrap();
        let rehearsal = keeper.run(Wanted::Removal).await.unwrap();
        assert!(rehearsal.dry_run && rehearsal.rehearsal.is_some(), "{rehearsal:?}");
        assert_eq!(total().await, before);
        assert!(data.join("housekeeping-report.json").exists());

        let report = keeper.run(Wanted::Removal).await.unwrap();
        assert_eq!(planted.faults(&data), [""; 0]);
        let mut said: Vec<_> = report.tasks.iter().collect();
        said.sort();
        let mut going: Vec<_> =
            planted.tasks.iter().filter(|(kind, _)| kind.goes()).flat_map(|(_, tasks)| tasks).collect();
        going.sort();
        assert_eq!(said, going);
        let mut foretold = rehearsal.tasks;
        foretold.sort();
        assert!(foretold.iter().eq(going), "the rehearsal said the same");
        for path in &planted.foreign {
            let name = path.strip_prefix(&data).unwrap().display().to_string();
            let is_noted = report.notable.iter().any(|item| name.starts_with(&item.what));
            assert!(is_noted, "{name} is not noted: {:?}", report.notable);
        }
        assert_eq!(report.stale_tasks.len(), planted.tasks[&Kind::Running].len(), "nobody holds them");

        let half = planted.tasks[&Kind::HalfRemoved].len();
        assert_eq!(total().await, before - (planted.going() - half), "lists know it");
        let dead = (planted.tasks[&Kind::Failed].len() + planted.tasks[&Kind::ScanMayRun].len()) as u64;
        assert_eq!(queue.stats(&pool).await.unwrap().dead, dead, "the letters of removed tasks are gone");
        let (audit, enqueued) = service.index().audit().await.unwrap();
        assert_eq!((audit.missing, audit.wrong, audit.gone, enqueued), (0, 0, 0, 0), "{audit:?}");
        for kind in [Kind::Queued, Kind::Running] {
            let task = service.tasks().get(&planted.tasks[&kind][0]).await.unwrap();
            assert!(!task.status.is_terminal());
        }

        let again = keeper.run(Wanted::Removal).await.unwrap();
        assert_eq!(again.removals(), 0, "{again:?}");
        assert_eq!(planted.faults(&data), [""; 0]);
        let removed = service.status(&planted.tasks[&Kind::Old][0]).await.unwrap_err();
        assert_eq!(removed.code(), "task_not_found");
        assert!(removed.to_string().contains("it was removed on"), "{removed}");
    }
}

/// A pool in which the planted tasks can be retried.
fn nessus() -> ScannerRegistry {
    let scanner = Arc::new(MockScanner::new(MockConfig::new()));
    let instance = ScannerInstance::new(InstanceId::new("scanner1").unwrap(), 2, scanner);
    ScannerRegistry::new(vec![ScannerPool::new(PoolName::new("nessus").unwrap(), "nessus", vec![instance])]).unwrap()
}

/// Whoever retries or removes first, the other finds it done: no retried task is lost, and none is half gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_at_the_same_moment_is_not_lost() {
    let redis = RedisServer::start();
    for redis in [None, Some(&redis)] {
        let directory = tempfile::tempdir().unwrap();
        let (data, outside) = (directory.path().join("data"), directory.path().join("outside"));
        let planted = Planted::plant(&data, &outside, 1000);
        let queue = queue(&data, redis).await;
        let service = service(&data, queue.clone(), nessus()).await;
        let keeper = service.housekeeping(HousekeepingSettings::default()).unwrap();
        let failed = &planted.tasks[&Kind::OldFailed];
        let trying_again = async {
            let mut retried = Vec::new();
            for task_id in failed {
                retried.push((task_id, service.retry(task_id).await));
            }
            retried
        };
        let (report, retried) = tokio::join!(keeper.run(Wanted::AgreedRemoval), trying_again);
        let report = report.unwrap();
        for (task_id, retried) in retried {
            let is_removed = report.tasks.contains(task_id);
            match retried {
                Ok(view) => {
                    assert!(!is_removed, "{task_id} was retried and removed");
                    let task = service.tasks().get(task_id).await.unwrap();
                    assert_eq!((view.attempt, task.status, task.attempt), (2, TaskStatus::Queued, 2));
                }
                Err(error) => {
                    assert!(is_removed, "{task_id}: {error}");
                    assert_eq!(error.code(), "task_not_found", "{error}");
                    assert!(service.tasks().get(task_id).await.is_err());
                }
            }
        }
        let (audit, _) = service.index().audit().await.unwrap();
        assert_eq!((audit.missing, audit.wrong, audit.gone), (0, 0, 0), "{audit:?}");
    }
}

/// While one does it, the others do not, and say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_does_it_at_a_time() {
    let redis = RedisServer::start();
    for redis in [None, Some(&redis)] {
        let directory = tempfile::tempdir().unwrap();
        let (data, outside) = (directory.path().join("data"), directory.path().join("outside"));
        let planted = Planted::plant(&data, &outside, TASKS);
        let queue = queue(&data, redis).await;
        let service = service(&data, queue, ScannerRegistry::without_pools()).await;
        let keepers: Vec<_> = (0..4).map(|_| service.housekeeping(HousekeepingSettings::default()).unwrap()).collect();
        let (a, b, c, d) = tokio::join!(
            keepers[0].run(Wanted::AgreedRemoval),
            keepers[1].run(Wanted::AgreedRemoval),
            keepers[2].run(Wanted::AgreedRemoval),
            keepers[3].run(Wanted::AgreedRemoval)
        );
        let mut removed = 0;
        for outcome in [a, b, c, d] {
            match outcome {
                Ok(report) => removed += report.tasks.len(),
                Err(error) => assert!(matches!(error, HousekeepingError::Busy), "{error}"),
            }
        }
        assert_eq!(removed, planted.going(), "each was removed once");
        assert_eq!(planted.faults(&data), [""; 0]);
    }
}

/// A link in the place of `tasks` or `archive` may lead anywhere: nothing is removed through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_directory_of_tasks_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (data, outside) = (directory.path().join("data"), directory.path().join("outside"));
    let elsewhere = directory.path().join("elsewhere");
    let planted = Planted::plant(&elsewhere, &outside, 20);
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("tasks"), data.join("tasks")).unwrap();
    let queue = queue(&data, None).await;
    let service = service(&data, queue, ScannerRegistry::without_pools()).await;
    let keeper = service.housekeeping(HousekeepingSettings::default()).unwrap();
    let refused = keeper.run(Wanted::AgreedRemoval).await.unwrap_err();
    assert_eq!(refused.code(), "storage_error", "{refused}");
    for task_id in planted.tasks.values().flatten().filter(|id| !planted.tasks[&Kind::HalfRemoved].contains(id)) {
        assert!(elsewhere.join("tasks").join(task_id.as_str()).join("task.json").exists());
    }
}

/// What cannot be looked at or removed is noted, and holds nothing else back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_removed_holds_back_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (data, outside) = (directory.path().join("data"), directory.path().join("outside"));
    let planted = Planted::plant(&data, &outside, TASKS);
    let service = service(&data, queue(&data, None).await, ScannerRegistry::without_pools()).await;
    // A file that is too large to be the task of a directory that was moved away, and a lock that cannot be taken.
    let moved = data.join("tasks/ne_ness_20251201_143022_a1b2c3d4.removed");
    let never_accepted = data.join("tasks/ne_ness_20251201_143022_b1b2c3d4");
    fs::create_dir(&moved).unwrap();
    File::create(moved.join("task.json")).unwrap().set_len(65 << 20).unwrap();
    fs::create_dir_all(never_accepted.join("task.lock")).unwrap();
    let old = SystemTime::now() - Duration::from_secs(2 * 24 * 3600);
    File::open(&never_accepted).unwrap().set_modified(old).unwrap();

    let keeper = service.housekeeping(HousekeepingSettings::default()).unwrap();
    let report = keeper.run(Wanted::AgreedRemoval).await.unwrap();
    assert_eq!(report.tasks.len(), planted.going(), "{:?}", report.notable);
    for name in [&moved, &never_accepted] {
        let name = name.strip_prefix(&data).unwrap().display().to_string();
        assert!(report.notable.iter().any(|item| item.what == name), "{name}: {:?}", report.notable);
    }
    assert!(moved.exists() && never_accepted.exists());
    assert!(data.join("housekeeping.json").exists(), "the run is through");
}

/// Who only wants to see what would be removed has told nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_is_no_rehearsal() {
    let directory = tempfile::tempdir().unwrap();
    let (data, outside) = (directory.path().join("data"), directory.path().join("outside"));
    let planted = Planted::plant(&data, &outside, TASKS);
    let service = service(&data, queue(&data, None).await, ScannerRegistry::without_pools()).await;
    let keeper = service.housekeeping(HousekeepingSettings::default()).unwrap();
    let seen = keeper.run(Wanted::DryRun).await.unwrap();
    assert_eq!(seen.tasks.len(), planted.going());
    for name in ["housekeeping.json", "housekeeping-report.json"] {
        assert!(!data.join(name).exists(), "{name} was written");
    }
    let first = keeper.run(Wanted::Removal).await.unwrap();
    assert!(first.dry_run && first.rehearsal.is_some(), "{first:?}");
    assert_eq!(keeper.run(Wanted::Removal).await.unwrap().tasks.len(), planted.going());
}
