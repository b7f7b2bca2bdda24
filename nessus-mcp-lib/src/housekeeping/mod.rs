//! Keeping the queue in agreement with the task files: nothing is forgotten, and a lost queue is rebuilt. And removing what nobody needs
//! any more: see [`Housekeeping`].

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod catalogue_tests;
mod charges;
mod error;
mod index;
mod keeper;
mod leader;
mod rebuild;
mod reconcile;
mod record;
mod report;
mod rules;
mod run;
mod scans;

pub(crate) use self::charges::{
    day_is_full, enqueue, give_back, give_back_ended, is_withdrawn, limit_is_full, scope_of, withdraw,
};
pub use self::{
    error::{HousekeepingError, ReconcileError},
    index::{QueueIndex, binding_of},
    keeper::{Housekeeping, Wanted},
    record::last_run,
    report::{HousekeepingReport, Notable, ScanOnScanner, StaleTask},
};
pub(crate) use self::{rebuild::dead_reason, reconcile::take_if_put_off};
