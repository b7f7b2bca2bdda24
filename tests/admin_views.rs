//! `nessus-admin validate`, `summary` and `diff`, as processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/exports").join(name)
}

fn admin(arguments: &[&str], files: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nessus-admin"));
    command.args(arguments).args(files.iter().map(|file| fixture(file)));
    command
}

/// Stdout of a run that must succeed and say nothing on stderr.
fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(0), "".into()));
    String::from_utf8(output.stdout).unwrap()
}

fn parsed(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(command)).unwrap()
}

/// Exit code and stderr of a run that must write nothing on stdout.
fn failure(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn validate_depends_on_what_was_wanted() {
    let status = |arguments: &[&str]| {
        let report = parsed(&mut admin(&[&["validate"], arguments].concat(), &["login_verdicts.nessus"]));
        report["authentication"]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(&[]), "partial");
    assert_eq!(status(&["--scan-type", "untrusted"]), "partial", "what happened, not what was asked for");
    assert_eq!(status(&["--scan-type", "trusted_privileged"]), "partial");
    assert_eq!(status(&["--scan-type", "trusted", "--min-authenticated", "0.2"]), "success");
}

#[test]
fn validate_says_what_is_missing() {
    let arguments = ["validate", "--targets", "192.0.2.0/26", "--scan-type", "untrusted", "--hosts", "1"];
    let report = parsed(&mut admin(&arguments, &["office.nessus"]));
    assert_eq!(report["warnings"][0]["code"], "targets_without_results");
    let message = report["warnings"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("59 of 64 targets have no results") && message.ends_with(", 192.0.2.51-192.0.2.63"),
        "{message}"
    );
    assert_eq!(report["authentication"]["hosts_left_out"], 3);
    assert_eq!((&report["hosts"], &report["compliance_counts"]["FAILED"]), (&json!(5), &json!(1)));
}

#[test]
fn views_are_text_or_json() {
    insta::assert_snapshot!("diff", stdout(&mut admin(&["diff"], &["office.nessus", "office_later.nessus"])));
    let text = stdout(&mut admin(&["summary"], &["office.nessus"]));
    assert!(text.starts_with("Office network\n") && text.contains("\nCritical          2"), "{text}");
    let summary = parsed(&mut admin(&["summary", "--json"], &["office.nessus"]));
    assert_eq!(summary["counts"]["findings"], 22);
    let part = parsed(&mut admin(&["summary", "--json", "--sections", "solutions,hosts"], &["office.nessus"]));
    assert!(
        part["plugins"].is_null() && part["solutions"].is_object() && part["counts"] == summary["counts"],
        "{part}"
    );
    let diff = parsed(&mut admin(&["diff", "--json"], &["office.nessus", "office_later.nessus"]));
    assert_eq!(diff["counts"]["new"]["Critical"], 1);
}

#[test]
fn lists_are_cut_to_the_room_there_is() {
    let summary = parsed(&mut admin(&["summary", "--json", "--max-chars", "4500"], &["office.nessus"]));
    assert_eq!(summary["truncated"], true);
    assert!(summary.to_string().chars().count() <= 4500);
}

#[test]
fn standard_input_and_a_file_give_the_same() {
    let bytes = std::fs::read(fixture("office.nessus")).unwrap();
    for command in ["validate", "summary"] {
        let from_stdin = stdout(admin(&[command, "-"], &[]).write_stdin(bytes.clone()));
        assert_eq!(from_stdin, stdout(&mut admin(&[command], &["office.nessus"])));
    }
    let from_stdin = stdout(admin(&["diff", "-"], &["office_later.nessus"]).write_stdin(bytes));
    assert_eq!(from_stdin, stdout(&mut admin(&["diff"], &["office.nessus", "office_later.nessus"])));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    for command in ["validate", "summary"] {
        let (code, stderr) = failure(&mut admin(&[command], &["truncated.nessus"]));
        assert_eq!(code, Some(1));
        assert!(stderr.starts_with("error: ") && stderr.lines().count() <= 3, "{stderr}");
    }
    assert_eq!(failure(&mut admin(&["diff"], &["office.nessus", "policy_only.nessus"])).0, Some(1));
    assert_eq!(failure(&mut admin(&["diff", "-", "-"], &[])).0, Some(1));
    assert_eq!(failure(&mut admin(&["validate", "--scan-type", "sudo"], &["office.nessus"])).0, Some(2));
    assert_eq!(failure(&mut admin(&["validate", "--min-authenticated", "2"], &["office.nessus"])).0, Some(2));
    assert_eq!(failure(&mut admin(&["diff"], &["office.nessus"])).0, Some(2));
}
