//! What operators see: metrics, log lines and health.

mod approval_metrics;
mod health;
mod housekeeping_metrics;
mod logging;
mod metrics;
mod process_metrics;

pub(crate) use self::{
    health::DiskSpace,
    metrics::{CircuitGauges, HealthGauges, ScannerGauges},
};
pub use self::{
    health::{CheckStatus, HealthCheck, HealthReport},
    logging::{LogFormat, LoggingError, init_logging},
    metrics::{Metrics, MetricsError, ToolOutcome},
    process_metrics::ProcessMetrics,
};
