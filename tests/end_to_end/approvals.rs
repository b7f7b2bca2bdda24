//! Scans that wait until a person agrees, with real processes, and an agent with a shell as the user of the service.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use nessus_mcp_lib::{durable, ids::TaskId, service::ApprovalView, task::TaskStatus};
use nessus_mcp_tests::{
    approvals::{Approver, every_scan_waits, set_policy, site_of},
    binaries,
    deployment::BY_POLICY,
    processes::{Finished, Process, files_below, holds, until},
    redis::RedisServer,
    site::Site,
};
use serde_json::{Value, json};

fn admin(site: &Site, arguments: &[&str]) -> Finished {
    site.deployment.program(binaries::admin(), arguments).args(BY_POLICY).run()
}

/// Waits until a worker has put so many tasks off.
async fn are_held(site: &Site, count: u64, workers: &[&Process]) {
    until("the tasks are put off", workers, async || {
        let queue = site.client().get_queue_status(None).await.ok()?;
        queue.pools.iter().any(|pool| pool.delayed == count && pool.queued + pool.leased == 0).then_some(())
    })
    .await;
}

fn nothing_was_begun(site: &Site) {
    let stats = site.sim.stats();
    assert_eq!((stats.total_creates, stats.total_launches), (0, 0), "{stats:?}");
}

async fn metric(site: &Site, name: &str) -> String {
    let text = reqwest::get(format!("{}/metrics", site.server.url())).await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or("none").to_owned()
}

