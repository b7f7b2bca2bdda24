//! `tasks list|cancel|retry|pause|resume`, and how tasks are named.

use std::time::Duration;

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    durable,
    ids::{PoolName, TaskId, WorkerId},
    queue::{DeadReason, Settlement},
    service::SubmitRequest,
    task::{TaskStatus, Writer},
};
use nessus_mcp_tests::{deployment::Deployment, redis::RedisServer};
use serde_json::{Value, json};

use crate::{SCANNERS, admin, data};

/// A deployment with tasks that nobody works on.
pub(crate) struct Waiting {
    pub(crate) deployment: Deployment,
    pub(crate) service: ScanService,
    pub(crate) tasks: Vec<TaskId>,
    _redis: Option<RedisServer>,
}

/// Four tasks: `web` and `db` of `desk` in `lab`, `web two` of `agent` in `lab`, which has failed, and `far` of `agent` in `office`.
pub(crate) async fn waiting(on_redis: bool) -> Waiting {
    let redis = on_redis.then(RedisServer::start);
    let deployment = Deployment::new(SCANNERS).on_queue(redis.as_ref().map(RedisServer::url).as_deref());
    let settings = Settings::new(deployment.data(), deployment.scanners_yaml()).with_queue_url(deployment.queue_url());
    let service = ScanService::open(&settings).await.unwrap();
    let mut tasks = Vec::new();
    for (name, targets, pool, owner) in [
        ("web", "10.0.0.1", "lab", "desk"),
        ("db", "10.0.1.0/28", "lab", "desk"),
        ("web two", "10.0.2.9", "lab", "agent"),
        ("far", "10.9.0.1", "office", "agent"),
    ] {
        let mut request = SubmitRequest::untrusted(name, targets);
        (request.pool, request.submitted_by) = (Some(pool.to_owned()), Some(owner.to_owned()));
        tasks.push(service.submit(request).await.unwrap().task_id);
    }
    fail(&service, &tasks[2], "scan_timeout").await;
    Waiting { deployment, service, tasks, _redis: redis }
}

/// Lets a task of `lab` fail, as a worker would.
async fn fail(service: &ScanService, task: &TaskId, code: &'static str) {
    let (pool, worker, lease) = (PoolName::new("lab").unwrap(), WorkerId::generate(), Duration::from_secs(60));
    let mut held = Vec::new();
    loop {
        let claim = service.queue().claim(&pool, &worker, lease, &[]).await.unwrap().unwrap();
        if claim.lease.task_id == *task {
            let ended = service.tasks().update(task, Writer::Api, move |task| {
                task.status = TaskStatus::Failed;
                task.error_code = Some(code.to_owned());
                task.error_message = Some("it took too long".to_owned());
            });
            ended.await.unwrap();
            let letter = Settlement::DeadLetter(DeadReason::new("it took too long", code, 1));
            service.queue().settle(&claim.lease, letter).await.unwrap();
            break;
        }
        held.push(claim.lease);
    }
    for lease in held {
        let back = Settlement::Nack { delay: Duration::ZERO, started: false };
        service.queue().settle(&lease, back).await.unwrap();
    }
}

fn ids(json_lines: &str) -> Vec<String> {
    let line = |line| serde_json::from_str::<Value>(line).unwrap()["task_id"].as_str().unwrap().to_owned();
    json_lines.lines().map(line).collect()
}

