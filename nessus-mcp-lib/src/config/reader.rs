//! The values of one entry of a configuration file, and the files that they name.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ConfigError, expand::expand, yaml::Scalar};
use crate::secret::Secret;

/// Expands and parses the values of an entry, and names file, line and key of what is wrong.
pub(crate) struct Reader<'a> {
    pub(crate) path: &'a Path,
    /// What stands before a key in an error, such as `nessus[0]`; nothing before the keys of a file.
    pub(crate) prefix: String,
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// Expands and parses one value; `parse` answers with a fragment that follows the key.
    pub(crate) fn value<T>(
        &self,
        key: &str,
        raw: Option<Scalar>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(Scalar { text, line, .. }) = raw else {
            return Ok(None);
        };
        let text = expand(&text, self.lookup).map_err(|message| self.error(key, line, &message))?;
        parse(text.trim()).map(Some).map_err(|message| self.error(key, line, &message))
    }

    /// As [`value`](Self::value), of a key that must be there.
    pub(crate) fn required<T>(
        &self,
        key: &str,
        raw: Scalar,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let line = raw.line;
        self.value(key, Some(raw), parse)?.ok_or_else(|| self.error(key, line, "is missing"))
    }

    /// As [`value`](Self::value), of each entry of a list.
    pub(crate) fn each<T>(
        &self,
        key: &str,
        raw: Vec<Scalar>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let read = |(at, raw)| self.value(&format!("{key}[{at}]"), Some(raw), &parse).transpose();
        raw.into_iter().enumerate().filter_map(read).collect()
    }

    /// A secret that stands under `key`, or in the file that `file_key` names: in its first line, or all of it.
    pub(super) fn secret(
        &self,
        (key, raw): (&str, Option<Scalar>),
        (file_key, file): (&str, Option<Scalar>),
        in_file: fn(&Path, &str) -> Result<Secret, String>,
    ) -> Result<Option<Secret>, ConfigError> {
        if let (Some(_), Some(file)) = (&raw, &file) {
            return Err(self.error(file_key, file.line, &format!("stands beside `{key}`: give only one of them")));
        }
        match self.value(file_key, file, |path| in_file(self.path, path))? {
            Some(secret) => Ok(Some(secret)),
            None => self.value(key, raw, |text| Ok(Secret::new(text))),
        }
    }

    pub(crate) fn error(&self, key: &str, line: u64, message: &str) -> ConfigError {
        let key = if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) };
        ConfigError::Key { path: self.path.to_owned(), line, key, message: message.to_owned() }
    }
}

/// The text of a configuration file.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source: Arc::new(source) })
}

/// The content of a file beside a configuration file; a relative path begins in the directory of that file.
///
/// # Errors
/// A sentence fragment with the path and why it cannot be read.
pub(super) fn read_beside(config: &Path, path: &str) -> Result<String, String> {
    let path: PathBuf = config.parent().unwrap_or(Path::new("")).join(path);
    fs::read_to_string(&path)
        .map_err(|error| format!("names the file `{}`, which cannot be read: {error}", path.display()))
}

/// The password in a file: its first line.
pub(crate) fn password_in(config: &Path, path: &str) -> Result<Secret, String> {
    let text = read_beside(config, path)?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(password) => Ok(Secret::new(password)),
        None => Err("names a file without a password in its first line".to_owned()),
    }
}

/// A text that must be there.
pub(crate) fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}
