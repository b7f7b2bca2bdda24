//! The steps of a claim: what is due and what is taken back, and the first task that can run.

use std::ops::ControlFlow::{self, Break, Continue};

use rusqlite::{OptionalExtension, Row, Transaction, named_params, params};

use super::statements::{self, End, FIRST_PLACE, Held, known_name, rows};
use crate::{
    ids::{FencingToken, InstanceId, PoolName, TaskId, WorkerId},
    queue::{
        body::TaskBody,
        entry::{Claim, DeadReason, Lease, pause_after_losses},
    },
    time::Timestamp,
};

/// How many expired leases and due entries one step moves, and how many that nobody can claim it throws out: it stays short
/// however many there are.
const MOVED_PER_STEP: u32 = 100;

/// Which tasks a claim may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// All, but of those that have not started none that is pinned to one of these scanners.
    AllBut(Vec<InstanceId>),
    Started,
}

/// A step of a claim. It goes on with another step when this one only threw out what nobody can claim.
pub(super) fn claim(
    step: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    worker: &WorkerId,
    expires: Timestamp,
    which: &Which,
) -> rusqlite::Result<ControlFlow<Option<Claim>>> {
    promote(step, now, pool)?;
    take_back(step, now, pool)?;
    for _ in 0..MOVED_PER_STEP {
        let Some(Candidate { known, held, .. }) = next(step, pool, which)? else {
            return Ok(Break(None));
        };
        let Ok(body) = TaskBody::parse(held.body.as_str()) else {
            statements::dead_letter(step, now, pool, known.as_ref(), &held, &DeadReason::corrupted())?;
            continue;
        };
        if known.is_none() && statements::entry_state(step, pool, body.task_id())?.is_some() {
            statements::delete(step, held.id)?;
            continue;
        }
        let fence = statements::next_fence(step, now, pool, FencingToken(0))?;
        step.prepare_cached(
            "UPDATE entries SET state = 'leased', task_id = :task, worker = :worker, fence = :fence,
                 expires_ms = :expires, losses = losses + 1 WHERE id = :id",
        )?
        .execute(named_params! {
            ":task": body.task_id().as_str(), ":worker": worker.as_str(), ":fence": statements::stored(fence),
            ":expires": expires.as_millis(), ":id": held.id,
        })?;
        let lease = Lease::new(pool.clone(), body.task_id().clone(), worker.clone(), fence);
        let claim = Claim::new(lease, body, held.deliveries.saturating_add(1));
        return Ok(Break(Some(claim.with_losses(held.losses))));
    }
    Ok(Continue(()))
}

/// An entry that a claim may take, with the name of its task if that is known, and the scanner that it is pinned to.
struct Candidate {
    place: i64,
    instance: Option<String>,
    known: Option<TaskId>,
    held: Held,
}

impl Candidate {
    /// The columns place, instance, task, and those of [`Held`].
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (place, instance, known) = (row.get(0)?, row.get(1)?, known_name(row, 2)?);
        Ok(Self { place, instance, known, held: Held::read(row, 3)? })
    }
}

/// The first entry that a claim may take.
fn next(view: &Transaction<'_>, pool: &PoolName, which: &Which) -> rusqlite::Result<Option<Candidate>> {
    let first = view
        .prepare_cached(
            "SELECT place, instance, task_id, id, body, deliveries, losses FROM entries
             WHERE pool = ?1 AND state = 'ready' AND place < ?2 ORDER BY place LIMIT 1",
        )?
        .query_row(params![pool.as_str(), claimable_before(view, pool, *which == Which::Started)?], Candidate::read)
        .optional()?;
    let (Some(Candidate { place: FIRST_PLACE.., instance: Some(instance), .. }), Which::AllBut(scanners)) =
        (&first, which)
    else {
        return Ok(first);
    };
    if is_among(scanners, instance) { next_but(view, pool, scanners) } else { Ok(first) }
}

