//! What operators see: metrics, log lines and health. Used by every floor, uses none of the upper ones.

mod health;
mod logging;
mod metrics;
mod process_metrics;

pub use self::{
    health::{CheckStatus, DiskSpace, HealthCheck, HealthReport},
    logging::{LogFormat, LoggingError, init_logging},
    metrics::{CircuitGauges, HealthGauges, Metrics, MetricsError, ScannerGauges, ToolOutcome},
    process_metrics::ProcessMetrics,
};
