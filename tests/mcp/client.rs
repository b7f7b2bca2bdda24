//! The typed client against the real server, over HTTP and over stdio.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Cursor,
    process::Command,
    time::Duration,
};

use nessus_mcp_lib::{
    JsonNlConverter,
    client::{ClientError, Endpoint, ListTasks, NessusMcpClient, WaitOptions, Waited},
    credentials::Login,
    durable,
    error::Classified as _,
    ids::TaskId,
    results::{Finding, GroupBy, GroupSort, Profile, Query, RecordKind, ResultsPage, SummarySection},
    secret::Secret,
    service::{
        ControlView, DryRunView, IdempotencyKey, PoliciesView, PoolStatusView, PoolsView, QueueView, ResultsRequest,
        ScannersView, Submission, SubmitRequest, TaskComparison, TaskListView, TaskSummaryView, TaskView,
    },
    task::TaskStatus,
    telemetry::HealthReport,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::fixture::Fixture;
use nessus_mcp_tests::processes::until;

const LOCKED_KEY: &str = include_str!("../../fixtures/ssh_keys/ed25519_locked");
const PHRASE: &str = "open sesame";
const SERVER: &str = env!("CARGO_BIN_EXE_nessus-mcp-server");
/// Far more than a page of 4,000 characters.
const MANY: usize = 700;

fn options() -> WaitOptions {
    WaitOptions::new(Duration::from_secs(120)).with_outage(Duration::from_secs(60))
}

fn scan(name: &str, pool: &str) -> SubmitRequest {
    let mut request = SubmitRequest::untrusted(name, "192.0.2.1-192.0.2.3");
    request.pool = Some(pool.to_owned());
    request
}

/// An export with so many findings.
fn export(findings: usize) -> String {
    let item = |number: usize| {
        let (severity, port) = (number % 5, 1 + number % 60_000);
        format!(
            r#"<ReportItem severity="{severity}" pluginID="{number}" port="{port}" protocol="tcp" svc_name="www" pluginName="p{number}" pluginFamily="General"><synopsis>é "{number}"</synopsis></ReportItem>"#
        )
    };
    let items: String = (1..=findings).map(item).collect();
    format!(
        r#"<?xml version="1.0" ?><NessusClientData_v2><Report name="r"><ReportHost name="192.0.2.1"><HostProperties></HostProperties>{items}</ReportHost></Report></NessusClientData_v2>"#
    )
}

/// Puts another export in the place of that of a task.
fn replace_export(fixture: &Fixture, task: &TaskId, export: &str) {
    let directory = fixture.deployment.data().join("tasks").join(task.as_str());
    durable::replace(&directory.join("scan_native.nessus"), export.as_bytes()).unwrap();
    let _ = std::fs::remove_file(directory.join("scan_native.idx"));
}

async fn completed(client: &NessusMcpClient) -> TaskId {
    let ended = client.scan_and_wait(&scan("office", "lab"), &options(), |_| {}).await.unwrap().ended().unwrap();
    assert_eq!(ended.status, TaskStatus::Completed);
    ended.task_id
}

#[tokio::test]
async fn findings_come_from_all_pages_each_once_and_in_order() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let task = completed(&client).await;
    let export = export(MANY);
    replace_export(&fixture, &task, &export);
    let mut expected = Vec::new();
    JsonNlConverter::new(Query::default()).convert(Cursor::new(&export), &mut expected).unwrap();
    let expected: ResultsPage = String::from_utf8(expected).unwrap().parse().unwrap();
    assert_eq!(expected.findings.len(), MANY);
    for (page_size, max_chars) in [(None, None), (Some(10), None), (Some(100), Some(4_000))] {
        let mut request = ResultsRequest::new(task.clone());
        (request.page_size, request.max_chars) = (page_size, max_chars);
        if max_chars.is_some() {
            let page = client.get_results(&request).await.unwrap();
            assert!(page.pagination.unwrap().truncated && page.findings.len() < 100);
        }
        let read: Vec<Finding> = client.findings(request).collect().await.unwrap();
        assert!(read == expected.findings, "{page_size:?} {max_chars:?}: {} findings", read.len());
    }
    let critical = client.get_critical_vulnerabilities(&task).await.unwrap();
    let counts = client.get_vulnerability_summary(&task).await.unwrap();
    assert_eq!((critical.len(), counts.critical, counts.info), (MANY / 5, 140, 140));
}

