//! `scanners.yaml`: the pools and their scanners.
//!
//! ```yaml
//! nessus:                              # a pool
//!   - instance_id: scanner1            # unique within its pool
//!     name: Head office
//!     type: nessus                     # nessus (default) or mock
//!     url: https://${NESSUS_HOST:-localhost}:8834
//!     username: ${NESSUS_USERNAME}
//!     password: ${NESSUS_PASSWORD}
//!     enabled: true                    # default
//!     max_concurrent_scans: 2          # default
//!     verify_tls: true                 # default; false accepts any certificate
//! ```
//!
//! Further keys of a Nessus, none of which is needed:
//!
//! | key | meaning |
//! |---|---|
//! | `password_file` | a file whose first line is the password, instead of `password` |
//! | `access_key`, `secret_key` | API keys: the scanner is read with them. Alone, without a login, they cannot create or launch scans on most editions |
//! | `ca_file` | the certificates, in PEM, of the authorities that vouch for this scanner, instead of the machine's |
//! | `tls_pin_sha256` | the SHA-256 of the scanner's certificate (`openssl x509 -fingerprint -sha256`): no other is accepted |
//! | `proxy` | `http://[USER:PASSWORD@]HOST[:PORT]`; without it none is used, whatever the environment says |
//! | `allowed_templates` | a list of the templates that scans may use, such as `[basic, discovery]` |
//! | `allowed_policies` | a list of the scan policies that scans may use, by name or id; default: all, or none where `allowed_templates` is given |
//! | `scanner_id` | on a Nessus Manager, the id of the remote scanner that scans run on |
//! | `folder` | the folder for scans, by its type or name |
//!
//! Paths are relative to the directory of this file.
//!
//! A mock scanner needs only `instance_id` and `type: mock`; `scan_duration` (default `2s`) says how long its scans take.
//! The service lets it keep its scans in the data directory, so that they outlive the process.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    ConfigError,
    nessus::{self, ApiKeys, NessusOptions},
    reader::{Reader, not_empty, password_in, read},
    yaml::{self, Ordered, Scalar},
};
use crate::{
    ids::{InstanceId, PoolName},
    secret::Secret,
    time::{DurationUnit, parse_duration},
};

/// How many scans at once a scanner is given when its entry does not say.
pub(crate) const DEFAULT_MAX_CONCURRENT_SCANS: u32 = 2;

/// The kind of scanner behind an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScannerType {
    /// A Nessus over HTTP.
    Nessus,
    /// A scanner that plays scans inside the process, without a network.
    Mock,
}

impl ScannerType {
    /// The word in `scanners.yaml` and `task.json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nessus => "nessus",
            Self::Mock => "mock",
        }
    }
}

impl fmt::Display for ScannerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ScannerType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "nessus" => Ok(Self::Nessus),
            "mock" => Ok(Self::Mock),
            _ => Err("must be `nessus` or `mock`".to_owned()),
        }
    }
}

/// One scanner of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceConfig {
    /// Its name within the pool.
    pub instance_id: InstanceId,
    /// Its name for people; the instance id when the entry has none.
    pub name: String,
    /// What it is.
    pub scanner_type: ScannerType,
    /// Its address; empty for a mock.
    pub url: String,
    /// The user to log in as; empty for a mock.
    pub username: String,
    /// That user's password; empty for a mock.
    pub password: Secret,
    /// A disabled scanner is listed but not used.
    pub enabled: bool,
    /// The most scans it runs at once, over all workers.
    pub max_concurrent_scans: u32,
    /// Whether its certificate is checked.
    pub verify_tls: bool,
    /// How long a mock's scans take.
    pub scan_duration: Duration,
    /// Where a mock keeps its scans; in memory only with `None`. Not a key of the file: the service sets it.
    pub(crate) mock_directory: Option<PathBuf>,
    /// What only a Nessus has.
    pub(crate) nessus: NessusOptions,
}

