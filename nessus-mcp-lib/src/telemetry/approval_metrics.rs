//! Metrics of scans that wait until a person agrees.

use super::instruments::{self, IntCounterVec, IntGauge, Opts, Registry};

/// Who waits for a person, and what was decided.
#[derive(Debug)]
pub(super) struct ApprovalMetrics {
    waiting: IntGauge,
    decisions: IntCounterVec,
}

impl ApprovalMetrics {
    pub(super) fn build(registry: &Registry) -> instruments::Result<Self> {
        let decisions = Opts::new(
            "nessus_approval_decisions_total",
            "Scans that do not wait for a person any more: approved, denied, expired or released (no rule holds them, or they \
             were cancelled)",
        );
        let metrics = Self {
            waiting: IntGauge::new("nessus_approvals_waiting", "Scans that wait until a person agrees")?,
            decisions: IntCounterVec::new(decisions, &["outcome"])?,
        };
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.decisions.clone()))?;
        Ok(metrics)
    }

    pub(super) fn set_waiting(&self, scans: usize) {
        self.waiting.set(i64::try_from(scans).unwrap_or(i64::MAX));
    }

    pub(super) fn decided(&self, outcome: &str) {
        self.decisions.with_label_values(&[outcome]).inc();
    }
}
