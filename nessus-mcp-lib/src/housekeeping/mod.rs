//! Keeping the queue in agreement with the task files: nothing is forgotten, and a lost queue is rebuilt.

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod catalogue_tests;
mod charges;
mod error;
mod index;
mod rebuild;
mod reconcile;

pub(crate) use self::charges::{
    day_is_full, enqueue, give_back, give_back_ended, is_withdrawn, limit_is_full, scope_of, withdraw,
};
pub use self::{
    error::ReconcileError,
    index::{QueueIndex, binding_of},
};
pub(crate) use self::{rebuild::dead_reason, reconcile::take_if_put_off};
