//! The handle of a simulated scanner.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

#[cfg(feature = "wiremock")]
use wiremock::MockServer;

#[cfg(feature = "wiremock")]
use super::mounted;
use super::{
    certificates::Certificates,
    config::{SimConfig, Trust},
    control::Control,
    credentials::SentCredential,
    faults::{Fault, FaultError, Faults},
    front::{Door, Front, Gate},
    policies,
    routes::Scanner,
    scans,
    state::{Shared, State},
    stats::Stats,
    templates,
};

/// A running simulated scanner. Dropping one that was started breaks its connections and frees its ports; one that is mounted
/// lives as long as its server.
///
/// Methods that panic say so; each has a sister (`try_…`) that does not.
#[derive(Debug)]
pub struct SimulatedNessus {
    shared: Shared,
    faults: Faults,
    scanner: Served,
    control: Option<Front>,
}

/// Who serves the scanner's port.
#[derive(Debug)]
enum Served {
    /// The own server, and what it shows when it speaks TLS.
    Own(Front, Option<Certificates>),
    /// A server of wiremock, at this URL.
    #[cfg(feature = "wiremock")]
    Mounted(String),
}

impl SimulatedNessus {
    /// Starts a scanner as [`SimConfig::new`] has it: plain HTTP on a free port of 127.0.0.1, where it listens when this returns.
    ///
    /// # Panics
    /// When it cannot have a port or a thread.
    pub async fn start() -> Self {
        Self::start_with(SimConfig::new()).await
    }

    /// Starts a scanner of this configuration.
    ///
    /// # Panics
    /// When a port is taken; [`try_start_with`](Self::try_start_with) says so instead.
    pub async fn start_with(config: SimConfig) -> Self {
        match Self::try_start_with(config).await {
            Ok(sim) => sim,
            Err(error) => panic!("the simulated scanner cannot start: {error}"),
        }
    }

    /// Starts a scanner of this configuration, on a thread of its own.
    ///
    /// # Errors
    /// When the port or the control port cannot be bound; the message names the port.
    #[expect(clippy::unused_async, reason = "a caller shall not care whether starting takes time")]
    pub async fn try_start_with(config: SimConfig) -> io::Result<Self> {
        let port = config.port;
        let control_port = config.control_port;
        // Both ports are bound before either is served, so that a failure leaves nothing behind.
        let listener = bind(port)?;
        let control_listener = control_port.map(bind).transpose()?;
        let certificates = config.certificate.map(|_| Certificates::make()).transpose()?;
        let door = Door::new();
        let (shared, faults) = memory(config, Some(door.clone()));
        let gate = Gate { door, certificates: certificates.clone() };
        let scanner = Front::start(listener, Scanner::new(shared.clone(), faults.clone()), gate)?;
        let control = Control::new(shared.clone(), faults.clone());
        let control = control_listener.map(|listener| Front::start(listener, control, Gate::open())).transpose()?;
        Ok(Self { shared, faults, scanner: Served::Own(scanner, certificates), control })
    }

    /// A scanner that answers on a server of wiremock whatever no other mock of the server answers.
    ///
    /// wiremock has no hold on its connections: faults that break them, or never answer, cannot be injected
    /// ([`KnownFault::needs_own_server`](crate::KnownFault::needs_own_server)).
    #[cfg(feature = "wiremock")]
    pub async fn mount(server: &MockServer) -> Self {
        Self::mount_with(server, SimConfig::new()).await
    }

    /// The same with another configuration.
    ///
    /// # Panics
    /// When the configuration has a port, a control port or https: the server is wiremock's.
    #[cfg(feature = "wiremock")]
    pub async fn mount_with(server: &MockServer, config: SimConfig) -> Self {
        let asked = config.needs_own_server();
        assert!(
            asked.is_empty(),
            "a scanner that is mounted on a server of wiremock has no {}: start it with `SimulatedNessus::start_with` instead",
            asked.join(", ")
        );
        let (shared, faults) = memory(config, None);
        mounted::mount(Scanner::new(shared.clone(), faults.clone()), server).await;
        Self { shared, faults, scanner: Served::Mounted(server.uri()), control: None }
    }

    /// The scanner's base URL, without a slash at the end.
    pub fn url(&self) -> String {
        match &self.scanner {
            Served::Own(front, None) => format!("http://{}", front.address()),
            Served::Own(front, Some(_)) => format!("https://{}", front.address()),
            #[cfg(feature = "wiremock")]
            Served::Mounted(url) => url.clone(),
        }
    }

    /// The base URL of the control port; none unless configured.
    ///
    /// There `GET /stats` answers [`Stats`], `GET /faults` lists the faults that can be injected, and `POST /faults`
    /// injects them, all as JSON: for tests in other processes.
    pub fn control_url(&self) -> Option<String> {
        self.control.as_ref().map(|front| format!("http://{}", front.address()))
    }

    /// What the scanner has seen so far.
    pub fn stats(&self) -> Stats {
        Control::new(self.shared.clone(), self.faults.clone()).stats()
    }

    /// Lets something go wrong: a fault by its name, or a [`Fault`] with settings of its own. It is effective when this returns.
    ///
    /// # Panics
    /// When there is no such fault, or a mounted scanner cannot have it; [`try_inject`](Self::try_inject) says so instead.
    #[track_caller]
    pub fn inject(&self, fault: impl Into<Fault>) {
        if let Err(error) = self.try_inject(fault) {
            panic!("{error}");
        }
    }

