//! The steps on the circuits of scanners.

use std::{str::FromStr, time::Duration};

use rusqlite::{OptionalExtension, Row, Transaction, params, types::Type};

use super::{
    super::{CircuitChange, CircuitRecord, PublishOutcome},
    statements::count,
};
use crate::{
    circuit_breaker::CircuitState,
    ids::{InstanceId, PoolName},
    time::Timestamp,
};

pub(super) fn read(
    view: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    instance: &InstanceId,
) -> rusqlite::Result<Option<CircuitRecord>> {
    view.prepare_cached(
        "SELECT generation, state, until_ms, reason, changed_by, ordered, since_ms, opens, failures FROM circuits
         WHERE pool = ?1 AND instance = ?2",
    )?
    .query_row([pool.as_str(), instance.as_str()], |row| record(row, now))
    .optional()
}

fn record(row: &Row<'_>, now: Timestamp) -> rusqlite::Result<CircuitRecord> {
    let order: Option<String> = row.get(5)?;
    let until: Option<i64> = row.get(2)?;
    let since = Timestamp::from_millis(row.get(6)?);
    // Never more than it was given, wherever the clock has stepped since.
    let left = until.map(Timestamp::from_millis).map_or(Duration::ZERO, |until| until.since(now.max(since)));
    let change = CircuitChange {
        after: 0,
        state: word(1, &row.get::<_, String>(1)?)?,
        lasts: left,
        reason: row.get(3)?,
        by: row.get(4)?,
        order: order.map(|order| word(5, &order)).transpose()?,
        opens: 0,
        failures: 0,
    };
    let record = CircuitRecord::new(count(row, 0)?, &change, since);
    Ok(record.with_counts(count(row, 7)?, count(row, 8)?))
}

fn word<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(column: usize, text: &str) -> rusqlite::Result<T> {
    text.parse().map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

pub(super) fn publish(
    step: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    instance: &InstanceId,
    change: &CircuitChange,
) -> rusqlite::Result<PublishOutcome> {
    let known = read(step, now, pool, instance)?;
    if let Some(known) = &known
        && change.order.is_none()
        && (known.generation != change.after || known.state == CircuitState::Isolated)
    {
        return Ok(PublishOutcome::Superseded(known.clone()));
    }
    let (before, opens, failures) = known.map_or((0, 0, 0), |known| (known.generation, known.opens, known.failures));
    let micros = u64::try_from(now.as_millis()).unwrap_or_default().saturating_mul(1000);
    let generation = micros.max(before + 1).max(change.after + 1);
    let record =
        CircuitRecord::new(generation, change, now).with_counts(opens + change.opens, failures + change.failures);
    let until = (!change.lasts.is_zero()).then(|| now.plus(change.lasts).as_millis());
    step.prepare_cached(
        "INSERT OR REPLACE INTO circuits
         (pool, instance, generation, state, until_ms, reason, changed_by, ordered, since_ms, opens, failures)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        pool.as_str(),
        instance.as_str(),
        stored(record.generation),
        record.state.as_str(),
        until,
        record.reason,
        record.by,
        record.order.map(crate::circuit_breaker::CircuitOrder::as_str),
        now.as_millis(),
        stored(record.opens),
        stored(record.failures),
    ])?;
    Ok(PublishOutcome::Published(record))
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