#[tokio::test]
async fn results_that_change_between_pages_are_an_error_and_no_mixture() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let task = completed(&client).await;
    replace_export(&fixture, &task, &export(MANY));
    let mut request = ResultsRequest::new(task.clone());
    request.page_size = Some(10);
    let mut findings = client.findings(request);
    for _ in 0..10 {
        findings.next().await.unwrap().unwrap();
    }
    replace_export(&fixture, &task, &export(MANY + 1));
    let changed = findings.next().await.unwrap().unwrap_err();
    assert!(matches!(&changed, ClientError::ResultsChanged { task_id } if *task_id == task), "{changed:?}");
    assert!(findings.next().await.is_none());
    let mut counting = ResultsRequest::new(task);
    counting.count_only = true;
    let refused = client.findings(counting).next().await.unwrap().unwrap_err();
    assert!(matches!(refused, ClientError::Arguments { .. }), "{refused:?}");
}

#[tokio::test]
async fn every_tool_can_be_called_and_its_answer_read() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.ping().await.unwrap();
    let (first, second) = (completed(&client).await, completed(&client).await);
    assert_eq!(client.check_scan(&scan("x", "lab")).await.unwrap().target_hosts, 3);
    assert!(!client.get_scan_summary(&first, &[], None).await.unwrap().targets.is_empty());
    assert_eq!(client.compare_scans(&first, &second, None).await.unwrap().diff.new.total, 0);
    assert_eq!(client.list_tasks(&ListTasks::default()).await.unwrap().total, 2);
    assert_eq!(client.list_scanners(Some("slow")).await.unwrap().total, 1);
    assert_eq!(client.list_pools().await.unwrap().pools.len(), 2);
    assert!(!client.list_policies(Some("lab")).await.unwrap().pools.is_empty());
    client.get_pool_status(None).await.unwrap();
    client.get_queue_status(Some("slow")).await.unwrap();
    assert!(client.health_check().await.unwrap().checks.contains_key("queue"));
    let mut groups = ResultsRequest::new(first);
    groups.group_by = Some((GroupBy::Host, GroupSort::WORST));
    assert_eq!(client.get_results(&groups).await.unwrap().groups.len(), 3);

    let slow = client.submit_scan(&scan("slow", "slow")).await.unwrap().task_id;
    client.pause_scan(&slow, Some("wrong day")).await.unwrap();
    let mut seen = Vec::new();
    let a_second = WaitOptions::new(Duration::from_secs(1));
    let waited = client.wait_for_completion(&slow, &a_second, |view| {
        // Why it waits, while it has no scan yet; that it is paused, always.
        seen.push(view.pause.is_some());
    });
    assert!(matches!(waited.await.unwrap(), Waited::Unfinished(view) if view.pause.is_some()));
    assert!(seen.contains(&true), "{seen:?}");
    client.resume_scan(&slow).await.unwrap();
    let not_failed = client.retry_scan(&slow).await.unwrap_err();
    assert_eq!(not_failed.tool_code(), Some("not_retryable"));
    client.cancel_scan(&slow, None).await.unwrap();
    let ended = client.wait_for_completion(&slow, &options(), |_| {}).await.unwrap().ended().unwrap();
    assert_eq!(ended.status, TaskStatus::Cancelled);
}

