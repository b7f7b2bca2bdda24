//! Scans that log in: what a submit keeps of a login, and for how long.

use super::*;
use crate::{
    config::{CredentialsConfig, SecretKey},
    credentials::{Credentials, Login},
    login::{LoginFields, ScanCredential},
    secret::Secret,
    task::{ScanType, Writer},
};

fn login(password: &str) -> ScanCredential {
    let (username, password) = (Some("scan".to_owned()), Some(Secret::new(password)));
    LoginFields { username, password, ..LoginFields::default() }.into_credential().unwrap()
}

fn trusted(password: &str) -> SubmitRequest {
    SubmitRequest::trusted("office", "192.0.2.1", Login::Inline(login(password)))
}

fn keyed(password: &str) -> SubmitRequest {
    SubmitRequest { idempotency_key: Some(IdempotencyKey::new("k").unwrap()), ..trusted(password) }
}

impl Fixture {
    fn sealed(&self, task_id: &TaskId) -> std::path::PathBuf {
        self.service.tasks().artifact_path(task_id, "credential.sealed")
    }
}

/// Everything below a directory.
fn contents(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { contents(&path) } else { std::fs::read(&path).unwrap() });
    }
    all
}

#[tokio::test]
async fn a_login_in_the_request_is_kept_sealed_until_the_task_ends() {
    let f = fixture().await;
    let task_id = f.service.submit(trusted("planted")).await.unwrap().task_id;
    let sealed = f.sealed(&task_id);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(sealed.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!contents(f.directory.path()).windows(7).any(|piece| piece == b"planted"));
    let task = f.service.tasks().get(&task_id).await.unwrap();
    let credential = task.payload.credential.clone().unwrap();
    assert_eq!((credential.id, credential.username.as_deref()), (None, Some("scan")));
    let kept = std::fs::read(&sealed).unwrap();
    assert_eq!(f.service.credentials().of_task(&task, Some(&kept)).unwrap(), Some(login("planted")));
    f.service.cancel(&task_id, None).await.unwrap();
    assert!(!sealed.exists());
}

#[tokio::test]
async fn an_idempotency_key_stands_for_the_login_as_well() {
    let f = fixture().await;
    let first = f.service.submit(keyed("planted")).await.unwrap();
    let again = f.service.submit(keyed("planted")).await.unwrap();
    assert_eq!((again.task_id, again.idempotent), (first.task_id.clone(), true));
    let refused = f.service.submit(keyed("planted2")).await.unwrap_err();
    assert_eq!(refused.code(), "idempotency_conflict");
    // The hash is keyed: whoever guesses the password, but lacks the key of the deployment, cannot check the guess.
    let hash =
        async |f: &Fixture, task_id| f.service.tasks().get(&task_id).await.unwrap().idempotency.unwrap().request_hash;
    let other = fixture().await;
    let elsewhere = other.service.submit(keyed("planted")).await.unwrap().task_id;
    assert_ne!(hash(&f, first.task_id).await, hash(&other, elsewhere).await);
}

#[tokio::test]
async fn what_cannot_work_is_refused_and_leaves_nothing() {
    let f = fixture().await;
    for (request, code) in [
        (SubmitRequest::new(ScanType::Trusted, "x", "192.0.2.1"), "invalid_argument"),
        (SubmitRequest { login: trusted("x").login, ..SubmitRequest::untrusted("x", "192.0.2.1") }, "invalid_argument"),
        (SubmitRequest::trusted("x", "192.0.2.1", Login::Stored("nobody".to_owned())), "unknown_credential"),
        (SubmitRequest::privileged("x", "192.0.2.1", Login::Inline(login("x"))), "invalid_argument"),
    ] {
        let error = f.service.submit(request).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, ErrorKind::InvalidInput), "{error}");
        assert_eq!(std::fs::read_dir(f.directory.path().join("tasks")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_retry_of_a_task_whose_login_is_gone_says_so() {
    let f = fixture().await;
    let task_id = f.service.submit(trusted("planted")).await.unwrap().task_id;
    f.service.tasks().update(&task_id, Writer::Api, |task| task.status = TaskStatus::Failed).await.unwrap();
    assert!(!f.sealed(&task_id).exists());
    let error = f.service.retry(&task_id).await.unwrap_err();
    assert!(matches!(&error, ServiceError::NotRetryable { reason, .. } if reason.contains("its login")), "{error}");
    assert_eq!(f.service.tasks().get(&task_id).await.unwrap().status, TaskStatus::Failed);
}

/// The disk may refuse to remove a file, and backups bring files back.
#[tokio::test]
async fn a_login_that_was_left_behind_is_removed() {
    let f = fixture().await;
    let task_id = f.service.submit(trusted("planted")).await.unwrap().task_id;
    let waiting = f.service.submit(trusted("planted")).await.unwrap().task_id;
    let kept = std::fs::read(f.sealed(&task_id)).unwrap();
    f.service.cancel(&task_id, None).await.unwrap();
    crate::durable::replace(&f.sealed(&task_id), &kept).unwrap();
    f.service.index().repair().await.unwrap();
    assert!(!f.sealed(&task_id).exists() && f.sealed(&waiting).exists());
}

/// What one machine seals another with the same key opens.
#[tokio::test]
async fn a_key_of_the_configuration_is_used_instead_of_a_file() {
    let f = fixture().await;
    let key = || Some(SecretKey::new(&"0f".repeat(32)).unwrap());
    let elsewhere = Credentials::new(CredentialsConfig::default(), key());
    let parts = ServiceParts::new(
        f.directory.path(),
        f.service.tasks().clone(),
        Arc::clone(f.service.queue()),
        f.service.scanners().clone(),
    );
    let service =
        ScanService::new(parts.with_credentials(Credentials::new(CredentialsConfig::default(), key()))).unwrap();
    let task_id = service.submit(trusted("planted")).await.unwrap().task_id;
    let (task, kept) = (service.tasks().get(&task_id).await.unwrap(), std::fs::read(f.sealed(&task_id)).unwrap());
    assert_eq!(elsewhere.of_task(&task, Some(&kept)).unwrap(), Some(login("planted")));
    assert!(!f.directory.path().join("secret.key").exists());
}
