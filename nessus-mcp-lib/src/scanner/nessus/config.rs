//! What the Nessus client needs to know about one scanner.

use std::time::Duration;

use crate::{
    config::{ApiKeys, InstanceConfig},
    scanner::error::ScannerError,
    secret::{Secret, redact_url},
};

/// Which scanner certificates are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsTrust {
    /// Those signed by the machine's certificate authorities, with the right host name.
    #[default]
    Verified,
    /// Those signed by the authorities in this text (PEM), with the right host name.
    Authorities(String),
    /// The one whose DER form has this SHA-256, whatever its name and dates.
    Pinned([u8; 32]),
    /// Any. Nessus comes with a self-signed certificate. Whoever controls the network can then read the password.
    AnyCertificate,
}

/// One Nessus scanner: where it is, who logs in, and how long things may take.
///
/// ```
/// use std::time::Duration;
/// use nessus_mcp_lib::{scanner::{NessusConfig, NessusScanner, TlsTrust}, secret::Secret};
///
/// let config = NessusConfig::new("https://nessus.example:8834", "scan", Secret::new("hunter2"))
///     .tls_trust(TlsTrust::AnyCertificate)
///     .request_timeout(Duration::from_secs(10));
/// assert!(!format!("{config:?}").contains("hunter2"));
/// let scanner = NessusScanner::new(config)?;
/// # Ok::<(), nessus_mcp_lib::scanner::ScannerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NessusConfig {
    pub(super) url: String,
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) api_keys: Option<ApiKeys>,
    pub(super) tls_trust: TlsTrust,
    pub(super) proxy: Option<Secret>,
    pub(super) allowed_templates: Option<Vec<String>>,
    pub(super) allowed_policies: Option<Vec<String>>,
    pub(super) folder: Option<String>,
    pub(super) scanner_id: Option<u64>,
    pub(super) request_timeout: Duration,
    pub(super) retry_pause: Duration,
    pub(super) ready: ReadyLimits,
    pub(super) export: ExportLimits,
}

/// Who this program is for the scanner: at least one of the two.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// User name and password: for everything.
    pub(super) login: Option<(String, Secret)>,
    /// The value of `X-ApiKeys`: reads and exports go with them when they are there, without a session.
    pub(super) api_keys: Option<Secret>,
}

/// How long a scanner that is loading is waited for.
#[derive(Debug, Clone)]
pub(super) struct ReadyLimits {
    pub(super) poll_interval: Duration,
    pub(super) max_wait: Duration,
}

/// How long an export may take and how large it may be.
#[derive(Debug, Clone)]
pub(super) struct ExportLimits {
    pub(super) poll_interval: Duration,
    pub(super) max_wait: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_bytes: Option<u64>,
}

impl NessusConfig {
    /// A scanner at `url` (`https://host:8834`, with a path when a proxy adds one) and its account; the rest as default.
    pub fn new(url: impl Into<String>, username: impl Into<String>, password: Secret) -> Self {
        Self {
            url: url.into(),
            username: username.into(),
            password,
            api_keys: None,
            tls_trust: TlsTrust::default(),
            proxy: None,
            allowed_templates: None,
            allowed_policies: None,
            folder: None,
            scanner_id: None,
            request_timeout: Duration::from_secs(20),
            retry_pause: Duration::from_millis(250),
            ready: ReadyLimits { poll_interval: Duration::from_secs(5), max_wait: Duration::from_secs(30 * 60) },
            export: ExportLimits {
                poll_interval: Duration::from_secs(2),
                max_wait: Duration::from_secs(15 * 60),
                idle_timeout: Duration::from_secs(30),
                max_bytes: None,
            },
        }
    }

    /// The scanner of an entry of `scanners.yaml`.
    pub fn from_instance(instance: &InstanceConfig) -> Self {
        let options = &instance.nessus;
        let trust = match (&options.tls_pin_sha256, &options.ca_certificates) {
            (Some(sha256), _) => TlsTrust::Pinned(*sha256),
            (None, Some(authorities)) => TlsTrust::Authorities(authorities.clone()),
            (None, None) if instance.verify_tls => TlsTrust::Verified,
            (None, None) => TlsTrust::AnyCertificate,
        };
        Self {
            api_keys: options.api_keys.clone(),
            tls_trust: trust,
            proxy: options.proxy.clone(),
            allowed_templates: options.allowed_templates.clone(),
            allowed_policies: options.allowed_policies.clone(),
            folder: options.folder.clone(),
            scanner_id: options.scanner_id,
            ..Self::new(&instance.url, &instance.username, instance.password.clone())
        }
    }

    /// API keys, with which the scanner is read instead of with a session.
    ///
    /// With an empty user name and password everything is tried with them; most editions then refuse to create, launch
    /// and stop scans.
    pub fn api_keys(mut self, keys: ApiKeys) -> Self {
        self.api_keys = Some(keys);
        self
    }

    /// The proxy on the way, `http://[USER:PASSWORD@]HOST[:PORT]`; none unless said otherwise, whatever the environment
    /// says.
    pub fn proxy(mut self, url: Secret) -> Self {
        self.proxy = Some(url);
        self
    }

    /// The templates that scans may use; all unless said otherwise.
    pub fn allowed_templates(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.allowed_templates = Some(names.into_iter().collect());
        self
    }

