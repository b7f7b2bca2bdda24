//! The flags and environment variables that the binaries of this project share, and how they start (feature `cli`).
//!
//! Each flag has the name of its variable in kebab-case. Values are taken as text and checked by the methods here. So an
//! invalid value ends the process with exit code 78 and its name, whether it came from a flag or a variable.
//! An empty variable counts as not set: compose files and service units write `REDIS_URL=` for "none".

mod ask;
mod effective;
mod parsing;
pub mod server;
mod words;

use std::{
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

pub use self::{
    ask::confirmed,
    effective::{EffectiveSetting, EffectiveSettings, GivenArgs, SettingSource},
    parsing::{parse, refuse},
    words::operator_words,
};
pub use super::user::user_at_host;
use super::{
    CircuitSettings, ConfigError, HousekeepingSettings, Retention, SecretKey, Settings, WorkerSettings,
    example::write_example_if_missing, scanners::parse_bool, secret_key::SECRET_KEY_FILE,
};
use crate::{
    error::Failure,
    ids::PoolName,
    telemetry,
    time::{DurationUnit, parse_duration},
};

/// The name of the user of the operating system that runs this process, or its number where it has none here.
pub fn user_name() -> String {
    super::user_name()
}

/// How many files a process must be able to open beside those it has, to start at all: more than it needs to come up.
const FREE_DESCRIPTORS: usize = 32;

/// Runs a command to its end. What it still reads, such as stdin, does not hold the process back.
///
/// # Errors
/// What the command ends with, in the words for operators, and when hardly any file can be opened: a process that starts and then lacks them would
/// leave half of what it makes, and the runtime panics.
pub fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let input = io::stdin();
    let free = (0..FREE_DESCRIPTORS).map(|_| input.as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>();
    drop(free.map_err(|error| {
        Failure::new(format!(
            "cannot start: fewer than {FREE_DESCRIPTORS} more files can be opened; `ulimit -n` shows the limit: {error}"
        ))
    })?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome.map_err(|failure| failure.reworded(operator_words))
}

/// Where a process finds its data; every binary has these flags.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The directory of what this machine keeps, and of tasks and results unless DATA_URL names another place
    #[arg(long, env = "DATA_DIR", default_value = "./data", value_name = "DIR", global = true)]
    data_dir: PathBuf,

    /// Where tasks and results are kept: file: for DATA_DIR, or s3://BUCKET/PREFIX, az:// or gs:// [default: file:]
    #[arg(long, env = "DATA_URL", value_name = "URL", global = true, hide_env_values = true)]
    data_url: Option<String>,

    /// The directory for what was read of an object store, and for what is on its way there [default: {DATA_DIR}/cache]
    #[arg(long, env = "CACHE_DIR", value_name = "DIR", global = true)]
    cache_dir: Option<PathBuf>,

    /// The most that is kept there of an object store, in GB, from 1 to 10000
    #[arg(long, env = "CACHE_MAX_GB", default_value_t = Settings::DEFAULT_CACHE_MAX_GB.to_string(), value_name = "GB", global = true)]
    cache_max_gb: String,

    /// The URL of the queue, SQLite or Redis [default: sqlite:{DATA_DIR}/queue.db; older variable: REDIS_URL]
    #[arg(long, env = "QUEUE_URL", value_name = "URL", global = true, hide_env_values = true)]
    queue_url: Option<String>,

    /// The file that lists the scanners, by pool
    #[arg(long, env = "SCANNER_CONFIG", default_value = "scanners.yaml", value_name = "FILE", global = true)]
    scanner_config: PathBuf,

    /// The directory of the audit log [default: {DATA_DIR}/audit]
    #[arg(long, env = "AUDIT_DIR", value_name = "DIR", global = true)]
    audit_dir: Option<PathBuf>,
}

impl CommonArgs {
    /// The settings these flags stand for.
    ///
    /// # Errors
    /// [`ConfigError`] with the name of the variable.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        self.stored(self.places())?.check().map_err(in_operator_words)
    }

    /// Those that no value could be wrong for.
    fn places(&self) -> Settings {
        let mut settings = Settings::new(&self.data_dir, &self.scanner_config);
        if let Some(directory) = &self.audit_dir {
            settings = settings.with_audit_dir(directory);
        }
        if let Some(directory) = &self.cache_dir {
            settings = settings.with_cache_dir(directory);
        }
        let given = |url: &String| !url.trim().is_empty();
        let older = || std::env::var(OLDER_QUEUE_URL).ok().filter(given);
        match self.queue_url.clone().filter(given).or_else(older) {
            Some(url) => settings.with_queue_url(url),
            None => settings,
        }
    }

    /// These settings with the place of the tasks, and how much of it is kept here, each looked at for itself.
    fn stored(&self, settings: Settings) -> Result<Settings, ConfigError> {
        let url = self.data_url.as_deref().unwrap_or_default().parse()?;
        // What is no number is out of the range.
        let gb = self.cache_max_gb.trim().parse().unwrap_or(0);
        let settings = settings.with_data_url(url).with_cache_max_gb(gb);
        settings.check_cache().map_err(in_operator_words)?;
        Ok(settings)
    }

    /// The settings of a process that needs scanners. If the scanner configuration is missing, an example is written.
    ///
    /// # Errors
    /// [`ConfigError::ExampleWritten`], and those of [`settings`](Self::settings).
    pub fn scanning_settings(&self) -> Result<Settings, ConfigError> {
        let settings = self.settings()?;
        write_example_if_missing(&self.scanner_config)?;
        Ok(settings)
    }
}

