//! What workers tell of themselves.

use std::time::Duration;

use redis::cmd;

use super::{
    RedisQueue,
    calls::LostReply,
    keys,
    scripts::{self, millis},
};
use crate::{
    ids::WorkerId,
    queue::{
        error::QueueError,
        workers::{MOST_WORKERS, SeenWorker, WorkerRecord},
    },
};

impl RedisQueue {
    pub(super) async fn announce(&self, record: &WorkerRecord, kept: Duration) -> Result<(), QueueError> {
        let text = serde_json::json!(record).to_string();
        let arguments = [record.worker.to_string(), millis(kept), text, MOST_WORKERS.to_string()];
        let announce = scripts::ANNOUNCE_WORKER.on([keys::WORKERS.to_owned()], arguments);
        self.calls.run(&announce, LostReply::Repeat).await
    }

    pub(super) async fn withdraw(&self, worker: &WorkerId) -> Result<(), QueueError> {
        self.calls.ask(cmd("HDEL").arg(keys::WORKERS).arg(worker.as_str())).await
    }

    pub(super) async fn announced(&self) -> Result<Vec<SeenWorker>, QueueError> {
        let read = scripts::WORKERS.on([keys::WORKERS.to_owned()], []);
        let listed: Vec<(String, u64)> = self.calls.run(&read, LostReply::Repeat).await?;
        let mut seen: Vec<_> = listed.into_iter().filter_map(|(record, age)| SeenWorker::parse(&record, age)).collect();
        seen.sort_by(|one, other| one.record.worker.cmp(&other.record.worker));
        Ok(seen)
    }
}
