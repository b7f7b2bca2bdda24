//! What has to be done now and then so that nothing is forgotten.

mod reconcile;

pub use self::reconcile::{ReconcileError, reconcile};
