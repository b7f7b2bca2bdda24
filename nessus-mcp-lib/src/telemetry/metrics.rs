//! Prometheus metrics, under the names that users of the predecessor have dashboards for.
//!
//! Counters count what this process did. Gauges are set from the shared state right before they are written out, so
//! that a server and a worker show the same.

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::ids::{InstanceId, PoolName};

/// The figures of one scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScannerGauges<'a> {
    /// Its pool.
    pub pool: &'a PoolName,
    /// Its name.
    pub instance: &'a InstanceId,
    /// Scans it runs for us.
    pub active: usize,
    /// The most it may run.
    pub capacity: u32,
}

impl<'a> ScannerGauges<'a> {
    /// The figures of this scanner.
    pub fn new(pool: &'a PoolName, instance: &'a InstanceId, active: usize, capacity: u32) -> Self {
        Self { pool, instance, active, capacity }
    }
}

/// All metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    scans: IntCounterVec,
    task_duration: HistogramVec,
    api_requests: IntCounterVec,
    active_scans: IntGauge,
    queue_depth: IntGaugeVec,
    dlq_size: IntGauge,
    pool_queue_depth: IntGaugeVec,
    pool_dlq_depth: IntGaugeVec,
    scanner_active: IntGaugeVec,
    scanner_capacity: IntGaugeVec,
    scanner_utilization: GaugeVec,
    total_capacity: IntGauge,
    total_active: IntGauge,
    scanner_instances: IntGaugeVec,
}

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
        let scanner_utilization = GaugeVec::new(
            Opts::new("nessus_scanner_utilization_pct", "Share of a scanner's scan slots in use, in percent"),
            &["scanner_instance"],
        )?;
        registry.register(Box::new(scanner_utilization.clone()))?;
        Ok(Self {
            scans: counter("nessus_scans_total", "Scans by type and state reached", &["scan_type", "status"])?,
            api_requests: counter("nessus_api_requests_total", "Tool calls", &["tool", "status"])?,
            active_scans: gauge("nessus_active_scans", "Scans running now")?,
            queue_depth: gauges("nessus_queue_depth", "Entries in the main and dead queues of all pools", &["queue"])?,
            dlq_size: gauge("nessus_dlq_size", "Dead letters of all pools")?,
            pool_queue_depth: gauges("nessus_pool_queue_depth", "Entries waiting in a pool", &["pool"])?,
            pool_dlq_depth: gauges("nessus_pool_dlq_depth", "Dead letters of a pool", &["pool"])?,
            scanner_active: gauges("nessus_scanner_active_scans", "Scans on a scanner", &["scanner_instance"])?,
            scanner_capacity: gauges("nessus_scanner_capacity", "Scan slots of a scanner", &["scanner_instance"])?,
            total_capacity: gauge("nessus_pool_total_capacity", "Scan slots of all scanners")?,
            total_active: gauge("nessus_pool_total_active", "Scans running on all scanners")?,
            scanner_instances: gauges("nessus_scanner_instances", "Configured scanners", &["scanner_type", "enabled"])?,
            task_duration,
            scanner_utilization,
            registry: registry.clone(),
        })
    }

    /// Counts a task that has reached a state, named by its word in `task.json`.
    pub fn task_reached(&self, scan_type: &str, status: &str) {
        self.scans.with_label_values(&[scan_type, status]).inc();
    }

    /// Records how many seconds a task took from its start to its end.
    pub fn task_took(&self, scan_type: &str, status: &str, seconds: f64) {
        self.task_duration.with_label_values(&[scan_type, status]).observe(seconds);
    }

    /// Counts a tool call.
    pub fn tool_called(&self, tool: &str, outcome: ToolOutcome) {
        self.api_requests.with_label_values(&[tool, outcome.as_str()]).inc();
    }

    /// Sets the depth of a pool's queue and dead letters.
    pub fn set_pool_depths(&self, pool: &PoolName, waiting: u64, dead: u64) {
        self.pool_queue_depth.with_label_values(&[pool.as_str()]).set(saturate(waiting));
        self.pool_dlq_depth.with_label_values(&[pool.as_str()]).set(saturate(dead));
    }

    /// Sets the depths summed over all pools.
    pub fn set_total_depths(&self, waiting: u64, dead: u64) {
        self.queue_depth.with_label_values(&["main"]).set(saturate(waiting));
        self.queue_depth.with_label_values(&["dead"]).set(saturate(dead));
        self.dlq_size.set(saturate(dead));
    }

    /// Sets the figures of all scanners, and their sums.
    #[expect(clippy::cast_precision_loss, reason = "counts of scans are far below 2^52")]
    pub fn set_scanners<'a>(&self, scanners: impl IntoIterator<Item = ScannerGauges<'a>>) {
        let (mut active, mut capacity) = (0_u64, 0_u64);
        for scanner in scanners {
            let label = format!("{}:{}", scanner.pool, scanner.instance);
            active += scanner.active as u64;
            capacity += u64::from(scanner.capacity);
            self.scanner_active.with_label_values(&[&label]).set(saturate(scanner.active as u64));
            self.scanner_capacity.with_label_values(&[&label]).set(i64::from(scanner.capacity));
            let share = 100.0 * scanner.active as f64 / f64::from(scanner.capacity.max(1));
            self.scanner_utilization.with_label_values(&[&label]).set(share);
        }
        self.active_scans.set(saturate(active));
        self.total_active.set(saturate(active));
        self.total_capacity.set(saturate(capacity));
    }

    /// Sets how many scanners are configured of a type.
    pub fn set_instances(&self, scanner_type: &str, enabled: usize, disabled: usize) {
        self.scanner_instances.with_label_values(&[scanner_type, "true"]).set(saturate(enabled as u64));
        self.scanner_instances.with_label_values(&[scanner_type, "false"]).set(saturate(disabled as u64));
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// When a metric cannot be written, which a test rules out.
    pub fn render(&self) -> Result<String, MetricsError> {
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
        metrics.set_pool_depths(&pool, 3, 1);
        metrics.set_total_depths(3, 1);
        metrics.set_scanners([ScannerGauges::new(&pool, &instance, 1, 4)]);
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
            "nessus_pool_total_capacity 4",
            "nessus_scanner_instances{enabled=\"true\",scanner_type=\"nessus\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
