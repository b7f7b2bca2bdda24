//! One run of housekeeping: what is looked at, and what is removed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tracing::{debug, warn};

use super::{
    charges,
    error::HousekeepingError,
    index::QueueIndex,
    leader::Lead,
    report::{HousekeepingReport, StaleTask},
    rules,
};
use crate::{
    config::HousekeepingSettings,
    error::{Classified as _, chain},
    ids::{InstanceId, PoolName, ScanId, TaskId, scanner_name},
    queue::{LeaseInfo, Queue, RemoveOutcome, Settlement, TaskBody},
    scanner::{Circuits, MarkedScan, ScannerRegistry},
    task::{Inspected, Task, TaskError, TaskManager},
    telemetry::Metrics,
    time::Timestamp,
};

/// How many tasks are read at once.
const AT_ONCE: usize = 100;

/// What every run works with.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) index: QueueIndex,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) scanners: ScannerRegistry,
    pub(super) circuits: Circuits,
    pub(super) settings: HousekeepingSettings,
    pub(super) metrics: Option<Arc<Metrics>>,
}

/// What a run has learned of scans.
#[derive(Debug, Default)]
pub(super) struct KnownScans {
    /// Those that tasks here and in the archive have: scanner and id.
    pub(super) ours: HashSet<(String, ScanId)>,
    /// Those on each scanner that carry the id of a task; `None` where the scanner cannot tell or did not.
    pub(super) marked: HashMap<String, Option<Vec<MarkedScan>>>,
}

impl KnownScans {
    fn learn(&mut self, task: &Task) {
        let last = task.scanner_instance_id.iter().zip(&task.nessus_scan_id);
        let open = task.open_scans.iter().map(|open| (&open.instance_id, &open.scan_id));
        let former = task.former_scans.iter().map(|former| (&former.instance_id, &former.scan_id));
        let named =
            |(instance, scan): (&InstanceId, &ScanId)| (scanner_name(&task.scanner_pool, instance), scan.clone());
        self.ours.extend(last.chain(open).chain(former).map(named));
    }
}

/// A run that goes on.
pub(super) struct Run<'a> {
    pub(super) means: &'a Means,
    lead: Lead,
    pub(super) report: HousekeepingReport,
    pub(super) now: Timestamp,
    leases: HashMap<PoolName, Vec<LeaseInfo>>,
    pub(super) scans: KnownScans,
}

impl<'a> Run<'a> {
    pub(super) fn new(means: &'a Means, lead: Lead, report: HousekeepingReport) -> Self {
        Self { means, lead, now: report.started_at, report, leases: HashMap::new(), scans: KnownScans::default() }
    }

    pub(super) fn into_parts(self) -> (Lead, HousekeepingReport) {
        (self.lead, self.report)
    }

