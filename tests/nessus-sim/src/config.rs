//! What can be chosen about the simulated scanner.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{
    authentication::{Account, Authentication},
    certificates::Certificate,
    time::Clock,
};

/// The product the scanner says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edition {
    /// Nessus Essentials: 16 hosts a scan, no scan control by API keys.
    Essentials,
    /// Nessus Professional: no scan control by API keys.
    Professional,
    /// Nessus Expert: no scan control by API keys.
    Expert,
    /// Nessus Manager: scan control by API keys as well.
    Manager,
}

impl Edition {
    /// The text of `nessus_type`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Essentials => "Nessus Essentials",
            Self::Professional => "Nessus Professional",
            Self::Expert => "Nessus Expert",
            Self::Manager => "Nessus Manager",
        }
    }

    /// The text of `license.type`.
    pub(super) fn license_type(self) -> &'static str {
        match self {
            Self::Essentials => "home",
            Self::Professional => "professional",
            Self::Expert => "expert",
            Self::Manager => "manager",
        }
    }

    /// Whether calls that change a scan are open to API keys.
    pub(super) fn scan_api(self) -> bool {
        self == Self::Manager
    }
}

/// Why a gateway may trust the scanner's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// Its SHA-256 is known, in hex.
    Pin(String),
    /// It stands in this file, in PEM.
    Authority(String),
    /// For no reason.
    Anything,
}

/// What the scanner answers when it has done what it was asked and has nothing to say; nobody knows for sure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acknowledgement {
    /// Nothing.
    #[default]
    Empty,
    /// `{}`.
    Object,
}

/// What a launch of a scan that runs does; nobody knows for sure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DoubleLaunch {
    /// It is refused with 409.
    #[default]
    Refused,
    /// It is answered with the run there is.
    Ignored,
}

/// Whether scans can be exported; those of some licences cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exporting {
    /// They can.
    #[default]
    Allowed,
    /// They are refused with 403.
    Blocked,
}

/// Whether a request that may carry a body must say how long it is; many a proxy before a scanner wants to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyLength {
    /// Without a `Content-Length` it is refused with 411.
    #[default]
    Required,
    /// It is taken for an empty one.
    Optional,
}

/// How many hosts a scan of an edition without a licence limit keeps; a `/16` would be a useless export.
const DEFAULT_HOST_LIMIT: usize = 1024;
const ESSENTIALS_HOST_LIMIT: usize = 16;

/// The choices; each method sets one and returns the configuration.
#[derive(Clone)]
#[must_use]
pub struct SimConfig {
    pub(super) port: u16,
    pub(super) control_port: Option<u16>,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) api_keys: Option<(String, String)>,
    pub(super) api_token: Option<String>,
    pub(super) edition: Edition,
    pub(super) scan_duration: Duration,
    pub(super) transition: Option<Duration>,
    pub(super) export_duration: Option<Duration>,
    pub(super) session_idle: Duration,
    pub(super) findings_per_host: usize,
    pub(super) host_limit: Option<usize>,
    pub(super) seed: u64,
    pub(super) certificate: Option<Certificate>,
    pub(super) plugin_set: String,
    pub(super) starting: Option<(Duration, u16)>,
    pub(super) export_file: Option<PathBuf>,
    pub(super) export_lifetime: Duration,
    pub(super) download_type: String,
    pub(super) exports: Exporting,
    pub(super) double_launch: DoubleLaunch,
    pub(super) acknowledgement: Acknowledgement,
    pub(super) body_length: BodyLength,
    pub(super) authentication: Authentication,
    pub(super) authentication_by_host: BTreeMap<String, Authentication>,
    pub(super) accounts: Vec<Account>,
    pub(super) clock: Clock,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            port: 0,
            control_port: None,
            username: "admin".to_owned(),
            password: "nessus".to_owned(),
            api_keys: None,
            api_token: None,
            edition: Edition::Professional,
            scan_duration: Duration::from_secs(10),
            transition: None,
            export_duration: None,
            session_idle: Duration::from_secs(30 * 60),
            findings_per_host: 12,
            host_limit: None,
            seed: 0,
            certificate: None,
            plugin_set: "202511200505".to_owned(),
            starting: None,
            export_file: None,
            export_lifetime: Duration::from_secs(10 * 60),
            download_type: "application/octet-stream".to_owned(),
            exports: Exporting::Allowed,
            double_launch: DoubleLaunch::Refused,
            acknowledgement: Acknowledgement::Empty,
            body_length: BodyLength::Required,
            authentication: Authentication::Succeeds,
            authentication_by_host: BTreeMap::new(),
            accounts: Vec::new(),
            clock: Clock::new(SystemTime::now),
        }
    }
}