impl InstanceConfig {
    /// An enabled mock scanner.
    pub fn mock(instance_id: InstanceId, scan_duration: Duration) -> Self {
        Self {
            name: instance_id.to_string(),
            instance_id,
            scanner_type: ScannerType::Mock,
            url: String::new(),
            username: String::new(),
            password: Secret::new(""),
            enabled: true,
            max_concurrent_scans: DEFAULT_MAX_CONCURRENT_SCANS,
            verify_tls: true,
            scan_duration,
            mock_directory: None,
            nessus: NessusOptions::default(),
        }
    }

    /// The keys of the file in which `other` has other values. The values are not told: they may be secret.
    pub(crate) fn changed_keys(&self, other: &Self) -> Vec<&'static str> {
        // Every field is named here, so that a new one is not forgotten.
        let Self {
            instance_id,
            name,
            scanner_type,
            url,
            username,
            password,
            enabled,
            max_concurrent_scans,
            verify_tls,
            scan_duration,
            mock_directory: _,
            nessus,
        } = self;
        let keys = [
            ("instance_id", *instance_id != other.instance_id),
            ("name", *name != other.name),
            ("type", *scanner_type != other.scanner_type),
            ("url", *url != other.url),
            ("username", *username != other.username),
            ("password", *password != other.password),
            ("enabled", *enabled != other.enabled),
            ("max_concurrent_scans", *max_concurrent_scans != other.max_concurrent_scans),
            ("verify_tls", *verify_tls != other.verify_tls),
            ("scan_duration", *scan_duration != other.scan_duration),
        ];
        let changed = keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key);
        changed.chain(nessus.changed_keys(&other.nessus)).collect()
    }

    /// Whether both entries speak to the same Nessus as the same user, so that each sees the scans of the other.
    pub(crate) fn is_same_account(&self, other: &Self) -> bool {
        self.scanner_type == ScannerType::Nessus
            && (self.scanner_type, &self.url, &self.username) == (other.scanner_type, &other.url, &other.username)
    }

    /// Whether both entries speak to the same scanner in the same way: they differ at most in what only we look at.
    pub(crate) fn is_same_scanner(&self, other: &Self) -> bool {
        self.changed_keys(other).iter().all(|key| matches!(*key, "name" | "enabled" | "max_concurrent_scans"))
    }
}

/// A pool: scanners of one type that stand in for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Its name: the top-level key.
    pub name: PoolName,
    /// What its scanners are.
    pub scanner_type: ScannerType,
    /// Its scanners, at least one, in the order of the file.
    pub instances: Vec<InstanceConfig>,
}

impl PoolConfig {
    /// A pool of these scanners; `None` when there are none or they differ in type.
    pub fn new(name: PoolName, instances: Vec<InstanceConfig>) -> Option<Self> {
        let scanner_type = instances.first()?.scanner_type;
        let uniform = instances.iter().all(|instance| instance.scanner_type == scanner_type);
        uniform.then_some(Self { name, scanner_type, instances })
    }
}

/// All pools, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScannersConfig {
    /// The pools, at least one.
    pub pools: Vec<PoolConfig>,
    /// The file they were read from, if they were.
    pub file: Option<PathBuf>,
}

impl ScannersConfig {
    /// These pools.
    pub fn new(pools: Vec<PoolConfig>) -> Self {
        Self { pools, file: None }
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

    /// Reads the file as far as it is sound, and finds all that is wrong with it: for who has to say so, or needs one entry only.
    pub fn examine(path: &Path) -> ExaminedScanners {
        match read(path) {
            Ok(text) => examine(&text, path, &|name| std::env::var(name).ok()),
            Err(error) => ExaminedScanners { pools: Vec::new(), faults: vec![error] },
        }
    }

    /// Checks the text of a file; `lookup` answers for the environment.
    pub fn parse(text: &str, path: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let ExaminedScanners { pools, faults } = examine(text, path, lookup);
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault);
        }
        let sound = pools
            .into_iter()
            .filter_map(|(name, entries)| PoolConfig::new(name, entries.into_iter().filter_map(Result::ok).collect()));
        Ok(Self::new(sound.collect()))
    }

    /// Lets mock scanners keep their scans in a directory each below this one, so that they outlive the process.
    pub(crate) fn keep_mock_scans_in(mut self, directory: &Path) -> Self {
        for pool in &mut self.pools {
            for instance in &mut pool.instances {
                let own = directory.join(pool.name.as_str()).join(instance.instance_id.as_str());
                instance.mock_directory = (instance.scanner_type == ScannerType::Mock).then_some(own);
            }
        }
        self
    }

    /// The pool of a request that names none: `nessus` when there is one, else the first.
    pub fn default_pool(&self) -> Option<&PoolConfig> {
        self.pools.iter().find(|pool| pool.name.as_str() == "nessus").or_else(|| self.pools.first())
    }
}

