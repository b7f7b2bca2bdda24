//! Scans that wait until a person agrees.

use std::path::Path;

use super::*;
use crate::{
    error::Classified as _,
    policy::{ApprovalKey, Policy, TableResolver, TokenHash, Verdict, new_token},
    queue::EntryState,
    secret::Secret,
    service::{ApprovalAnswer, ServiceError},
    task::ScanType,
};

/// Somebody who may agree, as they stand in a policy.
fn client(token: &Secret) -> String {
    let (hash, key) = (TokenHash::of(token.expose()), ApprovalKey::of(token));
    format!("{{name: boss, role: approve, token_sha256: {hash}, approval_key: {key}}}")
}

fn policy(rules: &str, token: &Secret) -> Policy {
    let text = format!("approvals: [{rules}]\nclients: [{}]\n", client(token));
    Policy::parse(&text, Path::new("policy.yaml"), &|_| None).unwrap()
}

const EVERY: &str = "{name: every, expires_after: 1h}";

struct Held {
    f: Fixture,
    boss: Secret,
}

fn held_by(rules: &str) -> Held {
    let boss = new_token();
    Held { f: fixture_in(Scope::new(policy(rules, &boss))), boss }
}

impl Held {
    async fn decide(&self, task_id: &TaskId, verdict: Verdict) -> Result<TaskStatus, ServiceError> {
        self.f.service.decide(task_id, &self.boss, ApprovalAnswer::new(verdict)).await
    }

