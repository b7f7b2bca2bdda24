//! The content of `credential.sealed`, and what of a login may stand in the hash of a request.
//!
//! ```text
//! "nmcpS1"  which key: 8 bytes  nonce: 24 bytes  the fields as JSON, encrypted with XChaCha20-Poly1305
//! ```
//! What stands before the nonce and the id of the task are authenticated with it, so a file that is moved to another task does
//! not open. Keys are derived from the one key: one to seal, one for hashes, and the eight bytes that say which key it was.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, KeyInit as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::CredentialError;
use crate::{
    config::SecretKey,
    hex,
    ids::TaskId,
    login::{LoginFields, ScanCredential},
};

const MAGIC: &[u8] = b"nmcpS1";
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;

/// Seals a login for a task.
pub(super) fn seal(key: &SecretKey, task_id: &TaskId, login: &ScanCredential) -> Result<Vec<u8>, CredentialError> {
    let nonce = XNonce::generate();
    let (plain, head) = (plain(login)?, head(key));
    let payload = Payload { msg: &plain, aad: &bound(&head, task_id) };
    let sealed = cipher(key).encrypt(&nonce, payload).map_err(|_| CredentialError::Damaged)?;
    Ok([head.as_slice(), &nonce, &sealed].concat())
}

/// Opens a login that was sealed for a task.
pub(super) fn open(key: &SecretKey, task_id: &TaskId, sealed: &[u8]) -> Result<ScanCredential, CredentialError> {
    let damaged = || CredentialError::Damaged;
    let (head, rest) = sealed.split_at_checked(MAGIC.len() + KEY_ID_BYTES).ok_or_else(damaged)?;
    let (nonce, encrypted) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
    if !head.starts_with(MAGIC) {
        return Err(damaged());
    }
    if head != self::head(key) {
        return Err(CredentialError::WrongKey);
    }
    let payload = Payload { msg: encrypted, aad: &bound(head, task_id) };
    let plain = cipher(key).decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| damaged())?;
    let fields: LoginFields = serde_json::from_slice(&plain).map_err(|_| damaged())?;
    Ok(fields.into_credential()?)
}

/// What tells two logins apart, and nothing about either to whoever lacks the key.
pub(super) fn fingerprint(key: &SecretKey, login: &ScanCredential) -> Result<String, CredentialError> {
    Ok(hex::encode(&*derived(&derived(key.bytes(), b"request hash"), &plain(login)?)))
}

/// The fields as JSON.
fn plain(login: &ScanCredential) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    serde_json::to_vec(&login.fields()).map(Zeroizing::new).map_err(|_| CredentialError::Damaged)
}

/// What a sealed file begins with.
fn head(key: &SecretKey) -> Vec<u8> {
    [MAGIC, &derived(key.bytes(), b"which key")[..KEY_ID_BYTES]].concat()
}

fn bound(head: &[u8], task_id: &TaskId) -> Vec<u8> {
    [head, task_id.as_str().as_bytes()].concat()
}

fn cipher(key: &SecretKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(*derived(key.bytes(), b"credential.sealed")).into())
}

/// HMAC-SHA-256 of a text.
fn derived(key: &[u8; 32], text: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new(&padded(key).into());
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// The key as a block of the hash: RFC 2104 fills it up with zeros.
fn padded(key: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        login::{SshCredential, SshLogin},
        secret::Secret,
    };

    fn key(digit: &str) -> SecretKey {
        SecretKey::new(&digit.repeat(64)).unwrap()
    }

    fn task(name: &str) -> TaskId {
        TaskId::new(format!("ne_ness_20251201_143022_{name}")).unwrap()
    }

    fn login(password: &str) -> ScanCredential {
        ScanCredential::Ssh(SshCredential::new("scan", SshLogin::Password(Secret::new(password))))
    }

    #[test]
    fn a_login_opens_for_its_task_and_key_alone() {
        let (ours, login) = (task("a1b2c3d4"), login("planted"));
        let sealed = seal(&key("a"), &ours, &login).unwrap();
        assert!(
            !sealed.windows(7).any(|piece| piece == b"planted") && !sealed.windows(4).any(|piece| piece == b"scan")
        );
        assert_eq!(open(&key("a"), &ours, &sealed).unwrap(), login);
        assert_ne!(seal(&key("a"), &ours, &login).unwrap(), sealed, "no nonce is used twice");
        assert!(matches!(open(&key("b"), &ours, &sealed), Err(CredentialError::WrongKey)));
        assert!(matches!(open(&key("a"), &task("00000000"), &sealed), Err(CredentialError::Damaged)));
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            let outcome = open(&key("a"), &ours, &altered).unwrap_err();
            assert!(matches!(outcome, CredentialError::Damaged | CredentialError::WrongKey), "{at}: {outcome}");
            assert!(open(&key("a"), &ours, &sealed[..at]).is_err());
        }
    }

    /// Computed with Python's `hmac`, so that a key means the same in every version.
    #[test]
    fn keys_are_derived_as_documented() {
        let derived = derived(key("a").bytes(), b"which key");
        assert_eq!(hex::encode(&derived[..8]), "c3f30b9392ca30cd");
    }

    #[test]
    fn a_fingerprint_tells_logins_apart_and_depends_on_the_key() {
        let of = |digit: &str, password: &str| fingerprint(&key(digit), &login(password)).unwrap();
        assert_eq!(of("a", "planted"), of("a", "planted"));
        assert_ne!(of("a", "planted"), of("a", "planted2"));
        assert_ne!(of("a", "planted"), of("b", "planted"));
    }
}
