//! Clients that submit until they have an answer, whatever happens to the server.

use std::{collections::BTreeMap, time::Duration};

use nessus_mcp_lib::{
    client::NessusMcpClient,
    credentials::Login,
    ids::TaskId,
    scanner::{ScanCredential, SshCredential, SshLogin},
    secret::Secret,
    service::{IdempotencyKey, SubmitRequest},
};
use tokio::task::JoinSet;

use super::{Moments, Plan};

/// How many submit at a time.
const CLIENTS: usize = 6;
/// How long a client waits for one answer.
const ANSWER: Duration = Duration::from_secs(15);
/// The pause before the same request is made again.
const AGAIN: Duration = Duration::from_millis(50);
/// How often a client asks before it gives up: for minutes.
const TRIES: usize = 2000;

/// The password of the scans that log in.
pub(super) const PASSWORD: &str = "planted-password";

/// Whether a task logs in to its targets, with a login that comes with the request: every third.
pub(super) fn logs_in(name: &str) -> bool {
    name.rsplit(' ').next().and_then(|number| number.parse::<usize>().ok()).is_some_and(|number| number % 3 == 0)
}

/// What the clients were told: by idempotency key, the ids in the order of the answers.
pub(super) type Answers = BTreeMap<String, Vec<TaskId>>;

/// Submits all tasks of a plan; returns when each has its answer.
pub(super) async fn submit_all(plan: Plan, mcp: String) -> Answers {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (plan, mcp) = (plan.clone(), mcp.clone());
        let moments = Moments::new(plan.seed ^ (0xC11E_0000 + u64::try_from(client).unwrap_or(0)));
        clients.spawn(async move { submit_some(&plan, &mcp, client, moments).await });
    }
    let mut answers = Answers::new();
    while let Some(client) = clients.join_next().await {
        answers.extend(client.unwrap_or_default());
    }
    answers
}

/// Every sixth task.
async fn submit_some(plan: &Plan, mcp: &str, client: usize, mut moments: Moments) -> Answers {
    let mut answers = Answers::new();
    for number in (client..plan.tasks).step_by(CLIENTS) {
        let key = format!("key-{number}");
        let mut told = Vec::new();
        // Some ask again although they have an answer, as an agent does that has forgotten it.
        let times = moments.pick(&[1, 1, 1, 2]).unwrap_or(1);
        for _ in 0..TRIES {
            match tokio::time::timeout(ANSWER, submit(mcp, &key, number)).await {
                Ok(Ok(task)) => told.push(task),
                Ok(Err(_)) | Err(_) => tokio::time::sleep(AGAIN).await,
            }
            if told.len() == times {
                break;
            }
        }
        answers.insert(key, told);
        tokio::time::sleep(moments.next_in(&plan.submit_pause)).await;
    }
    answers
}

async fn submit(mcp: &str, key: &str, number: usize) -> Result<TaskId, nessus_mcp_lib::client::ClientError> {
    let client = NessusMcpClient::connect(mcp).await?;
    let name = format!("task {number}");
    let targets = format!("192.0.2.{}", number % 250 + 1);
    let mut arguments = if logs_in(&name) {
        let login = SshCredential::new("scan", SshLogin::Password(Secret::new(PASSWORD)));
        SubmitRequest::trusted(name, targets, Login::Inline(ScanCredential::Ssh(login)))
    } else {
        SubmitRequest::untrusted(name, targets)
    };
    arguments.idempotency_key = IdempotencyKey::new(key).ok();
    Ok(client.submit_scan(&arguments).await?.task_id)
}
