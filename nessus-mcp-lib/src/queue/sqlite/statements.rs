//! The steps on entries and dead letters, each inside a transaction that the caller commits.

use std::{error::Error, str::FromStr};

use rusqlite::{CachedStatement, OptionalExtension, Row, Transaction, params, types::Type};
use serde_json::{Map, Value};

use crate::{
    ids::{FencingToken, InstanceId, PoolName, TaskId},
    queue::{
        body::TaskBody,
        entry::{
            DeadLetter, DeadReason, EnqueueOutcome, EntryState, LOSSES_ALLOWED, Lease, LeaseInfo, Outlook, QueueStats,
            RemoveOutcome, RenewOutcome, RetryDeadOutcome, SettleOutcome, Settlement,
        },
    },
    time::Timestamp,
};

/// How many dead letters one step of a purge removes.
pub(super) const PURGED_PER_STEP: u32 = 1000;

/// The place above which the tasks stand that have not started. Those that have are all before it.
pub(super) const FIRST_PLACE: i64 = -(1 << 40);

/// Where in the queue an entry goes; stored with those that wait for their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Behind all others.
    Back = 0,
    /// Before all that have not started.
    Front = 1,
    /// Before all others: it has started.
    Started = 2,
}

impl End {
    const fn of(started: bool, otherwise: Self) -> Self {
        if started { Self::Started } else { otherwise }
    }

    pub(super) const fn read(stored: i64) -> Self {
        match stored {
            0 => Self::Back,
            1 => Self::Front,
            _ => Self::Started,
        }
    }
}

/// A row's id and what a step must know of it.
pub(super) struct Held {
    pub(super) id: i64,
    pub(super) body: String,
    pub(super) deliveries: u32,
    pub(super) losses: u32,
}

impl Held {
    /// The columns of a row that begin at `first`: id, body, deliveries, losses.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let (id, body) = (row.get(first)?, lossy(row, first + 1)?);
        Ok(Self { id, body, deliveries: row.get(first + 2)?, losses: row.get(first + 3)? })
    }
}

pub(super) fn enqueue(
    step: &Transaction<'_>,
    pool: &PoolName,
    body: &TaskBody,
    end: End,
) -> rusqlite::Result<EnqueueOutcome> {
    if entry_state(step, pool, body.task_id())?.is_some() {
        return Ok(EnqueueOutcome::AlreadyKnown);
    }
    add(step, pool, body, end)?;
    Ok(EnqueueOutcome::Added)
}

pub(super) fn raise_fencing_token(
    step: &Transaction<'_>,
    now: Timestamp,
    lease: &Lease,
    above: FencingToken,
) -> rusqlite::Result<Option<Lease>> {
    let Some(held) = held(step, lease)? else {
        return Ok(None);
    };
    let fence = next_fence(step, now, &lease.pool, above)?;
    step.prepare_cached("UPDATE entries SET fence = ?1 WHERE id = ?2")?.execute(params![stored(fence), held.id])?;
    Ok(Some(Lease { fence, ..lease.clone() }))
}

pub(super) fn renew(
    step: &Transaction<'_>,
    leases: &[Lease],
    expires: Timestamp,
) -> rusqlite::Result<Vec<RenewOutcome>> {
    let mut statement = step.prepare_cached(
        "UPDATE entries SET expires_ms = ?5
         WHERE pool = ?1 AND task_id = ?2 AND state = 'leased' AND worker = ?3 AND fence = ?4",
    )?;
    leases
        .iter()
        .map(|lease| {
            let Lease { pool, task_id, worker, fence } = lease;
            let renewed = statement.execute(params![
                pool.as_str(),
                task_id.as_str(),
                worker.as_str(),
                stored(*fence),
                expires.as_millis()
            ])?;
            Ok(if renewed == 1 { RenewOutcome::Held } else { RenewOutcome::Lost })
        })
        .collect()
}

