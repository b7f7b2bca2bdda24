//! Prometheus metrics, under the names that users of the predecessor have dashboards for.
//!
//! Counters count what this process did. Gauges are set from the shared state right before they are written out, so
//! that a server and a worker show the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

#[cfg(feature = "objects")]
use super::cache_metrics::CacheMetrics;
use super::{
    approval_metrics::ApprovalMetrics,
    delivery_metrics::DeliveryMetrics,
    health::DiskSpace,
    housekeeping_metrics::HousekeepingMetrics,
    instruments::{
        self, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, MetricsError, Opts, Registry,
    },
    process_metrics::ProcessMetrics,
    queue_metrics::QueueMetrics,
    scanner_calls::ScannerCallMetrics,
    series::{NONE, Shown, catch_up, register, saturate},
    task_metrics::TaskMetrics,
};
#[cfg(feature = "objects")]
use crate::parts::PartFigures;
use crate::{
    ids::{InstanceId, PoolName, scanner_name},
    streams,
    time::Timestamp,
};

/// The figures of one scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScannerGauges<'a> {
    /// Its pool.
    pub(crate) pool: &'a PoolName,
    /// Its name.
    pub(crate) instance: &'a InstanceId,
    /// Scans it runs for us; `None` when that is not known, because the queue does not answer.
    pub(crate) active: Option<usize>,
    /// The most it may run.
    pub(crate) capacity: u32,
    /// What its last health check found, if there was one.
    pub(crate) health: Option<HealthGauges>,
    /// How its circuit stands, where calls to it are guarded by one.
    pub(crate) circuit: Option<CircuitGauges>,
}

/// What a health check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HealthGauges {
    /// Whether the scanner could scan.
    pub(crate) healthy: bool,
    /// How long it took to answer.
    pub(crate) latency: Duration,
    /// When the check ended.
    pub(crate) checked_at: Timestamp,
    /// When its plugin set was made, if it says so.
    pub(crate) plugin_set_at: Option<Timestamp>,
}

impl HealthGauges {
    /// What a check found that ended at this moment.
    pub(crate) const fn new(healthy: bool, latency: Duration, checked_at: Timestamp) -> Self {
        Self { healthy, latency, checked_at, plugin_set_at: None }
    }
}

impl<'a> ScannerGauges<'a> {
    /// The figures of this scanner.
    pub(crate) fn new(pool: &'a PoolName, instance: &'a InstanceId, active: Option<usize>, capacity: u32) -> Self {
        Self { pool, instance, active, capacity, health: None, circuit: None }
    }

    /// The same with what its last health check found.
    pub(crate) fn with_health(mut self, health: Option<HealthGauges>) -> Self {
        self.health = health;
        self
    }

    /// The same with how its circuit stands.
    pub(crate) fn with_circuit(mut self, circuit: CircuitGauges) -> Self {
        self.circuit = Some(circuit);
        self
    }
}

/// How the circuit of a scanner stands. The counts are the sums over the processes that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CircuitGauges {
    /// 0 closed, 1 open, 2 half-open.
    pub(crate) state: i64,
    /// How often it opened.
    pub(crate) opens: u64,
    /// How many calls failed.
    pub(crate) failures: u64,
}

impl CircuitGauges {
    /// A circuit in this state, which opened so often and under which so many calls failed.
    pub(crate) const fn new(state: i64, opens: u64, failures: u64) -> Self {
        Self { state, opens, failures }
    }
}

