//! `webhooks list|test|retry`: who is told what happens to tasks.

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    delivery::ping,
    error::{Classified, ErrorKind, Failure, counted, excerpt, nearest},
    ids::PoolName,
    policy::Webhook,
    queue::QueueStats,
};
use serde_json::json;

use super::{acts::Operator, queue};
use crate::{
    args::{ListWebhooksArgs, RetryWebhooksArgs, TestWebhookArgs},
    output::{self, Cell, Colour, Column, Table},
};

/// A webhook that the policy does not have.
#[derive(Debug, thiserror::Error)]
#[error("there is no webhook `{}`{}", excerpt(name), known.first().map_or_else(String::new, |like| format!("; did you mean `{like}`?")))]
struct Unknown {
    name: String,
    /// Those that there are, the most like it first.
    known: Vec<String>,
}

impl Classified for Unknown {
    fn code(&self) -> &'static str {
        "unknown_webhook"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::NotFound
    }

    fn hint(&self) -> Option<String> {
        Some(if self.known.is_empty() {
            "name the policy of server and workers with `--policy-config` or `POLICY_CONFIG`".to_owned()
        } else {
            format!("the webhooks are: {}", self.known.join(", "))
        })
    }
}

pub(crate) async fn list(args: &ListWebhooksArgs) -> Result<(), Failure> {
    let settings = args.policy.settings()?;
    let policy = ScanService::load_scope(&settings).await?.policy();
    let stats = match waiting(&settings).await {
        Ok(stats) => Some(stats),
        Err(failure) => {
            output::warning(&format!("how much is left to tell is not known: {failure}"));
            None
        }
    };
    let waits = stats.as_ref().map(|stats| stats.ready + stats.delayed + stats.leased);
    let dead = stats.as_ref().map(|stats| stats.dead);
    if args.json {
        let webhooks: Vec<_> = policy.webhooks().iter().map(document).collect();
        return output::json(&json!({ "webhooks": webhooks, "waiting": waits, "dead": dead }));
    }
    let mut table = Table::new(
        ["name", "address", "events", "pools", "clients"].map(Column::new).into_iter().chain([Column::wide("key")]),
    );
    for webhook in policy.webhooks() {
        let key = match &webhook.key {
            Ok(_) => Cell::new("known"),
            Err(missing) => Cell::new(missing).coloured(Colour::Bad),
        };
        let named =
            |names: Option<Vec<String>>| Cell::new(names.map_or_else(|| "all".to_owned(), |names| names.join(", ")));
        table.row([
            Cell::new(&webhook.name),
            Cell::new(&webhook.address),
            Cell::new(events(webhook).join(", ")),
            named(webhook.pools.as_ref().map(|pools| pools.iter().map(ToString::to_string).collect())),
            named(webhook.clients.clone()),
            key,
        ]);
    }
    if policy.webhooks().is_empty() {
        output::say("the policy has no webhooks");
    } else {
        output::table(&table);
    }
    if let (Some(waits), Some(dead)) = (waits, dead) {
        let waits = counted(waits, "task has something to tell", "tasks have something to tell");
        let dead = counted(dead, "dead letter", "dead letters");
        output::note(&format!("{waits}; {dead} (`list-dlq --pool {}`)", PoolName::DELIVERIES));
    }
    Ok(())
}

pub(crate) async fn test(args: &TestWebhookArgs) -> Result<(), Failure> {
    let scope = ScanService::load_scope(&args.policy.settings()?).await?;
    let policy = scope.policy();
    let webhooks = policy.webhooks();
    let webhook = webhooks.iter().find(|webhook| webhook.name == args.name).ok_or_else(|| Unknown {
        name: args.name.clone(),
        known: nearest(&args.name, webhooks.iter().map(|webhook| webhook.name.as_str()))
            .into_iter()
            .map(str::to_owned)
            .collect(),
    })?;
    if let Err(missing) = &webhook.key {
        return Err(missing.clone().into_error().into());
    }
    let sent = ping(webhook, &scope).await?;
    let (name, address) = (&webhook.name, &webhook.address);
    if args.json {
        let took = sent.took.as_secs_f64();
        return output::json(&json!({ "webhook": name, "address": address, "status": sent.status, "seconds": took }));
    }
    output::say(format!("{name}: {address} has taken the event ping (HTTP {})", sent.status));
    Ok(())
}

/// Retries the deliveries of each task. Those that cannot be retried are reported and do not hold back the others.
pub(crate) async fn retry(args: &RetryWebhooksArgs) -> Result<(), Failure> {
    retry_of(&args.common.settings()?, &args.tasks, args.json).await
}

pub(super) async fn retry_of(settings: &Settings, tasks: &[String], json: bool) -> Result<(), Failure> {
    let Operator { service, recorder } = Operator::open(settings).await?;
    let mut refused: Vec<Failure> = Vec::new();
    for text in tasks {
        let retry = async {
            let task_id = service.find_task(text).await?;
            let retried = service.retry_deliveries(&task_id).await?;
            Ok((task_id, retried))
        };
        match recorder.run("webhooks retry", json!({ "task": text }), Some(text), retry).await {
            Ok((task_id, retried)) if json => output::json(&json!({ "task_id": task_id, "retried": retried }))?,
            Ok((task_id, retried)) => {
                let retried = counted(retried as u64, "delivery is", "deliveries are");
                output::say(format!("{task_id}  {retried} tried again"));
            }
            Err(error) => refused.push(error),
        }
    }
    // The process ends with the last failure; the others are printed before it.
    let Some(last) = refused.pop() else { return Ok(()) };
    refused.iter().for_each(output::failure);
    Err(last)
}

/// What the queue has of deliveries.
async fn waiting(settings: &Settings) -> Result<QueueStats, Failure> {
    Ok(queue::open(settings).await?.stats(&PoolName::deliveries()).await?)
}

fn events(webhook: &Webhook) -> Vec<&'static str> {
    webhook.events.iter().map(|event| event.as_str()).collect()
}

fn document(webhook: &Webhook) -> serde_json::Value {
    json!({
        "name": webhook.name,
        "address": webhook.address,
        "events": events(webhook),
        "pools": webhook.pools,
        "clients": webhook.clients,
        "allow_private": webhook.allow_private,
        "key": webhook.key.is_ok(),
    })
}