pub(super) fn settle(
    step: &Transaction<'_>,
    now: Timestamp,
    lease: &Lease,
    settlement: &Settlement,
) -> rusqlite::Result<SettleOutcome> {
    let Some(held) = held(step, lease)? else {
        return Ok(SettleOutcome::LeaseLost);
    };
    match *settlement {
        Settlement::Ack => delete(step, held.id)?,
        Settlement::DeadLetter(ref reason) => dead_letter(step, now, &lease.pool, Some(&lease.task_id), &held, reason)?,
        Settlement::Nack { delay, started } => {
            step.prepare_cached("UPDATE entries SET deliveries = deliveries + 1, losses = 0 WHERE id = ?1")?
                .execute([held.id])?;
            delay_until(step, held.id, now.plus(delay), End::of(started, End::Back))?;
        }
        Settlement::Release { delay, started } => {
            let end = End::of(started, End::Front);
            step.prepare_cached("UPDATE entries SET losses = MAX(losses - 1, 0) WHERE id = ?1")?.execute([held.id])?;
            if delay.is_zero() {
                make_ready(step, &lease.pool, held.id, end)?;
            } else {
                delay_until(step, held.id, now.plus(delay), end)?;
            }
        }
    }
    Ok(SettleOutcome::Settled)
}

pub(super) fn note_progress(step: &Transaction<'_>, lease: &Lease) -> rusqlite::Result<()> {
    if let Some(held) = held(step, lease)? {
        step.prepare_cached("UPDATE entries SET losses = 0 WHERE id = ?1")?.execute([held.id])?;
    }
    Ok(())
}

pub(super) fn suspects(view: &Transaction<'_>, pool: &PoolName) -> rusqlite::Result<Vec<(TaskId, u32)>> {
    rows(
        // As the index has it.
        view.prepare_cached("SELECT task_id, losses FROM entries WHERE pool = ?1 AND losses > 20 ORDER BY id")?,
        [pool.as_str()],
        |row| Ok((name(row, 0)?, row.get(1)?)),
    )
}

pub(super) fn remove(step: &Transaction<'_>, pool: &PoolName, task: &TaskId) -> rusqlite::Result<RemoveOutcome> {
    Ok(match entry_state(step, pool, task)? {
        None => RemoveOutcome::NotFound,
        Some(EntryState::Leased) => RemoveOutcome::Leased,
        Some(_) => {
            step.prepare_cached("DELETE FROM entries WHERE pool = ?1 AND task_id = ?2")?
                .execute([pool.as_str(), task.as_str()])?;
            RemoveOutcome::Removed
        }
    })
}

pub(super) fn retry_dead(
    step: &Transaction<'_>,
    pool: &PoolName,
    body: &TaskBody,
) -> rusqlite::Result<RetryDeadOutcome> {
    let task = body.task_id();
    let risen = step
        .prepare_cached("DELETE FROM dead WHERE pool = ?1 AND task_id = ?2")?
        .execute([pool.as_str(), task.as_str()])?;
    if entry_state(step, pool, task)?.is_some() {
        return Ok(RetryDeadOutcome::AlreadyQueued);
    }
    if risen == 0 {
        return Ok(RetryDeadOutcome::NotFound);
    }
    add(step, pool, body, End::Back)?;
    Ok(RetryDeadOutcome::Requeued)
}

/// Removes the oldest letters of those that failed before a moment, [`PURGED_PER_STEP`] at most; returns how many.
pub(super) fn purge_dead(step: &Transaction<'_>, pool: &PoolName, before: Timestamp) -> rusqlite::Result<u64> {
    let removed = step
        .prepare_cached(
            "DELETE FROM dead
             WHERE id IN (SELECT id FROM dead WHERE pool = ?1 AND failed_at_ms < ?2 ORDER BY failed_at_ms LIMIT ?3)",
        )?
        .execute(params![pool.as_str(), before.as_millis(), PURGED_PER_STEP])?;
    Ok(removed as u64)
}

