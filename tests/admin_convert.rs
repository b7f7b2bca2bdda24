//! `nessus-admin convert`, as a process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/exports").join(name)
}

fn convert(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nessus-admin"));
    command.arg("convert").args(arguments);
    command
}

/// Stdout as JSON lines, of a run that must succeed and say nothing on stderr.
fn lines(command: &mut Command) -> Vec<Value> {
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(0), "".into()));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Exit code and stderr of a run that must write nothing on stdout.
fn failure(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn everything_is_shown_by_default() {
    let lines = lines(convert(&[]).arg(fixture("office.nessus")));
    assert_eq!(lines.len(), 24, "schema, scan_metadata, 22 findings, no pagination");
    assert!(lines[1]["left_out"].as_str().unwrap().starts_with("1 compliance check,"), "{}", lines[1]);
    assert_eq!((&lines[0]["profile"], &lines[0]["sort"]), (&json!("brief"), &json!("worst_first")));
    assert_eq!(lines[1]["severity_counts"], json!({"Critical": 2, "High": 3, "Medium": 4, "Low": 2, "Info": 11}));
    assert_eq!(lines[2]["severity"], "Critical");
}

#[test]
fn compliance_checks_are_read_by_their_kind() {
    let arguments = ["--kind", "compliance", "--filters", r#"{"cm:compliance-result": "failed"}"#];
    let lines = lines(convert(&arguments).arg(fixture("compliance.nessus")));
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["matched"], &lines[0]["total"]),
        (&json!("compliance"), &json!(3), &json!(11))
    );
    assert!(lines[2..].iter().all(|line| line["type"] == "compliance" && line["cm:compliance-result"] == "FAILED"));
    for (kind, said) in [("findings", "unknown kind"), ("vulnerability", "set `--kind` to `compliance`")] {
        let arguments = ["--kind", kind, "--sort", "cm:compliance-result"];
        let (code, stderr) = failure(convert(&arguments).arg(fixture("compliance.nessus")));
        assert!(code == Some(1) && stderr.contains(said), "{stderr}");
    }
}

#[test]
fn options_mean_what_those_of_the_tool_mean() {
    let filters = r#"{"host": "192.0.2.0/27", "severity": ">=Medium"}"#;
    let arguments = ["--fields", "plugin_id,cvss-score", "--filters", filters, "--sort", "-cvss_score", "--page", "1"];
    let lines = lines(convert(&arguments).args(["--page-size", "5"]).arg(fixture("office.nessus")));
    assert_eq!(lines[0]["filters_applied"], json!({"host": "192.0.2.0/27", "severity": ">=Medium"}));
    assert_eq!(lines[0]["fields"], json!(["plugin_id", "cvss_score"]));
    assert_eq!(lines[2], json!({"type": "vulnerability", "plugin_id": 910_001, "cvss_score": 9.3}));
    let pagination = lines.last().unwrap();
    assert_eq!((&pagination["page_size"], &pagination["page_size_requested"]), (&json!(10), &json!(5)));
}

