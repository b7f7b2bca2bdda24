//! What a client may use: what it is refused, and what it does not even hear of.

use super::*;
use crate::{
    config::{CredentialsConfig, SecretKey, StoredCredential},
    credentials::{Credentials, Login},
    login::{LoginFields, ScanCredential},
    policy::{Policy, Principal, Role, Scope},
    scanner::ScanPolicy,
    secret::Secret,
    targets::TargetSet,
    task::{ScanType, Writer},
};

/// A policy with these clients, each with its keys.
pub(super) fn policy_of(clients: &[(&str, &str)]) -> Policy {
    let entry = |(at, (name, keys)): (usize, &(&str, &str))| {
        format!("  - {{name: {name}, role: scan, token_sha256: {at:064x}{keys}}}\n")
    };
    let entries: String = clients.iter().enumerate().map(entry).collect();
    Policy::parse(&format!("clients:\n{entries}"), Path::new("policy.yaml"), &|_| None).unwrap()
}

/// The service for a client of its policy.
pub(super) fn acting_for(service: &ScanService, client: &str) -> ScanService {
    let rights = service.scope().policy().rights_of(client).unwrap();
    service.acting_for(Principal::new(client, Role::Scan).with_rights(rights))
}

/// Whoever calls the service, over whatever interface: a role is not the door's business alone.
#[tokio::test]
async fn a_reader_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let service = deployment(&directory, "");
    let task = service.submit(plain()).await.unwrap().task_id;
    let reader = service.acting_for(Principal::new("app:reader", Role::Read));
    let refused = [
        reader.submit(plain()).await.map(drop),
        reader.pause(&task, None).await.map(drop),
        reader.resume(&task).await.map(drop),
        reader.retry(&task).await.map(drop),
        reader.cancel(&task, None).await.map(drop),
    ];
    for refused in refused {
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), refused.kind()), ("not_permitted", ErrorKind::InvalidInput));
        assert!(refused.to_string().contains("`app:reader` has the role `read`"), "{refused}");
    }
    assert_eq!(service.status(&task).await.unwrap().status, TaskStatus::Queued);
    assert_eq!(service.list_tasks(TaskQuery::default()).await.unwrap().total, 1);
    let scans = service.acting_for(Principal::new("app:scans", Role::Scan));
    scans.submit(plain()).await.unwrap();
}

fn login() -> ScanCredential {
    let (username, password) = (Some("scan".to_owned()), Some(Secret::new("planted")));
    LoginFields { username, password, ..LoginFields::default() }.into_credential().unwrap()
}

/// Two pools with a scanner each, two stored logins, and a client `lab` with these keys.
fn deployment(directory: &tempfile::TempDir, keys: &str) -> ScanService {
    let policies = || [("4", "Weekly"), ("5", "Red team")].map(|(id, name)| ScanPolicy::new(id, name));
    let pool = |name: &str| {
        let scanner = Arc::new(MockScanner::new(MockConfig::new().policies(policies())));
        let instance = ScannerInstance::new(InstanceId::new("one").unwrap(), 2, scanner);
        ScannerPool::new(PoolName::new(name).unwrap(), "mock", vec![instance])
    };
    let stored =
        ["audit", "audit-root"].map(|id| StoredCredential::new(id, login(), TargetSet::policy("0.0.0.0/0").unwrap()));
    let credentials =
        Credentials::new(CredentialsConfig::new(stored.to_vec()), Some(SecretKey::new(&"ab".repeat(32)).unwrap()));
    let tasks = TaskManager::open(directory.path()).unwrap();
    let queue = queue::sqlite::SqliteQueue::open(&directory.path().join("queue.db")).unwrap();
    let scanners = ScannerRegistry::new(vec![pool("nessus"), pool("dmz"), pool("lab")]).unwrap();
    let parts = ServiceParts::new(directory.path(), tasks, Arc::new(queue), scanners).with_credentials(credentials);
    let scope = Scope::new(policy_of(&[("lab", keys), ("other", "")]));
    ScanService::new(parts.with_scope(scope)).unwrap()
}

fn plain() -> SubmitRequest {
    SubmitRequest::untrusted("office", "192.0.2.1")
}

fn by_policy(name: &str) -> SubmitRequest {
    SubmitRequest { policy: Some(name.to_owned()), ..plain() }
}

fn stored(id: &str) -> SubmitRequest {
    SubmitRequest::trusted("office", "192.0.2.1", Login::Stored(id.to_owned()))
}