pub(super) fn dead_letters(
    view: &Transaction<'_>,
    pool: &PoolName,
    offset: u64,
    limit: u32,
) -> rusqlite::Result<Vec<DeadLetter>> {
    rows(
        view.prepare_cached(
            "SELECT task_id, body, error, error_code, attempt, failed_at_ms FROM dead
             WHERE pool = ?1 ORDER BY failed_at_ms DESC, id DESC LIMIT ?2 OFFSET ?3",
        )?,
        params![pool.as_str(), limit, i64::try_from(offset).unwrap_or(i64::MAX)],
        |row| {
            let task = known_name(row, 0)?;
            let reason = DeadReason::new(row.get::<_, String>(2)?, row.get::<_, String>(3)?, row.get(4)?);
            let (body, more) = letter_parts(lossy(row, 1)?);
            Ok(DeadLetter::new(task, body, reason.with_more(&more), Timestamp::from_millis(row.get(5)?)))
        },
    )
}

pub(super) fn stats(view: &Transaction<'_>, pool: &PoolName) -> rusqlite::Result<QueueStats> {
    let mut stats = QueueStats::default().with_paused(paused(view, pool)?);
    let mut counts = view.prepare_cached("SELECT state, SUM(n) FROM counts WHERE pool = ?1 GROUP BY state")?;
    let mut rows = counts.query([pool.as_str()])?;
    while let Some(row) = rows.next()? {
        let of_state = match row.get_ref(0)?.as_str()? {
            "ready" => &mut stats.ready,
            "delayed" => &mut stats.delayed,
            "leased" => &mut stats.leased,
            _ => &mut stats.dead,
        };
        *of_state = count(row, 1)?;
    }
    Ok(stats)
}

/// Counts only those that are in the task's own bucket.
pub(super) fn position(view: &Transaction<'_>, pool: &PoolName, task: &TaskId) -> rusqlite::Result<Option<u64>> {
    view.prepare_cached(
        "SELECT COALESCE((SELECT SUM(n) FROM counts
                          WHERE pool = ?1 AND state = 'ready' AND bucket < (this.place >> 10)), 0)
              + (SELECT COUNT(*) FROM entries
                 WHERE pool = ?1 AND state = 'ready' AND place BETWEEN ((this.place >> 10) << 10) AND this.place)
         FROM entries AS this WHERE this.pool = ?1 AND this.task_id = ?2 AND this.state = 'ready'",
    )?
    .query_row([pool.as_str(), task.as_str()], |row| count(row, 0))
    .optional()
}

pub(super) fn peek(view: &Transaction<'_>, pool: &PoolName, limit: u32) -> rusqlite::Result<Vec<String>> {
    rows(
        view.prepare_cached("SELECT body FROM entries WHERE pool = ?1 AND state = 'ready' ORDER BY place LIMIT ?2")?,
        params![pool.as_str(), limit],
        |row| lossy(row, 0),
    )
}

pub(super) fn state_of(view: &Transaction<'_>, pool: &PoolName, task: &TaskId) -> rusqlite::Result<Option<EntryState>> {
    if let Some(state) = entry_state(view, pool, task)? {
        return Ok(Some(state));
    }
    view.prepare_cached("SELECT 1 FROM dead WHERE pool = ?1 AND task_id = ?2 LIMIT 1")?
        .query_row([pool.as_str(), task.as_str()], |_| Ok(EntryState::Dead))
        .optional()
}

pub(super) fn outlook(
    view: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    task: Option<&TaskId>,
    scanners: &[InstanceId],
) -> rusqlite::Result<Outlook> {
    let mut outlook = Outlook { paused: paused(view, pool)?, ..Outlook::default() };
    let mut slots =
        view.prepare_cached("SELECT COUNT(*) FROM slots WHERE pool = ?1 AND instance = ?2 AND expires_ms > ?3")?;
    for scanner in scanners {
        outlook.slots_in_use +=
            slots.query_row(params![pool.as_str(), scanner.as_str(), now.as_millis()], |row| count(row, 0))?;
    }
    let Some(task) = task else { return Ok(outlook) };
    outlook.position = position(view, pool, task)?;
    outlook.state = entry_state(view, pool, task)?;
    outlook.losses = view
        .prepare_cached("SELECT losses FROM entries WHERE pool = ?1 AND task_id = ?2")?
        .query_row([pool.as_str(), task.as_str()], |row| row.get(0))
        .optional()?
        .filter(|losses| *losses > LOSSES_ALLOWED);
    Ok(outlook)
}

