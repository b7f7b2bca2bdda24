//! Webhooks that are told what happens to scans, with real processes.

use nessus_mcp_lib::{
    delivery::ping,
    policy::{Policy, Scope},
    task::TaskStatus,
};
use nessus_mcp_tests::{
    approvals::{Approver, set_policy, site_of},
    binaries,
    deployment::BY_POLICY,
    processes::until,
    redis::RedisServer,
    sim::{Certificate, SimConfig, SimulatedNessus},
    webhooks::{KEY, Receiver, entry, write_key},
};
use serde_json::Value;

/// What three scans and a person do is told, and no secret with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_ticket_system_hears_of_scans_that_end_and_wait() {
    let redis = RedisServer::start();
    for queue in [None, Some(redis.url())] {
        let (boss, receiver) = (Approver::new("boss"), Receiver::start().await);
        let rules = format!(
            "approvals: [{{name: wide, expires_after: 1h, when: {{hosts_over: 4}}}}]\n{}",
            entry("tickets", receiver.url())
        );
        let site = site_of(queue.as_deref(), |deployment| {
            write_key(deployment);
            set_policy(deployment, &rules, &boss.entry("approve", ""));
        })
        .await;
        let worker = site.start_worker(&BY_POLICY);
        let completed = site.submit("small", "192.0.2.1").await;
        site.completed(&completed, &[&worker]).await;
        let denied = site.submit("wide", "192.0.2.0/28").await;
        receiver.hears("approval_wanted", &denied, &[&worker]).await;
        assert_eq!(boss.deciding(&site.deployment, "deny", &denied).run().code, Some(0));
        let decided = receiver.hears("approval_decided", &denied, &[&worker]).await;
        assert_eq!((&decided["approval"]["verdict"], &decided["approval"]["by"]), (&"denied".into(), &"boss".into()));
        assert_eq!(decided["approval"]["rules"], serde_json::json!(["wide"]));
        let ended = receiver.hears("cancelled", &denied, &[&worker]).await;
        assert_eq!(ended["error"]["code"], "approval_denied");
        let told = receiver.hears("completed", &completed, &[&worker]).await;
        assert_eq!((&told["version"], &told["webhook"]), (&1.into(), &"tickets".into()));
        assert!(
            told["results"]["hosts"].as_u64() == Some(1) && told["results"]["severity_counts"]["Info"].is_u64(),
            "{told}"
        );
        // The command knows no policy: a worker decides whom to tell.
        let held = site.submit("held", "192.0.2.0/28").await;
        let cancelled = site.deployment.program(binaries::admin(), &["cancel", held.as_str()]).run();
        assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
        receiver.hears("cancelled", &held, &[&worker]).await;
        let delivery = site.deployment.task(&held).deliveries;
        assert!(delivery.iter().all(|delivery| delivery.webhook.as_deref() == Some("tickets")), "{delivery:?}");
        let ids = receiver.ids().await;
        assert!(ids.len() == 6 && ids.values().all(|count| *count == 1), "{ids:?}");
        until("its life shows it", &[&worker], async || {
            let shown = site.deployment.program(binaries::admin(), &["tasks", "show", completed.as_str()]).run();
            assert_eq!(shown.code, Some(0), "{shown:?}");
            shown.stdout.contains("webhook_told").then_some(())
        })
        .await;
        let sent = receiver.everything().await;
        for text in [worker.log(), site.server.process.log(), sent] {
            assert!(!text.contains("planted"), "a secret is shown");
        }
    }
}

/// A receiver that does not answer holds up nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_receiver_that_hangs_holds_up_no_scan() {
    let (boss, receiver) = (Approver::new("boss"), Receiver::hanging().await);
    let site = site_of(None, |deployment| {
        write_key(deployment);
        set_policy(deployment, &entry("tickets", receiver.url()), &boss.entry("approve", ""));
    })
    .await;
    let worker = site.start_worker(&BY_POLICY);
    let mut tasks = Vec::new();
    for number in 1..=4 {
        tasks.push(site.submit(&format!("scan {number}"), "192.0.2.1").await);
    }
    for task in &tasks {
        assert_eq!(site.completed(task, &[&worker]).await.status, TaskStatus::Completed);
    }
    site.queue_is_empty(&[&worker]).await;
    let told = tasks.iter().flat_map(|task| site.deployment.task(task).deliveries);
    assert!(told.into_iter().all(|delivery| delivery.is_pending()));
    let mut worker = worker;
    assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
}