/// What scans log in with.
#[derive(Debug, Clone, Args)]
pub struct CredentialArgs {
    /// The file that lists the logins that scans may use, by id [default: credentials.yaml, if it is there]
    #[arg(long, env = "CREDENTIAL_CONFIG", value_name = "FILE")]
    credential_config: Option<PathBuf>,

    /// The file with the key that seals logins given to a scan tool; or the key itself in NESSUS_MCP_SECRET_KEY
    #[arg(long, env = SECRET_KEY_FILE, value_name = "FILE")]
    nessus_mcp_secret_key_file: Option<PathBuf>,
}

impl CredentialArgs {
    /// The settings with what these flags stand for.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn settings(&self, mut settings: Settings) -> Result<Settings, ConfigError> {
        let unnamed = || Some(PathBuf::from(DEFAULT_CREDENTIALS)).filter(|path| path.exists());
        if let Some(path) = self.credential_config.clone().or_else(unnamed) {
            settings = settings.with_credential_config(path);
        }
        Ok(match secret_key(self.nessus_mcp_secret_key_file.as_deref())? {
            Some(key) => settings.with_secret_key(key),
            None => settings,
        })
    }
}

/// The secret key of the environment or of this file, if there is one.
///
/// # Errors
/// [`ConfigError::Setting`] with the name of the variable.
fn secret_key(file: Option<&Path>) -> Result<Option<SecretKey>, ConfigError> {
    // No flag: it would show the key to everybody who lists the processes.
    let given = std::env::var(SECRET_KEY).ok().filter(|key| !key.trim().is_empty()).map(Zeroizing::new);
    match (given, file) {
        (Some(_), Some(_)) => {
            Err(setting(SECRET_KEY_FILE, format!("stands beside `{SECRET_KEY}`: set only one of them")))
        }
        (Some(key), None) => SecretKey::new(key.trim()).map(Some).map_err(|message| setting(SECRET_KEY, message)),
        (None, Some(file)) => SecretKey::from_file(file).map(Some),
        (None, None) => Ok(None),
    }
}

/// The secret key that the environment gives or names, for a command that has no flag for it.
///
/// # Errors
/// [`ConfigError::Setting`] with the name of the variable.
pub fn secret_key_of_environment() -> Result<Option<SecretKey>, ConfigError> {
    let file = std::env::var_os(SECRET_KEY_FILE).filter(|file| !file.is_empty());
    secret_key(file.as_deref().map(Path::new))
}

