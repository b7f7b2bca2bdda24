//! The keys of a scanner's entry that only a Nessus has.

use std::path::Path;

use super::reader::read_beside;
use crate::{hex, secret::Secret};

/// How a Nessus is reached and what it may be used for, beyond its URL and its login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct NessusOptions {
    /// The certificates, in PEM, of the authorities that vouch for the scanner (`ca_file`); `None` for those of the
    /// machine.
    pub(crate) ca_certificates: Option<String>,
    /// The SHA-256 of the scanner's certificate in its DER form: the only one that is accepted (`tls_pin_sha256`).
    pub(crate) tls_pin_sha256: Option<[u8; 32]>,
    /// API keys, with which the scanner is read (`access_key`, `secret_key`).
    pub(crate) api_keys: Option<ApiKeys>,
    /// The proxy on the way to the scanner; it may hold a password.
    pub(crate) proxy: Option<Secret>,
    /// The templates that scans may use; `None` for all.
    pub(crate) allowed_templates: Option<Vec<String>>,
    /// The policies that scans may use, by name or id; `None` for all, or for none where templates are chosen.
    pub(crate) allowed_policies: Option<Vec<String>>,
    /// The scanner of a Nessus Manager that scans run on, by its id; `None` for the Manager's own.
    pub(crate) scanner_id: Option<u64>,
    /// The folder that scans are created in, by its type or its name; `None` for the account's own.
    pub(crate) folder: Option<String>,
}

/// What `PUT /session/keys` gives to a user of Nessus.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKeys {
    /// The access key.
    pub access_key: Secret,
    /// The secret key.
    pub secret_key: Secret,
}

impl ApiKeys {
    /// This pair.
    pub fn new(access_key: Secret, secret_key: Secret) -> Self {
        Self { access_key, secret_key }
    }
}

impl NessusOptions {
    /// The keys of the file in which `other` has other values.
    pub(crate) fn changed_keys(&self, other: &Self) -> Vec<&'static str> {
        // Every field is named here, so that a new one is not forgotten.
        let Self {
            ca_certificates,
            tls_pin_sha256,
            api_keys,
            proxy,
            allowed_templates,
            allowed_policies,
            scanner_id,
            folder,
        } = self;
        let keys = [
            ("ca_file", *ca_certificates != other.ca_certificates),
            ("tls_pin_sha256", *tls_pin_sha256 != other.tls_pin_sha256),
            ("access_key", *api_keys != other.api_keys),
            ("proxy", *proxy != other.proxy),
            ("allowed_templates", *allowed_templates != other.allowed_templates),
            ("allowed_policies", *allowed_policies != other.allowed_policies),
            ("scanner_id", *scanner_id != other.scanner_id),
            ("folder", *folder != other.folder),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// Certificates in PEM.
pub(crate) fn certificates_in(config: &Path, path: &str) -> Result<String, String> {
    let text = read_beside(config, path)?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err("names a file without a certificate in PEM".to_owned())
    }
}

/// 64 hexadecimal digits, with or without colons between the bytes, as `openssl x509 -fingerprint -sha256` writes them.
pub(super) fn parse_pin(text: &str) -> Result<[u8; 32], String> {
    hex::decode(&text.replace(':', ""))
        .ok_or_else(|| "must be the SHA-256 of the scanner's certificate: 64 hexadecimal digits".to_owned())
}

/// `http://[USER:PASSWORD@]HOST[:PORT]` or https.
pub(super) fn parse_proxy(text: &str) -> Result<Secret, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(Secret::new(text)),
        _ => Err("must begin with `http://` or `https://` and name a host".to_owned()),
    }
}

/// A key of the API, which stands in a header.
pub(super) fn parse_api_key(text: &str) -> Result<Secret, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(Secret::new(text))
    } else {
        Err("must be a key of letters and digits".to_owned())
    }
}

/// The id of a scanner of a Nessus Manager.
pub(super) fn parse_scanner_id(text: &str) -> Result<u64, String> {
    let id = text.parse().ok().filter(|id| *id > 0);
    id.ok_or_else(|| "must be the number of a scanner of the Manager, from 1 on".to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&"ab".repeat(32), true)]
    #[case(&["AB"; 32].join(":"), true)]
    #[case(&"ab".repeat(31), false)]
    #[case(&"zz".repeat(32), false)]
    #[case("", false)]
    fn a_pin_is_read_as_openssl_writes_it(#[case] text: &str, #[case] good: bool) {
        assert_eq!(parse_pin(text).ok(), good.then_some([0xab; 32]));
    }

    #[test]
    fn a_change_is_named_and_shows_no_value() {
        let keys = ApiKeys::new(Secret::new("planted"), Secret::new("planted"));
        let one = NessusOptions { api_keys: Some(keys), folder: Some("x".to_owned()), ..NessusOptions::default() };
        assert_eq!(one.changed_keys(&NessusOptions::default()), ["access_key", "folder"]);
        assert!(!format!("{one:?}").contains("planted"));
    }
}
