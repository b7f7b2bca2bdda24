//! What a scan logs in to its targets with: by SSH with a password or a key, or on Windows with a password.
//!
//! A login comes from a tool's arguments, from `credentials.yaml` or from a sealed file, in each case as [`LoginFields`] with the
//! same names. Whatever cannot work, and whatever a scanner would drop without a word, is a [`LoginError`] that names the field.

mod credential;
mod error;
mod fields;
mod private_key;

#[cfg(feature = "nessus")]
pub(crate) use self::credential::EscalationField;
pub use self::{
    credential::{Escalation, EscalationMethod, ScanCredential, SshCredential, SshLogin},
    error::LoginError,
    fields::LoginFields,
};
