//! Who is let in: tokens, roles, TLS, and what is told of whoever is not.

use std::{fs, path::Path};

use nessus_mcp_lib::{
    client::{Endpoint, NessusMcpClient},
    durable,
    policy::{TokenHash, new_token},
    secret::Secret,
    service::SubmitRequest,
    task::Task,
};
use nessus_mcp_tests::{
    deployment::Deployment,
    processes::{Program, files_below, holds},
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::fixture::{Fixture, SCANNERS};

/// The tools that change something.
const CHANGING: [&str; 7] = [
    "run_untrusted_scan",
    "run_trusted_scan",
    "run_privileged_scan",
    "cancel_scan",
    "pause_scan",
    "resume_scan",
    "retry_scan",
];

/// A server with clients, and their tokens.
struct Guarded {
    fixture: Fixture,
    reader: Secret,
    scanner: Secret,
    expired: Secret,
}

pub(crate) fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    durable::replace(path.as_ref(), text.as_ref()).unwrap();
}

pub(crate) fn entry(name: &str, role: &str, token: &Secret, more: &str) -> String {
    format!("  - {{name: {name}, role: {role}, token_sha256: {}{more}}}\n", TokenHash::of(token.expose()))
}

impl Guarded {
    fn start() -> Self {
        Self::start_with("", |program| program)
    }

    fn start_with(keys: &str, change: impl FnOnce(Program) -> Program) -> Self {
        let (reader, scanner, expired) = (new_token(), new_token(), new_token());
        let clients = [
            entry("triage", "read", &reader, ""),
            entry("desk@example", "scan", &scanner, ", expires: 2999-01-01"),
            entry("gone", "scan", &expired, ", expires: 2020-01-01"),
        ];
        let policy = format!("{keys}clients:\n{}", clients.concat());
        let fixture = Fixture::start_prepared(
            |deployment| write(deployment.path("policy.yaml"), policy),
            |program| change(program.args(["--policy-config", "policy.yaml"])),
        );
        Self { fixture, reader, scanner, expired }
    }

    /// Status, challenge and body of a request with these `Authorization` headers.
    async fn knock(&self, path: &str, authorization: &[&str]) -> (u16, String, String) {
        let request = match path {
            "/mcp" => self.fixture.request("tools/list", json!({})),
            _ => self.fixture.get(path),
        };
        let request = authorization.iter().fold(request, |request, value| request.header("authorization", *value));
        let answer = request.send().await.unwrap();
        let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), challenge.unwrap_or_default(), answer.text().await.unwrap())
    }

    async fn call(&self, token: &Secret, tool: &str, arguments: Value) -> crate::fixture::Answer {
        self.fixture.call_with(tool, arguments, &[("authorization", &bearer(token))]).await
    }

    async fn tools(&self, token: &Secret) -> Vec<String> {
        let request = self.fixture.request("tools/list", json!({})).header("authorization", bearer(token));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let tools = answer["result"]["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn bearer(token: &Secret) -> String {
    format!("Bearer {}", token.expose())
}

/// Each is answered 401 with the same body, whatever is wrong, and told in the log with its reason.
#[tokio::test]
async fn nobody_comes_in_without_a_valid_token() {
    let mut guarded = Guarded::start();
    let hash = TokenHash::of(guarded.scanner.expose()).to_string();
    let reader = bearer(&guarded.reader);
    let mut altered = guarded.scanner.expose().to_owned();
    let last = altered.pop().unwrap();
    altered.push(if last == '0' { '1' } else { '0' });
    let attempts = [
        (vec![], "there is no token"),
        (vec!["Bearer".to_owned()], "holds no bearer token"),
        (vec!["Bearer ".to_owned()], "holds no bearer token"),
        (vec![format!("Basic {}", guarded.reader.expose())], "holds no bearer token"),
        (vec![guarded.reader.expose().to_owned()], "holds no bearer token"),
        (vec![reader.clone(), reader.clone()], "holds no bearer token"),
        (vec![bearer(&new_token())], "no client has this token"),
        (vec![format!("Bearer {altered}")], "no client has this token"),
        (vec![format!("Bearer {hash}")], "no client has this token"),
        (vec!["Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.".to_owned()], "no client has this token"),
        (vec![bearer(&guarded.expired)], "the token of `gone` ended at 2020-01-02"),
    ];
    for path in ["/mcp", "/metrics", "/health"] {
        for (sent, reason) in &attempts {
            let sent: Vec<_> = sent.iter().map(String::as_str).collect();
            let (status, challenge, body) = guarded.knock(path, &sent).await;
            assert_eq!((status, body.as_str()), (401, "a valid token is needed: `Authorization: Bearer TOKEN`\n"));
            let is_wrong = !sent.is_empty();
            assert!(challenge.starts_with("Bearer realm=") && challenge.contains("invalid_token") == is_wrong);
            guarded.fixture.server.process.wait_for_log(reason);
        }
        let (status, ..) = guarded.knock(path, &[&reader]).await;
        assert_ne!(status, 401, "{path}");
    }
    let refused = guarded.fixture.get("/metrics").header("authorization", &reader).send().await.unwrap();
    let metrics = refused.text().await.unwrap();
    assert!(metrics.contains(&format!("what=\"identity\"}} {}", attempts.len() * 3)), "{metrics}");
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(guarded.knock(path, &[]).await.0, 200, "{path}");
    }
}

