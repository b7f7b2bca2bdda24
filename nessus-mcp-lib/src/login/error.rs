//! A login that cannot work.

/// What is wrong with a login, and with which of its fields. No value of a secret field is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {message}")]
pub struct LoginError {
    /// The field, by its name in [`LoginFields`](super::LoginFields).
    pub field: &'static str,
    /// What is wrong with it, as the rest of a sentence.
    pub message: String,
}

impl LoginError {
    pub(super) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}
