//! Where the tasks and their results are kept: in the data directory, or in a bucket of an object store.

use std::{fmt, str::FromStr};

use super::ConfigError;
use crate::secret::Secret;

/// The variable that says so.
pub(super) const DATA_URL: &str = "DATA_URL";

/// Where the tasks, their results and what else the processes of a deployment share are kept.
///
/// ```
/// use nessus_mcp_lib::config::{BucketKind, DataUrl};
/// assert_eq!("file:".parse::<DataUrl>()?, DataUrl::Directory);
/// let DataUrl::Bucket(bucket) = "s3://scans/production".parse()? else { panic!() };
/// assert_eq!((bucket.kind(), bucket.name(), bucket.prefix()), (BucketKind::S3, "scans", "production"));
/// # Ok::<(), nessus_mcp_lib::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataUrl {
    /// `file:`: in the data directory.
    #[default]
    Directory,
    /// `s3://`, `az://` or `gs://`: in a bucket.
    Bucket(BucketUrl),
}

/// A bucket, and the prefix of all names in it. What logs in to the store is not a part of the URL: it comes from the environment, or from
/// who embeds this library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    kind: BucketKind,
    name: String,
    prefix: String,
    options: Vec<(String, Secret)>,
}

/// The kinds of object stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BucketKind {
    /// Amazon S3, and others that speak its protocol.
    S3,
    /// Azure Blob Storage, where a bucket is called a container.
    Azure,
    /// Google Cloud Storage.
    Google,
}

impl BucketKind {
    const ALL: [Self; 3] = [Self::S3, Self::Azure, Self::Google];

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "az",
            Self::Google => "gs",
        }
    }
}

impl BucketUrl {
    /// The kind of the store.
    pub fn kind(&self) -> BucketKind {
        self.kind
    }

    /// The name of the bucket.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same bucket with an option of its store, such as an address or a key, in place of what the environment says. The names are those
    /// of the environment, in lower case: `aws_endpoint`, `azure_storage_account_key`, `google_service_account`.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.options.push((name.into(), value.into()));
        self
    }

    /// The options that were given.
    #[cfg(feature = "objects")]
    pub(crate) fn options(&self) -> &[(String, Secret)] {
        &self.options
    }

    /// What the names of all objects begin with, without a slash at either end; empty for the whole bucket.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.name)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl fmt::Display for DataUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("file:"),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl FromStr for DataUrl {
    type Err = ConfigError;

    /// The value is in no error: somebody may have written a password into it.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        parse(text.trim()).map_err(|message| ConfigError::Setting { name: DATA_URL.to_owned(), message })
    }
}

fn parse(text: &str) -> Result<DataUrl, String> {
    if text.is_empty() || text == "file:" {
        return Ok(DataUrl::Directory);
    }
    if text.starts_with("file:") {
        return Err("names a directory: name it in `DATA_DIR`, and leave `DATA_URL` unset or `file:`".to_owned());
    }
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let kind = BucketKind::ALL.into_iter().find(|kind| kind.scheme() == scheme).ok_or(
        "must be `file:`, `s3://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `gs://BUCKET/PREFIX`, of which the prefix can be \
         left out",
    )?;
    if rest.contains('@') {
        return Err("must have no credentials: the environment gives them, such as `AWS_ACCESS_KEY_ID`, \
                    `AZURE_STORAGE_ACCOUNT_NAME` or `GOOGLE_SERVICE_ACCOUNT`, or the machine's own role does"
            .to_owned());
    }
    if rest.contains(['?', '#']) {
        return Err(
            "must end with the prefix: options of the store come from the environment, such as `AWS_REGION`".to_owned()
        );
    }
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if name.is_empty() {
        return Err(format!("names no bucket: write `{scheme}://BUCKET` or `{scheme}://BUCKET/PREFIX`"));
    }
    if name.contains(':') {
        return Err(
            "names a port: the address of a store comes from the environment, such as `AWS_ENDPOINT`, and the URL has \
                    the bucket alone"
                .to_owned(),
        );
    }
    if !is_plain(name) {
        return Err("has a bucket whose name is not of letters, digits, `-`, `_` and `.`".to_owned());
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_empty = prefix.is_empty() && !rest.ends_with("//");
    if !is_empty && !prefix.split('/').all(is_plain) {
        return Err("has a prefix with an empty part, `.` or `..`, or other characters than letters, digits, `-`, `_`, `.` and \
                    the `/` between its parts"
            .to_owned());
    }
    Ok(DataUrl::Bucket(BucketUrl { kind, name: name.to_owned(), prefix: prefix.to_owned(), options: Vec::new() }))
}

/// Whether every store and every tool writes this name as it is.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !matches!(name, "" | "." | "..") && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_place_and_shown_as_it_was_written() {
        for (text, kind, name, prefix) in [
            ("s3://scans", BucketKind::S3, "scans", ""),
            ("s3://scans/", BucketKind::S3, "scans", ""),
            (" az://scans/a/b-c/ ", BucketKind::Azure, "scans", "a/b-c"),
            ("gs://my.scans_1/x", BucketKind::Google, "my.scans_1", "x"),
        ] {
            let DataUrl::Bucket(bucket) = text.parse().unwrap() else { panic!("{text}") };
            assert_eq!((bucket.kind(), bucket.name(), bucket.prefix()), (kind, name, prefix), "{text}");
            assert_eq!(DataUrl::Bucket(bucket).to_string(), text.trim().trim_end_matches('/'));
        }
        for text in ["", " ", "file:"] {
            assert_eq!(text.parse::<DataUrl>().unwrap(), DataUrl::Directory, "{text:?}");
        }
    }

    #[test]
    fn what_names_no_place_is_refused_with_what_to_do_and_never_shown() {
        for (text, word) in [
            ("file:/var/planted", "`DATA_DIR`"),
            ("file://planted", "`DATA_DIR`"),
            ("/var/planted", "must be `file:`"),
            ("planted", "must be `file:`"),
            ("https://planted.example/x", "must be `file:`"),
            ("S3://planted", "must be `file:`"),
            ("s3:planted", "must be `file:`"),
            ("s3://key:planted@scans", "no credentials"),
            ("s3://scans/x@planted", "no credentials"),
            ("s3://scans?secret=planted", "options"),
            ("s3://scans/x#planted", "options"),
            ("s3://", "names no bucket: write `s3://BUCKET`"),
            ("gs:///planted", "names no bucket"),
            ("s3://planted:9000/scans", "`AWS_ENDPOINT`"),
            ("s3://plan ted", "a bucket whose name"),
            ("s3://..", "a bucket whose name"),
            ("s3://scans//planted", "a prefix with"),
            ("s3://scans//", "a prefix with"),
            ("s3://scans/planted//", "a prefix with"),
            ("az://scans/planted/../x", "a prefix with"),
            ("az://scans/./planted", "a prefix with"),
            ("az://scans/pl%61nted", "a prefix with"),
            ("az://scans/pl\\anted", "a prefix with"),
        ] {
            let refused = text.parse::<DataUrl>().unwrap_err().to_string();
            assert!(refused.starts_with("`DATA_URL` ") && refused.contains(word), "{text}: {refused}");
            assert!(!refused.contains("planted"), "{text}: {refused}");
        }
    }
}
