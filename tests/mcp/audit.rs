//! What stands in the audit log of a server, and what happens where it cannot be written.

use std::{collections::BTreeSet, fs, io::Write as _, os::unix::fs::symlink, path::PathBuf};

use nessus_mcp_lib::{
    audit::{ChainKey, ChainReport, Decision, Kind, Line, Progress, Search, digest, search, verify},
    config::SecretKey,
    durable, fail_points,
    policy::{TokenHash, new_token},
    secret::Secret,
};
use nessus_mcp_tests::{
    deployment::Deployment,
    processes::{Program, files_below, holds, until},
};
use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture, task_id};

const KEY: &str = "5ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4";

struct Audited {
    fixture: Fixture,
    reader: Secret,
    scanner: Secret,
}

impl Audited {
    fn start(prepare: impl FnOnce(&Deployment), change: impl FnOnce(Program) -> Program) -> Self {
        let (reader, scanner) = (new_token(), new_token());
        let entry = |name: &str, role: &str, token: &Secret| {
            format!("  - {{name: {name}, role: {role}, token_sha256: {}}}\n", TokenHash::of(token.expose()))
        };
        let clients = [entry("triage", "read", &reader), entry("desk@example", "scan", &scanner)];
        let policy = format!("deny: [192.0.2.66]\nclients:\n{}", clients.concat());
        let fixture = Fixture::start_prepared(
            |deployment| {
                durable::replace(&deployment.path("policy.yaml"), policy.as_bytes()).unwrap();
                prepare(deployment);
            },
            |program| change(program.args(["--policy-config", "policy.yaml"]).env("NESSUS_MCP_SECRET_KEY", KEY)),
        );
        Self { fixture, reader, scanner }
    }

    fn directory(&self) -> PathBuf {
        self.fixture.deployment.data().join("audit")
    }

    async fn call(&self, token: &Secret, tool: &str, arguments: Value) -> Answer {
        let authorization = format!("Bearer {}", token.expose());
        self.fixture.call_with(tool, arguments, &[("authorization", &authorization), ("x-trace-id", tool)]).await
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let found = search(&self.directory(), &Search::default(), &mut Progress::default(), |found| {
            lines.push(found.line);
        });
        assert_eq!(found.unwrap(), 0);
        lines
    }

    fn verify(&self) -> ChainReport {
        let report =
            verify(&self.directory(), &[ChainKey::new(&SecretKey::new(KEY).unwrap())], None).unwrap().remove(0);
        assert_eq!(report.broken, None, "{report:?}");
        report
    }

    /// The first line of which `is_wanted` is true, as soon as it is there.
    async fn line(&self, what: &str, is_wanted: impl Fn(&Line) -> bool) -> Line {
        until(what, &[&self.fixture.server.process], async || self.lines().into_iter().find(&is_wanted)).await
    }
}

/// A page that a person reads is a read like any other.
#[tokio::test]
async fn each_page_has_a_line() {
    let audited = Audited::start(|_| {}, |program| program);
    let task = "mo_lab_20200101_000000_00000000";
    for path in ["/ui/tasks?name=planted", &format!("/ui/tasks/{task}")] {
        let request = audited.fixture.get(path).basic_auth("me", Some(audited.reader.expose()));
        request.header("x-trace-id", "of-a-page").send().await.unwrap();
    }
    for (page, outcome, arguments, of) in [
        ("ui/tasks", "ok", json!({ "name": "planted" }), None),
        ("ui/task", "task_not_found", json!({ "task_id": task }), Some(task)),
    ] {
        let event = audited.line(page, |line| line.event.what == page).await.event;
        assert_eq!((event.who.name.as_deref(), event.rule.as_deref()), (Some("triage"), Some("role read")));
        assert_eq!((event.outcome.as_deref(), event.task_id.as_deref()), (Some(outcome), of));
        assert_eq!((event.arguments, event.trace_id.as_deref()), (Some(digest(&arguments)), Some("of-a-page")));
        assert!(event.who.from.is_some());
    }
    audited.verify();
}