/// What a tool answers is read and written again: with all it says, and with what a newer server might say beside it.
async fn round_trip<T: Serialize + DeserializeOwned>(client: &NessusMcpClient, tool: &str, arguments: Value) {
    let answer = client.call(tool, &arguments).await.unwrap();
    let mut answer: Value = serde_json::from_str(&answer).unwrap();
    let view: T = serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{tool}: {error}\n{answer}"));
    assert_eq!(serde_json::to_value(&view).unwrap(), answer, "{tool}");
    answer["of_a_newer_server"] = json!({ "a": [1] });
    assert!(serde_json::from_value::<T>(answer).is_ok(), "{tool}");
}

#[tokio::test]
async fn every_view_is_read_as_it_was_written() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let (first, second) = (completed(&client).await, completed(&client).await);
    let office = include_str!("../../fixtures/exports/office.nessus");
    let later = include_str!("../../fixtures/exports/office_later.nessus");
    replace_export(&fixture, &first, office);
    replace_export(&fixture, &second, later);
    let slow = client.submit_scan(&scan("slow", "slow")).await.unwrap().task_id;
    let scan = json!({ "name": "x", "targets": "192.0.2.1", "scanner_pool": "slow" });
    let mut dry = scan.clone();
    dry["dry_run"] = json!(true);
    let of = |task: &TaskId| json!({ "task_id": task });
    round_trip::<Submission>(&client, "run_untrusted_scan", scan).await;
    round_trip::<DryRunView>(&client, "run_untrusted_scan", dry).await;
    for task in [&first, &slow] {
        round_trip::<TaskView>(&client, "get_scan_status", of(task)).await;
    }
    for task in [&first, &second] {
        round_trip::<TaskSummaryView>(&client, "get_scan_summary", of(task)).await;
    }
    let compared = json!({ "before_task_id": first, "after_task_id": second });
    round_trip::<TaskComparison>(&client, "compare_scans", compared).await;
    replace_export(&fixture, &second, include_str!("../../fixtures/exports/compliance.nessus"));
    round_trip::<TaskSummaryView>(&client, "get_scan_summary", of(&second)).await;
    round_trip::<TaskListView>(&client, "list_tasks", json!({ "limit": 2 })).await;
    round_trip::<ScannersView>(&client, "list_scanners", json!({})).await;
    round_trip::<PoolsView>(&client, "list_pools", json!({})).await;
    round_trip::<PoliciesView>(&client, "list_policies", json!({})).await;
    round_trip::<PoolStatusView>(&client, "get_pool_status", json!({ "scanner_pool": "slow" })).await;
    round_trip::<QueueView>(&client, "get_queue_status", json!({})).await;
    round_trip::<HealthReport>(&client, "health_check", json!({})).await;
    round_trip::<ControlView>(&client, "pause_scan", of(&slow)).await;
    round_trip::<TaskView>(&client, "get_scan_status", of(&slow)).await;
    round_trip::<ControlView>(&client, "cancel_scan", of(&slow)).await;
}

/// The names of all arguments in a schema.
fn names(schema: &serde_json::Map<String, Value>) -> BTreeSet<String> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|all| all.keys().cloned()).collect()
}