pub(super) fn leases(view: &Transaction<'_>, pool: &PoolName) -> rusqlite::Result<Vec<LeaseInfo>> {
    rows(
        view.prepare_cached(
            "SELECT task_id, worker, fence, expires_ms, deliveries + 1 FROM entries
             WHERE pool = ?1 AND state = 'leased' ORDER BY expires_ms, id",
        )?,
        [pool.as_str()],
        |row| {
            let lease = Lease::new(pool.clone(), name(row, 0)?, name(row, 1)?, FencingToken(count(row, 2)?));
            Ok(LeaseInfo::new(lease, Timestamp::from_millis(row.get(3)?), row.get(4)?))
        },
    )
}

fn add(step: &Transaction<'_>, pool: &PoolName, body: &TaskBody, end: End) -> rusqlite::Result<()> {
    step.prepare_cached("INSERT INTO entries (pool, task_id, body, state, place) VALUES (?1, ?2, ?3, 'ready', ?4)")?
        .execute(params![pool.as_str(), body.task_id().as_str(), body.as_str(), place_at(step, pool, end)?])?;
    Ok(())
}

pub(super) fn make_ready(step: &Transaction<'_>, pool: &PoolName, id: i64, end: End) -> rusqlite::Result<()> {
    step.prepare_cached(
        "UPDATE entries SET state = 'ready', place = ?1, due_ms = NULL, at_front = 0,
             worker = NULL, fence = NULL, expires_ms = NULL WHERE id = ?2",
    )?
    .execute([place_at(step, pool, end)?, id])?;
    Ok(())
}

pub(super) fn delay_until(step: &Transaction<'_>, id: i64, due: Timestamp, end: End) -> rusqlite::Result<()> {
    step.prepare_cached(
        "UPDATE entries SET state = 'delayed', due_ms = ?1, at_front = ?2,
             worker = NULL, fence = NULL, expires_ms = NULL WHERE id = ?3",
    )?
    .execute(params![due.as_millis(), end as i64, id])?;
    Ok(())
}

fn place_at(step: &Transaction<'_>, pool: &PoolName, end: End) -> rusqlite::Result<i64> {
    let statement = match end {
        End::Started => {
            "SELECT COALESCE(MIN(place), ?2) - 1 FROM entries WHERE pool = ?1 AND state = 'ready' AND place < ?2"
        }
        End::Front => {
            "SELECT COALESCE(MIN(place), 1) - 1 FROM entries WHERE pool = ?1 AND state = 'ready' AND place >= ?2"
        }
        End::Back => {
            "SELECT COALESCE(MAX(place), 0) + 1 FROM entries WHERE pool = ?1 AND state = 'ready' AND place >= ?2"
        }
    };
    step.prepare_cached(statement)?.query_row(params![pool.as_str(), FIRST_PLACE], |row| row.get(0))
}

pub(super) fn dead_letter(
    step: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    task: Option<&TaskId>,
    held: &Held,
    reason: &DeadReason,
) -> rusqlite::Result<()> {
    write_letter(step, pool, &DeadLetter::new(task.cloned(), held.body.clone(), reason.clone(), now))?;
    delete(step, held.id)
}

pub(super) fn restore_dead_letter(
    step: &Transaction<'_>,
    pool: &PoolName,
    letter: &DeadLetter,
) -> rusqlite::Result<()> {
    match &letter.task_id {
        Some(task) if state_of(step, pool, task)?.is_none() => write_letter(step, pool, letter),
        _ => Ok(()),
    }
}

/// What stands between a body and what a letter says beside the columns of its table.
const MORE: &str = ",\"dead_letter\":";

