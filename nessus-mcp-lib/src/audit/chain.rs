//! A line as text: chained to the one before it by a hash, and signed where there is a key.
//!
//! ```text
//! {"seq":7,...,"key":"1f...","previous":"<hash of line 6>","hash":"<SHA-256>","mac":"<HMAC-SHA-256>"}
//! ```
//! The hash is that of the bytes before `,"hash":`. The MAC is that of the hash, with a key derived for nothing else; without a
//! key there is none. So everybody can check that lines fit together, and who has the key that nobody has made them anew.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::line::Line;
use crate::{config::SecretKey, hex};

/// What stands in the place of a key's id where there is none.
pub(super) const NO_KEY: &str = "none";

/// The hash of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hash(pub(super) [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl Hash {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 digits in lower case.
    pub(super) fn parse(digits: &str) -> Option<Self> {
        hex::decode(digits).map(Self).filter(|hash| hash.to_string() == digits)
    }
}

/// What signs lines, derived from `NESSUS_MCP_SECRET_KEY`.
#[derive(Clone)]
pub struct ChainKey {
    id: String,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChainKey").field(&self.id).finish()
    }
}

impl ChainKey {
    /// The key that is derived from the secret key.
    pub fn new(key: &SecretKey) -> Self {
        let id = hex::encode(&mac(key.bytes(), b"audit: which key")[..8]);
        Self { id, key: Zeroizing::new(mac(key.bytes(), b"audit: lines")) }
    }

    /// Its id, which stands in each line: 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn sign(&self, text: &[u8]) -> Hash {
        Hash(mac(&self.key, text))
    }
}

/// HMAC-SHA-256.
fn mac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    // RFC 2104 fills a key up with zeros.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&(*block).into());
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// The text of a line, with the line feed at its end, and its hash.
pub(super) fn seal(line: &Line, key: Option<&ChainKey>) -> serde_json::Result<(String, Hash)> {
    let mut text = serde_json::to_string(line)?;
    text.pop();
    let hash = Hash::of(text.as_bytes());
    text.push_str(&ending(hash, key.map(|key| key.sign(&hash.0))));
    text.push('\n');
    Ok((text, hash))
}

/// What follows the bytes that are hashed.
fn ending(hash: Hash, mac: Option<Hash>) -> String {
    let mac = mac.map(|mac| format!(",\"mac\":\"{mac}\"")).unwrap_or_default();
    format!("{HASH}{hash}\"{mac}}}")
}

const HASH: &str = ",\"hash\":\"";

/// A line that was read. Its hash is that of its content.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    pub(super) line: Line,
    pub(super) hash: Hash,
    mac: Option<Hash>,
}

/// What a signature proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Who wrote it had the key.
    Signed,
    /// It says that it was written without a key.
    Unsigned,
    /// Its key is not at hand.
    UnknownKey,
    /// It is not that of the key that it names.
    Forged,
}

/// Reads a line without its line feed. `None` when it is none, or its content is not what was hashed.
pub(super) fn open(text: &[u8]) -> Option<Sealed> {
    let text = std::str::from_utf8(text).ok()?;
    let (content, rest) = text.split_at_checked(text.rfind(HASH)?)?;
    let line: Line = serde_json::from_str(&format!("{content}}}")).ok()?;
    let hash = Hash::of(content.as_bytes());
    let mac = if line.key == NO_KEY {
        None
    } else {
        let (_, digits) = rest.strip_suffix("\"}")?.split_once(",\"mac\":\"")?;
        Some(Hash::parse(digits)?)
    };
    (rest == ending(hash, mac)).then_some(Sealed { line, hash, mac })
}

impl Sealed {
    /// What its signature proves to somebody with these keys.
    pub(super) fn proof(&self, keys: &[ChainKey]) -> Proof {
        prove(keys, &self.line.key, &self.hash.0, self.mac)
    }
}

/// What a signature of a text proves to somebody with these keys.
pub(super) fn prove(keys: &[ChainKey], id: &str, text: &[u8], mac: Option<Hash>) -> Proof {
    match (keys.iter().find(|key| key.id == id), mac) {
        (None, None) if id == NO_KEY => Proof::Unsigned,
        (Some(key), Some(mac)) if key.sign(text) == mac => Proof::Signed,
        (None, Some(_)) if id != NO_KEY => Proof::UnknownKey,
        _ => Proof::Forged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac`, so that a key means the same in every version.
    #[test]
    fn keys_are_derived_as_documented() {
        let key = ChainKey::new(&SecretKey::new(&"a".repeat(64)).unwrap());
        assert_eq!(key.id(), "76c4eaba9526152a");
        assert_eq!(key.sign(b"x").to_string(), "a2c06b946e60913eafe799ed0ad8b454df0c5a646da8a5c198458dd66466cbc1");
    }
}
