//! What figures are measured with: the crate `prometheus`, or without the feature `metrics` nothing at all.
//!
//! The rest of the library measures in either case. Without the feature all instruments are empty, and the compiler removes the calls.

#[cfg(feature = "metrics")]
pub(super) use self::measuring::*;
#[cfg(not(feature = "metrics"))]
pub(super) use self::silent::*;

/// A metric that could not be made or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(String);

impl MetricsError {
    pub(super) fn new(error: &impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

#[cfg(feature = "metrics")]
mod measuring {
    use std::sync::{Arc, Mutex, PoisonError};

    pub(in crate::telemetry) use prometheus::{
        Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Result,
        core::Collector,
    };
    use prometheus::{TextEncoder, core::Desc, proto::MetricFamily};

    /// All instruments of a process. Clones are the same.
    #[derive(Debug, Clone, Default)]
    pub(in crate::telemetry) struct Registry {
        instruments: prometheus::Registry,
        /// What the operating system says of the process: another registry may have that already.
        process: prometheus::Registry,
        descriptions: Arc<Mutex<Vec<Desc>>>,
    }

    impl Registry {
        pub(in crate::telemetry) fn register(&self, instrument: Box<dyn Collector>) -> Result<()> {
            let descriptions = instrument.desc().into_iter().cloned().collect::<Vec<_>>();
            self.instruments.register(instrument)?;
            self.descriptions.lock().unwrap_or_else(PoisonError::into_inner).extend(descriptions);
            Ok(())
        }

        /// Adds what the operating system says of the process, where it says anything.
        pub(in crate::telemetry) fn register_process(&self) -> Result<()> {
            #[cfg(target_os = "linux")]
            self.process.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
            Ok(())
        }

        pub(in crate::telemetry) fn render(&self) -> Result<String> {
            let families = [self.process.gather(), self.instruments.gather()].concat();
            TextEncoder::new().encode_to_string(&families)
        }

        /// What is measured, without what the operating system says.
        pub(in crate::telemetry) fn gather(&self) -> Vec<MetricFamily> {
            self.instruments.gather()
        }

        pub(in crate::telemetry) fn descriptions(&self) -> Vec<Desc> {
            self.descriptions.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }
}

#[cfg(not(feature = "metrics"))]
#[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same signatures as those that measure")]
mod silent {
    use std::marker::PhantomData;

    pub(in crate::telemetry) type Result<T> = std::result::Result<T, super::MetricsError>;

    pub(in crate::telemetry) trait Collector {}

    #[derive(Debug, Clone, Default)]
    pub(in crate::telemetry) struct Registry(());

    impl Registry {
        pub(in crate::telemetry) fn register<M: Collector>(&self, _: Box<M>) -> Result<()> {
            Ok(())
        }

        pub(in crate::telemetry) fn register_process(&self) -> Result<()> {
            Ok(())
        }

        pub(in crate::telemetry) fn render(&self) -> Result<String> {
            Ok(String::new())
        }
    }

    /// How an instrument is described.
    pub(in crate::telemetry) struct Opts;
    pub(in crate::telemetry) type HistogramOpts = Opts;

    impl Opts {
        pub(in crate::telemetry) fn new(_: impl Into<String>, _: impl Into<String>) -> Self {
            Self
        }

        pub(in crate::telemetry) fn buckets(self, _: Vec<f64>) -> Self {
            self
        }
    }

    /// Counts, shows or observes values of this type.
    #[derive(Debug, Clone)]
    pub(in crate::telemetry) struct Instrument<V>(PhantomData<V>);

    pub(in crate::telemetry) type IntCounter = Instrument<u64>;
    pub(in crate::telemetry) type IntGauge = Instrument<i64>;
    pub(in crate::telemetry) type Gauge = Instrument<f64>;
    pub(in crate::telemetry) type IntCounterVec = Family<u64>;
    pub(in crate::telemetry) type IntGaugeVec = Family<i64>;
    pub(in crate::telemetry) type GaugeVec = Family<f64>;
    pub(in crate::telemetry) type HistogramVec = Family<f64>;

    impl<V> Collector for Instrument<V> {}

    impl<V: Default> Instrument<V> {
        pub(in crate::telemetry) fn new(_: impl Into<String>, _: impl Into<String>) -> Result<Self> {
            Ok(Self(PhantomData))
        }

        pub(in crate::telemetry) fn inc(&self) {}
        pub(in crate::telemetry) fn inc_by(&self, _: V) {}
        pub(in crate::telemetry) fn set(&self, _: V) {}
        pub(in crate::telemetry) fn add(&self, _: V) {}
        pub(in crate::telemetry) fn observe(&self, _: V) {}
        pub(in crate::telemetry) fn reset(&self) {}

        pub(in crate::telemetry) fn get(&self) -> V {
            V::default()
        }
    }

    /// Instruments by their labels.
    #[derive(Debug, Clone)]
    pub(in crate::telemetry) struct Family<V>(PhantomData<V>);

    impl<V> Collector for Family<V> {}

    impl<V> Family<V> {
        pub(in crate::telemetry) fn new(_: Opts, _: &[&str]) -> Result<Self> {
            Ok(Self(PhantomData))
        }

        pub(in crate::telemetry) fn with_label_values<T: AsRef<str>>(&self, _: &[T]) -> Instrument<V> {
            Instrument(PhantomData)
        }

        pub(in crate::telemetry) fn remove_label_values<T: AsRef<str>>(&self, _: &[T]) -> Result<()> {
            Ok(())
        }

        pub(in crate::telemetry) fn reset(&self) {}
    }
}
