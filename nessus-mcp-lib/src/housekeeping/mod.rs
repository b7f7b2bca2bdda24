//! What has to be done now and then so that nothing is forgotten.

mod index;
mod rebuild;
mod reconcile;

pub use self::{
    index::{QueueIndex, binding_of},
    reconcile::{ReconcileError, reconcile},
};
