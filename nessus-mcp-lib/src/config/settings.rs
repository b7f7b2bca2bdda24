//! What the environment and the flags of the binaries say, as typed values.

use std::{
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{CircuitSettings, ConfigError, DataUrl, HousekeepingSettings, SecretKey, housekeeping::in_words};
use crate::{ids::PoolName, secret::redact_url};

/// What every process of a deployment must agree on.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Where this machine keeps what it shares with no other, such as the embedded queue; and tasks and results, unless `data_url`
    /// names another place.
    pub data_dir: PathBuf,
    /// Where tasks, results and what else all processes share are kept.
    pub data_url: DataUrl,
    /// The queue, such as `sqlite:./data/queue.db`.
    pub queue_url: String,
    /// The path of `scanners.yaml`.
    pub scanner_config: PathBuf,
    /// The path of `credentials.yaml`; `None` for no stored logins.
    pub(crate) credential_config: Option<PathBuf>,
    /// What seals logins that come with a request; without it, the embedded queue has a key of its own.
    pub(crate) secret_key: Option<SecretKey>,
    /// When circuits of scanners open and close.
    pub(crate) circuits: CircuitSettings,
    /// How much memory those who read results may take together, in MiB; not less than 16. Who would need more than there
    /// is at the moment waits.
    pub(crate) results_memory_mib: u32,
    /// The path of `policy.yaml`; `None` for no scope.
    pub(crate) policy_config: Option<PathBuf>,
    /// The most hosts that one scan may have.
    pub(crate) max_hosts_per_scan: u64,
    /// Where the audit log is; `None` for `audit` in the data directory.
    audit_dir: Option<PathBuf>,
    /// Where what was read of an object store is kept; `None` for `cache` in the data directory.
    cache_dir: Option<PathBuf>,
    /// How much is kept there, in GB.
    cache_max_gb: u32,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("data_dir", &self.data_dir)
            .field("data_url", &self.data_url)
            // The URL may hold a password.
            .field("queue_url", &redact_url(&self.queue_url))
            .field("scanner_config", &self.scanner_config)
            .field("credential_config", &self.credential_config)
            .field("secret_key", &self.secret_key)
            .field("circuits", &self.circuits)
            .field("results_memory_mib", &self.results_memory_mib)
            .field("policy_config", &self.policy_config)
            .field("max_hosts_per_scan", &self.max_hosts_per_scan)
            .field("audit_dir", &self.audit_dir)
            .field("cache_dir", &self.cache_dir)
            .field("cache_max_gb", &self.cache_max_gb)
            .finish()
    }
}

impl Settings {
    /// What readers of results may take together when nothing else is asked for, in MiB.
    pub(crate) const DEFAULT_RESULTS_MEMORY_MIB: u32 = 256;

    /// The most hosts of one scan when nothing else is asked for: as many as a /16 has.
    pub const DEFAULT_MAX_HOSTS_PER_SCAN: u64 = 65_536;

    /// What is kept of an object store when nothing else is asked for, in GB.
    pub const DEFAULT_CACHE_MAX_GB: u32 = 10;

