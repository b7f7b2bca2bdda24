//! What operators see: metrics, log lines and health.

mod approval_metrics;
mod delivery_metrics;
mod health;
mod housekeeping_metrics;
mod lines;
mod log_file;
mod logging;
mod metrics;
mod process_metrics;
mod queue_metrics;
mod scanner_calls;
mod series;
mod task_metrics;

#[cfg(feature = "cli")]
pub(crate) use self::logging::check_level;
pub use self::{
    health::{CheckStatus, DiskSpace, HealthCheck, HealthReport},
    logging::{LogFormat, LoggingError, change_verbosity, finish_logs, init_logging, log_to_file},
    metrics::{Metrics, MetricsError, ToolOutcome},
    process_metrics::ProcessMetrics,
};
pub(crate) use self::{
    metrics::{CircuitGauges, HealthGauges, ScannerGauges},
    queue_metrics::PoolGauges,
    scanner_calls::ScannerCalls,
    task_metrics::{Adoption, ValidationFailure},
};
