//! Hosts that count against a day: what a server tells of them, and what the files of the tasks say.
#![expect(clippy::missing_panics_doc, reason = "a test whose server does not answer cannot go on")]

use nessus_mcp_lib::{client::NessusMcpClient, ids::TaskId};
use serde_json::{Value, json};

use crate::deployment::{Deployment, Server};

/// How many hosts of today are used, as this server tells.
pub async fn used_today(server: &Server) -> u64 {
    let asked = async {
        let client = NessusMcpClient::connect(&server.mcp()).await?;
        client.call("health_check", &json!({})).await
    };
    let health = asked.await.unwrap_or_else(|error| panic!("{error}\n{}", server.process.tail()));
    let read: Option<Value> = serde_json::from_str(&health).ok();
    let used = read.and_then(|health| health["checks"]["scope"]["hosts_today"]["used"].as_u64());
    used.unwrap_or_else(|| panic!("nothing is said of today: {health}"))
}

/// The hosts that tasks are charged for by their files, but those of tasks that have ended without a launch.
pub fn charged(deployment: &Deployment) -> u64 {
    let ids = deployment.task_directories().into_iter().filter_map(|id| TaskId::new(id).ok());
    let charges = ids.flat_map(|id| {
        let task = deployment.task(&id);
        let has_ended = task.status.is_terminal();
        task.charged_hosts.into_iter().filter(move |charged| charged.launched || !has_ended)
    });
    charges.map(|charged| charged.hosts).sum()
}