/// The name that `QUEUE_URL` had once.
const OLDER_QUEUE_URL: &str = "REDIS_URL";
/// The variable with the key that seals logins.
const SECRET_KEY: &str = "NESSUS_MCP_SECRET_KEY";
/// Where the stored logins are when nobody says where.
const DEFAULT_CREDENTIALS: &str = "credentials.yaml";

/// How a process logs.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "flags have the names of the variables")]
pub struct LogArgs {
    /// Which log lines are written: error, warn, info, debug, trace, or directives such as `info,nessus_mcp_lib=debug`
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_name = "LEVEL", global = true)]
    log_level: String,

    /// The format of log lines: json or text
    #[arg(long, env = "LOG_FORMAT", default_value = "json", value_name = "FORMAT", global = true)]
    log_format: String,

    /// A file for the log lines, beside stderr; it begins anew at 16 MiB, and four earlier ones are kept
    #[arg(long, env = "LOG_FILE", value_name = "PATH", global = true)]
    log_file: Option<PathBuf>,
}

/// Where a worker shows itself to operators.
#[derive(Debug, Clone, Args)]
pub struct MetricsArgs {
    /// Serve /metrics and /health of a worker at this address, such as 127.0.0.1:9836 [default: none]
    ///
    /// Other than loopback only with `clients` in policy.yaml: then a request brings the token of one of them.
    #[arg(long, env = "METRICS_BIND", value_name = "ADDRESS")]
    pub metrics_bind: Option<String>,
}

impl LogArgs {
    /// Refuses values with which no process could log.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    fn check(&self) -> Result<(), ConfigError> {
        self.format()?;
        telemetry::check_level(&self.log_level).map_err(|error| setting("LOG_LEVEL", format!("is refused: {error}")))
    }

    fn format(&self) -> Result<telemetry::LogFormat, ConfigError> {
        let refused = |error: telemetry::LoggingError| setting("LOG_FORMAT", format!("is refused: {error}"));
        self.log_format.parse().map_err(refused)
    }

    /// Starts logging for the process. SIGUSR1 then lets it log more, and SIGUSR2 as much as it did at first. Within a runtime.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] when a value cannot be used.
    pub fn init(&self) -> Result<(), ConfigError> {
        if let Some(path) = &self.log_file {
            telemetry::log_to_file(path);
        }
        telemetry::init_logging(&self.log_level, self.format()?)
            .map_err(|error| setting("LOG_LEVEL", format!("is refused: {error}")))?;
        for (kind, more) in [(SignalKind::user_defined1(), true), (SignalKind::user_defined2(), false)] {
            match signal(kind) {
                Ok(mut asked) => drop(tokio::spawn(async move {
                    while asked.recv().await.is_some() {
                        telemetry::change_verbosity(more);
                    }
                })),
                Err(error) => tracing::warn!(%error, more, "no signal changes how much is logged"),
            }
        }
        Ok(())
    }
}

/// When the circuit of a scanner opens, and for how long.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "flags have the names of the variables")]
pub struct CircuitArgs {
    /// Failed calls in a row that open a scanner's circuit; while it is open, the scanner is not called
    #[arg(long, env = "CIRCUIT_FAILURES", default_value = "5", value_name = "N")]
    circuit_failures: String,

    /// The longest a circuit stays open the first time; doubles each further time (seconds, or with a unit)
    #[arg(long, env = "CIRCUIT_OPEN_SECONDS", default_value = "30", value_name = "TIME")]
    circuit_open_seconds: String,

    /// The longest a circuit ever stays open (seconds, or with a unit)
    #[arg(long, env = "CIRCUIT_OPEN_MAX_SECONDS", default_value = "600", value_name = "TIME")]
    circuit_open_max_seconds: String,
}