    /// Waits until a worker has put the task off.
    async fn is_put_off(&self, task_id: &TaskId) -> TaskView {
        for _ in 0..1000 {
            if self.f.service.queue().state_of(&pool(), task_id).await.unwrap() == Some(EntryState::Delayed) {
                return self.f.service.status(task_id).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{task_id} is not put off");
    }

    /// What the scanner was asked to create and to launch.
    fn told(&self) -> (u64, u64) {
        (self.f.scanner.creates(), self.f.scanner.launches())
    }

    fn go_by(&self, rules: &str) {
        self.f.service.scope().replace(policy(rules, &self.boss));
    }

    async fn alter(&self, task_id: &TaskId, change: impl FnOnce(&mut Task) + Clone + Send + 'static) {
        self.f.service.tasks().update(task_id, Writer::Api, change).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_waits_without_a_slot_until_a_person_agrees_and_then_begins_at_once() {
    let held = held_by("{name: wide, expires_after: 1h, when: {hosts_over: 2}}");
    let submission = held.f.service.submit(SubmitRequest::untrusted("test", "192.0.2.1-192.0.2.4")).await.unwrap();
    let said = submission.waiting_for.unwrap();
    assert!(said.starts_with("approval (rule `wide`): since 2025-12-01T14:30:22"), "{said}");
    assert!(said.contains("until 2025-12-01T15:30:22") && said.contains("only a person can decide"), "{said}");
    assert_eq!((submission.status, submission.estimated_wait_seconds), (TaskStatus::Queued, None));
    let task_id = submission.task_id;
    let free = held.f.service.submit(SubmitRequest::untrusted("free", "198.51.100.1")).await.unwrap();
    assert_eq!(free.waiting_for, None);
    let worker = held.f.start();
    let view = held.is_put_off(&task_id).await;
    assert_eq!(view.waiting_for.as_ref(), Some(&said));
    assert_eq!(held.f.ended(&free.task_id).await.status, TaskStatus::Completed, "it holds up nobody");
    assert_eq!(held.told(), (1, 1));
    assert_eq!(held.f.task(&task_id).await.fence, None, "nothing is written while it waits");
    let waiting = held.f.service.approvals().await.unwrap();
    assert_eq!((waiting.len(), &waiting[0].task_id, &*waiting[0].target_hosts), (1, &task_id, "4"));

    // What an agent can do does not let it begin.
    assert_eq!(held.f.service.resume(&task_id).await.unwrap_err().code(), "not_resumable");
    held.f.service.pause(&task_id, None).await.unwrap();
    held.f.service.resume(&task_id).await.unwrap();
    assert_eq!(held.f.service.retry(&task_id).await.unwrap_err().code(), "not_retryable");
    held.is_put_off(&task_id).await;
    assert_eq!(held.told(), (1, 1));

    let agreed_at = held.f.service.clock().now();
    assert_eq!(held.decide(&task_id, Verdict::Approved).await.unwrap(), TaskStatus::Queued);
    let ended = held.f.ended(&task_id).await;
    assert_eq!((ended.status, ended.waiting_for), (TaskStatus::Completed, None));
    assert!(ended.started_at.unwrap().since(agreed_at) < Duration::from_secs(2), "{:?}", ended.started_at);
    assert_eq!(held.told(), (2, 2));
    assert!(held.f.service.approvals().await.unwrap().is_empty());
    assert_eq!(held.decide(&task_id, Verdict::Denied).await.unwrap_err().code(), "already_ended");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_a_person_refuses_ends_with_the_reason_and_without_a_worker() {
    let held = held_by(EVERY);
    let task_id = held.f.submit().await;
    let mut answer = ApprovalAnswer::new(Verdict::Denied);
    answer.reason = Some("not this week".to_owned());
    assert_eq!(held.f.service.decide(&task_id, &held.boss, answer).await.unwrap(), TaskStatus::Cancelled);
    let view = held.f.service.status(&task_id).await.unwrap();
    assert_eq!(view.error_code.as_deref(), Some("approval_denied"));
    assert_eq!(view.error_message.as_deref(), Some("`boss` has not agreed to the scan: not this week"));
    assert_eq!(held.f.service.queue().state_of(&pool(), &task_id).await.unwrap(), None);
    let worker = held.f.start();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(held.told(), (0, 0));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_agrees_to_in_time_ends_whoever_sees_it_first() {
    let held = held_by(EVERY);
    let (seen_by_caller, seen_by_worker) = (held.f.submit().await, held.f.submit().await);
    tokio::time::sleep(Duration::from_secs(3601)).await;
    let view = held.f.service.status(&seen_by_caller).await.unwrap();
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Cancelled, Some("approval_expired")));
    assert_eq!(held.decide(&seen_by_worker, Verdict::Approved).await.unwrap_err().code(), "approval_expired");
    let worker = held.f.start();
    for _ in 0..1000 {
        if held.f.task(&seen_by_worker).await.status.is_terminal() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let task = held.f.task(&seen_by_worker).await;
    assert_eq!((task.status, task.error_code.as_deref()), (TaskStatus::Cancelled, Some("approval_expired")));
    assert_eq!((held.told(), held.f.dead_codes().await), ((0, 0), Vec::<String>::new()));
    worker.stop().await;
}

/// It wakes up when the time is over, and not when the next look is due.
#[tokio::test(start_paused = true)]
async fn a_worker_ends_what_it_has_put_off_when_its_time_is_over() {
    let held = held_by("{name: soon, expires_after: 90s}");
    let task_id = held.f.submit().await;
    let worker = held.f.start();
    held.is_put_off(&task_id).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(held.f.task(&task_id).await.error_code.as_deref(), Some("approval_expired"));
    worker.stop().await;
}

/// Whoever has a shell as the user of the service writes into `task.json` what they like.
#[tokio::test(start_paused = true)]
async fn nothing_that_is_written_into_a_task_by_hand_lets_its_scan_begin() {
    let held = held_by(EVERY);
    let (agreed, other) = (held.f.submit().await, held.f.submit().await);
    held.decide(&agreed, Verdict::Approved).await.unwrap();
    let decision = held.f.task(&agreed).await.approval.unwrap();
    // That of another task; one that was changed; none at all; started already.
    let replayed = decision.clone();
    held.alter(&other, move |task| task.approval = Some(replayed)).await;
    let forged = held.f.submit().await;
    held.alter(&forged, move |task| {
        let approval = task.approval.as_mut().unwrap();
        approval.decision = decision.decision;
    })
    .await;
    let gone = held.f.submit().await;
    held.alter(&gone, |task| task.approval = None).await;
    let started = held.f.submit().await;
    held.alter(&started, |task| (task.status, task.approval) = (TaskStatus::Running, None)).await;
    // What was agreed to is something else now.
    held.alter(&agreed, |task| task.payload.targets = "192.0.2.250".to_owned()).await;
    let worker = held.f.start();
    for task_id in [&agreed, &other, &forged, &gone, &started] {
        let view = held.is_put_off(task_id).await;
        assert!(view.waiting_for.as_ref().is_some_and(|said| said.starts_with("approval")), "{view:?}");
    }
    let said = held.f.service.status(&agreed).await.unwrap().waiting_for.unwrap();
    assert!(said.contains("asked once more, because what is asked for is not what it was"), "{said}");
    assert_eq!(held.told(), (0, 0));
    assert!(held.f.task(&gone).await.approval.is_some(), "it is asked again, and written down");
    for task_id in [agreed, other, forged, gone, started] {
        held.decide(&task_id, Verdict::Approved).await.unwrap();
        assert_eq!(held.f.ended(&task_id).await.status, TaskStatus::Completed);
    }
    assert_eq!(held.told(), (5, 5));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_agreed_and_is_an_approver_no_more_has_not_agreed() {
    let held = held_by(EVERY);
    let task_id = held.f.submit().await;
    held.decide(&task_id, Verdict::Approved).await.unwrap();
    held.f.service.scope().replace(policy(EVERY, &new_token()));
    let worker = held.f.start();
    assert!(held.is_put_off(&task_id).await.waiting_for.unwrap().starts_with("approval (rule `every`)"));
    assert_eq!(held.told(), (0, 0));
    // Back again, and it counts.
    held.go_by(EVERY);
    assert_eq!(held.f.ended(&task_id).await.status, TaskStatus::Completed);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_was_changed_asks_anew_and_one_that_is_gone_lets_go() {
    let held = held_by(EVERY);
    let task_id = held.f.submit().await;
    held.decide(&task_id, Verdict::Approved).await.unwrap();
    held.go_by("{name: every, expires_after: 2h}");
    let worker = held.f.start();
    let said = held.is_put_off(&task_id).await.waiting_for.unwrap();
    assert!(said.contains("asked once more, because the rules that hold it are not what they were"), "{said}");
    assert_eq!(held.told(), (0, 0));
    held.go_by("{name: other, when: {pools: [elsewhere]}}");
    assert_eq!(held.f.service.status(&task_id).await.unwrap().waiting_for, None);
    let ended = held.f.ended(&task_id).await;
    assert_eq!(ended.status, TaskStatus::Completed);
    worker.stop().await;
}

/// A worker that was started without the policy, beside a server that has one.
#[tokio::test(start_paused = true)]
async fn a_worker_without_a_policy_begins_nothing_that_was_asked() {
    let held = held_by(EVERY);
    let task_id = held.f.submit().await;
    held.f.service.scope().replace(Policy::default());
    let worker = held.f.start();
    held.is_put_off(&task_id).await;
    assert_eq!(held.told(), (0, 0));
    worker.stop().await;
}

/// The first attempt was agreed to and has failed: its approval is used up.
#[tokio::test(start_paused = true)]
async fn each_attempt_needs_an_approval_of_its_own() {
    let held = held_by(EVERY);
    let task_id = held.f.submit().await;
    held.decide(&task_id, Verdict::Approved).await.unwrap();
    held.f.scanner.fail_next(MockOperation::Create, ScannerError::Licence("no hosts left".to_owned()));
    let worker = held.f.start();
    assert_eq!(held.f.ended(&task_id).await.status, TaskStatus::Failed);
    let view = held.f.service.retry(&task_id).await.unwrap();
    assert!(view.message.contains("until a person agrees to this attempt"), "{}", view.message);
    held.is_put_off(&task_id).await;
    assert_eq!(held.f.scanner.launches(), 0);
    held.decide(&task_id, Verdict::Approved).await.unwrap();
    assert_eq!(held.f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!(held.f.scanner.launches(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_can_be_cancelled() {
    let held = held_by(EVERY);
    let task_id = held.f.submit().await;
    let worker = held.f.start();
    held.is_put_off(&task_id).await;
    assert_eq!(held.f.service.cancel(&task_id, None).await.unwrap().status, TaskStatus::Cancelled);
    assert_eq!(held.f.ended(&task_id).await.error_code.as_deref(), Some("cancelled"));
    worker.stop().await;
}

/// A worker has created it and died. By now it is not agreed to any more, and after that its time is over.
#[tokio::test(start_paused = true)]
async fn a_scan_that_was_created_is_not_launched_without_an_approval_and_is_taken_away() {
    let held = held_by(EVERY);
    let task_id = held.f.submit().await;
    held.decide(&task_id, Verdict::Approved).await.unwrap();
    for _ in 0..2 {
        held.f.scanner.fail_next(MockOperation::Launch, unreachable(RequestSent::No));
    }
    let worker = held.f.start();
    held.f.wait_for_call(MockOperation::Launch).await;
    held.go_by("{name: every, expires_after: 2h}");
    tokio::time::sleep(Duration::from_secs(300)).await;
    let view = held.f.service.status(&task_id).await.unwrap();
    assert!(view.waiting_for.as_ref().is_some_and(|said| said.starts_with("approval")), "{view:?}");
    assert_eq!((held.told(), view.status), ((1, 0), TaskStatus::Running));
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    let ended = held.f.ended(&task_id).await;
    assert_eq!((ended.status, ended.error_code.as_deref()), (TaskStatus::Cancelled, Some("approval_expired")));
    assert_eq!((held.told(), ended.nessus_scan_id), ((1, 0), None));
    worker.stop().await;
}

/// A scan that runs is never stopped because of a rule.
#[tokio::test(start_paused = true)]
async fn a_scan_that_runs_goes_on_whatever_is_wanted_by_then() {
    let held = held_by(EVERY);
    let task_id = held.f.submit().await;
    held.decide(&task_id, Verdict::Approved).await.unwrap();
    let worker = held.f.start();
    held.f.wait_for_progress(&task_id).await;
    held.f.service.scope().replace(policy("{name: strict}", &new_token()));
    let view = held.f.service.status(&task_id).await.unwrap();
    assert_eq!(view.waiting_for, None);
    assert_eq!(held.f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!(held.told(), (1, 1));
    worker.stop().await;
}

/// Its name stood for another address when it was submitted.
#[tokio::test(start_paused = true)]
async fn a_name_that_moves_to_where_a_person_must_agree_waits_before_its_scan_is_created() {
    let boss = new_token();
    let resolver = Arc::new(TableResolver::default());
    resolver.set("db.example", ["192.0.2.7".parse().unwrap()]);
    let rules = "{name: core, when: {targets: [10.0.0.0/8]}}";
    let scope = Scope::new(policy(rules, &boss)).with_resolver(Arc::clone(&resolver) as Arc<_>);
    let held = Held { f: fixture_in(scope), boss };
    let task_id = held.f.service.submit(SubmitRequest::untrusted("test", "db.example")).await.unwrap().task_id;
    assert_eq!(held.f.service.status(&task_id).await.unwrap().waiting_for, None);
    resolver.set("db.example", ["10.0.0.7".parse().unwrap()]);
    let worker = held.f.start();
    for _ in 0..1000 {
        if held.f.task(&task_id).await.approval.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let said = held.f.service.status(&task_id).await.unwrap().waiting_for.unwrap();
    assert!(said.starts_with("approval (rule `core`)"), "{said}");
    assert_eq!(held.told(), (0, 0));
    held.decide(&task_id, Verdict::Approved).await.unwrap();
    assert_eq!(held.f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!(held.told(), (1, 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_not_enforced_says_what_would_have_waited() {
    let boss = new_token();
    let text = format!("mode: dry_run\napprovals: [{EVERY}]\nclients: [{}]\n", client(&boss));
    let f = fixture_in(Scope::new(Policy::parse(&text, Path::new("policy.yaml"), &|_| None).unwrap()));
    let submission = f.service.submit(SubmitRequest::new(ScanType::Untrusted, "test", "192.0.2.1")).await.unwrap();
    assert_eq!(submission.waiting_for, None);
    let warned = submission.scope_warning.unwrap();
    assert!(warned.contains("a person would have to agree to it (rule `every`)"), "{warned}");
    let worker = f.start();
    assert_eq!(f.ended(&submission.task_id).await.status, TaskStatus::Completed);
    worker.stop().await;
}
