//! Health and metrics, read from the shared state when they are asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use super::{CircuitStatus, ScanService, error::ServiceError, reload::NO_SCOPE};
use crate::{
    blocking,
    circuit_breaker::CircuitState,
    error::{Classified, chain},
    ids::{PoolName, scanner_name},
    queue::ProcessCircuits,
    scanner::{ScannerHealth, ScannerInstance, ScannerPool, watch_health},
    telemetry::{CheckStatus, CircuitGauges, DiskSpace, HealthCheck, HealthGauges, HealthReport, ScannerGauges},
};

/// How long the file system may take to answer.
const DISK_WAIT: Duration = Duration::from_secs(2);

impl ScanService {
    /// How well this process and what it depends on are.
    pub async fn health(&self) -> HealthReport {
        let checks = BTreeMap::from([
            ("queue", self.queue_check().await),
            ("disk", self.disk_check().await),
            ("scanners", self.scanners_check().await),
            ("scope", self.scope_check().await),
        ]);
        HealthReport::new(checks, self.clock.now())
    }

    /// Whether scans can be submitted now: the queue answers and is that of the data directory, which is there.
    pub async fn ready(&self) -> bool {
        matches!(self.index.look().await, Ok(Some(_))) && self.disk_space().await.is_ok()
    }

    async fn queue_check(&self) -> HealthCheck {
        let unhealthy = |error: &dyn Classified, message| {
            HealthCheck::new(CheckStatus::Unhealthy).with("error", message).with("code", error.code())
        };
        let answered = self.queue.ping().await;
        if answered.is_ok() {
            match self.index.look().await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let problem = "the queue has lost what it knew, and is not rebuilt yet";
                    return HealthCheck::new(CheckStatus::Degraded)
                        .with("error", problem)
                        .with("code", "queue_unbound");
                }
                Err(error) => return unhealthy(&error, chain(&error)),
            }
        }
        match answered {
            Ok(latency) => {
                let millis = (latency.as_secs_f64() * 100_000.0).round() / 100.0;
                let check = |status| HealthCheck::new(status).with("latency_ms", millis);
                match self.queue.warnings().await {
                    Ok(warnings) if warnings.is_empty() => check(CheckStatus::Healthy),
                    Ok(warnings) => check(CheckStatus::Degraded).with("warnings", warnings),
                    Err(error) => check(CheckStatus::Degraded).with("error", chain(&error)).with("code", error.code()),
                }
            }
            Err(error) => unhealthy(&error, chain(&error)),
        }
    }

    /// That no scope is set is an operator's choice: it makes nothing unhealthy.
    async fn scope_check(&self) -> HealthCheck {
        let check = HealthCheck::new(CheckStatus::Healthy);
        let check = match self.hosts_today().await {
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

    /// A data directory on a file system that hangs must not hang the health check.
    async fn disk_space(&self) -> io::Result<DiskSpace> {
        let data_dir = Arc::clone(&self.data_dir);
        let asked = tokio::time::timeout(DISK_WAIT, blocking::run(move || DiskSpace::of(&data_dir)));
        asked.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer"))??
    }

    /// Those that no check has looked at yet are taken to be well.
    async fn scanners_check(&self) -> HealthCheck {
        let pools = self.usable_pools();
        let instances = || pools.iter().flat_map(|pool| pool.instances.iter().map(|instance| (&pool.name, instance)));
        let enabled = || instances().filter(|(_, instance)| instance.enabled);
        let named = |(pool, instance): (&PoolName, &ScannerInstance)| scanner_name(pool, &instance.instance_id);
        let (mut left_alone, mut by_process) = (Vec::new(), BTreeMap::new());
        let processes = self.process_circuits().await.ok();
        for pool in &pools {
            for (scanner, status) in self.enabled_circuits(pool, processes.as_deref()).await {
                let impaired = status.processes.iter().filter(|one| one.state != CircuitState::Closed);
                let impaired: BTreeMap<_, _> = impaired.map(|one| (one.process.clone(), one.state.as_str())).collect();
                if !status.lets_through() {
                    left_alone.push(scanner.clone());
                }
                if !impaired.is_empty() {
                    by_process.insert(scanner, impaired);
                }
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

    /// The circuits of the enabled scanners of a pool, by name. The check of the queue says what is wrong with it; what this
    /// process knows by itself must do then.
    async fn enabled_circuits(
        &self,
        pool: &ScannerPool,
        processes: Option<&[ProcessCircuits]>,
    ) -> Vec<(String, CircuitStatus)> {
        let enabled: Vec<_> = pool.enabled().map(|instance| instance.instance_id.clone()).collect();
        let statuses = match processes {
            Some(processes) => self.circuit_statuses(&pool.name, &enabled, processes).await.ok(),
            None => None,
        };
        let statuses = statuses.unwrap_or_else(|| self.own_circuit_statuses(&pool.name, &enabled));
        let names = enabled.iter().map(|instance| scanner_name(&pool.name, instance));
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

    /// All metrics in Prometheus' text format; the gauges are read from the queue now.
    ///
    /// # Errors
    /// [`ServiceError::Queue`] when the queue does not answer: old gauges would be wrong ones.
    pub async fn render_metrics(&self) -> Result<String, ServiceError> {
        let queues = self.queue_status(None).await?;
        let depths = queues.pools.iter().map(|pool| (&pool.scanner_pool, pool.queued, pool.dead));
        self.metrics.set_pool_depths(depths);
        for pool in &queues.pools {
            let suspects = self.queue.suspects(&pool.scanner_pool).await?;
            self.metrics.set_suspects(&pool.scanner_pool, suspects.len());
        }
        self.metrics.set_approvals_waiting(self.waiting.count());
        self.metrics.set_total_depths(queues.total_queued, queues.total_dead);
        let scanners = self.list_scanners(None).await?.scanners;
        self.metrics.set_scanners(scanners.iter().map(|view| {
            let capacity = if view.enabled { view.max_concurrent_scans } else { 0 };
            let gauges = ScannerGauges::new(&view.scanner_pool, &view.scanner_instance, view.active_scans, capacity);
            let pool = self.scanners.pool(&view.scanner_pool);
            let health = pool.and_then(|pool| pool.instance(&view.scanner_instance)?.health());
            let circuit = CircuitGauges::new(view.circuit.state.gauge(), view.circuit.opens, view.circuit.failures);
            gauges.with_health(health.map(|health| health_gauges(&health))).with_circuit(circuit)
        }));
        self.metrics.set_process_circuits(scanners.iter().flat_map(|view| {
            let scanner = scanner_name(&view.scanner_pool, &view.scanner_instance);
            let processes = view.circuit.processes.iter();
            processes.map(move |one| (scanner.clone(), one.process.clone(), one.state.gauge()))
        }));
        let mut by_type: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for view in &scanners {
            let (enabled, disabled) = by_type.entry(&view.scanner_type).or_default();
            *if view.enabled { enabled } else { disabled } += 1;
        }
        for (scanner_type, (enabled, disabled)) in by_type {
            self.metrics.set_instances(scanner_type, enabled, disabled);
        }
        Ok(self.metrics.render()?)
    }
}

fn health_gauges(health: &ScannerHealth) -> HealthGauges {
    let mut gauges = HealthGauges::new(health.is_healthy(), health.latency, health.checked_at);
    gauges.plugin_set_at = health.plugin_set_at();
    gauges
}
