//! How long calls to scanners take, and how they end.

use std::{sync::Arc, time::Duration};

use super::{
    instruments::{self, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry},
    series::register,
};
use arc_swap::ArcSwapOption;

/// From an answer of a scanner beside us to an export that takes an hour.
const BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0];

/// Times and errors of calls, by scanner and call.
#[derive(Debug)]
pub(crate) struct ScannerCallMetrics {
    seconds: HistogramVec,
    errors: IntCounterVec,
}

impl ScannerCallMetrics {
    pub(super) fn build(registry: &Registry) -> instruments::Result<Self> {
        let options = HistogramOpts::new(
            "nessus_scanner_call_seconds",
            "How long calls to a scanner took, by call and outcome (success, error); repetitions of a request are part of it",
        );
        let seconds = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["scanner_instance", "call", "outcome"])?;
        let errors =
            Opts::new("nessus_scanner_call_errors_total", "Calls to a scanner that have failed, by error code");
        let errors = IntCounterVec::new(errors, &["scanner_instance", "code"])?;
        Ok(Self { seconds: register(registry, seconds)?, errors: register(registry, errors)? })
    }

    fn made(&self, scanner: &str, call: &str, took: Duration, error_code: Option<&str>) {
        let outcome = if error_code.is_none() { "success" } else { "error" };
        self.seconds.with_label_values(&[scanner, call, outcome]).observe(took.as_secs_f64());
        if let Some(code) = error_code {
            self.errors.with_label_values(&[scanner, code]).inc();
        }
    }
}

/// Whom to tell of calls to scanners: the metrics of the process, once there are some. All clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScannerCalls(Arc<ArcSwapOption<ScannerCallMetrics>>);

impl ScannerCalls {
    /// From now on calls are counted there.
    pub(crate) fn count_in(&self, metrics: &Arc<ScannerCallMetrics>) {
        self.0.store(Some(Arc::clone(metrics)));
    }

    /// A call to a scanner, named `pool:instance`, has ended.
    pub(crate) fn made(&self, scanner: &str, call: &str, took: Duration, error_code: Option<&str>) {
        if let Some(metrics) = self.0.load().as_ref() {
            metrics.made(scanner, call, took, error_code);
        }
    }
}
