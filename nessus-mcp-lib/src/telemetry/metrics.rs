//! Prometheus metrics, under the names that users of the predecessor have dashboards for.
//!
//! Counters count what this process did. Gauges are set from the shared state right before they are written out, so
//! that a server and a worker show the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::{
    approval_metrics::ApprovalMetrics, housekeeping_metrics::HousekeepingMetrics, process_metrics::ProcessMetrics,
};
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
    /// Scans it runs for us.
    pub(crate) active: usize,
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
    pub(crate) fn new(pool: &'a PoolName, instance: &'a InstanceId, active: usize, capacity: u32) -> Self {
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
    housekeeping: HousekeepingMetrics,
    task_duration: HistogramVec,
    api_requests: IntCounterVec,
    active_scans: IntGauge,
    queue_depth: IntGaugeVec,
    dlq_size: IntGauge,
    pool_queue_depth: IntGaugeVec,
    pool_dlq_depth: IntGaugeVec,
    pool_suspects: IntGaugeVec,
    scanner_active: IntGaugeVec,
    scanner_capacity: IntGaugeVec,
    scanner_utilization: GaugeVec,
    total_capacity: IntGauge,
    total_active: IntGauge,
    scanner_instances: IntGaugeVec,
    scanner_up: IntGaugeVec,
    scanner_check_seconds: GaugeVec,
    scanner_checked_at: GaugeVec,
    scanner_plugin_set_at: GaugeVec,
    scanner_checks: IntCounterVec,
    config_reloads: IntCounterVec,
    config_changes: IntCounterVec,
    shown_pools: Shown,
    shown_scanners: Shown,
    circuit_state: IntGaugeVec,
    process_circuit_state: IntGaugeVec,
    shown_process_circuits: Shown<[String; 2]>,
    circuit_opens: IntCounterVec,
    circuit_failures: IntCounterVec,
    process: ProcessMetrics,
    /// Held while counters are brought up to what is counted elsewhere: the counts of circuits that they have.
    catching_up: Mutex<BTreeMap<String, [u64; 2]>>,
}

/// The label values that gauges show, so that those of what is not configured any more can be taken back.
#[derive(Debug, Default)]
struct Shown<T = String>(Mutex<BTreeSet<T>>);