/// Who, from where, what, by which rule, what became of it; and no secret.
#[tokio::test]
async fn each_request_has_its_lines() {
    let mut audited = Audited::start(|_| {}, |program| program);
    let arguments = json!({ "targets": "192.0.2.1", "name": "x" });
    let submitted = audited.call(&audited.scanner, "run_untrusted_scan", arguments.clone()).await;
    let task = task_id(submitted.ok()).to_string();
    audited.call(&audited.reader, "get_scan_status", json!({ "task_id": task })).await.ok();
    let refused = audited.call(&audited.reader, "cancel_scan", json!({ "task_id": task })).await;
    assert_eq!(refused.refusal().0, "not_permitted");
    let denied = json!({ "targets": "192.0.2.66", "name": "x" });
    assert_eq!(audited.call(&audited.scanner, "run_untrusted_scan", denied).await.refusal().0, "out_of_scope");
    let planted = json!({
        "targets": "192.0.2.1", "name": "x", "username": "scan", "password": "planted-1",
        "pasword": "planted-2", "private_key_passphrase": "planted-3",
    });
    audited.call(&audited.scanner, "run_trusted_scan", planted).await;
    let uri = format!("nessus://tasks/{task}");
    let authorization = format!("Bearer {}", audited.reader.expose());
    let read = audited.fixture.request("resources/read", json!({ "uri": uri }));
    read.header("authorization", authorization).send().await.unwrap();
    for _ in 0..20 {
        audited.fixture.request("tools/list", json!({})).send().await.unwrap();
    }
    audited.fixture.get("/metrics").header("host", "evil.example").send().await.unwrap();
    audited.fixture.server.process.hang_up();
    let reload = audited.line("the reload", |line| line.event.what == "reload policy").await;
    assert_eq!((reload.event.outcome.as_deref(), reload.event.arguments.is_some()), (Some("ok"), true));

    let asked = audited.line("the question", |line| line.kind == Kind::Asked).await;
    let event = &asked.event;
    assert_eq!(event.arguments, Some(digest(&arguments)));
    let who = (event.who.name.as_deref(), event.who.role.as_deref(), event.who.from.map(|from| from.to_string()));
    assert_eq!(who, (Some("desk@example"), Some("scan"), Some("127.0.0.1".to_owned())));
    assert_eq!((event.what.as_str(), event.trace_id.as_deref()), ("run_untrusted_scan", Some("run_untrusted_scan")));
    let done = audited.line("the outcome", |line| line.asked == Some(asked.seq)).await.event;
    assert_eq!((done.outcome.as_deref(), done.task_id.as_deref()), (Some("ok"), Some(&*task)));
    for (what, decision, outcome, rule) in [
        ("get_scan_status", Decision::Allowed, "ok", "role read"),
        ("cancel_scan", Decision::Refused, "not_permitted", "`scan`"),
        ("run_untrusted_scan", Decision::Refused, "out_of_scope", "`deny` has `192.0.2.66`"),
        ("resources/read", Decision::Allowed, "ok", "role read"),
        ("login", Decision::Refused, "http_401", "there is no token"),
        ("request", Decision::Refused, "http_403", "/metrics"),
        ("start", Decision::Allowed, "ok", "server"),
    ] {
        let is_wanted = |line: &Line| {
            let event = &line.event;
            event.what == what && event.decision == decision && event.outcome.as_deref() == Some(outcome)
        };
        let event = audited.line(what, is_wanted).await.event;
        assert!(event.rule.as_deref().is_some_and(|found| found.contains(rule)), "{what}: {event:?}");
    }
    assert_eq!(audited.fixture.server.process.terminate(), Some(0));
    // A flood is counted, not repeated.
    let logins: Vec<_> = audited.lines().into_iter().filter(|line| line.event.what == "login").collect();
    let count: u64 = logins.iter().map(|line| line.event.count.unwrap_or(1)).sum();
    assert!(logins.len() <= 4 && count == 20, "{logins:?}");
    let report = audited.verify();
    assert_eq!((report.notes, report.unanswered), (Vec::new(), Vec::new()));
    assert_eq!(audited.lines().last().unwrap().event.what, "stop");
    for (path, bytes) in files_below(&audited.directory()) {
        for secret in ["planted", audited.reader.expose(), audited.scanner.expose(), KEY] {
            assert!(!holds(&bytes, secret), "{secret} in {}", path.display());
        }
    }
}

/// Without a policy there is none, and nobody misses it.
#[tokio::test]
async fn without_a_policy_there_is_no_audit_log() {
    let fixture = Fixture::start();
    fixture.submit(json!({ "targets": "192.0.2.1", "name": "x" })).await;
    assert!(!fixture.deployment.data().join("audit").exists());
}

/// A disk that is full, in the place of the file of a later day: that is the one that is written to.
fn fill(directory: &std::path::Path) -> PathBuf {
    let full = directory.join("2999-01-01.jsonl");
    symlink("/dev/full", &full).unwrap();
    full
}

fn chain_of(audited: &Audited) -> PathBuf {
    fs::read_dir(audited.directory()).unwrap().next().unwrap().unwrap().path()
}