impl CircuitArgs {
    /// The settings these flags stand for.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn settings(&self) -> Result<CircuitSettings, ConfigError> {
        let failures = self.circuit_failures.trim().parse();
        let failures =
            failures.map_err(|_| setting("CIRCUIT_FAILURES", "must be a whole number from 1 on".to_owned()))?;
        let open = duration("CIRCUIT_OPEN_SECONDS", &self.circuit_open_seconds, DurationUnit::Seconds)?;
        let longest = duration("CIRCUIT_OPEN_MAX_SECONDS", &self.circuit_open_max_seconds, DurationUnit::Seconds)?;
        let settings = CircuitSettings::default().with_failures(failures).with_open_time(open, longest);
        settings.check().map_err(in_operator_words)
    }
}

/// How much memory a process may use to answer requests for results.
#[derive(Debug, Clone, Args)]
pub struct ResultsArgs {
    /// The memory that all requests for results may use together, in MiB, at least 16; further requests wait
    #[arg(long, env = "RESULTS_MEMORY_MIB", default_value = "256", value_name = "MIB")]
    results_memory_mib: String,
}

impl ResultsArgs {
    /// The number these flags stand for.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn memory_mib(&self) -> Result<u32, ConfigError> {
        let mib = self.results_memory_mib.trim().parse().ok().filter(|mib| (16..=1 << 20).contains(mib));
        mib.ok_or_else(|| setting("RESULTS_MEMORY_MIB", "must be a whole number from 16 to 1048576".to_owned()))
    }
}

/// What scans may be aimed at.
#[derive(Debug, Clone, Args)]
pub struct ScopeArgs {
    /// The file that says what may be scanned [default: no scope is set]
    #[arg(long, visible_alias = "policy", env = "POLICY_CONFIG", value_name = "FILE")]
    policy_config: Option<PathBuf>,

    /// The most hosts that one scan may have
    #[arg(long, env = "MAX_HOSTS_PER_SCAN", default_value_t = Settings::DEFAULT_MAX_HOSTS_PER_SCAN.to_string(), value_name = "N")]
    max_hosts_per_scan: String,
}

impl ScopeArgs {
    /// The same settings with what these flags say.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn apply(&self, settings: Settings) -> Result<Settings, ConfigError> {
        let most = self.max_hosts_per_scan.trim().parse().ok().filter(|most| *most > 0);
        let most = most.ok_or_else(|| setting("MAX_HOSTS_PER_SCAN", "must be a whole number from 1 on".to_owned()))?;
        let settings = settings.with_max_hosts_per_scan(most);
        Ok(match &self.policy_config {
            Some(path) => settings.with_policy_config(path),
            None => settings,
        })
    }
}

/// How a worker works.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// The pools the worker serves, comma separated [default: all of the scanner configuration]
    #[arg(long, env = "WORKER_POOLS", value_name = "POOLS")]
    worker_pools: Option<String>,

    /// The longest time between two polls of a running scan (seconds, or with a unit: 500ms, 2s)
    #[arg(long, env = "POLL_INTERVAL_SECONDS", default_value = "30", value_name = "TIME")]
    poll_interval_seconds: String,

    /// How long a worker keeps a task without renewing its lease (seconds, or with a unit)
    #[arg(long, env = "LEASE_SECONDS", default_value = "60", value_name = "TIME")]
    lease_seconds: String,

    /// Stop a scan that takes longer than this (hours, or with a unit)
    #[arg(long, env = "SCAN_TIMEOUT_HOURS", default_value = "24", value_name = "TIME")]
    scan_timeout_hours: String,

    /// Stop a launched scan that its scanner does not begin for this long (minutes, or with a unit)
    #[arg(long, env = "PENDING_TIMEOUT_MINUTES", default_value = "60", value_name = "TIME")]
    pending_timeout_minutes: String,

    /// Stop a running scan that makes no progress for this long (minutes, or with a unit)
    #[arg(long, env = "STALL_TIMEOUT_MINUTES", default_value = "240", value_name = "TIME")]
    stall_timeout_minutes: String,

    /// Stop a scan that somebody has paused on the scanner for this long (hours, or with a unit)
    #[arg(long, env = "PAUSED_TIMEOUT_HOURS", default_value = "8", value_name = "TIME")]
    paused_timeout_hours: String,

    /// The time between two health checks of a scanner (seconds, or with a unit); 0 turns them off
    #[arg(long, env = "HEALTH_CHECK_INTERVAL_SECONDS", default_value = "60", value_name = "TIME")]
    health_check_interval_seconds: String,

    #[command(flatten)]
    housekeeping: HousekeepingArgs,
}

