//! People who agree to scans, or do not, with `nessus-admin`.
#![expect(clippy::missing_panics_doc, reason = "a test whose files cannot be written cannot go on")]

use std::{path::PathBuf, time::Duration};

use nessus_mcp_lib::{
    durable,
    ids::TaskId,
    policy::{ApprovalKey, TokenHash, new_token},
    secret::Secret,
};

use crate::{
    binaries,
    deployment::{BY_POLICY, Deployment},
    processes::{Finished, Program},
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};

/// Somebody with a token.
#[derive(Debug)]
pub struct Approver {
    name: &'static str,
    /// Their token.
    pub token: Secret,
}

impl Approver {
    /// Somebody new.
    pub fn new(name: &'static str) -> Self {
        Self { name, token: new_token() }
    }

    /// Their entry in `clients`, with more keys.
    pub fn entry(&self, role: &str, more: &str) -> String {
        let (hash, key) = (TokenHash::of(self.token.expose()), ApprovalKey::of(&self.token));
        let name = self.name;
        format!("  - {{name: {name}, role: {role}, token_sha256: {hash}, approval_key: {key}{more}}}\n")
    }

    /// A file with the token, which nobody else may read.
    pub fn token_file(&self, deployment: &Deployment) -> PathBuf {
        let path = deployment.path(&format!("{}.token", self.name));
        let written = durable::replace(&path, format!("{}\n", self.token.expose()).as_bytes());
        written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// `approvals approve` or `deny` with this token.
    pub fn deciding(&self, deployment: &Deployment, command: &str, task: &TaskId) -> Program {
        let program = deployment.program(binaries::admin(), &["approvals", command, task.as_str()]).args(BY_POLICY);
        let program = program.arg("--token-file").arg(self.token_file(deployment));
        if command == "deny" { program.args(["--reason", "not this week"]) } else { program }
    }

    /// Agrees to a scan.
    pub fn approve(&self, deployment: &Deployment, task: &TaskId) -> Finished {
        self.deciding(deployment, "approve", task).run()
    }
}

/// Writes the policy that wants a person to agree to every scan; whoever is on this machine may ask for scans.
pub fn every_scan_waits(deployment: &Deployment, approver: &Approver) {
    set_policy(deployment, "approvals: [{name: every, expires_after: 1h}]\n", &approver.entry("approve", ""));
}

/// Writes a policy with these rules and clients.
pub fn set_policy(deployment: &Deployment, rules: &str, clients: &str) {
    let text = format!("{rules}local: scan\nclients:\n{clients}");
    let written = durable::replace(&deployment.path("policy.yaml"), text.as_bytes());
    written.unwrap_or_else(|error| panic!("cannot write the policy: {error}"));
}

/// A site on this queue, or on the embedded one, whose server goes by the policy that `prepare` writes. Scans take a moment.
pub async fn site_of(queue: Option<&str>, prepare: impl FnOnce(&Deployment)) -> Site {
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let deployment = Deployment::new(&sim.scanners_yaml()).on_queue(queue);
    prepare(&deployment);
    let server = deployment.server(binaries::server()).args(BY_POLICY);
    Site::start_as(sim, deployment, server).await
}
