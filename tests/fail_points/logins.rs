//! Scans that log in, and processes that die on the way: another worker logs in with the same credential, and nothing of it is
//! left when the task has ended.

use nessus_mcp_lib::{
    credentials::Login,
    scanner::{ScanCredential, SshCredential, SshLogin},
    secret::Secret,
    service::{IdempotencyKey, SubmitRequest},
};

use super::*;

const PASSWORD: &str = "planted-password";

fn login() -> Login {
    Login::Inline(ScanCredential::Ssh(SshCredential::new("scan", SshLogin::Password(Secret::new(PASSWORD)))))
}

fn config() -> SimConfig {
    SimConfig::new().scan_duration(Duration::from_millis(300))
}

/// The scanner got the login once, and has it no more.
fn logged_in_once(site: &Site, task: &TaskId) {
    let sent = site.credentials_of(task);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!((&sent[0].fields["username"], &sent[0].fields["password"]), (&"scan".into(), &PASSWORD.into()));
    assert!(sent[0].removed, "the login is still on the scanner");
    assert!(!site.keeps_login(task), "the login is still in the directory");
}

/// From the claim on, until the scan is launched.
#[tokio::test]
async fn a_worker_that_dies_before_its_scan_runs_is_replaced_by_one_that_logs_in_with_the_same_credential() {
    for point in ["worker_claimed", "worker_fence_written", "worker_bound", "worker_create_confirmed", "worker_created"]
    {
        let site = Site::start(config()).await;
        let task = site.submit_trusted(point, "192.0.2.1", &login()).await;
        assert!(site.keeps_login(&task));
        let mut first = doomed_worker(&site, point, &[]);
        died_at(&mut first, point);
        assert!(site.keeps_login(&task), "{point}");
        let last = site.start_worker(&SHORT_LEASE);
        let view = site.completed(&task, &[&first, &last]).await;
        assert_eq!(view.authentication_status.as_deref(), Some("success"), "{point}: {view:?}");
        site.each_scan_ran_once(1);
        logged_in_once(&site, &task);
    }
}

/// The login is gone, and the end of the task is not written yet: its scan does not need the login any more.
pub(crate) async fn dies_after_the_login_is_removed(point: &'static str) {
    let site = Site::start(config()).await;
    let task = site.submit_trusted(point, "192.0.2.1", &login()).await;
    let mut first = doomed_worker(&site, point, &[]);
    died_at(&mut first, point);
    assert!(!site.keeps_login(&task) && site.deployment.task(&task).status == TaskStatus::Running);
    let last = site.start_worker(&SHORT_LEASE);
    site.completed(&task, &[&first, &last]).await;
    logged_in_once(&site, &task);
    site.queue_is_empty(&[&last]).await;
    site.each_scan_ran_once(1);
}

/// It dies with this status in the file: the login is there as long as the task has not ended.
pub(crate) async fn dies_at_the_end(point: &'static str, status: TaskStatus) {
    let site = Site::start(config()).await;
    let task = site.submit_trusted(point, "192.0.2.1", &login()).await;
    let mut first = doomed_worker(&site, point, &[]);
    died_at(&mut first, point);
    assert_eq!(site.deployment.task(&task).status, status);
    assert_eq!(site.keeps_login(&task), !status.is_terminal());
    let last = site.start_worker(&SHORT_LEASE);
    site.completed(&task, &[&first, &last]).await;
    logged_in_once(&site, &task);
    site.queue_is_empty(&[&last]).await;
    site.each_scan_ran_once(1);
}

/// The login is kept, and its task is perhaps not written: the same request under the same key takes its place.
pub(crate) async fn dies_submitting(point: &'static str) {
    let sim = SimulatedNessus::start_with(config()).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let mut server = deployment.serve(&deployment.server(binaries::server()).env(VARIABLE, point));
    let submit = async |server: &Server| {
        let client = NessusMcpClient::connect(&server.mcp()).await.map_err(|error| error.to_string())?;
        let mut arguments = SubmitRequest::trusted("once", "192.0.2.1", login());
        arguments.idempotency_key = Some(IdempotencyKey::new("the-key").unwrap());
        let submitted = client.submit_scan(&arguments).await;
        submitted.map(|submission| submission.task_id).map_err(|error| error.to_string())
    };
    assert!(submit(&server).await.is_err());
    died_at(&mut server.process, point);
    let site = Site::start_with(sim, deployment, &[]).await;
    let task = submit(&site.server).await.unwrap();
    assert_eq!(site.deployment.task_directories(), [task.to_string()]);
    let worker = site.start_worker(&SHORT_LEASE);
    site.completed(&task, &[&worker]).await;
    site.queue_is_empty(&[&worker]).await;
    logged_in_once(&site, &task);
}

/// However a task ends, its login ends with it: in the directory and on the scanner.
#[tokio::test]
async fn no_login_outlives_a_task_that_is_cancelled_times_out_or_fails() {
    for (how, status) in [
        ("cancelled before it ran", TaskStatus::Cancelled),
        ("cancelled", TaskStatus::Cancelled),
        ("timeout", TaskStatus::Timeout),
        ("failed", TaskStatus::Failed),
    ] {
        let site = Site::start(SimConfig::new().scan_duration(Duration::from_secs(3600))).await;
        if how == "failed" {
            site.sim.inject("aborted_at_start");
        }
        let task = site.submit_trusted(how, "192.0.2.1", &login()).await;
        let cancel = async || site.client().call("cancel_scan", &serde_json::json!({ "task_id": task })).await.unwrap();
        if how == "cancelled before it ran" {
            cancel().await;
            assert!(!site.keeps_login(&task));
            continue;
        }
        let limit = if how == "timeout" { "1s" } else { "24h" };
        let mut worker = site.start_worker(&["--scan-timeout-hours", limit, "--lease-seconds", "1s"]);
        if how == "cancelled" {
            site.running(1, &[&worker]).await;
            cancel().await;
        }
        let view = site.ended(&task, &[&worker]).await;
        assert_eq!(view.status, status, "{how}: {view:?}\n{}", worker.tail());
        site.queue_is_empty(&[&worker]).await;
        logged_in_once(&site, &task);
        assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
        if status == TaskStatus::Failed {
            let refused = site.client().call("retry_scan", &serde_json::json!({ "task_id": task })).await.unwrap_err();
            assert!(refused.to_string().contains("its login came with the request"), "{refused}");
        }
    }
}
