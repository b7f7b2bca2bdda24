//! Where the key comes from that seals logins.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use chacha20poly1305::{Key, aead::Generate as _};

use super::error::CredentialError;
use crate::{config::SecretKey, durable::DurableFile, hex};

/// The file with the key of an embedded queue, in the data directory.
const KEY_FILE: &str = "secret.key";

/// Where the key comes from.
#[derive(Debug, Clone, Default)]
pub(super) enum KeySource {
    /// From nowhere: processes on other machines could not open what this one seals.
    #[default]
    None,
    /// From the configuration.
    Given(SecretKey),
    /// From a file in the data directory, which is made when it is needed.
    File(PathBuf),
}

impl KeySource {
    pub(super) fn in_directory(data_dir: &Path) -> Self {
        Self::File(data_dir.join(KEY_FILE))
    }

    /// The key to seal with.
    pub(super) fn to_seal(&self) -> Result<SecretKey, CredentialError> {
        match self {
            Self::File(path) if !path.exists() => {
                make(path).map_err(|error| CredentialError::KeyFile(error.to_string()))?;
                self.to_open()
            }
            _ => self.to_open(),
        }
    }

    /// The key to open with.
    pub(super) fn to_open(&self) -> Result<SecretKey, CredentialError> {
        match self {
            Self::None => Err(CredentialError::NoKey),
            Self::Given(key) => Ok(key.clone()),
            Self::File(path) => SecretKey::from_file(path).map_err(|error| CredentialError::KeyFile(error.to_string())),
        }
    }
}

/// Writes a new key, unless another process has done so. Only its owner can read it.
fn make(path: &Path) -> io::Result<()> {
    let key = hex::encode(&Key::generate());
    let mut file = DurableFile::create(path)?;
    file.write_all(format!("{key}\n").as_bytes())?;
    match file.commit_new() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let source = KeySource::in_directory(directory.path());
        assert!(matches!(source.to_open(), Err(CredentialError::KeyFile(_))), "only who seals makes one");
        let key = source.to_seal().unwrap();
        assert_eq!((source.to_seal().unwrap(), source.to_open().unwrap()), (key.clone(), key));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = directory.path().join(KEY_FILE).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(matches!(KeySource::None.to_seal(), Err(CredentialError::NoKey)));
    }
}
