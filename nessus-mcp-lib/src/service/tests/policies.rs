//! Scans by the policies of the scanners: what a submit refuses and what it keeps.

use super::*;
use crate::scanner::{MockOperation, ScanPolicy, ScannerError};

pub(super) struct Scanners {
    pub(super) f: Fixture,
    pub(super) one: Arc<MockScanner>,
    pub(super) two: Arc<MockScanner>,
}

/// Two scanners: both have a policy `Weekly`, each under another id, and each has one of its own.
pub(super) async fn scanners() -> Scanners {
    let f = fixture().await;
    let scanner = |policies: &[(&str, &str)]| {
        let policies: Vec<_> = policies.iter().map(|(id, name)| ScanPolicy::new(*id, *name)).collect();
        Arc::new(MockScanner::new(MockConfig::new().policies(policies)))
    };
    let one = scanner(&[("4", "Weekly"), ("5", "Only here"), ("7", "Twice"), ("8", "Twice"), ("9", "Nine")]);
    let two = scanner(&[("6", "Weekly"), ("5", "Five"), ("9", "Nine")]);
    let named = |name: &str, scanner: &Arc<MockScanner>| {
        ScannerInstance::new(InstanceId::new(name).unwrap(), 2, Arc::clone(scanner) as Arc<dyn crate::ScannerInterface>)
    };
    let instances = vec![named("one", &one), named("two", &two)];
    f.service.scanners().replace(vec![ScannerPool::new(pool(), "mock", instances)]).unwrap();
    Scanners { f, one, two }
}

pub(super) fn by_policy(policy: &str) -> SubmitRequest {
    SubmitRequest { policy: Some(policy.to_owned()), ..request() }
}

fn unreachable() -> ScannerError {
    ScannerError::NotReady("loading".to_owned())
}

#[rstest]
#[case::by_name("Weekly", None, Ok(None))]
#[case::of_one_scanner("Only here", None, Ok(None))]
#[case::by_an_id_of_one("4", None, Ok(Some("Weekly")))]
#[case::by_an_id_of_the_same("9", None, Ok(Some("Nine")))]
#[case::by_an_id_of_two("5", None, Err("invalid_argument"))]
#[case::by_an_id_of_the_pinned_one("5", Some("two"), Ok(Some("Five")))]
#[case::not_on_the_pinned_one("Only here", Some("two"), Err("unknown_policy"))]
#[case::two_of_a_name("Twice", None, Err("ambiguous_policy"))]
#[case::two_of_a_name_there("Twice", Some("one"), Err("ambiguous_policy"))]
#[case::in_other_words("weekly", None, Err("unknown_policy"))]
#[case::none(" ", None, Err("invalid_argument"))]
#[tokio::test]
async fn a_policy_is_checked_at_the_submit(
    #[case] policy: &str,
    #[case] instance: Option<&str>,
    #[case] expected: Result<Option<&str>, &str>,
) {
    let Scanners { f, .. } = scanners().await;
    let mut request = by_policy(policy);
    request.instance = instance.map(str::to_owned);
    match f.service.submit(request).await {
        Ok(submitted) => {
            let task = f.service.tasks().get(&submitted.task_id).await.unwrap();
            assert_eq!(Ok(task.payload.policy_name.as_deref()), expected);
            assert_eq!((task.payload.policy.as_deref(), submitted.template_warning), (Some(policy), None));
            let shown = f.service.status(&submitted.task_id).await.unwrap().policy;
            assert_eq!(shown.as_deref(), task.payload.policy_name.as_deref().or(Some(policy)));
        }
        Err(error) => {
            assert_eq!(Err(error.code()), expected, "{error}");
            assert!(error.hint().is_some());
            assert_eq!(std::fs::read_dir(f.directory.path().join("tasks")).unwrap().count(), 0);
        }
    }
}

