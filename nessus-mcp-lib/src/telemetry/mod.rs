//! What operators see: metrics, log lines and health.

mod approval_metrics;
mod health;
mod logging;
mod metrics;
mod process_metrics;

#[cfg(feature = "cli")]
pub(crate) use self::logging::check_level;
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
