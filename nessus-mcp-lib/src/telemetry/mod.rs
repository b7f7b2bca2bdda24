//! What operators see: metrics, log lines and health.

mod approval_metrics;
mod health;
mod logging;
mod metrics;
mod process_metrics;
mod queue_metrics;
mod scanner_calls;
mod series;
mod task_metrics;

pub(crate) use self::{
    health::DiskSpace,
    metrics::{CircuitGauges, HealthGauges, ScannerGauges},
    queue_metrics::PoolGauges,
    scanner_calls::ScannerCalls,
    task_metrics::{Adoption, ValidationFailure},
};
pub use self::{
    health::{CheckStatus, HealthCheck, HealthReport},
    logging::{LogFormat, LoggingError, init_logging},
    metrics::{Metrics, MetricsError, ToolOutcome},
    process_metrics::ProcessMetrics,
};
