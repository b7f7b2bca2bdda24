//! What can go wrong with the audit log.

use std::{io, path::Path};

use crate::error::{Classified, ErrorKind};

/// The audit log cannot be written or read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A file of it cannot be used.
    #[error("the audit log cannot be used: `{path}`: {reason}")]
    File {
        /// The path.
        path: String,
        /// Why.
        reason: String,
    },
    /// The lines before were made with a key, and this process has none.
    #[error("the audit log `{chain}` is made with the key `{key}`, and this process has no key")]
    KeyMissing {
        /// The chain.
        chain: String,
        /// The id of its key.
        key: String,
    },
    /// The process is stopping.
    #[error("the audit log is closed: the process is stopping")]
    Closed,
}

impl AuditError {
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::File { path: path.display().to_string(), reason: error.to_string() }
    }
}

impl Classified for AuditError {
    fn code(&self) -> &'static str {
        "audit_unavailable"
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::KeyMissing { .. } => ErrorKind::Configuration,
            Self::File { .. } | Self::Closed => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File { .. } => Some(
                "nothing is changed while the audit log cannot be written: give the audit log a directory with room \
                 that this user may write to"
                    .to_owned(),
            ),
            Self::KeyMissing { .. } => Some(
                "set the secret key of this deployment as for the other processes; to go on without a key, move the \
                 directory of this chain away"
                    .to_owned(),
            ),
            Self::Closed => None,
        }
    }
}
