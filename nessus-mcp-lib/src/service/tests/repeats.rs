//! Requests that are made again under their key after the configuration has changed.

use super::*;
use crate::{
    config::CredentialsConfig,
    credentials::{Credentials, Login},
    policy::{Policy, Scope},
};

const CREDENTIALS: &str = "office: {username: scan, password: planted, targets: 192.0.2.0/24}";

fn credentials(text: &str) -> Credentials {
    Credentials::new(CredentialsConfig::parse(text, Path::new("credentials.yaml"), &|_| None).unwrap(), None)
}

fn deny(targets: &str) -> Scope {
    Scope::new(Policy::parse(&format!("deny: ['{targets}']"), Path::new("policy.yaml"), &|_| None).unwrap())
}

impl Fixture {
    /// Another process on the same data, with another configuration.
    fn another(&self, pool: &str, credentials: Credentials, scope: Scope) -> ScanService {
        let scanner = Arc::new(MockScanner::new(MockConfig::new()));
        let instance = ScannerInstance::new(InstanceId::new("new").unwrap(), 1, scanner);
        let pool = ScannerPool::new(PoolName::new(pool).unwrap(), "mock", vec![instance]);
        let scanners = ScannerRegistry::new(vec![pool]).unwrap();
        let (tasks, queue) = (self.service.tasks().clone(), Arc::clone(self.service.queue()));
        let parts = ServiceParts::new(self.directory.path(), tasks, queue, scanners);
        ScanService::new(parts.with_credentials(credentials).with_scope(scope)).unwrap()
    }
}

fn trusted() -> SubmitRequest {
    let request = SubmitRequest::trusted("office", "192.0.2.1", Login::Stored("office".to_owned()));
    SubmitRequest { idempotency_key: Some(IdempotencyKey::new("k").unwrap()), ..request }
}

/// The policy denies the targets by now, the credential is gone, and so are the pool and its scanner, the default among them.
#[tokio::test]
async fn a_repeat_is_answered_from_the_task_that_stands_whatever_has_changed_since() {
    let f = fixture().await;
    let before = f.another("lab", credentials(CREDENTIALS), Scope::default());
    let task_id = before.submit(trusted()).await.unwrap().task_id;
    let pinned = SubmitRequest { instance: Some("one".to_owned()), ..keyed("pinned") };
    let pinned_id = f.service.submit(pinned.clone()).await.unwrap().task_id;

    let after = f.another("dmz", Credentials::default(), deny("0.0.0.0/0"));
    let again = after.submit(trusted()).await.unwrap();
    assert_eq!((&again.task_id, again.idempotent, again.target_hosts), (&task_id, true, 1));
    let spelled_out = SubmitRequest { pool: Some("lab".to_owned()), ..trusted() };
    assert_eq!(after.submit(spelled_out).await.unwrap().task_id, task_id);
    let again = after.submit(pinned.clone()).await.unwrap();
    assert_eq!((again.task_id, again.target_hosts), (pinned_id, 5));

    // Another request is another one still, and says so before anything else that is wrong with it.
    let mut others = Vec::from([trusted(), trusted(), trusted(), trusted(), trusted()]);
    others[0].targets = "192.0.2.2".to_owned();
    others[1].login = Some(Login::Stored("office2".to_owned()));
    others[2].pool = Some("dmz".to_owned());
    others[3].pool = Some("no pool".to_owned());
    others[4].instance = Some("one".to_owned());
    for other in others {
        assert_eq!(after.submit(other.clone()).await.unwrap_err().code(), "idempotency_conflict", "{other:?}");
    }
    // A new key is a new request, to which what stands in the configuration now applies.
    let new = SubmitRequest { idempotency_key: Some(IdempotencyKey::new("k2").unwrap()), ..trusted() };
    assert_eq!(after.submit(new).await.unwrap_err().code(), "unknown_credential");
    assert_eq!(f.service.list_tasks(TaskQuery::default()).await.unwrap().total, 2);
}

/// Whoever has claimed the key died before the task was written, and so before anybody heard that the request is accepted.
#[tokio::test]
async fn a_repeat_of_a_request_that_was_not_accepted_is_checked() {
    let f = fixture().await;
    let request = || SubmitRequest { targets: "192.0.2.1".to_owned(), ..keyed("k") };
    let accepted = f.service.submit(request()).await.unwrap().task_id;
    let key = f.service.tasks().get(&accepted).await.unwrap().idempotency.unwrap();
    let unwritten = TaskId::new("mo_lab_20251201_143022_a1b2c3d4").unwrap();
    let entry = IdempotencyEntry::new(unwritten.clone(), key.request_hash, key.claimed_at);
    f.service.queue().restore_idempotency_key("k", &entry, std::time::Duration::from_secs(60)).await.unwrap();

    let strict = f.another("lab", Credentials::default(), deny("192.0.2.1"));
    assert_eq!(strict.submit(request()).await.unwrap_err().code(), "out_of_scope");
    assert_eq!(f.service.submit(request()).await.unwrap().task_id, unwritten);
    assert_eq!(strict.submit(request()).await.unwrap().task_id, unwritten, "now it is");
}