#[tokio::test]
async fn every_argument_of_every_tool_can_be_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    durable::replace(&path("scanners.yaml"), crate::fixture::SCANNERS.as_bytes()).unwrap();
    // The real server, with a record of what it is sent.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "tee \"$0\" | \"$@\""]).arg(path("requests")).args([SERVER, "stdio", "--log-level", "error"]);
    command.arg("--data-dir").arg(path("data")).arg("--scanner-config").arg(path("scanners.yaml"));
    let client = NessusMcpClient::spawn(command).await.unwrap();
    let tools = client.list_tools().await.unwrap();

    let text = |text: &str| Some(text.to_owned());
    let logins = [
        json!({ "username": "u", "password": "p", "elevate_privileges_with": "su+sudo", "escalation_account": "root",
                "escalation_password": "e", "su_user": "s", "bin_directory": "/usr/bin" }),
        json!({ "username": "u", "private_key": LOCKED_KEY, "private_key_passphrase": PHRASE }),
        json!({ "kind": "windows", "username": "u", "password": "p", "domain": "d" }),
    ];
    let mut given = vec![Login::Stored("id".to_owned())];
    for fields in &logins {
        let fields: nessus_mcp_lib::scanner::LoginFields = serde_json::from_value(fields.clone()).unwrap();
        given.push(Login::Inline(fields.into_credential().unwrap()));
    }
    for login in given {
        let trusted = SubmitRequest::trusted("x", "192.0.2.1", login.clone());
        let privileged = SubmitRequest::privileged("x", "192.0.2.1", login);
        for mut request in [scan("x", "lab"), trusted, privileged] {
            (request.pool, request.instance, request.description) = (text("lab"), text("mock-1"), "d".to_owned());
            (request.schema_profile, request.template, request.policy) =
                (Some(Profile::Full), text("basic"), text("p"));
            request.idempotency_key = Some(IdempotencyKey::new("k").unwrap());
            let _ = client.check_scan(&request).await;
        }
    }
    let task = TaskId::new("ne_ness_20261128_143022_a1b2c3d4").unwrap();
    let mut results = ResultsRequest::new(task.clone());
    (results.kind, results.group_by) = (Some(RecordKind::Compliance), Some((GroupBy::Host, GroupSort::WORST)));
    (results.page, results.page_size, results.max_chars) = (Some(1), Some(10), Some(4_000));
    (results.schema_profile, results.custom_fields) = (Some(Profile::Full), Some(vec!["host".to_owned()]));
    (results.extra_fields, results.cursor, results.count_only) = (vec!["port".to_owned()], text("c"), true);
    results.whole_metadata = Some(false);
    results.filters = r#"{"port": 80}"#.parse().unwrap();
    let _ = client.get_results(&results).await;
    let _ = client.get_status_change(&task, 0).await;
    let _ = client.get_scan_summary(&task, &SummarySection::ALL, Some(5_000)).await;
    let _ = client.compare_scans(&task, &task, Some(5_000)).await;
    let mut list = ListTasks::default();
    (list.status, list.scanner_pool, list.targets, list.name) =
        (text("failed"), text("lab"), text("192.0.2.1"), text("n"));
    (list.created_from, list.created_before, list.limit, list.cursor) =
        (text("2026-01-01"), text("2026-02-01"), Some(5), text("c"));
    let _ = client.list_tasks(&list).await;
    let _ = client.cancel_scan(&task, Some("r")).await;
    let _ = client.pause_scan(&task, Some("r")).await;
    let _ = client.resume_scan(&task).await;
    let _ = client.retry_scan(&task).await;
    let _ = (client.list_scanners(Some("lab")).await, client.list_policies(Some("lab")).await);
    let _ = (client.get_pool_status(Some("lab")).await, client.get_queue_status(Some("lab")).await);
    client.list_pools().await.unwrap();
    client.health_check().await.unwrap();
    client.close().await;

    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(path("requests")).unwrap().lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        if request["method"] == "tools/call" {
            let arguments = request["params"]["arguments"].as_object().unwrap();
            let tool = request["params"]["name"].as_str().unwrap().to_owned();
            said.entry(tool).or_default().extend(arguments.keys().cloned());
        }
    }
    for tool in tools {
        let all = names(&tool.input_schema);
        let said = said.remove(&tool.name).unwrap_or_default();
        let unsaid: Vec<_> = all.difference(&said).collect();
        assert!(unsaid.is_empty(), "{}: {unsaid:?} cannot be said", tool.name);
        // A login has more fields than a tool takes that wants another kind of login: the server refuses those.
        assert!(tool.name.starts_with("run_") || said.is_subset(&all), "{}: {said:?}", tool.name);
    }
    assert!(said.is_empty(), "{said:?}");
}

