//! Metrics of the process itself: its log, its clock and its connections.

use super::{
    instruments::{self, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry},
    series::register,
};

/// What a process counts of itself, whatever it scans.
#[derive(Debug)]
pub struct ProcessMetrics {
    log_lines_dropped: IntCounter,
    clock_offset: Gauge,
    http_connections: IntGauge,
    http_requests: IntGauge,
    http_answer_bytes: IntGauge,
    http_refused: IntCounterVec,
    audit_failures: IntCounter,
    rate_limited: IntCounterVec,
}

impl ProcessMetrics {
    pub(super) fn build(registry: &Registry) -> instruments::Result<Self> {
        registry.register_process()?;
        let build = Opts::new("nessus_build_info", "The version of the program; always 1");
        let build = register(registry, IntGaugeVec::new(build, &["version"])?)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            log_lines_dropped: IntCounter::new(
                "nessus_log_lines_dropped_total",
                "Log lines that were dropped because nobody read stderr in time",
            )?,
            clock_offset: Gauge::new(
                "nessus_clock_offset_seconds",
                "How far the clock of this worker is ahead of the queue's; beyond a minute it ends no scan for its time",
            )?,
            http_connections: IntGauge::new("nessus_http_connections", "Connections that clients have open")?,
            http_requests: IntGauge::new("nessus_http_requests", "Requests that are worked on, or wait for a place")?,
            http_answer_bytes: IntGauge::new(
                "nessus_http_answer_bytes",
                "Bytes of large answers that are not written to their clients yet",
            )?,
            http_refused: IntCounterVec::new(
                Opts::new(
                    "nessus_http_refused_total",
                    "What was refused for want of room or time, of a valid token (identity) or of a scope of it (scope)",
                ),
                &["what"],
            )?,
            audit_failures: IntCounter::new(
                "nessus_audit_failures_total",
                "How often lines of the audit log could not be written",
            )?,
            rate_limited: IntCounterVec::new(
                Opts::new(
                    "nessus_rate_limited_total",
                    "Calls that were refused because a client made too many, by class",
                ),
                &["class"],
            )?,
        };
        registry.register(Box::new(metrics.log_lines_dropped.clone()))?;
        registry.register(Box::new(metrics.clock_offset.clone()))?;
        registry.register(Box::new(metrics.http_connections.clone()))?;
        registry.register(Box::new(metrics.http_requests.clone()))?;
        registry.register(Box::new(metrics.http_answer_bytes.clone()))?;
        registry.register(Box::new(metrics.http_refused.clone()))?;
        registry.register(Box::new(metrics.audit_failures.clone()))?;
        registry.register(Box::new(metrics.rate_limited.clone()))?;
        Ok(metrics)
    }

    pub(super) fn set_clock_offset(&self, seconds: f64) {
        self.clock_offset.set(seconds);
    }

    /// So many connections of clients were opened, or closed where it is negative.
    pub fn add_http_connections(&self, change: i64) {
        self.http_connections.add(change);
    }

    /// So many requests came in, or ended where it is negative.
    pub fn add_http_requests(&self, change: i64) {
        self.http_requests.add(change);
    }

    /// So many bytes of large answers wait to be written, or do so no more where it is negative.
    pub fn add_http_answer_bytes(&self, change: i64) {
        self.http_answer_bytes.add(change);
    }

    /// Counts what there was no room or time for, who had no valid token (`identity`), and calls for which a token had no scope
    /// (`scope`).
    pub fn http_refused(&self, what: &'static str) {
        self.http_refused.with_label_values(&[what]).inc();
    }

    /// Counts that lines of the audit log could not be written.
    pub(crate) fn audit_failed(&self) {
        self.audit_failures.inc();
    }

    /// Counts a call of this class that was one too many in its minute.
    pub fn rate_limited(&self, class: &str) {
        self.rate_limited.with_label_values(&[class]).inc();
    }

    /// What the log itself counts.
    pub(super) fn log_lines_dropped(&self) -> &IntCounter {
        &self.log_lines_dropped
    }
}