#[tokio::test]
async fn tasks_are_found_by_what_is_known_of_them() {
    for on_redis in [false, true] {
        let Waiting { deployment, tasks, .. } = &waiting(on_redis).await;
        let listed = |filter: &[&str]| ids(&data(admin(deployment, &[&["tasks", "list", "--json"], filter].concat())));
        let expected = |of: &[usize]| {
            let mut names: Vec<_> = of.iter().map(|at| tasks[*at].to_string()).collect();
            names.sort();
            names
        };
        for (filter, found) in [
            (&[][..], &[0, 1, 2, 3][..]),
            (&["--state", "failed"], &[2]),
            (&["--pool", "office"], &[3]),
            (&["--owner", "agent"], &[2, 3]),
            (&["--owner", "agen"], &[]),
            (&["--target", "10.0.0.0/23"], &[0, 1]),
            (&["--name", "WEB"], &[0, 2]),
            (&["--error-code", "scan_timeout"], &[2]),
            (&["--error-code", "scan_time"], &[]),
            (&["--newer-than", "1h"], &[0, 1, 2, 3]),
            (&["--older-than", "1h"], &[]),
            (&["--owner", "desk", "--name", "b", "--state", "queued"], &[0, 1]),
        ] {
            let mut names = listed(filter);
            names.sort();
            assert_eq!(names, expected(found), "{filter:?}");
        }
        let text = data(admin(deployment, &["tasks", "list", "--state", "failed"]));
        let row = text.lines().nth(1).unwrap();
        assert!(
            row.starts_with(tasks[2].as_str())
                && row.contains("  failed scan_timeout  lab ")
                && row.ends_with("10.0.2.9"),
            "{text}"
        );
        assert_eq!(data(admin(deployment, &["tasks", "list", "--owner", "nobody"])), "no tasks\n");
        let cut = admin(deployment, &["tasks", "list", "--limit", "3"]);
        assert_eq!((cut.stdout.lines().count(), &*cut.stderr), (4, "3 of 4 tasks; `--all` lists the rest too\n"));
        let unknown = admin(deployment, &["tasks", "list", "--pool", "lob"]);
        assert!(unknown.code == Some(1) && unknown.stderr.contains("did you mean `lab`?"), "{unknown:?}");
    }
}

/// An id that was cut on the way is enough, as long as it means one task.
#[tokio::test]
async fn the_beginning_of_an_id_is_enough() {
    let Waiting { deployment, tasks, .. } = &waiting(false).await;
    let (begin, _) = tasks[3].as_str().split_at(tasks[3].as_str().len() - 4);
    let cancelled = data(admin(deployment, &["cancel", begin, "--reason", "by hand"]));
    assert!(cancelled.starts_with(tasks[3].as_str()) && cancelled.contains("cancelled"), "{cancelled}");
    assert_eq!(deployment.task(&tasks[3]).cancel_reason.as_deref(), Some("by hand"));
    let several = admin(deployment, &["tasks", "cancel", "mo_lab_"]);
    assert!(several.code == Some(1) && several.stderr.contains("the ids of 3 tasks"), "{several:?}");
    assert!(tasks[..3].iter().all(|task| several.stderr.contains(task.as_str())), "{several:?}");
    let none = admin(deployment, &["tasks", "cancel", "xy"]);
    assert!(none.code == Some(1) && none.stderr.contains("`nessus-admin tasks list`"), "{none:?}");
    let letter = data(admin(deployment, &["inspect-dlq", "mo_lab"]));
    assert!(letter.contains(tasks[2].as_str()) && letter.contains("it took too long"), "{letter}");
    assert!(!letter.contains("retry_scan") && letter.contains("advice"), "{letter}");
    let none = admin(deployment, &["inspect-dlq", tasks[0].as_str()]);
    assert!(none.code == Some(1) && none.stderr.contains("`nessus-admin list-dlq`"), "{none:?}");
}