    /// Lets something go wrong; it is effective when this returns.
    ///
    /// # Errors
    /// When there is no such fault, or a mounted scanner cannot have it; the message says which there are.
    pub fn try_inject(&self, fault: impl Into<Fault>) -> Result<(), FaultError> {
        self.faults.inject(&mut self.shared.lock(), vec![fault.into()])?;
        self.faults.settle();
        Ok(())
    }

    /// Ends all faults. What they have done to scans and sessions stays.
    pub fn clear_faults(&self) {
        self.faults.clear(None);
        self.faults.settle();
    }

    /// Lets so much time pass for the scanner: runs that would be over by then are over, exports ready, sessions idle.
    pub fn advance(&self, time: Duration) {
        let mut state = self.shared.lock();
        state.ahead = state.ahead.saturating_add(time);
    }

    /// The `X-API-Token` that `/nessus6.js` gives away.
    pub fn api_token(&self) -> String {
        self.shared.lock().api_token.clone()
    }

    /// The tokens of all sessions so far, those that have ended included: what must stand in no log.
    pub fn session_tokens(&self) -> Vec<String> {
        self.shared.lock().sessions.given().to_vec()
    }

    /// The credentials that were sent for a scan, in clear, those that were removed since included.
    pub fn credentials(&self, scan_id: u64) -> Vec<SentCredential> {
        self.shared.lock().sent.of_scan(scan_id)
    }

    /// The content of a file that was uploaded under this name.
    pub fn uploaded(&self, name: &str) -> Option<Vec<u8>> {
        self.shared.lock().sent.file(name).map(<[u8]>::to_vec)
    }

    /// Makes a scan of somebody else's from the template `basic`, not launched; returns its id. [`Stats`] does not count it as
    /// created.
    ///
    /// # Panics
    /// When `targets` are none that a Nessus reads.
    #[track_caller]
    pub fn add_scan(&self, name: &str, targets: &str) -> u64 {
        let planted = scans::plant(&mut self.shared.lock(), name, targets);
        planted.unwrap_or_else(|error| panic!("the scan `{name}` cannot be made: {error}"))
    }

    /// Makes a policy from the template `advanced`, as somebody does in the web interface; returns its id.
    pub fn add_policy(&self, name: &str) -> u64 {
        self.plant_policy(name, serde_json::json!({ "add": {} }))
    }

    /// Makes a policy that logs in on the hosts of its scans, with credentials of its own; returns its id.
    pub fn add_policy_with_login(&self, name: &str) -> u64 {
        self.plant_policy(name, policies::login())
    }

    fn plant_policy(&self, name: &str, credentials: serde_json::Value) -> u64 {
        policies::add(&mut self.shared.lock(), name, &templates::TEMPLATES[1], credentials)
    }

    /// Gives a policy another name, if there is one with this id.
    pub fn rename_policy(&self, id: u64, name: &str) {
        if let Some(policy) = self.shared.lock().policies.get_mut(&id) {
            name.clone_into(&mut policy.name);
        }
    }

    /// Deletes a policy, if there is one with this id.
    pub fn delete_policy(&self, id: u64) {
        self.shared.lock().policies.remove(&id);
    }

    /// Ends every session, as a restart of the scanner does.
    pub fn drop_sessions(&self) {
        self.shared.lock().sessions.clear();
    }

    /// Gives the account another password, and ends its sessions.
    pub fn change_password(&self, password: impl Into<String>) {
        let mut state = self.shared.lock();
        state.config.password = password.into();
        state.sessions.clear();
    }

    /// Replaces the `X-API-Token`, as an upgrade of the scanner does; returns the new one.
    pub fn rotate_api_token(&self) -> String {
        self.shared.lock().rotate_api_token()
    }

    /// A `scanners.yaml` that trusts the certificate, if there is one, with this scanner as the only instance of the pool `nessus`.
    pub fn scanners_yaml(&self) -> String {
        let trust = self.certificate_sha256().map(|sha256| Trust::Pin(sha256.to_owned()));
        self.shared.lock().config.scanners_yaml(&self.url(), trust.as_ref())
    }

    /// The certificate that the configuration chose, in PEM; none without https.
    pub fn certificate_pem(&self) -> Option<&str> {
        let kind = self.shared.lock().config.certificate.unwrap_or_default();
        self.certificates().map(|made| made.pem(kind))
    }

    /// The SHA-256 of that certificate in its DER form, in lower-case hex; none without https.
    pub fn certificate_sha256(&self) -> Option<&str> {
        let kind = self.shared.lock().config.certificate.unwrap_or_default();
        self.certificates().map(|made| made.sha256(kind))
    }

    fn certificates(&self) -> Option<&Certificates> {
        match &self.scanner {
            Served::Own(_, certificates) => certificates.as_ref(),
            #[cfg(feature = "wiremock")]
            Served::Mounted(_) => None,
        }
    }
}

/// What a scanner of this configuration has in mind when it starts.
fn memory(config: SimConfig, door: Option<Door>) -> (Shared, Faults) {
    let starting = config.starting;
    let (mut state, faults) = (State::new(config), Faults::new(door));
    if let Some((duration, status)) = starting {
        faults.start_loading(&mut state, duration, status);
    }
    (Shared::new(state), faults)
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on 127.0.0.1:{port}: {error}")))
}