/// All metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    scans: IntCounterVec,
    scope_refusals: IntCounterVec,
    approvals: ApprovalMetrics,
    #[cfg(feature = "objects")]
    cache: CacheMetrics,
    deliveries: DeliveryMetrics,
    housekeeping: HousekeepingMetrics,
    task_duration: HistogramVec,
    api_requests: IntCounterVec,
    tasks: TaskMetrics,
    scanner_calls: Arc<ScannerCallMetrics>,
    queue: QueueMetrics,
    // Without labels, but vectors: what is not known is not shown.
    active_scans: IntGaugeVec,
    total_active: IntGaugeVec,
    scanner_active: IntGaugeVec,
    scanner_capacity: IntGaugeVec,
    scanner_utilization: GaugeVec,
    total_capacity: IntGauge,
    scanner_instances: IntGaugeVec,
    scanner_up: IntGaugeVec,
    scanner_check_seconds: GaugeVec,
    scanner_checked_at: GaugeVec,
    scanner_plugin_set_at: GaugeVec,
    scanner_checks: IntCounterVec,
    config_reloads: IntCounterVec,
    config_changes: IntCounterVec,
    shown_scanners: Shown,
    circuit_state: IntGaugeVec,
    process_circuit_state: IntGaugeVec,
    shown_process_circuits: Shown<[String; 2]>,
    circuit_opens: IntCounterVec,
    circuit_failures: IntCounterVec,
    data_disk_free: GaugeVec,
    data_disk_used: GaugeVec,
    process: ProcessMetrics,
    /// Held while counters are brought up to what is counted elsewhere: the counts of circuits that they have.
    catching_up: Mutex<BTreeMap<String, [u64; 2]>>,
}

/// The label of what is said of each scanner.
const SCANNER: &[&str] = &["scanner_instance"];
const DURATION_BUCKETS: [f64; 7] = [60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0];