impl WorkerArgs {
    /// The settings these flags stand for.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn settings(&self) -> Result<WorkerSettings, ConfigError> {
        let mut settings = WorkerSettings::default()
            .with_poll_interval(duration("POLL_INTERVAL_SECONDS", &self.poll_interval_seconds, DurationUnit::Seconds)?)
            .with_lease(duration("LEASE_SECONDS", &self.lease_seconds, DurationUnit::Seconds)?)
            .with_scan_timeout(duration("SCAN_TIMEOUT_HOURS", &self.scan_timeout_hours, DurationUnit::Hours)?)
            .with_pending_timeout(duration(
                "PENDING_TIMEOUT_MINUTES",
                &self.pending_timeout_minutes,
                DurationUnit::Minutes,
            )?)
            .with_stall_timeout(duration("STALL_TIMEOUT_MINUTES", &self.stall_timeout_minutes, DurationUnit::Minutes)?)
            .with_paused_timeout(duration("PAUSED_TIMEOUT_HOURS", &self.paused_timeout_hours, DurationUnit::Hours)?);
        let interval = &self.health_check_interval_seconds;
        let interval = duration("HEALTH_CHECK_INTERVAL_SECONDS", interval, DurationUnit::Seconds)?;
        settings = settings
            .with_health_interval(Some(interval).filter(|interval| !interval.is_zero()))
            .with_housekeeping(self.housekeeping.settings()?);
        if let Some(pools) = self.worker_pools.as_deref().filter(|text| !text.trim().is_empty()) {
            let pools = pools.split(',').map(|name| PoolName::new(name.trim())).collect::<Result<Vec<_>, _>>();
            settings = settings.with_pools(pools.map_err(|error| setting("WORKER_POOLS", error.to_string()))?);
        }
        settings.check().map_err(in_operator_words)
    }
}

/// What housekeeping removes, and when.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Housekeeping")]
pub struct HousekeepingArgs {
    /// Whether the worker removes old tasks, scans and files: true or false
    #[arg(long, env = "HOUSEKEEPING_ENABLED", default_value = "true", value_name = "BOOL")]
    housekeeping_enabled: String,

    /// The time between two runs, of all workers together (hours, or with a unit)
    #[arg(long, env = "HOUSEKEEPING_INTERVAL_HOURS", default_value = "24", value_name = "TIME")]
    housekeeping_interval_hours: String,

    /// Remove a completed task that nobody has read for this long (days, or with a unit; 0 for never); 7,lab=1 has another
    /// time for the pool lab
    #[arg(long, env = "COMPLETED_TTL_DAYS", default_value = "7", value_name = "TIMES")]
    completed_ttl_days: String,

    /// Remove a failed, timed-out or cancelled task that nobody has read for this long, as above
    #[arg(long, env = "FAILED_TTL_DAYS", default_value = "30", value_name = "TIMES")]
    failed_ttl_days: String,

    /// Remove what was archived of a removed task after this long (days, or with a unit; 0 for never)
    #[arg(long, env = "ARCHIVE_TTL_DAYS", default_value = "365", value_name = "TIME")]
    archive_ttl_days: String,

    /// Whether running tasks that no worker holds are given back to the queue: true or false
    #[arg(long, env = "STALE_SCAN_CLEANUP_ENABLED", default_value = "true", value_name = "BOOL")]
    stale_scan_cleanup_enabled: String,