    pub(super) fn tasks(&self) -> &'a TaskManager {
        self.means.index.tasks()
    }

    /// Everything, in this order: what is archived by one step may be needed by the next.
    pub(super) async fn all(&mut self) -> Result<(), HousekeepingError> {
        // A scanner that an operator has isolated is not called.
        for pool in self.means.scanners.pools() {
            self.means.circuits.exchange(self.means.queue.as_ref(), &pool.name, &pool.instance_ids()).await?;
        }
        let inventory = self.tasks().inventory().await?;
        for (name, why) in &inventory.foreign {
            self.report.note(format!("tasks/{name}"), why.to_string());
        }
        self.resume_removals(&inventory.removed).await?;
        // It needs no space, and gives some to what is archived below.
        self.remove_abandoned(inventory.tasks.clone()).await?;
        for some in inventory.tasks.chunks(AT_ONCE) {
            self.may_remove().await?;
            for inspected in self.tasks().inspect(some.to_vec()).await? {
                let place = format!("tasks/{}", inspected.task_id);
                let outcome = self.look_at(inspected).await;
                self.go_on(&place, outcome)?;
            }
        }
        self.go_through_archive().await?;
        self.list_unknown_scans().await;
        Ok(())
    }

    /// Whether we may still remove something; called before each removal.
    ///
    /// # Errors
    /// [`HousekeepingError::LeadLost`] when another process has the lead by now.
    pub(super) async fn may_remove(&mut self) -> Result<(), HousekeepingError> {
        if self.lead.stands().await? { Ok(()) } else { Err(HousekeepingError::LeadLost) }
    }

    /// Goes on after a failure that concerns this entry alone: it is noted, and tried again by the next run.
    fn go_on(&mut self, place: &str, outcome: Result<(), HousekeepingError>) -> Result<(), HousekeepingError> {
        match outcome {
            Err(error) if !error.concerns_all() => self.report.note(place, chain(&error)),
            outcome => return outcome,
        }
        Ok(())
    }

    /// Finishes what a killed process has begun: those tasks are archived already.
    async fn resume_removals(&mut self, removed: &[TaskId]) -> Result<(), HousekeepingError> {
        for task_id in removed {
            let is_gone = if self.report.dry_run {
                true
            } else {
                self.may_remove().await?;
                match self.tasks().resume_removal(task_id).await {
                    Ok(is_gone) => is_gone,
                    Err(error) => {
                        self.go_on(&format!("tasks/{task_id}.removed"), Err(error.into()))?;
                        continue;
                    }
                }
            };
            if is_gone {
                self.report.tasks.push(task_id.clone());
                self.count("task", 1);
            } else {
                self.report.note(format!("tasks/{task_id}.removed"), "something in it is none of ours");
            }
        }
        Ok(())
    }

    async fn look_at(&mut self, inspected: Inspected) -> Result<(), HousekeepingError> {
        let Inspected { task_id, task, foreign } = inspected;
        for (name, why) in &foreign {
            self.report.note(format!("tasks/{task_id}/{name}"), why.to_string());
        }
        let task = match task {
            Ok(Some(task)) => task,
            Ok(None) => return Ok(()),
            Err(error) if error.concerns_all() => return Err(error.into()),
            Err(error) => {
                self.report.keep_task("unreadable");
                self.report.note(format!("tasks/{task_id}"), error.to_string());
                return Ok(());
            }
        };
        self.report.looked_at += 1;
        self.scans.learn(&task);
        self.give_back_if_stale(&task).await?;
        if let Err(kept) = rules::task_is_due(&task, &self.means.settings, self.now) {
            self.report.keep_task(kept.as_str());
        } else if !foreign.is_empty() {
            self.report.keep_task("foreign_content");
        } else if let Some(scan) = self.scan_that_may_run(&task).await? {
            self.report.keep_task(rules::Kept::ScanMayRun.as_str());
            self.report.note(format!("tasks/{task_id}"), scan);
        } else if self.remove(&task).await? {
            self.report.tasks.push(task_id);
            return if self.report.dry_run { self.look_at_scans(&task, Some(self.now)).await } else { Ok(()) };
        }
        self.look_at_scans(&task, None).await
    }

    /// Removes a task for good, unless it has changed meanwhile; whether it is gone.
    async fn remove(&mut self, task: &Task) -> Result<bool, HousekeepingError> {
        if self.report.dry_run {
            return Ok(true);
        }
        self.may_remove().await?;
        let (task_id, revision) = (&task.task_id, task.revision);
        let (settings, now) = (self.means.settings.clone(), self.now);
        // Whoever has written it since has made it another task, such as one that is tried again.
        let judge = move |task: &Task| task.revision == revision && rules::task_is_due(task, &settings, now).is_ok();
        let removal = match self.tasks().begin_removal(task_id, judge, now).await {
            Ok(Some(removal)) => removal,
            Ok(None) | Err(TaskError::NotFound(_)) => {
                self.report.keep_task("changed_meanwhile");
                return Ok(false);
            }
            Err(error) if error.concerns_all() => return Err(error.into()),
            Err(error) => return Ok(self.failed(task_id, &error)),
        };
        if !forget(self.means.queue.as_ref(), removal.task()).await? {
            self.report.keep_task("held_by_a_worker");
            return Ok(false);
        }
        crate::fail_points::fail_point!("housekeeping_forgotten");
        if let Err(error) = self.tasks().finish_removal(removal).await {
            return if error.concerns_all() { Err(error.into()) } else { Ok(self.failed(task_id, &error)) };
        }
        debug!(%task_id, status = %task.status, "an old task was removed");
        self.count("task", 1);
        Ok(true)
    }

    fn failed(&mut self, task_id: &TaskId, error: &TaskError) -> bool {
        warn!(%task_id, error = chain(error), hint = error.hint(), "an old task could not be removed");
        self.report.keep_task("failed");
        self.report.note(format!("tasks/{task_id}"), error.to_string());
        false
    }

    /// Gives a running task back to the queue that no worker has held for long. It never fails: its scan decides.
    async fn give_back_if_stale(&mut self, task: &Task) -> Result<(), HousekeepingError> {
        if task.status.is_terminal() || self.means.settings.stale.is_none() {
            return Ok(());
        }
        let (pool, queue) = (&task.scanner_pool, self.means.queue.as_ref());
        if !self.leases.contains_key(pool) {
            self.leases.insert(pool.clone(), queue.leases(pool).await?);
        }
        let lease = self.leases.get(pool).into_iter().flatten().find(|held| held.lease.task_id == task.task_id);
        let Some(since) = rules::is_stale(task, lease, &self.means.settings, self.now) else { return Ok(()) };
        self.report.stale_tasks.push(StaleTask { task_id: task.task_id.clone(), since });
        if self.report.dry_run {
            return Ok(());
        }
        match lease {
            Some(held) => {
                let release = Settlement::Release { delay: Duration::ZERO, started: true };
                queue.settle(&held.lease, release).await?;
            }
            None => _ = charges::enqueue(queue, task).await?,
        }
        self.count("stale_task", 1);
        warn!(task_id = %task.task_id, %pool, %since, "no worker has held a running task for long: it was given back to the queue");
        Ok(())
    }

    async fn remove_abandoned(&mut self, tasks: Vec<TaskId>) -> Result<(), HousekeepingError> {
        if !self.report.dry_run {
            self.may_remove().await?;
        }
        let found = self.tasks().remove_abandoned(tasks, self.report.dry_run).await?;
        self.report.files = found.removed;
        for (place, error) in found.failed {
            self.report.note(place, chain(&error));
        }
        self.count("file", self.report.files.len());
        Ok(())
    }

    /// Looks at the scans of removed tasks, and removes old records.
    async fn go_through_archive(&mut self) -> Result<(), HousekeepingError> {
        let found = self.tasks().archived_names().await?;
        for (name, why) in &found.foreign {
            self.report.note(format!("archive/{name}"), why.to_string());
        }
        for some in found.records.chunks(AT_ONCE) {
            self.may_remove().await?;
            for archived in self.tasks().archived(some.to_vec()).await? {
                let Some(archived_at) = archived.at else {
                    self.report.note(format!("archive/{}", archived.name), "it does not say when it was archived");
                    continue;
                };
                archived.task.iter().for_each(|task| self.scans.learn(task));
                if let Some(task) = &archived.task
                    && matches!(self.tasks().get(&task.task_id).await, Err(TaskError::NotFound(_)))
                {
                    let outcome = self.look_at_scans(task, Some(archived_at)).await;
                    self.go_on(&format!("archive/{}", archived.name), outcome)?;
                }
                if rules::archived_is_due(archived_at, &self.means.settings, self.now) {
                    if !self.report.dry_run {
                        self.may_remove().await?;
                        if let Err(error) = self.tasks().remove_archived(archived.name.clone()).await {
                            self.go_on(&format!("archive/{}", archived.name), Err(error.into()))?;
                            continue;
                        }
                        self.count("archive_record", 1);
                    }
                    self.report.archive_records.push(archived.name);
                }
            }
        }
        Ok(())
    }

    pub(super) fn count(&self, kind: &str, removed: usize) {
        if let Some(metrics) = self.means.metrics.as_ref().filter(|_| !self.report.dry_run) {
            metrics.housekeeping().removed(kind, removed);
        }
    }
}

