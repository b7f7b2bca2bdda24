//! What every API layer calls: submit a scan, see where it stands, read its findings.
//!
//! The MCP server maps its tools onto [`ScanService`] and adds nothing. A program that embeds this library can do the same
//! without MCP. Every error carries a stable code, a message and, where there is something to do, a hint.

mod advice;
mod approval_watch;
mod approvals;
mod attempts;
mod audited;
mod charges;
mod circuits;
mod completions;
mod control;
mod deliveries;
mod dry_run;
mod error;
mod estimate;
mod exports;
mod gate;
mod health;
mod housekeeping;
mod indexes;
mod list;
mod lookup;
mod offers;
mod orphaned;
mod phase;
mod prepared;
mod reload;
mod repeated;
mod results;
mod rights;
mod served;
mod shorten;
mod status;
mod submit;
mod task_view;
mod timeline;
mod troubleshooting;
mod views;
mod waiting;
mod waiting_tasks;
mod watch;
mod workers;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

pub(crate) use self::{
    advice::known as advice_on, approvals::approval_of, results::scan_metadata, rights::check_rights,
    views::login_expected,
};
pub use self::{
    approvals::{ApprovalAnswer, ApprovalView, KnownApprovals},
    attempts::EndedAttempt,
    circuits::{CircuitStatus, ProcessCircuit, ScannerCircuit},
    completions::{Completable, Completions},
    control::{ControlView, Purged, reason_of_an_order},
    dry_run::{DryRunView, ScannerLoad, ScopeVerdict},
    error::ServiceError,
    list::{
        HealthView, InstanceView, PoolQueueView, PoolStatusView, PoolView, PoolsView, QueueView, ScannersView,
        TaskListView, TaskSummary,
    },
    lookup::MatchingTasks,
    offers::{NotAsked, PoliciesView, PolicyView, PoolPolicies, TemplateView},
    orphaned::OrphanedTasks,
    phase::Phase,
    prepared::PreparedResults,
    results::ResultsRequest,
    served::has_older_workers,
    submit::{IdempotencyKey, Submission, SubmitRequest},
    task_view::TaskView,
    timeline::{MarkKind, TimelineMark, TimelineView},
    troubleshooting::Advice,
    views::{TaskComparison, TaskSummaryView},
    workers::{UnservedPool, WorkerState, WorkerView, WorkersView},
};
use self::{
    gate::MemoryGate, indexes::KnownIndexes, served::ServedPools, waiting_tasks::WaitingForApproval,
    watch::WatchedTasks,
};
use crate::{
    audit::Audit,
    config::Settings,
    credentials::Credentials,
    error::{Classified as _, ErrorKind},
    housekeeping::{QueueIndex, binding_of},
    ids::PoolName,
    policy::{Principal, Scope},
    queue::{self, Queue, QueueUrl},
    scanner::{Circuits, ScannerRegistry},
    task::{TaskError, TaskManager},
    telemetry::Metrics,
    time::{Clock, SystemClock, Timestamp},
};

/// How long the scans of each pool take, and when that was found.
type TypicalDurations = HashMap<PoolName, (Timestamp, Option<Duration>)>;

/// Accepts scans and answers questions about them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ScanService {
    tasks: TaskManager,
    queue: Arc<dyn Queue>,
    index: QueueIndex,
    scanners: ScannerRegistry,
    circuits: Circuits,
    credentials: Credentials,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    data_dir: Arc<Path>,
    scope: Scope,
    /// Whom it acts for.
    caller: Option<Principal>,
    audit: Audit,
    /// What those who read exports take together.
    memory: MemoryGate,
    indexes: KnownIndexes,
    /// How long the scans of each pool take, and when that was found.
    typical: Arc<Mutex<TypicalDurations>>,
    /// Who serves the pools.
    served: ServedPools,
    /// The tasks whose status somebody waits for.
    watched: WatchedTasks,
    /// The tasks that are known to wait for a person.
    waiting: WaitingForApproval,
}

/// What a [`ScanService`] is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServiceParts {
    /// What this machine keeps; asked for its free space.
    pub data_dir: PathBuf,
    /// The tasks.
    pub tasks: TaskManager,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// The scanners; the service puts each behind its breaker of `circuits`.
    pub scanners: ScannerRegistry,
    /// The circuits of the scanners.
    pub circuits: Circuits,
    /// The logins that scans may use.
    pub credentials: Credentials,
    /// The clock everything goes by; the tasks should go by the same.
    pub clock: Arc<dyn Clock>,
    /// What all who read exports take together, in MiB.
    pub results_memory_mib: u32,
    /// What scans may be aimed at.
    pub scope: Scope,
}

impl ServiceParts {
    /// These parts, with the machine's clock, and without logins for scans.
    pub fn new(
        data_dir: impl Into<PathBuf>,
        tasks: TaskManager,
        queue: Arc<dyn Queue>,
        scanners: ScannerRegistry,
    ) -> Self {
        let (circuits, clock) = (Circuits::default(), Arc::new(SystemClock));
        let (data_dir, results_memory_mib) = (data_dir.into(), Settings::DEFAULT_RESULTS_MEMORY_MIB);
        let (credentials, scope) = (Credentials::default(), Scope::default());
        Self { data_dir, tasks, queue, scanners, circuits, credentials, clock, results_memory_mib, scope }
    }

