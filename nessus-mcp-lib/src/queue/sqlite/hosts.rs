//! The steps on hosts that count against a day.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    shared,
    statements::{self, End, count},
};
use crate::{
    ids::PoolName,
    queue::{
        body::TaskBody,
        hosts::{ChargeOutcome, DAY_KEPT, HostCharge},
    },
    time::Timestamp,
};

pub(super) fn enqueue_charged(
    step: &Transaction<'_>,
    now: Timestamp,
    pool: &PoolName,
    body: &TaskBody,
    charge: &HostCharge,
    end: End,
) -> rusqlite::Result<ChargeOutcome> {
    if shared::binding(step)?.is_none() {
        return Ok(ChargeOutcome::Unbound);
    }
    let used = charged(step, &charge.scope, &charge.day)?;
    let is_full = charge.most.is_some_and(|most| used.saturating_add(charge.hosts) > most);
    if is_full && !is_charged(step, charge)? {
        return Ok(ChargeOutcome::DayIsFull { used });
    }
    self::charge(step, now, charge)?;
    statements::enqueue(step, pool, body, end).map(ChargeOutcome::Enqueued)
}

/// Charges hosts, unless that was done before, whatever the day may have.
pub(super) fn charge(step: &Transaction<'_>, now: Timestamp, charge: &HostCharge) -> rusqlite::Result<()> {
    let HostCharge { scope, day, id, hosts, .. } = charge;
    let hosts = i64::try_from(*hosts).unwrap_or(i64::MAX);
    let is_new = step
        .prepare_cached("INSERT OR IGNORE INTO host_charges (scope, day, id, hosts) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![scope, day, id, hosts])?;
    if is_new == 0 {
        return Ok(());
    }
    let used = i64::try_from(charged(step, scope, day)?).unwrap_or(i64::MAX).saturating_add(hosts);
    step.prepare_cached("INSERT OR REPLACE INTO host_days (scope, day, used, expires_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![scope, day, used, now.plus(DAY_KEPT).as_millis()])?;
    forget_old_days(step, now)
}

fn forget_old_days(step: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let now = now.as_millis();
    let old = statements::rows(
        step.prepare_cached("SELECT scope, day FROM host_days WHERE expires_ms <= ?1")?,
        [now],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
    )?;
    for (scope, day) in old {
        for table in ["host_charges", "host_days"] {
            step.execute(&format!("DELETE FROM {table} WHERE scope = ?1 AND day = ?2"), [&scope, &day])?;
        }
    }
    Ok(())
}

pub(super) fn give_back(step: &Transaction<'_>, charge: &HostCharge) -> rusqlite::Result<()> {
    let HostCharge { scope, day, id, .. } = charge;
    let hosts: Option<i64> = step
        .prepare_cached("DELETE FROM host_charges WHERE scope = ?1 AND day = ?2 AND id = ?3 RETURNING hosts")?
        .query_row([scope, day, id], |row| row.get(0))
        .optional()?;
    if let Some(hosts) = hosts {
        step.prepare_cached("UPDATE host_days SET used = MAX(used - ?3, 0) WHERE scope = ?1 AND day = ?2")?
            .execute(params![scope, day, hosts])?;
    }
    Ok(())
}

/// How many hosts of a day are charged.
pub(super) fn charged(view: &Transaction<'_>, scope: &str, day: &str) -> rusqlite::Result<u64> {
    let used = view
        .prepare_cached("SELECT used FROM host_days WHERE scope = ?1 AND day = ?2")?
        .query_row([scope, day], |row| count(row, 0))
        .optional()?;
    Ok(used.unwrap_or_default())
}

fn is_charged(view: &Transaction<'_>, charge: &HostCharge) -> rusqlite::Result<bool> {
    view.prepare_cached("SELECT 1 FROM host_charges WHERE scope = ?1 AND day = ?2 AND id = ?3")?.exists([
        &charge.scope,
        &charge.day,
        &charge.id,
    ])
}
