//! Health and metrics, read from the shared state when they are asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    CircuitStatus, InstanceView, ScanService, error::ServiceError, reload::NO_SCOPE, served::has_older_workers,
};
use crate::{
    blocking,
    circuit_breaker::CircuitState,
    error::{Classified, chain},
    ids::{PoolName, scanner_name},
    queue::{QueueError, SeenWorker},
    scanner::{ScannerHealth, ScannerInstance, ScannerPool, watch_health},
    telemetry::{
        CheckStatus, CircuitGauges, DiskSpace, HealthCheck, HealthGauges, HealthReport, PoolGauges, ScannerGauges,
    },
};

/// How long each part of a report may take: with a queue that hangs, the rest is said all the same.
const CHECK_WAIT: Duration = Duration::from_millis(1500);
/// How long a part waits for the queue, which then says what it knows without it.
const QUEUE_WAIT: Duration = Duration::from_secs(1);
/// How far this machine's clock may be from the queue's before an operator should look, as for workers.
const CLOCK_OFFSET_WARN: Duration = Duration::from_secs(60);

impl ScanService {
    /// How well this process and what it depends on are. It is there within two seconds, whatever does not answer. Operators alone are told
    /// machines and processes ([`is_operator`](Self::is_operator)).
    pub async fn health(&self) -> HealthReport {
        let (queue, disk, scanners, scope, workers, clock) = tokio::join!(
            in_time(self.queue_check()),
            in_time(self.disk_check()),
            in_time(self.scanners_check()),
            in_time(self.scope_check()),
            self.workers_check_in_time(),
            in_time(self.clock_check()),
        );
        let checks = BTreeMap::from([
            ("queue", queue),
            ("disk", disk),
            ("scanners", scanners),
            ("scope", scope),
            ("workers", workers),
            ("clock", clock),
        ]);
        HealthReport::new(checks, self.clock.now())
    }

    /// Whether scans can be submitted now: the queue answers and is that of the data directory, which is there. `false` as well
    /// when that is not known within two seconds.
    pub async fn ready(&self) -> bool {
        let looked = async { matches!(self.index.look().await, Ok(Some(_))) && self.disk_space().await.is_ok() };
        tokio::time::timeout(CHECK_WAIT, looked).await.unwrap_or(false)
    }