/// A reader sees the tools that change nothing, and can use no other; what is done carries the client's name.
#[tokio::test]
async fn a_role_decides_which_tools_there_are() {
    let mut guarded = Guarded::start();
    let (for_reader, for_scanner) = (guarded.tools(&guarded.reader).await, guarded.tools(&guarded.scanner).await);
    let hidden: Vec<_> = for_scanner.iter().filter(|tool| !for_reader.contains(tool)).map(String::as_str).collect();
    assert!(!hidden.is_empty() && for_reader.iter().all(|tool| for_scanner.contains(tool)), "{for_reader:?}");
    for tool in CHANGING {
        assert!(!for_reader.iter().any(|listed| listed == tool), "{tool}");
        assert!(hidden.contains(&tool), "{tool}");
        let answer = guarded.call(&guarded.reader, tool, json!({ "targets": "192.0.2.1", "name": "x" })).await;
        let (code, message, _) = answer.refusal();
        assert_eq!(code, "not_permitted");
        assert!(message.contains(tool) && message.contains("`scan`"), "{message}");
    }
    for scan_type in [json!("privileged"), json!(null)] {
        let arguments = json!({ "targets": "192.0.2.1", "name": "x", "scan_type": scan_type });
        let answer = guarded.call(&guarded.reader, "run_authenticated_scan", arguments).await;
        assert_eq!(answer.refusal().0, "not_permitted");
    }
    assert!(guarded.fixture.deployment.task_directories().is_empty());
    guarded.fixture.server.process.wait_for_log("a tool was refused");
    let submitted =
        guarded.call(&guarded.scanner, "run_untrusted_scan", json!({ "targets": "192.0.2.1", "name": "x" })).await;
    let task = submitted.ok()["task_id"].as_str().unwrap().to_owned();
    let file = guarded.fixture.deployment.data().join("tasks").join(&task).join("task.json");
    let stored: Task = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(stored.submitted_by.as_deref(), Some("desk@example"));
    let seen = guarded.call(&guarded.reader, "get_scan_status", json!({ "task_id": task })).await;
    assert_eq!(seen.ok()["task_id"], json!(task));
    for (path, bytes) in files_below(guarded.fixture.deployment.directory()) {
        for token in [&guarded.reader, &guarded.scanner, &guarded.expired] {
            assert!(!holds(&bytes, token.expose()), "{}", path.display());
        }
    }
}