/// A `scanners.yaml` as far as it is sound, and what is wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExaminedScanners {
    /// The pools in the order of the file, and their entries, each with its first fault where it has one.
    pub pools: Vec<(PoolName, Vec<Result<InstanceConfig, ConfigError>>)>,
    /// All faults of the file, in its order; none when it can be used.
    pub faults: Vec<ConfigError>,
}

fn examine(text: &str, path: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> ExaminedScanners {
    let syntax =
        |line: u64, message: &str| ConfigError::Syntax { path: path.to_owned(), line, message: message.to_owned() };
    let no_pools = || syntax(1, "the file has no pools: write a pool name and a list of scanners");
    let entries =
        if yaml::is_blank(text) { Err(no_pools()) } else { yaml::parse::<Ordered<Vec<RawInstance>>>(text, path) };
    let (mut pools, mut faults) = (Vec::new(), Vec::new());
    let entries = match entries {
        Ok(Ordered(entries)) if entries.is_empty() => {
            faults.push(no_pools());
            entries
        }
        Ok(Ordered(entries)) => entries,
        Err(error) => {
            faults.push(error);
            Vec::new()
        }
    };
    for (Scalar { text: name, line, .. }, raw) in entries {
        let pool = match PoolName::new(name) {
            Ok(pool) => pool,
            Err(error) => {
                faults.push(syntax(line, &error.to_string()));
                continue;
            }
        };
        if pool == PoolName::deliveries() {
            faults.push(syntax(line, &format!("`{pool}` is the queue of webhooks: give the pool another name")));
            continue;
        }
        let mut read = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            read.push(Reader { path, prefix: format!("{pool}[{index}]"), lookup }.instance(raw, &mut faults));
        }
        if let Some(message) = wrong_pool(&pool, &read) {
            faults.push(syntax(line, &message));
        }
        pools.push((pool, read));
    }
    ExaminedScanners { pools, faults }
}

/// What is wrong with a pool as a whole.
fn wrong_pool(pool: &PoolName, entries: &[Result<InstanceConfig, ConfigError>]) -> Option<String> {
    let sound: Vec<_> = entries.iter().flatten().collect();
    for (index, instance) in sound.iter().enumerate() {
        if sound[..index].iter().any(|earlier| earlier.instance_id == instance.instance_id) {
            return Some(format!("pool `{pool}` has two scanners with the instance_id `{}`", instance.instance_id));
        }
    }
    let is_uniform = sound.iter().all(|instance| instance.scanner_type == sound[0].scanner_type);
    (entries.is_empty() || !is_uniform)
        .then(|| format!("pool `{pool}` needs at least one scanner, and all of one type"))
}

/// An entry as it stands in the file: every value a text, because any of them may be a `${VAR}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInstance {
    instance_id: Option<Scalar>,
    name: Option<Scalar>,
    #[serde(rename = "type")]
    scanner_type: Option<Scalar>,
    url: Option<Scalar>,
    username: Option<Scalar>,
    password: Option<Scalar>,
    enabled: Option<Scalar>,
    max_concurrent_scans: Option<Scalar>,
    verify_tls: Option<Scalar>,
    scan_duration: Option<Scalar>,
    password_file: Option<Scalar>,
    access_key: Option<Scalar>,
    secret_key: Option<Scalar>,
    ca_file: Option<Scalar>,
    tls_pin_sha256: Option<Scalar>,
    proxy: Option<Scalar>,
    allowed_templates: Option<Vec<Scalar>>,
    allowed_policies: Option<Vec<Scalar>>,
    scanner_id: Option<Scalar>,
    folder: Option<Scalar>,
}