/// Lets the queue forget a task that is locked and archived: what it counts against limits, and its dead letter. Whether no worker
/// holds it. A process that dies in between leaves a task that has ended in the queue, where a worker makes a letter of it again.
async fn forget(queue: &dyn Queue, task: &Task) -> Result<bool, HousekeepingError> {
    charges::give_back(queue, task).await?;
    if !task.status.allows_retry() {
        return Ok(true);
    }
    let body = TaskBody::parse(task.queue_entry().to_string())?;
    queue.retry_dead(&task.scanner_pool, &body).await?;
    Ok(queue.remove(&task.scanner_pool, &task.task_id).await? != RemoveOutcome::Leased)
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;
    use crate::{
        ids::TraceId,
        queue::sqlite::SqliteQueue,
        task::{ScanPayload, ScanType, TaskStatus},
        time::ManualClock,
    };

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Another process has the lead: what was decided before is not done.
    #[tokio::test(start_paused = true)]
    async fn a_run_that_has_lost_the_lead_removes_nothing_more() {
        let directory = tempfile::tempdir().unwrap();
        let now = "2026-11-29T12:00:00Z".parse::<Timestamp>().unwrap();
        let clock = ManualClock::new(now);
        let queue = SqliteQueue::open_with_clock(&directory.path().join("queue.db"), Arc::new(clock.clone())).unwrap();
        let queue: Arc<dyn Queue> = Arc::new(queue);
        let tasks = TaskManager::open(directory.path()).unwrap();
        let index = QueueIndex::new(tasks, Arc::clone(&queue), Arc::new(clock.clone()));
        index.ensure().await.unwrap();
        let created_at = now.minus(100 * DAY);
        let (id, payload) = (TaskId::generate("mock", "lab", created_at), ScanPayload::new("office", "192.0.2.1"));
        let pool = PoolName::new("lab").unwrap();
        let mut task =
            Task::new(id.clone(), TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, created_at);
        (task.status, task.completed_at) = (TaskStatus::Completed, Some(created_at));
        index.tasks().create(task).await.unwrap();
        let means = Means {
            index,
            queue: Arc::clone(&queue),
            scanners: ScannerRegistry::without_pools(),
            circuits: Circuits::default(),
            settings: HousekeepingSettings::default(),
            metrics: None,
        };
        let begin = async |lead| Run::new(&means, lead, HousekeepingReport::begin(now, false, None));
        let mut lost = begin(Lead::take(&queue, now).await.unwrap().unwrap()).await;
        clock.advance(DAY);
        let next = Lead::take(&queue, now).await.unwrap().unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(matches!(lost.all().await, Err(HousekeepingError::LeadLost)));
        assert!(lost.report.tasks.is_empty() && means.index.tasks().get(&id).await.is_ok());

        let mut leading = begin(next).await;
        leading.all().await.unwrap();
        assert_eq!(leading.report.tasks, std::slice::from_ref(&id));
        assert!(matches!(means.index.tasks().get(&id).await, Err(TaskError::NotFound(_))));
        let (removed, at) = means.index.tasks().removed_task(&id).await.unwrap().unwrap();
        assert_eq!((removed.task_id, at), (id, now));
    }
}
