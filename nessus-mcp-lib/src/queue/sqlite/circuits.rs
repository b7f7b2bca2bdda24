//! The steps on the circuits of scanners.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, Transaction, params, types::Type};

use super::{
    super::{CircuitNotice, CircuitNoticeKind, CircuitReport, PostedNotice, ProcessCircuits},
    statements::count,
};
use crate::{
    error::excerpt,
    ids::{InstanceId, PoolName},
    time::Timestamp,
};

pub(super) fn notice(
    view: &Transaction<'_>,
    pool: &PoolName,
    instance: &InstanceId,
) -> rusqlite::Result<Option<PostedNotice>> {
    view.prepare_cached(
        "SELECT version, notice, reason, posted_by, posted_ms FROM circuit_notices WHERE pool = ?1 AND instance = ?2",
    )?
    .query_row([pool.as_str(), instance.as_str()], posted)
    .optional()
}

fn posted(row: &Row<'_>) -> rusqlite::Result<PostedNotice> {
    let word: String = row.get(1)?;
    let kind = CircuitNoticeKind::parse(&word).ok_or_else(|| {
        let problem = format!("`{}` is no notice of a circuit", excerpt(&word));
        rusqlite::Error::FromSqlConversionFailure(1, Type::Text, problem.into())
    })?;
    let notice = CircuitNotice { kind, reason: row.get(2)?, by: row.get(3)? };
    Ok(PostedNotice::new(count(row, 0)?, Timestamp::from_millis(row.get(4)?), notice))
}

pub(super) fn post(
    step: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    instance: &InstanceId,
    notice: &CircuitNotice,
) -> rusqlite::Result<PostedNotice> {
    let standing = self::notice(step, pool, instance)?;
    let before = match standing {
        Some(isolation) if isolation.isolates() && notice.kind == CircuitNoticeKind::LoginRefused => {
            return Ok(isolation);
        }
        standing => standing.map_or(0, |standing| standing.version),
    };
    let micros = u64::try_from(now.as_millis()).unwrap_or_default().saturating_mul(1000);
    let version = micros.max(before.saturating_add(1));
    step.prepare_cached(
        "INSERT OR REPLACE INTO circuit_notices (pool, instance, version, notice, reason, posted_by, posted_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        pool.as_str(),
        instance.as_str(),
        i64::try_from(version).unwrap_or(i64::MAX),
        notice.kind.as_str(),
        notice.reason,
        notice.by,
        now.as_millis(),
    ])?;
    Ok(PostedNotice::new(version, now, notice.clone()))
}

pub(super) fn publish(
    step: &Transaction<'_>,
    now: Timestamp,
    process: &str,
    circuits: &[CircuitReport],
    lasts: Duration,
) -> rusqlite::Result<()> {
    let lasts = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
    step.prepare_cached(
        "INSERT OR REPLACE INTO circuit_states (process, states, published_ms, lasts_ms) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![process, serde_json::json!(circuits).to_string(), now.as_millis(), lasts])?;
    step.prepare_cached("DELETE FROM circuit_states WHERE abs(?1 - published_ms) >= lasts_ms")?
        .execute([now.as_millis()])?;
    Ok(())
}

/// A clock that has stepped back makes no record last longer: what lies in the future was published before the step.
pub(super) fn published(view: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<Vec<ProcessCircuits>> {
    let mut select = view.prepare_cached(
        "SELECT process, max(0, ?1 - published_ms), states FROM circuit_states
         WHERE abs(?1 - published_ms) < lasts_ms ORDER BY process",
    )?;
    let rows = select.query_map([now.as_millis()], |row| {
        Ok(ProcessCircuits::parse(row.get(0)?, count(row, 1)?, &row.get::<_, String>(2)?))
    })?;
    rows.filter_map(Result::transpose).collect()
}
