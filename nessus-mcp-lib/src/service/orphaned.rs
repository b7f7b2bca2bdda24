//! Orphaned tasks: their pool or scanner was taken out of the configuration, so no worker can run them.
//!
//! They wait, and a list of what is configured would not show them.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    ScanService,
    cached::{Cached, OrphanCounts},
    error::ServiceError,
};
use crate::{
    ids::{InstanceId, PoolName},
    task::{Task, TaskQuery},
    time::Timestamp,
};

/// How old the answer may be: it takes a read of every task.
const KEPT: Duration = Duration::from_secs(10);

/// Tasks that wait for a pool or scanner that is not configured. A task that a worker holds does not wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OrphanedTasks {
    /// The pool.
    pub scanner_pool: PoolName,
    /// The scanner they are bound to, when that is what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanner_instance: Option<InstanceId>,
    /// How many there are.
    pub tasks: u64,
}

impl ScanService {
    /// The tasks that wait because their pool or scanner is not configured, counted by what is missing. Up to ten seconds
    /// old, unless the configuration was read again meanwhile.
    ///
    /// # Errors
    /// [`ServiceError::Task`] when the tasks cannot be read.
    pub async fn orphaned_tasks(&self) -> Result<Vec<OrphanedTasks>, ServiceError> {
        let now = self.clock.now();
        let known = self.orphaned.lock().ok().and_then(|cached| cached.clone());
        let counts = match known.and_then(|known| known.younger_than(KEPT, now)) {
            Some(counts) => counts,
            None => self.count_orphaned_tasks(now).await?,
        };
        let view = |((scanner_pool, scanner_instance), tasks)| OrphanedTasks { scanner_pool, scanner_instance, tasks };
        let rights = self.rights();
        Ok(counts.into_iter().filter(|((pool, _), _)| rights.allows_pool(pool)).map(view).collect())
    }

    async fn count_orphaned_tasks(&self, now: Timestamp) -> Result<OrphanCounts, ServiceError> {
        let mut without: BTreeMap<PoolName, Vec<_>> = BTreeMap::new();
        for task in self.tasks.list(TaskQuery::default().unfinished()).await?.tasks {
            if let Some((pool, instance)) = self.missing(&task) {
                without.entry(pool).or_default().push((instance, task.task_id));
            }
        }
        let mut counts = OrphanCounts::new();
        for (pool, mut tasks) in without {
            // A worker that has known the pool or scanner watches the scans there to their end.
            let leases = self.queue.leases(&pool).await.unwrap_or_default().into_iter();
            let held: HashSet<_> = leases.filter(|held| held.expires_at > now).map(|held| held.lease.task_id).collect();
            tasks.retain(|(_, task_id)| !held.contains(task_id));
            for (instance, _) in tasks {
                *counts.entry((pool.clone(), instance)).or_default() += 1;
            }
        }
        if let Ok(mut cached) = self.orphaned.lock() {
            *cached = Some(Cached::new(counts.clone(), now));
        }
        Ok(counts)
    }

    /// The pool or scanner a task needs and that is not there.
    fn missing(&self, task: &Task) -> Option<(PoolName, Option<InstanceId>)> {
        let bound = task.next_instance();
        match (self.scanners.pool(&task.scanner_pool), bound) {
            (None, _) => Some((task.scanner_pool.clone(), None)),
            (Some(pool), Some(id)) if pool.instance(id).is_none() => {
                Some((task.scanner_pool.clone(), Some(id.clone())))
            }
            _ => None,
        }
    }
}