impl<T: Ord + Clone> Shown<T> {
    /// Remembers the values of now; returns those that are gone.
    fn replace(&self, now: BTreeSet<T>) -> Vec<T> {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = shown.difference(&now).cloned().collect();
        *shown = now;
        gone
    }
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
        let registry = Registry::new();
        let metrics = Self::build(&registry).map_err(|error| MetricsError(error.to_string()))?;
        Ok(metrics)
    }

    fn build(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let task_duration = HistogramVec::new(
            HistogramOpts::new("nessus_task_duration_seconds", "Time from the start of a task to its end")
                .buckets(DURATION_BUCKETS.to_vec()),
            &["scan_type", "status"],
        )?;
        registry.register(Box::new(task_duration.clone()))?;
        let of_scanners = |name: &str, help: &str| {
            let metric = GaugeVec::new(Opts::new(name, help), SCANNER)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        Ok(Self {
            scans: counter("nessus_scans_total", "Scans by type and state reached", &["scan_type", "status"])?,
            scope_refusals: counter(
                "nessus_scope_refusals_total",
                "Scans that the scope has refused, by error code",
                &["code"],
            )?,
            api_requests: counter("nessus_api_requests_total", "Tool calls", &["tool", "status"])?,
            active_scans: gauge("nessus_active_scans", "Scans running now")?,
            queue_depth: gauges("nessus_queue_depth", "Entries in the main and dead queues of all pools", &["queue"])?,
            dlq_size: gauge("nessus_dlq_size", "Dead letters of all pools")?,
            pool_queue_depth: gauges("nessus_pool_queue_depth", "Entries waiting in a pool", &["pool"])?,
            pool_dlq_depth: gauges("nessus_pool_dlq_depth", "Dead letters of a pool", &["pool"])?,
            pool_suspects: gauges(
                "nessus_pool_suspect_tasks",
                "Tasks of a pool that wait because worker after worker was lost with them",
                &["pool"],
            )?,
            scanner_active: gauges("nessus_scanner_active_scans", "Scans on a scanner", SCANNER)?,
            scanner_capacity: gauges("nessus_scanner_capacity", "Scan slots of a scanner", SCANNER)?,
            total_capacity: gauge("nessus_pool_total_capacity", "Scan slots of all scanners")?,
            total_active: gauge("nessus_pool_total_active", "Scans running on all scanners")?,
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
            approvals: ApprovalMetrics::build(registry)?,
            housekeeping: HousekeepingMetrics::build(registry)?,
            process: ProcessMetrics::build(registry)?,
            catching_up: Mutex::default(),
            task_duration,
            scanner_utilization: of_scanners(
                "nessus_scanner_utilization_pct",
                "Share of a scanner's scan slots in use, in percent",
            )?,
            shown_pools: Shown::default(),
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

    /// Counts a scan that does not wait for a person any more.
    pub(crate) fn approval_decided(&self, outcome: &str) {
        self.approvals.decided(outcome);
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

    /// Sets the depths of the queue and the dead letters of all pools; a pool that is not among them is forgotten.
    pub(crate) fn set_pool_depths<'a>(&self, pools: impl IntoIterator<Item = (&'a PoolName, u64, u64)>) {
        let mut shown = BTreeSet::new();
        for (pool, waiting, dead) in pools {
            self.pool_queue_depth.with_label_values(&[pool.as_str()]).set(saturate(waiting));
            self.pool_dlq_depth.with_label_values(&[pool.as_str()]).set(saturate(dead));
            shown.insert(pool.to_string());
        }
        for gone in self.shown_pools.replace(shown) {
            // It fails where a series was never made.
            let _ = self.pool_queue_depth.remove_label_values(&[&gone]);
            let _ = self.pool_dlq_depth.remove_label_values(&[&gone]);
            let _ = self.pool_suspects.remove_label_values(&[&gone]);
        }
    }

    /// Sets how many tasks of a pool wait because worker after worker was lost with them.
    pub(crate) fn set_suspects(&self, pool: &PoolName, suspects: usize) {
        self.pool_suspects.with_label_values(&[pool.as_str()]).set(saturate(suspects as u64));
    }

    /// Sets the depths summed over all pools.
    pub(crate) fn set_total_depths(&self, waiting: u64, dead: u64) {
        self.queue_depth.with_label_values(&["main"]).set(saturate(waiting));
        self.queue_depth.with_label_values(&["dead"]).set(saturate(dead));
        self.dlq_size.set(saturate(dead));
    }

    /// Sets the figures of all scanners, and their sums; a scanner that is not among them is forgotten.
    #[expect(clippy::cast_precision_loss, reason = "counts of scans are far below 2^52")]
    pub(crate) fn set_scanners<'a>(&self, scanners: impl IntoIterator<Item = ScannerGauges<'a>>) {
        let (mut active, mut capacity) = (0_u64, 0_u64);
        let mut shown = BTreeSet::new();
        for scanner in scanners {
            let label = scanner_name(scanner.pool, scanner.instance);
            active += scanner.active as u64;
            capacity += u64::from(scanner.capacity);
            self.scanner_active.with_label_values(&[&label]).set(saturate(scanner.active as u64));
            self.scanner_capacity.with_label_values(&[&label]).set(i64::from(scanner.capacity));
            let share = 100.0 * scanner.active as f64 / f64::from(scanner.capacity.max(1));
            self.scanner_utilization.with_label_values(&[&label]).set(share);
            self.set_health(&label, scanner.health);
            self.set_circuit(&label, scanner.circuit);
            shown.insert(label);
        }
        for gone in self.shown_scanners.replace(shown) {
            let _ = self.scanner_active.remove_label_values(&[&gone]);
            let _ = self.scanner_capacity.remove_label_values(&[&gone]);
            let _ = self.scanner_utilization.remove_label_values(&[&gone]);
            self.set_health(&gone, None);
            self.set_circuit(&gone, None);
        }
        self.active_scans.set(saturate(active));
        self.total_active.set(saturate(active));
        self.total_capacity.set(saturate(capacity));
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

    /// All metrics in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// When a metric cannot be written, which a test rules out.
    pub fn render(&self) -> Result<String, MetricsError> {
        {
            let _alone = self.catching_up.lock().unwrap_or_else(PoisonError::into_inner);
            catch_up(self.process.log_lines_dropped(), streams::stderr().lines_refused());
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(|error| MetricsError(error.to_string()))
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

/// A metric that could not be made or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(String);

/// Brings a counter to a count that somebody else keeps.
fn catch_up(counter: &IntCounter, count: u64) {
    if counter.get() > count {
        counter.reset();
    }
    counter.inc_by(count - counter.get());
}

fn saturate(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_written() {
        let metrics = Metrics::new().unwrap();
        let (pool, instance) = (PoolName::new("nessus").unwrap(), InstanceId::new("a").unwrap());
        metrics.task_reached("untrusted", "completed");
        metrics.task_took("untrusted", "completed", 90.0);
        metrics.tool_called("list_tasks", ToolOutcome::Error);
        metrics.set_pool_depths([(&pool, 3, 1)]);
        metrics.set_total_depths(3, 1);
        let scanner = ScannerGauges::new(&pool, &instance, 1, 4);
        metrics.set_scanners([scanner.with_circuit(CircuitGauges::new(2, 9, 9))]);
        metrics.set_scanners([scanner.with_circuit(CircuitGauges::new(1, 2, 10))]);
        metrics.set_instances("nessus", 1, 0);
        let text = metrics.render().unwrap();
        for line in [
            "nessus_scans_total{scan_type=\"untrusted\",status=\"completed\"} 1",
            "nessus_task_duration_seconds_bucket{scan_type=\"untrusted\",status=\"completed\",le=\"300\"} 1",
            "nessus_api_requests_total{status=\"error\",tool=\"list_tasks\"} 1",
            "nessus_pool_queue_depth{pool=\"nessus\"} 3",
            "nessus_queue_depth{queue=\"dead\"} 1",
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
        metrics.set_pool_depths([(&pool, 3, 1), (&other, 2, 0)]);
        let circuit = CircuitGauges::new(1, 2, 10);
        let scanners = [(&pool, 4), (&other, 2)].map(|(pool, room)| ScannerGauges::new(pool, &instance, 1, room));
        metrics.set_scanners(scanners.map(|scanner| scanner.with_circuit(circuit)));
        metrics.set_pool_depths([(&pool, 3, 1)]);
        metrics.set_scanners([ScannerGauges::new(&pool, &instance, 1, 4)]);
        let text = metrics.render().unwrap();
        assert!(!text.contains("nessus_scanner_up{"), "what is not checked any more is neither up nor down: {text}");
        assert!(text.contains("nessus:a") && !text.contains("dmz"), "{text}");
    }
}
