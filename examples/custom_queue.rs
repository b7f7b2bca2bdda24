//! How to put something of your own around a queue: a decorator that notes which tasks are enqueued. It names the methods that it
//! changes; all others reach the queue inside.
//!
//! ```console
//! cargo run --example custom_queue
//! cargo test -p nessus-mcp-examples --example custom_queue
//! ```
//!
//! A service uses it when it is given to `ServiceParts::new`. A backend of your own implements `Queue` and `TaskCatalogue` as a whole,
//! and passes `testing::queue_conformance`.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nessus_mcp_lib::{
    ids::{PoolName, TaskId, WorkerId},
    queue::{Charge, ChargeOutcome, EnqueueOutcome, Queue, QueueDecorator, QueueError, TaskBody, sqlite::SqliteQueue},
};

/// Notes the tasks that are enqueued, in their order.
#[derive(Debug)]
struct Noting {
    inner: Arc<dyn Queue>,
    noted: Mutex<Vec<TaskId>>,
}

impl Noting {
    fn new(inner: Arc<dyn Queue>) -> Self {
        Self { inner, noted: Mutex::default() }
    }

    fn note(&self, body: &TaskBody) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(body.task_id().clone());
    }

    fn noted(&self) -> usize {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[async_trait::async_trait]
impl QueueDecorator for Noting {
    fn inner(&self) -> &dyn Queue {
        self.inner.as_ref()
    }

    async fn enqueue(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError> {
        let outcome = self.inner.enqueue(pool, body).await?;
        self.note(body);
        Ok(outcome)
    }

    async fn enqueue_started(&self, pool: &PoolName, body: &TaskBody) -> Result<EnqueueOutcome, QueueError> {
        let outcome = self.inner.enqueue_started(pool, body).await?;
        self.note(body);
        Ok(outcome)
    }

    /// The way that submitted scans take.
    async fn enqueue_charged(
        &self,
        pool: &PoolName,
        body: &TaskBody,
        charges: &[Charge],
        started: bool,
    ) -> Result<ChargeOutcome, QueueError> {
        let outcome = self.inner.enqueue_charged(pool, body, charges, started).await?;
        self.note(body);
        Ok(outcome)
    }
}

async fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let noting = Noting::new(Arc::new(SqliteQueue::open(&directory.path().join("queue.db"))?));
    // As the service sees it.
    let queue: &dyn Queue = &noting;
    let pool = PoolName::new("lab")?;
    for task in ["ne_lab_20260101_120000_0000000a", "ne_lab_20260101_120000_0000000b"] {
        queue.enqueue(&pool, &TaskBody::parse(format!(r#"{{"task_id":"{task}"}}"#))?).await?;
    }
    let mut lines = vec![format!("noted: {}", noting.noted())];
    // The decorator does not name these two: the queue inside answers.
    let claim = queue.claim(&pool, &WorkerId::new("worker")?, Duration::from_secs(60), &[]).await?;
    lines.push(format!("claimed: {}", claim.is_some()));
    let stats = queue.stats(&pool).await?;
    lines.push(format!("ready: {}, leased: {}", stats.ready, stats.leased));
    Ok(lines)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nessus_mcp_lib::testing::decorators::a_queue_decorator_loses_nothing;

    use super::*;

    #[tokio::test]
    async fn what_is_enqueued_is_noted_and_all_else_passed_on() {
        assert_eq!(run().await.unwrap(), ["noted: 2", "claimed: true", "ready: 1, leased: 1"]);
    }

    #[tokio::test]
    async fn nothing_of_the_queue_is_lost() {
        a_queue_decorator_loses_nothing(|inner| Arc::new(Noting::new(inner)), &[]).await;
    }
}
