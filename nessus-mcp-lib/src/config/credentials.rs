//! `credentials.yaml`: the logins that scans may use, by name, so that no password has to pass through an agent.
//!
//! ```yaml
//! linux-scan:                              # the id, which tasks and agents name
//!   kind: ssh                              # ssh (default) or windows
//!   username: scan
//!   password: ${LINUX_SCAN_PASSWORD}       # or password_file, private_key_file, private_key
//!   elevate_privileges_with: sudo          # makes it one for privileged scans
//!   escalation_password: ${LINUX_SCAN_PASSWORD}
//!   targets: 10.0.0.0/8, *.corp.example    # what it may be used on, as a whole
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `kind` | `ssh` (default) or `windows` |
//! | `username` | the user that logs in |
//! | `password`, `password_file` | its password, or a file whose first line it is |
//! | `private_key`, `private_key_file` | SSH: its private key instead, or a file that holds it |
//! | `private_key_passphrase`, `private_key_passphrase_file` | what opens the key, if it is locked |
//! | `domain` | Windows: the domain; a local account has none |
//! | `elevate_privileges_with` | SSH: the way to more rights, see [`EscalationMethod`](crate::scanner::EscalationMethod) |
//! | `escalation_account`, `escalation_password`, `escalation_password_file`, `su_user`, `bin_directory` | what that way needs |
//! | `targets` | the targets it may be used on, in the notation of [`TargetSet::policy`]: `0.0.0.0/0, ::/0, *` are all |
//!
//! Paths are relative to the directory of this file.

use std::path::{Path, PathBuf};

use super::{
    ConfigError,
    reader::{Reader, not_empty, password_in, read, read_beside},
    yaml::{self, Ordered, Scalar},
};
use crate::{
    error::excerpt,
    login::{LoginFields, ScanCredential},
    secret::Secret,
    targets::TargetSet,
};

/// A login under a name, and what it may be used on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredCredential {
    /// The name by which tasks and agents know it: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// The login.
    pub credential: ScanCredential,
    /// What it may be used on.
    pub targets: TargetSet,
}

impl StoredCredential {
    /// A login under this name for these targets.
    pub fn new(id: impl Into<String>, credential: ScanCredential, targets: TargetSet) -> Self {
        Self { id: id.into(), credential, targets }
    }
}

/// All stored logins, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialsConfig {
    /// The logins.
    pub credentials: Vec<StoredCredential>,
    /// The file they were read from, if they were.
    pub file: Option<PathBuf>,
}

impl CredentialsConfig {
    /// These logins.
    pub fn new(credentials: Vec<StoredCredential>) -> Self {
        Self { credentials, file: None }
    }

    /// Reads and checks the file, with variables from the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let config = Self::parse(&text, path, &|name| std::env::var(name).ok())?;
        Ok(Self { file: Some(path.to_owned()), ..config })
    }

    /// Checks the text of a file; `lookup` answers for the environment.
    pub fn parse(text: &str, path: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        if yaml::is_blank(text) {
            return Ok(Self::default());
        }
        let Ordered(entries) = yaml::parse::<Ordered<Ordered<Scalar>>>(text, path)?;
        let mut credentials = Vec::new();
        for (Scalar { text: id, line, .. }, Ordered(keys)) in entries {
            if !is_id(&id) {
                let message = "the id of a credential has 1 to 64 letters, digits, `-`, `_` and `.`".to_owned();
                return Err(ConfigError::Syntax { path: path.to_owned(), line, message });
            }
            let reader = Reader { path, prefix: id.clone(), lookup };
            credentials.push(reader.credential(Entry { id, line, keys })?);
        }
        Ok(Self::new(credentials))
    }

    /// The login of this name.
    pub fn get(&self, id: &str) -> Option<&StoredCredential> {
        self.credentials.iter().find(|stored| stored.id == id)
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The keys of an entry that are not read yet, each a text, because any of them may be a `${VAR}`.
struct Entry {
    id: String,
    line: u64,
    keys: Vec<(Scalar, Scalar)>,
}

impl Entry {
    fn take(&mut self, key: &str) -> Option<Scalar> {
        let at = self.keys.iter().position(|(name, _)| name.text == key)?;
        Some(self.keys.swap_remove(at).1)
    }
}

/// Turns one entry into a [`StoredCredential`].
impl Reader<'_> {
    fn credential(&self, mut entry: Entry) -> Result<StoredCredential, ConfigError> {
        let lines: Vec<_> = entry.keys.iter().map(|(key, _)| (key.text.clone(), key.line)).collect();
        let fields = LoginFields {
            kind: self.text(&mut entry, "kind")?,
            username: self.text(&mut entry, "username")?,
            password: self.hidden(&mut entry, "password", "password_file", password_in)?,
            private_key: self.hidden(&mut entry, "private_key", "private_key_file", whole_file)?,
            private_key_passphrase: self.hidden(
                &mut entry,
                "private_key_passphrase",
                "private_key_passphrase_file",
                password_in,
            )?,
            domain: self.text(&mut entry, "domain")?,
            elevate_privileges_with: self.text(&mut entry, "elevate_privileges_with")?,
            escalation_account: self.text(&mut entry, "escalation_account")?,
            escalation_password: self.hidden(
                &mut entry,
                "escalation_password",
                "escalation_password_file",
                password_in,
            )?,
            su_user: self.text(&mut entry, "su_user")?,
            bin_directory: self.text(&mut entry, "bin_directory")?,
        };
        let targets = self.value("targets", entry.take("targets"), |text| {
            TargetSet::policy(text).map_err(|error| format!("cannot be used: {error}"))
        })?;
        if let Some((key, _)) = entry.keys.first() {
            return Err(self.error(&excerpt(&key.text).to_string(), key.line, "is not a key of a credential"));
        }
        let credential = fields.into_credential().map_err(|error| {
            let given = lines.iter().find(|(key, _)| key.strip_suffix("_file").unwrap_or(key) == error.field);
            self.error(error.field, given.map_or(entry.line, |(_, line)| *line), &error.message)
        })?;
        let targets = targets.ok_or_else(|| {
            let message = "is missing: name what it may be used on; `0.0.0.0/0, ::/0, *` are all targets";
            self.error("targets", entry.line, message)
        })?;
        Ok(StoredCredential::new(entry.id, credential, targets))
    }

    fn text(&self, entry: &mut Entry, key: &str) -> Result<Option<String>, ConfigError> {
        self.value(key, entry.take(key), not_empty)
    }

    fn hidden(
        &self,
        entry: &mut Entry,
        key: &str,
        file_key: &str,
        in_file: fn(&Path, &str) -> Result<Secret, String>,
    ) -> Result<Option<Secret>, ConfigError> {
        let (raw, file) = (entry.take(key), entry.take(file_key));
        self.secret((key, raw), (file_key, file), in_file)
    }
}

/// A secret that is a whole file.
fn whole_file(config: &Path, path: &str) -> Result<Secret, String> {
    read_beside(config, path).map(Secret::new)
}

#[cfg(test)]
mod tests;
