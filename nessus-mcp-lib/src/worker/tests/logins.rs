//! Scans that log in: the scanner gets the login, and nobody keeps it for longer than it is needed.

use super::*;
use crate::{
    config::{CredentialsConfig, SecretKey, StoredCredential},
    credentials::{Credentials, Login},
    ids::ScanId,
    scanner::{LoginFields, ScanCredential},
    secret::Secret,
    targets::TargetSet,
};

fn login(escalation: Option<&str>) -> ScanCredential {
    let (username, password) = (Some("scan".to_owned()), Some(Secret::new("planted")));
    let elevate_privileges_with = escalation.map(str::to_owned);
    LoginFields { username, password, elevate_privileges_with, ..LoginFields::default() }.into_credential().unwrap()
}

/// The stored login `root`, for these targets.
fn stored(targets: &str) -> CredentialsConfig {
    let targets = TargetSet::policy(targets).unwrap();
    CredentialsConfig::new(vec![StoredCredential::new("root", login(Some("sudo")), targets)])
}

impl Fixture {
    /// The same tasks, queue and scanners with these logins and this key.
    fn with_logins(mut self, stored: CredentialsConfig, key: &str) -> Self {
        let old = &self.service;
        let (tasks, queue, scanners) = (old.tasks().clone(), Arc::clone(old.queue()), old.scanners().clone());
        let parts = ServiceParts::new(self.directory.path(), tasks, queue, scanners);
        let credentials = Credentials::new(stored, Some(SecretKey::new(&key.repeat(64)).unwrap()));
        let parts = parts.with_clock(Arc::clone(old.clock())).with_credentials(credentials);
        self.service = ScanService::new(parts).unwrap();
        self
    }

    async fn submit_with(&self, request: SubmitRequest) -> TaskId {
        self.service.submit(request).await.unwrap().task_id
    }

    fn has_sealed(&self, task_id: &TaskId) -> bool {
        self.service.tasks().artifact_path(task_id, "credential.sealed").exists()
    }

    /// What the scan of a task would log in with now.
    async fn used(&self, task_id: &TaskId) -> Option<ScanCredential> {
        let scan: ScanId = self.task(task_id).await.nessus_scan_id.unwrap();
        self.scanner.credential_of(&scan)
    }
}

fn inline() -> SubmitRequest {
    SubmitRequest::trusted("test", "192.0.2.1", Login::Inline(login(None)))
}

fn by_name() -> SubmitRequest {
    SubmitRequest::privileged("test", "192.0.2.1", Login::Stored("root".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_scan_logs_in_with_what_was_asked_for() {
    let f = fixture(2).with_logins(stored("192.0.2.0/24"), "a");
    for (request, expected) in [(inline(), login(None)), (by_name(), login(Some("sudo")))] {
        let launches = f.scanner.launches();
        let task_id = f.submit_with(request).await;
        let worker = f.start();
        f.wait_until(|| f.scanner.launches() > launches, "nothing was launched").await;
        f.wait_for_progress(&task_id).await;
        assert_eq!(f.used(&task_id).await, Some(expected));
        let view = f.ended(&task_id).await;
        assert_eq!(view.status, TaskStatus::Completed, "{view:?}");
        assert_eq!((f.used(&task_id).await, f.has_sealed(&task_id)), (None, false));
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_may_not_be_used_any_more_ends_the_task_before_anything_is_created() {
    for (request, narrowed, key, code) in [
        (by_name(), stored("192.0.2.2"), "a", "credential_not_allowed"),
        (by_name(), CredentialsConfig::default(), "a", "unknown_credential"),
        (inline(), CredentialsConfig::default(), "b", "wrong_secret_key"),
    ] {
        let f = fixture(2).with_logins(stored("192.0.2.0/24"), "a");
        let task_id = f.submit_with(request).await;
        let f = f.with_logins(narrowed, key);
        let worker = f.start();
        let view = f.ended(&task_id).await;
        assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some(code)), "{view:?}");
        assert_eq!((f.scanner.creates(), f.has_sealed(&task_id)), (0, false));
        assert_eq!(f.dead_codes().await, [code]);
        assert!(!view.error_message.unwrap().contains("planted"));
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_login_outlives_its_task_however_that_ends() {
    let limits = WorkerSettings::default().with_scan_timeout(Duration::from_secs(300));
    for (how, status) in
        [("cancel", TaskStatus::Cancelled), ("timeout", TaskStatus::Timeout), ("refused", TaskStatus::Failed)]
    {
        let f = fixture_with(2, Duration::from_secs(3000)).with_logins(CredentialsConfig::default(), "a");
        if how == "refused" {
            f.scanner.fail_next(MockOperation::Launch, ScannerError::Rejected("the scan is disabled".to_owned()));
        }
        let task_id = f.submit_with(inline()).await;
        let worker = f.start_with(limits.clone());
        f.wait_for_call(MockOperation::Launch).await;
        if how == "cancel" {
            f.wait_until(|| f.scanner.running() > 0, "nothing runs").await;
            f.service.cancel(&task_id, None).await.unwrap();
        }
        let view = f.ended(&task_id).await;
        assert_eq!(view.status, status, "{how}: {view:?}");
        assert_eq!((f.used(&task_id).await, f.has_sealed(&task_id)), (None, false), "{how}");
        worker.stop().await;
    }
}

/// A scan without a login is not touched; one with a login is, again and again until the scanner does it.
#[tokio::test(start_paused = true)]
async fn the_login_of_a_scan_is_removed_when_it_has_ended() {
    let f = fixture(1).with_logins(CredentialsConfig::default(), "a");
    let without = f.submit().await;
    let worker = f.start();
    f.ended(&without).await;
    assert_eq!(f.scanner.calls(MockOperation::ForgetCredentials), 0);
    let busy = ScannerError::Server { status: 500, message: "busy".to_owned() };
    f.scanner.fail_next(MockOperation::ForgetCredentials, busy);
    let with = f.submit_with(inline()).await;
    assert_eq!(f.ended(&with).await.status, TaskStatus::Completed);
    worker.stop().await;
    assert_eq!(f.scanner.calls(MockOperation::ForgetCredentials), 2);
}