impl Metrics {
    /// Metrics that are all zero.
    ///
    /// # Errors
    /// When a metric's name or labels are malformed, which a test rules out.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::default();
        let metrics = Self::build(&registry).map_err(|error| MetricsError::new(&error))?;
        Ok(metrics)
    }

    fn build(registry: &Registry) -> instruments::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        let task_duration =
            HistogramOpts::new("nessus_task_duration_seconds", "Time from the start of a task to its end")
                .buckets(DURATION_BUCKETS.to_vec());
        let task_duration = register(registry, HistogramVec::new(task_duration, &["scan_type", "status"])?)?;
        let of_scanners = |name: &str, help: &str| register(registry, GaugeVec::new(Opts::new(name, help), SCANNER)?);
        let of_disk = |name: &str, help: &str| register(registry, GaugeVec::new(Opts::new(name, help), &[])?);
        Ok(Self {
            scans: counter("nessus_scans_total", "Scans by type and state reached", &["scan_type", "status"])?,
            scope_refusals: counter(
                "nessus_scope_refusals_total",
                "Scans that the scope has refused, by error code",
                &["code"],
            )?,
            api_requests: counter("nessus_api_requests_total", "Tool calls", &["tool", "status"])?,
            queue: QueueMetrics::build(registry)?,
            tasks: TaskMetrics::build(registry)?,
            scanner_calls: Arc::new(ScannerCallMetrics::build(registry)?),
            active_scans: gauges("nessus_active_scans", "Scans running now", &[])?,
            scanner_active: gauges("nessus_scanner_active_scans", "Scans on a scanner", SCANNER)?,
            scanner_capacity: gauges("nessus_scanner_capacity", "Scan slots of a scanner", SCANNER)?,
            total_capacity: gauge("nessus_pool_total_capacity", "Scan slots of all scanners")?,
            total_active: gauges("nessus_pool_total_active", "Scans running on all scanners", &[])?,
            scanner_instances: gauges("nessus_scanner_instances", "Configured scanners", &["scanner_type", "enabled"])?,
            config_reloads: counter(
                "nessus_config_reloads_total",
                "How often a configuration file (scanners, policy or credentials) was read again",
                &["status"],
            )?,
            config_changes: counter(
                "nessus_config_scanner_changes_total",
                "Scanners that were added, removed or changed while the process ran",
                &["change"],
            )?,
            scanner_up: gauges("nessus_scanner_up", "Whether a scanner could scan at its last health check", SCANNER)?,
            scanner_check_seconds: of_scanners("nessus_scanner_check_seconds", "How long the last health check took")?,
            scanner_checked_at: of_scanners(
                "nessus_scanner_last_check_timestamp_seconds",
                "When the last health check of a scanner ended",
            )?,
            scanner_plugin_set_at: of_scanners(
                "nessus_scanner_plugin_set_timestamp_seconds",
                "When the plugin set of a scanner was made",
            )?,
            scanner_checks: counter(
                "nessus_scanner_checks_total",
                "Health checks of a scanner by this process",
                &["scanner_instance", "status"],
            )?,
            circuit_state: gauges(
                "nessus_circuit_state",
                "Circuit of a scanner: 0 closed, 1 open (isolated and unusable too), 2 half-open",
                SCANNER,
            )?,
            process_circuit_state: gauges(
                "nessus_process_circuit_state",
                "Circuit of a scanner in one process: 0 closed, 1 open (isolated and unusable too), 2 half-open",
                &["process", "scanner_instance"],
            )?,
            shown_process_circuits: Shown::default(),
            circuit_opens: counter("nessus_circuit_opens_total", "Openings of circuits", SCANNER)?,
            circuit_failures: counter("nessus_circuit_failures_total", "Failed calls to scanners", SCANNER)?,
            data_disk_free: of_disk(
                "nessus_data_disk_free_bytes",
                "What may still be written to the disk of the data",
            )?,
            data_disk_used: of_disk("nessus_data_disk_used_ratio", "Share of the disk of the data in use, 0 to 1")?,
            approvals: ApprovalMetrics::build(registry)?,
            #[cfg(feature = "objects")]
            cache: CacheMetrics::build(registry)?,
            deliveries: DeliveryMetrics::build(registry)?,
            housekeeping: HousekeepingMetrics::build(registry)?,
            process: ProcessMetrics::build(registry)?,
            catching_up: Mutex::default(),
            task_duration,
            scanner_utilization: of_scanners(
                "nessus_scanner_utilization_pct",
                "Share of a scanner's scan slots in use, in percent",
            )?,
            shown_scanners: Shown::default(),
            registry: registry.clone(),
        })
    }

    /// Counts a task that has reached a state, named by its word in `task.json`.
    pub(crate) fn task_reached(&self, scan_type: &str, status: &str) {
        self.scans.with_label_values(&[scan_type, status]).inc();
    }

    /// Records how many seconds a task took from its start to its end.
    pub(crate) fn task_took(&self, scan_type: &str, status: &str, seconds: f64) {
        self.task_duration.with_label_values(&[scan_type, status]).observe(seconds);
    }

    /// Counts a scan that the scope has refused: at its submit, or before it began.
    pub(crate) fn scope_refused(&self, code: &str) {
        self.scope_refusals.with_label_values(&[code]).inc();
    }

    /// What housekeeping has removed.
    pub(crate) const fn housekeeping(&self) -> &HousekeepingMetrics {
        &self.housekeeping
    }

    /// Sets how many scans wait until a person agrees.
    pub(crate) fn set_approvals_waiting(&self, scans: usize) {
        self.approvals.set_waiting(scans);
    }

    /// Sets what is known of the disk with the data directory.
    #[expect(clippy::cast_precision_loss, reason = "bytes of disks are below 2^52, or need not be exact")]
    pub(crate) fn set_data_disk(&self, space: Option<DiskSpace>) {
        let figures = space.map(|space| (space.free_bytes() as f64, space.used_percent() / 100.0)).unzip();
        for (gauge, value) in [(&self.data_disk_free, figures.0), (&self.data_disk_used, figures.1)] {
            match value {
                Some(value) => gauge.with_label_values(NONE).set(value),
                None => gauge.reset(),
            }
        }
    }

    /// Counts a scan that does not wait for a person any more.
    pub(crate) fn approval_decided(&self, outcome: &str) {
        self.approvals.decided(outcome);
    }

    /// Counts a try to tell a webhook: `delivered`, `failed` or `given_up`.
    pub(crate) fn webhook_told(&self, webhook: &str, outcome: &str) {
        self.deliveries.told(webhook, outcome);
    }

    /// Sets by how many seconds the clock of this process is ahead of the queue's.
    pub(crate) fn set_clock_offset(&self, seconds: f64) {
        self.process.set_clock_offset(seconds);
    }

    /// Counts a tool call.
    pub fn tool_called(&self, tool: &str, outcome: ToolOutcome) {
        self.api_requests.with_label_values(&[tool, outcome.as_str()]).inc();
    }

    /// The connections of this process.
    pub fn process(&self) -> &ProcessMetrics {
        &self.process
    }

    /// Counts a health check of a scanner, named `pool:instance`.
    pub(crate) fn scanner_checked(&self, scanner: &str, healthy: bool) {
        let status = if healthy { "success" } else { "error" };
        self.scanner_checks.with_label_values(&[scanner, status]).inc();
    }

    /// Counts that a configuration file was read again and is in use.
    pub(crate) fn config_accepted(&self) {
        self.config_reloads.with_label_values(&["success"]).inc();
    }

    /// Counts that a configuration file was read again and cannot be used.
    pub(crate) fn config_refused(&self) {
        self.config_reloads.with_label_values(&["error"]).inc();
    }

    /// Counts scanners that were `added`, `removed` or `changed` by that.
    pub(crate) fn scanners_changed(&self, change: &str, count: usize) {
        self.config_changes.with_label_values(&[change]).inc_by(count as u64);
    }

    /// What this process does with tasks.
    pub(crate) const fn tasks(&self) -> &TaskMetrics {
        &self.tasks
    }

    /// Calls to scanners.
    pub(crate) const fn scanner_calls(&self) -> &Arc<ScannerCallMetrics> {
        &self.scanner_calls
    }

    /// Brings the count of tasks that were enqueued again up to what the reconciler of this process says.
    pub(crate) fn set_repairs(&self, count: u64) {
        let _alone = self.catching_up.lock().unwrap_or_else(PoisonError::into_inner);
        catch_up(&self.tasks.repairs(), count);
    }

    /// Brings the counts of the cache up to what it says.
    #[cfg(feature = "objects")]
    pub(crate) fn set_cache(&self, figures: PartFigures) {
        let _alone = self.catching_up.lock().unwrap_or_else(PoisonError::into_inner);
        self.cache.set(figures);
    }

    /// What the queue says.
    pub(crate) const fn queue(&self) -> &QueueMetrics {
        &self.queue
    }

    /// Sets the figures of all scanners, and their sums; a scanner that is not among them is forgotten.
    pub(crate) fn set_scanners<'a>(&self, scanners: impl IntoIterator<Item = ScannerGauges<'a>>) {
        let (mut active, mut capacity) = (Some(0_u64), 0_u64);
        let mut shown = BTreeSet::new();
        for scanner in scanners {
            let label = scanner_name(scanner.pool, scanner.instance);
            active = active.zip(scanner.active).map(|(sum, active)| sum + active as u64);
            capacity += u64::from(scanner.capacity);
            self.scanner_capacity.with_label_values(&[&label]).set(i64::from(scanner.capacity));
            self.set_active(&label, scanner.active.map(|active| (active, scanner.capacity)));
            self.set_health(&label, scanner.health);
            self.set_circuit(&label, scanner.circuit);
            shown.insert(label);
        }
        for gone in self.shown_scanners.replace(shown) {
            let _ = self.scanner_capacity.remove_label_values(&[&gone]);
            self.set_active(&gone, None);
            self.set_health(&gone, None);
            self.set_circuit(&gone, None);
        }
        for total in [&self.active_scans, &self.total_active] {
            match active {
                Some(active) => total.with_label_values(NONE).set(saturate(active)),
                None => total.reset(),
            }
        }
        self.total_capacity.set(saturate(capacity));
    }

    /// How many scans a scanner runs, and how many it may; `None` when that is not known.
    #[expect(clippy::cast_precision_loss, reason = "counts of scans are far below 2^52")]
    fn set_active(&self, label: &str, active: Option<(usize, u32)>) {
        if let Some((active, capacity)) = active {
            self.scanner_active.with_label_values(&[label]).set(saturate(active as u64));
            let share = 100.0 * active as f64 / f64::from(capacity.max(1));
            self.scanner_utilization.with_label_values(&[label]).set(share);
        } else {
            let _ = self.scanner_active.remove_label_values(&[label]);
            let _ = self.scanner_utilization.remove_label_values(&[label]);
        }
    }

    /// Sets how the circuits of scanners stand by process, each with the names of scanner and process; what is not among them
    /// is forgotten.
    pub(crate) fn set_process_circuits(&self, circuits: impl IntoIterator<Item = (String, String, i64)>) {
        let mut shown = BTreeSet::new();
        for (scanner, process, state) in circuits {
            self.process_circuit_state.with_label_values(&[&process, &scanner]).set(state);
            shown.insert([process, scanner]);
        }
        for gone in self.shown_process_circuits.replace(shown) {
            let _ = self.process_circuit_state.remove_label_values(&gone.each_ref().map(String::as_str));
        }
    }

    fn set_circuit(&self, label: &str, circuit: Option<CircuitGauges>) {
        let labels = [label];
        let mut counted = self.catching_up.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(circuit) = circuit {
            self.circuit_state.with_label_values(&labels).set(circuit.state);
            // A process that has ended takes its counts along: a counter does not go back.
            let known = counted.insert(label.to_owned(), [circuit.opens, circuit.failures]).unwrap_or_default();
            self.circuit_opens.with_label_values(&labels).inc_by(circuit.opens.saturating_sub(known[0]));
            self.circuit_failures.with_label_values(&labels).inc_by(circuit.failures.saturating_sub(known[1]));
        } else {
            counted.remove(label);
            let _ = self.circuit_state.remove_label_values(&labels);
            let _ = self.circuit_opens.remove_label_values(&labels);
            let _ = self.circuit_failures.remove_label_values(&labels);
        }
    }

    fn set_health(&self, label: &str, health: Option<HealthGauges>) {
        let labels = [label];
        let plugin_set_at = health.and_then(|health| health.plugin_set_at);
        let seconds = |at: Timestamp| Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0)).as_secs_f64();
        // What was never checked is neither up nor down. Removing fails where a series was never made.
        if let Some(health) = health {
            self.scanner_up.with_label_values(&labels).set(health.healthy.into());
            self.scanner_check_seconds.with_label_values(&labels).set(health.latency.as_secs_f64());
            self.scanner_checked_at.with_label_values(&labels).set(seconds(health.checked_at));
        } else {
            let _ = self.scanner_up.remove_label_values(&labels);
            let _ = self.scanner_check_seconds.remove_label_values(&labels);
            let _ = self.scanner_checked_at.remove_label_values(&labels);
        }
        match plugin_set_at {
            Some(at) => self.scanner_plugin_set_at.with_label_values(&labels).set(seconds(at)),
            None => drop(self.scanner_plugin_set_at.remove_label_values(&labels)),
        }
    }

    /// Sets how many scanners are configured of a type.
    pub(crate) fn set_instances(&self, scanner_type: &str, enabled: usize, disabled: usize) {
        self.scanner_instances.with_label_values(&[scanner_type, "true"]).set(saturate(enabled as u64));
        self.scanner_instances.with_label_values(&[scanner_type, "false"]).set(saturate(disabled as u64));
    }

    /// All metrics in Prometheus' text format, version 0.0.4; nothing without the feature `metrics`.
    ///
    /// # Errors
    /// When a metric cannot be written, which a test rules out.
    pub fn render(&self) -> Result<String, MetricsError> {
        self.count_lost_lines();
        self.registry.render().map_err(|error| MetricsError::new(&error))
    }

    /// All instruments.
    #[cfg(feature = "metrics")]
    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Brings the count of lost log lines up to what the stream of them says.
    pub(super) fn count_lost_lines(&self) {
        let _alone = self.catching_up.lock().unwrap_or_else(PoisonError::into_inner);
        catch_up(self.process.log_lines_dropped(), streams::stderr().lines_refused());
    }
}

