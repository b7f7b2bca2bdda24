//! Hosts that count against a day: which a task gives back when it has ended.

use std::path::Path;

use super::*;
use crate::{policy::Policy, queue::Charge};

fn policy(text: &str) -> Policy {
    Policy::parse(text, Path::new("policy.yaml"), &|_| None).unwrap()
}

/// A day has room for one scan and a bit.
fn limited() -> Fixture {
    fixture_in(Scope::new(policy("max_hosts_per_day: 7")))
}

impl Fixture {
    async fn charged(&self) -> u64 {
        let day = self.service.clock().now().utc_day();
        self.service.queue().charged(Charge::ALL, Some(&day)).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_launched_counts_and_what_was_not_is_given_back() {
    type Fault = fn(&Fixture);
    let nothing_fails: Fault = |_| {};
    let create: Fault = |f| f.scanner.fail_next(MockOperation::Create, ScannerError::Rejected("no".to_owned()));
    let launch: Fault = |f| f.scanner.fail_next(MockOperation::Launch, ScannerError::Rejected("no".to_owned()));
    let unclear: Fault = |f| f.scanner.lose_answer(MockOperation::Launch, unreachable(RequestSent::Maybe));
    let export: Fault = |f| f.scanner.fail_next(MockOperation::Export, ScannerError::Rejected("no".to_owned()));
    let scope: Fault = |f| f.service.scope().replace(policy("deny: [192.0.2.1]\nmax_hosts_per_day: 7"));
    for (what, fault, used) in [
        ("completed", nothing_fails, 4),
        ("create refused", create, 0),
        ("launch refused", launch, 0),
        ("launch whose answer is lost", unclear, 4),
        ("results refused", export, 4),
        ("out of scope by now", scope, 0),
    ] {
        let f = limited();
        let task_id = f.submit().await;
        assert_eq!(f.charged().await, 4, "{what}");
        fault(&f);
        let worker = f.start();
        let view = f.ended(&task_id).await;
        assert_eq!(f.charged().await, used, "{what}: {view:?}");
        assert_eq!(f.scanner.launches() > 0, used > 0, "{what}");
        worker.stop().await;
    }
}

/// The worker died after it had written that it launches, and nothing was launched: whoever takes over knows better.
#[tokio::test(start_paused = true)]
async fn a_launch_that_was_noted_and_never_made_is_given_back() {
    for cancelled in [true, false] {
        let f = limited();
        let task_id = f.submit().await;
        f.scanner.fail_next(MockOperation::Launch, unreachable(RequestSent::No));
        let worker = f.start();
        f.wait_for_call(MockOperation::Launch).await;
        worker.stop().await;
        f.service.tasks().update(&task_id, Writer::Api, |task| task.note_launch(true)).await.unwrap();
        if cancelled {
            f.service.cancel(&task_id, None).await.unwrap();
        } else {
            f.service.scope().replace(policy("deny: [192.0.2.1]"));
        }
        let worker = f.start();
        assert!(matches!(f.ended(&task_id).await.status, TaskStatus::Cancelled | TaskStatus::Failed));
        assert_eq!((f.charged().await, f.scanner.launches()), (0, 0), "{cancelled}");
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_charged_again_only_for_a_launch_of_its_own() {
    let f = limited();
    f.scanner.fail_next(MockOperation::Create, ScannerError::Rejected("no".to_owned()));
    let task_id = f.submit().await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Failed);
    assert_eq!(f.charged().await, 0);
    // The first attempt has launched nothing: the second takes its place.
    f.scanner.fail_next(MockOperation::Export, ScannerError::Rejected("no".to_owned()));
    f.service.retry(&task_id).await.unwrap();
    assert_eq!(f.charged().await, 4);
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Failed);
    // The third fetches the results of the scan that the second has launched.
    f.service.retry(&task_id).await.unwrap();
    assert_eq!(
        (f.ended(&task_id).await.status, f.charged().await, f.scanner.launches()),
        (TaskStatus::Completed, 4, 1)
    );
    let charged: Vec<_> = f.task(&task_id).await.charged_hosts.iter().map(|charged| charged.attempt).collect();
    assert_eq!(charged, [2]);

    worker.stop().await;
}

/// A scan that was given up is not gone on with: the next attempt launches another, for which the day must have room.
#[tokio::test(start_paused = true)]
async fn a_retry_that_launches_another_scan_is_charged_too() {
    let f = limited();
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(SCAN / 4));
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Timeout);
    worker.stop().await;
    let refused = f.service.retry(&task_id).await.unwrap_err();
    assert!(refused.to_string().contains("4 hosts") && refused.to_string().contains("4 are used"), "{refused}");
    assert_eq!((f.task(&task_id).await.status, f.dead_codes().await.len()), (TaskStatus::Timeout, 1));

    f.service.scope().replace(policy("max_hosts_per_day: 8"));
    f.service.retry(&task_id).await.unwrap();
    assert_eq!((f.charged().await, f.dead_codes().await.len()), (8, 0));
    let worker = f.start();
    assert_eq!((f.ended(&task_id).await.status, f.scanner.launches()), (TaskStatus::Completed, 2));
    assert_eq!(f.charged().await, 8);
    worker.stop().await;
}
