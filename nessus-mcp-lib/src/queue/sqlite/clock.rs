//! A clock that steps back, as a machine's does when somebody sets it: what was measured by it moves along, so that no lease,
//! slot or pause lasts longer than it was given. A worker that is alive renews in time either way.

use rusqlite::{OptionalExtension, Transaction};

use crate::time::Timestamp;

/// How exactly the last time is known: writing it down in every step would make each of them larger.
const NOTED_EVERY_MS: i64 = 1000;

fn noted(view: &Transaction<'_>) -> rusqlite::Result<Option<i64>> {
    view.prepare_cached("SELECT CAST(value AS INTEGER) FROM facts WHERE name = 'clock'")?
        .query_row([], |row| row.get(0))
        .optional()
}

/// The last time that was seen, which may lie ahead of the clock until the next step: what was written before a step back is
/// compared with this.
pub(super) fn seen(view: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<Timestamp> {
    Ok(noted(view)?.map_or(now, |noted| now.max(Timestamp::from_millis(noted))))
}

/// Moves what ends in time by as much as the clock has stepped back since the last step.
pub(super) fn follow(step: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let now = now.as_millis();
    let noted = noted(step)?;
    let back = noted.map_or(0, |noted| noted - now);
    if noted.is_some() && (-NOTED_EVERY_MS < back && back <= 0) {
        return Ok(());
    }
    if back > 0 {
        // Those that are ready wait for no time.
        step.prepare_cached("UPDATE entries SET expires_ms = expires_ms - ?1 WHERE state = 'leased'")?
            .execute([back])?;
        step.prepare_cached("UPDATE entries SET due_ms = due_ms - ?1 WHERE state = 'delayed'")?.execute([back])?;
        step.prepare_cached("UPDATE slots SET expires_ms = expires_ms - ?1")?.execute([back])?;
        step.prepare_cached("UPDATE workers SET heard_ms = heard_ms - ?1")?.execute([back])?;
    }
    step.prepare_cached("INSERT OR REPLACE INTO facts (name, value) VALUES ('clock', ?1)")?
        .execute([now.to_string()])?;
    Ok(())
}
