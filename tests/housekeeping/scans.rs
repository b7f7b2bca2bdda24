//! Scans on scanners: only what is certainly ours, over and safe is deleted there.

use std::{path::Path, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    ScanService, ScannerInterface as _, TaskManager,
    config::{DataUrl, HousekeepingSettings, Retention, Settings},
    durable,
    housekeeping::{HousekeepingReport, Wanted},
    ids::{InstanceId, PoolName, ScanId, TaskId, TraceId},
    scanner::{
        MockConfig, MockOperation, MockScanner, ScanRequest, ScannerError, ScannerInstance, ScannerPool,
        ScannerRegistry,
    },
    service::ServiceParts,
    task::{ScanPayload, ScanType, Task, TaskStatus},
    time::{Clock as _, SystemClock},
};
use nessus_mcp_tests::{
    processes::until,
    s3::{BUCKET, Fault, Operation, Request, S3Error, SimulatedS3},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{queue, service};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A deployment on a scanner that it may share.
struct Lab {
    directory: TempDir,
    scanner: Arc<MockScanner>,
    service: ScanService,
}

impl Lab {
    async fn on(scanner: &Arc<MockScanner>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scanners = scanners(scanner);
        let data = directory.path();
        let service = service(data, queue(data, None).await, scanners).await;
        Self { directory, scanner: Arc::clone(scanner), service }
    }

    fn file(&self, task: &Task, name: &str) -> std::path::PathBuf {
        self.directory.path().join("tasks").join(task.task_id.as_str()).join(name)
    }

    /// A task that ended so long ago, with a scan that has ended and its export here.
    async fn task(&self, status: TaskStatus, age: Duration) -> Task {
        let (task, scan) = self.task_with(status, age, |_| {}).await;
        durable::replace(&self.file(&task, "scan_native.nessus"), export_of(&scan).as_bytes()).unwrap();
        self.ended(&scan).await;
        task
    }

    async fn ended(&self, scan: &ScanId) {
        until("the scan has ended", &[], async || {
            self.scanner.status(scan).await.ok().filter(|status| status.state.is_terminal())
        })
        .await;
    }

    async fn task_with(
        &self,
        status: TaskStatus,
        age: Duration,
        change: impl FnOnce(&mut serde_json::Value),
    ) -> (Task, ScanId) {
        let (ended, pool) = (SystemClock.now().minus(age), PoolName::new("lab").unwrap());
        let task_id = TaskId::generate("mock", "lab", ended);
        let scan = self.scanner.create(&ScanRequest::new(task_id.as_str(), "office", "192.0.2.1")).await.unwrap();
        let run = self.scanner.launch(&scan).await.unwrap();
        let payload = ScanPayload::new("office", "192.0.2.1");
        let mut task =
            Task::new(task_id, TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, ended.minus(DAY));
        (task.status, task.completed_at) = (status, Some(ended));
        task.scanner_instance_id = Some(InstanceId::new("one").unwrap());
        (task.nessus_scan_id, task.scan_uuid) = (Some(scan.clone()), run);
        let export = export_of(&scan);
        let mut document = json!(task);
        document["export"] = json!({ "bytes": export.len(), "sha256": sha256(export.as_bytes()) });
        document["observation"] = json!({ "state": "completed", "unchanged_since": ended });
        change(&mut document);
        let task: Task = serde_json::from_value(document).unwrap();
        self.service.tasks().create(task.clone()).await.unwrap();
        (task, scan)
    }

    async fn has_scan_of(&self, task: &Task) -> bool {
        match self.scanner.status(task.nessus_scan_id.as_ref().unwrap()).await {
            Ok(_) => true,
            Err(ScannerError::NotFound(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn run(&self, settings: HousekeepingSettings, wanted: Wanted) -> HousekeepingReport {
        self.service.housekeeping(settings).unwrap().run(wanted).await.unwrap()
    }
}

fn export_of(scan: &ScanId) -> String {
    format!("the export of {scan}")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn scanners(scanner: &Arc<MockScanner>) -> ScannerRegistry {
    let instance = ScannerInstance::new(InstanceId::new("one").unwrap(), 2, scanner.clone());
    ScannerRegistry::new(vec![ScannerPool::new(PoolName::new("lab").unwrap(), "mock", vec![instance])]).unwrap()
}

fn scanner(duration: Duration) -> Arc<MockScanner> {
    Arc::new(MockScanner::new(MockConfig::new().scan_duration(duration)))
}

/// Tasks are kept for ever, unless they have failed.
fn scans_only() -> HousekeepingSettings {
    HousekeepingSettings::default().with_retention(Retention::of(None), Retention::of(Some(30 * DAY)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_scans_whose_results_are_safe_or_past_their_time_go() {
    let lab = Lab::on(&scanner(Duration::from_millis(1))).await;
    let other = Lab::on(&lab.scanner).await;
    let safe = lab.task(TaskStatus::Completed, 8 * DAY).await;
    let cancelled = lab.task(TaskStatus::Cancelled, 8 * DAY).await;
    let removed = lab.task(TaskStatus::Failed, 31 * DAY).await;
    let young = lab.task(TaskStatus::Completed, DAY).await;
    let may_be_retried = lab.task(TaskStatus::Failed, 8 * DAY).await;
    let lost = lab.task(TaskStatus::Completed, 9 * DAY).await;
    std::fs::remove_file(lab.file(&lost, "scan_native.nessus")).unwrap();
    let altered = lab.task(TaskStatus::Completed, 10 * DAY).await;
    durable::replace(&lab.file(&altered, "scan_native.nessus"), b"the export of xx").unwrap();
    let linked = lab.task(TaskStatus::Completed, 11 * DAY).await;
    let elsewhere = lab.directory.path().join("elsewhere");
    std::fs::copy(lab.file(&linked, "scan_native.nessus"), &elsewhere).unwrap();
    std::fs::remove_file(lab.file(&linked, "scan_native.nessus")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, lab.file(&linked, "scan_native.nessus")).unwrap();
    let others = [other.task(TaskStatus::Completed, 90 * DAY).await, other.task(TaskStatus::Failed, 90 * DAY).await];

    let foretold = lab.run(scans_only(), Wanted::DryRun).await;
    for task in [&safe, &cancelled, &removed] {
        assert!(lab.has_scan_of(task).await, "a dry run deletes nothing");
    }
    assert_eq!(lab.scanner.calls(MockOperation::Delete), 0);
    let report = lab.run(scans_only(), Wanted::AgreedRemoval).await;
    let mut gone: Vec<_> = report.scans.iter().map(|scan| scan.task_id.clone()).collect();
    let mut expected = vec![safe.task_id.clone(), cancelled.task_id.clone(), removed.task_id.clone()];
    let mut said: Vec<_> = foretold.scans.iter().map(|scan| scan.task_id.clone()).collect();
    gone.sort();
    said.sort();
    expected.sort();
    assert_eq!((&gone, &said), (&expected, &expected), "{report:?}");
    for (task, stays) in [
        (&safe, false),
        (&cancelled, false),
        (&removed, false),
        (&young, true),
        (&may_be_retried, true),
        (&lost, true),
        (&altered, true),
        (&linked, true),
        (&others[0], true),
        (&others[1], true),
    ] {
        assert_eq!(lab.has_scan_of(task).await, stays, "{} {:?}", task.task_id, report.notable);
    }
    assert_eq!(report.kept_scans["export_not_safe"], 3, "{:?}", report.kept_scans);
    let kept = lab.service.tasks().get(&safe.task_id).await.unwrap();
    assert!(kept.scan_deleted_at.is_some() && kept.status == TaskStatus::Completed);
    assert!(lab.file(&safe, "scan_native.nessus").exists(), "its results stay");
    assert_eq!(report.tasks, [removed.task_id]);
    let mut unknown: Vec<_> = report.unknown_scans.iter().map(|scan| &scan.task_id).collect();
    let mut theirs = [&others[0].task_id, &others[1].task_id];
    unknown.sort();
    theirs.sort();
    assert_eq!(unknown, theirs, "those of another deployment are listed");

    // What is written down is not asked for again.
    let calls = lab.scanner.calls(MockOperation::Status);
    let again = lab.run(scans_only(), Wanted::Removal).await;
    assert_eq!((again.scans.len(), again.tasks.len()), (0, 0), "{again:?}");
    assert!(lab.scanner.calls(MockOperation::Status) - calls <= 3, "those that are not safe are asked for");
}

/// A part of an export in a bucket has a mebibyte.
const PART: usize = 1 << 20;

/// It is asked which parts it has, and none is fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_bucket_an_export_is_safe_whose_parts_are_all_there() {
    let s3 = SimulatedS3::start().await;
    let DataUrl::Bucket(bucket) = "s3://nessus/prefix".parse().unwrap() else { panic!() };
    let options = s3.environment().into_iter();
    let bucket = options.fold(bucket, |bucket, (name, value)| bucket.with_option(name.to_ascii_lowercase(), value));
    let (directory, scanner) = (tempfile::tempdir().unwrap(), scanner(Duration::from_millis(1)));
    let settings = Settings::new(directory.path(), "unused").with_data_url(DataUrl::Bucket(bucket));
    let tasks = TaskManager::open_for(&settings, Arc::new(SystemClock)).await.unwrap();
    let queue = queue(directory.path(), None).await;
    let service = ServiceParts::new(directory.path(), tasks, queue, scanners(&scanner));
    let service = ScanService::new(service).unwrap();
    service.index().rebind().await.unwrap();
    let lab = Lab { directory, scanner, service };

    let export: Vec<u8> = (0..2 * PART + 100).map(|at| u8::try_from(at / PART).unwrap()).collect();
    let part_key = |task: &Task, part: usize| format!("prefix/tasks/{}/scan_native.nessus.1-a/{part:06}", task.task_id);
    let uploaded = async |checked: &[u8]| {
        let change = |document: &mut serde_json::Value| {
            document["export"] = json!({ "bytes": checked.len(), "sha256": sha256(checked) });
            let parts: Vec<_> = export.chunks(PART).map(sha256).collect();
            let file = json!({ "size": export.len(), "sha256": sha256(&export), "upload": "1-a", "parts": parts });
            document["files"] = json!({ "scan_native.nessus": file });
        };
        let (task, scan) = lab.task_with(TaskStatus::Completed, 8 * DAY, change).await;
        for (number, part) in export.chunks(PART).enumerate() {
            s3.put(BUCKET, &part_key(&task, number), part.to_vec());
        }
        lab.ended(&scan).await;
        task
    };
    let whole = uploaded(&export[..]).await;
    let of_other_bytes = uploaded(&vec![7; export.len()][..]).await;
    let (lost, short) = (uploaded(&export[..]).await, uploaded(&export[..]).await);
    s3.remove(BUCKET, &part_key(&lost, 1));
    s3.put(BUCKET, &part_key(&short, 2), vec![2; 99]);

    s3.inject(Fault::answer(S3Error::AccessDenied).on(Operation::List).key("scan_native").until_cleared());
    let report = lab.run(scans_only(), Wanted::AgreedRemoval).await;
    assert_eq!((report.scans.len(), report.kept_scans["export_not_safe"]), (0, 4), "{report:?}");
    s3.clear_faults();
    let report = lab.run(scans_only(), Wanted::AgreedRemoval).await;
    assert_eq!((report.scans.len(), report.kept_scans["export_not_safe"]), (1, 3), "{report:?}");
    for (task, stays) in [(&whole, false), (&of_other_bytes, true), (&lost, true), (&short, true)] {
        assert_eq!(lab.has_scan_of(task).await, stays, "{}", task.task_id);
    }
    let fetched = |request: &Request| request.operation == Operation::Get && request.key.contains("scan_native");
    assert_eq!(s3.requests().iter().filter(|request| fetched(request)).count(), 0);
}

/// A scanner that was installed anew gives ids again that it had given: a number alone proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_of_another_under_the_same_id_stays() {
    let lab = Lab::on(&scanner(Duration::from_millis(1))).await;
    let theirs = Lab::on(&lab.scanner).await.task(TaskStatus::Completed, 90 * DAY).await;
    for run in [Some("another-run"), None] {
        let claims = |document: &mut serde_json::Value| {
            document["nessus_scan_id"] = json!(theirs.nessus_scan_id);
            document["scan_uuid"] = json!(run);
        };
        lab.task_with(TaskStatus::Completed, 90 * DAY, claims).await;
    }
    let settings = HousekeepingSettings::default();
    for _ in 0..2 {
        let report = lab.run(settings.clone(), Wanted::AgreedRemoval).await;
        assert_eq!(report.scans, []);
        assert!(lab.has_scan_of(&theirs).await);
        assert_eq!((report.kept_scans["started_again"], report.kept_scans["not_ours"]), (1, 1), "{report:?}");
    }
}

/// A task stays as long as a scan of it runs. If an operator wants it so, the scan is ended, and the task goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_scan_runs_stays() {
    let lab = Lab::on(&scanner(Duration::from_secs(36_000))).await;
    let open = |document: &mut serde_json::Value| {
        let scan = document["nessus_scan_id"].clone();
        document["open_scans"] = json!([{ "instance_id": "one", "scan_id": scan, "attempt": 1, "told_to_stop": true }]);
        document["observation"] = json!(null);
    };
    let (task, _) = lab.task_with(TaskStatus::Failed, 90 * DAY, open).await;
    let report = lab.run(HousekeepingSettings::default(), Wanted::AgreedRemoval).await;
    assert_eq!((report.tasks.len(), report.scans.len()), (0, 0), "{report:?}");
    assert_eq!(report.kept_tasks["scan_may_run"], 1);
    assert!(report.notable.iter().any(|item| item.reason.contains("still runs")), "{report:?}");
    assert!(lab.has_scan_of(&task).await);
    assert_eq!(lab.scanner.calls(MockOperation::Stop), 0);

    let ending = HousekeepingSettings::default().deleting_stale_scans();
    let report = lab.run(ending, Wanted::AgreedRemoval).await;
    assert_eq!((report.tasks.len(), report.scans.len()), (1, 1), "{report:?}");
    assert!(!lab.has_scan_of(&task).await);
    assert!(lab.service.tasks().get(&task.task_id).await.is_err());
}

/// A scanner that does not answer says nothing about its scans; one that has forgotten a scan does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_that_does_not_answer_keeps_everything() {
    let lab = Lab::on(&scanner(Duration::from_millis(1))).await;
    let unknown = |document: &mut serde_json::Value| document["observation"] = json!(null);
    let (task, scan) = lab.task_with(TaskStatus::Failed, 90 * DAY, unknown).await;
    let server = || ScannerError::Server { status: 500, message: "database is locked".to_owned() };
    lab.scanner.fail_next(MockOperation::Status, server());
    let report = lab.run(HousekeepingSettings::default(), Wanted::AgreedRemoval).await;
    assert_eq!((report.tasks.len(), report.scans.len()), (0, 0), "{report:?}");
    assert!(path_of(&lab, &task).exists());
    lab.scanner.delete(&scan).await.unwrap();
    let report = lab.run(HousekeepingSettings::default(), Wanted::AgreedRemoval).await;
    assert_eq!((report.tasks.as_slice(), report.scans.len()), ([task.task_id.clone()].as_slice(), 0), "{report:?}");
    assert!(!path_of(&lab, &task).exists());
    let tasks = TaskManager::open(lab.directory.path()).unwrap();
    assert!(tasks.get(&task.task_id).await.is_err());
}

fn path_of(lab: &Lab, task: &Task) -> std::path::PathBuf {
    lab.file(task, "task.json").parent().map(Path::to_owned).unwrap()
}
