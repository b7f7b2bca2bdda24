//! What may be long: read and removed page by page, because the server answers nobody else meanwhile.

use std::collections::{BTreeMap, HashSet};

use redis::{FromRedisValue, cmd};

use super::{RedisQueue, calls::LostReply, letters, scripts};
use crate::{
    ids::PoolName,
    queue::{entry::DeadLetter, error::QueueError},
    time::Timestamp,
};

/// How many entries or fields are read with one command.
const PAGE: u32 = 500;

impl RedisQueue {
    /// The fields of a hash and their values, read page by page.
    pub(super) async fn fields_of<T: FromRedisValue>(&self, key: &str) -> Result<BTreeMap<String, T>, QueueError> {
        let (mut fields, mut cursor) = (BTreeMap::new(), 0);
        loop {
            let mut scan = cmd("HSCAN");
            scan.arg(key).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, page): (u64, Vec<(String, T)>) = self.calls.ask(&scan).await?;
            fields.extend(page);
            if next == 0 {
                return Ok(fields);
            }
            cursor = next;
        }
    }

    /// A part of the dead letters, newest first.
    pub(super) async fn letters_from(
        &self,
        pool: &PoolName,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let key = self.naming.companion(pool, "dead");
        let (Ok(mut first), mut left) = (i64::try_from(offset), limit) else { return Ok(Vec::new()) };
        let mut letters: Vec<(Vec<u8>, f64)> = Vec::new();
        while left > 0 {
            let asked = left.min(PAGE);
            let last = first.saturating_add(i64::from(asked) - 1);
            let page: Vec<(Vec<u8>, f64)> =
                self.calls.ask(cmd("ZREVRANGE").arg(&key).arg(first).arg(last).arg("WITHSCORES")).await?;
            (first, left) = (last.saturating_add(1), if page.len() < asked as usize { 0 } else { left - asked });
            // What was added meanwhile has moved the rest down.
            let shown = letters.iter().rev().take(PAGE as usize).map(|(letter, _)| letter.clone());
            let shown: HashSet<_> = shown.collect();
            letters.extend(page.into_iter().filter(|(letter, _)| !shown.contains(letter)));
        }
        Ok(letters.into_iter().map(|(letter, score)| letters::read(&letter, score)).collect())
    }

    /// Removes the letters that failed before a moment; returns how many.
    pub(super) async fn purge_letters(&self, pool: &PoolName, before: Timestamp) -> Result<u64, QueueError> {
        let purge = self.script(&scripts::PURGE, pool, [letters::score(before)]);
        let mut purged = 0;
        loop {
            match self.calls.run::<u64>(&purge, LostReply::Repeat).await? {
                0 => return Ok(purged),
                some => purged += some,
            }
        }
    }

    /// The bodies of the first ready entries.
    pub(super) async fn first_bodies(&self, pool: &PoolName, limit: u32) -> Result<Vec<String>, QueueError> {
        let (mut bodies, mut skipped) = (Vec::new(), 0);
        while skipped < limit {
            let asked = (limit - skipped).min(PAGE);
            let peek = self.script(&scripts::PEEK, pool, [skipped.to_string(), asked.to_string()]);
            let page: Vec<Option<Vec<u8>>> = self.calls.run(&peek, LostReply::Repeat).await?;
            skipped = if page.len() < asked as usize { limit } else { skipped + asked };
            bodies.extend(page.into_iter().flatten().map(|body| String::from_utf8_lossy(&body).into_owned()));
        }
        Ok(bodies)
    }
}
