//! Keeping the queue in agreement with the task files: nothing is forgotten, and a lost queue is rebuilt.

mod index;
mod rebuild;
mod reconcile;

pub use self::{
    index::{QueueIndex, binding_of},
    reconcile::ReconcileError,
};
