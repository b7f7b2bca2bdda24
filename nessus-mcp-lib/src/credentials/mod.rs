//! What the scan of a task logs in with: one of `credentials.yaml`, which the task names by its id, or one that came with the
//! request, which is sealed beside the task until it ends.
//!
//! [`Credentials`] decides at the submit whether a login may be used, and gives it to the worker right before the scan is
//! created. Between the two a secret exists nowhere but sealed, beside the task or in it.

mod error;
mod key;
mod seal;
mod vault;

pub use self::{
    error::CredentialError,
    vault::{CredentialChanges, Credentials, Login},
};