    /// The policies that scans may use, by name or id. Unless said otherwise, all of them; none where templates are chosen.
    pub fn allowed_policies(mut self, policies: impl IntoIterator<Item = String>) -> Self {
        self.allowed_policies = Some(policies.into_iter().collect());
        self
    }

    /// The scanner of a Nessus Manager that scans run on, by its id there; the Manager's own unless said otherwise.
    pub fn scanner_id(mut self, id: u64) -> Self {
        self.scanner_id = Some(id);
        self
    }

    /// The folder for scans, by its type, such as `main`, or its name; the account's own unless said otherwise.
    pub fn folder(mut self, folder: impl Into<String>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Which certificates are trusted; [`TlsTrust::Verified`] unless said otherwise.
    pub fn tls_trust(mut self, trust: TlsTrust) -> Self {
        self.tls_trust = trust;
        self
    }

    /// How long one request may take as a whole, downloads excepted; 20 seconds unless said otherwise.
    ///
    /// Keep it well under the lease of a task.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The pause before a failed read is repeated, four times as long before the next; 250 ms unless said otherwise.
    pub fn retry_pause(mut self, pause: Duration) -> Self {
        self.retry_pause = pause;
        self
    }

    /// How often a scanner that is loading is asked whether it is ready; 5 seconds unless said otherwise.
    pub fn ready_poll_interval(mut self, interval: Duration) -> Self {
        self.ready.poll_interval = interval;
        self
    }

    /// How long a scanner that is loading is waited for; 30 minutes unless said otherwise.
    ///
    /// Only what a scan cannot begin or end without waits: the look for it, the templates, the export.
    pub fn ready_max_wait(mut self, wait: Duration) -> Self {
        self.ready.max_wait = wait;
        self
    }

    /// How often the scanner is asked whether an export is ready; 2 seconds unless said otherwise.
    pub fn export_poll_interval(mut self, interval: Duration) -> Self {
        self.export.poll_interval = interval;
        self
    }

    /// How long the scanner may take to prepare an export; 15 minutes unless said otherwise.
    pub fn export_max_wait(mut self, wait: Duration) -> Self {
        self.export.max_wait = wait;
        self
    }

    /// The longest silence during a download; 30 seconds unless said otherwise.
    pub fn export_idle_timeout(mut self, timeout: Duration) -> Self {
        self.export.idle_timeout = timeout;
        self
    }

    /// The most bytes an export may have; unlimited unless said otherwise.
    pub fn export_max_bytes(mut self, bytes: u64) -> Self {
        self.export.max_bytes = Some(bytes);
        self
    }

    /// Who logs in.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when there is neither a login nor a pair of keys.
    pub(super) fn account(&self) -> Account {
        let login = (!self.username.is_empty()).then(|| (self.username.clone(), self.password.clone()));
        let api_keys = self.api_keys.as_ref().map(|keys| {
            Secret::new(format!("accessKey={}; secretKey={}", keys.access_key.expose(), keys.secret_key.expose()))
        });
        Account { login, api_keys }
    }

    /// What must never be shown.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let keys = self.api_keys.iter().flat_map(|keys| [keys.access_key.clone(), keys.secret_key.clone()]);
        let proxy = self.proxy.as_ref().and_then(password_of).into_iter();
        std::iter::once(self.password.clone()).chain(keys).chain(proxy).collect()
    }

    /// The URL without a slash at its end, checked.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when it is no http or https URL, or carries a login, a query or a fragment.
    pub(super) fn base_url(&self) -> Result<reqwest::Url, ScannerError> {
        let wrong = |why: &str| {
            let shown = crate::error::excerpt(&redact_url(&self.url)).to_string();
            ScannerError::Configuration(format!("the scanner URL `{shown}` {why}"))
        };
        let mut url =
            reqwest::Url::parse(self.url.trim()).map_err(|error| wrong(&format!("cannot be used: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("must have the form https://host:8834"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not contain a login: give `username` and `password` of their own"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must not contain a query or fragment"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(url)
    }
}

/// The password in a URL.
fn password_of(url: &Secret) -> Option<Secret> {
    let url = reqwest::Url::parse(url.expose()).ok()?;
    url.password().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn config(url: &str) -> NessusConfig {
        NessusConfig::new(url, "admin", Secret::new("planted-password"))
    }

    #[rstest]
    #[case("https://nessus.example:8834", "https://nessus.example:8834/")]
    #[case("http://127.0.0.1:18834/", "http://127.0.0.1:18834/")]
    #[case(" https://proxy.example/scanners/nessus-eu// ", "https://proxy.example/scanners/nessus-eu")]
    #[case("https://[2001:db8::1]:8834", "https://[2001:db8::1]:8834/")]
    fn a_good_url_is_taken(#[case] url: &str, #[case] base: &str) {
        assert_eq!(config(url).base_url().unwrap().as_str(), base);
    }

    #[rstest]
    #[case("")]
    #[case("nessus.example:8834")]
    #[case("ftp://nessus.example")]
    #[case("https://")]
    #[case("https://admin:planted-password@nessus.example:8834")]
    #[case("https://nessus.example:8834/?key=planted-password")]
    #[case("https://nessus.example:8834/#/scans")]
    fn a_bad_url_is_a_configuration_error_that_shows_no_secret(#[case] url: &str) {
        let error = config(url).base_url().unwrap_err();
        assert!(matches!(error, ScannerError::Configuration(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("planted-password"), "{error}");
    }
}