/// The first entry that is not pinned to one of these scanners, where none has started: the first of the first ones of each other
/// scanner, and of none. So whatever is passed over is not read.
fn next_but(
    view: &Transaction<'_>,
    pool: &PoolName,
    passed_over: &[InstanceId],
) -> rusqlite::Result<Option<Candidate>> {
    let mut first_of = view.prepare_cached(
        "SELECT place, instance, task_id, id, body, deliveries, losses FROM entries
         WHERE pool = ?1 AND state = 'ready' AND instance IS ?2 ORDER BY place LIMIT 1",
    )?;
    let mut first_of =
        |instance: Option<&str>| first_of.query_row(params![pool.as_str(), instance], Candidate::read).optional();
    let mut scanner_after =
        view.prepare_cached("SELECT MIN(instance) FROM entries WHERE pool = ?1 AND state = 'ready' AND instance > ?2")?;
    let mut best = first_of(None)?;
    let mut scanner = String::new();
    while let Some(next) = scanner_after.query_row([pool.as_str(), &scanner], |row| row.get::<_, Option<String>>(0))? {
        scanner = next;
        if is_among(passed_over, &scanner) {
            continue;
        }
        let first = first_of(Some(&scanner))?;
        best = best.into_iter().chain(first).min_by_key(|candidate| candidate.place);
    }
    Ok(best)
}

fn is_among(scanners: &[InstanceId], instance: &str) -> bool {
    scanners.iter().any(|scanner| scanner.as_str() == instance)
}

/// Makes the tasks of expired leases ready again, as started ones: nobody has said how far their workers came.
fn take_back(step: &Transaction<'_>, now: Timestamp, pool: &PoolName) -> rusqlite::Result<()> {
    let expired = rows(
        step.prepare_cached(
            "SELECT id, losses FROM entries
             WHERE pool = ?1 AND state = 'leased' AND expires_ms <= ?2 ORDER BY expires_ms, id LIMIT ?3",
        )?,
        params![pool.as_str(), now.as_millis(), MOVED_PER_STEP],
        |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)),
    )?;
    // Each goes before the last, so the one that waited longest goes in last.
    for (id, losses) in expired.iter().rev() {
        match pause_after_losses(*losses) {
            None => statements::make_ready(step, pool, *id, End::Started)?,
            Some(pause) => statements::delay_until(step, *id, now.plus(pause), End::Started)?,
        }
    }
    Ok(())
}

/// Puts the due entries where they belong.
fn promote(step: &Transaction<'_>, now: Timestamp, pool: &PoolName) -> rusqlite::Result<()> {
    let due = rows(
        step.prepare_cached(
            "SELECT id, at_front FROM entries
             WHERE pool = ?1 AND state = 'delayed' AND due_ms <= ?2 ORDER BY due_ms, id LIMIT ?3",
        )?,
        params![pool.as_str(), now.as_millis(), MOVED_PER_STEP],
        |row| Ok((row.get::<_, i64>(0)?, End::read(row.get(1)?))),
    )?;
    for (id, end) in due.iter().filter(|(_, end)| *end == End::Back) {
        statements::make_ready(step, pool, *id, *end)?;
    }
    for (id, end) in due.iter().rev().filter(|(_, end)| *end != End::Back) {
        statements::make_ready(step, pool, *id, *end)?;
    }
    Ok(())
}

/// Whether a claim from one of the pools would find something, if it passes over nothing; from a paused one, perhaps, where
/// something becomes due.
pub(super) fn any_claimable(view: &Transaction<'_>, now: Timestamp, pools: &[PoolName]) -> rusqlite::Result<bool> {
    let mut statement = view.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM entries WHERE pool = ?1 AND state = 'ready' AND place < ?3)
             OR EXISTS (SELECT 1 FROM entries WHERE pool = ?1 AND state = 'delayed' AND due_ms <= ?2)
             OR EXISTS (SELECT 1 FROM entries WHERE pool = ?1 AND state = 'leased' AND expires_ms <= ?2)",
    )?;
    for pool in pools {
        let before = claimable_before(view, pool, false)?;
        if statement.query_row(params![pool.as_str(), now.as_millis(), before], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The place before which a claim may take what is ready.
fn claimable_before(view: &Transaction<'_>, pool: &PoolName, started_only: bool) -> rusqlite::Result<i64> {
    let started_only = started_only || statements::paused(view, pool)?.is_some();
    Ok(if started_only { FIRST_PLACE } else { i64::MAX })
}
