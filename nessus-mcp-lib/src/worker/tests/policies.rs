//! Scans by the policies of the scanners, and what becomes of them when those change.

use super::*;
use crate::{
    ScannerInterface,
    scanner::{ScanBasis, ScanPolicy},
};

fn policies(named: &[(&str, &str)]) -> Vec<ScanPolicy> {
    named.iter().map(|(id, name)| ScanPolicy::new(*id, *name)).collect()
}

impl Fixture {
    async fn submit_by(&self, policy: &str) -> TaskId {
        let mut request = SubmitRequest::untrusted("test", "192.0.2.1");
        request.policy = Some(policy.to_owned());
        self.service.submit(request).await.unwrap().task_id
    }

    /// Adds a second scanner to the pool.
    fn with_second(&self, capacity: u32, named: &[(&str, &str)]) -> Arc<MockScanner> {
        let second = Arc::new(MockScanner::new(MockConfig::new().scan_duration(SCAN).policies(policies(named))));
        let instance = |name: &str, scanner: &Arc<MockScanner>| {
            let scanner = Arc::clone(scanner) as Arc<dyn ScannerInterface>;
            ScannerInstance::new(InstanceId::new(name).unwrap(), capacity, scanner)
        };
        let instances = vec![instance("one", &self.scanner), instance("two", &second)];
        self.service.scanners().replace(vec![ScannerPool::new(pool(), "mock", instances)]).unwrap();
        second
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_made_of_the_policy_that_was_asked_for() {
    let f = fixture(2);
    f.scanner.set_policies(policies(&[("4", "Weekly"), ("5", "Twice"), ("6", "Twice")]));
    let (by_name, by_id) = (f.submit_by("Weekly").await, f.submit_by("6").await);
    let worker = f.start();
    for (task_id, asked, name) in [(by_name, "Weekly", None), (by_id, "6", Some("Twice"))] {
        assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
        let name = name.map(str::to_owned);
        let basis = ScanBasis::Policy { asked: asked.to_owned(), name };
        assert_eq!(f.scanner.basis_of(task_id.as_str()), Some(basis));
    }
    worker.stop().await;
}

/// Between the submit and the launch somebody changes the policy on the scanner.
#[rstest::rstest]
#[case::renamed("Weekly", &[("4", "Monthly")], "unknown_policy")]
#[case::deleted("Weekly", &[], "unknown_policy")]
#[case::a_second_one("Weekly", &[("4", "Weekly"), ("5", "Weekly")], "ambiguous_policy")]
#[case::renamed_by_id("4", &[("4", "Monthly")], "policy_renamed")]
#[case::deleted_by_id("4", &[], "unknown_policy")]
#[tokio::test(start_paused = true)]
async fn a_policy_that_is_another_at_the_launch_fails_the_task(
    #[case] asked: &str,
    #[case] after: &[(&str, &str)],
    #[case] code: &str,
    #[values(false, true)] has_second: bool,
) {
    let f = fixture(2);
    f.scanner.set_policies(policies(&[("4", "Weekly")]));
    let second = has_second.then(|| f.with_second(2, &[]));
    let task_id = f.submit_by(asked).await;
    f.scanner.set_policies(policies(after));
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some(code)), "{view:?}");
    let launches = f.scanner.launches() + second.map_or(0, |second| second.launches());
    assert_eq!((f.scanner.creates(), launches), (0, 0));
    worker.stop().await;
}

/// The scanner without it is idle all the time, and gets none.
#[tokio::test(start_paused = true)]
async fn scans_go_where_their_policy_is() {
    let f = fixture(1);
    let second = f.with_second(1, &[("9", "Weekly")]);
    let tasks = [f.submit_by("Weekly").await, f.submit_by("Weekly").await, f.submit_by("9").await];
    let worker = f.start();
    for task_id in &tasks {
        assert_eq!(f.ended(task_id).await.status, TaskStatus::Completed);
    }
    assert_eq!((f.scanner.creates(), second.creates()), (0, 3));
    worker.stop().await;
}

/// It was moved to the other scanner after this one was asked.
#[tokio::test(start_paused = true)]
async fn a_policy_that_moves_is_followed() {
    let f = fixture(2);
    f.scanner.set_policies(policies(&[("4", "Weekly")]));
    let second = f.with_second(2, &[]);
    let task_id = f.submit_by("Weekly").await;
    f.scanner.set_policies([]);
    second.set_policies(policies(&[("9", "Weekly")]));
    tokio::time::advance(Duration::from_secs(61)).await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), second.creates()), (0, 1));
    worker.stop().await;
}

/// While one scanner cannot be asked, a policy that the others lack is waited for.
#[tokio::test(start_paused = true)]
async fn a_scanner_that_does_not_answer_may_have_the_policy() {
    let f = fixture(2);
    let second = f.with_second(2, &[("9", "Weekly")]);
    for _ in 0..5 {
        second.fail_next(MockOperation::Offer, unreachable(RequestSent::No));
    }
    let task_id = f.submit_by("Weekly").await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), second.creates()), (0, 1));
    worker.stop().await;
}