    /// Settings with the embedded queue inside `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>, scanner_config: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        let (queue_url, scanner_config) = (embedded_queue_url(&data_dir), scanner_config.into());
        Self {
            data_dir,
            data_url: DataUrl::Directory,
            queue_url,
            scanner_config,
            credential_config: None,
            secret_key: None,
            circuits: CircuitSettings::default(),
            results_memory_mib: Self::DEFAULT_RESULTS_MEMORY_MIB,
            policy_config: None,
            max_hosts_per_scan: Self::DEFAULT_MAX_HOSTS_PER_SCAN,
            audit_dir: None,
            cache_dir: None,
            cache_max_gb: Self::DEFAULT_CACHE_MAX_GB,
        }
    }

    /// The same settings with the logins of this `credentials.yaml`.
    pub fn with_credential_config(mut self, path: impl Into<PathBuf>) -> Self {
        self.credential_config = Some(path.into());
        self
    }

    /// The same settings with a key that seals logins that come with a request: the same for all processes of a deployment.
    pub fn with_secret_key(mut self, key: SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// The same settings with other circuits.
    pub fn with_circuits(mut self, circuits: CircuitSettings) -> Self {
        self.circuits = circuits;
        self
    }

    /// The same settings with so many MiB for those who read results.
    pub fn with_results_memory_mib(mut self, mib: u32) -> Self {
        self.results_memory_mib = mib;
        self
    }

    /// The same settings with the scope that this `policy.yaml` sets.
    pub fn with_policy_config(mut self, path: impl Into<PathBuf>) -> Self {
        self.policy_config = Some(path.into());
        self
    }

    /// The same settings with so many hosts for one scan.
    pub fn with_max_hosts_per_scan(mut self, hosts: u64) -> Self {
        self.max_hosts_per_scan = hosts;
        self
    }

    /// The same settings with the audit log in this directory.
    pub fn with_audit_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.audit_dir = Some(path.into());
        self
    }

    /// The same settings with tasks and results in another place.
    pub fn with_data_url(mut self, url: DataUrl) -> Self {
        self.data_url = url;
        self
    }

    /// The same settings with this directory for what was read of an object store.
    pub fn with_cache_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(path.into());
        self
    }

    /// The same settings with so many GB for what was read of an object store.
    pub fn with_cache_max_gb(mut self, gb: u32) -> Self {
        self.cache_max_gb = gb;
        self
    }

    /// The path of `credentials.yaml`; `None` for no stored logins.
    pub fn credential_config(&self) -> Option<&Path> {
        self.credential_config.as_deref()
    }

    /// The path of `policy.yaml`; `None` for no scope.
    pub fn policy_config(&self) -> Option<&Path> {
        self.policy_config.as_deref()
    }

    /// Where the audit log is.
    pub fn audit_dir(&self) -> PathBuf {
        self.audit_dir.clone().unwrap_or_else(|| self.data_dir.join("audit"))
    }

    /// Where what was read of an object store is kept.
    pub fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| self.data_dir.join("cache"))
    }

    /// How many bytes are kept there at most.
    pub fn cache_max_bytes(&self) -> u64 {
        u64::from(self.cache_max_gb) * 1_000_000_000
    }

    /// Refuses values that cannot work, and places that do not go together.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the setting, and [`ConfigError::EmbeddedQueue`].
    pub fn check(self) -> Result<Self, ConfigError> {
        self.check_cache()?;
        if self.data_url != DataUrl::Directory && self.queue_url.trim_start().starts_with("sqlite:") {
            return Err(ConfigError::EmbeddedQueue);
        }
        Ok(self)
    }

    pub(super) fn check_cache(&self) -> Result<(), ConfigError> {
        if CACHE_MAX_GB.contains(&self.cache_max_gb) {
            return Ok(());
        }
        let message = format!("must be a whole number from {} to {}", CACHE_MAX_GB.start(), CACHE_MAX_GB.end());
        Err(ConfigError::Setting { name: "settings.cache_max_gb".to_owned(), message })
    }

    /// The same settings with another queue.
    pub fn with_queue_url(mut self, url: impl Into<String>) -> Self {
        self.queue_url = url.into();
        self
    }
}

/// How much of an object store may be kept on a disk, in GB.
const CACHE_MAX_GB: RangeInclusive<u32> = 1..=10_000;

fn embedded_queue_url(data_dir: &Path) -> String {
    format!("sqlite:{}", data_dir.join("queue.db").display())
}

/// How a worker works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerSettings {
    /// The pools it serves; `None` for all of `scanners.yaml`.
    pub(crate) pools: Option<Vec<PoolName>>,
    /// The longest time between two looks at a running scan.
    pub(crate) poll_interval: Duration,
    /// How long a claim holds without being renewed; it is renewed every third of it.
    pub(crate) lease: Duration,
    /// How long a scan may take before it is stopped.
    pub(crate) scan_timeout: Duration,
    /// How long a launched scan may wait for its scanner before it is stopped.
    pub(crate) pending_timeout: Duration,
    /// How long a running scan may show no change before it is stopped.
    pub(crate) stall_timeout: Duration,
    /// How long a scan may be held by somebody on the scanner before it is stopped.
    pub(crate) paused_timeout: Duration,
    /// The time between two health checks of a scanner; `None` for no checks.
    pub health_interval: Option<Duration>,
    /// What it removes that nobody needs any more.
    pub(crate) housekeeping: HousekeepingSettings,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            pools: None,
            poll_interval: Duration::from_secs(30),
            lease: Duration::from_secs(60),
            scan_timeout: Duration::from_secs(24 * 3600),
            pending_timeout: Duration::from_secs(3600),
            stall_timeout: Duration::from_secs(4 * 3600),
            paused_timeout: Duration::from_secs(8 * 3600),
            health_interval: Some(Duration::from_secs(60)),
            housekeeping: HousekeepingSettings::default(),
        }
    }
}

/// A lease that is shorter would be lost to an ordinary pause of the machine; one that is longer would keep the tasks of a
/// worker that died waiting for hours.
const LEASE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// The range of the time between two looks at a scan.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(86_400));
/// The range of the limits after which a scan is stopped.
const SCAN_LIMIT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(365 * 86_400));
/// The range of the time between two health checks: they must not keep a scanner busy.
const HEALTH_INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(86_400));

impl WorkerSettings {
    /// Serves only these pools.
    pub fn with_pools(mut self, pools: Vec<PoolName>) -> Self {
        self.pools = Some(pools);
        self
    }

    /// Looks at running scans at least this often.
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Holds claims for this long.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Stops scans that take longer than this.
    pub fn with_scan_timeout(mut self, timeout: Duration) -> Self {
        self.scan_timeout = timeout;
        self
    }

