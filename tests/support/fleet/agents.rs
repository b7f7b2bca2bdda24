//! Agents that submit until they have an answer, and ask for their scans until these have ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    client::{ClientError, NessusMcpClient},
    ids::TaskId,
    service::{IdempotencyKey, SubmitRequest},
};
use tokio::task::JoinSet;

use super::Plan;

/// How long an agent waits for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// The pause before the same is asked again, and between two rounds of asking.
const AGAIN: Duration = Duration::from_millis(100);

/// How far the agents are.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Submits that were answered, and scans that were seen to have ended.
    steps: AtomicUsize,
    done: AtomicBool,
}

impl Progress {
    pub(super) fn steps(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }

    pub(super) fn are_done(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the agents were told: by idempotency key, the task; `None` where no answer came.
pub(super) type Told = BTreeMap<String, Option<TaskId>>;

/// Submits all scans of a plan; returns when all have ended, or it is too late.
pub(super) async fn run(plan: Plan, servers: Vec<String>, until: Instant, progress: Arc<Progress>) -> Told {
    let mut agents = JoinSet::new();
    for number in 0..plan.agents {
        let agent =
            Agent { servers: servers.clone(), at: number, until, progress: Arc::clone(&progress), client: None };
        let scans: Vec<usize> = (number..plan.scans).step_by(plan.agents).collect();
        agents.spawn(agent.run(plan.seed, scans));
    }
    agents.join_all().await.into_iter().flatten().collect()
}

async fn submit(client: Arc<NessusMcpClient>, request: SubmitRequest) -> Result<TaskId, ClientError> {
    Ok(client.submit_scan(&request).await?.task_id)
}

async fn has_ended(client: Arc<NessusMcpClient>, task: TaskId) -> Result<bool, ClientError> {
    Ok(client.get_status(&task).await?.status.is_terminal())
}

struct Agent {
    servers: Vec<String>,
    /// Which of them it asks.
    at: usize,
    until: Instant,
    progress: Arc<Progress>,
    client: Option<Arc<NessusMcpClient>>,
}

impl Agent {
    async fn run(mut self, seed: u64, scans: Vec<usize>) -> Told {
        let mut told = Told::new();
        for number in scans {
            let key = format!("fleet-{seed}-{number}");
            let mut request =
                SubmitRequest::untrusted(format!("scan {number}"), format!("192.0.2.{}", number % 250 + 1));
            request.idempotency_key = IdempotencyKey::new(key.as_str()).ok();
            let task = self.ask(|client| submit(client, request.clone())).await;
            self.progress.step();
            told.insert(key, task);
        }
        let mut open: BTreeSet<TaskId> = told.values().flatten().cloned().collect();
        while !open.is_empty() && Instant::now() < self.until {
            for task in open.clone() {
                let ended = self.ask(|client| has_ended(client, task.clone())).await;
                if ended == Some(true) {
                    self.progress.step();
                    open.remove(&task);
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
        told
    }

    /// Asks one server after the other until one answers; `None` when it is too late.
    async fn ask<T, F>(&mut self, question: impl Fn(Arc<NessusMcpClient>) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        while Instant::now() < self.until {
            if let Some(client) = self.client().await {
                let asked = tokio::time::timeout(ANSWER, question(client)).await;
                if let Ok(Ok(answer)) = asked {
                    return Some(answer);
                }
            }
            self.client = None;
            self.at += 1;
            tokio::time::sleep(AGAIN).await;
        }
        None
    }

    /// The connection to the server that is asked now, if that can be reached.
    async fn client(&mut self) -> Option<Arc<NessusMcpClient>> {
        if self.client.is_none() {
            let server = &self.servers[self.at % self.servers.len()];
            let connected = tokio::time::timeout(ANSWER, NessusMcpClient::connect(server.as_str())).await;
            self.client = connected.ok().and_then(Result::ok).map(Arc::new);
        }
        self.client.clone()
    }
}
