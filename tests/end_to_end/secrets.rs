//! Secrets stay where they belong: not in a log at its most talkative, not in a file, not in an answer.

use nessus_mcp_lib::service::ResultsRequest;
use std::time::Duration;

use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{files_below, holds, until},
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use serde_json::{Map, json};

/// Its quote and backslash look different in each kind of text; its beginning is the same in all of them.
const PASSWORD: &str = "correct-horse\"battery\\staple";
const IN_ANY_TEXT: &str = "correct-horse";

const EVERYTHING: [&str; 2] = ["--log-level", "trace"];

/// A log goes to whoever collects logs, a data directory into backups, an answer to a model's provider.
#[tokio::test]
async fn planted_secrets_are_found_nowhere() {
    let config = SimConfig::new().scan_duration(Duration::from_millis(300)).login("gateway", PASSWORD);
    let sim = SimulatedNessus::start_with(config).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let checked = ["--health-check-interval-seconds", "60"];
    // With a policy there is an audit log.
    nessus_mcp_lib::durable::replace(&deployment.path("policy.yaml"), b"deny: [203.0.113.0/24]\n").unwrap();
    let audited = ["--policy-config", "policy.yaml"];
    let site = Site::start_with(sim, deployment, &[EVERYTHING, checked, audited].concat()).await;
    let in_file = ["--log-file", "logs/of-worker.file"];
    let mut worker = site.start_worker(&[EVERYTHING, audited, in_file].concat());
    let task = site.submit("planted", "192.0.2.1").await;
    site.completed(&task, &[&worker]).await;
    // A session that ends and a token that changes are handled by other code than those that last.
    site.sim.drop_sessions();
    let mut secrets = vec![IN_ANY_TEXT.to_owned(), site.sim.api_token(), site.sim.rotate_api_token()];
    let again = site.submit("planted again", "192.0.2.2").await;
    site.completed(&again, &[&worker]).await;
    // The worker logs in twice, the server once.
    let all = || Some(site.sim.session_tokens()).filter(|sessions| sessions.len() >= 3);
    let sessions = until("all have logged in", &[&worker], async || all()).await;
    // What is looked for in the logs is looked for after the last line was written.
    assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
    secrets.extend(sessions);

    let mut places = Vec::new();
    let mut answer = |text: String| places.push(("an answer".to_owned(), text.into_bytes()));
    for tool in ["list_tasks", "list_scanners", "list_pools", "get_pool_status", "get_queue_status", "health_check"] {
        answer(site.client().call(tool, &Map::new()).await.unwrap());
    }
    answer(site.client().call("get_scan_status", &json!({ "task_id": task })).await.unwrap());
    answer(site.client().get_results_lines(&ResultsRequest::everything(task)).await.unwrap());
    for command in [&["stats", "--json"][..], &["list-dlq", "--json"], &["tasks", "show", again.as_str(), "--json"]] {
        let finished = site.deployment.program(binaries::admin(), command).run();
        answer(finished.stdout + &finished.stderr);
    }
    let files = [files_below(&site.deployment.data()), files_below(&site.deployment.logs())].concat();
    let has = |text: &str| files.iter().any(|(_, content)| holds(content, text));
    let of_file = files.iter().find(|(path, _)| path.ends_with("logs/of-worker.file")).map(|(_, content)| content);
    assert!(of_file.is_some_and(|content| holds(content, "logged in") && holds(content, "\"TRACE\"")));
    assert!(has("\"event\":\"exported\"") || has("\"event\": \"exported\""), "the tasks have no events");
    assert!(
        has("logged in") && has("\"TRACE\"") && has("<NessusClientData_v2") && has("\"kind\":\"asked\""),
        "the files are not those expected"
    );
    places.extend(files.into_iter().map(|(path, content)| (path.display().to_string(), content)));
    for (place, content) in &places {
        for secret in &secrets {
            assert!(!holds(content, secret), "{secret:?} stands in {place}");
        }
    }
}

/// A password that is refused is the one most likely to be shown.
#[tokio::test]
async fn a_refused_password_is_not_shown() {
    let sim = SimulatedNessus::start_with(SimConfig::new().login("gateway", "another")).await;
    let scanners = sim.scanners_yaml().replace("\"another\"", &json!(PASSWORD).to_string());
    let site = Site::start_with(sim, Deployment::new(&scanners), &EVERYTHING).await;
    // Without health checks, so that it is the task that meets the refusal.
    let arguments = [&EVERYTHING[..], &["--health-check-interval-seconds", "0"]].concat();
    let mut worker = site.start_worker(&arguments);
    let task = site.submit("refused", "192.0.2.1").await;
    let view = site.ended(&task, &[&worker]).await;
    assert_eq!(view.error_code.as_deref(), Some("scanner_login_refused"));
    assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
    for (path, content) in [files_below(&site.deployment.data()), files_below(&site.deployment.logs())].concat() {
        assert!(!holds(&content, IN_ANY_TEXT), "the password stands in {}", path.display());
    }
}
