//! Metrics of what webhooks are told.

use super::instruments::{self, IntCounterVec, Opts, Registry};

/// How deliveries went, by webhook.
#[derive(Debug)]
pub(super) struct DeliveryMetrics {
    deliveries: IntCounterVec,
}

impl DeliveryMetrics {
    pub(super) fn build(registry: &Registry) -> instruments::Result<Self> {
        let deliveries = Opts::new(
            "nessus_webhook_deliveries_total",
            "Tries of this process to tell webhooks of the policy: delivered, failed (tried again) or given_up (counted as failed too)",
        );
        let deliveries = IntCounterVec::new(deliveries, &["webhook", "outcome"])?;
        registry.register(Box::new(deliveries.clone()))?;
        Ok(Self { deliveries })
    }

    pub(super) fn told(&self, webhook: &str, outcome: &str) {
        self.deliveries.with_label_values(&[webhook, outcome]).inc();
    }
}
