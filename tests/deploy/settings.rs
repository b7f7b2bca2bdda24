//! Each variable that a deployment sets is one of the programs.

use std::collections::BTreeSet;

use nessus_mcp_tests::{binaries, deployment::Deployment, processes::Program};
use serde_json::Value;

/// What object stores read of the environment, as far as deployments name it.
const OF_STORES: [&str; 4] = ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"];

/// What server and worker know, as `config check` tells it, and what object stores do.
pub(crate) fn known() -> BTreeSet<String> {
    let deployment = Deployment::new("lab:\n  - {instance_id: a, type: mock}\n");
    let check = deployment.program(binaries::admin(), &["config", "check", "--json"]).run();
    let told: Value = serde_json::from_str(&check.stdout).unwrap_or_else(|error| panic!("{error}: {check:?}"));
    let names = told["settings"].as_array().unwrap().iter();
    let names = names.map(|setting| setting["name"].as_str().unwrap().to_owned());
    let others = OF_STORES.into_iter().chain(["NESSUS_MCP_SECRET_KEY_FILE"]).map(str::to_owned);
    let known: BTreeSet<_> = names.chain(others).collect();
    assert!(known.len() > 40, "{known:?}");
    known
}

/// All of these are settings.
pub(crate) fn assert_known(place: &str, names: impl IntoIterator<Item = String>) {
    let known = known();
    let unknown: Vec<_> = names.into_iter().filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "{place}: no program knows {unknown:?}");
}

/// `config check` with these variables: what it finds wrong, and its warnings.
pub(crate) fn wrong_with(environment: &[(String, String)]) -> Vec<Value> {
    let check = Program::new(binaries::admin()).args(["config", "check", "--json"]);
    let check = environment.iter().fold(check, |check, (name, value)| check.env(name, value)).run();
    let told: Value = serde_json::from_str(&check.stdout).unwrap_or_else(|error| panic!("{error}: {check:?}"));
    ["faults", "warnings"].iter().flat_map(|kind| told[kind].as_array().unwrap().clone()).collect()
}

#[test]
fn a_variable_that_nobody_knows_is_found() {
    assert!(known().contains("MCP_BIND") && !known().contains("MCP_PORT"));
}
