//! The keys that decisions about approvals are signed with.
//!
//! The private key is made from the token of an approver, and exists nowhere else: what `policy.yaml` and the tasks hold is
//! enough to check a decision, and not to make one.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{hex, secret::Secret};

/// What every token begins with, so that scanners of repositories and logs can find one.
pub(super) const TOKEN_PREFIX: &str = "nmcp_";
/// What stands before a token where a key is made from it: its plain hash stands in `policy.yaml`.
const LABEL: &[u8] = b"nessus-mcp approval key, version 1\n";

/// The public key of an approver, by which decisions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApprovalKey([u8; 32]);

impl ApprovalKey {
    /// The key that belongs to a token.
    pub fn of(token: &Secret) -> Self {
        SigningKey::of(token).public()
    }

    /// Whether whoever has the token has signed this message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        let signature = hex::decode::<64>(signature);
        signature.is_some_and(|signature| UnparsedPublicKey::new(&ED25519, self.0).verify(message, &signature).is_ok())
    }
}

impl fmt::Display for ApprovalKey {
    /// 64 hexadecimal digits, as they stand in `policy.yaml`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for ApprovalKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(TOKEN_PREFIX) {
            let refused = "is a token: write the key that is printed with a new token, and make a new token, for this \
                           one was written down";
            return Err(refused.to_owned());
        }
        let refused = || "must be 64 hexadecimal digits, as is printed with a new token".to_owned();
        hex::decode(text).map(Self).ok_or_else(refused)
    }
}

/// The private key of an approver.
pub(super) struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key that belongs to a token.
    pub(super) fn of(token: &Secret) -> Self {
        let seed = Zeroizing::new(<[u8; 32]>::from(
            Sha256::new().chain_update(LABEL).chain_update(token.expose().as_bytes()).finalize(),
        ));
        match Ed25519KeyPair::from_seed_unchecked(seed.as_slice()) {
            Ok(pair) => Self(pair),
            // Any 32 bytes are a seed.
            Err(error) => unreachable!("no key of 32 bytes: {error}"),
        }
    }

    pub(super) fn public(&self) -> ApprovalKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        ApprovalKey(key)
    }

    /// The signature, as hexadecimal digits.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.0.sign(message).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{TokenHash, new_token};

    #[test]
    fn only_whoever_has_the_token_signs() {
        let (token, other) = (new_token(), new_token());
        let (key, signature) = (ApprovalKey::of(&token), SigningKey::of(&token).sign(b"yes"));
        assert!(key.has_signed(b"yes", &signature) && !key.has_signed(b"no", &signature));
        assert!(!key.has_signed(b"yes", &SigningKey::of(&other).sign(b"yes")));
        for wrong in ["", "00", &signature[2..], &"00".repeat(64)] {
            assert!(!key.has_signed(b"yes", wrong), "{wrong}");
        }
        // What policy.yaml has of a token is no seed of its key.
        let hash = hex::decode::<32>(&TokenHash::of(token.expose()).to_string()).unwrap();
        let forged = SigningKey(Ed25519KeyPair::from_seed_unchecked(&hash).unwrap());
        assert!(!key.has_signed(b"yes", &forged.sign(b"yes")));
    }

    #[test]
    fn a_key_is_read_as_it_is_printed_and_always_the_same() {
        let key = ApprovalKey::of(&Secret::new("nmcp_0123"));
        assert_eq!(key.to_string().parse::<ApprovalKey>().unwrap(), key);
        // Tokens are used for years: another key for them would revoke them all.
        assert_eq!(key.to_string(), "01491fe52f4473520c17344a2cfc98c2152f039e0b0ba2cac42cbb2d908ff60f");
        let refused = "nmcp_0123".parse::<ApprovalKey>().unwrap_err();
        assert!(refused.starts_with("is a token") && !refused.contains("0123"), "{refused}");
        assert!("0f".parse::<ApprovalKey>().unwrap_err().contains("64 hexadecimal digits"));
    }
}
