//! The pools that tasks belong to, whatever is configured.

use std::collections::BTreeSet;

use super::entry::TaskEntry;
use crate::{
    ids::PoolName,
    queue::{CATALOGUE_BATCH, Queue, QueueError},
};

/// The pools of the tasks in a catalogue, and whether it is whole: else some may be missing. Neither a data directory nor a task's
/// file is needed.
///
/// # Errors
/// When the queue does not answer.
pub async fn pools_in_catalogue(queue: &dyn Queue) -> Result<(BTreeSet<PoolName>, bool), QueueError> {
    let (mut pools, mut after) = (BTreeSet::new(), 0);
    loop {
        let changes = queue.catalogue_changes(after, CATALOGUE_BATCH).await?;
        after = changes.last;
        let is_last = changes.records.len() < CATALOGUE_BATCH;
        for text in changes.records.into_iter().filter_map(|record| record.entry) {
            if let Some(TaskEntry::Task(facts)) = TaskEntry::parse(&text)
                && !pools.contains(&*facts.pool)
            {
                pools.insert(PoolName::clone(&facts.pool));
            }
        }
        if is_last {
            return Ok((pools, changes.mark.is_some()));
        }
    }
}
