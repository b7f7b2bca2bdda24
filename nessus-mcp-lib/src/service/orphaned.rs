//! Orphaned tasks: their pool or scanner was taken out of the configuration, so no worker can run them.
//!
//! They wait, and a list of what is configured would not show them.

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

use serde::{Deserialize, Serialize};

use super::{ScanService, error::ServiceError};
use crate::{
    ids::{InstanceId, PoolName},
    task::{TaskFacts, TaskQuery},
};

/// Tasks that wait for a pool or scanner that is not configured. A task that a worker holds does not wait, nor does one whose pool and
/// scanner a worker serves that has them configured.
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
    /// The tasks that wait because their pool or scanner is not configured, counted by what is missing.
    ///
    /// # Errors
    /// [`ServiceError::Task`] when the tasks cannot be read, [`ServiceError::Queue`] when the queue does not answer.
    pub async fn orphaned_tasks(&self) -> Result<Vec<OrphanedTasks>, ServiceError> {
        let pools = self.scanners.pools().into_iter().map(|pool| (pool.name.clone(), pool.instance_ids())).collect();
        self.orphaned_without(pools).await
    }

    /// As [`orphaned_tasks`](Self::orphaned_tasks), for these pools and scanners in the place of those of this service.
    pub async fn orphaned_without(
        &self,
        pools: Vec<(PoolName, Vec<InstanceId>)>,
    ) -> Result<Vec<OrphanedTasks>, ServiceError> {
        let without = self.tasks.pick(TaskQuery::default().unfinished(), move |task_id, facts| {
            ControlFlow::Continue(missing(&pools, facts).map(|missing| (missing, task_id.clone())))
        });
        let mut by_pool: BTreeMap<PoolName, Vec<_>> = BTreeMap::new();
        for ((pool, instance), task_id) in without.await? {
            by_pool.entry(pool).or_default().push((instance, task_id));
        }
        let (workers, rights) = (self.queue.workers().await?, self.rights());
        let now = self.queue.now().await?.unwrap_or_else(|| self.clock.now());
        let mut counts = BTreeMap::new();
        for (pool, tasks) in by_pool.into_iter().filter(|(pool, _)| rights.allows_pool(pool)) {
            // A worker that has known the pool or scanner watches the scans there to their end.
            let leases = self.queue.leases(&pool).await?.into_iter();
            let held: HashSet<_> = leases.filter(|held| held.expires_at > now).map(|held| held.lease.task_id).collect();
            // What others have configured is served, whatever stands here.
            let serving: Vec<_> = workers
                .iter()
                .filter(|worker| worker.is_alive())
                .filter_map(|worker| worker.record.serves(&pool))
                .collect();
            let is_served = |scanner: &Option<InstanceId>| {
                serving.iter().any(|served| scanner.as_ref().is_none_or(|id| served.scanners.contains(id)))
            };
            let waits = |(scanner, task_id): &(_, _)| !held.contains(task_id) && !is_served(scanner);
            for (instance, _) in tasks.into_iter().filter(waits) {
                *counts.entry((pool.clone(), instance)).or_default() += 1;
            }
        }
        let view = |((scanner_pool, scanner_instance), tasks)| OrphanedTasks { scanner_pool, scanner_instance, tasks };
        Ok(counts.into_iter().map(view).collect())
    }
}

/// The pool or scanner a task needs and that is not there.
fn missing(pools: &[(PoolName, Vec<InstanceId>)], facts: &TaskFacts) -> Option<(PoolName, Option<InstanceId>)> {
    let name = PoolName::clone(&facts.pool);
    match (pools.iter().find(|(pool, _)| *pool == name), &facts.instance) {
        (None, _) => Some((name, None)),
        (Some((_, instances)), Some(id)) if !instances.contains(id) => Some((name, Some(InstanceId::clone(id)))),
        _ => None,
    }
}
