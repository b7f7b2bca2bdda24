//! The catalogue of tasks.

use async_trait::async_trait;

use super::{RedisQueue, calls::LostReply, errors, scripts};
use crate::{
    ids::TaskId,
    queue::{
        catalogue::{CATALOGUE_BATCH, CatalogueChanges, CatalogueRecord, CatalogueState, TaskCatalogue},
        error::QueueError,
    },
};

#[async_trait]
impl TaskCatalogue for RedisQueue {
    async fn record_tasks(&self, records: &[CatalogueRecord]) -> Result<Vec<(TaskId, u64)>, QueueError> {
        let arguments = records.iter().flat_map(|record| {
            let unfinished = if record.unfinished { "1" } else { "0" }.to_owned();
            let entry = record.entry.clone().unwrap_or_default();
            [record.task_id.to_string(), record.revision.to_string(), unfinished, entry]
        });
        let record = scripts::RECORD_TASKS.on(self.naming.catalogue(), arguments.collect::<Vec<_>>());
        let refused: Vec<(String, u64)> = self.calls.run(&record, LostReply::Repeat).await?;
        refused.into_iter().map(|(id, revision)| Ok((self.task_id(id)?, revision))).collect()
    }

    async fn catalogue_changes(&self, after: u64, limit: usize) -> Result<CatalogueChanges, QueueError> {
        let arguments = [after.to_string(), limit.min(CATALOGUE_BATCH).to_string()];
        let changes = scripts::CATALOGUE_CHANGES.on(self.naming.catalogue(), arguments);
        let mut found: Vec<String> = self.calls.run(&changes, LostReply::Repeat).await?;
        let rest = if found.is_empty() { Vec::new() } else { found.split_off(1) };
        let (mut records, mut last) = (Vec::new(), after);
        for one in rest.chunks_exact(3) {
            last = one[1].parse().unwrap_or(last);
            records.extend(self.read_record(&one[0], &one[2])?);
        }
        let mark = found.pop().filter(|mark| !mark.is_empty());
        Ok(CatalogueChanges::new(mark, records, last))
    }

    async fn unfinished_records(
        &self,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<CatalogueRecord>, QueueError> {
        let after = after.map(|after| after.to_string()).unwrap_or_default();
        let arguments = [after, limit.min(CATALOGUE_BATCH).to_string()];
        let unfinished = scripts::UNFINISHED_RECORDS.on(self.naming.catalogue(), arguments);
        let found: Vec<String> = self.calls.run(&unfinished, LostReply::Repeat).await?;
        let records = found.chunks_exact(2).map(|one| self.read_record(&one[0], &one[1]));
        Ok(records.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    async fn catalogue_state(&self) -> Result<CatalogueState, QueueError> {
        let state = scripts::CATALOGUE_STATE.on(self.naming.catalogue(), []);
        let (mark, tasks): (String, i64) = self.calls.run(&state, LostReply::Repeat).await?;
        let tasks = u64::try_from(tasks).unwrap_or_default();
        Ok(CatalogueState::new(Some(mark).filter(|mark| !mark.is_empty()), tasks))
    }

    async fn begin_catalogue(&self) -> Result<String, QueueError> {
        let begun = uuid::Uuid::new_v4().simple().to_string();
        self.calls.run(&scripts::BEGIN_CATALOGUE.on(self.naming.catalogue(), [begun]), LostReply::Repeat).await
    }

    async fn finish_catalogue(&self, begun: &str, mark: &str) -> Result<bool, QueueError> {
        let arguments = [begun.to_owned(), mark.to_owned()];
        let finish = scripts::FINISH_CATALOGUE.on(self.naming.catalogue(), arguments);
        Ok(self.calls.run::<u64>(&finish, LostReply::Repeat).await? == 1)
    }
}

impl RedisQueue {
    fn task_id(&self, id: String) -> Result<TaskId, QueueError> {
        TaskId::new(id).map_err(|error| errors::unexpected(self.calls.location(), error))
    }

    /// A record as it is stored; `None` where its key was lost, which leaves the catalogue without a mark.
    fn read_record(&self, id: &str, stored: &str) -> Result<Option<CatalogueRecord>, QueueError> {
        let mut parts = stored.splitn(3, ':');
        let (revision, unfinished, entry) = (parts.next(), parts.next(), parts.next());
        let revision = revision.and_then(|revision| revision.parse().ok());
        let (Some(revision), Some(unfinished), Some(entry)) = (revision, unfinished, entry) else { return Ok(None) };
        Ok(Some(CatalogueRecord {
            task_id: self.task_id(id.to_owned())?,
            revision,
            unfinished: unfinished == "1",
            entry: Some(entry.to_owned()).filter(|entry| !entry.is_empty()),
        }))
    }
}
