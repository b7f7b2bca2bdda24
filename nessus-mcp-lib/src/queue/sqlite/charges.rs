//! The steps on what tasks count against limits.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    shared,
    statements::{self, End, count},
};
use crate::{
    ids::PoolName,
    queue::{
        body::TaskBody,
        charge::{Charge, ChargeOutcome, DAY_KEPT},
    },
    time::Timestamp,
};

/// How many charges of an old day a new charge forgets.
const FORGOTTEN_PER_CHARGE: u32 = 100;

pub(super) fn enqueue_charged(
    step: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    body: &TaskBody,
    charges: &[Charge],
    end: End,
) -> rusqlite::Result<ChargeOutcome> {
    if shared::binding(step)?.is_none() {
        return Ok(ChargeOutcome::Unbound);
    }
    for (at, charge) in charges.iter().enumerate() {
        let used = charged(step, &charge.scope, charge.day.as_deref())?;
        let is_full = charge.most.is_some_and(|most| used.saturating_add(charge.amount) > most);
        if is_full && !is_charged(step, charge)? {
            return Ok(ChargeOutcome::Full { at, used });
        }
    }
    charges.iter().try_for_each(|charge| self::charge(step, now, charge))?;
    statements::enqueue(step, pool, body, end).map(ChargeOutcome::Enqueued)
}

/// What stands in the place of the day where there is none.
fn day_of(day: Option<&str>) -> &str {
    day.unwrap_or_default()
}

/// Charges, unless that was done before, whatever room there is.
pub(super) fn charge(step: &Transaction<'_>, now: Timestamp, charge: &Charge) -> rusqlite::Result<()> {
    let Charge { scope, day, id, amount, .. } = charge;
    let (amount, in_table) = (i64::try_from(*amount).unwrap_or(i64::MAX), day_of(day.as_deref()));
    let is_new = step
        .prepare_cached("INSERT OR IGNORE INTO host_charges (scope, day, id, hosts) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![scope, in_table, id, amount])?;
    if is_new == 0 {
        return Ok(());
    }
    let used = i64::try_from(charged(step, scope, day.as_deref())?).unwrap_or(i64::MAX).saturating_add(amount);
    let expires = if day.is_some() { now.plus(DAY_KEPT).as_millis() } else { i64::MAX };
    step.prepare_cached("INSERT OR REPLACE INTO host_days (scope, day, used, expires_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![scope, in_table, used, expires])?;
    forget_old_days(step, now)
}

/// Forgets a part of the oldest day whose time is over, and the day with the last of it.
fn forget_old_days(step: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let old = step
        .prepare_cached("SELECT scope, day FROM host_days WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT 1")?
        .query_row([now.as_millis()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let Some((scope, day)) = old else { return Ok(()) };
    let forgotten = step
        .prepare_cached(
            "DELETE FROM host_charges WHERE scope = ?1 AND day = ?2
             AND id IN (SELECT id FROM host_charges WHERE scope = ?1 AND day = ?2 LIMIT ?3)",
        )?
        .execute(params![scope, day, FORGOTTEN_PER_CHARGE])?;
    if forgotten < FORGOTTEN_PER_CHARGE as usize {
        step.prepare_cached("DELETE FROM host_days WHERE scope = ?1 AND day = ?2")?.execute([&scope, &day])?;
    }
    Ok(())
}

pub(super) fn give_back(step: &Transaction<'_>, charge: &Charge) -> rusqlite::Result<()> {
    let Charge { scope, id, .. } = charge;
    let day = day_of(charge.day.as_deref());
    let amount: Option<i64> = step
        .prepare_cached("DELETE FROM host_charges WHERE scope = ?1 AND day = ?2 AND id = ?3 RETURNING hosts")?
        .query_row([scope, day, id], |row| row.get(0))
        .optional()?;
    if let Some(amount) = amount {
        step.prepare_cached("UPDATE host_days SET used = MAX(used - ?3, 0) WHERE scope = ?1 AND day = ?2")?
            .execute(params![scope, day, amount])?;
    }
    Ok(())
}

/// How many are charged.
pub(super) fn charged(view: &Transaction<'_>, scope: &str, day: Option<&str>) -> rusqlite::Result<u64> {
    let used = view
        .prepare_cached("SELECT used FROM host_days WHERE scope = ?1 AND day = ?2")?
        .query_row([scope, day_of(day)], |row| count(row, 0))
        .optional()?;
    Ok(used.unwrap_or_default())
}

/// What is charged.
pub(super) fn charged_ids(view: &Transaction<'_>, scope: &str, day: Option<&str>) -> rusqlite::Result<Vec<String>> {
    let of_scope = view.prepare_cached("SELECT id FROM host_charges WHERE scope = ?1 AND day = ?2 ORDER BY id")?;
    statements::rows(of_scope, [scope, day_of(day)], |row| row.get(0))
}

fn is_charged(view: &Transaction<'_>, charge: &Charge) -> rusqlite::Result<bool> {
    view.prepare_cached("SELECT 1 FROM host_charges WHERE scope = ?1 AND day = ?2 AND id = ?3")?.exists([
        &charge.scope,
        day_of(charge.day.as_deref()),
        &charge.id,
    ])
}