    /// Stops scans that their scanner does not begin within this time.
    pub fn with_pending_timeout(mut self, timeout: Duration) -> Self {
        self.pending_timeout = timeout;
        self
    }

    /// Stops scans that show no change for this long.
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// Stops scans that are held on their scanner for this long.
    pub fn with_paused_timeout(mut self, timeout: Duration) -> Self {
        self.paused_timeout = timeout;
        self
    }

    /// Checks scanners this often; never with `None`.
    pub fn with_health_interval(mut self, interval: Option<Duration>) -> Self {
        self.health_interval = interval;
        self
    }

    /// Removes by other rules what nobody needs any more.
    pub fn with_housekeeping(mut self, settings: HousekeepingSettings) -> Self {
        self.housekeeping = settings;
        self
    }

    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the setting.
    pub fn check(self) -> Result<Self, ConfigError> {
        let refuse = |name: &str, message: String| Err(ConfigError::Setting { name: name.to_owned(), message });
        for (name, time, (shortest, longest)) in [
            ("settings.lease", self.lease, LEASE),
            ("settings.poll_interval", self.poll_interval, POLL_INTERVAL),
            ("settings.scan_timeout", self.scan_timeout, SCAN_LIMIT),
            ("settings.pending_timeout", self.pending_timeout, SCAN_LIMIT),
            ("settings.stall_timeout", self.stall_timeout, SCAN_LIMIT),
            ("settings.paused_timeout", self.paused_timeout, SCAN_LIMIT),
            ("settings.health_interval", self.health_interval.unwrap_or(HEALTH_INTERVAL.0), HEALTH_INTERVAL),
        ] {
            if !(shortest..=longest).contains(&time) {
                return refuse(name, format!("must be from {} to {}", in_words(shortest), in_words(longest)));
            }
        }
        if self.pools.as_ref().is_some_and(Vec::is_empty) {
            return refuse("settings.worker_pools", "names no pool".to_owned());
        }
        self.housekeeping.clone().check()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_queue_lies_in_the_data_directory() {
        assert_eq!(Settings::new("./data", "s.yaml").queue_url, "sqlite:./data/queue.db");
    }

    #[test]
    fn an_object_store_needs_a_queue_that_other_machines_reach() {
        let stored = || Settings::new("./data", "s.yaml").with_data_url("s3://scans".parse().unwrap());
        for queue in ["sqlite:./data/queue.db", " sqlite:///q.db"] {
            assert!(matches!(stored().with_queue_url(queue).check(), Err(ConfigError::EmbeddedQueue)), "{queue}");
        }
        stored().with_queue_url("redis://h").check().unwrap();
        Settings::new("./data", "s.yaml").with_data_url("file:".parse().unwrap()).check().unwrap();
    }

    #[test]
    fn the_cache_lies_in_the_data_directory_and_has_a_range() {
        let settings = Settings::new("./data", "s.yaml");
        assert_eq!((settings.cache_dir(), settings.cache_max_bytes()), ("./data/cache".into(), 10_000_000_000));
        assert_eq!(settings.clone().with_cache_dir("/c").cache_dir(), Path::new("/c"));
        for gb in [1, 10_000] {
            assert_eq!(settings.clone().with_cache_max_gb(gb).check().unwrap().cache_max_gb, gb);
        }
        for gb in [0, 10_001, u32::MAX] {
            let refused = settings.clone().with_cache_max_gb(gb).check().unwrap_err().to_string();
            assert_eq!(refused, "`settings.cache_max_gb` must be a whole number from 1 to 10000");
        }
    }

    #[test]
    fn values_that_cannot_work_are_refused_by_name() {
        let (tick, age) = (Duration::from_nanos(1), Duration::from_secs(366 * 86_400));
        let base = WorkerSettings::default;
        assert_eq!(base().check().unwrap(), base());
        assert_eq!(base().with_health_interval(None).check().unwrap().health_interval, None);
        for time in [Duration::ZERO, tick, age, Duration::MAX] {
            for (settings, message) in [
                (base().with_lease(time), "`settings.lease` must be from 1s to 1h"),
                (base().with_poll_interval(time), "`settings.poll_interval` must be from 1ms to 1d"),
                (base().with_scan_timeout(time), "`settings.scan_timeout` must be from 1ms to 365d"),
                (base().with_pending_timeout(time), "`settings.pending_timeout` must be from 1ms to 365d"),
                (base().with_stall_timeout(time), "`settings.stall_timeout` must be from 1ms to 365d"),
                (base().with_paused_timeout(time), "`settings.paused_timeout` must be from 1ms to 365d"),
                (base().with_health_interval(Some(time)), "`settings.health_interval` must be from 100ms to 1d"),
            ] {
                assert_eq!(settings.check().unwrap_err().to_string(), message, "{time:?}");
            }
        }
    }
}