fn inline() -> SubmitRequest {
    SubmitRequest::trusted("office", "192.0.2.1", Login::Inline(login()))
}

fn with(request: SubmitRequest, change: impl FnOnce(&mut SubmitRequest)) -> SubmitRequest {
    let mut request = request;
    change(&mut request);
    request
}

fn template(name: &str) -> SubmitRequest {
    with(plain(), |request| request.template = Some(name.to_owned()))
}

#[rstest]
#[case::free("", plain(), None)]
#[case::pool(", pools: [lab]", with(plain(), |r| r.pool = Some("dmz".to_owned())), Some("unknown_pool"))]
#[case::its_pool(", pools: [lab]", with(plain(), |r| r.pool = Some("lab".to_owned())), None)]
#[case::no_pool(", pools: [gone]", plain(), Some("not_permitted"))]
#[case::targets(", targets: [192.0.2.0/31]", with(plain(), |r| r.targets = "192.0.2.1-2".to_owned()), Some("out_of_scope"))]
#[case::mapped(", targets: [10.1.0.0/16]", with(plain(), |r| r.targets = "::ffff:10.0.0.1".to_owned()), Some("out_of_scope"))]
#[case::denied(", deny_targets: [192.0.2.1]", plain(), Some("out_of_scope"))]
#[case::scan_type(", scan_types: [trusted]", plain(), Some("not_permitted"))]
#[case::its_scan_type(", scan_types: [trusted]", stored("audit"), None)]
#[case::template(", templates: [basic]", template("advanced"), Some("not_permitted"))]
#[case::default_template(", templates: [advanced]", plain(), Some("not_permitted"))]
#[case::policy(", policies: [Weekly]", by_policy("Red team"), Some("unknown_policy"))]
#[case::policy_by_id(", policies: [Weekly]", by_policy("5"), Some("unknown_policy"))]
#[case::its_policy(", policies: [Weekly]", by_policy("Weekly"), None)]
#[case::its_policy_by_id(", policies: [Weekly]", by_policy("4"), None)]
#[case::its_policy_by_name(", policies: [\"4\"]", by_policy("Weekly"), None)]
#[case::policy_beside_templates(", templates: [basic]", by_policy("Weekly"), Some("unknown_policy"))]
#[case::credential(", credentials: [audit]", stored("audit-root"), Some("unknown_credential"))]
#[case::its_credential(", credentials: [audit]", stored("audit"), None)]
#[case::inline_beside_credentials(", credentials: [audit]", inline(), Some("not_permitted"))]
#[case::inline(", credentials: [], inline_logins: true", inline(), None)]
#[case::no_inline(", inline_logins: false", inline(), Some("not_permitted"))]
#[case::login_of_a_policy(", credentials: [audit]", with(by_policy("Weekly"), |r| r.scan_type = ScanType::Trusted), Some("not_permitted"))]
#[case::login_of_its_policy(", credentials: [audit], policies: [Weekly]", with(by_policy("Weekly"), |r| r.scan_type = ScanType::Trusted), None)]
#[tokio::test]
async fn a_client_is_refused_what_it_may_not_use(
    #[case] keys: &str,
    #[case] request: SubmitRequest,
    #[case] refused: Option<&str>,
) {
    let directory = tempfile::tempdir().unwrap();
    let service = deployment(&directory, keys);
    let lab = acting_for(&service, "lab");
    let tried = lab.dry_run(request.clone()).await.map(drop);
    let submitted = lab.submit(request.clone()).await.map(drop);
    for outcome in [tried, submitted] {
        assert_eq!(outcome.as_ref().err().map(Classified::code), refused, "{outcome:?}");
    }
    let left = std::fs::read_dir(directory.path().join("tasks")).unwrap().count();
    assert_eq!(left, usize::from(refused.is_none()));
    if refused == Some("out_of_scope") {
        let refused = lab.submit(request.clone()).await.unwrap_err();
        assert!(refused.to_string().contains("targets` of `lab`"), "{refused}");
    }
    // Nobody else is bound by it.
    if keys != ", pools: [gone]" {
        acting_for(&service, "other").submit(request.clone()).await.unwrap();
    }
    service.submit(request).await.unwrap();
}

