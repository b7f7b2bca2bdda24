//! What processes tell each other of circuits.

use std::time::Duration;

use redis::{ParsingError, Value};

use super::{
    RedisQueue,
    calls::LostReply,
    errors, keys,
    scripts::{self, millis},
};
use crate::{
    error::excerpt,
    ids::{InstanceId, PoolName},
    queue::{
        circuit::{CircuitNotice, CircuitNoticeKind, CircuitReport, PostedNotice, ProcessCircuits},
        error::QueueError,
    },
    time::Timestamp,
};

impl RedisQueue {
    pub(super) async fn post_notice(
        &self,
        pool: &PoolName,
        instance: &InstanceId,
        notice: &CircuitNotice,
    ) -> Result<PostedNotice, QueueError> {
        let CircuitNotice { kind, reason, by } = notice.clone();
        let post = scripts::POST_CIRCUIT_NOTICE
            .on([self.naming.circuit(pool, instance)], [kind.as_str().to_owned(), reason, by]);
        let standing = read_notice(self.calls.run(&post, LostReply::Repeat).await?);
        let standing =
            standing.and_then(|notice| notice.ok_or_else(|| ParsingError::from("a circuit without a notice")));
        standing.map_err(|error| errors::unexpected(self.calls.location(), error))
    }

    pub(super) async fn notices(
        &self,
        pool: &PoolName,
        instances: &[InstanceId],
    ) -> Result<Vec<Option<PostedNotice>>, QueueError> {
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = instances.iter().map(|instance| self.naming.circuit(pool, instance)).collect();
        let stored: Vec<Value> = self.calls.run(&scripts::CIRCUIT_NOTICES.on(keys, []), LostReply::Repeat).await?;
        let read = stored.into_iter().map(read_notice).collect::<Result<_, _>>();
        read.map_err(|error| errors::unexpected(self.calls.location(), error))
    }

    pub(super) async fn publish_circuits(
        &self,
        process: &str,
        circuits: &[CircuitReport],
        lasts: Duration,
    ) -> Result<(), QueueError> {
        let arguments = [process.to_owned(), millis(lasts), serde_json::json!(circuits).to_string()];
        let publish = scripts::PUBLISH_CIRCUIT_STATES.on([keys::CIRCUIT_STATES.to_owned()], arguments);
        self.calls.run(&publish, LostReply::Repeat).await
    }

    pub(super) async fn published_circuits(&self) -> Result<Vec<ProcessCircuits>, QueueError> {
        let read = scripts::CIRCUIT_STATES.on([keys::CIRCUIT_STATES.to_owned()], []);
        let stored: Vec<(String, u64, String)> = self.calls.run(&read, LostReply::Repeat).await?;
        let parsed =
            stored.into_iter().filter_map(|(process, age, circuits)| ProcessCircuits::parse(process, age, &circuits));
        let mut processes: Vec<_> = parsed.collect();
        processes.sort_by(|one, other| one.process.cmp(&other.process));
        Ok(processes)
    }
}

/// A notice's fields, in the order of `circuit_notice.lua`. Circuits that an earlier version of the program has told of are no
/// notices.
fn read_notice(value: Value) -> Result<Option<PostedNotice>, ParsingError> {
    let Some(fields) = redis::from_redis_value::<Option<Vec<Option<String>>>>(value)? else { return Ok(None) };
    let text = |index: usize| fields.get(index).and_then(Option::as_deref).unwrap_or_default();
    let wrong = |index: usize| ParsingError::from(format!("`{}` in a circuit", excerpt(text(index))));
    let number = |index: usize| text(index).parse::<u64>().map_err(|_| wrong(index));
    if text(1).is_empty() {
        return Ok(None);
    }
    let kind = CircuitNoticeKind::parse(text(1)).ok_or_else(|| wrong(1))?;
    let notice = CircuitNotice { kind, reason: text(2).to_owned(), by: text(3).to_owned() };
    let at = Timestamp::from_millis(i64::try_from(number(4)?).unwrap_or(i64::MAX));
    Ok(Some(PostedNotice::new(number(0)?, at, notice)))
}