#[test]
fn findings_are_counted_and_grouped() {
    let counted =
        lines(convert(&["--count-only", "--filters", r#"{"severity": ">=High"}"#]).arg(fixture("office.nessus")));
    let found = (&counted[0]["matched"], &counted[0]["matched_hosts"], &counted[0]["matched_plugins"]);
    assert_eq!((counted.len(), found), (1, (&json!(5), &json!(4), &json!(5))));
    let arguments = ["--group-by", "family", "--sort", "findings", "--page", "1", "--page-size", "10"];
    let groups = lines(convert(&arguments).arg(fixture("office.nessus")));
    assert_eq!((&groups[0]["groups"], &groups[2]["plugin_family"]), (&json!(11), &json!("Port scanners")));
    assert_eq!((&groups[2]["findings"], &groups[2]["hosts"], groups.len()), (&json!(6), &json!(4), 13));
}

#[test]
fn standard_input_and_a_file_give_the_same() {
    let path = fixture("office.nessus");
    let from_file = lines(convert(&["--profile", "full"]).arg(&path));
    let from_stdin = lines(convert(&["--profile", "full", "-"]).write_stdin(std::fs::read(&path).unwrap()));
    assert_eq!(from_file, from_stdin);
}

#[test]
fn an_output_file_is_written_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("out.jsonl");
    let failed = failure(convert(&["-o"]).arg(&target).arg(fixture("truncated.nessus")));
    assert_eq!(failed.0, Some(1));
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "nothing half-written is left");
    assert!(lines(convert(&["-o"]).arg(&target).arg(fixture("office.nessus"))).is_empty());
    let on_stdout = convert(&[]).arg(fixture("office.nessus")).output().unwrap().stdout;
    assert_eq!(std::fs::read(&target).unwrap(), on_stdout);
    let nowhere = failure(convert(&["-o", "/nonexistent/out"]).arg(fixture("office.nessus")));
    assert_eq!(nowhere.0, Some(1));
    assert!(nowhere.1.starts_with("error: cannot write `/nonexistent/out`: "), "{}", nowhere.1);
}

#[test]
fn what_is_wrong_is_said_in_one_line_and_a_hint() {
    let shown: Vec<String> = [
        (&[][..], "truncated.nessus"),
        (&[], "version1.nessus"),
        (&[], "policy_only.nessus"),
        (&[], "login_page.html"),
        (&["--profile", "verbose"], "office.nessus"),
        (&["--profile", "full", "--fields", "host"], "office.nessus"),
        (&["--fields", "hots"], "office.nessus"),
        (&["--count-only", "--sort", "host"], "office.nessus"),
        (&["--group-by", "host", "--sort", "hosts"], "office.nessus"),
        (&["--group-by", "hots"], "office.nessus"),
        (&["--group-by", "host", "--format", "csv"], "office.nessus"),
        (&["--kind", "compliance", "--group-by", "severity"], "office.nessus"),
        (&["--filters", "{severity"], "office.nessus"),
        (&["--filters", r#"{"severity": "worst"}"#], "office.nessus"),
        (&["--page", "-1"], "office.nessus"),
        (&["--sort", "a b"], "office.nessus"),
    ]
    .into_iter()
    .map(|(arguments, file)| {
        let (code, stderr) = failure(convert(arguments).arg(fixture(file)));
        assert_eq!(code, Some(1), "{stderr}");
        format!("convert {} {file}\n{stderr}", arguments.join(" "))
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_misspelt_field_is_an_error_with_the_nearest_names() {
    let (code, stderr) = failure(convert(&["--filters", r#"{"plugin_nmae": "x"}"#]).arg(fixture("office.nessus")));
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: unknown field `plugin_nmae` in --filters\n\nhint: did you mean `plugin_name`"));
}

#[test]
fn a_missing_file_is_one_line() {
    let (code, stderr) = failure(&mut convert(&["/nonexistent.nessus"]));
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "error: cannot read `/nonexistent.nessus`: No such file or directory (os error 2)\n");
}

#[test]
fn wrong_usage_ends_with_2() {
    assert_eq!(failure(&mut convert(&[])).0, Some(2));
    assert_eq!(failure(&mut convert(&["--page", "one", "x"])).0, Some(2));
    assert_eq!(failure(&mut convert(&["--count-only", "--page-size", "10", "x"])).0, Some(2));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::{
        io::{BufRead, BufReader, Read},
        process::{Command, Stdio},
    };
    // Far more than a pipe holds, so that the writer meets the closed end.
    let item = r#"<ReportItem severity="1" pluginID="1" port="0"><description>text</description></ReportItem>"#;
    let items = item.repeat(20_000);
    let export = format!(
        "<NessusClientData_v2><Report><ReportHost name='h'>{items}</ReportHost></Report></NessusClientData_v2>"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.nessus");
    nessus_mcp_lib::durable::replace(&path, export.as_bytes()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_nessus-admin"))
        .arg("convert")
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with(r#"{"type":"schema""#));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn each_format_is_written_and_unknown_ones_are_refused() {
    for (format, begin) in
        [("jsonl", "{\"type\":\"schema\""), ("csv", "host,"), ("sarif", "{\"$schema\""), ("html", "<!DOCTYPE html>")]
    {
        let output = convert(&["--format", format]).arg(fixture("office.nessus")).output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(0), "".into()), "{format}");
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(begin), "{format}");
    }
    let (code, message) = failure(convert(&["--format", "xlsx"]).arg(fixture("office.nessus")));
    assert_eq!(code, Some(2));
    assert!(message.contains("known formats: jsonl, csv, sarif, html"), "{message}");
    let (code, message) = failure(convert(&["--format", "csv", "--max-chars", "5000"]).arg(fixture("office.nessus")));
    assert_eq!(code, Some(2));
    assert!(message.contains("--max-chars is for --format jsonl"), "{message}");
}

#[test]
fn a_page_in_another_format_has_all_its_findings() {
    let page = ["--format", "csv", "--profile", "full", "--page", "1", "--page-size", "20"];
    let output = convert(&page).arg(fixture("office.nessus")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), text.matches("\r\n").count()), (Some(0), 21), "{text}");
}

#[test]
fn lenient_keeps_the_complete_findings_and_still_fails() {
    let place = "at byte 11306, host `db01.office.example`, plugin 910010";
    for format in ["jsonl", "csv", "sarif", "html"] {
        for arguments in [&[][..], &["--sort", "file"]] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("out");
            let mut command = convert(&["--format", format, "--lenient", "-o"]);
            let (code, message) = failure(command.arg(&path).args(arguments).arg(fixture("truncated.nessus")));
            assert_eq!(code, Some(1), "{format}");
            assert!(message.contains(place) && message.contains("10 findings"), "{message}");
            let written = std::fs::read_to_string(&path).unwrap();
            assert!(written.contains("910001"), "{written}");
            if format == "jsonl" {
                let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                assert_eq!((&lines[1]["truncated"], lines.len()), (&json!(true), 12));
                assert_eq!(lines[1]["damage"]["host"], "db01.office.example");
            }
        }
    }
    // What is no export at all has nothing to keep.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let (code, _) = failure(convert(&["--lenient", "-o"]).arg(&path).arg(fixture("login_page.html")));
    assert_eq!((code, path.exists()), (Some(1), false));
}
