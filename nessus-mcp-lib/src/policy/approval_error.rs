//! Why somebody cannot decide about a scan.

use super::clients::{Role, TokenError};
use crate::error::{Classified, ErrorKind};

/// A decision that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// The token is nobody's.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is that of somebody who may not decide.
    #[error("`{client}` may not decide: its role is `{role}`, and `approve` or `admin` is needed")]
    Role {
        /// Whose token it is.
        client: String,
        /// What they may do.
        role: Role,
    },
    /// Their decisions could not be checked.
    #[error("`{client}` may not decide: `approval_key` in the policy is missing, or is not that of this token")]
    NoKey {
        /// Whose token it is.
        client: String,
    },
    /// They have asked for the scan themselves.
    #[error(
        "`{approver}` may not decide about a scan that `{author}` has asked for: nobody agrees to what they have asked for \
         themselves"
    )]
    Own {
        /// Who asked for the scan.
        author: String,
        /// Whose token it is.
        approver: String,
    },
    /// No rule holds the scan.
    #[error("no rule of the policy holds the scan: nobody has to agree to it")]
    NotNeeded,
    /// Somebody has decided before.
    #[error("`{by}` has decided before: {verdict}")]
    Decided {
        /// Who.
        by: String,
        /// `approved` or `denied`.
        verdict: &'static str,
    },
    /// It is too late.
    #[error("it is too late: {message}")]
    Expired {
        /// What is said of the scan.
        message: String,
    },
    /// The scan is not the one that was looked at.
    #[error("what is asked for is not what was looked at: its digest is {found}")]
    Changed {
        /// The digest of what is asked for now.
        found: String,
    },
}

impl Classified for ApprovalError {
    fn code(&self) -> &'static str {
        match self {
            Self::Token(_) | Self::Role { .. } | Self::NoKey { .. } => "not_an_approver",
            Self::Own { .. } => "own_approval",
            Self::NotNeeded => "approval_not_needed",
            Self::Decided { .. } => "already_decided",
            Self::Expired { .. } => "approval_expired",
            Self::Changed { .. } => "approval_changed",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Token(_) | Self::Role { .. } | Self::NoKey { .. } | Self::Own { .. } => ErrorKind::InvalidInput,
            Self::NotNeeded | Self::Decided { .. } | Self::Expired { .. } | Self::Changed { .. } => ErrorKind::Conflict,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Token(_) | Self::Role { .. } => {
                "the token must be that of a client of policy.yaml whose role is `approve` or `admin`"
            }
            Self::NoKey { .. } => {
                "make a new token with the role `approve`: it comes with the lines for policy.yaml that belong to it"
            }
            Self::Own { .. } => "somebody else must decide",
            Self::NotNeeded => "a worker begins it when its turn has come",
            Self::Decided { .. } | Self::Expired { .. } => "a scan that is still wanted is submitted again",
            Self::Changed { .. } => "look at the request again",
        };
        Some(hint.to_owned())
    }
}