async fn metric_is(site: &Site, name: &str, value: &str) {
    until(&format!("{name} is {value}"), &[&site.server.process], async || {
        (metric(site, name).await == value).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_person_looks_at_what_is_asked_for_and_decides() {
    let redis = RedisServer::start();
    for queue in [None, Some(redis.url())] {
        let boss = Approver::new("boss");
        let site = site_of(queue.as_deref(), |deployment| every_scan_waits(deployment, &boss)).await;
        let worker = site.start_worker(&BY_POLICY);
        let arguments = json!({ "name": "wide", "targets": "192.0.2.0/30" });
        let dry: Value = {
            let mut dry = arguments.clone();
            dry["dry_run"] = json!(true);
            serde_json::from_str(&site.client().call("run_untrusted_scan", &dry).await.unwrap()).unwrap()
        };
        assert!(dry["waiting_for"].as_str().unwrap().starts_with("approval (rule `every`)"), "{dry}");
        let answer = site.client().call("run_untrusted_scan", &arguments).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let said = answer["waiting_for"].as_str().unwrap();
        assert!(said.starts_with("approval (rule `every`)") && said.contains("nessus-admin approvals"), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains("waits until a person agrees"), "{answer}");
        let agreed: TaskId = answer["task_id"].as_str().unwrap().parse().unwrap();
        let refused = site.submit("refused", "192.0.2.9").await;
        are_held(&site, 2, &[&worker]).await;
        nothing_was_begun(&site);
        // Whether a worker serves the pool may be said after it, until that worker is heard of.
        let approval = said.split("; no worker").next().unwrap();
        let waiting_for = site.view(&agreed).await.waiting_for;
        assert!(waiting_for.as_deref().is_some_and(|said| said.starts_with(approval)), "{waiting_for:?}");
        let listed = site.client().call("list_tasks", &json!({})).await.unwrap();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert!(listed["tasks"][1]["waiting_for"].as_str().unwrap().starts_with("approval"), "{listed}");
        metric_is(&site, "nessus_approvals_waiting", "2").await;
        assert!(site.server.process.log().contains("a scan waits for a person to agree"));

        // What a person sees.
        let listed = admin(&site, &["approvals", "list"]);
        let lines: Vec<_> = listed.stdout.lines().collect();
        assert!(lines.len() == 2 && listed.stderr.contains("2 scans wait until a person agrees"), "{listed:?}");
        for part in [agreed.as_str(), "untrusted by local", "192.0.2.0/30", "4 hosts", "every", "since", "until"] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
        let listed = admin(&site, &["approvals", "list", "--json"]);
        let views: Vec<ApprovalView> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((views.len(), &views[0].task_id, &views[1].task_id), (2, &agreed, &refused));
        let shown = admin(&site, &["approvals", "show", agreed.as_str()]).stdout;
        for part in [
            "asked for by  local",
            "targets       192.0.2.0/30",
            "hosts         4 hosts",
            "template      basic",
            "login         none",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }

        // One of another digest is not what was looked at.
        let other = boss.deciding(&site.deployment, "approve", &agreed).args(["--digest", "00000000"]).run();
        assert!(other.code == Some(1) && other.stderr.contains("is not what was looked at"), "{other:?}");
        let right =
            boss.deciding(&site.deployment, "approve", &agreed).args(["--digest", &views[0].digest[..12]]).run();
        assert_eq!(right.code, Some(0), "{right:?}");
        assert!(right.stdout.contains("approved; it begins when its turn has come"), "{right:?}");
        site.completed(&agreed, &[&worker]).await;
        let denied = boss.deciding(&site.deployment, "deny", &refused).run();
        assert!(denied.code == Some(0) && denied.stdout.contains("cancelled: denied; it ends"), "{denied:?}");
        let view = site.view(&refused).await;
        assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Cancelled, Some("approval_denied")));
        assert_eq!(view.error_message.as_deref(), Some("`boss` has not agreed to the scan: not this week"));
        site.queue_is_empty(&[&worker]).await;
        site.each_scan_ran_once(1);
        metric_is(&site, "nessus_approvals_waiting", "0").await;
        metric_is(&site, "nessus_approval_decisions_total{outcome=\"approved\"}", "1").await;
        metric_is(&site, "nessus_approval_decisions_total{outcome=\"denied\"}", "1").await;

        // The audit log has who decided, and by which rule.
        let audited: Vec<Value> = files_below(&site.deployment.data().join("audit"))
            .into_iter()
            .flat_map(|(_, content)| String::from_utf8_lossy(&content).lines().map(str::to_owned).collect::<Vec<_>>())
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect();
        for (what, task) in [("approvals approved", &agreed), ("approvals denied", &refused)] {
            let is_it =
                |line: &&Value| line["what"] == what && line["task_id"] == task.as_str() && line["outcome"] == "ok";
            let line = audited.iter().find(is_it).unwrap_or_else(|| panic!("{what}: {audited:#?}"));
            assert_eq!((&line["who"], &line["rule"]), (&json!("boss"), &json!("approvals: every")), "{line}");
        }

        // The token is nowhere but where the person has put it.
        fs::remove_file(boss.token_file(&site.deployment)).unwrap();
        for (file, content) in files_below(site.deployment.directory()) {
            assert!(!holds(&content, boss.token.expose()), "{}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn only_the_right_person_decides_and_proves_it_with_a_token() {
    let [boss, author, low] = ["boss", "author", "low"].map(Approver::new);
    let clients = [boss.entry("approve", ""), author.entry("admin", ", also: [local]"), low.entry("scan", "")];
    let rules = "approvals: [{name: every}]\n";
    let site = site_of(None, |deployment| set_policy(deployment, rules, &clients.concat())).await;
    let worker = site.start_worker(&BY_POLICY);
    let task = site.submit("held", "192.0.2.1").await;
    are_held(&site, 1, &[&worker]).await;
    let says = |finished: &Finished, text: &str| {
        assert!(finished.code == Some(1) && finished.stderr.contains(text), "{text}: {finished:?}");
    };
    says(&author.approve(&site.deployment, &task), "nobody agrees to what they have asked for themselves");
    says(&low.approve(&site.deployment, &task), "its role is `scan`, and `approve` or `admin` is needed");
    says(&Approver::new("nobody").approve(&site.deployment, &task), "no client has this token");
    // Being the user of the service is no proof, and a token in the environment or an argument is none that is looked at.
    let bare = |program: nessus_mcp_tests::processes::Program| program.args(BY_POLICY).run();
    let command = ["approvals", "approve", task.as_str()];
    let token = boss.token.expose();
    let without =
        site.deployment.program(binaries::admin(), &command).env("NESSUS_MCP_TOKEN", token).env("TOKEN", token);
    says(&bare(without), "the token cannot be asked for");
    let as_argument = bare(site.deployment.program(binaries::admin(), &[&command[..], &["--token", token]].concat()));
    assert_eq!(as_argument.code, Some(2), "{as_argument:?}");
    // A file that others may read.
    let file = boss.token_file(&site.deployment);
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let program = site.deployment.program(binaries::admin(), &command).arg("--token-file").arg(&file);
        says(&bare(program), "may be read by others");
    }
    are_held(&site, 1, &[&worker]).await;
    nothing_was_begun(&site);
    assert_eq!(site.deployment.task(&task).approval.unwrap().decision, None);
    assert_eq!(boss.approve(&site.deployment, &task).code, Some(0));
    site.completed(&task, &[&worker]).await;
    says(&boss.approve(&site.deployment, &task), "has ended already");
    site.each_scan_ran_once(1);
}

/// It writes what it likes into the file of its task, puts the task into Redis itself, and calls every tool.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_agent_with_a_shell_as_the_user_of_the_service_begins_nothing() {
    let redis = RedisServer::start();
    let boss = Approver::new("boss");
    let site = site_of(Some(&redis.url()), |deployment| every_scan_waits(deployment, &boss)).await;
    let worker = site.start_worker(&BY_POLICY);
    let (agreed, task) = (site.submit("agreed", "192.0.2.1").await, site.submit("wanted", "192.0.2.2").await);
    are_held(&site, 2, &[&worker]).await;
    let path = |task: &TaskId| site.deployment.data().join("tasks").join(task.as_str()).join("task.json");
    let read = |task: &TaskId| -> Value { serde_json::from_slice(&fs::read(path(task)).unwrap()).unwrap() };
    let write = |document: &Value| durable::replace(&path(&task), document.to_string().as_bytes()).unwrap();
    let enqueue = |document: &Value| {
        let body = json!({ "task_id": task, "payload": document["payload"], "attempt": document["attempt"] });
        redis.ask(&["ZREM", "nessus:queue:later", task.as_str()]);
        redis.ask(&["LPUSH", "nessus:queue", &body.to_string()]).number();
    };
    // A decision of a key that the agent makes for itself, in the name of the boss; then one that was really made, for another.
    let own = Approver::new("boss");
    let other = site_of(None, |deployment| every_scan_waits(deployment, &own)).await;
    let elsewhere = other.submit("elsewhere", "192.0.2.2").await;
    assert_eq!(own.approve(&other.deployment, &elsewhere).code, Some(0));
    let forged = serde_json::to_value(other.deployment.task(&elsewhere).approval.unwrap().decision).unwrap();
    assert_eq!(boss.approve(&site.deployment, &agreed).code, Some(0));
    site.completed(&agreed, &[&worker]).await;
    let replayed = read(&agreed)["approval"].clone();
    let untouched = read(&task);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut document = untouched.clone();
        change(&mut document);
        document
    };
    let attempts = [
        changed(&|document| document["approval"]["decision"] = forged.clone()),
        changed(&|document| document["approval"] = replayed.clone()),
        changed(&|document| document["approval"]["decision"] = replayed["decision"].clone()),
        changed(&|document| _ = document.as_object_mut().unwrap().remove("approval")),
        changed(&|document| document["approval"]["rules"] = json!({})),
        changed(&|document| document["status"] = json!("running")),
        changed(&|document| {
            document["status"] = json!("running");
            document["scanner_instance_id"] = json!("sim");
            document["approval"] = replayed.clone();
        }),
        changed(&|document| document["submitted_by"] = json!("boss")),
        changed(&|document| document["attempt"] = json!(7)),
    ];
    for (number, document) in attempts.iter().enumerate() {
        until("no worker has the task in its hands", &[&worker], async || {
            let queue = site.client().get_queue_status(None).await.ok()?;
            queue.pools.iter().all(|pool| pool.leased == 0).then_some(())
        })
        .await;
        write(document);
        for tool in ["pause_scan", "resume_scan", "retry_scan"] {
            let _ = site.client().call(tool, &json!({ "task_id": task })).await;
        }
        let held_before = worker.log().matches("the task is held back").count();
        until(&format!("attempt {number} is held back"), &[&worker], async || {
            // An entry of a task that a worker has in its hands is thrown away.
            enqueue(document);
            tokio::time::sleep(Duration::from_millis(200)).await;
            (worker.log().matches("the task is held back").count() > held_before).then_some(())
        })
        .await;
        let stats = site.sim.stats();
        assert_eq!((stats.total_creates, stats.total_launches), (1, 1), "attempt {number}: {stats:?}");
    }
    write(&untouched);
    let agreed = boss.approve(&site.deployment, &task);
    assert_eq!(agreed.code, Some(0), "{agreed:?}");
    site.completed(&task, &[&worker]).await;
    site.each_scan_ran_once(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_queue_that_is_lost_while_a_scan_waits_is_rebuilt_and_the_scan_waits_on() {
    let redis = RedisServer::start();
    for queue in [None, Some(redis.url())] {
        let boss = Approver::new("boss");
        let mut site = site_of(queue.as_deref(), |deployment| every_scan_waits(deployment, &boss)).await;
        let task = site.submit("held", "192.0.2.1").await;
        let first = site.start_worker(&BY_POLICY);
        are_held(&site, 1, &[&first]).await;
        if queue.is_some() {
            redis.ask(&["FLUSHALL"]);
        } else {
            site.server.process.kill();
            drop(first);
            for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
                let _ = fs::remove_file(site.deployment.data().join(file));
            }
            site.restart_server_as(|server| server.args(BY_POLICY)).await;
        }
        let second = site.start_worker(&BY_POLICY);
        are_held(&site, 1, &[&second]).await;
        nothing_was_begun(&site);
        assert!(site.view(&task).await.waiting_for.unwrap().starts_with("approval"));
        assert_eq!(boss.approve(&site.deployment, &task).code, Some(0));
        site.completed(&task, &[&second]).await;
        site.each_scan_ran_once(1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_nobody_agrees_to_ends_without_any_worker_and_rules_need_somebody_who_can() {
    let boss = Approver::new("boss");
    let soon = "approvals: [{name: soon, expires_after: 500ms}]\n";
    let site = site_of(None, |deployment| set_policy(deployment, soon, &boss.entry("approve", ""))).await;
    let task = site.submit("held", "192.0.2.1").await;
    // The server ends it by itself, so that a list shows it as well.
    until("the task has ended", &[&site.server.process], async || {
        site.deployment.task(&task).status.is_terminal().then_some(())
    })
    .await;
    let view = site.view(&task).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Cancelled, Some("approval_expired")));
    metric_is(&site, "nessus_approval_decisions_total{outcome=\"expired\"}", "1").await;
    let late = boss.approve(&site.deployment, &task);
    assert!(late.code == Some(1) && late.stderr.contains("has ended already"), "{late:?}");

    set_policy(&site.deployment, soon, &boss.entry("scan", ""));
    for binary in [binaries::server(), binaries::worker()] {
        let subcommand: &[&str] = if binary == binaries::server() { &["serve"] } else { &[] };
        let refused = site.deployment.program(binary, subcommand).args(BY_POLICY).run();
        let said = "policy.yaml:1: `approvals` hold scans to which nobody could agree";
        assert!(refused.code == Some(78) && refused.stderr.contains(said), "{refused:?}");
    }
}
