//! Exports of a generator that says what it has put into them.
//!
//! `NESSUS_MCP_GENERATOR` names a Python script that writes an export of our own text with `--out FILE --hosts N
//! --items N --seed N` and one of `--cdata --crlf --bom --utf16 --latin1`, and its truth as `FILE.truth.json`.

use std::{collections::BTreeMap, env, ffi::OsStr, fs, path::Path, process::Command};

use nessus_mcp_lib::results::{LoginExpected, RecordKind, Validation, ValidationReport};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{compare::compare, engine};

const GENERATOR: &str = "NESSUS_MCP_GENERATOR";
const VARIANTS: [&str; 6] = ["plain", "cdata", "crlf", "bom", "utf16", "latin1"];

/// What the generator says.
#[derive(Debug, Deserialize)]
struct Truth {
    hosts: u64,
    items: u64,
    /// From 0 to 4, compliance items included.
    sev: [u64; 5],
    cves: u64,
    compliance: u64,
    /// Hosts by what became of the login.
    auth: BTreeMap<String, u64>,
}

impl Truth {
    /// Hosts by verdict.
    fn verdicts(&self) -> BTreeMap<&'static str, u64> {
        let mut verdicts = BTreeMap::new();
        for (class, hosts) in &self.auth {
            let verdict = match class.as_str() {
                "success" | "agent" => "authenticated",
                "partial_priv" | "intermittent" => "partial",
                "failed" => "failed",
                // Without plugin 19506 the host's tag still says that no login was made.
                "none" | "no19506" => "not_attempted",
                other => panic!("a class of which nothing is known: {other}"),
            };
            *verdicts.entry(verdict).or_default() += hosts;
        }
        verdicts
    }
}

fn generate(script: &OsStr, folder: &Path, seed: u32, variant: &str) -> (Vec<u8>, Truth) {
    let file = folder.join(format!("{seed}-{variant}.nessus"));
    let mut python = Command::new("python3");
    python.arg(script).arg("--out").arg(&file).args(["--hosts", "25", "--items", "30", "--policy-kb", "50"]);
    python.args(["--compliance", "0.3", "--seed", &seed.to_string()]);
    if variant != "plain" {
        python.arg(format!("--{variant}"));
    }
    let output = python.output().expect("python3 is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let truth = fs::read(file.with_extension("nessus.truth.json")).unwrap();
    (fs::read(&file).unwrap(), serde_json::from_slice(&truth).unwrap())
}

/// Severities as the truth counts them: those of findings, and those that stand for the outcomes of compliance checks.
fn severities(findings: &[&Map<String, Value>], checks: &[&Map<String, Value>]) -> [u64; 5] {
    let words = [("Info", "PASSED"), ("Low", ""), ("Medium", "WARNING"), ("High", "FAILED"), ("Critical", "")];
    words.map(|(severity, result)| {
        let findings = findings.iter().filter(|finding| finding["severity"] == severity).count();
        (findings + checks.iter().filter(|check| check["cm:compliance-result"] == result).count()) as u64
    })
}

fn check_counts(report: &ValidationReport, truth: &Truth, name: &str) {
    let (counts, compliance) = (&report.stats.severity_counts, &report.stats.compliance_counts);
    let with_compliance = [
        counts.info + compliance.passed,
        counts.low,
        counts.medium + compliance.warning,
        counts.high + compliance.failed,
        counts.critical,
    ];
    assert_eq!(with_compliance, truth.sev, "{name}");
    assert_eq!((counts.unknown, compliance.error, compliance.other), (0, 0, 0), "{name}");
    let stats = &report.stats;
    assert_eq!(
        (stats.hosts, stats.items, stats.compliance_items),
        (truth.hosts, truth.items, truth.compliance),
        "{name}"
    );
}

fn check_logins(report: &ValidationReport, findings: &[&Map<String, Value>], truth: &Truth, name: &str) {
    let counts = &report.authentication.counts;
    let mut found = BTreeMap::from([
        ("authenticated", counts.authenticated),
        ("partial", counts.partial),
        ("failed", counts.failed),
        ("not_attempted", counts.not_attempted),
        ("unknown", counts.unknown),
    ]);
    found.retain(|_, hosts| *hosts > 0);
    assert_eq!(found, truth.verdicts(), "{name}");
    // The truth names no host, but each class has its plugin.
    assert_eq!(report.authentication.hosts.len() as u64, truth.hosts, "{name}: every host is listed");
    for host in &report.authentication.hosts {
        let has = |plugin: u64| {
            findings.iter().any(|finding| finding["host"] == *host.host && finding["plugin_id"] == plugin)
        };
        let expected = if has(110_385) || has(117_885) {
            "partial"
        } else if has(104_410) {
            "failed"
        } else if has(110_095) {
            "authenticated"
        } else {
            "not_attempted"
        };
        assert_eq!(host.verdict.as_str(), expected, "{name}: {}", host.host);
    }
}

/// Prints a table, which `--nocapture` shows.
#[test]
fn what_the_generator_says_is_what_the_engine_finds() {
    let Some(script) = env::var_os(GENERATOR) else {
        println!("skipped: {GENERATOR} names no generator of exports");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    println!("seed variant hosts items compliance   info   low medium  high critical  cves  logins");
    for seed in 1..=5 {
        let mut plain = None;
        for variant in VARIANTS {
            let name = format!("seed {seed}, {variant}");
            let (export, truth) = generate(&script, folder.path(), seed, variant);
            let answer = engine::ask(&export, engine::everything()).unwrap();
            let findings: Vec<_> = answer.findings().collect();
            let checks = engine::ask(&export, engine::everything().kind(RecordKind::Compliance)).unwrap();
            let checks: Vec<_> = checks.findings().collect();
            let validation = Validation::new().login(LoginExpected::Yes).hosts_listed(usize::MAX);
            let report = validation.run(std::io::Cursor::new(&*export)).unwrap();
            check_counts(&report, &truth, &name);
            check_logins(&report, &findings, &truth, &name);
            assert_eq!(severities(&findings, &checks), truth.sev, "{name}");
            let cves: usize = findings.iter().map(|finding| finding["cve"].as_array().unwrap().len()).sum();
            assert_eq!(cves as u64, truth.cves, "{name}");
            let agreed = compare(&export).unwrap_or_else(|difference| panic!("{name}: {difference}"));
            assert_eq!(agreed.items as u64, truth.items, "{name}");
            // However it is written, it is the same export.
            let (plain_answer, plain_truth) = plain.get_or_insert_with(|| (answer.clone(), truth.items));
            if variant != "cdata" {
                assert!(
                    *plain_truth == truth.items && *plain_answer == answer,
                    "{name}: not the lines of the plain one"
                );
            }
            let [info, low, medium, high, critical] = truth.sev;
            println!(
                "{seed:>4} {variant:<7} {:>5} {:>5} {:>10} {info:>6} {low:>5} {medium:>6} {high:>5} {critical:>8} {cves:>5}  {:?}",
                truth.hosts,
                truth.items,
                truth.compliance,
                truth.verdicts()
            );
        }
    }
}
