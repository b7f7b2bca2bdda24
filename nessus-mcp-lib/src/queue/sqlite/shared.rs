//! The steps on what workers and servers share beside entries: pauses, scanner slots, idempotency keys and the binding.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params, types::Type};

use super::statements::{count, name, rows};
use crate::{
    ids::{InstanceId, PoolName, TaskId},
    queue::{
        binding::Binding,
        entry::{IdempotencyEntry, IdempotencyOutcome, SlotOutcome},
    },
    time::Timestamp,
};

/// How many expired idempotency keys a new one sweeps away.
const SWEPT_PER_KEY: u32 = 100;

pub(super) fn set_paused(step: &Transaction<'_>, pool: &PoolName, reason: Option<&str>) -> rusqlite::Result<()> {
    step.prepare_cached(
        "INSERT INTO pools (pool, paused) VALUES (?1, ?2) ON CONFLICT (pool) DO UPDATE SET paused = excluded.paused",
    )?
    .execute(params![pool.as_str(), reason])?;
    Ok(())
}

pub(super) fn acquire_slot(
    step: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    instance: &InstanceId,
    task: &TaskId,
    capacity: u32,
    lease: Duration,
) -> rusqlite::Result<SlotOutcome> {
    step.prepare_cached("DELETE FROM slots WHERE pool = ?1 AND instance = ?2 AND expires_ms <= ?3")?
        .execute(params![pool.as_str(), instance.as_str(), now.as_millis()])?;
    let expires = now.plus(lease).as_millis();
    let prolonged = step
        .prepare_cached("UPDATE slots SET expires_ms = ?4 WHERE pool = ?1 AND instance = ?2 AND task_id = ?3")?
        .execute(params![pool.as_str(), instance.as_str(), task.as_str(), expires])?;
    if prolonged == 1 {
        return Ok(SlotOutcome::Acquired);
    }
    let in_use = step
        .prepare_cached("SELECT COUNT(*) FROM slots WHERE pool = ?1 AND instance = ?2")?
        .query_row([pool.as_str(), instance.as_str()], |row| count(row, 0))?;
    if in_use >= u64::from(capacity) {
        return Ok(SlotOutcome::Full);
    }
    step.prepare_cached("INSERT INTO slots (pool, instance, task_id, expires_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![pool.as_str(), instance.as_str(), task.as_str(), expires])?;
    Ok(SlotOutcome::Acquired)
}

pub(super) fn release_slot(
    step: &Transaction<'_>,
    pool: &PoolName,
    instance: &InstanceId,
    task: &TaskId,
) -> rusqlite::Result<()> {
    step.prepare_cached("DELETE FROM slots WHERE pool = ?1 AND instance = ?2 AND task_id = ?3")?.execute([
        pool.as_str(),
        instance.as_str(),
        task.as_str(),
    ])?;
    Ok(())
}

pub(super) fn slots_in_use(
    view: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    instance: &InstanceId,
) -> rusqlite::Result<Vec<TaskId>> {
    rows(
        view.prepare_cached(
            "SELECT task_id FROM slots WHERE pool = ?1 AND instance = ?2 AND expires_ms > ?3 ORDER BY task_id",
        )?,
        params![pool.as_str(), instance.as_str(), now.as_millis()],
        |row| name(row, 0),
    )
}

pub(super) fn idempotency_entry(
    view: &Transaction<'_>,
    now: Timestamp,
    key: &str,
) -> rusqlite::Result<Option<IdempotencyEntry>> {
    view.prepare_cached(
        "SELECT task_id, request_hash, created_at_ms FROM idempotency WHERE key = ?1 AND expires_ms > ?2",
    )?
    .query_row(params![key, now.as_millis()], |row| {
        Ok(IdempotencyEntry::new(name(row, 0)?, row.get::<_, String>(1)?, Timestamp::from_millis(row.get(2)?)))
    })
    .optional()
}

pub(super) fn claim_idempotency_key(
    step: &Transaction<'_>,
    now: Timestamp,
    key: &str,
    entry: &IdempotencyEntry,
    expires: Timestamp,
) -> rusqlite::Result<IdempotencyOutcome> {
    if let Some(existing) = idempotency_entry(step, now, key)? {
        return Ok(IdempotencyOutcome::Existing(existing));
    }
    step.prepare_cached(
        "DELETE FROM idempotency
         WHERE key IN (SELECT key FROM idempotency WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
    )?
    .execute(params![now.as_millis(), SWEPT_PER_KEY])?;
    set_idempotency_key(step, key, entry, expires)?;
    Ok(IdempotencyOutcome::Claimed)
}

pub(super) fn set_idempotency_key(
    step: &Transaction<'_>,
    key: &str,
    entry: &IdempotencyEntry,
    expires: Timestamp,
) -> rusqlite::Result<()> {
    step.prepare_cached(
        "INSERT OR REPLACE INTO idempotency (key, task_id, request_hash, created_at_ms, expires_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        key,
        entry.task_id.as_str(),
        entry.request_hash,
        entry.created_at.as_millis(),
        expires.as_millis()
    ])?;
    Ok(())
}

pub(super) fn forget_idempotency_key(step: &Transaction<'_>, key: &str, task: &TaskId) -> rusqlite::Result<()> {
    step.prepare_cached("DELETE FROM idempotency WHERE key = ?1 AND task_id = ?2")?.execute([key, task.as_str()])?;
    Ok(())
}

pub(super) fn binding(view: &Transaction<'_>) -> rusqlite::Result<Option<Binding>> {
    view.prepare_cached("SELECT value FROM facts WHERE name = 'binding'")?
        .query_row([], |row| {
            serde_json::from_str(row.get_ref(0)?.as_str()?)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
        })
        .optional()
}

pub(super) fn bind(
    step: &Transaction<'_>,
    expected: Option<&Binding>,
    new: &Binding,
) -> rusqlite::Result<Option<Binding>> {
    let standing = binding(step)?;
    if standing.as_ref() != expected {
        return Ok(standing);
    }
    step.prepare_cached("INSERT OR REPLACE INTO facts (name, value) VALUES ('binding', ?1)")?
        .execute([serde_json::json!(new).to_string()])?;
    Ok(Some(new.clone()))
}