#[tokio::test]
async fn a_certificate_that_nobody_should_believe_is_said() {
    for (kind, expected) in [
        (Certificate::Expired, Some("has expired")),
        (Certificate::WrongHost, Some("is refused")),
        (Certificate::Sound, None),
    ] {
        let sim = SimulatedNessus::start_with(SimConfig::new().certificate(kind)).await;
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        nessus_mcp_lib::durable::replace(&ca, sim.certificate_pem().unwrap().as_bytes()).unwrap();
        let text = format!(
            "webhooks: [{{name: a, url: \"{}/hooks/planted\", secret_env: K, allow_private: true, ca_file: ca.pem}}]",
            sim.url()
        );
        let policy = Policy::parse(&text, &directory.path().join("policy.yaml"), &|_| Some(KEY.to_owned())).unwrap();
        let scope = Scope::new(policy);
        let policy = scope.policy();
        let said = ping(&policy.webhooks()[0], &scope).await.unwrap_err().to_string();
        match expected {
            Some(expected) => {
                assert!(said.contains("the certificate of https://127.0.0.1") && said.contains(expected), "{said}");
            }
            // It has no such page, which it says behind a certificate that is trusted.
            None => assert!(said.contains("HTTP 404"), "{said}"),
        }
        assert!(!said.contains("planted"), "{said}");
    }
}

/// What an operator sees and does.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_operator_tests_webhooks_and_tries_again_what_was_given_up() {
    let (boss, receiver) = (Approver::new("boss"), Receiver::answering(410).await);
    let site = site_of(None, |deployment| {
        let rules = entry("tickets", receiver.url());
        write_key(deployment);
        set_policy(deployment, &rules, &boss.entry("approve", ""));
    })
    .await;
    let admin = |arguments: &[&str]| site.deployment.program(binaries::admin(), arguments).args(BY_POLICY).run();
    let tested = admin(&["webhooks", "test", "tickets"]);
    assert!(tested.code == Some(78) && tested.stderr.contains("answers with HTTP 410"), "{tested:?}");
    let unknown = admin(&["webhooks", "test", "ticket"]);
    assert!(
        unknown.code == Some(1) && unknown.stderr.contains("there is no webhook `ticket`; did you mean `tickets`?"),
        "{unknown:?}"
    );
    let worker = site.start_worker(&BY_POLICY);
    let task = site.submit("small", "192.0.2.1").await;
    site.completed(&task, &[&worker]).await;
    let given_up = until("it is given up", &[&worker], async || {
        let listed = site.deployment.program(binaries::admin(), &["list-dlq", "--pool", ".webhooks", "--json"]).run();
        let letter: Option<Value> = listed.stdout.lines().next().map(|line| serde_json::from_str(line).unwrap());
        letter
    })
    .await;
    assert_eq!((&given_up["task_id"], &given_up["error_code"]), (&task.as_str().into(), &"webhook_failed".into()));
    let listed = admin(&["webhooks", "list", "--json"]);
    let view: Value = serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&view["waiting"], &view["dead"]), (&0.into(), &1.into()), "{listed:?}");
    let hook = &view["webhooks"][0];
    assert_eq!((&hook["name"], &hook["key"], &hook["clients"]), (&"tickets".into(), &true.into(), &Value::Null));
    assert!(!listed.stdout.contains("planted"), "{listed:?}");
    receiver.answers(204).await;
    let retried = site.deployment.program(binaries::admin(), &["webhooks", "retry", task.as_str()]).run();
    assert!(retried.code == Some(0) && retried.stdout.contains("1 delivery is tried again"), "{retried:?}");
    receiver.hears("completed", &task, &[&worker]).await;
    let again = site.deployment.program(binaries::admin(), &["webhooks", "retry", task.as_str()]).run();
    assert!(again.code == Some(1) && again.stderr.contains("no webhook was given up"), "{again:?}");
    let tested = admin(&["webhooks", "test", "tickets"]);
    assert!(tested.code == Some(0) && tested.stdout.contains("has taken the event ping (HTTP 204)"), "{tested:?}");
}

/// A key that is missing stops a worker before anything is made, and an operator's command not at all.
#[tokio::test]
async fn a_key_that_is_missing_stops_a_worker_only() {
    let (boss, receiver) = (Approver::new("boss"), Receiver::start().await);
    let site = site_of(None, |deployment| {
        let hook = entry("tickets", receiver.url()).replace("secret_file: webhook.key", "secret_env: NOT_SET");
        set_policy(deployment, &hook, &boss.entry("approve", ""));
    })
    .await;
    let worker = site.deployment.program(binaries::worker(), &BY_POLICY).run();
    assert_eq!(worker.code, Some(78), "{worker:?}");
    assert!(
        worker.stderr.contains("`webhooks[0].secret_env` names the environment variable `NOT_SET`, which is not set"),
        "{worker:?}"
    );
    let listed = site.deployment.program(binaries::admin(), &["approvals", "list"]).args(BY_POLICY).run();
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let listed = site.deployment.program(binaries::admin(), &["webhooks", "list"]).args(BY_POLICY).run();
    assert!(listed.code == Some(0) && listed.stdout.contains("NOT_SET"), "{listed:?}");
}
