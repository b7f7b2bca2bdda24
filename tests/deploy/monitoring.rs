//! Alert rules and dashboard ask for metrics that the programs show.

use std::{collections::BTreeSet, fs};

use nessus_mcp_tests::processes::files_below;
use serde_json::Value;

use crate::files::{elements, root, text, yaml};

/// The names that a scrape shows, with those of a histogram's parts.
pub(crate) fn shown(scrape: &str) -> BTreeSet<String> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// Each metric of the rules and the dashboard is shown. Of those with labels that have nothing to count in a good hour, the program has
/// the name.
pub(crate) fn assert_watched_is_shown(shown: &BTreeSet<String>) {
    assert!(shown.contains("nessus_queue_up") && shown.contains("process_open_fds"), "{shown:?}");
    let counted = sources();
    let unknown: Vec<_> = watched()
        .into_iter()
        .filter(|name| !shown.contains(name) && !counted.contains(&format!("\"{name}\"")))
        .collect();
    assert!(unknown.is_empty(), "no process shows {unknown:?}");
}

/// Where the library names its metrics.
fn sources() -> String {
    let files = files_below(&root().join("nessus-mcp-lib/src/telemetry")).into_iter();
    files.map(|(_, text)| String::from_utf8(text).unwrap()).collect()
}

fn rules() -> Vec<Value> {
    elements(&yaml(&text("prometheus/rules.yml"))[0]["groups"])
        .flat_map(|group| elements(&group["rules"]).cloned())
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&text("grafana/dashboard.json")).unwrap()
}

/// The queries of all panels.
fn queries() -> Vec<String> {
    let panels = dashboard();
    let targets =
        elements(&panels["panels"]).flat_map(|panel| elements(&panel["targets"]).cloned().collect::<Vec<_>>());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The metrics that rules and panels ask for.
fn watched() -> BTreeSet<String> {
    let of_rules = rules().into_iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    of_rules.chain(queries()).flat_map(|query| metrics(&query)).collect()
}

/// The metrics of a query: the words that begin as ours do, or as those of a process.
fn metrics(query: &str) -> Vec<String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("nessus_") || word.starts_with("process_")).map(str::to_owned).collect()
}

#[test]
fn every_alert_has_a_test_that_it_fires_and_one_that_it_is_silent() {
    let tests = yaml(&text("prometheus/rules_test.yml")).remove(0);
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        let of_alert = elements(&tests["tests"]).flat_map(|test| elements(&test["alert_rule_test"]));
        let of_alert = of_alert.filter(|test| test["alertname"] == alert);
        let firing: BTreeSet<bool> = of_alert.map(|test| elements(&test["exp_alerts"]).next().is_some()).collect();
        assert_eq!(firing, BTreeSet::from([false, true]), "{alert}");
    }
}

/// Each alert leads to a section that says what to do.
#[test]
fn every_alert_leads_to_a_page() {
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        let page = rule["annotations"]["runbook"].as_str().unwrap_or_else(|| panic!("{alert} has no runbook"));
        let (file, section) = page.split_once('#').unwrap_or((page, ""));
        let document = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{alert}: {file}: {error}"));
        let anchor = |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-");
        let has_section = document.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == section);
        assert!(section.is_empty() || has_section, "{alert}: {file} has no section `{section}`");
        let monitor = fs::read_to_string(root().join("docs/monitor.md")).unwrap();
        assert!(monitor.contains(&format!("`{alert}`")), "docs/monitor.md does not name {alert}");
    }
}

#[test]
fn the_dashboard_has_queries_with_units_and_titles() {
    let dashboard = dashboard();
    let mut places = BTreeSet::new();
    for panel in elements(&dashboard["panels"]).filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert!(elements(&panel["targets"]).next().is_some(), "{title} asks nothing");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        assert!(
            places.insert((panel["gridPos"]["x"].to_string(), panel["gridPos"]["y"].to_string())),
            "{title} lies on another"
        );
    }
    assert!(queries().len() >= 20);
}

#[test]
fn the_metrics_of_a_query_are_found() {
    let query = "sum by (pool) (rate(nessus_retries_total{step=\"watch\"}[5m])) > process_open_fds";
    assert_eq!(metrics(query), ["nessus_retries_total", "process_open_fds"]);
    assert!(shown("# TYPE a counter\na{b=\"c\"} 1\nd 2\n").iter().eq(["a", "d"]));
}