/// A server of its own over stdio, with a worker.
fn stdio(directory: &std::path::Path) -> Command {
    let scanners = directory.join("scanners.yaml");
    durable::replace(&scanners, crate::fixture::SCANNERS.as_bytes()).unwrap();
    let mut command = Command::new(SERVER);
    command.args(["stdio", "--with-worker", "--poll-interval-seconds", "50ms", "--log-level", "error"]);
    command.arg("--data-dir").arg(directory.join("data")).arg("--scanner-config").arg(scanners);
    command
}

fn is_alive(process: u32) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

#[tokio::test]
async fn a_server_of_its_own_scans_and_ends_with_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let client = NessusMcpClient::spawn(stdio(directory.path())).await.unwrap();
    client.ping().await.unwrap();
    let task = completed(&client).await;
    let all = client.findings(ResultsRequest::new(task)).collect().await.unwrap();
    assert!(!all.is_empty());
    let process = client.process_id().unwrap();
    assert!(is_alive(process));
    client.close().await;
    assert!(!is_alive(process), "close waits for the end");

    let client = NessusMcpClient::spawn(stdio(directory.path())).await.unwrap();
    let process = client.process_id().unwrap();
    drop(client);
    assert!(!is_alive(process), "drop kills and waits");

    let client = NessusMcpClient::spawn(stdio(directory.path())).await.unwrap();
    let process = client.process_id().unwrap();
    let killed = Command::new("/bin/kill").args(["-9", &process.to_string()]).status().unwrap();
    assert!(killed.success());
    let gone = until("the client notices", &[], async || client.ping().await.err()).await;
    assert!(matches!(gone, ClientError::Transport(_)) && gone.is_passing(), "{gone:?}");

    let missing = NessusMcpClient::spawn(Command::new("/nonexistent/server")).await.unwrap_err();
    assert!(matches!(missing, ClientError::Start { .. }), "{missing:?}");
    let ends = NessusMcpClient::spawn(Command::new("/bin/true")).await.unwrap_err();
    assert!(matches!(ends, ClientError::Transport(_)), "{ends:?}");
}

#[tokio::test]
async fn waiting_survives_a_server_that_is_killed_and_started_again() {
    let mut fixture = Fixture::start();
    let client = fixture.client().await;
    let slow = client.submit_scan(&scan("slow", "slow")).await.unwrap().task_id;
    let address = fixture.address().to_owned();
    let (told, mut news) = tokio::sync::mpsc::unbounded_channel();
    let (task, options) = (slow.clone(), options());
    let waiting = tokio::spawn(async move {
        let waited = client
            .wait_for_completion(&task, &options, |view| {
                let _ = told.send(view.status);
            })
            .await;
        (waited, client)
    });
    news.recv().await.unwrap();
    fixture.server.process.kill();
    let binary = std::path::Path::new(SERVER);
    let program = fixture.deployment.program(binary, &["serve"]).args(["--mcp-bind", &address, "--with-worker"]);
    fixture.server = fixture.deployment.serve(&program);
    fixture.client().await.cancel_scan(&slow, None).await.unwrap();
    let (waited, client) = waiting.await.unwrap();
    assert_eq!(waited.unwrap().ended().unwrap().status, TaskStatus::Cancelled);

    fixture.server.process.kill();
    let short = WaitOptions::new(Duration::from_secs(60)).with_outage(Duration::from_millis(300));
    let given_up = client.wait_for_completion(&slow, &short, |_| {}).await.unwrap_err();
    assert!(matches!(given_up, ClientError::Transport(_)), "{given_up:?}");
    let again = NessusMcpClient::connect(fixture.server.mcp()).await.unwrap_err();
    assert!(matches!(again, ClientError::Transport(_)), "{again:?}");
}