    async fn queue_check(&self) -> HealthCheck {
        let unhealthy = |error: &dyn Classified, message| self.failed(CheckStatus::Unhealthy, error.code(), message);
        let latency = match self.queue.ping().await {
            Ok(latency) => latency,
            Err(error) => return unhealthy(&error, chain(&error)),
        };
        match self.index.look().await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let problem = "the queue has lost what it knew, and is not rebuilt yet";
                return HealthCheck::new(CheckStatus::Degraded).with("error", problem).with("code", "queue_unbound");
            }
            Err(error) => return unhealthy(&error, chain(&error)),
        }
        let millis = (latency.as_secs_f64() * 100_000.0).round() / 100.0;
        let check = |status| HealthCheck::new(status).with("latency_ms", millis);
        match self.queue.warnings().await {
            Ok(warnings) if warnings.is_empty() => check(CheckStatus::Healthy),
            Ok(warnings) => check(CheckStatus::Degraded).with("warnings", warnings),
            Err(error) => self.failed(CheckStatus::Degraded, error.code(), chain(&error)).with("latency_ms", millis),
        }
    }

    /// A check that has failed. Why names machines and paths, so it is told to operators alone.
    fn failed(&self, status: CheckStatus, code: &'static str, why: String) -> HealthCheck {
        let check = HealthCheck::new(status).with("code", code);
        if self.is_operator() { check.with("error", why) } else { check }
    }

    /// That no scope is set is an operator's choice: it makes nothing unhealthy.
    async fn scope_check(&self) -> HealthCheck {
        let check = HealthCheck::new(CheckStatus::Healthy);
        let check = match self.answered(self.hosts_today()).await.flatten() {
            Some(today) => check.with("hosts_today", today),
            None => check,
        };
        match self.scope.file() {
            Some(_) => check.with("mode", self.scope.policy().mode().as_str()),
            None => check.with("mode", "none").with("message", NO_SCOPE),
        }
    }

    async fn disk_check(&self) -> HealthCheck {
        match self.disk_space().await {
            Ok(space) => space.check(),
            Err(error) => HealthCheck::new(CheckStatus::Unhealthy).with("error", error.to_string()),
        }
    }

    /// Refuses new scans while the disk is nearly full. One that does not say how full it is refuses them by itself.
    pub(super) async fn check_disk(&self) -> Result<(), ServiceError> {
        match self.disk_space().await {
            Ok(space) if space.is_read_only => Err(ServiceError::DiskReadOnly),
            Ok(space) if space.is_full() => Err(ServiceError::DiskFull { used_percent: space.used_percent() }),
            _ => Ok(()),
        }
    }

    /// A data directory on a file system that hangs must not hang whoever asks.
    pub(super) async fn disk_space(&self) -> io::Result<DiskSpace> {
        let data_dir = Arc::clone(&self.data_dir);
        let asked = tokio::time::timeout(CHECK_WAIT, blocking::run(move || DiskSpace::of(&data_dir)));
        asked.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer"))??
    }

    /// That this cannot be told makes nothing unhealthy: what is wrong with the queue, its own check says.
    async fn workers_check_in_time(&self) -> HealthCheck {
        self.answered(self.workers_check())
            .await
            .unwrap_or_else(|| HealthCheck::new(CheckStatus::Degraded).with("code", "no_answer"))
    }

    /// Whether somebody works here: without a worker that lives, scans are accepted and wait.
    async fn workers_check(&self) -> HealthCheck {
        let workers = match self.queue.workers().await {
            Ok(workers) => workers,
            // What the queue says of itself, its own check has.
            Err(error) => return self.failed(CheckStatus::Degraded, error.code(), chain(&error)),
        };
        let alive = workers.iter().filter(|worker| worker.is_alive()).count();
        let (mut unserved, mut has_older) = (Vec::new(), false);
        for pool in self.usable_pools() {
            if self.nobody_serves(&pool.name, None).await.is_some() {
                unserved.push(pool.name.to_string());
            }
            has_older |= self.workers_of(&pool.name).await.is_some_and(|workers| workers.has_older);
        }
        let status = if unserved.is_empty() { CheckStatus::Healthy } else { CheckStatus::Degraded };
        let check = HealthCheck::new(status).with("alive", alive);
        let check = if has_older { check.with("older", true) } else { check };
        if unserved.is_empty() { check } else { check.with("unserved_pools", unserved) }
    }

    /// Leases and times of scans go by the queue's clock, dates in task files by that of each machine.
    async fn clock_check(&self) -> HealthCheck {
        let Ok(Some(there)) = self.queue.now().await else {
            return HealthCheck::new(CheckStatus::Healthy);
        };
        let here = self.clock.now();
        let offset = here.as_millis().saturating_sub(there.as_millis());
        let is_far = u128::from(offset.unsigned_abs()) > CLOCK_OFFSET_WARN.as_millis();
        let status = if is_far { CheckStatus::Degraded } else { CheckStatus::Healthy };
        HealthCheck::new(status).with("offset_ms", offset)
    }

    /// What the queue answers; `None` when it does not within a second.
    async fn answered<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(QUEUE_WAIT, question).await.ok()
    }

    /// Those that no check has looked at yet are taken to be well.
    async fn scanners_check(&self) -> HealthCheck {
        let pools = self.usable_pools();
        let instances = || pools.iter().flat_map(|pool| pool.instances.iter().map(|instance| (&pool.name, instance)));
        let enabled = || instances().filter(|(_, instance)| instance.enabled);
        let named = |(pool, instance): (&PoolName, &ScannerInstance)| scanner_name(pool, &instance.instance_id);
        let (mut left_alone, mut by_process) = (Vec::new(), BTreeMap::new());
        for (scanner, status) in self.enabled_circuits(&pools).await {
            let impaired = status.processes.iter().filter(|one| one.state != CircuitState::Closed);
            let impaired: BTreeMap<_, _> = impaired.map(|one| (one.process.clone(), one.state.as_str())).collect();
            if !status.lets_through() {
                left_alone.push(scanner.clone());
            }
            if !impaired.is_empty() && self.is_operator() {
                by_process.insert(scanner, impaired);
            }
        }
        let unhealthy: Vec<_> = enabled().filter(|(_, instance)| instance.is_unhealthy()).map(named).collect();
        let out_of_use = unhealthy.iter().chain(&left_alone).collect::<BTreeSet<_>>().len();
        let count = enabled().count();
        let available = count.saturating_sub(out_of_use);
        let status = match available {
            0 => CheckStatus::Unhealthy,
            available if available < count => CheckStatus::Degraded,
            _ => CheckStatus::Healthy,
        };
        let check = HealthCheck::new(status).with("available", available).with("enabled", count);
        let check = check.with("total", instances().count());
        let check = if unhealthy.is_empty() { check } else { check.with("unhealthy", unhealthy) };
        let check = if left_alone.is_empty() { check } else { check.with("left_alone", left_alone) };
        if by_process.is_empty() { check } else { check.with("circuits", serde_json::json!(by_process)) }
    }

    /// The circuits of the enabled scanners, by name. The check of the queue says what is wrong with it; what this process
    /// knows by itself must do then.
    async fn enabled_circuits(&self, pools: &[Arc<ScannerPool>]) -> Vec<(String, CircuitStatus)> {
        let enabled = |pool: &ScannerPool| pool.enabled().map(|one| one.instance_id.clone()).collect::<Vec<_>>();
        let shared = async {
            let processes = self.process_circuits().await?;
            let mut statuses = Vec::new();
            for pool in pools {
                statuses.extend(self.circuit_statuses(&pool.name, &enabled(pool), &processes).await?);
            }
            Ok::<_, ServiceError>(statuses)
        };
        let statuses = match self.answered(shared).await {
            Some(Ok(statuses)) => statuses,
            _ => pools.iter().flat_map(|pool| self.own_circuit_statuses(&pool.name, &enabled(pool))).collect(),
        };
        let names = pools.iter().flat_map(|pool| {
            enabled(pool).into_iter().map(|instance| scanner_name(&pool.name, &instance)).collect::<Vec<_>>()
        });
        names.zip(statuses).collect()
    }

    /// Checks the scanners about every `interval`, for as long as it is polled; never returns. Meanwhile it acts on what
    /// operators command about circuits, and publishes how those of this process stand. A process with a worker has no need
    /// of it: the worker does so. Close the [scanners](Self::scanners) when the process ends, which logs out.
    pub async fn watch_scanners(&self, interval: Duration) {
        tokio::join!(
            watch_health(&self.scanners, None, interval, &self.clock, &self.metrics),
            self.circuits.follow(self.queue.as_ref())
        );
    }

    /// All metrics in Prometheus' text format. What the queue knows is asked for now; where it does not answer within two
    /// seconds, `nessus_queue_up` is 0 and what only it knows is left out.
    ///
    /// # Errors
    /// [`ServiceError::Metrics`] when a metric cannot be written, which is a defect.
    pub async fn render_metrics(&self) -> Result<String, ServiceError> {
        let until = Instant::now() + CHECK_WAIT;
        let (workers, disk) = tokio::join!(tokio::time::timeout_at(until, self.queue.workers()), self.disk_space());
        let scanners = if let Ok(Ok(workers)) = workers {
            self.set_shared_gauges(&workers, until).await
        } else {
            self.metrics.queue().forget_pools();
            None
        };
        self.set_scanner_gauges(scanners.as_deref());
        self.metrics.set_data_disk(disk.ok());
        self.metrics.set_repairs(self.index.repaired());
        self.metrics.set_approvals_waiting(self.waiting.count());
        #[cfg(feature = "objects")]
        if let Some(figures) = self.tasks.part_figures() {
            self.metrics.set_cache(figures);
        }
        Ok(self.metrics.render()?)
    }

    /// Sets what the queue says of the pools, as far as it says so in time; returns what it says of the scanners.
    async fn set_shared_gauges(&self, seen: &[SeenWorker], until: Instant) -> Option<Vec<InstanceView>> {
        let alive = seen.iter().filter(|worker| worker.is_alive()).count();
        let pools = self.usable_pools();
        let (mut gauges, mut has_older) = (Vec::new(), false);
        for pool in &pools {
            // A pool that is left out is not shown: old figures would be wrong ones.
            if let Ok(Ok(found)) = tokio::time::timeout_at(until, self.gauges_of(&pool.name, seen)).await {
                has_older |= found.workers.is_none();
                gauges.push(found);
            }
        }
        let scanners = tokio::time::timeout_at(until, self.list_scanners(None)).await;
        self.metrics.queue().set_pools(gauges, (!has_older || alive > 0).then_some(alive));
        Some(scanners.ok()?.ok()?.scanners)
    }

    async fn gauges_of<'a>(&self, pool: &'a PoolName, seen: &[SeenWorker]) -> Result<PoolGauges<'a>, QueueError> {
        let serves = |worker: &&SeenWorker| worker.is_alive() && worker.record.serves(pool).is_some();
        let serving = seen.iter().filter(serves).count();
        // Nobody can tell how many older ones there are.
        let is_older = serving == 0 && has_older_workers(self.queue.as_ref(), pool, seen, self.clock.now()).await?;
        let stats = self.queue.stats(pool).await?;
        let next = self.queue.peek(pool, 1).await?;
        Ok(PoolGauges {
            pool,
            waiting: stats.ready,
            delayed: stats.delayed,
            leased: stats.leased,
            dead: stats.dead,
            suspects: self.queue.suspects(pool).await?.len(),
            oldest_waiting: next.first().and_then(|body| self.age_of(body)).unwrap_or_default(),
            workers: (!is_older).then_some(serving),
            paused: stats.paused.is_some(),
        })
    }

    /// How long the next task of a pool's queue has waited; `None` where none waits.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPool`], and [`ServiceError::Queue`] when the queue does not answer.
    pub async fn oldest_waiting(&self, pool: &str) -> Result<Option<Duration>, ServiceError> {
        let next = self.queue.peek(&self.pool_of(Some(pool))?.name, 1).await?;
        Ok(next.first().and_then(|body| self.age_of(body)))
    }

    /// How long ago the task of a queue entry was queued; one that an older version has written tells when it was submitted.
    fn age_of(&self, body: &str) -> Option<Duration> {
        let body: serde_json::Value = serde_json::from_str(body).ok()?;
        let since = body["queued_at"].as_str().or_else(|| body["created_at"].as_str())?;
        Some(self.clock.now().since(since.parse().ok()?))
    }

    /// Sets what is known of the scanners: with what the queue says of them, if it does.
    fn set_scanner_gauges(&self, shared: Option<&[InstanceView]>) {
        let pools = self.usable_pools();
        let instances = || pools.iter().flat_map(|pool| pool.instances.iter().map(move |instance| (pool, instance)));
        self.metrics.set_scanners(instances().map(|(pool, instance)| {
            let is_it = |view: &&InstanceView| {
                (&view.scanner_pool, &view.scanner_instance) == (&pool.name, &instance.instance_id)
            };
            let view = shared.and_then(|views| views.iter().find(is_it));
            let own = || self.own_circuit_statuses(&pool.name, std::slice::from_ref(&instance.instance_id)).pop();
            let circuit = view.map(|view| view.circuit.clone()).or_else(own);
            let capacity = if instance.enabled { instance.max_concurrent_scans } else { 0 };
            let active = view.map(|view| view.active_scans);
            let gauges = ScannerGauges::new(&pool.name, &instance.instance_id, active, capacity)
                .with_health(instance.health().map(|health| health_gauges(&health)));
            match circuit {
                Some(circuit) => {
                    gauges.with_circuit(CircuitGauges::new(circuit.state.gauge(), circuit.opens, circuit.failures))
                }
                None => gauges,
            }
        }));
        self.metrics.set_process_circuits(shared.into_iter().flatten().flat_map(|view| {
            let scanner = scanner_name(&view.scanner_pool, &view.scanner_instance);
            let processes = view.circuit.processes.iter();
            processes.map(move |one| (scanner.clone(), one.process.clone(), one.state.gauge()))
        }));
        let mut by_type: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (pool, instance) in instances() {
            let (enabled, disabled) = by_type.entry(&pool.scanner_type).or_default();
            *if instance.enabled { enabled } else { disabled } += 1;
        }
        for (scanner_type, (enabled, disabled)) in by_type {
            self.metrics.set_instances(scanner_type, enabled, disabled);
        }
    }
}

/// A check that does not answer has failed.
async fn in_time(check: impl Future<Output = HealthCheck>) -> HealthCheck {
    tokio::time::timeout(CHECK_WAIT, check).await.unwrap_or_else(|_| {
        HealthCheck::new(CheckStatus::Unhealthy)
            .with("error", format!("no answer within {} ms", CHECK_WAIT.as_millis()))
            .with("code", "no_answer")
    })
}

fn health_gauges(health: &ScannerHealth) -> HealthGauges {
    let mut gauges = HealthGauges::new(health.is_healthy(), health.latency, health.checked_at);
    gauges.plugin_set_at = health.plugin_set_at();
    gauges
}
