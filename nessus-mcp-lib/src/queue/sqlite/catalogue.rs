//! The steps on the catalogue of tasks.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{
    SqliteQueue,
    statements::{count, name, rows},
};
use crate::{
    ids::TaskId,
    queue::{
        catalogue::{CATALOGUE_BATCH, CatalogueChanges, CatalogueRecord, CatalogueState, TaskCatalogue},
        error::QueueError,
    },
};

/// The facts that tell how it stands with the catalogue.
const MARK: &str = "catalogue_mark";
const BEGUN: &str = "catalogue_begun";

#[async_trait]
impl TaskCatalogue for SqliteQueue {
    async fn record_tasks(&self, records: &[CatalogueRecord]) -> Result<Vec<(TaskId, u64)>, QueueError> {
        let records = records.to_vec();
        self.write(move |step, _| {
            let refused = records.iter().map(|one| record(step, one).map(|stands| stands.map(|it| (one, it))));
            let refused: Vec<_> = refused.collect::<rusqlite::Result<_>>()?;
            Ok(refused.into_iter().flatten().map(|(one, stands)| (one.task_id.clone(), stands)).collect())
        })
        .await
    }

    async fn catalogue_changes(&self, after: u64, limit: usize) -> Result<CatalogueChanges, QueueError> {
        self.read(move |view, _| changes(view, after, limit)).await
    }

    async fn unfinished_records(
        &self,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<CatalogueRecord>, QueueError> {
        self.read(move |view, _| {
            rows(
                view.prepare_cached(
                    "SELECT task_id, revision, unfinished, entry FROM catalogue
                     WHERE unfinished AND task_id > ?1 ORDER BY task_id LIMIT ?2",
                )?,
                params![after.as_ref().map_or("", TaskId::as_str), most(limit)],
                read,
            )
        })
        .await
    }

    async fn catalogue_state(&self) -> Result<CatalogueState, QueueError> {
        self.read(|view, _| {
            // Both are counted by small indexes.
            let tasks = view
                .prepare_cached(
                    "SELECT (SELECT COUNT(*) FROM catalogue)
                          - (SELECT COUNT(*) FROM catalogue INDEXED BY catalogue_gone WHERE entry IS NULL)",
                )?
                .query_row([], |row| count(row, 0))?;
            Ok(CatalogueState::new(fact(view, MARK)?, tasks))
        })
        .await
    }

    async fn begin_catalogue(&self) -> Result<String, QueueError> {
        let begun = uuid::Uuid::new_v4().simple().to_string();
        self.write(move |step, _| {
            step.execute("DELETE FROM facts WHERE name = ?1", [MARK])?;
            if let Some(begun) = fact(step, BEGUN)? {
                return Ok(begun);
            }
            step.execute("DELETE FROM catalogue", [])?;
            set_fact(step, BEGUN, &begun)?;
            Ok(begun.clone())
        })
        .await
    }

    async fn finish_catalogue(&self, begun: &str, mark: &str) -> Result<bool, QueueError> {
        let (begun, mark) = (begun.to_owned(), mark.to_owned());
        self.write(move |step, _| {
            if fact(step, BEGUN)?.as_ref() == Some(&begun) {
                set_fact(step, MARK, &mark)?;
                step.execute("DELETE FROM facts WHERE name = ?1", [BEGUN])?;
            }
            Ok(fact(step, MARK)?.is_some())
        })
        .await
    }
}

/// How many rows are asked for.
fn most(limit: usize) -> i64 {
    i64::try_from(limit.min(CATALOGUE_BATCH)).unwrap_or(i64::MAX)
}

/// Puts a record; returns the revision that stands if it is larger.
fn record(step: &Transaction<'_>, record: &CatalogueRecord) -> rusqlite::Result<Option<u64>> {
    let put = step
        .prepare_cached(
            "INSERT INTO catalogue (task_id, number, revision, unfinished, entry)
             VALUES (?1, (SELECT COALESCE(MAX(number), 0) + 1 FROM catalogue), ?2, ?3, ?4)
             ON CONFLICT (task_id) DO UPDATE
             SET number = excluded.number, revision = excluded.revision, unfinished = excluded.unfinished, entry = excluded.entry
             WHERE excluded.revision >= catalogue.revision",
        )?
        .execute(params![
            record.task_id.as_str(),
            i64::try_from(record.revision).unwrap_or(i64::MAX),
            record.unfinished,
            record.entry
        ])?;
    if put > 0 {
        return Ok(None);
    }
    let stands = step
        .prepare_cached("SELECT revision FROM catalogue WHERE task_id = ?1")?
        .query_row([record.task_id.as_str()], |row| count(row, 0))?;
    Ok(Some(stands))
}

fn changes(view: &Transaction<'_>, after: u64, limit: usize) -> rusqlite::Result<CatalogueChanges> {
    let found = rows(
        view.prepare_cached(
            "SELECT task_id, revision, unfinished, entry, number FROM catalogue WHERE number > ?1 ORDER BY number LIMIT ?2",
        )?,
        params![i64::try_from(after).unwrap_or(i64::MAX), most(limit)],
        |row| Ok((read(row)?, count(row, 4)?)),
    )?;
    let last = found.last().map_or(after, |(_, number)| *number);
    Ok(CatalogueChanges::new(fact(view, MARK)?, found.into_iter().map(|(record, _)| record).collect(), last))
}

fn read(row: &Row<'_>) -> rusqlite::Result<CatalogueRecord> {
    Ok(CatalogueRecord {
        task_id: name(row, 0)?,
        revision: count(row, 1)?,
        unfinished: row.get(2)?,
        entry: row.get(3)?,
    })
}

fn fact(view: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<String>> {
    view.prepare_cached("SELECT value FROM facts WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

fn set_fact(step: &Transaction<'_>, name: &str, value: &str) -> rusqlite::Result<()> {
    step.prepare_cached("INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)")?.execute([name, value])?;
    Ok(())
}