#[tokio::test]
async fn errors_are_told_apart_and_show_no_secret() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let task = TaskId::new("ne_ness_20261128_143022_a1b2c3d4").unwrap();
    let unknown = client.wait_for_completion(&task, &options(), |_| {}).await.unwrap_err();
    let ClientError::Tool { code, message, hint, .. } = &unknown else { panic!("{unknown:?}") };
    assert!(code == "task_not_found" && !message.is_empty() && hint.is_some() && !unknown.is_passing(), "{unknown:?}");
    let protocol = client.call("no_such_tool", &json!({})).await.unwrap_err();
    assert!(matches!(protocol, ClientError::Protocol { code: Some(_), .. }), "{protocol:?}");
    assert!(matches!(client.call("list_pools", &1).await.unwrap_err(), ClientError::Arguments { .. }));

    let slow = client.submit_scan(&scan("slow", "slow")).await.unwrap().task_id;
    let impatient = Endpoint::new(fixture.server.mcp()).with_call_timeout(Duration::from_millis(700));
    let impatient = NessusMcpClient::connect(impatient).await.unwrap();
    let mut late = impatient.get_status_change(&slow, 45).await;
    while late.is_ok() {
        late = impatient.get_status_change(&slow, 45).await;
    }
    let late = late.unwrap_err();
    assert!(matches!(late, ClientError::Timeout { .. }) && late.is_passing(), "{late:?}");

    let planted = "planted-token";
    let token = Secret::new(planted);
    // Answers of servers and proxies that refuse.
    for (status, is_it) in [
        ("401 Unauthorized", (|error| matches!(error, ClientError::Unauthorized)) as fn(&ClientError) -> bool),
        ("403 Forbidden", |error| matches!(error, ClientError::Forbidden(_))),
        ("503 Service Unavailable", |error| matches!(error, ClientError::Http { status: 503, .. })),
        ("418 Teapot", |error| matches!(error, ClientError::Http { status: 418, .. })),
        ("200 OK", |error| matches!(error, ClientError::Protocol { .. })),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:{planted}@{}/mcp?key={planted}", listener.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let mut request = [0; 8192];
                let _ = stream.read(&mut request).await;
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let endpoint = Endpoint::new(url).with_token(token.clone());
        assert!(!format!("{endpoint:?}").contains(planted));
        let error = NessusMcpClient::connect(endpoint).await.unwrap_err();
        assert!(is_it(&error), "{status}: {error:?}");
        assert!(!format!("{error:?} {error} {:?}", error.hint()).contains(planted), "{error:?}");
        answering.abort();
    }
    let refused = NessusMcpClient::connect(format!("http://user:{planted}@127.0.0.1:1/mcp?key={planted}"));
    let refused = refused.await.unwrap_err();
    assert!(matches!(refused, ClientError::Transport(_)), "{refused:?}");
    assert!(!format!("{refused:?} {refused}").contains(planted), "{refused:?}");
    for url in ["", "ftp://127.0.0.1/mcp", "127.0.0.1:8835"] {
        let error = NessusMcpClient::connect(url).await.unwrap_err();
        assert!(matches!(error, ClientError::Endpoint { .. }), "{url}: {error:?}");
    }
    for token in ["", "with space", "two\nlines"] {
        let endpoint = Endpoint::new(fixture.server.mcp()).with_token(Secret::new(token));
        assert!(matches!(NessusMcpClient::connect(endpoint).await.unwrap_err(), ClientError::Endpoint { .. }));
    }
    assert!(!format!("{client:?}").contains("Secret"));
    let login =
        Login::Inline(nessus_mcp_lib::scanner::ScanCredential::Ssh(nessus_mcp_lib::scanner::SshCredential::new(
            "u",
            nessus_mcp_lib::scanner::SshLogin::Password(Secret::new(planted)),
        )));
    let request = SubmitRequest::trusted("", "192.0.2.1", login);
    let refused = client.submit_scan(&request).await.unwrap_err();
    assert!(!format!("{request:?} {refused:?} {refused}").contains(planted), "{refused:?}");
}
