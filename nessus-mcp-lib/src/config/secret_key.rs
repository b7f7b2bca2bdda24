//! The key that seals the logins of waiting tasks: `NESSUS_MCP_SECRET_KEY`, or the file that `NESSUS_MCP_SECRET_KEY_FILE` names.

use std::{fmt, fs, path::Path};

use zeroize::Zeroizing;

use super::ConfigError;
use crate::{hex, secret::REDACTED};

/// The variable with the path of a file whose first line is the key.
pub(super) const SECRET_KEY_FILE: &str = "NESSUS_MCP_SECRET_KEY_FILE";

/// A key of 32 bytes, which all servers and workers of a deployment share.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl SecretKey {
    /// Takes 64 hexadecimal digits, such as `openssl rand -hex 32` writes.
    ///
    /// # Errors
    /// A sentence fragment, without the text.
    pub fn new(digits: &str) -> Result<Self, String> {
        let refused = || "must be 64 hexadecimal digits; `openssl rand -hex 32` makes a key".to_owned();
        hex::decode(digits).map(|bytes| Self(Zeroizing::new(bytes))).ok_or_else(refused)
    }

    /// Reads it from the first line of a file.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable when there is no key.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::Setting { name: SECRET_KEY_FILE.to_owned(), message };
        let text = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| refused(format!("names the file `{}`, which cannot be read: {error}", path.display())))?;
        let digits = text.lines().next().unwrap_or_default().trim();
        Self::new(digits)
            .map_err(|message| refused(format!("names the file `{}`, whose first line {message}", path.display())))
    }

    /// The bytes of the key.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_digits_and_never_shown() {
        let digits = "0f".repeat(32);
        let key = SecretKey::new(&digits).unwrap();
        assert_eq!((key.bytes(), format!("{key:?}").as_str()), (&[0x0f; 32], REDACTED));
        for wrong in ["", "0f", &"0g".repeat(32), &"0f".repeat(33)] {
            let message = SecretKey::new(wrong).unwrap_err();
            assert!(message.contains("64 hexadecimal digits") && !message.contains("0g"), "{message}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(
            SecretKey::from_file(&path)
                .unwrap_err()
                .to_string()
                .starts_with("`NESSUS_MCP_SECRET_KEY_FILE` names the file")
        );
        crate::durable::replace(&path, format!("{digits}\r\nmore").as_bytes()).unwrap();
        assert_eq!(SecretKey::from_file(&path).unwrap(), key);
    }
}
