//! Logins that cannot be used.

use crate::{
    error::{Classified, ErrorKind},
    login::LoginError,
    task::ScanType,
};

/// A login that cannot be used. No secret is in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A field of the login is missing or wrong.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A scan that logs in has nothing to log in with.
    #[error("`credential_id` is missing: a {0} scan logs in on its targets")]
    Missing(ScanType),
    /// A login was given for a scan that does not log in.
    #[error("`credential_id` or a login is given, and an untrusted scan does not log in")]
    NotTaken,
    /// The login takes more rights, and the scan is not to.
    #[error("`elevate_privileges_with` is for privileged scans: {0} takes more rights than its user has")]
    Escalates(String),
    /// The login takes no more rights, and the scan is to.
    #[error(
        "`elevate_privileges_with` is missing: {0} takes no more rights than its user has, and the scan is privileged"
    )]
    DoesNotEscalate(String),
    /// There is no stored login of this name.
    #[error("there is no credential `{id}`")]
    Unknown {
        /// The name asked for.
        id: String,
        /// The names that are most like it.
        nearest: Vec<String>,
    },
    /// The stored login may not be used on all of the targets.
    #[error("the credential `{id}` may not be used on {outside}")]
    NotAllowed {
        /// The login.
        id: String,
        /// The first of the targets that it may not be used on.
        outside: String,
        /// What it may be used on.
        allowed: String,
    },
    /// There is no key to seal a login with, or to open one.
    #[error("a login that comes with the request has to be sealed, and there is no key for that")]
    NoKey,
    /// The key file of the data directory cannot be read or written.
    #[error("the key in `secret.key` of the data directory cannot be used: {0}")]
    KeyFile(String),
    /// The sealed login was sealed with another key.
    #[error("the login of this task was sealed with another key than this worker has")]
    WrongKey,
    /// The sealed login is not what was written.
    #[error("the sealed login of this task is damaged, or that of another task")]
    Damaged,
    /// The task has ended once, and with it its login.
    #[error("the login of this task came with the request and was removed when the task ended")]
    Gone,
}

impl Classified for CredentialError {
    fn code(&self) -> &'static str {
        match self {
            Self::Login(_) | Self::Missing(_) | Self::NotTaken | Self::Escalates(_) | Self::DoesNotEscalate(_) => {
                "invalid_argument"
            }
            Self::Unknown { .. } => "unknown_credential",
            Self::NotAllowed { .. } => "credential_not_allowed",
            Self::NoKey => "no_secret_key",
            Self::KeyFile(_) => "secret_key_unusable",
            Self::WrongKey => "wrong_secret_key",
            Self::Damaged => "login_damaged",
            Self::Gone => "login_gone",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoKey | Self::Gone => ErrorKind::Conflict,
            Self::KeyFile(_) | Self::WrongKey => ErrorKind::Configuration,
            Self::Damaged => ErrorKind::Internal,
            _ => ErrorKind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Login(_) => return None,
            Self::Missing(_) => {
                "name a credential that an operator has configured, or give `username` and `password`".to_owned()
            }
            Self::NotTaken => "leave it out, or run a trusted or privileged scan".to_owned(),
            Self::Escalates(_) => "run a privileged scan, or use a credential without it".to_owned(),
            Self::DoesNotEscalate(_) => "run a trusted scan, or use a credential with it".to_owned(),
            Self::Unknown { nearest, .. } if nearest.is_empty() => {
                "no credential is configured; an operator writes them into `credentials.yaml`".to_owned()
            }
            Self::Unknown { nearest, .. } => format!("the names most like it are: {}", nearest.join(", ")),
            Self::NotAllowed { allowed, .. } => {
                format!("it may be used on: {allowed}; every target has to lie in that")
            }
            Self::NoKey => {
                "use a `credential_id`; or an operator sets the secret key of this deployment, the same on all servers \
                 and workers"
                    .to_owned()
            }
            Self::KeyFile(_) => "set the secret key of this deployment, or repair the file".to_owned(),
            Self::WrongKey => {
                "give all servers and workers the secret key of this deployment, then submit the scan again".to_owned()
            }
            Self::Damaged | Self::Gone => "submit the scan again, with its login or a `credential_id`".to_owned(),
        })
    }
}
