//! Scans by the policies that people made on a Nessus, from the tool to what the scanner saw.

use std::time::Duration;

use nessus_mcp_lib::{client::ClientError, ids::TaskId, task::TaskStatus};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::until,
    sim::{Edition, MadeOf, SimConfig, SimulatedNessus},
    site::Site,
};
use rstest::rstest;
use serde_json::{Value, json};

fn quick() -> SimConfig {
    SimConfig::new().scan_duration(Duration::from_millis(300))
}

/// A site whose scanner's entry has more lines, with the policies `Weekly`, `Logs in` and, twice, `Twice`.
async fn start(config: SimConfig, more: &str) -> Site {
    let sim = SimulatedNessus::start_with(config).await;
    sim.add_policy("Weekly");
    sim.add_policy_with_login("Logs in");
    sim.add_policy("Twice");
    sim.add_policy("Twice");
    let deployment = Deployment::new(&format!("{}{more}", sim.scanners_yaml()));
    Site::start_with(sim, deployment, &[]).await
}

async fn call(site: &Site, tool: &str, more: &Value) -> Result<Value, ClientError> {
    let mut arguments = json!({ "targets": "192.0.2.1", "name": "office" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let text = site.client().call(tool, &arguments).await?;
    Ok(serde_json::from_str(&text).unwrap())
}

async fn submit(site: &Site, tool: &str, more: &Value) -> TaskId {
    TaskId::new(call(site, tool, more).await.unwrap()["task_id"].as_str().unwrap()).unwrap()
}

fn made_of(site: &Site, task: &TaskId) -> Option<MadeOf> {
    site.sim.stats().made_of.into_iter().find(|(scan, _)| scan.contains(task.as_str())).map(|(_, made_of)| made_of)
}

#[track_caller]
fn code(refused: Result<Value, ClientError>) -> String {
    match refused {
        Err(ClientError::Tool { code, hint, .. }) => {
            assert!(hint.is_some(), "{code} has no hint");
            code
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_scanner_sees_the_policy_that_was_asked_for() {
    let site = start(quick(), "").await;
    let list = site.client().list_policies(None).await.unwrap();
    let policies = &list.pools[0].policies;
    assert_eq!(
        policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(),
        ["Weekly", "Logs in", "Twice", "Twice"]
    );
    assert!(policies.iter().all(|policy| policy.template.as_deref() == Some("advanced")), "{list:?}");
    let templates: Vec<_> = list.pools[0].templates.iter().map(|template| template.name.as_str()).collect();
    assert!(templates.contains(&"discovery"), "{templates:?}");
    assert!(["custom", "mobile", "asv"].iter().all(|name| !templates.contains(name)), "{templates:?}");
    let id = policies[3].ids.values().next().unwrap();
    let worker = site.start_worker(&[]);
    for (asked, name) in [("Weekly", "Weekly"), (id, "Twice")] {
        let task = submit(&site, "run_untrusted_scan", &json!({ "policy": asked })).await;
        let view = site.completed(&task, &[&worker]).await;
        assert_eq!((view.policy.as_deref(), view.template), (Some(name), None));
        let made_of = made_of(&site, &task).unwrap();
        assert_eq!((made_of.policy.as_deref(), made_of.template.as_str()), (Some(name), "advanced"));
    }
    let task = submit(&site, "run_untrusted_scan", &json!({ "template": "discovery" })).await;
    assert_eq!(site.completed(&task, &[&worker]).await.template.as_deref(), Some("discovery"));
    let made_of = made_of(&site, &task).unwrap();
    assert_eq!((made_of.policy, made_of.template.as_str()), (None, "discovery"));
    site.each_scan_ran_once(3);
}

#[tokio::test]
async fn what_no_scan_can_be_made_of_is_refused_at_the_submit() {
    let site = start(quick(), "    allowed_templates: [basic]\n    allowed_policies: [Weekly, Twice]\n").await;
    let list = site.client().list_policies(None).await.unwrap();
    assert_eq!((list.pools[0].policies.len(), list.pools[0].templates.len()), (3, 1), "{list:?}");
    for (more, expected) in [
        (json!({ "policy": "Wekly" }), "unknown_policy"),
        (json!({ "policy": "Logs in" }), "policy_not_allowed"),
        (json!({ "policy": "Twice" }), "ambiguous_policy"),
        (json!({ "policy": "Weekly", "template": "basic" }), "invalid_argument"),
        (json!({ "template": "discovery" }), "unknown_template"),
    ] {
        assert_eq!(code(call(&site, "run_untrusted_scan", &more).await), expected, "{more}");
        let mut dry = more.clone();
        dry["dry_run"] = json!(true);
        assert_eq!(code(call(&site, "run_untrusted_scan", &dry).await), expected, "{dry}");
    }
    assert_eq!(site.deployment.task_directories(), [""; 0]);
    assert_eq!(site.sim.stats().total_creates, 0);
}

/// Nobody works yet when somebody changes the policy on the scanner.
#[rstest]
#[case::renamed(false, |sim: &SimulatedNessus, id| sim.rename_policy(id, "Monthly"), "unknown_policy")]
#[case::deleted(false, |sim: &SimulatedNessus, id| sim.delete_policy(id), "unknown_policy")]
#[case::renamed_by_id(true, |sim: &SimulatedNessus, id| sim.rename_policy(id, "Monthly"), "policy_renamed")]
#[tokio::test]
async fn a_policy_that_changes_before_the_launch_launches_nothing(
    #[case] by_id: bool,
    #[case] change: fn(&SimulatedNessus, u64),
    #[case] expected: &str,
) {
    let site = start(quick(), "").await;
    let id = site.sim.add_policy("Nightly");
    let asked = if by_id { id.to_string() } else { "Nightly".to_owned() };
    let task = submit(&site, "run_untrusted_scan", &json!({ "policy": asked })).await;
    change(&site.sim, id);
    let worker = site.start_worker(&[]);
    let view = site.ended(&task, &[&worker]).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some(expected)), "{view:?}");
    assert_eq!(site.sim.stats().total_creates, 0);
}

#[tokio::test]
async fn who_logs_in_is_said_by_the_tool_and_not_by_the_policy() {
    let site = start(quick(), "").await;
    let worker = site.start_worker(&[]);
    let login = json!({ "username": "scan", "password": "right" });
    let with_login = |policy: &str| {
        let mut more = login.clone();
        more["policy"] = json!(policy);
        more
    };
    for (tool, more, expected) in [
        ("run_untrusted_scan", json!({ "policy": "Weekly" }), Ok(("not_applicable", 0))),
        ("run_untrusted_scan", json!({ "policy": "Logs in" }), Err("policy_logs_in")),
        ("run_trusted_scan", json!({ "policy": "Weekly" }), Err("policy_without_login")),
        ("run_trusted_scan", json!({ "policy": "Logs in" }), Ok(("success", 0))),
        ("run_trusted_scan", with_login("Weekly"), Ok(("success", 1))),
        ("run_trusted_scan", with_login("Logs in"), Ok(("success", 1))),
    ] {
        let creates = site.sim.stats().total_creates;
        let task = submit(&site, tool, &more).await;
        let view = site.ended(&task, &[&worker]).await;
        match expected {
            Ok((verdict, sent)) => {
                assert_eq!(
                    (view.status, view.authentication_status.as_deref()),
                    (TaskStatus::Completed, Some(verdict)),
                    "{tool} {view:?}"
                );
                let credentials = site.credentials_of(&task);
                assert_eq!(credentials.len(), sent, "{tool} {more}");
                assert!(credentials.iter().all(|sent| sent.removed));
                assert_eq!(made_of(&site, &task).unwrap().policy.as_deref(), more["policy"].as_str());
            }
            Err(code) => {
                assert_eq!(
                    (view.status, view.error_code.as_deref()),
                    (TaskStatus::Failed, Some(code)),
                    "{tool} {view:?}"
                );
                assert_eq!(site.sim.stats().total_creates, creates);
            }
        }
    }
}

#[tokio::test]
async fn a_manager_runs_scans_on_the_scanner_that_is_configured() {
    let site = start(quick().edition(Edition::Manager), "    scanner_id: 2\n").await;
    let list = site.client().list_policies(None).await.unwrap();
    assert!(list.pools[0].templates.iter().any(|template| template.name == "mobile"), "{list:?}");
    let worker = site.start_worker(&[]);
    let task = site.submit("office", "192.0.2.1").await;
    site.completed(&task, &[&worker]).await;
    assert_eq!(made_of(&site, &task).unwrap().scanner_id, 2);
}

#[tokio::test]
async fn a_dry_run_reaches_neither_queue_nor_disk_nor_scanner() {
    let sim = SimulatedNessus::start_with(quick()).await;
    sim.add_policy("Weekly");
    let deployment = Deployment::new(&sim.scanners_yaml());
    let policy = deployment.directory().join("policy.yaml");
    nessus_mcp_lib::durable::replace(&policy, b"allow: [192.0.2.0/24]\ndeny: [192.0.2.7]\n").unwrap();
    let server = deployment.server(binaries::server()).env("POLICY_CONFIG", &policy);
    let site = Site::start_as(sim, deployment, server).await;
    let worker = site.start_worker(&[]);
    let task = site.submit("earlier", "192.0.2.1-192.0.2.3").await;
    site.completed(&task, &[&worker]).await;
    let more = json!({ "policy": "Weekly", "targets": "192.0.2.0/30", "dry_run": true, "idempotency_key": "k" });
    // The server may have looked for workers before there was one.
    let run = until("the server knows of the worker", &[&site.server.process, &worker], async || {
        let run = call(&site, "run_untrusted_scan", &more).await.unwrap();
        (!run["estimated_wait_seconds"].is_null()).then_some(run)
    })
    .await;
    assert_eq!((&run["dry_run"], &run["target_hosts"], &run["policy"]), (&json!(true), &json!(4), &json!("Weekly")));
    assert_eq!(
        run["scope"],
        json!({ "verdict": "allowed", "mode": "enforce", "rules": ["`allow` has `192.0.2.0/24`"] })
    );
    let load =
        json!([{ "scanner_instance": "sim", "active_scans": 0, "max_concurrent_scans": 2, "available_slots": 2 }]);
    assert_eq!((&run["scanners"], &run["estimated_wait_seconds"]), (&load, &json!(0)));
    let last = &run["last_overlapping_scan"];
    assert_eq!((&last["task_id"], &last["status"]), (&json!(task), &json!("completed")));
    let refused = call(&site, "run_untrusted_scan", &json!({ "targets": "192.0.2.6-8", "dry_run": true })).await;
    assert_eq!(code(refused), "out_of_scope");
    assert_eq!(site.deployment.task_directories(), [task.to_string()]);
    site.each_scan_ran_once(1);
}