/// How a tool call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolOutcome {
    /// With an answer.
    Success,
    /// With an error.
    Error,
}

impl ToolOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::PoolGauges, *};

    fn gauges(pool: &PoolName, waiting: u64, dead: u64) -> PoolGauges<'_> {
        let oldest_waiting = Duration::from_secs(90);
        let (delayed, leased, suspects, workers, paused) = (0, 0, 0, Some(2), false);
        PoolGauges { pool, waiting, delayed, leased, dead, suspects, oldest_waiting, workers, paused }
    }

    /// Old figures would be wrong ones.
    #[test]
    fn what_only_the_queue_knows_is_left_out_while_it_is_away() {
        let metrics = Metrics::new().unwrap();
        let (pool, instance) = (PoolName::new("nessus").unwrap(), InstanceId::new("a").unwrap());
        metrics.queue().set_pools([gauges(&pool, 3, 1)], Some(2));
        metrics.set_scanners([ScannerGauges::new(&pool, &instance, Some(1), 4)]);
        assert!(metrics.render().unwrap().contains("nessus_active_scans 1"));
        metrics.queue().forget_pools();
        metrics.set_scanners([ScannerGauges::new(&pool, &instance, None, 4)]);
        let text = metrics.render().unwrap();
        assert!(text.contains("nessus_queue_up 0") && text.contains("nessus_pool_total_capacity 4"), "{text}");
        assert!(text.contains("nessus_scanner_capacity{scanner_instance=\"nessus:a\"} 4"), "{text}");
        for unknown in ["nessus_active_scans", "nessus_pool_queue_depth", "nessus_workers_alive", "nessus_dlq_size"] {
            assert!(!text.contains(unknown), "{unknown} is shown in\n{text}");
        }
        metrics.queue().set_pools([gauges(&pool, 0, 0)], Some(2));
        assert!(metrics.render().unwrap().contains("nessus_pool_queue_depth{pool=\"nessus\"} 0"));
        let of_older = PoolGauges { workers: None, ..gauges(&pool, 0, 0) };
        metrics.queue().set_pools([of_older], None);
        let text = metrics.render().unwrap();
        assert!(!text.contains("nessus_pool_workers{") && !text.contains("nessus_workers_alive "), "{text}");
    }

    #[test]
    fn what_was_counted_is_written() {
        let metrics = Metrics::new().unwrap();
        let (pool, instance) = (PoolName::new("nessus").unwrap(), InstanceId::new("a").unwrap());
        metrics.task_reached("untrusted", "completed");
        metrics.task_took("untrusted", "completed", 90.0);
        metrics.tool_called("list_tasks", ToolOutcome::Error);
        metrics.queue().set_pools([gauges(&pool, 3, 1)], Some(2));
        let scanner = ScannerGauges::new(&pool, &instance, Some(1), 4);
        metrics.set_scanners([scanner.with_circuit(CircuitGauges::new(2, 9, 9))]);
        metrics.set_scanners([scanner.with_circuit(CircuitGauges::new(1, 2, 10))]);
        metrics.set_instances("nessus", 1, 0);
        let text = metrics.render().unwrap();
        for line in [
            "nessus_scans_total{scan_type=\"untrusted\",status=\"completed\"} 1",
            "nessus_task_duration_seconds_bucket{scan_type=\"untrusted\",status=\"completed\",le=\"300\"} 1",
            "nessus_api_requests_total{status=\"error\",tool=\"list_tasks\"} 1",
            "nessus_pool_queue_depth{pool=\"nessus\"} 3",
            "nessus_pool_oldest_waiting_seconds{pool=\"nessus\"} 90",
            "nessus_pool_workers{pool=\"nessus\"} 2",
            "nessus_queue_depth{queue=\"dead\"} 1",
            "nessus_queue_up 1",
            "nessus_workers_alive 2",
            "nessus_scanner_utilization_pct{scanner_instance=\"nessus:a\"} 25",
            "nessus_active_scans 1",
            "nessus_circuit_state{scanner_instance=\"nessus:a\"} 1",
            "nessus_circuit_opens_total{scanner_instance=\"nessus:a\"} 9",
            "nessus_circuit_failures_total{scanner_instance=\"nessus:a\"} 10",
            "nessus_pool_total_capacity 4",
            "nessus_scanner_instances{enabled=\"true\",scanner_type=\"nessus\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn what_is_not_configured_any_more_is_not_shown() {
        let metrics = Metrics::new().unwrap();
        let (pool, other) = (PoolName::new("nessus").unwrap(), PoolName::new("dmz").unwrap());
        let instance = InstanceId::new("a").unwrap();
        metrics.queue().set_pools([gauges(&pool, 3, 1), gauges(&other, 2, 0)], Some(0));
        let circuit = CircuitGauges::new(1, 2, 10);
        let scanners = [(&pool, 4), (&other, 2)].map(|(pool, room)| ScannerGauges::new(pool, &instance, Some(1), room));
        metrics.set_scanners(scanners.map(|scanner| scanner.with_circuit(circuit)));
        metrics.queue().set_pools([gauges(&pool, 3, 1)], Some(0));
        metrics.set_scanners([ScannerGauges::new(&pool, &instance, Some(1), 4)]);
        let text = metrics.render().unwrap();
        assert!(!text.contains("nessus_scanner_up{"), "what is not checked any more is neither up nor down: {text}");
        assert!(text.contains("nessus:a") && !text.contains("dmz"), "{text}");
    }
}