#[tokio::test]
async fn a_template_and_a_policy_at_once_are_refused() {
    let Scanners { f, one, .. } = scanners().await;
    let error = f.service.submit(SubmitRequest { template: Some("basic".to_owned()), ..by_policy("Weekly") }).await;
    assert_eq!(error.unwrap_err().to_string(), "`policy` stands beside a template");
    let unknown = SubmitRequest { template: Some("nmap".to_owned()), ..request() };
    assert_eq!(f.service.submit(unknown).await.unwrap_err().code(), "unknown_template");
    let asked = one.calls(MockOperation::Offer);
    f.service.submit(SubmitRequest { template: Some("basic".to_owned()), ..request() }).await.unwrap();
    assert_eq!(one.calls(MockOperation::Offer), asked, "every scanner has the default template");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_was_just_made_is_found_and_scanners_are_asked_rarely() {
    let Scanners { f, one, .. } = scanners().await;
    for _ in 0..20 {
        f.service.submit(by_policy("Weekly")).await.unwrap();
    }
    assert_eq!(one.calls(MockOperation::Offer), 1);
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    one.set_policies([ScanPolicy::new("40", "New")]);
    f.service.submit(by_policy("New")).await.unwrap();
    for _ in 0..20 {
        f.service.submit(by_policy("Newer")).await.unwrap_err();
    }
    assert_eq!(one.calls(MockOperation::Offer), 2, "not even for a name that nothing has");
}

/// A scan is not refused because its scanner is down: it waits for it anyway.
#[tokio::test]
async fn what_cannot_be_checked_is_accepted_and_said() {
    let Scanners { f, one, two } = scanners().await;
    one.fail_next(MockOperation::Offer, unreachable());
    let submitted = f.service.submit(by_policy("Five")).await.unwrap();
    assert_eq!(submitted.template_warning, None, "it is known of the other");
    for scanner in [&one, &two] {
        for _ in 0..2 {
            scanner.fail_next(MockOperation::Offer, unreachable());
        }
    }
    f.service
        .scanners()
        .replace(vec![ScannerPool::new(
            pool(),
            "mock",
            vec![ScannerInstance::new(InstanceId::new("new").unwrap(), 2, one.clone())],
        )])
        .unwrap();
    let submitted = f.service.submit(by_policy("Weakly")).await.unwrap();
    let warning = submitted.template_warning.unwrap();
    assert!(
        warning.contains("policy `Weakly`") && warning.contains("`new`") && warning.contains("loading"),
        "{warning}"
    );
}

#[tokio::test]
async fn what_scans_can_be_made_of_is_listed_by_pool() {
    let Scanners { f, two, .. } = scanners().await;
    two.fail_next(MockOperation::Offer, unreachable());
    let list = f.service.list_policies(Some("lab")).await.unwrap();
    assert_eq!(list.pools[0].policies.len(), 5, "{list:?}");
    assert_eq!((&*list.pools[0].not_asked[0].error_code, list.pools[0].not_asked.len()), ("scanner_not_ready", 1));
    let list = f.service.list_policies(None).await.unwrap();
    let [pool] = &list.pools[..] else { panic!("{list:?}") };
    assert!(pool.not_asked.is_empty() && pool.policies_left_out == 0);
    let policies: Vec<_> = pool
        .policies
        .iter()
        .map(|policy| {
            let ids: Vec<_> = policy.ids.iter().map(|(instance, id)| format!("{instance}:{id}")).collect();
            (policy.name.as_str(), ids.join(","))
        })
        .collect();
    let expected = [
        ("Weekly", "one:4,two:6"),
        ("Only here", "one:5"),
        ("Twice", "one:7"),
        ("Twice", "one:8"),
        ("Nine", "one:9,two:9"),
        ("Five", "two:5"),
    ];
    assert_eq!(policies, expected.map(|(name, ids)| (name, ids.to_owned())));
    assert!(pool.templates.iter().any(|template| template.name == "discovery" && template.scanners.is_none()));
    assert_eq!(f.service.list_policies(Some("dmz")).await.unwrap_err().code(), "unknown_pool");
}

#[tokio::test]
async fn a_scan_that_logs_in_may_leave_that_to_its_policy() {
    let Scanners { f, .. } = scanners().await;
    let request = SubmitRequest::new(crate::task::ScanType::Trusted, "office", "192.0.2.1");
    assert_eq!(f.service.submit(request.clone()).await.unwrap_err().code(), "invalid_argument");
    let submitted = f.service.submit(SubmitRequest { policy: Some("Weekly".to_owned()), ..request }).await.unwrap();
    let task = f.service.tasks().get(&submitted.task_id).await.unwrap();
    assert_eq!((task.payload.credential, task.scan_type), (None, crate::task::ScanType::Trusted));
}

#[tokio::test]
async fn policies_are_completed() {
    let Scanners { f, .. } = scanners().await;
    let pool = pool();
    let complete =
        async |begin: &str, pool: Option<&str>| f.service.completions(Completable::Policy, begin, pool).await;
    let all = complete("", None).await.unwrap();
    assert_eq!(
        (all.values, all.total),
        (["Weekly", "Only here", "Twice", "Nine", "Five"].map(str::to_owned).to_vec(), 5)
    );
    let some = complete("w", Some(pool.as_str())).await.unwrap();
    assert_eq!((some.values, some.total), (vec!["Weekly".to_owned()], 1));
    assert_eq!(complete("", Some("nowhere")).await.unwrap_err().code(), "unknown_pool");
}
