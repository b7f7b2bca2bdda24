//! Metrics of results in an object store, and of the cache of what was fetched of them.

use super::{
    instruments::{self, IntCounterVec, Opts, Registry},
    series::{NONE, catch_up, register},
};
use crate::parts::PartFigures;

/// Without labels, but vectors: where results are read where they lie, nothing is shown.
#[derive(Debug)]
pub(super) struct CacheMetrics {
    hits: IntCounterVec,
    misses: IntCounterVec,
    fetched_bytes: IntCounterVec,
    damaged: IntCounterVec,
    evicted: IntCounterVec,
}

impl CacheMetrics {
    pub(super) fn build(registry: &Registry) -> instruments::Result<Self> {
        let counter = |name: &str, help: &str| register(registry, IntCounterVec::new(Opts::new(name, help), NONE)?);
        Ok(Self {
            hits: counter("nessus_cache_hits_total", "Parts of results that were read from the cache")?,
            misses: counter("nessus_cache_misses_total", "Parts of results that the object store was asked for")?,
            fetched_bytes: counter("nessus_cache_fetched_bytes_total", "Bytes of results from the object store")?,
            damaged: counter("nessus_cache_damaged_total", "Parts in the cache that were altered or not readable")?,
            evicted: counter("nessus_cache_evicted_total", "Parts in the cache that made room for others")?,
        })
    }

    /// Brings the counts up to what the cache says.
    pub(super) fn set(&self, figures: PartFigures) {
        let PartFigures { hits, misses, fetched_bytes, damaged, evicted } = figures;
        for (counter, count) in [
            (&self.hits, hits),
            (&self.misses, misses),
            (&self.fetched_bytes, fetched_bytes),
            (&self.damaged, damaged),
            (&self.evicted, evicted),
        ] {
            catch_up(&counter.with_label_values(NONE), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn the_cache_is_shown_where_there_is_one() {
        let metrics = Metrics::new().unwrap();
        assert!(!metrics.render().unwrap().contains("nessus_cache"), "results are read where they lie");
        for hits in [2, 3] {
            let figures = PartFigures { hits, misses: 4, fetched_bytes: 4000, damaged: 1, evicted: 0 };
            metrics.set_cache(figures);
        }
        let text = metrics.render().unwrap();
        for line in [
            "nessus_cache_hits_total 3",
            "nessus_cache_misses_total 4",
            "nessus_cache_fetched_bytes_total 4000",
            "nessus_cache_damaged_total 1",
            "nessus_cache_evicted_total 0",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} is missing in\n{text}");
        }
    }
}
