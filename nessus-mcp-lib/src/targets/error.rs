//! What can be wrong with a target text.

use crate::error::{Classified, ErrorKind, counted, excerpt};

/// The most pieces a target text may have.
pub const MAX_PIECES: usize = 10_000;

/// The most bytes a target text may have.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// The most IPv6 addresses that a scan may have: they are named to the scanner one by one.
pub const MAX_IPV6_ADDRESSES: u128 = 10_000;

/// A text that is not a set of targets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// There is nothing in it.
    #[error("no targets are given")]
    Empty,
    /// It is longer than [`MAX_TEXT_BYTES`].
    #[error("the targets are {} long, at most {MAX_TEXT_BYTES} are accepted", counted(*bytes, "byte", "bytes"))]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It has more pieces than [`MAX_PIECES`].
    #[error("there are more than {MAX_PIECES} targets, use networks or ranges, or several scans")]
    TooMany,
    /// It has more IPv6 addresses than [`MAX_IPV6_ADDRESSES`].
    #[error(
        "there are more than {MAX_IPV6_ADDRESSES} IPv6 addresses; scanners take IPv6 addresses one by one, not as networks \
         or ranges"
    )]
    TooManyIpv6,
    /// A piece of it is nothing that can be scanned.
    #[error("`{piece}` is not a valid target: {reason}")]
    Invalid {
        /// The piece, cut to 200 bytes.
        piece: String,
        /// What is wrong, and what would be right.
        reason: &'static str,
    },
}

impl TargetError {
    pub(super) fn invalid(piece: &str, reason: &'static str) -> Self {
        Self::Invalid { piece: excerpt(piece).to_string(), reason }
    }
}

impl Classified for TargetError {
    fn code(&self) -> &'static str {
        "invalid_targets"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        if *self == Self::TooManyIpv6 {
            return Some(
                "name the IPv6 hosts that exist, or use smaller networks: a /115 has 8192 addresses".to_owned(),
            );
        }
        Some(
            "separate targets by commas; valid are addresses (10.0.0.1), networks (10.0.0.0/24), ranges \
             (10.0.0.1-10.0.0.50, 10.0.0.1-50), IPv6 addresses and networks, and host names (db.example.com)"
                .to_owned(),
        )
    }
}
