//! Metrics in a registry of an embedder's own.
//!
//! The only place where types of the crate `prometheus`, which is before its 1.0, are public. They are outside the promises of
//! semantic versioning: a new version of that crate may change what the feature `metrics` offers.

use std::sync::Arc;

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::metrics::Metrics;

impl Metrics {
    /// Joins a registry of one's own: `registry.register(service.metrics().collector())`.
    ///
    /// What the operating system says of the process (`process_...`) is left out, because such a registry has it already.
    /// Gauges of what several processes share, such as depths of queues, are as new as the last
    /// [`render_metrics`](crate::ScanService::render_metrics), which reads them from the queue.
    pub fn collector(self: &Arc<Self>) -> Box<dyn Collector> {
        Box::new(OwnedMetrics { metrics: Arc::clone(self), descriptions: self.registry().descriptions() })
    }
}

struct OwnedMetrics {
    metrics: Arc<Metrics>,
    descriptions: Vec<Desc>,
}

impl Collector for OwnedMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.metrics.count_lost_lines();
        self.metrics.registry().gather()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounter, Registry, TextEncoder};

    use super::*;
    use crate::telemetry::ToolOutcome;

    #[test]
    fn metrics_join_a_registry_that_has_others() {
        let registry = Registry::new();
        let own = IntCounter::new("shop_orders_total", "Orders").unwrap();
        registry.register(Box::new(own.clone())).unwrap();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self())).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        registry.register(metrics.collector()).unwrap();
        own.inc();
        metrics.tool_called("list_tasks", ToolOutcome::Success);
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in ["shop_orders_total 1", "nessus_api_requests_total{status=\"success\",tool=\"list_tasks\"} 1"] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert_eq!(text.matches("# TYPE process_open_fds").count(), usize::from(cfg!(target_os = "linux")), "{text}");
        assert!(registry.register(metrics.collector()).is_err(), "twice the same metrics");
    }
}
