//! What operators see: metrics, log lines and health.

mod approval_metrics;
mod health;
mod logging;
mod metrics;
mod process_metrics;
mod scanner_calls;
mod task_metrics;

use prometheus::core::Collector;

pub(crate) use self::{
    health::DiskSpace,
    metrics::{CircuitGauges, HealthGauges, PoolGauges, ScannerGauges},
    scanner_calls::ScannerCalls,
    task_metrics::{Adoption, ValidationFailure},
};
pub use self::{
    health::{CheckStatus, HealthCheck, HealthReport},
    logging::{LogFormat, LoggingError, init_logging},
    metrics::{Metrics, MetricsError, ToolOutcome},
    process_metrics::ProcessMetrics,
};

/// Makes a metric part of what the registry writes out.
fn register<M: Collector + Clone + 'static>(registry: &prometheus::Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