/// A body with what a letter says beside the columns of its table. A text that is no object has no room for it.
fn letter_text(body: &str, reason: &DeadReason) -> String {
    match (body.trim_end().strip_suffix('}'), reason.more()) {
        (Some(open), more) if !more.is_empty() => format!("{open}{MORE}{}}}", Value::Object(more)),
        _ => body.to_owned(),
    }
}

/// The two parts of such a text.
fn letter_parts(mut text: String) -> (String, Map<String, Value>) {
    let found = text.rfind(MORE).and_then(|at| {
        let more = text[at + MORE.len()..].strip_suffix('}')?;
        Some((at, serde_json::from_str(more).ok()?))
    });
    let Some((at, more)) = found else { return (text, Map::new()) };
    text.truncate(at);
    text.push('}');
    (text, more)
}

fn write_letter(step: &Transaction<'_>, pool: &PoolName, letter: &DeadLetter) -> rusqlite::Result<()> {
    let DeadLetter { task_id, body, reason, failed_at } = letter;
    step.prepare_cached(
        "INSERT INTO dead (pool, task_id, body, error, error_code, attempt, failed_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        pool.as_str(),
        task_id.as_ref().map(TaskId::as_str),
        letter_text(body, reason),
        reason.error,
        reason.error_code,
        reason.attempt,
        failed_at.as_millis()
    ])?;
    Ok(())
}

pub(super) fn delete(step: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    step.prepare_cached("DELETE FROM entries WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// The entry, if the lease stands.
fn held(step: &Transaction<'_>, lease: &Lease) -> rusqlite::Result<Option<Held>> {
    let Lease { pool, task_id, worker, fence } = lease;
    step.prepare_cached(
        "SELECT id, body, deliveries, losses FROM entries
         WHERE pool = ?1 AND task_id = ?2 AND state = 'leased' AND worker = ?3 AND fence = ?4",
    )?
    .query_row(params![pool.as_str(), task_id.as_str(), worker.as_str(), stored(*fence)], |row| Held::read(row, 0))
    .optional()
}

pub(super) fn entry_state(
    view: &Transaction<'_>,
    pool: &PoolName,
    task: &TaskId,
) -> rusqlite::Result<Option<EntryState>> {
    view.prepare_cached("SELECT state FROM entries WHERE pool = ?1 AND task_id = ?2")?
        .query_row([pool.as_str(), task.as_str()], |row| {
            Ok(match row.get_ref(0)?.as_str()? {
                "leased" => EntryState::Leased,
                "delayed" => EntryState::Delayed,
                _ => EntryState::Ready,
            })
        })
        .optional()
}

pub(super) fn paused(view: &Transaction<'_>, pool: &PoolName) -> rusqlite::Result<Option<String>> {
    view.prepare_cached("SELECT paused FROM pools WHERE pool = ?1")?
        .query_row([pool.as_str()], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}

/// Larger than any fence of the pool, than `above`, and than any that was given before a loss of data, which the
/// clock's microseconds stand for.
pub(super) fn next_fence(
    step: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    above: FencingToken,
) -> rusqlite::Result<FencingToken> {
    let least = now.as_millis().saturating_mul(1000).max(stored(above).saturating_add(1));
    step.prepare_cached(
        "INSERT INTO pools (pool, fence) VALUES (?1, ?2)
         ON CONFLICT (pool) DO UPDATE SET fence = MAX(fence + 1, excluded.fence) RETURNING fence",
    )?
    .query_row(params![pool.as_str(), least], |row| count(row, 0).map(FencingToken))
}

pub(super) fn stored(fence: FencingToken) -> i64 {
    i64::try_from(fence.0).unwrap_or(i64::MAX)
}

pub(super) fn rows<T>(
    mut statement: CachedStatement<'_>,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    statement.query_map(parameters, read)?.collect()
}

/// A column that holds one of our checked names.
pub(super) fn name<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    row.get_ref(column)?
        .as_str()?
        .parse()
        .map_err(|error: T::Err| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// A column that holds a task's name or nothing.
pub(super) fn known_name(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<TaskId>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.and_then(|text| TaskId::new(text).ok()))
}

/// A body, readable or not.
fn lossy(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?).into_owned())
}

pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}
