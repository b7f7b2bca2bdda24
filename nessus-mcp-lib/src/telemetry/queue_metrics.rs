//! What the queue says of its pools and workers, for as long as it answers.

use std::{collections::BTreeSet, time::Duration};

use super::{
    instruments::{self, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry},
    series::{NONE, POOL, Shown, register, saturate},
};
use crate::ids::PoolName;

/// What the queue says of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolGauges<'a> {
    /// The pool.
    pub(crate) pool: &'a PoolName,
    /// Tasks that wait for a worker.
    pub(crate) waiting: u64,
    /// Tasks that wait until their next try is due.
    pub(crate) delayed: u64,
    /// Tasks that a worker holds.
    pub(crate) leased: u64,
    /// Dead letters.
    pub(crate) dead: u64,
    /// Tasks that wait because worker after worker was lost with them.
    pub(crate) suspects: usize,
    /// How long ago the task was queued that is next; zero where none waits.
    pub(crate) oldest_waiting: Duration,
    /// Workers that serve it and live; `None` when that is not known.
    pub(crate) workers: Option<usize>,
    /// Whether an operator has paused it.
    pub(crate) paused: bool,
}

/// Gauges of the queue. Those without labels are vectors all the same: what is not known is not shown.
#[derive(Debug)]
pub(crate) struct QueueMetrics {
    queue_up: IntGauge,
    queue_depth: IntGaugeVec,
    dlq_size: IntGaugeVec,
    workers_alive: IntGaugeVec,
    pool_queue_depth: IntGaugeVec,
    pool_delayed: IntGaugeVec,
    pool_leased: IntGaugeVec,
    pool_dlq_depth: IntGaugeVec,
    pool_suspects: IntGaugeVec,
    pool_oldest_waiting: GaugeVec,
    pool_workers: IntGaugeVec,
    pool_paused: IntGaugeVec,
    shown_pools: Shown,
}

impl QueueMetrics {
    pub(super) fn build(registry: &Registry) -> instruments::Result<Self> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        Ok(Self {
            queue_up: gauge(
                "nessus_queue_up",
                "Whether the queue has answered; if not, what only it knows is left out",
            )?,
            queue_depth: gauges("nessus_queue_depth", "Entries in the main and dead queues of all pools", &["queue"])?,
            dlq_size: gauges("nessus_dlq_size", "Dead letters of all pools", &[])?,
            workers_alive: gauges("nessus_workers_alive", "Workers that live, in all processes", &[])?,
            pool_queue_depth: gauges("nessus_pool_queue_depth", "Entries waiting in a pool", POOL)?,
            pool_delayed: gauges("nessus_pool_delayed_tasks", "Tasks of a pool that wait until their next try", POOL)?,
            pool_leased: gauges("nessus_pool_leased_tasks", "Tasks of a pool that workers hold", POOL)?,
            pool_dlq_depth: gauges("nessus_pool_dlq_depth", "Dead letters of a pool", POOL)?,
            pool_suspects: gauges(
                "nessus_pool_suspect_tasks",
                "Tasks of a pool that wait because worker after worker was lost with them",
                POOL,
            )?,
            pool_oldest_waiting: register(
                registry,
                GaugeVec::new(
                    Opts::new(
                        "nessus_pool_oldest_waiting_seconds",
                        "How long ago the task of a pool was queued that is next; 0 where none waits",
                    ),
                    POOL,
                )?,
            )?,
            pool_workers: gauges("nessus_pool_workers", "Workers that serve a pool and live", POOL)?,
            pool_paused: gauges("nessus_pool_paused", "Whether an operator has paused a pool", POOL)?,
            shown_pools: Shown::default(),
        })
    }

    /// Sets what the queue says: of all pools, and how many workers live, if that is known. A pool that is not among them is forgotten.
    pub(crate) fn set_pools<'a>(&self, pools: impl IntoIterator<Item = PoolGauges<'a>>, workers: Option<usize>) {
        let mut shown = BTreeSet::new();
        let (mut waiting, mut dead) = (0_u64, 0_u64);
        for gauges in pools {
            let label = [gauges.pool.as_str()];
            self.pool_queue_depth.with_label_values(&label).set(saturate(gauges.waiting));
            self.pool_delayed.with_label_values(&label).set(saturate(gauges.delayed));
            self.pool_leased.with_label_values(&label).set(saturate(gauges.leased));
            self.pool_dlq_depth.with_label_values(&label).set(saturate(gauges.dead));
            self.pool_suspects.with_label_values(&label).set(saturate(gauges.suspects as u64));
            self.pool_oldest_waiting.with_label_values(&label).set(gauges.oldest_waiting.as_secs_f64());
            match gauges.workers {
                Some(workers) => self.pool_workers.with_label_values(&label).set(saturate(workers as u64)),
                None => drop(self.pool_workers.remove_label_values(&label)),
            }
            self.pool_paused.with_label_values(&label).set(gauges.paused.into());
            (waiting, dead) = (waiting.saturating_add(gauges.waiting), dead.saturating_add(gauges.dead));
            shown.insert(gauges.pool.to_string());
        }
        for gone in self.shown_pools.replace(shown) {
            self.of_pools().for_each(|metric| drop(metric.remove_label_values(&[&gone])));
            let _ = self.pool_oldest_waiting.remove_label_values(&[&gone]);
        }
        self.queue_up.set(1);
        self.queue_depth.with_label_values(&["main"]).set(saturate(waiting));
        self.queue_depth.with_label_values(&["dead"]).set(saturate(dead));
        self.dlq_size.with_label_values(NONE).set(saturate(dead));
        match workers {
            Some(workers) => self.workers_alive.with_label_values(NONE).set(saturate(workers as u64)),
            None => self.workers_alive.reset(),
        }
    }

    /// The queue has not answered: what it has said before is not shown any more.
    pub(crate) fn forget_pools(&self) {
        self.shown_pools.replace(BTreeSet::new());
        self.queue_up.set(0);
        self.of_pools().for_each(IntGaugeVec::reset);
        self.pool_oldest_waiting.reset();
        [&self.queue_depth, &self.dlq_size, &self.workers_alive].into_iter().for_each(IntGaugeVec::reset);
    }

    fn of_pools(&self) -> impl Iterator<Item = &IntGaugeVec> {
        [
            &self.pool_queue_depth,
            &self.pool_delayed,
            &self.pool_leased,
            &self.pool_dlq_depth,
            &self.pool_suspects,
            &self.pool_workers,
            &self.pool_paused,
        ]
        .into_iter()
    }
}
