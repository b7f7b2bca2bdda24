//! The steps on what workers tell of themselves.

use std::time::Duration;

use rusqlite::{Transaction, params};

use super::{clock, statements::count};
use crate::{
    ids::WorkerId,
    queue::workers::{MOST_WORKERS, SeenWorker, WorkerRecord},
    time::Timestamp,
};

pub(super) fn announce(
    step: &Transaction<'_>,
    now: Timestamp,
    record: &WorkerRecord,
    kept: Duration,
) -> rusqlite::Result<()> {
    let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    step.prepare_cached("INSERT OR REPLACE INTO workers (worker, record, heard_ms, kept_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![record.worker.as_str(), serde_json::json!(record).to_string(), now.as_millis(), kept])?;
    step.prepare_cached("DELETE FROM workers WHERE ?1 - heard_ms >= kept_ms")?.execute([now.as_millis()])?;
    step.prepare_cached(
        "DELETE FROM workers WHERE worker IN (SELECT worker FROM workers ORDER BY heard_ms DESC LIMIT -1 OFFSET ?1)",
    )?
    .execute([MOST_WORKERS])?;
    Ok(())
}

pub(super) fn withdraw(step: &Transaction<'_>, worker: &WorkerId) -> rusqlite::Result<()> {
    step.prepare_cached("DELETE FROM workers WHERE worker = ?1")?.execute([worker.as_str()])?;
    Ok(())
}

/// After the clock has stepped back, time stands still for the records until the next step moves them along.
pub(super) fn workers(view: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<Vec<SeenWorker>> {
    let mut select = view.prepare_cached(
        "SELECT record, max(0, ?1 - heard_ms) FROM workers WHERE ?1 - heard_ms < kept_ms ORDER BY worker",
    )?;
    let rows = select.query_map([clock::seen(view, now)?.as_millis()], |row| {
        Ok(SeenWorker::parse(&row.get::<_, String>(0)?, count(row, 1)?))
    })?;
    rows.filter_map(Result::transpose).collect()
}