/// What is taken out of the file is out with the next SIGHUP; a file with a mistake changes nothing.
#[tokio::test]
async fn a_token_is_revoked_without_a_restart() {
    let mut guarded = Guarded::start();
    let (reader, scanner) = (bearer(&guarded.reader), bearer(&guarded.scanner));
    let policy = guarded.fixture.deployment.path("policy.yaml");
    write(&policy, "clients:\n  - {name: x, role: root}\n");
    guarded.fixture.server.process.hang_up();
    guarded.fixture.server.process.wait_for_log("the scope policy is refused");
    assert_eq!(guarded.knock("/mcp", &[&scanner]).await.0, 200);
    write(&policy, format!("clients:\n{}", entry("triage", "read", &guarded.reader, "")));
    guarded.fixture.server.process.hang_up();
    guarded.fixture.server.process.wait_for_log("scope policy read");
    // That line was also written at the start.
    for _ in 0..200 {
        if guarded.knock("/mcp", &[&scanner]).await.0 == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((guarded.knock("/mcp", &[&scanner]).await.0, guarded.knock("/mcp", &[&reader]).await.0), (401, 200));
}

/// The file gets one more key, and the server goes by it with the next SIGHUP.
#[tokio::test]
async fn a_token_that_is_revoked_in_the_file_is_out() {
    let guarded = Guarded::start();
    let (reader, scanner) = (bearer(&guarded.reader), bearer(&guarded.scanner));
    nessus_mcp_lib::policy::revoke(&guarded.fixture.deployment.path("policy.yaml"), "desk@example").unwrap();
    assert_eq!(guarded.knock("/mcp", &[&scanner]).await.0, 200, "not before it is read");
    guarded.fixture.server.process.hang_up();
    nessus_mcp_tests::processes::until("it is revoked", &[&guarded.fixture.server.process], async || {
        (guarded.knock("/mcp", &[&scanner]).await.0 == 401).then_some(())
    })
    .await;
    assert_eq!(guarded.knock("/mcp", &[&reader]).await.0, 200);
    nessus_mcp_tests::processes::until("the log says why", &[&guarded.fixture.server.process], async || {
        guarded.fixture.server.process.log().contains("the token of `desk@example` is revoked").then_some(())
    })
    .await;
}

/// This machine may do without a token what `local` says, and a wrong token is refused all the same.
#[tokio::test]
async fn this_machine_may_be_given_a_role() {
    let guarded = Guarded::start_with("local: read\n", |program| program);
    assert_eq!(guarded.knock("/mcp", &[]).await.0, 200);
    assert_eq!(guarded.knock("/mcp", &[&bearer(&new_token())]).await.0, 401);
    let answer = guarded.fixture.call("run_untrusted_scan", json!({ "targets": "192.0.2.1", "name": "x" })).await;
    assert_eq!(answer.refusal().0, "not_permitted");
}

/// Whatever the roles, nothing is changed through a server that was started so.
#[tokio::test]
async fn a_read_only_server_offers_nothing_that_changes() {
    let guarded = Guarded::start_with("", |program| program.arg("--read-only"));
    assert_eq!(guarded.tools(&guarded.scanner).await, guarded.tools(&guarded.reader).await);
    let answer = guarded.call(&guarded.scanner, "cancel_scan", json!({ "task_id": "x" })).await;
    assert_eq!(answer.refusal().0, "not_permitted");
}

pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key: String,
}

pub(crate) fn certificate() -> Certificate {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap().self_signed(&key);
    Certificate { pem: made.unwrap().pem(), key: key.serialize_pem() }
}