/// Another process seems to have written, so that the server looks for the end of the chain again.
fn disturb(chain: &std::path::Path) {
    // In its place: the lock is that of this file.
    let mut lock = fs::OpenOptions::new().write(true).open(chain.join("lock")).unwrap();
    lock.write_all(b"somebody else....").unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let audited = Audited::start(|_| {}, |program| program);
    let arguments = json!({ "targets": "192.0.2.1", "name": "x" });
    let chain = chain_of(&audited);
    let full = fill(&chain);
    disturb(&chain);
    let refused = audited.call(&audited.scanner, "run_untrusted_scan", arguments.clone()).await;
    let (code, message, hint) = refused.refusal();
    assert!(code == "audit_unavailable" && message.contains("nothing was done") && hint.is_some(), "{refused:?}");
    assert!(audited.fixture.deployment.task_directories().is_empty());
    // Who only looks is answered.
    audited.call(&audited.reader, "list_tasks", json!({})).await.ok();
    let metrics =
        audited.fixture.get("/metrics").header("authorization", format!("Bearer {}", audited.reader.expose()));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let failures = metrics.lines().find_map(|line| line.strip_prefix("nessus_audit_failures_total "));
    assert!(failures.is_some_and(|count| count != "0"), "{metrics}");
    fs::remove_file(full).unwrap();
    audited.call(&audited.scanner, "run_untrusted_scan", arguments).await.ok();
    audited.verify();
}

/// What was done stays done, and is answered so.
#[tokio::test]
async fn an_outcome_that_cannot_be_written_changes_no_answer() {
    let freeze = |program: Program| program.env(fail_points::FREEZE_VARIABLE, "audit_before_outcome");
    let mut audited = Audited::start(|_| {}, freeze);
    let chain = chain_of(&audited);
    let arguments = json!({ "targets": "192.0.2.1", "name": "x" });
    let request = json!({ "name": "run_untrusted_scan", "arguments": arguments });
    let request = audited.fixture.request("tools/call", request);
    let call = tokio::spawn(request.header("authorization", format!("Bearer {}", audited.scanner.expose())).send());
    until("it stands still", &[&audited.fixture.server.process], async || {
        audited.fixture.server.process.log().contains("the process stands still at a fail point").then_some(())
    })
    .await;
    let full = fill(&chain);
    disturb(&chain);
    audited.fixture.server.process.thaw();
    let answer: Value = call.await.unwrap().unwrap().json().await.unwrap();
    let task = task_id(&answer["result"]["structuredContent"]);
    assert_eq!(audited.fixture.deployment.task_directories(), [task.to_string()]);
    audited.fixture.server.process.wait_for_log("lines of the audit log are not written");
    fs::remove_file(full).unwrap();
    audited.call(&audited.reader, "list_tasks", json!({})).await.ok();
    audited.line("the read", |line| line.event.what == "list_tasks").await;
    let unanswered = audited.verify().unanswered;
    assert!(unanswered.len() == 1 && unanswered[0].event.what == "run_untrusted_scan", "{unanswered:?}");
}

/// Several agents on one machine: their servers share the chain of its role.
#[tokio::test]
async fn processes_share_a_chain() {
    const SERVERS: usize = 4;
    let audited = Audited::start(|_| {}, |program| program);
    let deployment = &audited.fixture.deployment;
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server"));
    let message = |method: &str, id: Option<u64>, params: Value| {
        let mut message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        if let Some(id) = id {
            message["id"] = json!(id);
        }
        message.to_string()
    };
    let mut servers: Vec<_> = (0..SERVERS)
        .map(|_| {
            let program = deployment.program(binary, &["stdio"]).args(["--policy-config", "policy.yaml"]);
            let mut server = deployment.start(&program.env("NESSUS_MCP_SECRET_KEY", KEY).with_input());
            let client = json!({ "name": "test", "version": "1" });
            let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
            server.send(&message("initialize", Some(0), hello));
            server.send(&message("notifications/initialized", None, json!({})));
            server
        })
        .collect();
    for round in 0..10 {
        for server in &mut servers {
            let scan = json!({ "targets": "192.0.2.1", "name": "x" });
            let call = json!({ "name": "run_untrusted_scan", "arguments": scan });
            server.send(&message("tools/call", Some(round + 1), call));
        }
        audited.call(&audited.reader, "list_tasks", json!({})).await.ok();
        audited.verify();
    }
    for server in &servers {
        server.wait_for_line("its last answer", |line| line.contains("\"id\":10,").then_some(()));
    }
    for mut server in servers {
        assert_eq!(server.terminate(), Some(0), "{}", server.tail());
    }
    let lines = audited.lines();
    let users: BTreeSet<_> = lines.iter().filter_map(|line| line.event.who.name.as_deref()).collect();
    assert!(users.len() == 2 && users.iter().any(|user| user.starts_with("user:")), "{users:?}");
    let done = lines.iter().filter(|line| line.kind == Kind::Done && line.event.outcome.as_deref() == Some("ok"));
    assert_eq!(done.count(), SERVERS * 10);
    // Each of them could be followed without a header of a request.
    assert!(lines.iter().filter(|line| line.asked.is_some()).all(|line| line.event.trace_id.is_some()));
    assert_eq!(audited.verify().unanswered, Vec::new());
}
