//! A receiver of webhooks on this machine.
#![expect(clippy::missing_panics_doc, reason = "a test whose receiver does not listen cannot go on")]

use std::{collections::BTreeMap, time::Duration};

use nessus_mcp_lib::{durable, ids::TaskId};
use serde_json::Value;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

use crate::{
    deployment::Deployment,
    processes::{Process, until},
};

/// The key that every request must be signed with.
pub const KEY: &str = "planted-webhook-key-0123456789";

/// Keeps what it is told.
#[derive(Debug)]
pub struct Receiver {
    server: MockServer,
    url: String,
}

/// The key `webhooks` of a policy with this receiver, whose key [`write_key`] writes.
pub fn entry(name: &str, url: &str) -> String {
    format!("webhooks: [{{name: {name}, url: \"{url}\", secret_file: webhook.key, allow_private: true}}]\n")
}

/// Writes the key of [`entry`] beside the policy.
pub fn write_key(deployment: &Deployment) {
    let written = durable::replace(&deployment.path("webhook.key"), format!("{KEY}\n").as_bytes());
    written.unwrap_or_else(|error| panic!("cannot write the key: {error}"));
}

impl Receiver {
    /// One that takes everything.
    pub async fn start() -> Self {
        Self::with(ResponseTemplate::new(204)).await
    }

    /// One that answers with this status.
    pub async fn answering(status: u16) -> Self {
        Self::with(ResponseTemplate::new(status)).await
    }

    /// One that never answers.
    pub async fn hanging() -> Self {
        Self::with(ResponseTemplate::new(204).set_delay(Duration::from_secs(3600))).await
    }

    async fn with(answer: ResponseTemplate) -> Self {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let url = format!("{}/hooks/planted", server.uri());
        Self { server, url }
    }

    /// Answers with this status from now on, and forgets what it was told.
    pub async fn answers(&self, status: u16) {
        self.server.reset().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(status)).mount(&self.server).await;
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it was told, in order.
    pub async fn told(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap_or_default()
    }

    /// Waits until it has heard of an event of a task.
    pub async fn hears(&self, event: &str, task: &TaskId, processes: &[&Process]) -> Value {
        until(&format!("the receiver hears that {task} is {event}"), processes, async || {
            let told = self.told().await;
            let bodies = told.iter().map(body);
            bodies.into_iter().find(|body| body["event"] == event && body["task"]["id"] == task.as_str())
        })
        .await
    }

    /// Every id, with how often it came.
    pub async fn ids(&self) -> BTreeMap<String, usize> {
        let mut ids = BTreeMap::new();
        for request in self.told().await {
            *ids.entry(body(&request)["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        ids
    }

    /// All that it was sent, as one text.
    pub async fn everything(&self) -> String {
        format!(
            "{:?}",
            self.told().await.iter().map(|request| (request.headers.clone(), body(request))).collect::<Vec<_>>()
        )
    }
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_else(|error| panic!("what was sent is no JSON: {error}"))
}