impl SimConfig {
    /// A Nessus Professional on a free port, with the login `admin` / `nessus`, whose scans take 10 seconds and
    /// find 12 things on each host.
    pub fn new() -> Self {
        Self::default()
    }

    /// The port on 127.0.0.1; 0 takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Opens a control port on 127.0.0.1; 0 takes a free one.
    pub fn control_port(mut self, port: u16) -> Self {
        self.control_port = Some(port);
        self
    }

    /// The only account.
    pub fn login(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.username = username.into();
        self.password = password.into();
        self
    }

    /// Lets these API keys in; without them no key is valid.
    pub fn api_keys(mut self, access: impl Into<String>, secret: impl Into<String>) -> Self {
        self.api_keys = Some((access.into(), secret.into()));
        self
    }

    /// The `X-API-Token`, a UUID; generated when not set, so that two scanners do not share one.
    pub fn api_token(mut self, token: impl Into<String>) -> Self {
        self.api_token = Some(token.into());
        self
    }

    /// The product it says it is.
    pub fn edition(mut self, edition: Edition) -> Self {
        self.edition = edition;
        self
    }

    /// From launch to completed, when nobody pauses; a tenth of it (one second at most) is spent pending.
    pub fn scan_duration(mut self, duration: Duration) -> Self {
        self.scan_duration = duration;
        self
    }

    /// How long pausing, resuming and stopping take; else a twentieth of the scan, half a second at most.
    pub fn transition(mut self, duration: Duration) -> Self {
        self.transition = Some(duration);
        self
    }

    /// How long an export stays `loading`; else a twentieth of the scan, 200 milliseconds at most.
    pub fn export_duration(mut self, duration: Duration) -> Self {
        self.export_duration = Some(duration);
        self
    }

    /// How long a session lives without a call; 30 minutes unless set.
    pub fn session_idle(mut self, duration: Duration) -> Self {
        self.session_idle = duration;
        self
    }

    /// How many items stand under each host, plugin 19506 being the last of them.
    pub fn findings_per_host(mut self, count: usize) -> Self {
        self.findings_per_host = count;
        self
    }

    /// How many hosts a scan keeps; the rest is counted in `license_info.trimmed`. 1024 unless set, 16 with Essentials.
    pub fn host_limit(mut self, hosts: usize) -> Self {
        self.host_limit = Some(hosts);
        self
    }

    /// Another seed gives the same hosts other findings.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The plugin set it says it has, twelve digits: year, month, day, hour, minute.
    pub fn plugin_set(mut self, plugin_set: impl Into<String>) -> Self {
        self.plugin_set = plugin_set.into();
        self
    }

    /// For how long it is `loading` after its start, and with which status (200 or 503) it says so.
    pub fn starting(mut self, duration: Duration, status: u16) -> Self {
        self.starting = Some((duration, status));
        self
    }

