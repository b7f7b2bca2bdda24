//! Why targets may not be scanned.

use crate::{
    error::{Classified, ErrorKind},
    targets::TargetError,
};

/// Targets that may not be scanned. Each names the target and the rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// There are addresses in it that are no hosts, or those of every network.
    #[error("`{target}` is not scanned: it holds {kind} addresses ({network})")]
    Reserved {
        /// The target.
        target: String,
        /// What they are, such as `multicast`.
        kind: &'static str,
        /// The network they are of.
        network: &'static str,
    },
    /// They cannot be read, or no scanner takes them.
    #[error(transparent)]
    Targets(#[from] TargetError),
    /// There are more hosts than one scan may have.
    #[error("the targets are {hosts} hosts, and one scan may have {most} (`{limit}`)")]
    TooManyHosts {
        /// How many there are.
        hosts: u128,
        /// How many there may be.
        most: u64,
        /// The setting, or the key of `policy.yaml`, that says so.
        limit: &'static str,
    },
}

impl Classified for ScopeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Targets(error) => error.code(),
            _ => "out_of_scope",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Reserved { .. } => {
                "unspecified, multicast, broadcast and link-local addresses are refused whatever the policy says: name the \
                 networks that hold the hosts, such as 10.0.0.0/24"
                    .to_owned()
            }
            Self::Targets(error) => return error.hint(),
            Self::TooManyHosts { limit, .. } => {
                format!("scan smaller networks, one after the other; an operator can allow more with `{limit}`")
            }
        })
    }
}
