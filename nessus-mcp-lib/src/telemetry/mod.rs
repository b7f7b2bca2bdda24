//! What operators see: metrics, log lines and health.

mod approval_metrics;
#[cfg(feature = "objects")]
mod cache_metrics;
#[cfg(feature = "metrics")]
mod collector;
mod delivery_metrics;
mod health;
mod housekeeping_metrics;
mod instruments;
#[cfg(feature = "cli")]
mod lines;
#[cfg(feature = "cli")]
mod log_file;
#[cfg(feature = "cli")]
mod logging;
mod metrics;
mod process_metrics;
mod queue_metrics;
mod scanner_calls;
mod series;
mod task_metrics;

#[cfg(feature = "cli")]
pub(crate) use self::logging::check_level;
#[cfg(feature = "cli")]
pub use self::logging::{LogFormat, LoggingError, change_verbosity, finish_logs, init_logging, log_to_file};
pub use self::{
    health::{CheckStatus, DiskSpace, HealthCheck, HealthReport},
    instruments::MetricsError,
    metrics::{Metrics, ToolOutcome},
    process_metrics::ProcessMetrics,
};
pub(crate) use self::{
    metrics::{CircuitGauges, HealthGauges, ScannerGauges},
    queue_metrics::PoolGauges,
    scanner_calls::ScannerCalls,
    task_metrics::{Adoption, ValidationFailure},
};