    /// Give back a running task that no worker has held for this long (hours, or with a unit)
    #[arg(long, env = "STALE_SCAN_HOURS", default_value = "24", value_name = "TIME")]
    stale_scan_hours: String,

    /// Stop and delete a scan that still runs although its task has ended and is past its time: true or false
    #[arg(long, env = "STALE_SCAN_DELETE_FROM_NESSUS", default_value = "false", value_name = "BOOL")]
    stale_scan_delete_from_nessus: String,

    /// Whether scans are deleted on scanners whose results are safe here, or whose task was removed: true or false
    #[arg(long, env = "NESSUS_SCAN_CLEANUP_ENABLED", default_value = "true", value_name = "BOOL")]
    nessus_scan_cleanup_enabled: String,

    /// Delete such a scan on its scanner this long after its task has ended (hours, or with a unit; 0 for never; by pool
    /// as above)
    #[arg(long, env = "NESSUS_SCAN_RETENTION_HOURS", default_value = "168", value_name = "TIMES")]
    nessus_scan_retention_hours: String,
}

impl HousekeepingArgs {
    /// The settings these flags stand for.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn settings(&self) -> Result<HousekeepingSettings, ConfigError> {
        let interval = duration("HOUSEKEEPING_INTERVAL_HOURS", &self.housekeeping_interval_hours, DurationUnit::Hours)?;
        let stale = duration("STALE_SCAN_HOURS", &self.stale_scan_hours, DurationUnit::Hours)?;
        let archive = duration("ARCHIVE_TTL_DAYS", &self.archive_ttl_days, DurationUnit::Days)?;
        let scans = &self.nessus_scan_retention_hours;
        let scans = retention("NESSUS_SCAN_RETENTION_HOURS", scans, DurationUnit::Hours)?;
        let does_run = switch("HOUSEKEEPING_ENABLED", &self.housekeeping_enabled)?;
        let gives_back = switch("STALE_SCAN_CLEANUP_ENABLED", &self.stale_scan_cleanup_enabled)?;
        let deletes_scans = switch("NESSUS_SCAN_CLEANUP_ENABLED", &self.nessus_scan_cleanup_enabled)?;
        let settings = HousekeepingSettings::default()
            .with_interval(does_run.then_some(interval))
            .with_retention(
                retention("COMPLETED_TTL_DAYS", &self.completed_ttl_days, DurationUnit::Days)?,
                retention("FAILED_TTL_DAYS", &self.failed_ttl_days, DurationUnit::Days)?,
            )
            .with_archive(Some(archive).filter(|time| !time.is_zero()))
            .with_stale(Some(stale).filter(|time| gives_back && !time.is_zero()))
            .with_scans(deletes_scans.then_some(scans));
        let stops = switch("STALE_SCAN_DELETE_FROM_NESSUS", &self.stale_scan_delete_from_nessus)?;
        let settings = if stops { settings.deleting_stale_scans() } else { settings };
        settings.check().map_err(in_operator_words)
    }
}

/// A refusal of what the flags say, with the variables in place of the library's settings.
fn in_operator_words(error: ConfigError) -> ConfigError {
    match error {
        ConfigError::Setting { name, message } => {
            let name = operator_words(&format!("`{name}`"));
            setting(name.trim_matches('`'), operator_words(&message))
        }
        other => other,
    }
}

fn retention(name: &str, text: &str, unit: DurationUnit) -> Result<Retention, ConfigError> {
    Retention::parse(text, unit).map_err(|problem| setting(name, format!("has a bad value: {problem}")))
}

fn switch(name: &str, text: &str) -> Result<bool, ConfigError> {
    parse_bool(text.trim()).map_err(|problem| setting(name, problem))
}

fn duration(name: &str, text: &str, unit: DurationUnit) -> Result<Duration, ConfigError> {
    parse_duration(text, unit).map_err(|error| setting(name, format!("has a bad value: {error}")))
}

fn setting(name: &str, message: String) -> ConfigError {
    ConfigError::Setting { name: name.to_owned(), message }
}