/// Other machines come in with a token over TLS; here the server listens on all addresses.
#[tokio::test]
async fn over_tls_a_client_submits_from_another_machine() {
    let (first, second) = (certificate(), certificate());
    let (token, unknown) = (new_token(), new_token());
    let install = |directory: &Path, certificate: &Certificate| {
        write(directory.join("cert.pem"), &certificate.pem);
        write(directory.join("key.pem"), &certificate.key);
    };
    let deployment = Deployment::new(SCANNERS);
    install(deployment.directory(), &first);
    // `local` is for this machine only, and here nobody can tell which one calls.
    let policy = format!("local: scan\nclients:\n{}", entry("remote", "scan", &token, ""));
    write(deployment.path("policy.yaml"), policy);
    let program = deployment.program(Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server")), &["serve"]);
    let mut server =
        deployment.serve(&program.args(["--mcp-bind", "0.0.0.0:0", "--policy-config", "policy.yaml"]).args([
            "--tls-cert",
            "cert.pem",
            "--tls-key",
            "key.pem",
        ]));
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    assert!(server.url().starts_with("https://"));
    let url = format!("https://127.0.0.1:{port}/mcp");
    let connect = async |token: Option<&Secret>, trusted: &Certificate| {
        let endpoint = Endpoint::new(&url).with_ca(&trusted.pem);
        NessusMcpClient::connect(match token {
            Some(token) => endpoint.with_token(token.clone()),
            None => endpoint,
        })
        .await
    };
    let client = connect(Some(&token), &first).await.unwrap();
    let task = client.submit_scan(&SubmitRequest::untrusted("far", "192.0.2.1")).await.unwrap().task_id;
    assert_eq!(deployment.task(&task).submitted_by.as_deref(), Some("remote"));
    for (token, trusted) in [(None, &first), (Some(&unknown), &first), (Some(&token), &second)] {
        assert!(connect(token, trusted).await.is_err());
    }
    let plain = reqwest::get(format!("http://127.0.0.1:{port}/health/live")).await;
    assert!(plain.is_err(), "{plain:?}");

    // A certificate whose key is another's changes nothing.
    write(deployment.path("cert.pem"), &second.pem);
    server.process.hang_up();
    server.process.wait_for_log("the certificate is refused");
    assert!(connect(Some(&token), &first).await.is_ok());
    install(deployment.directory(), &second);
    server.process.hang_up();
    server.process.wait_for_log("certificate read again");
    assert!(connect(Some(&token), &second).await.is_ok() && connect(Some(&token), &first).await.is_err());
    assert!(!server.process.log().contains("travel in clear text"));
}

/// A start that would let everybody in does not happen.
#[test]
fn other_machines_come_in_only_where_there_are_tokens() {
    let deployment = Deployment::new(SCANNERS);
    let server = |arguments: &[&str]| {
        let binary = Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server"));
        deployment.program(binary, &["serve"]).args(["--mcp-bind", "0.0.0.0:0"]).args(arguments).run()
    };
    let other = |arguments: &[&str]| {
        let binary = Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server"));
        deployment.program(binary, &["serve"]).args(arguments).run()
    };
    write(deployment.path("policy.yaml"), "deny: [10.0.0.1]\n");
    for arguments in [&[][..], &["--policy-config", "policy.yaml"]] {
        let ended = server(arguments);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains("`MCP_BIND` must be a loopback address: other machines"), "{ended:?}");
        let of_administration = [&["--mcp-bind", "127.0.0.1:0", "--admin-bind", "0.0.0.0:0"], arguments].concat();
        let ended = other(&of_administration);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains("`ADMIN_BIND` must be a loopback address: other machines"), "{ended:?}");
    }
    write(deployment.path("policy.yaml"), format!("clients:\n{}", entry("a", "read", &new_token(), "")));
    write(deployment.path("cert.pem"), "nothing");
    for (arguments, said) in [
        (
            &["--tls-cert", "cert.pem", "--tls-key", "none.pem"][..],
            "`TLS_CERT` names the file `cert.pem`, which has no",
        ),
        (
            &["--tls-cert", "none.pem", "--tls-key", "none.pem"],
            "`TLS_CERT` names the file `none.pem`, which cannot be used",
        ),
    ] {
        let ended = server(&[&["--policy-config", "policy.yaml"], arguments].concat());
        assert!(ended.code == Some(78) && ended.stderr.contains(said), "{ended:?}");
    }
    assert!(!deployment.data().exists());
}

