//! `config check`, and what usage errors say.

use nessus_mcp_lib::durable;
use nessus_mcp_tests::{deployment::Deployment, processes::Program};
use serde_json::{Value, json};

use crate::{MOCKS, admin, alone, json, program};

fn setting<'a>(found: &'a Value, name: &str) -> &'a Value {
    found["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap()
}

#[test]
fn every_setting_has_its_source_and_no_secret_is_shown() {
    let deployment = Deployment::new(MOCKS);
    let finished = program(&deployment, &["config", "check", "--json"])
        .env("QUEUE_URL", "redis://:planted@queue.example")
        .env("NESSUS_MCP_SECRET_KEY", "ab".repeat(32))
        .env("LEASE_SECONDS", "90")
        .run();
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
    assert!(!finished.stdout.contains("planted") && !finished.stdout.contains("abab"), "{finished:?}");
    let found = json(&finished);
    let source = |name: &str| setting(&found, name)["source"].clone();
    assert_eq!(
        (source("DATA_DIR"), source("LEASE_SECONDS"), source("MCP_BIND")),
        (json!("flag"), json!("variable"), json!("default"))
    );
    assert_eq!(setting(&found, "LEASE_SECONDS")["value"], "90");
    assert!(setting(&found, "QUEUE_URL")["value"].as_str().unwrap().contains("queue.example"));
    let key = setting(&found, "NESSUS_MCP_SECRET_KEY");
    assert_eq!((&key["is_set"], &key["value"]), (&json!(true), &Value::Null));
    assert_eq!((&found["faults"], &found["warnings"]), (&json!([]), &json!([])));
    let text = admin(&deployment, &["config", "check"]);
    assert!(!text.stdout.contains("variable") && text.stdout.contains("flag --data-dir"), "{text:?}");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let deployment = Deployment::new("nessus:\n  - {instance_id: a, url: ftp://x, username: u}\nlab: []\n");
    durable::replace(&deployment.path("policy.yaml"), b"mode: perhaps\n").unwrap();
    durable::replace(&deployment.path("credentials.yaml"), b"x:\n  colour: red\n").unwrap();
    let finished = program(&deployment, &["config", "check", "--json", "--policy-config", "policy.yaml"])
        .env("LEASE_SECONDS", "soon")
        .env("CIRCUIT_FAILURES", "0")
        .env("WITH_WORKER", "perhaps")
        .env("TLS_CERT", "nowhere.pem")
        .env("QUEUE_URl", "redis://h")
        .env("AUDIT_DIR", "")
        .run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    let found = json(&finished);
    let faults = found["faults"].as_array().unwrap().iter().map(|fault| fault["message"].as_str().unwrap());
    let faults = faults.collect::<Vec<_>>().join("\n");
    for expected in [
        "`LEASE_SECONDS`",
        "`CIRCUIT_FAILURES`",
        "`WITH_WORKER`",
        "`TLS_KEY` is missing",
        "scanners.yaml:2: `nessus[0].url`",
        "scanners.yaml:2: `nessus[0].password` is missing",
        "scanners.yaml:3: pool `lab` needs",
        "policy.yaml:1: `mode`",
        "credentials.yaml:",
    ] {
        assert!(faults.contains(expected), "{expected}:\n{faults}");
    }
    let warnings = found["warnings"].to_string();
    assert!(
        warnings.contains("did you mean `QUEUE_URL`?") && warnings.contains("`AUDIT_DIR` is set and empty"),
        "{warnings}"
    );
}

#[test]
fn settings_are_checked_against_the_files() {
    let deployment = Deployment::new(MOCKS);
    let faults = |name: &str, value: &str| {
        let finished = program(&deployment, &["config", "check"]).env(name, value).run();
        assert_eq!(finished.code, Some(78), "{finished:?}");
        finished.stdout
    };
    assert!(faults("WORKER_POOLS", "lab,nowhere").contains("`WORKER_POOLS` names the pool `nowhere`"));
    assert!(faults("MCP_BIND", "0.0.0.0:8835").contains("`MCP_BIND` lets other machines connect"));
}

#[test]
fn a_usage_error_names_the_variables_that_were_read() {
    let run = |arguments: &[&str]| {
        Program::new(env!("CARGO_BIN_EXE_nessus-admin"))
            .args(arguments.iter().copied())
            .env("DATA_DIR", "/somewhere")
            .env("QUEUE_URL", "redis://:planted@h")
            .run()
    };
    let finished = run(&["stats", "--wrong"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("--wrong") && !finished.stderr.contains("planted"), "{finished:?}");
    assert!(finished.stderr.ends_with("\nset by the environment: DATA_DIR=/somewhere, QUEUE_URL\n"), "{finished:?}");
    let help = run(&["stats", "--help"]);
    assert!(help.code == Some(0) && !format!("{help:?}").contains("set by the environment"), "{help:?}");
    let clean = alone(&["stats", "--wrong"]);
    assert!(clean.code == Some(2) && !clean.stderr.contains("set by the environment"), "{clean:?}");
    let conflict = run(&["convert", "x", "--format", "csv", "--max-chars", "5"]);
    assert_eq!(conflict.code, Some(2), "{conflict:?}");
}