/// A refusal of a name that is there is that of one that is not.
#[tokio::test]
async fn what_a_client_may_not_use_does_not_exist_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let service = deployment(&directory, ", pools: [lab], policies: [Weekly], credentials: [audit]");
    let lab = acting_for(&service, "lab");
    let requests: [fn(&str) -> SubmitRequest; 3] =
        [|name| with(plain(), |request| request.pool = Some(name.to_owned())), by_policy, stored];
    for (ask, there, not_there) in
        [(requests[0], "dmz", "dmx"), (requests[1], "Red team", "Red teas"), (requests[2], "audit-root", "audit-toot")]
    {
        let (hidden, missing) =
            (lab.submit(ask(there)).await.unwrap_err(), lab.submit(ask(not_there)).await.unwrap_err());
        let masked = |error: &ServiceError, name: &str| {
            (error.code(), error.to_string().replace(name, "?"), error.hint().map(|hint| hint.replace(name, "?")))
        };
        assert_eq!(masked(&hidden, there), masked(&missing, not_there));
    }
    let pools = lab.list_pools().await.unwrap();
    let names: Vec<_> = pools.pools.iter().map(|pool| (pool.scanner_pool.as_str(), pool.default)).collect();
    assert_eq!((names, pools.default_pool.as_str()), (vec![("lab", true)], "lab"));
    assert_eq!(lab.submit(plain()).await.unwrap().scanner_pool.as_str(), "lab");
    assert_eq!(lab.pool_status(None).await.unwrap().pool.scanner_pool.as_str(), "lab");
    assert_eq!(lab.list_scanners(None).await.unwrap().total, 1);
    assert_eq!(lab.queue_status(None).await.unwrap().pools.len(), 1);
    let health = serde_json::to_value(lab.health().await).unwrap();
    assert_eq!(health["checks"]["scanners"]["total"], 1);
    let listed = lab.list_policies(None).await.unwrap().pools;
    let policies: Vec<_> = listed.iter().flat_map(|pool| &pool.policies).map(|policy| policy.name.as_str()).collect();
    assert_eq!((listed.len(), policies), (1, vec!["Weekly"]));
    for (of, known) in [(Completable::Pool, "lab"), (Completable::Policy, "Weekly")] {
        assert_eq!(lab.completions(of, "", None).await.unwrap().values, [known]);
    }
    for refused in [
        lab.pool_status(Some("dmz")).await.map(drop),
        lab.list_scanners(Some("dmz")).await.map(drop),
        lab.list_policies(Some("dmz")).await.map(drop),
        lab.queue_status(Some("dmz")).await.map(drop),
        lab.completions(Completable::Policy, "", Some("dmz")).await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), refused.hint().as_deref()), ("unknown_pool", Some("the pools are: lab")));
    }
}

#[tokio::test]
async fn a_dry_run_says_which_rule_of_the_client_decided() {
    let directory = tempfile::tempdir().unwrap();
    let service = deployment(&directory, ", targets: [192.0.2.0/24]");
    let view = acting_for(&service, "lab").dry_run(plain()).await.unwrap();
    assert_eq!(
        (view.scope.verdict.as_str(), &*view.scope.rules),
        ("allowed", &["`targets` of `lab` has `192.0.2.0/24`".to_owned()][..])
    );
}

/// A retry is a scan, under the rights of who retries: those of who submitted it do not count any more.
#[tokio::test]
async fn a_retry_is_under_the_rights_of_who_retries() {
    let keys = ", pools: [nessus], targets: [192.0.2.0/24], templates: [basic], credentials: [audit]";
    for (request, code) in [
        (plain(), None),
        (with(plain(), |request| request.targets = "198.51.100.1".to_owned()), Some("out_of_scope")),
        (with(plain(), |request| request.pool = Some("dmz".to_owned())), Some("unknown_pool")),
        (by_policy("Weekly"), Some("unknown_policy")),
        (stored("audit-root"), Some("not_permitted")),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let service = deployment(&directory, keys);
        let task_id = acting_for(&service, "other").submit(request).await.unwrap().task_id;
        service.tasks().update(&task_id, Writer::Api, |task| task.status = TaskStatus::Failed).await.unwrap();
        let retried = acting_for(&service, "lab").retry(&task_id).await;
        assert_eq!(retried.as_ref().err().map(Classified::code), code, "{retried:?}");
        let task = service.tasks().get(&task_id).await.unwrap();
        let (attempt, runs_for) = if code.is_none() { (2, "lab") } else { (1, "other") };
        assert_eq!((task.attempt, task.principal.as_deref()), (attempt, Some(runs_for)));
        assert_eq!(task.submitted_by.as_deref(), Some("other"));
    }
}
