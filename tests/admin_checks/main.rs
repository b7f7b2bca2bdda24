//! The commands of `nessus-admin` that check and show a deployment, as processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod config;
mod doctor;
mod documents;
mod health;
mod queue_audit;
mod report;
mod scanners;
mod shell;
mod top;

use std::path::Path;

use nessus_mcp_tests::{
    deployment::Deployment,
    processes::{Finished, Program},
};
use serde_json::Value;

const MOCKS: &str = "lab:\n  - {instance_id: mock-1, type: mock, scan_duration: 50ms}\n";

fn program(deployment: &Deployment, arguments: &[&str]) -> Program {
    deployment.program(Path::new(env!("CARGO_BIN_EXE_nessus-admin")), arguments)
}

fn admin(deployment: &Deployment, arguments: &[&str]) -> Finished {
    program(deployment, arguments).run()
}

/// A run without the flags of a deployment.
fn alone(arguments: &[&str]) -> Finished {
    Program::new(env!("CARGO_BIN_EXE_nessus-admin")).args(arguments.iter().copied()).run()
}

#[track_caller]
fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}