/// What acts on many asks first, acts on each, and can be repeated.
#[tokio::test]
async fn an_order_reaches_all_that_match() {
    for on_redis in [false, true] {
        let Waiting { deployment, service, tasks, .. } = &waiting(on_redis).await;
        let all = ["tasks", "cancel", "--all-matching", "--pool", "lab", "--reason", "out of control"];
        let asked = admin(deployment, &all);
        assert_eq!(asked.code, Some(2), "{asked:?}");
        assert!(
            asked.stderr.contains("cancel 2 tasks (out of control)?") && asked.stderr.contains("`--yes`"),
            "{asked:?}"
        );
        assert!(deployment.task(&tasks[0]).status == TaskStatus::Queued, "nothing was done");

        let done = admin(deployment, &[&all[..], &["--yes", "--json"]].concat());
        assert_eq!((done.code, &*done.stderr), (Some(0), "cancel: 2 tasks done\n"), "{done:?}");
        let lines: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["outcome"] == "ok" && line["status"] == "cancelled"), "{lines:?}");
        let again = admin(deployment, &[&all[..], &["--yes"]].concat());
        assert_eq!((again.code, &*again.stdout), (Some(0), ""), "{again:?}");
        assert!(again.stderr.contains("no task matches"), "{again:?}");
        let (lab, office) = (PoolName::new("lab").unwrap(), PoolName::new("office").unwrap());
        assert_eq!(service.queue().stats(&lab).await.unwrap().ready, 0);
        assert_eq!(service.queue().stats(&office).await.unwrap().ready, 1, "the other pool goes on");

        let retried = admin(deployment, &["tasks", "retry", "--all-matching", "--error-code", "scan_timeout", "-y"]);
        assert!(retried.code == Some(0) && retried.stdout.contains("attempt=2"), "{retried:?}");
        assert!(!retried.stdout.contains("get_scan_status") && retried.stdout.contains("nessus-admin tasks show"));
        assert_eq!(service.queue().stats(&lab).await.unwrap().dead, 0);
        assert_eq!(deployment.task(&tasks[2]).status, TaskStatus::Queued);
    }
}

/// One that cannot be changed is told, and holds back no other.
#[tokio::test]
async fn one_task_that_fails_holds_back_no_other() {
    let Waiting { deployment, tasks, .. } = &waiting(false).await;
    let damaged = deployment.data().join("tasks").join(tasks[0].as_str()).join("task.json");
    durable::replace(&damaged, b"{").unwrap();
    let done = admin(deployment, &["tasks", "cancel", "--all-matching", "--owner", "desk", "--yes"]);
    assert!(done.code == Some(1) && done.stderr.contains("1 task was left as it was"), "{done:?}");
    assert!(done.stderr.contains(tasks[0].as_str()), "the task is named: {done:?}");
    assert_eq!(deployment.task(&tasks[1]).status, TaskStatus::Cancelled);
    let told = admin(deployment, &["cancel", tasks[0].as_str(), tasks[3].as_str(), "--json"]);
    let lines: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((told.code, &lines[0]["outcome"], &lines[1]["outcome"]), (Some(1), &json!("failed"), &json!("ok")));
    assert!(lines[0]["error"].is_string() && lines[0]["message"].is_string(), "{lines:?}");
}

#[tokio::test]
async fn tasks_are_held_and_let_go_on() {
    let Waiting { deployment, tasks, .. } = &waiting(false).await;
    data(admin(deployment, &["tasks", "pause", tasks[0].as_str(), "--reason", "later"]));
    assert!(deployment.task(&tasks[0]).pause_request.is_some());
    let resumed = data(admin(deployment, &["tasks", "resume", tasks[0].as_str()]));
    assert!(resumed.contains("nessus-admin tasks show") && !resumed.contains("get_scan"), "{resumed}");
    assert!(deployment.task(&tasks[0]).pause_request.is_none());
}

/// What would be misunderstood is refused before anything is opened.
#[test]
fn orders_that_contradict_themselves_are_usage_errors() {
    let deployment = Deployment::new(SCANNERS);
    for arguments in [
        &["tasks", "cancel"][..],
        &["tasks", "cancel", "x", "--all-matching"],
        &["tasks", "cancel", "x", "--owner", "desk"],
        &["tasks", "cancel", "--all-matching", "--state", "completed"],
        &["tasks", "retry", "--all-matching", "--state", "running"],
        &["tasks", "list", "--state", "lost"],
        &["tasks", "list", "--older-than", "7"],
        &["tasks", "list", "--target", "300.0.0.1/99"],
        &["stop-all"],
        &["stop-all", "--reason", " "],
        &["purge-dlq"],
        &["purge-dlq", "--yes"],
        &["purge-dlq", "--before", "soon"],
        &["purge-dlq", "--before", "2026-01-01", "--older-than", "1d"],
        &["stats", "--all-pools", "--pool", "lab"],
    ] {
        assert_eq!(admin(&deployment, arguments).code, Some(2), "{arguments:?}");
    }
    let aged = admin(&deployment, &["purge-dlq", "--yes"]);
    assert!(aged.stderr.contains("--older-than") && aged.stderr.contains("--before"), "{aged:?}");
}
