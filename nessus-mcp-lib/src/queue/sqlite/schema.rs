//! The tables, and the version they have.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::errors::describe;
use crate::queue::error::QueueError;

/// The version this program writes. Version matrix: 1 is the first; 2 adds the circuits of scanners; 3 the losses of
/// workers; 4 what is known of the queue as a whole; 5 keeps of circuits only what processes act on, and what each shows;
/// 6 adds the hosts that count against a day. A process of version 5 that has the file open goes on, and charges nothing.
/// 7 adds what keeps a long queue quick. A process of version 6 goes on and keeps it right, but its claims pass over nothing.
/// 8 adds the catalogue of tasks. A process of version 7 that has the file open goes on, and records nothing.
/// 9 adds what workers tell of themselves. A worker of version 8 that has the file open goes on, and tells nothing.
pub(super) const VERSION: i64 = 9;

/// What each older version lacks: the statement at index 0 makes version 2 of version 1.
pub(super) const MIGRATIONS: [&str; 8] = [CIRCUITS, LOSSES, FACTS, NOTICES, HOSTS, LONG_QUEUES, CATALOGUE, WORKERS];

/// `losses` counts the claims in a row of which nothing was heard any more, the one that stands included. The index is of
/// those that are more than [`LOSSES_ALLOWED`](crate::queue::LOSSES_ALLOWED).
const LOSSES: &str = "
ALTER TABLE entries ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
CREATE INDEX entries_suspect ON entries (pool) WHERE losses > 20;
";

/// `clock` is the last time that was seen, in ms, see `clock`; `binding` the data directory the queue belongs to, as JSON.
const FACTS: &str = "
CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

const CIRCUITS: &str = "
CREATE TABLE circuits (
    pool       TEXT    NOT NULL,
    instance   TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    until_ms   INTEGER,
    reason     TEXT    NOT NULL,
    changed_by TEXT    NOT NULL,
    ordered    TEXT,
    since_ms   INTEGER NOT NULL,
    opens      INTEGER NOT NULL,
    failures   INTEGER NOT NULL,
    PRIMARY KEY (pool, instance)
) STRICT, WITHOUT ROWID;
";

/// Of what version 2 knew of circuits, operators' orders stay.
const NOTICES: &str = "
CREATE TABLE circuit_notices (
    pool      TEXT    NOT NULL,
    instance  TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    notice    TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    posted_by TEXT    NOT NULL,
    posted_ms INTEGER NOT NULL,
    PRIMARY KEY (pool, instance)
) STRICT, WITHOUT ROWID;
INSERT INTO circuit_notices (pool, instance, version, notice, reason, posted_by, posted_ms)
    SELECT pool, instance, generation, ordered, reason, changed_by, since_ms FROM circuits WHERE ordered IS NOT NULL;
DROP TABLE circuits;

