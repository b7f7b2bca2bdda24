//! Keeping the queue in agreement with the task files: nothing is forgotten, and a lost queue is rebuilt.

mod error;
mod hosts;
mod index;
mod rebuild;
mod reconcile;

pub(crate) use self::hosts::{day_is_full, enqueue, give_back, is_withdrawn, withdraw};
pub use self::{
    error::ReconcileError,
    index::{QueueIndex, binding_of},
};