/// Reads one entry, and goes on after a fault, to find them all.
struct Faults<'a> {
    all: &'a mut Vec<ConfigError>,
    /// How many of them are of other entries.
    before: usize,
}

impl Faults<'_> {
    /// What was read; nothing where that is a fault.
    fn keep<T>(&mut self, read: Result<Option<T>, ConfigError>) -> Option<T> {
        read.unwrap_or_else(|fault| {
            self.all.push(fault);
            None
        })
    }

    fn of_entry(&self) -> &[ConfigError] {
        &self.all[self.before..]
    }

    /// Whether a key was found to be wrong, so that it does not count as missing.
    fn has(&self, key: &str) -> bool {
        self.of_entry()
            .iter()
            .any(|fault| matches!(fault, ConfigError::Key { key: wrong, .. } if wrong.ends_with(&format!(".{key}"))))
    }
}

/// Turns one entry into an [`InstanceConfig`].
impl Reader<'_> {
    /// # Errors
    /// The first fault of the entry; `all` has them all.
    fn instance(&self, mut raw: RawInstance, all: &mut Vec<ConfigError>) -> Result<InstanceConfig, ConfigError> {
        let line = raw.first_line();
        let before = all.len();
        let mut faults = Faults { all, before };
        let verify_tls = faults.keep(self.value("verify_tls", raw.verify_tls.take(), parse_bool)).unwrap_or(true);
        let password = ("password", raw.password.take());
        let password = faults.keep(self.secret(password, ("password_file", raw.password_file.take()), password_in));
        let password = password.unwrap_or_else(|| Secret::new(""));
        let nessus = self.nessus(&mut raw, verify_tls, &mut faults);
        let instance_id = |text: &str| InstanceId::new(text).map_err(|error| error.to_string());
        let instance_id = faults.keep(self.value("instance_id", raw.instance_id, instance_id));
        let scanner_type = faults.keep(self.value("type", raw.scanner_type, str::parse)).unwrap_or(ScannerType::Nessus);
        let enabled = faults.keep(self.value("enabled", raw.enabled, parse_bool)).unwrap_or(true);
        let url = faults.keep(self.value("url", raw.url, parse_url));
        let username =
            faults.keep(self.value("username", raw.username, |text| Ok(text.to_owned()))).unwrap_or_default();
        let name = faults.keep(self.value("name", raw.name, |text| Ok(text.to_owned())));
        let max_concurrent_scans = self.value("max_concurrent_scans", raw.max_concurrent_scans, parse_count);
        let max_concurrent_scans = faults.keep(max_concurrent_scans).unwrap_or(DEFAULT_MAX_CONCURRENT_SCANS);
        let duration = |text: &str| parse_duration(text, DurationUnit::Seconds).map_err(|error| error.to_string());
        let scan_duration = faults.keep(self.value("scan_duration", raw.scan_duration, duration));
        let is_nessus = scanner_type == ScannerType::Nessus;
        let asks_for_login =
            is_nessus && enabled && (!username.is_empty() || !password.is_empty() || nessus.api_keys.is_none());
        for (key, is_missing) in [
            ("instance_id", instance_id.is_none()),
            ("url", is_nessus && url.is_none()),
            (
                "username",
                asks_for_login && username.is_empty() && !faults.has("access_key") && !faults.has("secret_key"),
            ),
            (
                "password",
                asks_for_login && password.is_empty() && !faults.has("access_key") && !faults.has("secret_key"),
            ),
        ] {
            if is_missing && !faults.has(key) && !(key == "password" && faults.has("password_file")) {
                faults.all.push(self.error(key, line, "is missing"));
            }
        }
        if let Some(fault) = faults.of_entry().first() {
            return Err(fault.clone());
        }
        let instance_id = instance_id.ok_or_else(|| self.error("instance_id", line, "is missing"))?;
        Ok(InstanceConfig {
            name: name.unwrap_or_else(|| instance_id.to_string()),
            instance_id,
            scanner_type,
            url: url.unwrap_or_default(),
            username,
            password,
            enabled,
            max_concurrent_scans,
            verify_tls,
            scan_duration: scan_duration.unwrap_or(Duration::from_secs(2)),
            mock_directory: None,
            nessus,
        })
    }

    fn nessus(&self, raw: &mut RawInstance, verify_tls: bool, faults: &mut Faults<'_>) -> NessusOptions {
        let trusts = [("ca_file", &raw.ca_file), ("tls_pin_sha256", &raw.tls_pin_sha256)];
        let trusts: Vec<_> = trusts.into_iter().filter_map(|(key, raw)| Some((key, raw.as_ref()?.line))).collect();
        match trusts[..] {
            [(key, line), ..] if !verify_tls => {
                let message = "stands beside `verify_tls: false`, which accepts any certificate";
                faults.all.push(self.error(key, line, message));
            }
            [_, (key, line)] => {
                faults.all.push(self.error(key, line, "stands beside `ca_file`: give only one of them"));
            }
            _ => {}
        }
        let key_lines = (raw.access_key.as_ref().map(|key| key.line), raw.secret_key.as_ref().map(|key| key.line));
        let access_key = faults.keep(self.value("access_key", raw.access_key.take(), nessus::parse_api_key));
        let secret_key = faults.keep(self.value("secret_key", raw.secret_key.take(), nessus::parse_api_key));
        match key_lines {
            (Some(line), None) => faults.all.push(self.error("secret_key", line, "is missing")),
            (None, Some(line)) => faults.all.push(self.error("access_key", line, "is missing")),
            _ => {}
        }
        let mut names = |key: &str, raw: Option<Vec<Scalar>>| {
            let name = |raw| self.value(key, Some(raw), not_empty).transpose();
            let names = raw.map(|names| names.into_iter().filter_map(name).collect::<Result<Vec<_>, _>>());
            faults.keep(names.transpose())
        };
        NessusOptions {
            allowed_templates: names("allowed_templates", raw.allowed_templates.take()),
            allowed_policies: names("allowed_policies", raw.allowed_policies.take()),
            ca_certificates: faults
                .keep(self.value("ca_file", raw.ca_file.take(), |path| nessus::certificates_in(self.path, path))),
            tls_pin_sha256: faults.keep(self.value("tls_pin_sha256", raw.tls_pin_sha256.take(), nessus::parse_pin)),
            api_keys: access_key.zip(secret_key).map(|(access_key, secret_key)| ApiKeys::new(access_key, secret_key)),
            proxy: faults.keep(self.value("proxy", raw.proxy.take(), nessus::parse_proxy)),
            scanner_id: faults.keep(self.value("scanner_id", raw.scanner_id.take(), nessus::parse_scanner_id)),
            folder: faults.keep(self.value("folder", raw.folder.take(), not_empty)),
        }
    }
}