    /// A .nessus file that stands for every export of that format; it is read while it is sent, whatever its size.
    pub fn export_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.export_file = Some(path.into());
        self
    }

    /// How long an export file can be fetched once it is ready; 10 minutes unless set.
    pub fn export_lifetime(mut self, lifetime: Duration) -> Self {
        self.export_lifetime = lifetime;
        self
    }

    /// The content type of a download; `application/octet-stream` unless set.
    pub fn download_type(mut self, mime: impl Into<String>) -> Self {
        self.download_type = mime.into();
        self
    }

    /// Whether scans can be exported.
    pub fn exports(mut self, exports: Exporting) -> Self {
        self.exports = exports;
        self
    }

    /// What a launch of a scan that runs does.
    pub fn double_launch(mut self, double_launch: DoubleLaunch) -> Self {
        self.double_launch = double_launch;
        self
    }

    /// What pause, resume, stop, kill, delete and logout answer.
    pub fn acknowledgement(mut self, acknowledgement: Acknowledgement) -> Self {
        self.acknowledgement = acknowledgement;
        self
    }

    /// Whether a request that may carry a body must say how long it is; it must unless set.
    pub fn body_length(mut self, body_length: BodyLength) -> Self {
        self.body_length = body_length;
        self
    }

    /// Speaks https only, with a certificate of its own making.
    pub fn https(self) -> Self {
        self.certificate(Certificate::Sound)
    }

    /// Speaks https only, with a certificate of this kind.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// How the logins of a scan with credentials end; they succeed unless set.
    pub fn authentication(mut self, outcome: Authentication) -> Self {
        self.authentication = outcome;
        self
    }

    /// How they end on one host, named as in the target list.
    pub fn authentication_of(mut self, host: impl Into<String>, outcome: Authentication) -> Self {
        self.authentication_by_host.insert(host.into(), outcome);
        self
    }

    /// An account on the hosts, and how logins with it end. Once there is one, all other logins are refused. Where it succeeds,
    /// [`authentication_of`](Self::authentication_of) may say otherwise of single hosts.
    pub fn account(
        mut self,
        username: impl Into<String>,
        password: impl Into<String>,
        outcome: Authentication,
    ) -> Self {
        self.accounts.push(Account { username: username.into(), password: password.into(), outcome });
        self
    }

    /// What time it is for the scanner: it moves scans, sessions and exports. The machine's clock unless set.
    ///
    /// With one that stands still only [`advance`](crate::SimulatedNessus::advance) lets time pass:
    /// ```
    /// use std::time::SystemTime;
    /// let now = SystemTime::now();
    /// let config = nessus_sim::SimConfig::new().clock(move || now);
    /// ```
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Clock::new(now);
        self
    }

    /// A `scanners.yaml` with a scanner of this configuration at `url` as the only instance of the pool `nessus`.
    ///
    /// `trust` says why the gateway may trust the scanner's certificate; with plain HTTP there is nothing to trust.
    pub fn scanners_yaml(&self, url: &str, trust: Option<&Trust>) -> String {
        // A JSON string is a YAML string, whatever characters a password has.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        format!(
            "nessus:\n  - instance_id: sim\n    type: nessus\n    name: Simulated Nessus\n    url: {url}\n    \
             username: {}\n    password: {}\n    enabled: true\n    max_concurrent_scans: 2\n{}",
            quoted(&self.username),
            quoted(&self.password),
            match trust {
                None => String::new(),
                Some(Trust::Pin(sha256)) => format!("    tls_pin_sha256: {}\n", quoted(sha256)),
                Some(Trust::Authority(file)) => format!("    ca_file: {}\n", quoted(file)),
                Some(Trust::Anything) => "    verify_tls: false\n".to_owned(),
            },
        )
    }

    /// What only the simulator's own server can do; the names of the methods that ask for it.
    #[cfg(feature = "wiremock")]
    pub(super) fn needs_own_server(&self) -> Vec<&'static str> {
        let asked = [
            (self.port != 0, "port"),
            (self.control_port.is_some(), "control_port"),
            (self.certificate.is_some(), "https or certificate"),
        ];
        asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, name)| name).collect()
    }

    pub(super) fn authentication_on(&self, host: &str) -> Authentication {
        self.authentication_by_host.get(host).copied().unwrap_or(self.authentication)
    }

    pub(super) fn hosts_allowed(&self) -> usize {
        self.host_limit.unwrap_or(match self.edition {
            Edition::Essentials => ESSENTIALS_HOST_LIMIT,
            _ => DEFAULT_HOST_LIMIT,
        })
    }

    pub(super) fn export_takes(&self) -> Duration {
        self.export_duration.unwrap_or_else(|| (self.scan_duration / 20).min(Duration::from_millis(200)))
    }
}

/// Without passwords and keys: they are a test's own, but a log is a log.
impl fmt::Debug for SimConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimConfig")
            .field("port", &self.port)
            .field("username", &self.username)
            .field("edition", &self.edition)
            .field("scan_duration", &self.scan_duration)
            .finish_non_exhaustive()
    }
}
