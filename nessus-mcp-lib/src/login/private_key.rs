//! Whether a text is a private key that SSH can use, and whether it is locked.
//!
//! Nessus says nothing of a key that it cannot read: the logins fail, hours later, as if the key were refused.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::secret::Secret;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
/// What an OpenSSH key begins with (`PROTOCOL.key` of OpenSSH).
const OPENSSH_MAGIC: &[u8] = b"openssh-key-v1\0";
const NO_KEY: &str = "is not a private key: it must begin with `-----BEGIN ... PRIVATE KEY-----`";
const CUT: &str = "is not whole: a part of the key is missing";

/// Whether a passphrase is needed to use a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// It is.
    Locked,
    /// It is not.
    Open,
}

/// Reads a key as far as that is possible without its passphrase: in the form of OpenSSH, PKCS#8 or an older one of OpenSSL.
///
/// # Errors
/// The rest of a sentence about the field.
pub(super) fn lock_of(key: &Secret) -> Result<Lock, &'static str> {
    let text = key.expose().trim();
    if ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| text.starts_with(kind)) {
        return Err("is a public key: give the private one");
    }
    if text.starts_with("PuTTY-User-Key-File-") {
        return Err("is in the form of PuTTY: convert it with `puttygen KEY -O private-openssh`");
    }
    let (label, rest) = text.strip_prefix(BEGIN).and_then(|text| text.split_once(DASHES)).ok_or(NO_KEY)?;
    if !label.ends_with("PRIVATE KEY") {
        return Err(NO_KEY);
    }
    let (body, _) = rest.split_once(&format!("-----END {label}{DASHES}")).ok_or(CUT)?;
    // Headers, such as `Proc-Type: 4,ENCRYPTED`, have a colon, which base64 has not.
    let (headers, base64): (Vec<_>, Vec<_>) = body.lines().partition(|line| line.contains(':'));
    let base64: Zeroizing<String> = Zeroizing::new(base64.concat().split_whitespace().collect());
    let bytes = STANDARD.decode(base64.as_bytes()).map_err(|_| "holds something that is not base64")?;
    let bytes = Zeroizing::new(bytes);
    if label == "OPENSSH PRIVATE KEY" {
        let key = bytes.strip_prefix(OPENSSH_MAGIC).ok_or("is not a private key in the form of OpenSSH")?;
        return openssh(key).ok_or(CUT);
    }
    if !is_der(&bytes) && headers.is_empty() {
        return Err(CUT);
    }
    let is_locked = label == "ENCRYPTED PRIVATE KEY" || headers.iter().any(|header| header.contains("ENCRYPTED"));
    Ok(if is_locked { Lock::Locked } else { Lock::Open })
}

/// What stands behind the first bytes of a key of OpenSSH; `None` for one that is cut short.
fn openssh(mut rest: &[u8]) -> Option<Lock> {
    let cipher = field(&mut rest)?;
    let (_derivation, _options) = (field(&mut rest)?, field(&mut rest)?);
    let keys = number(&mut rest)?;
    let (_public, private) = (field(&mut rest)?, field(&mut rest)?);
    let is_whole = keys == 1 && !private.is_empty();
    is_whole.then_some(if cipher == b"none" { Lock::Open } else { Lock::Locked })
}

/// A number of four bytes.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

/// Bytes with their number before them.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    let (field, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(field)
}

/// Whether it is one sequence of ASN.1 in DER, and whole.
fn is_der(bytes: &[u8]) -> bool {
    let Some((&[0x30, length], rest)) = bytes.split_first_chunk::<2>() else { return false };
    if length < 0x80 {
        return rest.len() == usize::from(length);
    }
    let digits = usize::from(length & 0x7f);
    let Some((digits, rest)) = rest.split_at_checked(digits).filter(|_| (1..=4).contains(&digits)) else {
        return false;
    };
    rest.len() == digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OPEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ed25519"));

    #[rstest]
    #[case(OPEN, Lock::Open)]
    #[case(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ed25519_locked")), Lock::Locked)]
    #[case(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ec.pem")), Lock::Open)]
    #[case(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ec_locked.pem")), Lock::Locked)]
    #[case(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/pkcs8.pem")), Lock::Open)]
    #[case(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/pkcs8_locked.pem")), Lock::Locked)]
    fn keys_in_each_form_are_read(#[case] key: &str, #[case] lock: Lock) {
        assert_eq!(lock_of(&Secret::new(key)), Ok(lock));
        assert_eq!(lock_of(&Secret::new(format!("\r\n{}", key.replace('\n', "\r\n")))), Ok(lock), "from Windows");
        let lines: Vec<_> = key.lines().collect();
        // Without its last line, the line before it, and one in its middle.
        for cut in [lines.len() - 1, lines.len() - 2, lines.len() / 2] {
            let cut: Vec<_> = lines.iter().enumerate().filter(|(at, _)| *at != cut).map(|(_, line)| *line).collect();
            let outcome = lock_of(&Secret::new(cut.join("\n")));
            assert!(outcome.is_err() || lines.iter().any(|line| line.contains(':')), "{outcome:?}");
        }
    }

    #[rstest]
    #[case("", "is not a private key")]
    #[case("hunter2", "is not a private key")]
    #[case(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ed25519.pub")), "is a public key")]
    #[case("PuTTY-User-Key-File-3: ssh-ed25519\n", "puttygen")]
    #[case("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is not a private key")]
    #[case("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "form of OpenSSH")]
    #[case("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----", "not base64")]
    #[case("-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----", "is not whole")]
    fn what_is_no_key_is_said_to_be_none(#[case] text: &str, #[case] expected: &str) {
        let message = lock_of(&Secret::new(text)).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
}
