//! Which machines and processes there are is told to operators, by pages, tools and `/health`, and to nobody else.

use nessus_mcp_lib::{
    ScanService, circuit_breaker::CircuitCommand, config::Settings, ids::InstanceId, policy::new_token, secret::Secret,
};
use nessus_mcp_tests::{approvals::Approver, processes::until, redis::RedisServer};
use serde_json::{Value, json};

use crate::{
    access::{bearer, entry},
    browser::Browser,
    fixture::Fixture,
    markup::text_of,
    ui::{EVERY_PAGE, guarded, submit_as},
};

/// What one who only reads is not told is told to operators.
#[tokio::test]
async fn machines_and_who_did_what_are_shown_to_operators_alone() {
    let (reader, admin, boss) = (new_token(), new_token(), Approver::new("boss"));
    let entries = entry("desk", "scan", &reader, "") + &entry("root", "admin", &admin, "") + &boss.entry("approve", "");
    let fixture = guarded("approvals: [{name: every-scan}]\n", &entries, |program| program);
    let held = submit_as(&fixture, &admin, "held-scan", "lab").await;
    let open = async |token, path: &str| text_of(&Browser::with(&fixture, token).page(path).await);
    let life = format!("/ui/tasks/{held}");
    for (path, shown, told) in [
        ("/ui", "held-scan", "Asked by Login"),
        ("/ui", "alive", "Worker Version"),
        ("/ui", "alive", " pid "),
        (&life, "submitted", " By "),
        (&life, "submitted", " root "),
    ] {
        let to_operator = open(&admin, path).await;
        assert!(to_operator.contains(shown) && to_operator.contains(told), "{told}: {to_operator}");
        let to_reader = open(&reader, path).await;
        assert!(to_reader.contains(shown) && !to_reader.contains(told), "{told}: {to_reader}");
    }
}

/// The tools that tell how the system is, with arguments.
fn inventory() -> [(&'static str, Value); 9] {
    let trial = json!({ "targets": "192.0.2.1", "name": "trial", "scanner_pool": "lab", "dry_run": true });
    [
        ("health_check", json!({})),
        ("list_scanners", json!({})),
        ("list_pools", json!({})),
        ("get_pool_status", json!({})),
        ("get_queue_status", json!({})),
        ("list_policies", json!({})),
        ("list_tasks", json!({})),
        ("list_tasks", json!({ "status": "running" })),
        ("run_untrusted_scan", trial),
    ]
}

/// What these tools, `/health` and these pages tell somebody, by the name of the way.
async fn told(fixture: &Fixture, token: &Secret, tools: &[(&str, Value)], pages: &[&str]) -> Vec<(String, String)> {
    let authorization = bearer(token);
    let mut told = Vec::new();
    for (tool, arguments) in tools.iter().cloned() {
        let answer = fixture.call_with(tool, arguments, &[("authorization", &authorization)]).await;
        told.push((tool.to_owned(), answer.text().to_owned()));
    }
    let health = fixture.get("/health").header("authorization", &authorization).send().await.unwrap();
    told.push(("/health".to_owned(), health.text().await.unwrap()));
    let browser = Browser::with(fixture, token);
    for path in pages {
        told.push(((*path).to_owned(), text_of(&browser.page(path).await)));
    }
    told
}

/// The ways in which one of these texts is told.
fn naming<'a>(told: &'a [(String, String)], names: &[&str]) -> Vec<&'a str> {
    let names_one = |text: &String| names.iter().any(|name| text.contains(name));
    told.iter().filter(|(_, text)| names_one(text)).map(|(way, _)| way.as_str()).collect()
}

#[tokio::test]
async fn processes_are_told_to_operators_alone() {
    let (reader, scanner, admin) = (new_token(), new_token(), new_token());
    let entries = entry("triage", "read", &reader, "")
        + &entry("desk", "scan", &scanner, "")
        + &entry("root", "admin", &admin, "");
    let fixture = guarded("", &entries, |program| program);
    let task = submit_as(&fixture, &scanner, "held", "slow").await;
    // A scanner that is not called: so it is told by whom, and in which process.
    let settings = Settings::new(fixture.deployment.data(), fixture.deployment.scanners_yaml());
    let service = ScanService::open(&settings).await.unwrap().with_actor("ops@desk");
    let mock = InstanceId::new("mock-1").unwrap();
    service.command_circuit_of(&"lab".parse().unwrap(), mock, CircuitCommand::Isolate, "rebuilt").await.unwrap();
    let as_admin = [("authorization", &*bearer(&admin))];
    let listed = async || {
        let answer = fixture.call_with("list_scanners", json!({ "scanner_pool": "lab" }), &as_admin).await;
        let circuit = &answer.ok()["scanners"][0]["circuit"];
        (circuit["processes"][0]["state"] == "isolated").then(|| circuit["processes"][0]["process"].clone())
    };
    let process = until("the worker has isolated the scanner", &[&fixture.server.process], listed).await;
    let process = process.as_str().unwrap();
    let pid = format!("pid {}", fixture.server.process.id());
    // The name is that of the machine, the process and the worker.
    let (host, _) = process.split_once(&pid).unwrap();
    assert!(!host.is_empty() && process.contains(" ("), "{process}");
    let worker = process.split_once(" (").unwrap().1.trim_end_matches(')');
    let names = [process, &pid, worker, "ops@desk"];

    let to_admin = told(&fixture, &admin, &inventory(), &EVERY_PAGE).await;
    let ways = naming(&to_admin, &names);
    let expected = ["health_check", "list_scanners", "get_pool_status", "/health", "/ui"];
    assert!(expected.iter().all(|way| ways.contains(way)), "{ways:?}");
    for token in [&reader, &scanner] {
        let to_other = told(&fixture, token, &inventory(), &EVERY_PAGE).await;
        assert_eq!(naming(&to_other, &names), Vec::<&str>::new(), "{names:?}: {to_other:#?}");
        // They are told that the scanner is not called, and why.
        assert!(naming(&to_other, &["rebuilt"]).contains(&"list_scanners"), "{to_other:#?}");
        assert!(naming(&to_other, &["left_alone"]).contains(&"health_check"), "{to_other:#?}");
        let browser = Browser::with(&fixture, token);
        let life = [("life".to_owned(), text_of(&browser.page(&format!("/ui/tasks/{task}")).await))];
        assert_eq!(naming(&life, &names), Vec::<&str>::new(), "{life:?}");
    }
}

/// Where the queue is, and what is wrong with it, is for operators; that it does not answer, for all.
#[tokio::test]
async fn where_the_queue_is_is_told_to_operators_alone() {
    let mut redis = RedisServer::start();
    let url = redis.url();
    let (reader, admin) = (new_token(), new_token());
    let entries = entry("triage", "read", &reader, "") + &entry("root", "admin", &admin, "");
    let fixture = guarded("", &entries, |program| program.env("QUEUE_URL", &url));
    redis.kill();
    let address = url.strip_prefix("redis://").unwrap();
    // Others wait for the queue before they give up.
    let tools = [("health_check", json!({}))];
    let to_admin = told(&fixture, &admin, &tools, &["/ui"]).await;
    let to_reader = told(&fixture, &reader, &tools, &["/ui"]).await;
    let ways = naming(&to_admin, &[address]);
    assert!(["health_check", "/health", "/ui"].iter().all(|way| ways.contains(way)), "{to_admin:#?}");
    assert_eq!(naming(&to_reader, &[address]), Vec::<&str>::new(), "{to_reader:#?}");
    assert!(naming(&to_reader, &["queue_unavailable", "no_answer"]).contains(&"/health"), "{to_reader:#?}");
}