CREATE TABLE circuit_states (
    process      TEXT    NOT NULL PRIMARY KEY,
    states       TEXT    NOT NULL,
    published_ms INTEGER NOT NULL,
    lasts_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// `host_charges` has what counts against a day, by task; `used` is the sum of a day.
const HOSTS: &str = "
CREATE TABLE host_charges (
    scope TEXT    NOT NULL,
    day   TEXT    NOT NULL,
    id    TEXT    NOT NULL,
    hosts INTEGER NOT NULL,
    PRIMARY KEY (scope, day, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE host_days (
    scope      TEXT    NOT NULL,
    day        TEXT    NOT NULL,
    used       INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, day)
) STRICT, WITHOUT ROWID;
";

/// `instance` is the scanner that the body names, as [`TaskBody::pinned_instance`](crate::queue::TaskBody::pinned_instance)
/// reads it.
///
/// `counts` has how many entries a pool has in a state; of the ready ones in each bucket of 1024 places, so that a position is
/// known from one row for a thousand entries and from those of one bucket. Triggers keep it, so every program that writes the
/// file keeps it right. A row that counts nothing goes away.
const LONG_QUEUES: &str = "
ALTER TABLE entries ADD COLUMN instance TEXT AS (
    CASE WHEN json_valid(body) THEN
        CASE WHEN json_type(body, '$.scanner_instance_id') = 'text'
            AND length(json_extract(body, '$.scanner_instance_id')) BETWEEN 1 AND 64
            AND json_extract(body, '$.scanner_instance_id') NOT GLOB '*[^-A-Za-z0-9._]*'
        THEN json_extract(body, '$.scanner_instance_id') END
    END
) VIRTUAL;
CREATE INDEX entries_by_instance ON entries (pool, instance, place) WHERE state = 'ready';

CREATE TABLE counts (
    pool   TEXT    NOT NULL,
    state  TEXT    NOT NULL,
    bucket INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (pool, state, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO counts SELECT pool, state, IIF(state = 'ready', place >> 10, 0), COUNT(*) FROM entries GROUP BY 1, 2, 3;
INSERT INTO counts SELECT pool, 'dead', 0, COUNT(*) FROM dead GROUP BY pool;

CREATE TRIGGER entries_added AFTER INSERT ON entries BEGIN
    INSERT INTO counts VALUES (NEW.pool, NEW.state, IIF(NEW.state = 'ready', NEW.place >> 10, 0), 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER entries_removed AFTER DELETE ON entries BEGIN
    UPDATE counts SET n = n - 1
        WHERE pool = OLD.pool AND state = OLD.state AND bucket = IIF(OLD.state = 'ready', OLD.place >> 10, 0);
    DELETE FROM counts
        WHERE pool = OLD.pool AND state = OLD.state AND bucket = IIF(OLD.state = 'ready', OLD.place >> 10, 0) AND n < 1;
END;
CREATE TRIGGER entries_moved AFTER UPDATE OF pool, state, place ON entries BEGIN
    INSERT INTO counts VALUES (NEW.pool, NEW.state, IIF(NEW.state = 'ready', NEW.place >> 10, 0), 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
    UPDATE counts SET n = n - 1
        WHERE pool = OLD.pool AND state = OLD.state AND bucket = IIF(OLD.state = 'ready', OLD.place >> 10, 0);
    DELETE FROM counts
        WHERE pool = OLD.pool AND state = OLD.state AND bucket = IIF(OLD.state = 'ready', OLD.place >> 10, 0) AND n < 1;
END;
CREATE TRIGGER dead_added AFTER INSERT ON dead BEGIN
    INSERT INTO counts VALUES (NEW.pool, 'dead', 0, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER dead_removed AFTER DELETE ON dead BEGIN
    UPDATE counts SET n = n - 1 WHERE pool = OLD.pool AND state = 'dead';
    DELETE FROM counts WHERE pool = OLD.pool AND state = 'dead' AND n < 1;
END;

CREATE INDEX host_days_by_expiry ON host_days (expires_ms);
";

/// What is known of each task, by the number of its last change; `entry` is NULL for one that is gone.
const CATALOGUE: &str = "
CREATE TABLE catalogue (
    task_id    TEXT    NOT NULL PRIMARY KEY,
    number     INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    unfinished INTEGER NOT NULL,
    entry      TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX catalogue_by_number ON catalogue (number);
CREATE INDEX catalogue_unfinished ON catalogue (task_id) WHERE unfinished;
CREATE INDEX catalogue_gone ON catalogue (task_id) WHERE entry IS NULL;
";

/// What each worker has told of itself, as JSON, when, and for how long that is kept.
const WORKERS: &str = "
CREATE TABLE workers (
    worker   TEXT    NOT NULL PRIMARY KEY,
    record   TEXT    NOT NULL,
    heard_ms INTEGER NOT NULL,
    kept_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX workers_by_time ON workers (heard_ms);
";

/// The tables of version 1.
///
/// An entry is in exactly one state, and a task has at most one entry in a pool. `place` orders the ready ones; the
/// front is the smallest and may be negative. Those that have started are far below all others, see `statements`, and
/// `at_front` says where an entry goes when it is due. `task_id` is NULL for a body that was put there by other means than
/// `enqueue`; the claim that meets it fills it in or throws the body out.
pub(super) const FIRST_VERSION: &str = "
CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;

CREATE TABLE pools (
    pool   TEXT    NOT NULL PRIMARY KEY,
    fence  INTEGER NOT NULL DEFAULT 0,
    paused TEXT
) STRICT;

CREATE TABLE entries (
    id         INTEGER PRIMARY KEY,
    pool       TEXT    NOT NULL,
    task_id    TEXT,
    body       TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('ready', 'leased', 'delayed')),
    place      INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0,
    due_ms     INTEGER,
    at_front   INTEGER NOT NULL DEFAULT 0,
    worker     TEXT,
    fence      INTEGER,
    expires_ms INTEGER,
    UNIQUE (pool, task_id)
) STRICT;
CREATE INDEX entries_ready   ON entries (pool, place)      WHERE state = 'ready';
CREATE INDEX entries_delayed ON entries (pool, due_ms)     WHERE state = 'delayed';
CREATE INDEX entries_leased  ON entries (pool, expires_ms) WHERE state = 'leased';

CREATE TABLE dead (
    id           INTEGER PRIMARY KEY,
    pool         TEXT    NOT NULL,
    task_id      TEXT,
    body         TEXT    NOT NULL,
    error        TEXT    NOT NULL,
    error_code   TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,
    failed_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_by_time ON dead (pool, failed_at_ms);
CREATE INDEX dead_by_task ON dead (pool, task_id);

CREATE TABLE slots (
    pool       TEXT    NOT NULL,
    instance   TEXT    NOT NULL,
    task_id    TEXT    NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (pool, instance, task_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    key           TEXT    NOT NULL PRIMARY KEY,
    task_id       TEXT    NOT NULL,
    request_hash  TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_ms);
";

/// Creates the tables in an empty file, brings those of an older version up to date, or checks that the file is ours.
pub(super) fn install(connection: &mut Connection, location: &str) -> Result<(), QueueError> {
    let found = install_or_read(connection).map_err(|error| describe(location, error))?;
    let location = location.to_owned();
    match found {
        Some(VERSION) => Ok(()),
        Some(found) if found > VERSION => Err(QueueError::NewerSchema { location, found, supported: VERSION }),
        Some(found) => Err(QueueError::Unusable {
            location,
            problem: format!("it has the unknown schema version {found}"),
            source: None,
        }),
        None => Err(QueueError::Unusable {
            location,
            problem: "it is the database of another program".to_owned(),
            source: None,
        }),
    }
}

/// The version of the file, after creating the tables if it is empty; `None` when it holds something else.
fn install_or_read(connection: &mut Connection) -> rusqlite::Result<Option<i64>> {
    // Immediate: of several processes that find the file empty, one creates the tables and the others wait for it.
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (tables, ours): (i64, i64) = step.query_row(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE name = 'schema_version') FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if ours > 0 {
        return migrate(step);
    }
    if tables > 0 {
        return Ok(None);
    }
    step.execute_batch(FIRST_VERSION)?;
    MIGRATIONS.iter().try_for_each(|migration| step.execute_batch(migration))?;
    step.execute("INSERT INTO schema_version (version) VALUES (?1)", [VERSION])?;
    step.commit()?;
    Ok(Some(VERSION))
}

/// Brings an older version up to date; returns the version that stands in the file then. A process of version 4 that has the
/// file open goes on, but hears of no more circuits.
fn migrate(step: Transaction<'_>) -> rusqlite::Result<Option<i64>> {
    let found = version(&step)?;
    let Some(older @ 1..VERSION) = found else { return Ok(found) };
    let known = usize::try_from(older - 1).unwrap_or_default();
    MIGRATIONS[known..].iter().try_for_each(|migration| step.execute_batch(migration))?;
    step.execute("UPDATE schema_version SET version = ?1", [VERSION])?;
    step.commit()?;
    Ok(Some(VERSION))
}

/// The version that stands in the file.
pub(super) fn version(view: &Transaction<'_>) -> rusqlite::Result<Option<i64>> {
    view.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).optional()
}