impl RawInstance {
    /// The line the entry begins on, for errors about keys that are not there.
    fn first_line(&self) -> u64 {
        let head = [&self.instance_id, &self.name, &self.scanner_type, &self.url, &self.username, &self.password];
        let rest = [&self.enabled, &self.password_file, &self.access_key, &self.secret_key];
        head.into_iter().chain(rest).flatten().map(|scalar| scalar.line).min().unwrap_or(1)
    }
}

pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be `true` or `false`".to_owned()),
    }
}

fn parse_count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..=10_000) => Ok(count),
        _ => Err("must be a whole number from 1 to 10000".to_owned()),
    }
}

fn parse_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let port = rest.and_then(|rest| rest.split('/').next()).and_then(port_of);
    match rest {
        Some(rest) if rest.split('/').next().is_some_and(|authority| authority.contains('@')) => {
            Err("must not hold a user name or password: use the keys `username` and `password`".to_owned())
        }
        Some(_) if port.is_some_and(|port| port.parse::<u16>().is_err()) => {
            Err("has the port after its last colon, which must be a number from 0 to 65535".to_owned())
        }
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("must begin with `https://` or `http://` and name a host".to_owned()),
    }
}

/// What stands behind the host of `host:port` or `[IPv6]:port`.
fn port_of(authority: &str) -> Option<&str> {
    let behind_brackets = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    behind_brackets.rsplit_once(':').map(|(_, port)| port)
}

#[cfg(test)]
mod tests;