/// A prompt that leads to tools a client may not use is none for it; tasks and findings it may read.
#[tokio::test]
async fn a_role_decides_which_prompts_there_are() {
    let guarded = Guarded::start();
    let ask = async |token: &Secret, method: &str, params: Value| -> Value {
        let request = guarded.fixture.request(method, params).header("authorization", bearer(token));
        request.send().await.unwrap().json().await.unwrap()
    };
    let completed = json!({
        "ref": { "type": "ref/prompt", "name": "scan" }, "argument": { "name": "scanner_pool", "value": "" }
    });
    for (token, may_scan) in [(&guarded.reader, false), (&guarded.scanner, true)] {
        let prompts = ask(token, "prompts/list", json!({})).await;
        assert_eq!(prompts["result"]["prompts"].as_array().unwrap().iter().any(|one| one["name"] == "scan"), may_scan);
        let scan = ask(token, "prompts/get", json!({ "name": "scan", "arguments": { "targets": "192.0.2.1" } })).await;
        assert_eq!(scan["result"].is_object(), may_scan, "{scan}");
        let pools = ask(token, "completion/complete", completed.clone()).await;
        assert_eq!(pools["result"].is_object(), may_scan, "{pools}");
        let fields = ask(token, "resources/read", json!({ "uri": "nessus://schema/fields" })).await;
        assert!(fields["result"].is_object(), "{fields}");
    }
}

/// The address of the metrics asks for a token as the other does.
#[tokio::test]
async fn metrics_are_for_clients_at_an_address_of_their_own_too() {
    let guarded = Guarded::start_with("", |program| program.args(["--admin-bind", "127.0.0.1:0"]));
    let metrics = format!("{}/metrics", guarded.fixture.administration());
    let ask = async |token: Option<&Secret>| {
        let request = reqwest::Client::new().get(&metrics);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token.expose()));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask(None).await, ask(Some(&guarded.expired)).await, ask(Some(&guarded.reader)).await), (401, 401, 200));
}

/// Whoever comes through a proxy on this machine is not on this machine.
#[tokio::test]
async fn nobody_is_local_through_a_proxy() {
    let marks =
        [("x-forwarded-for", "203.0.113.1"), ("forwarded", "for=127.0.0.1"), ("via", "1.1 p"), ("x-real-ip", "::1")];
    let open = Fixture::start();
    let guarded = Guarded::start_with("local: scan\n", |program| program);
    for fixture in [&open, &guarded.fixture] {
        assert_eq!(fixture.request("tools/list", json!({})).send().await.unwrap().status(), 200);
        for (name, value) in marks {
            let answer = fixture.request("tools/list", json!({})).header(name, value).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{name}");
        }
        let forwarded = fixture.get("/health/ready").header("x-forwarded-for", "203.0.113.1").send().await.unwrap();
        assert_eq!(forwarded.status(), 200);
    }
    // With a token it comes from wherever it comes.
    let request = guarded.fixture.request("tools/list", json!({})).header("x-forwarded-for", "203.0.113.1");
    let answer = request.header("authorization", bearer(&guarded.reader)).send().await.unwrap();
    assert_eq!(answer.status(), 200);

    // A proxy that is named need not tell that it is one.
    let behind = Guarded::start_with("local: scan\n", |program| program.args(["--trusted-proxies", "127.0.0.0/8"]));
    let (status, challenge, _) = behind.knock("/mcp", &[]).await;
    assert_eq!((status, challenge.as_str()), (401, "Bearer realm=\"nessus-mcp\""));
    assert_eq!(behind.knock("/mcp", &[&bearer(&behind.reader)]).await.0, 200);
}