    /// The same parts with logins for scans.
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The same parts with circuits of other settings, or with those of a service before this one.
    pub fn with_circuits(mut self, circuits: Circuits) -> Self {
        self.circuits = circuits;
        self
    }

    /// The same parts with another scope.
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The same parts with another clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl ScanService {
    /// Opens what the settings name: the scanner configuration, the tasks and the queue.
    ///
    /// # Errors
    /// [`ServiceError`] of the first that cannot be used; its kind tells a wrong configuration from an unreachable
    /// queue.
    pub async fn open(settings: &Settings) -> Result<Self, ServiceError> {
        Self::open_with_scanners(settings, Self::load_scanners(settings).await?).await
    }

    /// As [`ScanService::open`], with scanners that were loaded before or do not come from a file.
    pub async fn open_with_scanners(settings: &Settings, scanners: ScannerRegistry) -> Result<Self, ServiceError> {
        Self::open_with(settings, scanners, Self::load_scope(settings).await?).await
    }

    /// As [`ScanService::open_with_scanners`], with a scope that was loaded before or does not come from a file.
    pub async fn open_with(settings: &Settings, scanners: ScannerRegistry, scope: Scope) -> Result<Self, ServiceError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = &settings.clone().check()?;
        let circuits = Circuits::new(settings.circuits.clone())?;
        let credentials = Self::load_credentials(settings).await?;
        // The queue first: a URL that cannot be used must not leave a data directory behind.
        let url = settings.queue_url.parse()?;
        let queue = queue::open(&url).await?;
        let credentials = match url {
            QueueUrl::Sqlite(_) => credentials.with_key_in(&settings.data_dir),
            QueueUrl::Redis(_) => credentials,
        };
        // Nor must one that belongs to another.
        // An object store may be back in a moment, and says itself what is wrong with it; a disk of this machine does not mend itself.
        let unusable = |error: TaskError| match error.kind() {
            ErrorKind::Internal => ServiceError::DataDirectory(error),
            _ => ServiceError::Task(error),
        };
        let existing = TaskManager::to_read_for(settings).await.map_err(unusable)?;
        binding_of(existing.as_ref(), queue.as_ref()).await?;
        let tasks = TaskManager::open_for(settings, Arc::clone(&clock)).await.map_err(unusable)?;
        let Settings { data_dir, results_memory_mib, .. } = settings.clone();
        let parts =
            ServiceParts { data_dir, tasks, queue, scanners, circuits, credentials, clock, results_memory_mib, scope };
        let service = Self::new(parts)?;
        service.index.ensure().await?;
        service.log_scope();
        Ok(service)
    }

    /// A service on parts of the caller's, such as a queue backend of its own.
    ///
    /// # Errors
    /// [`ServiceError::Metrics`] when the metrics cannot be made, which is a defect.
    pub fn new(parts: ServiceParts) -> Result<Self, ServiceError> {
        parts.scanners.guard(&parts.circuits)?;
        let tasks = parts.tasks.with_webhooks(parts.scope.clone());
        let index = QueueIndex::new(tasks, Arc::clone(&parts.queue), Arc::clone(&parts.clock));
        let metrics = Arc::new(Metrics::new()?);
        parts.circuits.calls().count_in(metrics.scanner_calls());
        Ok(Self {
            tasks: index.tasks().clone(),
            queue: parts.queue,
            index,
            scanners: parts.scanners,
            circuits: parts.circuits,
            credentials: parts.credentials,
            metrics,
            clock: parts.clock,
            data_dir: parts.data_dir.into(),
            scope: parts.scope,
            caller: None,
            audit: Audit::off(),
            memory: MemoryGate::new(parts.results_memory_mib),
            indexes: KnownIndexes::default(),
            typical: Arc::default(),
            served: ServedPools::default(),
            watched: WatchedTasks::default(),
            waiting: WaitingForApproval::default(),
        })
    }

    /// The tasks, for a worker in the same process.
    pub fn tasks(&self) -> &TaskManager {
        &self.tasks
    }

    /// The queue, for a worker in the same process.
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.queue
    }

    /// Whether the queue is that of the data directory and whole.
    pub fn index(&self) -> &QueueIndex {
        &self.index
    }

    /// What scans may be aimed at, for a worker in the same process.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The scanners, for a worker in the same process.
    pub fn scanners(&self) -> &ScannerRegistry {
        &self.scanners
    }

    /// The circuits of the scanners.
    pub fn circuits(&self) -> &Circuits {
        &self.circuits
    }

    /// The logins that scans may use.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Sees to it that the queue is whole, and says when nobody works on it. Never returns; a worker does this by itself.
    pub async fn watch_queue(&self) {
        tokio::join!(self.index.watch(None), self.watch_workers());
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The clock everything here goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

#[cfg(test)]
mod tests;
