//! Scans that log in: what the tools take, and what they refuse.

use nessus_mcp_lib::durable;
use serde_json::{Value, json};

use crate::{bad_input::check, fixture::Fixture};

const KEY: &str = include_str!("../../fixtures/ssh_keys/ed25519");
const LOCKED_KEY: &str = include_str!("../../fixtures/ssh_keys/ed25519_locked");

const CREDENTIALS: &str = "\
linux-scan: {username: scan, password: planted, targets: 192.0.2.0/25}
linux-root: {username: scan, password: planted, elevate_privileges_with: sudo, targets: 192.0.2.0/25}
";

/// A server that knows two credentials; the directory holds their file.
fn start() -> (Fixture, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.yaml");
    durable::replace(&path, CREDENTIALS.as_bytes()).unwrap();
    (Fixture::start_with(|program| program.env("CREDENTIAL_CONFIG", path)), directory)
}

fn scan(more: &Value) -> Value {
    let mut arguments = json!({ "targets": "192.0.2.1", "name": "office", "scanner_pool": "slow" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

/// Nothing is kept of what was refused, nor said of its secrets.
fn nothing_is_left(fixture: &Fixture) {
    assert_eq!(fixture.deployment.task_directories(), [""; 0], "a refused scan left something");
    let log = fixture.server.process.log();
    assert!(!log.contains("hunter2") && !log.contains("planted"), "{log}");
}

/// A login that cannot work, or would not be used as it was meant, is refused before anything is kept of it.
#[tokio::test]
async fn a_login_that_cannot_work_is_refused_by_its_field() {
    let (fixture, _directory) = start();
    let trusted = |more: Value, code, message, hint| ("run_trusted_scan", scan(&more), code, message, hint);
    let (wrong, unknown) = ("invalid_argument", "invalid_arguments");
    check(
        &fixture,
        vec![
            trusted(json!({}), wrong, "`credential_id` is missing", "operator"),
            trusted(
                json!({ "credential_id": "linux-scna" }),
                "unknown_credential",
                "`linux-scna`",
                "linux-scan, linux-root",
            ),
            trusted(json!({ "credential_id": "" }), "unknown_credential", "``", "linux-scan"),
            trusted(
                json!({ "credential_id": "linux-root" }),
                wrong,
                "`linux-root` takes more rights",
                "privileged scan",
            ),
            trusted(
                json!({ "credential_id": "linux-scan", "targets": "192.0.2.100-192.0.2.200" }),
                "credential_not_allowed",
                "`192.0.2.100-192.0.2.200`",
                "192.0.2.0/25",
            ),
            trusted(
                json!({ "credential_id": "linux-scan", "password": "x" }),
                wrong,
                "`credential_id` stands beside",
                "leave out",
            ),
            trusted(json!({ "username": "scan" }), wrong, "`password` is missing", "`private_key`"),
            trusted(json!({ "username": "scan", "password": "" }), wrong, "`password` is empty", "empty"),
            trusted(json!({ "password": "hunter2" }), wrong, "`username` is missing", "missing"),
            trusted(
                json!({ "username": "scan", "private_key": "hunter2" }),
                wrong,
                "`private_key` is not a private key",
                "BEGIN",
            ),
            trusted(
                json!({ "username": "scan", "private_key": &KEY[..200] }),
                wrong,
                "`private_key` is not whole",
                "missing",
            ),
            trusted(
                json!({ "username": "scan", "private_key": LOCKED_KEY }),
                wrong,
                "`private_key_passphrase` is missing",
                "locked",
            ),
            trusted(
                json!({ "username": "scan", "private_key": KEY, "private_key_passphrase": "hunter2" }),
                wrong,
                "`private_key_passphrase` is not needed",
                "leave it out",
            ),
            trusted(json!({ "username": "scan", "password": "hunter2", "domain": "X" }), wrong, "`domain`", "windows"),
            trusted(
                json!({ "username": "x", "password": "hunter2", "kind": "telnet" }),
                wrong,
                "`telnet`",
                "ssh, windows",
            ),
            // What a trusted scan would not use.
            trusted(
                json!({ "username": "scan", "password": "hunter2", "elevate_privileges_with": "sudo" }),
                unknown,
                "`elevate_privileges_with` is no argument of run_trusted_scan",
                "did you mean",
            ),
        ],
    )
    .await;
    nothing_is_left(&fixture);
}

/// So is one whose way to more rights would get less, or more, than it takes.
#[tokio::test]
async fn an_escalation_that_cannot_work_is_refused_by_its_field() {
    let (fixture, _directory) = start();
    let privileged = |more: Value, code, message, hint| {
        let mut login = json!({ "username": "scan", "password": "hunter2" });
        login.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("run_privileged_scan", scan(&login), code, message, hint)
    };
    let (wrong, unknown, sudo) = ("invalid_argument", "invalid_arguments", "sudo");
    check(
        &fixture,
        vec![
            privileged(json!({}), wrong, "`elevate_privileges_with` is missing", "trusted scan"),
            privileged(json!({ "elevate_privileges_with": "doas" }), wrong, "`doas`", "Cisco 'enable'"),
            privileged(
                json!({ "elevate_privileges_with": sudo, "su_user": "oper" }),
                wrong,
                "`su_user`",
                "leave it out",
            ),
            privileged(json!({ "elevate_privileges_with": "su+sudo" }), wrong, "`su_user` is missing", "needs it"),
            privileged(
                json!({ "elevate_privileges_with": ".k5login", "escalation_password": "hunter2" }),
                wrong,
                "`escalation_password`",
                ".k5login",
            ),
            privileged(
                json!({ "elevate_privileges_with": "Cisco 'enable'", "escalation_account": "root" }),
                wrong,
                "`escalation_account`",
                "Cisco 'enable'",
            ),
            privileged(
                json!({ "elevate_privileges_with": sudo, "escalation_password": "" }),
                wrong,
                "`escalation_password` is empty",
                "leave it out",
            ),
            privileged(
                json!({ "elevate_privileges_with": sudo, "kind": "windows" }),
                unknown,
                "`kind` is no argument",
                "did you mean",
            ),
            (
                "run_untrusted_scan",
                scan(&json!({ "credential_id": "linux-scan" })),
                unknown,
                "`credential_id` is no",
                "did you mean",
            ),
        ],
    )
    .await;
    nothing_is_left(&fixture);
}

#[tokio::test]
async fn a_login_is_taken_in_every_form() {
    let (fixture, _directory) = start();
    let login = json!({ "username": "scan", "password": "planted" });
    let with = |name: &str, value: &str| {
        let mut login = login.clone();
        login[name] = json!(value);
        login
    };
    let older = |scan_type: &str| {
        let mut login = with("scan_type", scan_type);
        if scan_type != "trusted" {
            login["elevate_privileges_with"] = json!("sudo");
        }
        login
    };
    for (tool, arguments, scan_type) in [
        ("run_trusted_scan", json!({ "credential_id": "linux-scan" }), "trusted"),
        ("run_trusted_scan", login.clone(), "trusted"),
        ("run_trusted_scan", json!({ "ssh_username": "scan", "ssh_password": "planted" }), "trusted"),
        ("run_trusted_scan", json!({ "username": "scan", "private_key": KEY }), "trusted"),
        ("run_trusted_scan", with("kind", "windows"), "trusted"),
        ("run_privileged_scan", json!({ "credential_id": "linux-root" }), "privileged"),
        ("run_privileged_scan", with("elevate_privileges_with", "sudo"), "privileged"),
        ("run_authenticated_scan", older("trusted"), "trusted"),
        ("run_authenticated_scan", older("privileged"), "privileged"),
        ("run_authenticated_scan", older("authenticated_privileged"), "privileged"),
    ] {
        let answer = fixture.call(tool, scan(&arguments)).await;
        let task = nessus_mcp_lib::ids::TaskId::new(answer.ok()["task_id"].as_str().unwrap()).unwrap();
        assert_eq!(fixture.deployment.task(&task).scan_type.as_str(), scan_type, "{arguments}");
    }
    for refused in [login.clone(), with("scan_type", "untrusted"), with("scan_type", "x")] {
        let answer = fixture.call("run_authenticated_scan", scan(&refused)).await;
        let (code, message, hint) = answer.refusal();
        assert_eq!(code, "invalid_argument");
        assert!(message.contains("`scan_type`") && hint.unwrap().contains("run_privileged_scan"), "{message}");
    }
}

/// Clients may hide what is typed into such a field, and need not show it again.
#[tokio::test]
async fn secrets_are_marked_in_the_schemas_and_the_older_tool_is_not_listed() {
    let (fixture, _directory) = start();
    let listed = fixture.rpc("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert!(tools.iter().all(|tool| tool["name"] != "run_authenticated_scan"));
    let mut marked = Vec::new();
    for tool in tools {
        for (name, schema) in tool["inputSchema"]["properties"].as_object().unwrap() {
            let is_secret = ["password", "private_key", "passphrase"].iter().any(|end| name.ends_with(end));
            let is_marked = schema["format"] == "password" && schema["writeOnly"] == true;
            assert_eq!(is_secret, is_marked, "{name}: {schema}");
            marked.extend(is_marked.then(|| format!("{}.{name}", tool["name"])));
        }
    }
    assert_eq!(marked.len(), 7, "{marked:?}");
}
